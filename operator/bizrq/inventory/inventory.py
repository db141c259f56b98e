"""What is alive now, all tables together, and whose figures does an event change?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.floor import Floor, next_floor
from bizrq.domain.pod_resources import ResourceList
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.stays import Stay, kept_of
from bizrq.inventory.bizrqs import Bizrqs
from bizrq.inventory.homes import Homes
from bizrq.inventory.owners import Owners
from bizrq.inventory.pods import Pods
from bizrq.inventory.reach import Reach
from bizrq.inventory.runtime_classes import RuntimeClasses
from bizrq.inventory.workloads import Workloads
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import Workload

__all__ = ["Inventory"]

_PROBLEMS_TOLD = 3

log = logging.getLogger(__name__)


class Inventory:
    """The state of the cluster as far as quotas go. ``wake`` is told the name of each bizrq that must be looked at."""

    def __init__(self, wake: Callable[[str], None], gpus: GpuResources, now: Callable[[], int]) -> None:
        """``now`` tells the instant, for what is told without a time."""
        self._wake, self._now = wake, now
        self.gpus = gpus
        self.bizrqs = Bizrqs()
        self.workloads = Workloads()
        self.homes = Homes(self._moved)
        self.pods = Pods(self._stays_of, wake, gpus)
        self.owners = Owners(self.pods.owner_known)
        self.floor: Floor | None = None
        """Of the Lease, as it is stored."""
        self.runtime_classes = RuntimeClasses(self._class_changed)
        self.reach = Reach()

    # --- the floor of the books [C4, C5] ---

    def vouch(self, floor: Floor | None) -> None:
        """Take over the floor of the Lease."""
        if floor is not None and (self.floor is None or floor.version > self.floor.version):
            self.floor = floor
            self.pods.uncovered.vouched(floor.version)

    def replay_from(self) -> int | None:
        """After which version events of pods may be missing in stored statuses; None where there are none yet."""
        if self.floor is not None:
            return self.floor.version
        return min((each.books.seen.version for each in self.bizrqs if each.books.seen is not None), default=None)

    def pods_known(self) -> None:
        """The first view of pods is there: of bizrqs with older statuses anything may have been missed."""
        known, floor = self.pods.known_since, self.floor
        for bizrq in self.bizrqs if known is not None else ():
            self.pods.uncovered.note(bizrq.name, known or 0, after=floor.version if floor else -1)

    def next_floor(self, stored: Floor | None) -> Floor | None:
        """The floor that may follow the one that is stored."""
        self.vouch(stored)
        if self.pods.known_since is None:
            return stored
        now = self._now()
        view = self.pods.view(now)
        return next_floor(stored, Floor(view.version, view.time), self.pods.oldest_uncovered(now))

    # --- bizrqs ---

    def put_bizrq(self, bizrq: Bizrq, *, ours: bool = False) -> None:
        """Take over a version of a bizrq, from a watch or a list; ``ours`` is the answer to our own write.

        A write of ours says nothing new about the bizrq itself, only to its parent.
        """
        known = self.bizrqs.get(bizrq.name)
        if not self.bizrqs.put(bizrq):
            return
        if known is None or known.moves != bizrq.moves:
            self.homes.read(bizrq.name, kept_of(bizrq.name, bizrq.moves), self._now())
        if bizrq.books.seen is not None:
            self.pods.covered(bizrq.name, bizrq.books.seen.version)
        if not ours:
            self._wake(bizrq.name)
        if known is None or known.hard != bizrq.hard or known.used != bizrq.used or known.parent != bizrq.parent:
            if bizrq.parent:
                self._wake(bizrq.parent)
            if known is not None and known.parent and known.parent != bizrq.parent:
                self._wake(known.parent)
        if known is None or known.hard.keys() != bizrq.hard.keys():
            for child in self.bizrqs.children(bizrq.name):
                self._wake(child.name)  # whether it is Ready depends on its parent

    def remove_bizrq(self, uid: str, name: str, version: int) -> None:
        """A bizrq was gone at ``version``."""
        known = self.bizrqs.remove(uid, name, version)
        if known is None:
            return
        self.homes.forget_bizrq(name)
        self.pods.forget_bizrq(name)
        self._wake(name)
        if known.parent:
            self._wake(known.parent)
        for child in self.bizrqs.children(name):
            self._wake(child.name)

    def bizrqs_listed(self, listed: Sequence[Bizrq], version: int, unreadable: AbstractSet[str] = frozenset()) -> None:
        """Take over a list of all bizrqs at ``version``; ``unreadable`` are UIDs that were in it all the same."""
        for bizrq in listed:
            self.put_bizrq(bizrq)
        for gone in self.bizrqs.missing({each.uid for each in listed} | unreadable, version):
            self.remove_bizrq(gone.uid, gone.name, version)

    # --- workloads ---

    def put_workload(self, workload: Workload) -> None:
        """Take over a version of a labelled workload; its RuntimeClasses add what they add now [P3]."""
        overheads = self.runtime_classes.overheads
        workload = workload.under(overheads, self.gpus)
        known = self.workloads.put(workload)
        if isinstance(known, bool):
            return
        if known is not None and not known.has_pods_like(workload):
            self.reach.replaced(known, overheads)
        if workload.problems and (known is None or known.problems != workload.problems):
            shown = "; ".join(map(str, workload.problems[:_PROBLEMS_TOLD]))
            log.warning("%s: %d fields left out of the demand: %s", workload, len(workload.problems), shown)
        if known is None or (known.bizrq, known.models) != (workload.bizrq, workload.models):
            if workload.bizrq:
                self.homes.labelled(workload, known, self._now())
            elif known is not None:
                self.homes.lost(known, self._now(), has_pods=self._has_pods(workload.uid))
            if known is not None:
                self._wake(known.bizrq)
        if known is None or (known.demand, known.bizrq, known.settled) != (
            workload.demand, workload.bizrq, workload.settled,
        ):  # fmt: skip
            self._wake(workload.bizrq)

    def remove_workload(self, uid: str, version: int, seen: int | None = None) -> None:
        """A workload was deleted, or lost its label, at ``version``; its pods keep their bizrq [C7].

        ``seen`` is the version that it is known to have reached, where a list at ``version`` only lacked it [A4].
        """
        known = self.workloads.remove(uid, version, seen)
        if known is not None:
            self.homes.lost(known, self._now(), has_pods=self._has_pods(uid))
            self.reach.forget(uid)
            self._wake(known.bizrq)

    def workloads_listed(
        self, kind: Kind, listed: Sequence[Workload], version: int, unreadable: AbstractSet[str] = frozenset()
    ) -> dict[str, tuple[Amounts, Amounts]]:
        """Take over a list of all labelled objects of a kind at ``version``.

        Returns the bizrqs whose total it changed, with the totals before and after: what the watch had not delivered.
        """
        touched = {each.bizrq for each in listed} | {each.bizrq for each in self.workloads if each.kind.id == kind.id}
        before = {name: self._total(name) for name in touched}
        for workload in listed:
            self.put_workload(workload)
        for gone in self.workloads.missing(kind, {each.uid for each in listed} | unreadable, version):
            self.remove_workload(gone.uid, version, gone.version + 1)
        self.workloads.list_taken_over(kind, version)
        after = {name: self._total(name) for name in touched}
        return {name: (before[name], after[name]) for name in sorted(touched) if before[name] != after[name]}

    def _class_changed(self, name: str, before: ResourceList) -> None:
        """A RuntimeClass adds something else now: so the demand of all workloads that name it is another [P3]."""
        now = self.runtime_classes.overheads
        for workload in self.workloads:
            if name in workload.runtime_classes:
                self.reach.replaced(workload, {**now, name: before})
                self.workloads.replace(workload.under(now, self.gpus))
                self._wake(workload.bizrq)

    # --- housekeeping ---

    def sweep(self, now: int) -> None:
        """Forget what nothing refers to any more."""
        self.homes.sweep(self._has_pods, now)
        self.pods.sweep(lambda name: self.bizrqs.get(name) is not None, now)
        self.owners.sweep(self.pods.has_owner)
        self.workloads.sweep_before(lambda name: self.bizrqs.get(name) is not None)

    def _total(self, bizrq: str) -> Amounts:
        return {key: amount for key, amount in self.workloads.total(bizrq).items() if amount}

    def _has_pods(self, uid: str) -> bool:
        """Whether pods of a workload, or of a controller, are known."""
        return any(self.pods.has_owner(each) for each in self.owners.controllers_of(uid))

    def _moved(self, uid: str) -> None:
        """The stays of a workload have changed."""
        for controller in {*self.owners.controllers_of(uid), *self.homes.controllers_of(uid)}:
            self.pods.owner_known(controller)

    def _stays_of(self, controller: str, namespace: str, created: int) -> tuple[Stay, ...]:
        return self.homes.of(self.owners.workload_of(controller), controller, namespace, created)
