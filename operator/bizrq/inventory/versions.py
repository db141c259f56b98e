"""Is this newer than what was seen of that object?

The state of an object is replaced only by a higher resourceVersion, and one that is gone does not come back by an older
list. Versions are compared within one kind only, as Kubernetes promises.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["Graveyard"]

_KEPT: Final = 20_000
"""Graves kept; only answers that were on their way when an object went can be older than its end."""


class Graveyard:
    """UIDs that are gone, with the version of their end."""

    def __init__(self) -> None:
        self._graves: OrderedDict[str, int] = OrderedDict()

    def bury(self, uid: str, version: int) -> None:
        """Remember that ``uid`` was gone at ``version``; the oldest grave is forgotten beyond 20,000."""
        self._graves[uid] = max(version, self._graves.pop(uid, 0))
        if len(self._graves) > _KEPT:
            self._graves.popitem(last=False)

    def is_stale(self, uid: str, version: int) -> bool:
        """Whether a state at ``version`` is older than the end of its object."""
        return version <= self._graves.get(uid, -1)
