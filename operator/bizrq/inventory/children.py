"""Which labelled objects are children of counted ones, and so counted with them? [A8].

A child names a live, counted object by its UID as its controlling owner, or what stands between one and its pods. That
alone proves nothing; who made it, only the webhook sees. It marks whom it does not believe in the claims of the bizrq:
these are workloads of their own. So is a child whose owner is not there, or is not counted. A kind with ``children:
counted`` leaves the counting to its children, and a pod stands for nothing but itself, whatever it controls.
"""

from __future__ import annotations

from collections.abc import Iterable

from bizrq.inventory.owners import Owners
from bizrq.inventory.workloads import Workloads
from bizrq.workloads.kind import PODS_ID
from bizrq.workloads.read import Workload

__all__ = ["Children"]


class Children:
    """Decides for each labelled object, and knows for which an event may change that."""

    def __init__(self, workloads: Workloads, owners: Owners) -> None:
        self._workloads, self._owners = workloads, owners
        self._by_owner: dict[str, set[str]] = {}
        """UIDs of labelled objects by that of the owner that they name."""
        self._own: dict[str, frozenset[str]] = {}
        """UIDs that the claims of a bizrq mark as workloads of their own."""

    def note(self, workload: Workload, known: Workload | None) -> None:
        """A version of an object was seen, after the one that was ``known``."""
        if known is not None and known.owner != workload.owner:
            self.forget(known)
        if workload.owner is not None:
            self._by_owner.setdefault(workload.owner.uid, set()).add(workload.uid)

    def forget(self, workload: Workload) -> None:
        """An object is gone, or has another owner."""
        siblings = self._by_owner.get(workload.owner.uid) if workload.owner else None
        if siblings is not None and workload.owner is not None:
            siblings.discard(workload.uid)
            if not siblings:
                del self._by_owner[workload.owner.uid]

    def below(self, uid: str) -> list[str]:
        """UIDs of the labelled objects that name this owner, or what stands between below it."""
        owners = self._owners.controllers_of(uid)
        return [each for owner in owners for each in self._by_owner.get(owner, ())]

    def mark(self, bizrq: str, own: frozenset[str]) -> Iterable[str]:
        """The claims of a bizrq mark these UIDs now; for which that is another answer than before."""
        before = self._own.pop(bizrq, frozenset())
        if own:
            self._own[bizrq] = own
        return before ^ own

    def is_child(self, workload: Workload) -> bool:
        """Whether an object, in view or about to be, is counted with its owner. In a circle of owners nobody is."""
        met, each = {workload.uid}, workload
        while each.owner is not None and not self.is_marked(each):
            above = self._above(each, workload)
            if above is None:
                break
            if above.uid in met:
                return above is not workload
            met.add(above.uid)
            each = above
        return each is not workload

    def is_marked(self, workload: Workload) -> bool:
        """Whether the claims of its bizrq mark an object as a workload of its own."""
        return workload.uid in self._own.get(workload.bizrq, ())

    def _above(self, workload: Workload, asked: Workload) -> Workload | None:
        """The labelled object that ``workload`` is a child of, which it names by its kind, or what stands between.

        ``asked`` is the newest version of itself.
        """
        owner, met = workload.owner, set[str]()
        while owner is not None and owner.uid not in met:
            known = asked if owner.uid == asked.uid else self._workloads.get(owner.uid)
            if known is None and owner.of_kind in self._owners.kinds:
                known = self._workloads.get(self._owners.workload_of(owner.uid))
            elif known is not None and known.kind.of_kind != owner.of_kind:
                return None
            if known is None or known.namespace != workload.namespace or not known.bizrq:
                return None
            if known.kind.id != PODS_ID:
                return None if known.kind.children_counted else known
            met.add(owner.uid)
            owner = known.owner
        return None
