"""The same world with pods: of one core each, made by controllers that act late, surge and end at any time.

The ideal charge of a workload, which no view is needed for: max(its live demand, min(its pods, its ideal charge
before)), kept up at each real event; a move begins anew. It leaves surge out.

I5  the sum of ideal charges is within used, and within hard
I6  once its pods are gone nothing is left of a workload: no charge and no line
I7  surge adds nothing: used is not above what is ideal
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bizrq.domain.bizrq import LABEL, read_bizrq
from bizrq.domain.quantity import ZERO
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.workloads.read import read_workload
from tests.support.build import container, pod, pod_spec
from tests.support.clocks import HandClock
from tests.support.controller import DEPLOYMENT
from tests.support.world.invariants import Violation
from tests.support.world.loop import HandLoop
from tests.support.world.processes import Watcher
from tests.support.world.storage import NAMESPACE, Storage, is_bizrq
from tests.support.world.world import CPU, World

__all__ = ["PodWorld"]

JSON = dict[str, Any]

_BOOKMARK_SECONDS = 60

_ONE_CORE = pod_spec(container(requests={"cpu": "1", "memory": "0"}))


class PodStorage(Storage):
    """What is stored, and what it would be ideal to charge."""

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[str, JSON] = {}
        self.pod_events: list[tuple[str, JSON]] = []
        self.ideals: dict[str, tuple[str, int]] = {}
        """Bizrq and ideal charge of each workload that ever was, by UID."""
        self.promised: dict[str, int] = {}
        """The demand that the maker of pods acts on, by UID, where it says so in status.observedGeneration."""

    def pod_made(self, name: str, uid: str) -> None:
        """A pod of a workload."""
        self.version += 1
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w", "uid": uid}
        self.pods[name] = pod(
            name, spec=_ONE_CORE, namespace=NAMESPACE, phase="Running", node="n", version=self.version, controller=owner
        )
        self.pod_events.append(("ADDED", self.pods[name]))
        self._settle()

    def pod_ended(self, name: str) -> None:
        """It is gone."""
        self.version += 1
        raw = self.pods.pop(name)
        gone = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        self.pod_events.append(("DELETED", gone))
        self._settle()

    def pods_of(self, uid: str) -> int:
        """How many pods a workload has."""
        return sum(each["metadata"]["ownerReferences"][0]["uid"] == uid for each in self.pods.values())

    def _tell(self, name: str, stored: JSON | None) -> None:
        super()._tell(name, stored)
        if stored is None or not is_bizrq(stored):
            self._settle()

    def _settle(self) -> None:
        live = {raw["metadata"]["uid"]: raw for raw in self.workloads.values()}
        for uid in {*live, *self.ideals}:
            label, demand = "", 0
            if uid in live:
                label = (live[uid]["metadata"].get("labels") or {}).get(LABEL, "")
                demand = _cores(live[uid])
            home, ideal = self.ideals.get(uid, (label, 0))
            if label and label != home:
                home, ideal = label, demand
            pods = self.pods_of(uid)
            if uid in live:
                pods = max(pods, self.promised.get(uid, 0))
            self.ideals[uid] = home, max(demand if label == home else 0, min(pods, ideal))


def _cores(raw: Mapping[str, Any]) -> int:
    amount = read_workload(raw, DEPLOYMENT, DEFAULT_GPU_RESOURCES).demand.get(CPU, ZERO)
    return int(str(amount))


class PodWatcher(Watcher):
    """A controller that sees pods, too, event by event."""

    def __init__(self, storage: PodStorage, clock: HandClock, loop: HandLoop) -> None:
        super().__init__(storage, clock, loop)
        self._pods = storage
        self._pods_told = 0
        self.reads.pods_version = self._pods_version  # type: ignore[method-assign]
        self.reads.pods_in = self._pods_in  # type: ignore[method-assign]

    def start(self, *_: object, **__: object) -> None:
        """The first list of pods."""
        self._pods_told = len(self._pods.pod_events)
        self.pods_listed(list(self._pods.pods.values()), self._pods.version)

    def sees_a_pod(self) -> None:
        """The next event of any pod."""
        type_, raw = self._pods.pod_events[self._pods_told]
        self._pods_told += 1
        (self.pod_deleted if type_ == "DELETED" else self.pod)(raw)

    @property
    def lacks_pods(self) -> bool:
        """Whether something happened to pods that it was not told of."""
        return self._pods_told < len(self._pods.pod_events)

    def sees_pods(self) -> None:
        """All events of pods that are left, and a bookmark."""
        while self.lacks_pods:
            self.sees_a_pod()
        self.inventory.pods.passed(self._pods.version, self.clock.now())

    async def _pods_version(self) -> int:
        return self._pods.version

    async def _pods_in(self, namespace: str) -> dict[str, int] | None:  # noqa: ARG002  # there is but one
        listed = (each["metadata"] for each in self._pods.pods.values())
        return {metadata["uid"]: int(metadata["resourceVersion"]) for metadata in listed}


class PodWorld(World):
    """The whole of it."""

    new_storage, new_watcher = PodStorage, PodWatcher
    rounds = 6
    storage: PodStorage
    controllers: list[PodWatcher]  # type: ignore[assignment]  # made by it alone

    def uid(self, name: str) -> str:
        """UID of a workload that is there."""
        now = self.storage.current(name)
        assert now is not None
        return str(now["metadata"]["uid"])

    # --- pods ---

    def makes(self, pod_name: str, of: str) -> None:
        """A pod is made, of a workload by its UID."""
        self.storage.pod_made(pod_name, of)
        self.check()

    def ends(self, *pod_names: str) -> None:
        """Pods are gone."""
        for name in pod_names:
            self.storage.pod_ended(name)
            self.check()

    def observes(self, name: str) -> None:
        """The controller of a workload acts on its demand from now on, and says so."""
        now = self.storage.current(name)
        assert now is not None
        self.storage.promised[now["metadata"]["uid"]] = _cores(now)
        self.storage.store({**now, "status": {"observedGeneration": now["metadata"].get("generation", 1)}})
        self.check()

    def sees_pods(self, controller: int = 0) -> None:
        """A controller has seen everything that happened to pods until now."""
        self.controllers[controller].sees_pods()

    def sees_all(self, controller: int = 0) -> None:
        """A controller has seen everything there is."""
        self.controllers[controller].catches_up()
        self.sees_pods(controller)

    # --- what must hold ---

    def used(self, name: str) -> int:
        """Cores."""
        return int(self.storage.status(name)["used"][CPU])

    def lines(self, name: str) -> list[str]:
        """``status.leftovers``."""
        return list(self.storage.status(name).get("leftovers") or ())

    def check(self) -> None:
        """Raises ``Violation``."""
        super().check()
        for name in self.storage.names():
            bizrq = read_bizrq(self.storage.raw(name))
            ideal = sum(amount for home, amount in self.storage.ideals.values() if home == name)
            used, hard = bizrq.used.get(CPU), bizrq.hard[CPU]
            if (used is not None and ideal > int(str(used))) or ideal > int(str(hard)):
                raise Violation(f"I5: pods of {name} hold {ideal}, used is {used}, hard {hard}")

    def pass_time(self, seconds: float) -> None:
        """Time passes for everybody; a minute brings all that happened to pods, or a bookmark."""
        self.clock.time += int(seconds)
        super().pass_time(seconds)
        if seconds >= _BOOKMARK_SECONDS:
            for controller in self.controllers:
                if controller.began:
                    controller.sees_pods()

    def check_nothing_is_left(self, name: str) -> None:
        """Raises ``Violation`` where a workload whose pods are gone left something."""
        live = sum(
            _cores(raw)
            for raw in self.storage.workloads.values()
            if (raw["metadata"].get("labels") or {}).get(LABEL) == name
        )
        if self.used(name) != live or self.lines(name):
            raise Violation(f"I6: live under {name} are {live}, used is {self.used(name)}, lines {self.lines(name)}")

    def check_surge(self, name: str) -> None:
        """Raises ``Violation`` where more is charged than is ideal, though everything was seen."""
        ideal = sum(amount for home, amount in self.storage.ideals.values() if home == name)
        if self.used(name) > ideal:
            raise Violation(f"I7: {self.used(name)} are used of {name}, where {ideal} would be ideal")
