"""Which observed demand has each bizrq?

All labelled objects are held; children of counted ones demand nothing of their own [A8].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from bizrq.domain.amounts import Amounts, add_into, subtract_from
from bizrq.domain.quantity import Quantity
from bizrq.inventory.versions import NEVER, Graveyard
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import Workload

__all__ = ["Workloads"]


class Workloads:
    """The newest known version of every labelled workload, and a running total a bizrq."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Workload] = {}
        self._totals: dict[str, dict[str, Quantity]] = {}
        self._children: set[str] = set()
        """UIDs of those that are counted with their owner."""
        self._graves = Graveyard()
        self._listed: dict[str, int] = {}
        self._before: dict[str, dict[str, Workload]] = {}
        self._uncounted: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[Workload]:
        return iter(list(self._by_uid.values()))

    @property
    def uncounted(self) -> int:
        """How many workloads there are whose newest version could not be counted."""
        return len(self._uncounted)

    def total(self, bizrq: str) -> Amounts:
        """What the workloads of a bizrq demand together; a reader must not keep it, it changes with events."""
        return self._totals.get(bizrq, {})

    def get(self, uid: str) -> Workload | None:
        """The workload with this UID, None where none is known."""
        return self._by_uid.get(uid)

    def counted(self, uid: str, bizrq: str) -> Amounts:
        """What a workload is counted with in the total of a bizrq; nothing where it is under another."""
        known = self._by_uid.get(uid)
        return known.demand if known is not None and known.bizrq == bizrq and uid not in self._children else {}

    def is_child(self, uid: str) -> bool:
        """Whether the workload with this UID is counted with its owner [A8]."""
        return uid in self._children

    def set_child(self, uid: str, *, child: bool) -> Workload | None:
        """Count a workload that is held with its owner, or by itself; the workload, None if that changes nothing."""
        known = self._by_uid.get(uid)
        if known is None or child == (uid in self._children):
            return None
        if child:
            self._take_out(known)
            self._remember(known)
            self._children.add(uid)
        else:
            self._children.discard(uid)
            self._put_in(known)
        return known

    def seen(self, uid: str) -> int:
        """The newest version at which this UID was seen, also one that was no longer labelled [A4].

        One that could not be counted was not seen: it says nothing of what a claim became.
        """
        known = self._by_uid.get(uid)
        counted = NEVER if known is None or not known.counted else known.version
        return max(counted, self._graves.seen(uid))

    def put(self, workload: Workload, *, child: bool = False) -> Workload | bool | None:
        """Take over a version; what was known before (None: nothing), False if it is not taken over.

        That is so where it is not newer, and where it could not be counted while an older one could: its charge stays
        as it was, and its claims stay open, until a version comes that can be. ``child``: it is counted with its owner.
        """
        known = self._by_uid.get(workload.uid)
        if self._graves.is_stale(workload.uid, workload.version):
            return False
        if known is not None and workload.version <= known.version:
            return False
        if not workload.counted:
            self._uncounted.add(workload.uid)
            if known is not None and known.counted:
                return False
        else:
            self._uncounted.discard(workload.uid)
        if known is not None:
            self._take_out(known)
            if child or workload.bizrq != known.bizrq or workload.demand != known.demand:
                self._remember(known)
        self._children.discard(workload.uid)
        if child:
            self._children.add(workload.uid)
        self._by_uid[workload.uid] = workload
        self._put_in(workload)
        return known

    def replace(self, workload: Workload) -> None:
        """Count the version that is known with another demand, or at last, where it could not be counted."""
        known = self._by_uid[workload.uid]
        self._uncounted.discard(workload.uid)
        self._take_out(known)
        if workload.demand != known.demand:
            self._remember(known)
        self._by_uid[workload.uid] = workload
        self._put_in(workload)

    def remove(self, uid: str, version: int, seen: int | None = None) -> Workload | None:
        """Forget a workload that was deleted, or lost its label, at ``version``: a watch tells both in one way.

        ``seen`` is the version that the object itself is known to have reached, where that is another one.
        What was known of it; None if nothing is forgotten.
        """
        known = self._by_uid.get(uid)
        if known is not None and known.version > version:
            return None  # it got its label back meanwhile
        self._graves.bury(uid, version, seen)
        self._uncounted.discard(uid)
        if known is None:
            return None
        del self._by_uid[uid]
        self._take_out(known)
        self._remember(known)
        self._children.discard(uid)
        return known

    def listed_at(self, kind: str) -> int:
        """The version of the newest list of a kind, by its id, that was taken over; ``NEVER`` before the first."""
        return self._listed.get(kind, NEVER)

    def list_taken_over(self, kind: Kind, version: int) -> None:
        """Everything that a list of a kind at ``version`` says is held now."""
        self._listed[kind.id] = max(version, self._listed.get(kind.id, NEVER))

    def take_before(self, bizrq: str) -> dict[str, Workload]:
        """The workloads whose demand under a bizrq changed since this was asked last, as they were then, by UID [P5].

        Whoever asks writes a status of what is known now; where that fails, ``give_back`` what was taken.
        """
        return self._before.pop(bizrq, {})

    def give_back(self, bizrq: str, before: Mapping[str, Workload]) -> None:
        """No status was written: what it would have followed is still the last one. Older states win."""
        if before:
            self._before[bizrq] = {**self._before.get(bizrq, {}), **before}

    def forget_before(self, bizrq: str) -> None:
        """A bizrq is gone: nobody will write its status."""
        self._before.pop(bizrq, None)

    def sweep_before(self, exists: Callable[[str], bool]) -> None:
        """Labels may name bizrqs that nobody ever made."""
        for bizrq in [bizrq for bizrq in self._before if not exists(bizrq)]:
            self.forget_before(bizrq)

    def _remember(self, known: Workload) -> None:
        if known.bizrq and known.uid not in self._children:
            self._before.setdefault(known.bizrq, {}).setdefault(known.uid, known)

    def missing(self, kind: Kind, present: AbstractSet[str], version: int) -> list[Workload]:
        """What is held of a kind, older than a list at ``version`` and not ``present`` in it: gone without an event."""
        return [
            known
            for known in self
            if known.kind.id == kind.id and known.uid not in present and known.version <= version
        ]

    def _put_in(self, workload: Workload) -> None:
        if workload.uid not in self._children:
            add_into(self._totals.setdefault(workload.bizrq, {}), workload.demand)

    def _take_out(self, workload: Workload) -> None:
        if workload.uid in self._children:
            return
        total = self._totals[workload.bizrq]
        subtract_from(total, workload.demand)
        if not total:
            del self._totals[workload.bizrq]
