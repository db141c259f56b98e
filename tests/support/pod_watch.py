"""The pods of one group, as a controller sees them come, change and go, at instants of a clock set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bizrq.domain.intervals import Clamp, EndSource
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.domain.stays import Home, Stay
from bizrq.domain.times import timestamp
from bizrq.inventory.pods import Pods
from tests.support.books import charged_seconds, cost
from tests.support.build import NOW, container, pod, pod_spec
from tests.support.clocks import HandClock
from tests.support.controller import pod_object

__all__ = ["CREATED", "GRACE", "JOB", "SCHEDULED", "Watch", "asked_to_go", "card"]

JSON = dict[str, Any]

CREATED, SCHEDULED = NOW - 1000, NOW - 900
ONE_CARD = pod_spec(container(limits={"nvidia.com/gpu": "1"}))
GRACE = 30


class Watch:
    """The pods of one group, as a controller sees them come, change and go."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.version = 0
        stays = (Stay(Home("team", Models(), "shop")),)
        self.pods = Pods(lambda *_: stays, lambda _: None, DEFAULT_GPU_RESOURCES)
        self.lists([])

    def _next(self, raw: JSON) -> Any:
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        return pod_object(raw)

    def shows(self, *versions: JSON, at: int = NOW) -> None:
        """ADDED or MODIFIED."""
        self.clock.time = at
        for raw in versions:
            self.pods.changed(self._next(raw), self.clock.now())

    def loses(self, raw: JSON, *, at: int = NOW) -> None:
        """DELETED, with the last object."""
        self.clock.time = at
        self.pods.deleted(self._next(raw), self.clock.now())

    def lists(self, pods: list[JSON], *, at: int = NOW - 2000) -> None:
        """Everything anew."""
        self.clock.time = at
        self.pods.list_began()
        for raw in pods:
            self.pods.listed(self._next(raw), self.clock.now())
        self.pods.list_ended(self.version, self.clock.now())

    def seconds(self, now: int = NOW) -> int:
        """What all pods together are charged at ``now``."""
        return sum(charged_seconds(each.interval, since=0, now=now) for each in self.pods.of("team"))

    def noted(self) -> Mapping[Clamp | EndSource, int]:
        """What was moved and guessed."""
        return dict(self.pods.versions.take_noted())

    def core_seconds(self, now: int = NOW) -> int:
        """The limits of cores that they held, each for its seconds."""
        return cost(self.pods.charged("team"), "limits.cpu", now=now) // 1000


JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "uid-job"}


def card(
    phase: str = "Running", *, name: str = "a", conditions: Mapping[str, Any] | None = None, **fields: Any
) -> JSON:
    """A pod with a card; ``conditions`` are status, reason and time by type, beside PodScheduled."""
    stated = {"spec": ONE_CARD, "node": "n1", "created": CREATED, "scheduled": SCHEDULED, "controller": JOB, **fields}
    raw = pod(name, phase=phase, **stated)
    for kind, (status, reason, moment) in (conditions or {}).items():
        when = None if moment is None else timestamp(moment)
        told = {"type": kind, "status": status, "reason": reason, "lastTransitionTime": when}
        raw["status"].setdefault("conditions", []).append(told)
    return raw


def asked_to_go(phase: str = "Running", *, asked: int, grace: int = GRACE, **fields: Any) -> JSON:
    """The same after a deletion was asked for: deletionTimestamp is the time of the request plus the grace."""
    return card(phase, deletion=asked + grace, grace=grace, **fields)
