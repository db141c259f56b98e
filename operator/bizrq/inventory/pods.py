"""Which pods exist, or are gone and not yet settled, by bizrq?

A pod belongs to the bizrq that its workload names, and keeps it when the workload goes first [C7]. A pod that is gone
stays until a status that covers its deletion has been stored [C4].
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from bizrq.cluster.objects import Pod as PodObject
from bizrq.cluster.objects import facts_of, spec_of, template_of
from bizrq.domain.cash import Charged, Seen
from bizrq.domain.demand import pod_amounts
from bizrq.domain.intervals import NOT_STARTED, EndSource, Interval, deleted, follow
from bizrq.domain.pod_resources import Held, held, the_most_of
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import PODS, GpuResources, Models

__all__ = ["Home", "Pod", "Pods"]

UNKNOWN_OWNER_SECONDS: Final = 60
"""How long a pod that is gone waits for its owner to become known. Owners come by kopf, which may be away for 15 s."""

UNKNOWN_BIZRQ_SECONDS: Final = 60
"""How long a pod that is gone waits for its bizrq to become known."""

_LONG_TEMPLATE: Final = 1024
"""Bytes; of longer ones a digest is kept, so that pods of a thousand containers do not fill the memory."""

_TEMPLATES: Final = 50_000
"""Distinct templates kept; beyond that all are worked out anew, which costs time and nothing else."""

_AMOUNTS: Final = 20_000
"""Distinct pairs of a template and models kept, in the same way."""

_NO_AMOUNTS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Home:
    """Where pods belong: the bizrq and the models that their workload names."""

    bizrq: str
    models: Models
    namespace: str
    """Of the workload. Owners are of the same namespace: a pod elsewhere only names a UID that is not its owner's."""


class HomeOf(Protocol):
    """Tells where the pods of a controller in a namespace belong; ``listed`` are those that a list brought."""

    def __call__(self, controller: str, namespace: str, *, listed: bool) -> Home | None:
        """Their home; None where it is not known."""


class Pod(Charged, eq=False, gc=False):
    """One pod."""

    uid: str = ""
    owner: str | None = None
    """UID of its controller."""
    namespace: str = ""
    held: Held | None = None
    """The most that it was ever seen to hold."""
    held_now: Held | None = None
    home: Home | None = None
    gone_since: int = 0
    """When its DELETED event arrived."""
    last_list: int = 0
    """Number of the last list that had it."""
    owner_kind: str = ""
    """Kind of its controller."""

    def holds(self, now: int) -> bool:
        """Whether what it asks for is still in somebody's way: neither terminal nor past its cut [P5]."""
        interval = self.interval
        return self.deleted_at is None and interval.end is None and (interval.cut is None or interval.cut > now)


