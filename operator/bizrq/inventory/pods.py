"""Which pods exist, or are gone and not yet settled, by bizrq?

A pod belongs to the bizrq that its workload names, and keeps it when the workload goes first; where the workload
moved, each bizrq has a share of it [C7]. A pod that is gone stays until statuses that cover its deletion have been
stored [C4].
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Final, Protocol

from msgspec.structs import replace

from bizrq.cluster.objects import Pod as PodObject
from bizrq.cluster.objects import facts_of, spec_of, template_of
from bizrq.domain.cash import Charged, Seen
from bizrq.domain.demand import pod_amounts
from bizrq.domain.intervals import NOT_STARTED, EndSource, Interval, deleted, follow, stop_at
from bizrq.domain.pod_resources import Held, held, the_most_of
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import PODS, GpuResources, Models
from bizrq.domain.stays import UNKNOWN_OWNER_SECONDS, Home, Stay, share
from bizrq.inventory.uncovered import Uncovered

__all__ = ["Pod", "Pods"]

UNKNOWN_BIZRQ_SECONDS: Final = 60
"""How long a pod that is gone waits for its bizrq to become known."""

_LONG_TEMPLATE: Final = 1024
"""Bytes; of longer ones a digest is kept, so that pods of a thousand containers do not fill the memory."""

_TEMPLATES: Final = 50_000
"""Distinct templates kept; beyond that all are worked out anew, which costs time and nothing else."""

_AMOUNTS: Final = 20_000
"""Distinct pairs of a template and models kept, in the same way."""

_NO_AMOUNTS: Final[Mapping[str, int]] = {}


class StaysOf(Protocol):
    """Tells where the pods of a controller in a namespace belong, made at that time."""

    def __call__(self, controller: str, namespace: str, created: int) -> tuple[Stay, ...]:
        """Their stays, oldest first; none where nothing is known of a home."""


class Pod(Charged, eq=False, gc=False):
    """One pod."""

    uid: str = ""
    owner: str | None = None
    """UID of its controller."""
    namespace: str = ""
    held: Held | None = None
    """The most that it was ever seen to hold."""
    held_now: Held | None = None
    stays: tuple[Stay, ...] = ()
    """Where it belongs, from when to when; empty where that is not known."""
    created: int = 0
    gone_since: int = 0
    """When its DELETED event arrived."""
    last_list: int = 0
    """Number of the last list that had it."""
    owner_kind: str = ""
    """Kind of its controller."""

    @property
    def home(self) -> Home | None:
        """Where it belongs now, or belonged last."""
        return self.stays[-1].home if self.stays else None

    def holds(self, now: int) -> bool:
        """Whether what it asks for is still in somebody's way: neither terminal nor past its cut [P5]."""
        interval = self.interval
        return self.deleted_at is None and interval.end is None and (interval.cut is None or interval.cut > now)


