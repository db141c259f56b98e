"""What is alive now, all tables together, and whose figures does an event change?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.leftovers import leftovers_of
from bizrq.domain.pod_resources import ResourceList
from bizrq.domain.resource_names import GpuResources
from bizrq.inventory.bizrqs import Bizrqs
from bizrq.inventory.owners import Owners
from bizrq.inventory.pods import Home, Pods
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

    def __init__(self, wake: Callable[[str], None], gpus: GpuResources) -> None:
        self._wake = wake
        self.gpus = gpus
        self.bizrqs = Bizrqs()
        self.workloads = Workloads()
        self.pods = Pods(self._home_of, wake, gpus)
        self.owners = Owners(self.pods.owner_known, self.pods.controller_of, lambda uid: uid in self._homes)
        self.runtime_classes = RuntimeClasses(self._class_changed)
        self.reach = Reach()
        self._homes: dict[str, Home] = {}
        self._kept_homes: dict[str, Home] = {}
        """Where pods belong whose workload is in no view, by controller, as leftovers say [P5]."""
        self._kept_by: dict[str, set[str]] = {}
        """These controllers by bizrq."""
        self._told: dict[str, int] = {}
        """The version of each workload of which was told that it cannot be counted."""

    # --- bizrqs ---

    def put_bizrq(self, bizrq: Bizrq, *, ours: bool = False) -> None:
        """Take over a version of a bizrq, from a watch or a list; ``ours`` is the answer to our own write.

        A write of ours says nothing new about the bizrq itself, only to its parent.
        """
        known = self.bizrqs.get(bizrq.name)
        if not self.bizrqs.put(bizrq):
            return
        self._read_leftovers(known, bizrq)
        if bizrq.books.seen is not None:
            self.pods.forget(bizrq.name, bizrq.books.seen.version)
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
        self._forget_leftovers(name)
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

    def _read_leftovers(self, known: Bizrq | None, bizrq: Bizrq) -> None:
        """After a start only a line may tell where pods belong whose workload is gone."""
        if (known.status.get("leftovers") if known else None) == bizrq.status.get("leftovers"):
            return
        before = self._kept_by.get(bizrq.name, set())
        self._forget_leftovers(bizrq.name)
        for leftover in leftovers_of(bizrq).values():
            home = Home(bizrq.name, leftover.models, leftover.object.split("/")[1])
            controllers = {leftover.uid, *leftover.controllers}
            self._kept_by.setdefault(bizrq.name, set()).update(controllers)
            self._kept_homes |= dict.fromkeys(controllers, home)
            for controller in controllers - before:
                self.pods.owner_known(controller)

    def _forget_leftovers(self, bizrq: str) -> None:
        for controller in self._kept_by.pop(bizrq, ()):
            home = self._kept_homes.get(controller)
            if home is not None and home.bizrq == bizrq:
                del self._kept_homes[controller]

    # --- workloads ---

    def put_workload(self, workload: Workload) -> None:
        """Take over a version of a labelled workload; its RuntimeClasses add what they add now [P3]."""
        overheads = self.runtime_classes.overheads
        workload = workload.under(overheads, self.gpus)
        known = self.workloads.put(workload)
        if not workload.counted:
            self._tell_uncounted(workload)
        if isinstance(known, bool):
            return
        if known is not None and not known.has_pods_like(workload):
            self.reach.replaced(known, overheads)
        if workload.counted and workload.problems and (known is None or known.problems != workload.problems):
            shown = "; ".join(map(str, workload.problems[:_PROBLEMS_TOLD]))
            log.warning("%s: %d fields left out of the demand: %s", workload, len(workload.problems), shown)
        if known is None or (known.bizrq, known.models) != (workload.bizrq, workload.models):
            self._homes.pop(workload.uid, None)
            if workload.bizrq and not workload.kind.children_counted:
                self._homes[workload.uid] = Home(workload.bizrq, workload.models, workload.namespace)
            for controller in self.owners.controllers_of(workload.uid):
                self.pods.owner_known(controller)
            if known is not None:
                self._wake(known.bizrq)
        if known is None or (known.demand, known.bizrq, known.settled) != (
            workload.demand, workload.bizrq, workload.settled,
        ):  # fmt: skip
            self._wake(workload.bizrq)

    def _tell_uncounted(self, workload: Workload) -> None:
        """Once a version."""
        if self._told.get(workload.uid) != workload.version:
            self._told[workload.uid] = workload.version
            shown = "; ".join(map(str, workload.problems[:_PROBLEMS_TOLD]))
            log.warning("%s: cannot be counted, its charge stays as it was: %s", workload, shown)

    def remove_workload(self, uid: str, version: int, seen: int | None = None) -> None:
        """A workload was deleted, or lost its label, at ``version``; its pods keep their bizrq [C7].

        ``seen`` is the version that it is known to have reached, where a list at ``version`` only lacked it [A4].
        """
        self._told.pop(uid, None)
        known = self.workloads.remove(uid, version, seen)
        if known is not None:
            self._homes.pop(uid, None)
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
        self.pods.sweep(lambda name: self.bizrqs.get(name) is not None, now)
        self.owners.sweep(self.pods.has_owner)
        self.workloads.sweep_before(lambda name: self.bizrqs.get(name) is not None)

    def _total(self, bizrq: str) -> Amounts:
        return {key: amount for key, amount in self.workloads.total(bizrq).items() if amount}

    def _home_of(self, controller: str, namespace: str, *, listed: bool) -> Home | None:
        uid = self.owners.workload_of(controller)
        home = self._homes.get(uid)
        if home is None and listed:  # one that an event brought was made after its workload had gone
            home = self._kept_homes.get(controller) or self._kept_homes.get(uid)
        return home if home is not None and home.namespace == namespace else None
