"""Which labelled objects are children of counted ones, and so counted with them? [A8].

A child names a live, counted object by its UID as its controlling owner, or a ReplicaSet that one controls. That alone
proves nothing; who made it, only the webhook sees. It marks whom it does not believe in the claims of the bizrq: these
are workloads of their own. So is a child whose owner is not there, or is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from bizrq.inventory.owners import Owners
from bizrq.inventory.workloads import Workloads
from bizrq.workloads.owner import REPLICA_SET
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
        """UIDs of the labelled objects that name this owner, or a ReplicaSet below it."""
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
        """The labelled object that ``workload`` names as its owner, of the kind that it names.

        ``asked`` is the newest version of itself.
        """
        owner = workload.owner
        if owner is None:
            return None
        known = asked if owner.uid == asked.uid else self._workloads.get(owner.uid)
        if known is not None and (known.kind.group, known.kind.kind) != owner.of_kind:
            return None
        if known is None and owner.of_kind == REPLICA_SET:
            known = self._workloads.get(self._owners.workload_of(owner.uid))
        return known if known is not None and known.namespace == workload.namespace and known.bizrq else None