class Pods:
    """All pods. It is the sink of their reflector; ``touched`` is told each bizrq whose figures may have changed."""

    def __init__(self, stays_of: StaysOf, touched: Callable[[str], None], gpus: GpuResources) -> None:
        self._stays_of, self._wake, self._gpus = stays_of, touched, gpus
        self._by_uid: dict[str, Pod] = {}
        self._by_owner: dict[str, set[Pod]] = {}
        self._by_bizrq: dict[str, set[Pod]] = {}
        self._homeless_gone: deque[Pod] = deque()
        self._templates: dict[bytes, Held] = {}
        self._amounts: dict[tuple[int, Models], tuple[Held, Mapping[str, int]]] = {}
        self.uncovered = Uncovered()
        """Events that no stored status covers."""
        self.stirred: set[str] = set()
        """The bizrqs whose pods something happened to since somebody took their names out of it."""
        self._listing = False
        self._replaying = False
        self._list = 0
        """Lists begun; each pod knows the last that had it."""
        self._answered: int | None = None
        """When the first item of a list came: not before the moment whose state it shows."""
        self._version = -1
        self._newest = 0
        self._good = 0
        """The last instant at which the watch was known to bring what happens: an event or a bookmark came."""
        self.known_since: int | None = None
        """The version after which every deletion is known: of the first list, or where the replay began."""
        self.vanished = 0
        """Pods found gone by comparing lists, without an event."""
        self.unreadable = 0
        """Templates with amounts that are no quantities; such a pod can never be scheduled."""

    def __len__(self) -> int:
        return len(self._by_uid)

    def of(self, bizrq: str) -> Iterator[Pod]:
        """The pods attributed to a bizrq: those that exist, and those that are gone and not forgotten yet."""
        return iter(self._by_bizrq.get(bizrq, ()))

    def charged(self, bizrq: str) -> Iterator[Charged]:
        """The same as its books see them: of a pod that it shares with others only its own part [C7]."""
        for pod in self._by_bizrq.get(bizrq, ()):
            if len(pod.stays) == 1 and pod.stays[0].since is None and pod.stays[0].until is None:
                yield pod
            else:
                yield from self._shares(pod, bizrq)

    def starts(self, controller: str, before: int | None) -> bool:
        """Whether a controller has pods that were scheduled, before an instant if one is given."""
        return any(
            pod.interval.start is not None and (before is None or pod.interval.start < before)
            for pod in self._by_owner.get(controller, ())
        )

    def held_under(self, controllers: Iterable[str], models: Models, now: int) -> dict[str, Quantity]:
        """What the pods of these controllers hold together, with ``pods`` and under ``models`` [P5].

        Terminal ones hold nothing, nor do those past their cut, which will never be seen to end.
        """
        milli: dict[str, int] = {}
        count = 0
        for owner in controllers:
            for pod in self._by_owner.get(owner, ()):
                if pod.holds(now) and pod.held is not None:
                    count += 1
                    for key, amount in self._charged(pod.held, models).items():
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

    @property
    def lists(self) -> int:
        """How many lists have begun."""
        return self._list

    @property
    def version(self) -> int:
        """Up to which version everything that happened to pods is known; -1 before the first list."""
        return self._version

    def knows(self, listed: Mapping[str, int]) -> bool:
        """Whether each of these pods, versions by UID, is in view at that version or a later one."""
        return all(
            (pod := self._by_uid.get(uid)) is not None and pod.version >= version for uid, version in listed.items()
        )

    def has_owner(self, uid: str) -> bool:
        """Whether a pod is known that this UID controls."""
        return uid in self._by_owner

    def view(self, now: int, seen: int = -1) -> Seen:
        """The view that a status may claim to have seen at ``now``, whose last one has ``seen``.

        Behind a pod that is gone before its owner became known it does not go, for some seconds: once a status says
        that it has seen a deletion, nobody will ever charge that pod again. Deletions that it has seen, which a replay
        tells anew, are no reason to wait.
        """
        self._let_strangers_go(now)
        version = self._version
        for pod in self._homeless_gone:  # the oldest first, since deletions arrive in order
            if pod.deleted_at is not None and pod.deleted_at > seen and not pod.stays:
                version = min(version, pod.deleted_at - 1)
                break
        return Seen(version, self._newest)

    def oldest_uncovered(self, now: int) -> int | None:
        """The oldest event that no stored status is known to cover; None if there is none."""
        self._let_strangers_go(now)
        waiting = [pod.deleted_after or pod.deleted_at or 0 for pod in self._homeless_gone if not pod.stays]
        return min([each for each in (self.uncovered.oldest(), *waiting) if each is not None], default=None)

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

    def list_began(self) -> None:
        """A list begins."""
        self._listing = True
        self._answered = None
        self._list += 1

    def listed(self, item: PodObject, at: int) -> None:
        """An item of a list."""
        if self._answered is None:
            self._answered = at
        self._put(item, at).last_list = self._list

    def list_ended(self, version: int, began: int) -> None:
        """What was not listed went unseen: charged to the last instant the view was known good [C6].

        Not so in a replay, which brings the end of each.
        """
        self._listing = False
        if self._replaying:
            return
        good, before = self._good, self._version
        latest = began if self._answered is None else max(began, self._answered)
        for pod in [pod for pod in self._by_uid.values() if pod.last_list != self._list]:
            self.vanished += 1
            if pod.interval.end is None:
                pod.doubt = max(0, stop_at(pod.interval, latest) - max(good, pod.interval.start or latest))
                pod.interval = replace(pod.interval, end=good, source=EndSource.OBSERVED)
            pod.deleted_after = before
            self._gone(pod, version, began)
        self._version = max(self._version, version)
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
            if version <= self._version:
                return  # told already
            pod = self._new(item)
        self._apply(pod, item, version, at)
        pod.interval = deleted(pod.interval, at, replayed=self._replaying)
        self._gone(pod, version, at)

    def passed(self, version: int, at: int) -> None:
        """Nothing else happened up to ``version``."""
        self._good = at
        self._version = max(self._version, version)

    # --- attribution ---

    def owner_known(self, owner: str) -> None:
        """Look again where the pods of this controller belong: it, its workload, or its leftover has become known."""
        for pod in list(self._by_owner.get(owner, ())):
            self._settle_in(pod)

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
        self._let_strangers_go(now)
        self.uncovered.sweep(exists)
        for bizrq in [bizrq for bizrq in self._by_bizrq if not exists(bizrq)]:
            self._let_go(bizrq, lambda pod: pod.deleted_at is not None and now - pod.gone_since > UNKNOWN_BIZRQ_SECONDS)

    # --- inside ---

    def _start_anew(self, known_since: int | None) -> None:
        for table in (self._by_uid, self._by_owner, self._by_bizrq, self._homeless_gone):
            table.clear()
        self.known_since = known_since
        self._replaying = False
        self._version = -1 if known_since is None else known_since

    def _let_go(self, bizrq: str, which: Callable[[Pod], bool]) -> None:
        for pod in [pod for pod in self._by_bizrq.get(bizrq, ()) if which(pod)]:
            self._leave(pod, bizrq)
            if not any(pod in self._by_bizrq.get(stay.home.bizrq, ()) for stay in pod.stays):
                self._drop(pod)

    def _shares(self, pod: Pod, bizrq: str) -> Iterator[Charged]:
        for stay in pod.stays:
            if stay.home.bizrq == bizrq and pod.held is not None:
                interval = share(pod.interval, stay)
                doubt = pod.doubt if interval.cut == pod.interval.cut else 0
                yield Charged(
                    self._charged(pod.held, stay.home.models),
                    interval, pod.version, pod.deleted_at, pod.deleted_after, doubt,
                )  # fmt: skip

    def _let_strangers_go(self, now: int) -> None:
        """Let go of the pods that are gone, and whose owner did not become known in time: nobody's."""
        waiting = self._homeless_gone
        # abs: a clock that was set back must not keep them for as long as it was set back.
        while waiting and (waiting[0].stays or abs(now - waiting[0].gone_since) > UNKNOWN_OWNER_SECONDS):
            pod = waiting.popleft()
            if not pod.stays:
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
        uid, owner = item.metadata.uid, item.metadata.controller
        pod = Pod(_NO_AMOUNTS, NOT_STARTED, -1, uid=uid, owner=owner, namespace=sys.intern(item.metadata.namespace))
        pod.owner_kind = sys.intern(item.metadata.controller_kind)
        self._by_uid[uid] = pod
        if owner is not None:
            siblings = self._by_owner.get(owner)
            if siblings is None:
                self._by_owner[owner] = {pod}
            else:
                pod.owner = next(iter(siblings)).owner  # one text for all pods of an owner
                siblings.add(pod)
        return pod

    def _apply(self, pod: Pod, item: PodObject, version: int, at: int) -> None:
        held_now = self._held(item)
        facts = facts_of(item)
        pod.interval = _same_or(pod.interval, follow(facts, pod.interval, at))
        pod.version = version
        if held_now is not pod.held_now:
            pod.held_now = held_now
            # Resized in place: until such a pod is charged in segments, the most that it was ever seen to hold.
            most = held_now if pod.held is None else the_most_of(pod.held, held_now)
            if most != pod.held:
                pod.held = most
                if pod.stays:
                    pod.amounts = self._charged(most, pod.stays[-1].home.models)
                    self._touch(pod, version)
        if not pod.stays:
            pod.created = facts.created
            self._settle_in(pod)
        if not self._listing:
            self._version = max(self._version, version)
        told = max(facts.created, facts.scheduled or 0, facts.started or 0, facts.completed or 0)
        if self._newest < told <= at:
            self._newest = told

    def _settle_in(self, pod: Pod) -> None:
        if pod.owner is None:
            return
        stays = self._stays_of(pod.owner, pod.namespace, pod.created)
        if not stays or stays is pod.stays:
            return  # it keeps what it has where its workload is forgotten [C7]
        left = {stay.home.bizrq for stay in pod.stays}
        pod.stays = stays
        if pod.held is not None:
            pod.amounts = self._charged(pod.held, stays[-1].home.models)
        for stay in stays:
            self._by_bizrq.setdefault(stay.home.bizrq, set()).add(pod)
            left.discard(stay.home.bizrq)
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
        pods = self._by_bizrq.get(bizrq)
        if pods is not None:
            pods.discard(pod)
            if not pods:
                del self._by_bizrq[bizrq]

    def _gone(self, pod: Pod, version: int, at: int) -> None:
        self._by_uid.pop(pod.uid, None)
        pod.deleted_at, pod.gone_since = version, at
        if pod.interval.start is None or pod.owner is None:
            self._drop(pod)  # it cost nothing, or nobody
        elif not pod.stays:
            self._homeless_gone.append(pod)
        self._touch(pod, version)

    def _drop(self, pod: Pod) -> None:
        siblings = self._by_owner.get(pod.owner) if pod.owner is not None else None
        if siblings is not None and pod.owner is not None:
            siblings.discard(pod)
            if not siblings:
                del self._by_owner[pod.owner]
        for stay in pod.stays:
            self._leave(pod, stay.home.bizrq)

    def _held(self, item: PodObject) -> Held:
        key = template_of(item.spec)
        if len(key) > _LONG_TEMPLATE:
            key = hashlib.blake2b(key).digest()
        known = self._templates.get(key)
        if known is None:
            pod, problems = read_pod_spec(spec_of(item.spec))
            self.unreadable += bool(problems)
            known = held(pod)
            if len(self._templates) >= _TEMPLATES:
                self._templates.clear()
                self._amounts.clear()
            self._templates[key] = known
        return known

    def _charged(self, what: Held, models: Models) -> Mapping[str, int]:
        key = (id(what), models)
        known = self._amounts.get(key)
        if known is None or known[0] is not what:
            if len(self._amounts) >= _AMOUNTS:
                self._amounts.clear()  # models are labels, which anybody may edit for ever
            amounts = pod_amounts(what, models, self._gpus)
            known = (what, {name: amount.milli() for name, amount in amounts.items()})
            self._amounts[key] = known
        return known[1]


def _same_or(old: Interval, new: Interval) -> Interval:
    """The old value where both are equal: one object less a pod, and ``is`` tells a change."""
    return old if old == new else new
