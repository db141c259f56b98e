"""Is this newer than what was seen of that object?

The state of an object is replaced only by a higher resourceVersion, and one that is gone does not come back by an older
list. Versions are compared within one kind only, as Kubernetes promises.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["NEVER", "Graveyard"]

NEVER: Final = -1
"""The version at which a UID was seen that never was."""

_KEPT: Final = 20_000
"""Graves kept; only answers that were on their way when an object went can be older than its end."""


class Graveyard:
    """UIDs that are gone, with two versions: what is older is stale, and what was proven of the object itself."""

    def __init__(self) -> None:
        self._graves: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def bury(self, uid: str, version: int, seen: int | None = None) -> None:
        """Remember that ``uid`` was gone at ``version``; the oldest grave is forgotten beyond 20,000.

        ``seen`` is a version of the object that is known to have been reached, ``version`` if not given. A list that
        lacks an object says that it changed, but not at which version: an unlabelled object may stand still below the
        version of the list, with a request on it under way [A4].
        """
        stale, proven = self._graves.pop(uid, (NEVER, NEVER))
        self._graves[uid] = max(version, stale), max(version if seen is None else seen, proven)
        if len(self._graves) > _KEPT:
            self._graves.popitem(last=False)

    def is_stale(self, uid: str, version: int) -> bool:
        """Whether a state at ``version`` is older than the end of its object."""
        return version <= self._graves.get(uid, (NEVER, NEVER))[0]

    def seen(self, uid: str) -> int:
        """A version that the object with this UID has reached before it went; ``NEVER`` where none is known."""
        return self._graves.get(uid, (NEVER, NEVER))[1]
