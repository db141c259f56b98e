"""One controller without a cluster: its inventory and its sync, over a store in memory, with a clock set by hand.

Events are delivered as JSON through the same structs and readers as in the real process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from bizrq.cluster.objects import Owned
from bizrq.cluster.objects import Pod as PodObject
from bizrq.controller.announcer import Announcer
from bizrq.controller.shown import show_bizrqs
from bizrq.controller.sync import Sync
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.inventory import Inventory
from bizrq.observability.metrics import ControllerMetrics
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import between, built_in, lenders
from tests.support.build import NOW, bizrq, container, pod, pod_spec, workload
from tests.support.cas_store import CasStore, StoreReads
from tests.support.clocks import HandClock
from tests.support.told_events import ToldEvents

__all__ = [
    "DEPLOYMENT",
    "JOB",
    "ONE_CORE",
    "ROLLOUT",
    "Controller",
    "job",
    "job_pod",
    "owned_object",
    "pod_object",
    "running",
    "started",
    "team",
    "until",
]

DEPLOYMENT, JOB = built_in()[:2]
ROLLOUT = next(each for each in built_in() if each.kind == "Rollout")

JSON = dict[str, Any]

ONE_CORE = pod_spec(container(limits={"cpu": "1", "memory": "1Gi"}))

_pods = msgspec.json.Decoder(PodObject)
_owned = msgspec.json.Decoder(Owned)


def pod_object(raw: JSON) -> PodObject:
    """A pod as the reflector decodes it."""
    return _pods.decode(msgspec.json.encode(raw))


def owned_object(raw: JSON) -> Owned:
    """A ReplicaSet as the reflector of their metadata decodes it."""
    return _owned.decode(msgspec.json.encode(raw))


class Controller:
    """What runs in a controller, driven by hand."""

    def __init__(self, store: CasStore, clock: HandClock, *, gather: float = 0.0) -> None:
        self.store, self.clock = store, clock
        self.metrics = ControllerMetrics()
        self.reads = StoreReads(store)
        self.lists = 0
        """How often everything was listed anew [R4]."""
        self.woken: set[str] = set()
        self.leading = True
        """Whether it works, or stands by."""
        self.events = ToldEvents()
        """What it has told; nothing before ``tell``."""
        self.announcer = Announcer(lambda: self.inventory, self.events, clock, self.metrics)
        self.sync = Sync(
            lambda: self.inventory, store, self.reads, self.list_anew, clock, self.metrics,
            gather_seconds=gather, kinds=built_in(), gpus=DEFAULT_GPU_RESOURCES, leading=lambda: self.leading,
            told=self.announcer.stored,
        )  # fmt: skip
        self.inventory = Inventory(self.woken.add, DEFAULT_GPU_RESOURCES, clock.now, lenders=lenders(built_in()))
        self.between = {each.kind: self.inventory.owners.sink(each) for each in between(built_in())}

    # --- what it sees ---

    def start(
        self,
        pods: Sequence[JSON],
        version: int,
        *,
        workloads: Sequence[JSON] = (),
        replica_sets: Sequence[JSON] = (),
    ) -> None:
        """The first lists of a process."""
        for raw in workloads:
            self.workload(raw)
        for raw in replica_sets:
            self.replica_set(raw)
        self.pods_listed(pods, version)

    def pods_listed(self, pods: Sequence[JSON], version: int, *, began: int | None = None) -> None:
        """A list of all pods."""
        sink = self.inventory.pods
        sink.list_began()
        for raw in pods:
            sink.listed(pod_object(raw), self.clock.now())
        sink.list_ended(version, self.clock.now() if began is None else began)

    def pod(self, raw: JSON) -> None:
        """A pod was added or changed."""
        self.inventory.pods.changed(pod_object(raw), self.clock.now())

    def pod_deleted(self, raw: JSON) -> None:
        """A pod is gone."""
        self.inventory.pods.deleted(pod_object(raw), self.clock.now())

    def replica_set(self, raw: JSON) -> None:
        """A ReplicaSet, or what else stands between a workload and its pods, was added or changed."""
        self.between[raw.get("kind", "ReplicaSet")].changed(owned_object(raw), self.clock.now())

    def workload(self, raw: JSON) -> None:
        """A labelled workload was added or changed."""
        kind = next(each for each in built_in() if each.kind == raw["kind"])
        self.inventory.put_workload(read_workload(raw, kind, DEFAULT_GPU_RESOURCES))

    def workload_deleted(self, raw: JSON, version: int) -> None:
        """A workload was deleted, or lost its label."""
        self.inventory.remove_workload(raw["metadata"]["uid"], version)

    def see(self, *names: str) -> None:
        """The watch of bizrqs catches up with the store."""
        for name in names:
            self.inventory.put_bizrq(read_bizrq(self.store.raw(name)))

    async def list_anew(self) -> None:
        """Takes over a list of everything that is stored."""
        self.lists += 1
        self.see(*self.store.names())
        for raw in self.reads.workloads.values():
            self.workload(raw)

    # --- what it does ---

    def show(self) -> None:
        """Bring the series of bizrqs up to date, as before a scrape."""
        show_bizrqs(self.inventory, self.metrics, self.clock.now(), leading=self.leading)

    async def write(self, name: str, *, always: bool = True) -> JSON:
        """One refresh; the stored status after it."""
        await self.sync.refresh(name, always=always)
        return self.store.status(name)

    async def tell(self) -> ToldEvents:
        """Have all events written that wait."""
        await self.announcer._work_off(0.0)
        return self.events


def started(store: CasStore, clock: HandClock) -> Controller:
    """A controller that has just been started: there are no pods, and it has seen every bizrq of the store."""
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see(*store.names())
    return controller


# --- what the tests are about ---


def team(**hard):
    return bizrq("team", hard={"limits.cpu": "10", "pods": "20", "cash/limits.cpu": "100", **hard}, created=NOW - 3600)


def job(name="job", **fields):
    return workload(name, kind="Job", api_version="batch/v1", replicas=None, template=ONE_CORE, **fields)


def job_pod(name, of="job", **fields):
    return pod(
        name, spec=ONE_CORE, phase=fields.pop("phase", "Running"), node="n1",
        controller={"apiVersion": "batch/v1", "kind": "Job", "name": of, "uid": f"uid-{of}"}, **fields,
    )  # fmt: skip


async def running(controller):
    """The loop of the sync, with wakes going to it."""
    controller.inventory._wake = controller.inventory.pods._wake = controller.sync.wake
    return asyncio.create_task(controller.sync.run())


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the store has no event to wait for
            await asyncio.sleep(0.005)
