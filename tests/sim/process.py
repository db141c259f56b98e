"""One controller process: the real objects over what is stored, told of everything as late as the world wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from bizrq.cluster.errors import ClusterError, Gone
from bizrq.cluster.objects import Owned
from bizrq.cluster.objects import Pod as PodObject
from bizrq.cluster.reflector import Reflector
from bizrq.controller.books import ViewTooOldError
from bizrq.controller.feed import Listing, take_over
from bizrq.controller.leader import Elector
from bizrq.controller.sync import Sync
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.inventory import Inventory
from bizrq.observability.metrics import ControllerMetrics
from bizrq.workloads.read import Workload, read_workload
from bizrq.workloads.registry import between
from tests.sim.asking import PodsClient, Request, Store
from tests.sim.etcd import Etcd, Event, LiveReads, Log
from tests.support.cas_leases import CasLeases
from tests.support.clocks import HandClock
from tests.support.controller import DEPLOYMENT, JOB
from tests.support.world.loop import HandLoop

__all__ = ["Process"]

JSON = dict[str, Any]
T = TypeVar("T")

_METRICS = ControllerMetrics()

_owned = msgspec.json.Decoder(Owned)

KINDS = (DEPLOYMENT, JOB)


def workload_of(raw: JSON) -> Workload:
    """A workload as the controller reads it."""
    return read_workload(raw, JOB if raw["kind"] == "Job" else DEPLOYMENT, DEFAULT_GPU_RESOURCES)


class Process:
    """A controller from its start to its death."""

    def __init__(
        self, name: str, etcd: Etcd, leases: CasLeases, clock: HandClock, loop: HandLoop, *, orderly: bool = False
    ) -> None:
        """``orderly``: what happened to workloads before is known before the deletion of a pod is.

        A pod whose deletion is booked before the move of its workload is in view stays with the bizrq it had [C7].
        """
        self.name, self.etcd, self.clock, self.loop = name, etcd, clock, loop
        self.requests: list[Request] = []
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.woken: set[str] = set()
        self.up = False
        """Whether its start is over."""
        self.at: dict[str, int] = {}
        """How many events of each log it was told."""
        self.client = PodsClient(etcd, self._gate)
        if orderly:
            self.client.before_deletions = self._knows_homes
        self.inventory = Inventory(self.woken.add, DEFAULT_GPU_RESOURCES, clock.now)
        (self.replica_sets,) = (self.inventory.owners.sink(each) for each in between(KINDS))
        self.reads = LiveReads(etcd)
        self.sync = Sync(
            lambda: self.inventory, Store(etcd, self._ask), self.reads, self._list_anew, clock, _METRICS,
            gather_seconds=0.0, kinds=KINDS, gpus=DEFAULT_GPU_RESOURCES,
        )  # fmt: skip
        self.reflector = Reflector(
            self.client, "/api/v1/pods", PodObject, self.inventory.pods, clock,  # type: ignore[arg-type]  # all it uses
            replay=self.inventory.replay_from,
        )  # fmt: skip
        # All processes bear one name, so that each of them leads.
        self.elector = Elector(
            leases, clock, identity="all", next_floor=self.inventory.next_floor,
            changed=lambda _: None, failed=lambda: None,
        )  # fmt: skip

    # --- its life ---

    def run(self, what: str, work: Coroutine[Any, Any, Any]) -> None:
        """Begin something, and go on until it waits for the API server."""
        task = self.loop.create_task(work)
        self.tasks[what] = task
        self.go_on()

    def go_on(self) -> None:
        """Run whatever can go on; failures that the process would only log are dropped."""
        self.loop.until_idle()
        for what, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[what]
                if not task.cancelled():
                    error = task.exception()
                    if error is not None and not isinstance(error, ClusterError | ViewTooOldError):
                        raise error
                    if error is not None and what.startswith("refresh "):
                        self.woken.add(what.removeprefix("refresh "))

    def die(self) -> None:
        """Whatever it had asked for and the server did is done; nobody hears the answer."""
        for task in self.tasks.values():
            task.cancel()
        self.requests.clear()
        self.loop.until_idle()

    def start(self) -> None:
        """The same in the same order as the process does it."""
        self.run("start", self._start())

    async def _start(self) -> None:
        await self._gate("lease")
        self.inventory.vouch(await self.elector.read())
        await self._gate("lists")
        self._take_over(self.listing())
        await self._gate("replica sets")
        owners, log = self.replica_sets, self.etcd.replica_sets
        owners.list_began()
        for raw in log.there.values():
            owners.listed(_owned.decode(msgspec.json.encode(raw)), self.clock.now())
        owners.list_ended(self.etcd.version, self.clock.now())
        self.at["replica_sets"] = len(log.events)
        await self._gate("pods")
        await self.reflector._begin()
        self.reflector.synced.set()
        self.inventory.pods_known()
        self.woken |= {bizrq.name for bizrq in self.inventory.bizrqs}
        self.up = True

    async def _ask(self, what: str, act: Callable[[], Any]) -> Any:
        request = Request(what, act)
        self.requests.append(request)
        return await request.answer

    async def _gate(self, what: str) -> None:
        await self._ask(f"begin {what}", lambda: None)

    # --- what it sees ---

    def listing(self) -> Listing:
        """A list of all that counts, as it is stored now."""
        bizrqs = [read_bizrq(raw) for raw in self.etcd.bizrqs.there.values()]
        workloads = [workload_of(raw) for raw in self.reads.labelled(self.etcd.workloads.there)]
        version = self.etcd.version
        return Listing(
            bizrqs, version,
            [(kind, [each for each in workloads if each.kind is kind], version) for kind in KINDS],
            writers={each.uid: each.writer for each in bizrqs}, held_before=self.inventory.bizrqs.newest,
        )  # fmt: skip

    def _take_over(self, listing: Listing) -> None:
        take_over(listing, self.inventory)
        self.sync.trust(listing.writers)
        for name, log in (("bizrqs", self.etcd.bizrqs), ("workloads", self.etcd.workloads)):
            self.at.setdefault(name, len(log.events))

    async def _list_anew(self) -> None:
        await self._gate("list anew")
        self._take_over(self.listing())

    async def resync(self) -> None:
        """As every few minutes: what was listed is taken over some time later, and rubbish is swept."""
        listing = self.listing()
        await self._gate("take over")
        self._take_over(listing)
        self.inventory.sweep(self.clock.now())
        self.woken |= {bizrq.name for bizrq in self.inventory.bizrqs}

    def behind(self, name: str) -> Sequence[Event]:
        """The events of a log that it was not told of."""
        log: Log = getattr(self.etcd, name)
        if name == "pods":
            return log.after(self.reflector._version if self.reflector._version is not None else -1)
        return log.events[self.at.get(name, 0) :]

    def sees(self, name: str, count: int | None = None) -> None:
        """Be told of the next events of a log; ``None``: of all, and of pods that this is all."""
        if name == "pods":
            if "pods" not in self.tasks:
                self.client.most = count
                self.run("pods", self._follow())
            return
        for event in list(self.behind(name))[:count]:
            self.at[name] += 1
            self._told(name, event)

    def _knows_homes(self) -> None:
        for name in ("replica_sets", "workloads"):
            if name in self.at:
                self.sees(name)

    def sees_again(self, name: str, dice: Callable[[Sequence[Event]], Event]) -> None:
        """Be told once more of something that is known."""
        known = getattr(self.etcd, name).events[: self.at.get(name, 0)]
        if known and name != "pods":
            self._told(name, dice(known[-6:]))

    def _told(self, name: str, event: Event) -> None:
        raw, inventory = event.raw, self.inventory
        metadata = raw["metadata"]
        if name == "bizrqs":
            if event.type == "DELETED":
                inventory.remove_bizrq(metadata["uid"], metadata["name"], event.version)
            else:
                inventory.put_bizrq(read_bizrq(raw))
        elif name == "workloads":
            if event.type == "DELETED" or not self.reads.labelled({"": raw}):
                inventory.remove_workload(metadata["uid"], event.version)
            else:
                inventory.put_workload(workload_of(raw))
        elif event.type == "DELETED":
            self.replica_sets.deleted(_owned.decode(msgspec.json.encode(raw)), self.clock.now())
        else:
            self.replica_sets.changed(_owned.decode(msgspec.json.encode(raw)), self.clock.now())

    async def _follow(self) -> None:
        """One turn of the reflector."""
        reflector = self.reflector
        try:
            if reflector._version is None:
                reflector._version = await reflector._list()
            await reflector._watch()
        except Gone:
            reflector._version = None

    # --- what it does ---

    def refreshes(self, name: str, *, always: bool = False) -> None:
        """Count a bizrq and write its status."""
        what = f"refresh {name}"
        if what not in self.tasks:
            self.woken.discard(name)
            self.run(what, self.sync.refresh(name, always=always))

    def renews(self) -> None:
        """One look at the Lease."""
        if "lease" not in self.tasks:
            self.run("lease", self.elector.turn())

    def answer(self, request: Request, how: str) -> None:
        """``fails``, ``done`` (and the answer is on its way), ``told``, or ``lost``."""
        if how != "fails" and not request.done:
            request.do()
        if how != "done":
            self.requests.remove(request)
            request.tell(lost=how == "lost")
        self.go_on()
