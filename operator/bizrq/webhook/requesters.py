"""Who asks, and are their children believed to be children? [A8, A11, A12].

An ownerReference alone proves nothing: anybody can write one. What a trusted controller made, it made for its owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.webhook.review import Request

__all__ = ["Owner", "TrustedControllers", "controller_of"]

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The controlling owner that an object names."""

    group: str
    kind: str
    name: str
    uid: str


def controller_of(raw: JSON) -> Owner | None:
    """The owner among ``metadata.ownerReferences`` that says it is the controller; None where there is none."""
    for reference in raw["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            group = str(reference.get("apiVersion", "")).rpartition("/")[0]
            return Owner(group, reference.get("kind", ""), reference.get("name", ""), reference.get("uid", ""))
    return None


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
