"""What is alive now, all tables together, and whose figures does an event change?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Sequence
from collections.abc import Set as AbstractSet

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.claims import owned_by_itself
from bizrq.domain.floor import Floor, next_floor
from bizrq.domain.pod_resources import ResourceList
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.stay_chains import after
from bizrq.domain.stays import Stay, kept_of
from bizrq.inventory.bizrqs import Bizrqs
from bizrq.inventory.children import Children
from bizrq.inventory.homes import Homes
from bizrq.inventory.owners import Owners
from bizrq.inventory.pod import Pod
from bizrq.inventory.pods import Pods
from bizrq.inventory.reach import Reach
from bizrq.inventory.runtime_classes import RuntimeClasses
from bizrq.inventory.templates import Templates
from bizrq.inventory.workloads import Workloads
from bizrq.workloads.kind import PODS_ID, Kind
from bizrq.workloads.read import Workload

__all__ = ["Inventory"]

_PROBLEMS_TOLD = 3

log = logging.getLogger(__name__)


class Inventory:
    """The state of the cluster as far as quotas go. ``wake`` is told the name of each bizrq that must be looked at."""

    def __init__(
        self, wake: Callable[[str], None], gpus: GpuResources, now: Callable[[], int], *, lenders: Container[str] = ()
    ) -> None:
        """``now`` tells the instant, for what is told without a time; ``lenders`` are for ``Templates``."""
        self._wake, self._now = wake, now
        self.gpus = gpus
        self.bizrqs = Bizrqs()
        self.workloads = Workloads()
        self.homes = Homes(self._moved)
        self.pods = Pods(
            self._stays_of, wake, gpus, cut_off=lambda pod: self.homes.cut_off(pod.uid, pod.stays, self._now())
        )
        self.owners = Owners(self._owner_known, self.pods.controller_of, self.homes.knows)
        self._children = Children(self.workloads, self.owners)
        self.floor: Floor | None = None
        """Of the Lease, as it is stored."""
        self.runtime_classes = RuntimeClasses(self._class_changed)
        self.reach = Reach()
        self._templates = Templates(lenders, self.workloads.get, gpus)
        self._told: dict[str, int] = {}
        """The version of each workload of which was told that it cannot be counted."""

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
        if self.floor is not None and self.floor.version > self.pods.version:
            log.warning("the floor of the Lease, %s, is of a version that is not there yet; not believed", self.floor)
            self.floor = None
        known, floor = self.pods.known_since, self.floor
        for bizrq in self.bizrqs if known is not None else ():
            self._cover(bizrq)
            self.pods.uncovered.note(bizrq.name, known or 0, after=floor.version if floor else -1)

    def _cover(self, bizrq: Bizrq) -> None:
        """What a stored status has seen needs not be kept; of what this process did not see it says nothing here."""
        if bizrq.books.seen is not None:
            self.pods.covered(bizrq.name, min(bizrq.books.seen.version, self.pods.version))

    def next_floor(self, stored: Floor | None) -> Floor | None:
        """The floor that may follow the one that is stored."""
        if stored is None or stored.version <= self.pods.version:  # else it is another's, or a lie: one sees later
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
        if known is None or known.claims != bizrq.claims:
            self._decide_anew(self._children.mark(bizrq.name, owned_by_itself(bizrq.claims)))
        self._cover(bizrq)
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
        self._decide_anew(self._children.mark(name, frozenset()))
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
        """Take over a version of a labelled workload; its RuntimeClasses add what they add now [P3].

        One that has its template from another object is counted with that, and anew when that changes.
        """
        overheads = self.runtime_classes.overheads
        workload = self._templates.lend(workload).under(overheads, self.gpus)
        was_child = self.workloads.is_child(workload.uid)
        known = self.workloads.put(workload, child=self._children.is_child(workload))
        if not workload.counted:
            self._tell_uncounted(workload)
        if isinstance(known, bool):
            return
        child = self.workloads.is_child(workload.uid)
        self._children.note(workload, known)
        if known is not None and not known.has_pods_like(workload):
            self.reach.replaced(known, overheads)
        if workload.counted and workload.problems and (known is None or known.problems != workload.problems):
            shown = "; ".join(map(str, workload.problems[:_PROBLEMS_TOLD]))
            log.warning("%s: %d fields left out of the demand: %s", workload, len(workload.problems), shown)
        if known is None or (known.bizrq, known.models, was_child) != (workload.bizrq, workload.models, child):
            self._give_home(workload, known, child=child)
            if known is not None:
                self._wake(known.bizrq)
        if known is None or (known.demand, known.bizrq, known.settled, was_child) != (
            workload.demand, workload.bizrq, workload.settled, child,
        ):  # fmt: skip
            self._wake(workload.bizrq)
        if known is None or (bool(known.bizrq), known.owner) != (bool(workload.bizrq), workload.owner):
            self._decide_anew(self._children.below(workload.uid))
        for borrower in self._templates.note(workload):
            self._lend_anew(borrower)

    def _lend_anew(self, borrower: Workload) -> None:
        """The lender of its template has changed, or is known now."""
        known = self.workloads.get(borrower.uid)
        if known is None or known.version != borrower.version:  # an older one is kept, since this had no template
            self.put_workload(borrower)
            return
        overheads = self.runtime_classes.overheads
        lent = self._templates.lend(borrower).under(overheads, self.gpus)
        if not lent.counted:
            return
        if not known.has_pods_like(lent):
            self.reach.replaced(known, overheads)
        self.workloads.replace(lent)
        self._wake(lent.bizrq)

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
            self.homes.lost(known, self._now(), has_pods=self._has_pods(uid))
            self.reach.forget(uid)
            self._wake(known.bizrq)
            self._templates.forget(known)
            self._children.forget(known)
            self._decide_anew(self._children.below(uid))

    def _owner_known(self, controller: str) -> None:
        """What controls pods has an owner, or another one, or its owner has."""
        self.pods.owner_known(controller)
        self._decide_anew(self._children.below(controller))

    def _decide_anew(self, uids: Iterable[str]) -> None:
        """Whether each of these is counted with its owner or by itself may have changed [A8].

        Where that is so, it may have for what is below it: a chain of owners ends at the first that counts.
        """
        ahead, met = list(uids), set[str]()
        while ahead:
            uid = ahead.pop()
            workload = self.workloads.get(uid)
            if workload is None or uid in met:
                continue
            child = self._children.is_child(workload)
            if self.workloads.set_child(uid, child=child) is not None:
                met.add(uid)
                self._give_home(workload, workload, child=child)
                self._wake(workload.bizrq)
                ahead += self._children.below(uid)

    def _give_home(self, workload: Workload, known: Workload | None, *, child: bool) -> None:
        """Where its pods belong, or where it does if it is a pod itself; those of a child belong to its owner."""
        if child:
            self.homes.counted_with_its_owner(workload.uid)
        elif workload.bizrq and not workload.kind.children_counted:
            before = self._stays_as_child(workload)
            self.homes.labelled(workload, known, self._now())
            if before:
                self.homes.was_child(workload, workload.uid, before, self._now())
                self._moved(workload.uid)
        elif known is not None:
            self.homes.lost(known, self._now(), has_pods=self._has_pods(workload.uid))

    def _stays_as_child(self, workload: Workload) -> tuple[Stay, ...]:
        """Where the pods of a child belong that is about to be a workload of its own; a pod knows that itself."""
        if workload.kind.id == PODS_ID or self.homes.knows(workload.uid) or not self._has_pods(workload.uid):
            return ()
        above = self.owners.workload_of(workload.uid)
        return self.homes.of(above, above, workload.namespace, 0) if above != workload.uid else ()

    def workload_of(self, pod: Pod) -> str | None:
        """UID of the workload that a pod is counted with: itself, or what its chain of controllers leads to."""
        if pod.alone or pod.owner is None:
            return pod.uid if pod.alone else None
        return self.owners.workload_of(pod.owner)

    def controllers_of(self, uid: str, more: Iterable[str] = ()) -> tuple[str, ...]:
        """UIDs under which pods of a workload are found, ``more`` and those known now; not those of other workloads."""
        named = {*more, *self.owners.controllers_of(uid)}
        others = (each for each in named if each == uid or self.homes.current(each) is None)
        return tuple(sorted(each for each in others if self.pods.has_owner(each)))

    def workload_was(self, workload: Workload) -> None:
        """A workload that is gone was under a bizrq; nobody here may have known it, only its pods [C7]."""
        if workload.bizrq and self.workloads.get(workload.uid) is None:
            self.homes.was(workload, self._now())

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

    def _stays_of(self, pod: Pod) -> tuple[Stay, ...]:
        """Where a pod belongs: it may be a workload of its own; else its owner is one, or what that one belongs to."""
        self.owners.pod_known(pod.uid)
        own = self.homes.of(pod.uid, pod.uid, pod.namespace, pod.created)
        was_child, pod.alone = not pod.alone and bool(pod.stays), bool(own)
        if own and was_child and pod.plain:
            pod.as_child = pod.stays
        if own and (was_child or pod.kept) and pod.stays[-1].home.bizrq == own[-1].home.bizrq:
            workload = self.workloads.get(pod.uid)
            pod.kept = workload is None or not self._children.is_marked(workload)
            if pod.kept:
                return ()  # its owner is gone: it keeps the home that it had with it [C7]
        if self.homes.knows(pod.uid) and own and (before := pod.as_child or self._stays_before(pod, own[0])):
            own = self.homes.was_child(self.workloads.get(pod.uid), pod.uid, before, self._now())
        if own and own[-1].until is not None and not own[-1].went_to:  # it has lost its label: its owner's again
            return (*own, *after(own[-1].until, self._stays_with_owner(pod)))
        return own or self._stays_with_owner(pod)

    def _stays_with_owner(self, pod: Pod) -> tuple[Stay, ...]:
        if pod.owner is None:
            return ()
        return self.homes.of(self.owners.workload_of(pod.owner), pod.owner, pod.namespace, pod.created)

    def _stays_before(self, pod: Pod, own: Stay) -> tuple[Stay, ...]:
        """Where a pod was before it got a label, of which only the claim tells."""
        return () if own.since is None or own.came_from else self._stays_with_owner(pod)