class Pods:
    """All pods. It is the sink of their reflector; ``touched`` is told each bizrq whose figures may have changed."""

    def __init__(self, home_of: HomeOf, touched: Callable[[str], None], gpus: GpuResources) -> None:
        self._home_of, self._touched, self._gpus = home_of, touched, gpus
        self._by_uid: dict[str, Pod] = {}
        self._by_owner: dict[str, set[Pod]] = {}
        self._by_bizrq: dict[str, set[Pod]] = {}
        self._homeless_gone: deque[Pod] = deque()
        self._templates: dict[bytes, Held] = {}
        self._amounts: dict[tuple[int, Models], tuple[Held, Mapping[str, int]]] = {}
        self._listing = False
        self._list = 0
        """Lists begun; each pod knows the last that had it."""
        self._version = -1
        self._newest = 0
        self._good = 0
        """The last instant at which the watch was known to bring what happens: an event or a bookmark came."""
        self.known_since: int | None = None
        """Version of the first list: of deletions before it nothing is known. None before it."""
        self.vanished = 0
        """Pods found gone by comparing lists, without an event."""
        self.unreadable = 0
        """Templates with amounts that are no quantities; such a pod can never be scheduled."""

    def __len__(self) -> int:
        return len(self._by_uid)

    def of(self, bizrq: str) -> Iterator[Pod]:
        """The pods attributed to a bizrq: those that exist, and those that are gone and not forgotten yet."""
        return iter(self._by_bizrq.get(bizrq, ()))

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
            if pod.home is None
            and pod.owner is not None
            and pod.last_list
            and pod.owner_kind in kinds
            and pod.holds(now)
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

    def controller_of(self, uid: str) -> str | None:
        """UID of what controls the pod with this UID; None where nothing does, or no such pod is known."""
        pod = self._by_uid.get(uid)
        return None if pod is None else pod.owner

    def has_owner(self, uid: str) -> bool:
        """Whether a pod is known that this UID controls."""
        return uid in self._by_owner

    def view(self, now: int) -> Seen:
        """The view that a status may claim to have seen at ``now``.

        Behind a pod that is gone before its owner became known it does not go, for some seconds: once a status says
        that it has seen a deletion, nobody will ever charge that pod again.
        """
        self._let_strangers_go(now)
        waiting, version = self._homeless_gone, self._version
        if waiting and waiting[0].deleted_at is not None:  # the oldest of them, since deletions arrive in order
            version = min(version, waiting[0].deleted_at - 1)
        return Seen(version, self._newest)

    # --- the sink ---

    def list_began(self) -> None:
        """A list begins."""
        self._listing = True
        self._list += 1

    def listed(self, item: PodObject, at: int) -> None:
        """An item of a list."""
        self._put(item, at).last_list = self._list

    def list_ended(self, version: int, began: int) -> None:
        """What was not listed went unseen: charged to the last instant the view was known good [C6]."""
        good = self._good
        self._listing = False
        for pod in [pod for pod in self._by_uid.values() if pod.last_list != self._list]:
            self.vanished += 1
            if pod.interval.end is None:
                pod.interval = replace(pod.interval, end=good, source=EndSource.OBSERVED)
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
        pod.interval = deleted(pod.interval, at)
        self._gone(pod, version, at)

    def passed(self, version: int, at: int) -> None:
        """Nothing else happened up to ``version``."""
        self._good = at
        self._version = max(self._version, version)

    # --- attribution ---

    def owner_known(self, owner: str) -> None:
        """Look again where the pods of this controller belong: it, its workload, or its leftover has become known."""
        for pod in self._by_owner.get(owner, ()):
            self._settle_in(pod)

    def forget(self, bizrq: str, seen: int) -> None:
        """Let go of the pods of a bizrq that are gone and covered by a stored status [C4]."""
        pods = self._by_bizrq.get(bizrq, ())
        for pod in [pod for pod in pods if pod.deleted_at is not None and pod.deleted_at <= seen]:
            self._drop(pod)

    def forget_bizrq(self, bizrq: str) -> None:
        """Let go of the pods that are gone of a bizrq that is gone itself."""
        for pod in [pod for pod in self._by_bizrq.get(bizrq, ()) if pod.deleted_at is not None]:
            self._drop(pod)

    def sweep(self, exists: Callable[[str], bool], now: int) -> None:
        """Let go of the pods that are gone, for a minute at least, of bizrqs that do not exist.

        Should such a bizrq be made later, its budget begins with it: these pods would cost it nothing.
        """
        self._let_strangers_go(now)
        for bizrq in [bizrq for bizrq in self._by_bizrq if not exists(bizrq)]:
            for pod in [pod for pod in self._by_bizrq[bizrq] if pod.deleted_at is not None]:
                if now - pod.gone_since > UNKNOWN_BIZRQ_SECONDS:
                    self._drop(pod)

    # --- inside ---

    def _let_strangers_go(self, now: int) -> None:
        """Let go of the pods that are gone, and whose owner did not become known in time: nobody's."""
        waiting = self._homeless_gone
        # abs: a clock that was set back must not keep them for as long as it was set back.
        while waiting and (waiting[0].home is not None or abs(now - waiting[0].gone_since) > UNKNOWN_OWNER_SECONDS):
            pod = waiting.popleft()
            if pod.home is None:
                self._drop(pod)

    def _put(self, item: PodObject, at: int) -> Pod:
        metadata = item.metadata
        version = int(metadata.resource_version)
        pod = self._by_uid.get(metadata.uid)
        if pod is None:
            pod = self._new(item)
        elif version <= pod.version:
            return pod
        home, interval = pod.home, pod.interval
        self._apply(pod, item, version, at)
        if home is not None and pod.interval is not interval:
            self._touched(home.bizrq)
        return pod

    def _new(self, item: PodObject) -> Pod:
        uid, owner = item.metadata.uid, item.metadata.controller
        pod = Pod(_NO_AMOUNTS, NOT_STARTED, -1, None, uid, owner, sys.intern(item.metadata.namespace))
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
                if pod.home is not None:
                    pod.amounts = self._charged(most, pod.home.models)
                    self._touched(pod.home.bizrq)
        if pod.home is None:
            self._settle_in(pod)
        if not self._listing:
            self._version = max(self._version, version)
        told = max(facts.created, facts.scheduled or 0, facts.started or 0, facts.completed or 0)
        if self._newest < told <= at:
            self._newest = told

    def _settle_in(self, pod: Pod) -> None:
        if pod.home is not None or pod.owner is None:
            return  # it keeps the home it has, whatever becomes of its workload [C7]
        home = self._home_of(pod.owner, pod.namespace, listed=self._listing or pod.last_list > 0)
        if home is None:
            return
        pod.home = home
        if pod.held is not None:
            pod.amounts = self._charged(pod.held, home.models)
        pods = self._by_bizrq.get(home.bizrq)
        if pods is None:
            self._by_bizrq[home.bizrq] = {pod}
        else:
            pods.add(pod)
        self._touched(home.bizrq)

    def _gone(self, pod: Pod, version: int, at: int) -> None:
        self._by_uid.pop(pod.uid, None)
        pod.deleted_at, pod.gone_since = version, at
        if pod.interval.start is None or pod.owner is None:
            self._drop(pod)  # it cost nothing, or nobody
        elif pod.home is None:
            self._homeless_gone.append(pod)
        if pod.home is not None:
            self._touched(pod.home.bizrq)

    def _drop(self, pod: Pod) -> None:
        siblings = self._by_owner.get(pod.owner) if pod.owner is not None else None
        if siblings is not None and pod.owner is not None:
            siblings.discard(pod)
            if not siblings:
                del self._by_owner[pod.owner]
        if pod.home is not None:
            pods = self._by_bizrq.get(pod.home.bizrq)
            if pods is not None:
                pods.discard(pod)
                if not pods:
                    del self._by_bizrq[pod.home.bizrq]

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
