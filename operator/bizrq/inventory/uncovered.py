"""Which events of pods does no stored status cover yet? [C4, C5].

The Lease's floor says of every bizrq that no event of its pods lies between its ``seen`` and the floor. So the floor
must stay below the oldest event that no stored status is known to cover.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Uncovered"]

NEVER = -1


class Uncovered:
    """The oldest and the newest such event of each bizrq."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[int, int]] = {}
        self._covered: dict[str, int] = {}
        self._floor = NEVER

    def note(self, bizrq: str, version: int, after: int | None = None) -> None:
        """Something happened to pods of a bizrq at ``version``, or somewhere behind ``after`` and up to it."""
        if version <= self.covered_by(bizrq):
            return
        low = version if after is None else after + 1
        known = self._events.get(bizrq)
        if known is None:
            self._events[bizrq] = low, version
        elif low < known[0] or version > known[1]:  # in a list, versions are in no order: mostly neither
            self._events[bizrq] = min(known[0], low), max(known[1], version)

    def cover(self, bizrq: str, version: int) -> None:
        """A stored status of a bizrq agrees with everything up to ``version``."""
        if version <= self._covered.get(bizrq, NEVER):
            return
        self._covered[bizrq] = version
        events = self._events.get(bizrq)
        if events is None:
            return
        oldest, newest = events
        if newest <= version:
            del self._events[bizrq]
        elif oldest <= version:
            self._events[bizrq] = version + 1, newest

    def covered_by(self, bizrq: str) -> int:
        """Up to which version nothing of a bizrq is missing in its stored status, or below the floor."""
        return max(self._covered.get(bizrq, NEVER), self._floor)

    def vouched(self, floor: int) -> None:
        """The floor of the Lease, as it is stored."""
        self._floor = max(self._floor, floor)

    def disown(self) -> None:
        """Nothing could be replayed from the floor, which may be a lie: until a higher one is read, it is none."""
        self._floor = NEVER

    def oldest(self) -> int | None:
        """The oldest event of all; None where every status covers everything."""
        return min((oldest for oldest, _ in self._events.values()), default=None)

    def forget(self, bizrq: str) -> None:
        """A bizrq is gone."""
        self._events.pop(bizrq, None)
        self._covered.pop(bizrq, None)

    def sweep(self, exists: Callable[[str], bool]) -> None:
        """Events of bizrqs that nobody made hold up nothing: their budgets begin when they are made."""
        for bizrq in [bizrq for bizrq in self._events if not exists(bizrq)]:
            self.forget(bizrq)
