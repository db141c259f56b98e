"""Who asks, and are their children believed to be children? [A8, A11, A12].

An ownerReference alone proves nothing: anybody can write one. What a trusted controller made, it made for its owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bizrq.webhook.review import Request
from bizrq.workloads.owner import Owner, controller_of

__all__ = ["TrustedControllers"]

JSON = Mapping[str, Any]


class TrustedControllers:
    """The user names of ``--trusted-controllers``."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def owner_of_child(self, request: Request, raw: JSON | None = None) -> Owner | None:
        """The owner for which one of them made, or keeps, the object of this request; None where nobody is believed.

        ``raw`` is that object where the request itself does not have it: a Scale has no owners.
        """
        child = request.object if raw is None else raw
        if child is None or request.user_info.username not in self._names:
            return None
        return controller_of(child)
