"""Which bizrqs are there, and who is whose child?"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.claims import sources
from bizrq.inventory.versions import NEVER, Graveyard

__all__ = ["Bizrqs"]

_GONE: Final = 2**63
"""Bizrqs are watched without a selector: one that was seen and is gone will see no other version."""


class Bizrqs:
    """The newest known version of every bizrq, by name and by parent."""

    def __init__(self) -> None:
        self._by_name: dict[str, Bizrq] = {}
        self._children: dict[str, set[str]] = {}
        self._arrivals: dict[str, set[str]] = {}
        """By bizrq those with open claims of workloads that came from it [C7]."""
        self._graves = Graveyard()
        self.newest = NEVER
        """The highest version that was ever seen."""

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Bizrq]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Bizrq | None:
        """The bizrq of this name, None where there is none."""
        return self._by_name.get(name)

    def children(self, name: str) -> list[Bizrq]:
        """The bizrqs whose parent is ``name``."""
        return [self._by_name[child] for child in self._children.get(name, ())]

    def arrived_from(self, name: str) -> list[Bizrq]:
        """The bizrqs with open claims of workloads that came from ``name`` [C7]."""
        return [self._by_name[target] for target in self._arrivals.get(name, ())]

    def seen(self, name: str, uid: str) -> int:
        """The newest version at which the bizrq ``name`` was seen with this UID; without end once it is gone [A4]."""
        known = self._by_name.get(name)
        version = known.version if known is not None and known.uid == uid else NEVER
        return max(version, self._graves.seen(uid))

    def put(self, bizrq: Bizrq) -> bool:
        """Take over a version; False if it is not newer than what is known."""
        self.newest = max(self.newest, bizrq.version)
        known = self._by_name.get(bizrq.name)
        if self._graves.is_stale(bizrq.uid, bizrq.version):
            return False
        if known is not None:
            if bizrq.version <= known.version:
                return False
            if known.uid != bizrq.uid:  # deleted and made anew between two looks
                self._graves.bury(known.uid, bizrq.version - 1, _GONE)
            self._unlink(known)
        self._by_name[bizrq.name] = bizrq
        if bizrq.parent:
            self._children.setdefault(bizrq.parent, set()).add(bizrq.name)
        for source in sources(bizrq.claims):
            self._arrivals.setdefault(source, set()).add(bizrq.name)
        return True

    def remove(self, uid: str, name: str, version: int) -> Bizrq | None:
        """Forget a bizrq that was gone at ``version``; what was known of it, None if nothing is forgotten."""
        self._graves.bury(uid, version, _GONE)
        known = self._by_name.get(name)
        if known is None or known.uid != uid or known.version > version:
            return None
        del self._by_name[name]
        self._unlink(known)
        return known

    def missing(self, present: AbstractSet[str], version: int) -> list[Bizrq]:
        """What is held, older than a list at ``version``, and whose UID is not in it: gone without an event."""
        return [known for known in self if known.uid not in present and known.version <= version]

    def _unlink(self, bizrq: Bizrq) -> None:
        _discard(self._children, bizrq.parent, bizrq.name)
        for source in sources(bizrq.claims):
            _discard(self._arrivals, source, bizrq.name)


def _discard(table: dict[str, set[str]], key: str, name: str) -> None:
    names = table.get(key)
    if names is not None:
        names.discard(name)
        if not names:
            del table[key]
