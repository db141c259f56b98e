"""Which pods exist, or are gone and not yet settled, by bizrq?

A pod belongs to the bizrq that its workload names, and keeps it when the workload goes first; where the workload
moved, each bizrq has a share of it [C7]. One that is a workload of its own belongs to the bizrq that it names itself
[A8]. A pod that is gone stays until statuses that cover its deletion have been
stored [C4].
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from bizrq.cluster.objects import Pod as PodObject
from bizrq.cluster.pod_facts import facts_of
from bizrq.domain.cash import Charged, Seen
from bizrq.domain.intervals import NOT_STARTED, EndSource, deleted, stop_at
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import PODS, GpuResources, Models
from bizrq.domain.stays import Stay
from bizrq.inventory.holdings import Holdings
from bizrq.inventory.pod import Pod
from bizrq.inventory.pod_versions import Versions
from bizrq.inventory.siblings import Siblings, take_out
from bizrq.inventory.strays import Strays
from bizrq.inventory.uncovered import Uncovered

__all__ = ["Pods"]

UNKNOWN_BIZRQ_SECONDS: Final = 60
"""How long a pod that is gone waits for its bizrq to become known."""

_NO_AMOUNTS: Final[Mapping[str, int]] = {}


class Pods:
    """All pods. It is the sink of their reflector; ``touched`` is told each bizrq whose figures may have changed."""

    def __init__(
        self,
        stays_of: Callable[[Pod], tuple[Stay, ...]],
        touched: Callable[[str], None],
        gpus: GpuResources,
        cut_off: Callable[[Pod], None] = lambda _: None,
    ) -> None:
        """``stays_of`` tells where a pod belongs, oldest first; ``cut_off`` is told one that has lost its owner."""
        self._stays_of, self._wake, self._cut_off = stays_of, touched, cut_off
        self._by_uid: dict[str, Pod] = {}
        self._by_owner = Siblings()
        self._by_bizrq: dict[str, set[Pod]] = {}
        self.strays = Strays()
        self.holdings = Holdings(gpus)
        self.versions = Versions(self.holdings)
        self.uncovered = Uncovered()
        """Events that no stored status covers."""
        self.stirred: set[str] = set()
        """The bizrqs whose pods something happened to since somebody took their names out of it."""
        self._listing = False
        self._replaying = False
        self.lists = 0
        """How many have begun; each pod knows the last that had it."""
        self._answered: int | None = None
        """When the first item of a list came: not before the moment whose state it shows."""
        self.version = -1
        """Up to which version everything that happened to pods is known; -1 before the first list."""
        self._newest = 0
        self._good = 0
        """The last instant at which the watch was known to bring what happens: an event or a bookmark came."""
        self.known_since: int | None = None
        """The version after which every deletion is known: of the first list, or where the replay began."""
        self.vanished = 0
        """Pods found gone by comparing lists, without an event."""

    def __len__(self) -> int:
        return len(self._by_uid)

    def of(self, bizrq: str) -> Iterator[Pod]:
        """The pods attributed to a bizrq: those that exist, and those that are gone and not forgotten yet."""
        return iter(self._by_bizrq.get(bizrq, ()))

    def charged(self, bizrq: str) -> Iterator[Charged]:
        """The same as its books see them: of a pod that it shares with others only its own part [C7]."""
        for pod in self._by_bizrq.get(bizrq, ()):
            if pod.is_whole:
                yield pod
            else:
                yield from pod.shares(bizrq, self.holdings.amounts)

    def starts(self, controller: str, before: int | None) -> bool:
        """Whether a controller has pods that were scheduled, before an instant if one is given.

        Of one made before it, that it was scheduled by then may be told yet.
        """
        pods = self._controlled_by(controller)
        if before is None:
            return any(pod.interval.start is not None for pod in pods)
        return any((pod.created if pod.interval.start is None else pod.interval.start) < before for pod in pods)

    def starts_of_staying(self, controllers: Iterable[str]) -> list[int]:
        """When those pods of these controllers got their nodes that have neither ended nor are being deleted."""
        return [
            pod.interval.start
            for owner in controllers
            for pod in self._controlled_by(owner)
            if pod.interval.start is not None and pod.stays_on
        ]

    def held_under(self, controllers: Iterable[str], models: Models, now: int) -> dict[str, Quantity]:
        """What the pods of these controllers hold together, with ``pods`` and under ``models`` [P5].

        Terminal ones hold nothing, nor do those past their cut, which will never be seen to end. A pod that is a
        workload of its own is its own controller, and nobody else's.
        """
        milli: dict[str, int] = {}
        count = 0
        for owner in controllers:
            for pod in self._controlled_by(owner):
                if pod.holds(now) and pod.held is not None:
                    count += 1
                    for key, amount in self.holdings.amounts(pod.held, models).items():
                        milli[key] = milli.get(key, 0) + amount
        total = {key: Quantity.from_milli(amount) for key, amount in milli.items()}
        return {**total, PODS: Quantity.of(count)} if count else total

    def strangers(self, kinds: Container[str], now: int) -> set[str]:
        """The controllers of some kinds whose pods came by a list, hold something, and are of no known workload."""
        return {
            pod.owner
            for pod in self._by_uid.values()
            if not pod.stays and pod.owner is not None and pod.last_list and pod.owner_kind in kinds and pod.holds(now)
        }

    def unattributed(self, now: int) -> int:
        """How many of the pods that hold something belong to no counted workload."""
        return sum(1 for pod in self._by_uid.values() if not pod.stays and pod.holds(now))

    def knows(self, listed: Mapping[str, int]) -> bool:
        """Whether each of these pods, versions by UID, is in view as late as that."""
        return all(
            (pod := self._by_uid.get(uid)) is not None and pod.version >= version for uid, version in listed.items()
        )

    def controller_of(self, uid: str) -> str | None:
        """UID of what controls the pod with this UID; None where nothing does, or no such pod is known."""
        pod = self._by_uid.get(uid)
        return None if pod is None else pod.owner

    def has_owner(self, uid: str) -> bool:
        """Whether a pod is known that this UID controls."""
        pod = self._by_uid.get(uid)
        return uid in self._by_owner or (pod is not None and pod.alone)

    def view(self, now: int, seen: int = -1) -> Seen:
        """The view that a status may claim to have seen at ``now``, whose last one has ``seen``.

        Behind a pod that is gone before its owner became known it does not go, for some seconds: once a status says
        that it has seen a deletion, nobody will ever charge that pod again. Deletions that it has seen, which a replay
        tells anew, are no reason to wait.
        """
        self.strays.let_go(now, self._drop)
        first = self.strays.first_after(seen)
        return Seen(self.version if first is None else min(self.version, first - 1), self._newest)

    def oldest_uncovered(self, now: int) -> int | None:
        """The oldest event that no stored status is known to cover; None if there is none."""
        self.strays.let_go(now, self._drop)
        oldest = [each for each in (self.uncovered.oldest(), self.strays.oldest) if each is not None]
        return min(oldest, default=None)

    # --- the sink ---

    def replay_began(self, version: int) -> None:
        """What happened after ``version`` is told again; pods that this held are told anew."""
        self._start_anew(known_since=version)
        self._replaying = True

    def replay_ended(self) -> None:
        """All of it has been told."""
        self._replaying = False

    def replay_lost(self) -> None:
        """Of what happened before the next list nothing is known."""
        self._start_anew(known_since=None)
        self.uncovered.disown()

    def list_began(self) -> None:
        """A list begins."""
        self._listing = True
        self._answered = None
        self.lists += 1

    def listed(self, item: PodObject, at: int) -> None:
        """An item of a list."""
        if self._answered is None:
            self._answered = at
        self._put(item, at).last_list = self.lists

    def list_ended(self, version: int, began: int) -> None:
        """What was not listed went unseen: charged to the last instant the view was known good [C6].

        Not so in a replay, which brings the end of each.
        """
        self._listing = False
        if self._replaying:
            return
        good, before = self._good, self.version
        latest = began if self._answered is None else max(began, self._answered)
        for pod in [pod for pod in self._by_uid.values() if pod.last_list != self.lists]:
            self.vanished += 1
            if pod.interval.end is None:
                pod.doubt = max(0, stop_at(pod.interval, latest) - max(good, pod.interval.start or latest))
                pod.interval = replace(pod.interval, end=good, source=EndSource.OBSERVED)
            pod.deleted_after = before
            self._gone(pod, version, began)
        self.version = max(self.version, version)
        self._newest = max(self._newest, began)
        self._good = began
        if self.known_since is None:
            self.known_since = version

    def changed(self, item: PodObject, at: int) -> None:
        """A pod was added or changed."""
        self._good = at
        self._put(item, at)

    def deleted(self, item: PodObject, at: int) -> None:
        """A pod is gone; the event has its last state, under the version of the deletion."""
        self._good = at
        version = int(item.metadata.resource_version)
        pod = self._by_uid.get(item.metadata.uid)
        if pod is None:
            if version <= self.version:
                return  # told already
            pod = self._new(item)
        self._apply(pod, item, version, at)
        self.versions.set_interval(pod, deleted(pod.interval, at, replayed=self._replaying))
        self._gone(pod, version, at)

    def passed(self, version: int, at: int) -> None:
        """Nothing else happened up to ``version``."""
        self._good = at
        self.version = max(self.version, version)
        self.strays.mark(self.version, at)

    # --- attribution ---

    def strays_stay_unknown(self) -> None:
        """The owners of pods that were replayed cannot be told: whose they were nobody knows [C6]."""
        if self.known_since is not None:
            self.known_since = max(self.known_since, self.strays.newest or 0)

    def owner_known(self, owner: str) -> None:
        """Look again where the pods of this controller belong: it, its workload, or its leftover has become known."""
        for pod in list(self._by_owner.of(owner)):
            self._settle_in(pod)
        pod_itself = self._by_uid.get(owner) or self.strays.lone.get(owner)
        if pod_itself is not None:
            self._settle_in(pod_itself)

    def covered(self, bizrq: str, seen: int) -> None:
        """A stored status of a bizrq covers everything up to ``seen``: let go of its pods that were gone by then [C4].

        A pod that another bizrq has a share of stays until that covers its end too.
        """
        self.uncovered.cover(bizrq, seen)
        self._let_go(bizrq, lambda pod: pod.deleted_at is not None and pod.deleted_at <= seen)

    def forget_bizrq(self, bizrq: str) -> None:
        """Let go of the pods that are gone of a bizrq that is gone itself."""
        self.uncovered.forget(bizrq)
        self._let_go(bizrq, lambda pod: pod.deleted_at is not None)

    def sweep(self, exists: Callable[[str], bool], now: int) -> None:
        """Let go of the pods that are gone, for a minute at least, of bizrqs that do not exist.

        Should such a bizrq be made later, its budget begins with it: these pods would cost it nothing.
        """
        self.strays.let_go(now, self._drop)
        self.uncovered.sweep(exists)
        for bizrq in [bizrq for bizrq in self._by_bizrq if not exists(bizrq)]:
            self._let_go(bizrq, lambda pod: pod.deleted_at is not None and now - pod.gone_since > UNKNOWN_BIZRQ_SECONDS)

    # --- inside ---

    def _start_anew(self, known_since: int | None) -> None:
        for table in (self._by_uid, self._by_bizrq):
            table.clear()
        self._by_owner.clear()
        self.strays.clear(known_since)
        self.known_since = known_since
        self._replaying = False
        self.version = -1 if known_since is None else known_since

    def _let_go(self, bizrq: str, which: Callable[[Pod], bool]) -> None:
        for pod in [pod for pod in self._by_bizrq.get(bizrq, ()) if which(pod)]:
            self._leave(pod, bizrq)
            if not any(pod in self._by_bizrq.get(stay.home.bizrq, ()) for stay in pod.stays):
                self._drop(pod)

    def _put(self, item: PodObject, at: int) -> Pod:
        metadata = item.metadata
        version = int(metadata.resource_version)
        pod = self._by_uid.get(metadata.uid)
        if pod is None:
            pod = self._new(item)
        elif version <= pod.version:
            return pod
        known, interval = pod.stays, pod.interval
        self._apply(pod, item, version, at)
        if known and pod.interval is not interval:
            self._touch(pod, version)
        return pod

    def _new(self, item: PodObject) -> Pod:
        uid = item.metadata.uid
        pod = Pod(_NO_AMOUNTS, NOT_STARTED, -1, uid=uid, namespace=sys.intern(item.metadata.namespace))
        self._by_uid[uid] = pod
        self._by_owner.take(pod, item.metadata.controller, item.metadata.controller_kind)
        return pod

    def _owner_changed(self, pod: Pod, item: PodObject) -> None:
        """It was orphaned, or adopted: it keeps the home that it has, or belongs to who adopts it, if anybody does."""
        if not pod.stays:
            if item.metadata.controller is not None:
                self._by_owner.leave(pod)
                self._by_owner.take(pod, item.metadata.controller, item.metadata.controller_kind)
        elif not pod.alone:  # in its home it stays by itself from now on; for P5 it is still its owner's
            pod.cut_off = True
            self._cut_off(pod)

    def _apply(self, pod: Pod, item: PodObject, version: int, at: int) -> None:
        facts = facts_of(item)
        if item.metadata.controller != pod.owner and not pod.cut_off:
            self._owner_changed(pod, item)
        if self.versions.take(pod, item, facts, version, at):
            self._touch(pod, version)
        if not pod.stays:
            pod.created = facts.created
            self._settle_in(pod)
        if not self._listing:
            self.version = max(self.version, version)
            self.strays.mark(self.version, at)
        told = max(facts.created, facts.scheduled or 0, facts.started or 0, facts.completed or 0)
        if self._newest < told <= at:
            self._newest = told

    def _controlled_by(self, uid: str) -> Iterator[Pod]:
        """The pods that belong to a controller; to a pod that is a workload of its own, itself."""
        for pod in self._by_owner.of(uid):
            if not pod.alone or pod.cut_off:
                yield pod
        pod_itself = self._by_uid.get(uid)
        if pod_itself is not None and pod_itself.alone:
            yield pod_itself

    def _settle_in(self, pod: Pod) -> None:
        stays = self._stays_of(pod)
        if not stays or stays is pod.stays:
            return  # it keeps what it has where its workload is forgotten [C7]
        before, pod.stays = pod.stays, stays
        if pod.held is not None:
            pod.amounts = self.holdings.amounts(pod.held, stays[-1].home.models)
        for stay in stays:
            self._by_bizrq.setdefault(stay.home.bizrq, set()).add(pod)
        left = {stay.home.bizrq for stay in before} - {stay.home.bizrq for stay in stays} if before else ()
        for bizrq in left:
            self._leave(pod, bizrq)
            self.stirred.add(bizrq)
            self._wake(bizrq)
        self._touch(pod, pod.deleted_at or pod.version)

    def _touch(self, pod: Pod, version: int) -> None:
        """The figures of its bizrqs may have changed by what happened at ``version``."""
        for stay in pod.stays:
            self.uncovered.note(stay.home.bizrq, version, pod.deleted_after)
            self.stirred.add(stay.home.bizrq)
            self._wake(stay.home.bizrq)

    def _leave(self, pod: Pod, bizrq: str) -> None:
        take_out(self._by_bizrq, bizrq, pod)

    def _gone(self, pod: Pod, version: int, at: int) -> None:
        self._by_uid.pop(pod.uid, None)
        self.versions.forget(pod)
        pod.deleted_at, pod.gone_since = version, at
        if pod.interval.start is None or (pod.owner is None and not pod.stays and not pod.labelled):
            self._drop(pod)  # it cost nothing, or nobody
        elif not pod.stays:
            self.strays.add(pod)
        self._touch(pod, version)

    def _drop(self, pod: Pod) -> None:
        self._by_owner.leave(pod)
        for stay in pod.stays:
            self._leave(pod, stay.home.bizrq)
