"""What happens in a cluster: bizrqs, workloads and pods that come, change and go, drawn by a seed."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import since_text
from tests.sim.asking import at_once
from tests.sim.etcd import Etcd, Type
from tests.sim.lives import Life, draw
from tests.sim.truth import KEYS, Group, Range, Work
from tests.support.build import bizrq, container, metadata, pod_spec, workload
from tests.support.clocks import HandClock

__all__ = ["Plan", "World"]

JSON = dict[str, Any]

FOREVER = 10**9


@dataclass(frozen=True)
class Plan:
    """How much of everything may happen in a world."""

    processes: int = 1
    pods: int = 24
    works: int = 5
    steps: int = 260
    late: int = 8
    """Seconds by which an end is reported late at most."""
    lag: int = 12
    """Seconds by which a watch lags at most."""
    crashes: float = 0.02
    faults: float = 0.1
    """Of writes that fail, conflict, or whose answer is lost."""
    moves: bool = False
    unlabel: bool = False
    removals: bool = True
    """Workloads go before their pods."""
    farewells: bool = False
    """Children are deleted, and made again [T7]."""
    day: bool = False
    """The tree has a cashPeriod, and the run is over an edge."""
    laggard: str = ""
    """A watch that always lags as much as it may."""
    gaps: bool = False
    """Watches are answered 410."""


class World:
    """The cluster; ``story`` tells what happened."""

    def __init__(self, plan: Plan, dice: random.Random, clock: HandClock, edges: tuple[int, ...]) -> None:
        self.plan, self.dice, self.clock = plan, dice, clock
        self.etcd = Etcd(clock)
        self.began = clock.now()
        self.story: list[str] = []
        self.works: dict[str, Work] = {}
        self.lives: list[tuple[Life, Work]] = []
        self.groups: list[Group] = []
        """All that ever were; of one name at most one is not gone."""
        self.attended: Callable[[], bool] = lambda: True
        """Whether somebody is up who will see a workload go."""
        self._numbers = itertools.count(1)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        tree = {"org": "", "a": "org", "b": "org", "c": "a"}
        for name in list(tree)[: dice.randint(2, 4)]:
            self.make_group(name, tree[name], edges)
        for _ in range(plan.works):
            self.at(clock.now() + dice.randint(0, 20), self.make_work)

    def tell(self, text: str) -> None:
        """One more line of the story."""
        self.story.append(f"+{self.clock.now() - self.began:<4} v{self.etcd.version:<5} {text}")

    # --- time ---

    def at(self, moment: int, what: Callable[[], None]) -> None:
        """Something will happen."""
        heapq.heappush(self._due, (moment, next(self._numbers), what))

    @property
    def next_due(self) -> int | None:
        """When the next thing happens that is planned."""
        return self._due[0][0] if self._due else None

    def pass_time(self, until: int) -> None:
        """Let time pass, with all that is planned."""
        while self._due and self._due[0][0] <= until:
            moment, _, what = heapq.heappop(self._due)
            self._set(max(moment, self.clock.now()))
            what()
        self._set(until)

    def _set(self, now: int) -> None:
        self.clock.waited += now - self.clock.time
        self.clock.time = now

    # --- bizrqs ---

    def live(self) -> list[Group]:
        """The bizrqs that exist."""
        return [group for group in self.groups if not group.gone]

    def make_group(self, name: str, parent: str, edges: tuple[int, ...]) -> None:
        """A bizrq is made."""
        raw = bizrq(
            name, parent=parent or None, created=self.clock.now(),
            hard={"limits.cpu": "900", "pods": "900", **{f"cash/{key}": "900000000" for key in KEYS}},
        )  # fmt: skip
        if edges and not parent:
            raw["spec"]["cashPeriod"] = {"every": "Day", "timeZone": "UTC"}
        stored = self.etcd.put(raw)
        uid = stored["metadata"]["uid"]
        self.groups.append(Group(name, uid, self.clock.now(), self.etcd.version, parent, edges))
        self.tell(f"bizrq {uid} is made under {parent or 'nobody'}")

    def farewell(self) -> None:
        """A child without children is deleted, and made again some time later [T7]."""
        parents = {group.parent for group in self.live()}
        leaves = [
            group
            for group in self.live()
            if group.parent
            and group.name not in parents
            and "deletionTimestamp" not in self.etcd.raw(group.name)["metadata"]
        ]
        if not leaves:
            return
        group = self.dice.choice(leaves)
        self.tell(f"bizrq {group.uid} is deleted")
        at_once(self.etcd.delete(group.name))
        self.at(self.clock.now() + self.dice.randint(10, 40), lambda: self._again(group))

    def _again(self, group: Group) -> None:
        if group.gone and group.parent in self.etcd.names():
            self.make_group(group.name, group.parent, group.edges)

    # --- workloads ---

    def make_work(self) -> None:
        """A workload is made, and its pods one by one."""
        dice, now = self.dice, self.clock.now()
        uid = f"w{next(self._numbers)}"
        kind = dice.choice(["Job", "Job", "Deployment"])
        owner = {"apiVersion": "v1", "kind": kind, "name": uid, "uid": uid}
        raw = workload(
            uid, kind=kind, bizrq=dice.choice(self.groups).name, template=_TEMPLATE, uid=uid, created=now,
            replicas=None if kind == "Job" else 3,
        )  # fmt: skip
        work = Work(uid, uid, kind, owner, raw, until=now + dice.randint(10, 90))
        group = raw["metadata"]["labels"][LABEL]
        work.stays.append((-FOREVER, group))
        if kind == "Deployment":
            work.controller = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{uid}-rs", "uid": f"{uid}-rs"}
        if dice.random() < 0.5:
            self._claim(group, work, 0, "")
        work.raw = self.etcd.happen(self.etcd.workloads, "ADDED", raw).raw
        self.works[uid] = work
        self.tell(f"{kind} {uid} is made under {group}")
        if kind == "Deployment":
            of = metadata(f"{uid}-rs", uid=f"{uid}-rs", namespace="shop", created=now, controller=owner)
            self.etcd.happen(self.etcd.replica_sets, "ADDED", {"metadata": of})
        for _ in range(max(1, self.plan.pods // self.plan.works)):
            self.at(dice.randint(now, work.until), lambda: self._make_pod(work))
        if self.plan.removals and dice.random() < 0.5:
            self.at(work.until + dice.randint(0, 40), lambda: self._remove(work))
        if self.plan.unlabel and dice.random() < 0.3:
            self.at(work.until + dice.randint(0, 30), lambda: self._unlabel(work))
        if self.plan.moves:
            for _ in range(dice.randint(0, 2)):
                self.at(dice.randint(now + 3, work.until + 40), lambda: self._ask_to_move(work))

    def _claim(self, group: str, work: Work, version: int, came_from: str) -> None:
        """The webhook writes a claim into the status."""
        if group not in self.etcd.names():
            return
        raw = self.etcd.raw(group)
        status = raw.get("status") or {}
        kind = "jobs.batch" if work.kind == "Job" else "deployments.apps"
        since = since_text(self.clock.milliseconds() + self.dice.randint(0, 999))
        line = f"1 {work.uid} {version} {kind}/shop/{work.name} {since} count/{kind}=1:1"
        line += f" from={came_from}" if came_from else ""
        self.etcd.put({**raw, "status": {**status, "claims": [*status.get("claims", []), line]}})

    def _is_claimed(self, work: Work) -> bool:
        """Whether its last move is in no book yet: two such moves cannot be told apart after a restart."""
        return any(
            line.split(" ")[1] == work.uid
            for group in self.live()
            for line in self.etcd.status(group.name).get("claims") or ()
        )

    def _ask_to_move(self, work: Work) -> None:
        """The webhook grants a move; the label changes in the same second, or the request fails after all.

        A pod that goes in between is booked as if there was no move, and nobody could know better.
        """
        others = [each.name for each in self.live() if each.name != work.stays[-1][1]]
        calm = self.clock.now() - work.moved_at > 2 * self.plan.lag and not self._is_claimed(work)
        if work.gone or work.unlabelled or work.moving or not others or not calm or not self.attended():
            return
        target, moment = self.dice.choice(others), self.clock.now()
        self._claim(target, work, int(work.raw["metadata"]["resourceVersion"]), work.stays[-1][1])
        self.tell(f"{work.uid} is granted to move from {work.stays[-1][1]} to {target}")
        work.moved_at = moment
        if self.dice.random() < 0.9:
            work.moving = True
            self.at(moment, lambda: self._move(work, target, moment))

    def _move(self, work: Work, target: str, moment: int) -> None:
        work.moving = False
        if work.gone or work.unlabelled:
            return
        self._label(work, target)
        work.stays.append((moment, target))
        self.tell(f"{work.uid} is {target}'s now")

    def _label(self, work: Work, bizrq_name: str | None) -> None:
        labels = {} if bizrq_name is None else {LABEL: bizrq_name}
        raw = {**work.raw, "metadata": {**work.raw["metadata"], "labels": labels}}
        work.raw = self.etcd.happen(self.etcd.workloads, "MODIFIED", raw).raw

    def _unlabel(self, work: Work) -> None:
        now = self.clock.now()
        if work.gone or work.unlabelled or work.moving:
            return
        if not self.attended():
            self.at(now + 5, lambda: self._unlabel(work))
            return
        work.unlabelled = Range(now, now + self.plan.lag + 5)
        self._label(work, None)
        self.tell(f"{work.uid} loses its label")

    def _remove(self, work: Work) -> None:
        """It goes before its pods, but while somebody sees it go."""
        if work.gone:
            return
        if work.moving or not self.attended():
            self.at(self.clock.now() + 5, lambda: self._remove(work))
            return
        work.gone = True
        self.etcd.happen(self.etcd.workloads, "DELETED", work.raw)
        if work.kind == "Deployment":
            self.at(self.clock.now() + self.dice.randint(0, 5), lambda: self._remove_replica_set(work))
        self.tell(f"{work.uid} is removed")

    def _remove_replica_set(self, work: Work) -> None:
        log = self.etcd.replica_sets
        self.etcd.happen(log, "DELETED", log.there[work.controller["uid"]])

    # --- pods ---

    def _make_pod(self, work: Work) -> None:
        if work.gone or work.unlabelled:
            return
        cpu, memory = self.dice.choice([500, 1000, 3000]), self.dice.choice([1, 2])
        uid = f"p{next(self._numbers)}"
        spec = pod_spec(container(limits={"cpu": f"{cpu}m", "memory": f"{memory}Gi"}))
        amounts = {"limits.cpu": cpu, "limits.memory": memory * 2**30 * 1000}
        life = draw(
            uid, work.uid, amounts, self.dice, self.clock.now(), self.plan.late,
            name=uid, spec=spec, controller=work.controller,
        )  # fmt: skip
        self.lives.append((life, work))
        for change in life.changes:
            self.at(change.at, lambda change=change: self._pod_changes(life, change))  # type: ignore[misc]

    def _pod_changes(self, life: Life, change: Any) -> None:
        log = self.etcd.pods
        type_: Type = "DELETED" if change.deleted else "MODIFIED" if life.uid in log.there else "ADDED"
        event = self.etcd.happen(log, type_, change.raw, matters=change.matters)
        if change.matters and not life.born_at:
            life.born_at = event.version
        if change.deleted:
            life.gone_at = event.version
        status = change.raw["status"]
        meta = change.raw["metadata"]
        ends = [each["state"]["terminated"]["finishedAt"] for each in status.get("containerStatuses", [])]
        self.tell(
            f"{life.uid} of {life.workload}: {type_.lower()}, {status.get('phase')}"
            f"{f', finished {ends}' if ends else ''}"
            f"{', deletion ' + meta['deletionTimestamp'][11:19] if 'deletionTimestamp' in meta else ''}"
        )


_TEMPLATE = pod_spec(container(limits={"cpu": "1"}))
