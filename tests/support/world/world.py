"""A cluster in memory in which the test decides what happens next.

Bizrqs and workloads, replicas of the webhook, controllers, and requests on their way: everything takes its next step
when the test says so, and what must never be is looked for after each step. Amounts are whole cores and bytes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

from bizrq.controller.farewell import FINALIZER
from bizrq.domain.bizrq import LABEL
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS
from tests.support.build import NOW, bizrq, container, pod_spec, workload
from tests.support.clocks import HandClock
from tests.support.controller import DEPLOYMENT
from tests.support.world.invariants import Invariants
from tests.support.world.loop import HandLoop
from tests.support.world.processes import Replica, Watcher
from tests.support.world.requests import Change, Request
from tests.support.world.storage import Storage, is_bizrq

__all__ = ["COUNT", "CPU", "MEMORY", "TRUSTED", "World"]

JSON = dict[str, Any]

CPU, MEMORY, COUNT = "requests.cpu", "requests.memory", "count/deployments.apps"

TRUSTED = DEFAULT_TRUSTED_CONTROLLERS[0]
"""Somebody whose children are believed."""

AT_ONCE: Mapping[str, Any] = {}

_REQUEST_SECONDS = 34
"""So long the API server works on a request at most."""


def _hard(*, cpu: int | None = None, memory: int | None = None, count: int | None = None) -> dict[str, str]:
    """A hard with the keys that are named."""
    stated = {CPU: cpu, MEMORY: memory, COUNT: count}
    return {key: str(amount) for key, amount in stated.items() if amount is not None}


class World:
    """The whole of it. Close it, or use it in a ``with``."""

    new_storage: type[Storage] = Storage
    new_watcher: type[Watcher] = Watcher
    rounds = 3
    """How often a controller must look until all is settled."""

    def __init__(self, *, replicas: int = 1, controllers: int = 1) -> None:
        self.loop, self.clock, self.storage = HandLoop(), HandClock(), self.new_storage()
        self.replicas = [Replica(self.storage, self.clock) for _ in range(replicas)]
        self.controllers = [self._new_controller() for _ in range(controllers)]
        self.requests: list[Request] = []
        self.invariants = Invariants(self.storage)
        self._uids = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything that still waits."""
        self.loop.end()

    # --- how it begins ---

    def has_bizrq(self, name: str, parent: str = "", **hard: int | None) -> None:
        """A bizrq is there from the start."""
        raw = self._bizrq(name, parent, hard)
        self.storage.store({**raw, "metadata": {**raw["metadata"], "finalizers": [FINALIZER]}})

    def has_workload(self, name: str, under: str | None, *, cpu: int = 0, memory: int = 0, replicas: int = 1) -> None:
        """A workload is there from the start."""
        self.storage.store(self._workload(name, under, cpu, memory, replicas))

    def begins(self) -> None:
        """Every controller has listed, the first one has counted, and everybody has seen that."""
        for controller in self.controllers:
            controller.begin()
        for _ in range(2):  # children after parents in the alphabet are counted before these in the second round
            for name in reversed(self.storage.names()):
                self.controllers[0].writes(name)
        for controller in self.controllers:
            controller.catches_up()
        self.check()

    # --- what people do ---

    def create(
        self,
        name: str,
        under: str | None,
        *,
        cpu: int = 0,
        memory: int = 0,
        replicas: int = 1,
        owner: str = "",
        by: str = "",
        how: Mapping[str, Any] = AT_ONCE,
    ) -> Request:
        """A workload is to be made, as the child of ``owner``; ``how``, here and below, is for ``ask``."""
        new = self._workload(name, under, cpu, memory, replicas)
        del new["metadata"]["resourceVersion"]
        if owner:
            new["metadata"]["ownerReferences"] = [self._reference(owner)]
        return self.ask(Change(name, lambda _: new, new=new, user=by), **how)

    def give_owner(self, name: str, owner: str, *, by: str = "", how: Mapping[str, Any] = AT_ONCE) -> Request:
        """A workload is to say that it is the child of another one."""
        reference = self._reference(owner)

        def owned(raw: JSON) -> JSON:
            raw["metadata"]["ownerReferences"] = [reference]
            return raw

        return self.ask(Change(name, owned, user=by), **how)

    def change(
        self,
        name: str,
        *,
        cpu: int | None = None,
        memory: int | None = None,
        put: bool = False,
        by: str = "",
        how: Mapping[str, Any] = AT_ONCE,
    ) -> Request:
        """What a pod of a workload asks for is to become this; what is not named stays."""

        def changed(raw: JSON) -> JSON:
            requests = raw["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
            requests |= {key: str(amount) for key, amount in (("cpu", cpu), ("memory", memory)) if amount is not None}
            return raw

        return self.ask(Change(name, changed, is_put=put, user=by), **how)

    def move(self, name: str, to: str | None, *, how: Mapping[str, Any] = AT_ONCE) -> Request:
        """A workload is to be under another bizrq, or under none."""

        def moved(raw: JSON) -> JSON:
            raw["metadata"]["labels"] = {LABEL: to} if to else {}
            return raw

        return self.ask(Change(name, moved), **how)

    def scale(self, name: str, replicas: int, *, how: Mapping[str, Any] = AT_ONCE) -> Request:
        """A workload is to be scaled, through its scale subresource."""

        def scaled(raw: JSON) -> JSON:
            raw["spec"]["replicas"] = replicas
            return raw

        return self.ask(Change(name, scaled, scale=replicas), **how)

    def create_bizrq(
        self, name: str, parent: str = "", *, how: Mapping[str, Any] = AT_ONCE, **hard: int | None
    ) -> Request:
        """A bizrq is to be made."""
        new = self._bizrq(name, parent, hard)
        del new["metadata"]["resourceVersion"]
        return self.ask(Change(name, lambda _: new, new=new), **how)

    def set_hard(self, name: str, *, how: Mapping[str, Any] = AT_ONCE, **hard: int | None) -> Request:
        """The hard of a bizrq is to be this."""

        def changed(raw: JSON) -> JSON:
            raw["spec"]["hard"] = _hard(**hard)
            return raw

        return self.ask(Change(name, changed), **how)

    def delete(self, name: str, *, how: Mapping[str, Any] = AT_ONCE) -> Request:
        """An object is to go."""
        return self.ask(Change(name, None), **how)

    def ask(self, change: Change, *, on: int = -1, replica: int = 0, reviewed: bool = True) -> Request:
        """A request comes in; ``on`` is the version it is decided on, counted from the end."""
        request = Request(change, self.storage, self.replicas[replica], self.loop, self._stored)
        versions = self.storage.versions.get(change.name, [None])
        request.decide_on(None if change.new is not None else copy.deepcopy(versions[on]))
        self.requests.append(request)
        if reviewed:
            self.review(request)
        return request

    def review(self, request: Request) -> Request:
        """The webhook is asked, as far as that goes."""
        request.review()
        self.check()
        return request

    def persist(self, request: Request) -> Request:
        """It is stored, or has to be reviewed again."""
        request.persist()
        self.check()
        return request

    def finish(self, request: Request) -> Request:
        """It is stored if the webhook allows it, however often it must be asked."""
        while request.is_allowed:
            self.persist(request)
        return request

    def touch(self, name: str) -> None:
        """Somebody writes the status of a workload: a new version, and nothing else."""
        now = self.storage.current(name)
        assert now is not None
        self.storage.store(now)
        self.check()

    # --- what controllers do ---

    def sees(self, name: str, controller: int = 0) -> None:
        """A controller is told the next event of an object."""
        self.controllers[controller].sees(name)

    def writes(self, name: str, controller: int = 0) -> None:
        """A controller counts a bizrq and writes its status, as far as its gates let it."""
        self.controllers[controller].writes(name)
        self.check()

    def goes_on(self, controller: int = 0) -> None:
        """What waited at the gates of a controller happens."""
        self.controllers[controller].goes_on()
        self.check()

    def restarts(self, controller: int = 0, *, begins: bool = True) -> None:
        """A controller dies, and another one takes its place that knows nothing."""
        self.controllers[controller].dies()
        self.controllers[controller] = self._new_controller()
        if begins:
            self.controllers[controller].begin()
        self.check()

    def cache_stands_still(self) -> None:
        """From now on the API server's cache of workloads, one of its own, tells what is stored now."""
        self.storage.cached = {DEPLOYMENT.url: self.controllers[0].listed.now(DEPLOYMENT.url)}

    def pass_time(self, seconds: float) -> None:
        """Time passes for everybody. No request lives longer than the API server works on it."""
        self.clock.waited += seconds
        self.loop.pass_time(seconds)
        if seconds >= _REQUEST_SECONDS:
            for request in self.requests:
                request.fail()
        self.check()

    # --- what must hold ---

    def check(self) -> None:
        """Raises ``Violation``."""
        self.invariants.check()

    def comes_to_rest(self, writer: int = 0) -> None:
        """All requests end, everything is seen, the wait is over: used is what is live, and nothing else is left."""
        for replica in self.replicas:
            replica.connection.writes.open()
        self.loop.until_idle()
        for request in self.requests:
            self.finish(request)
            request.fail()
        for number, controller in enumerate(self.controllers):
            self.goes_on(number)
            if not controller.began:
                controller.begin()
            controller.lists_anew()
            controller.catches_up()
        self.check()
        for _ in range(self.rounds):
            for name in self._leaves_first():
                self.writes(name, writer)
            self.controllers[writer].catches_up()
            self.pass_time(80)
        for name in self._leaves_first():
            self.writes(name, writer)
        self.invariants.check_at_rest()

    def _leaves_first(self) -> list[str]:
        parents = {name: self.storage.raw(name)["spec"].get("parentBizGroup") for name in self.storage.names()}

        def depth(name: str) -> int:
            parent = parents.get(name)
            return 0 if not parent else 1 + depth(parent)

        return sorted(parents, key=depth, reverse=True)

    # --- helpers ---

    def _new_controller(self) -> Watcher:
        return self.new_watcher(self.storage, self.clock, self.loop)

    def _stored(self, raw: JSON) -> None:
        versions = self.storage.versions[raw["metadata"]["name"]]
        before = versions[-2] if len(versions) > 1 else None
        if is_bizrq(raw) and before is not None:
            self.invariants.hard_changed(before, raw)

    def uid_of(self, name: str) -> str:
        """The UID of an object that is there."""
        now = self.storage.current(name)
        assert now is not None
        return str(now["metadata"]["uid"])

    def _reference(self, owner: str) -> JSON:
        uid = self.uid_of(owner)
        return {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": uid, "controller": True}

    def _uid(self, name: str) -> str:
        self._uids += 1
        return f"uid-{name}-{self._uids}"

    def _bizrq(self, name: str, parent: str, hard: Mapping[str, int | None]) -> JSON:
        return bizrq(name, parent=parent or None, hard=_hard(**hard), created=NOW, uid=self._uid(name))

    def _workload(self, name: str, under: str | None, cpu: int, memory: int, replicas: int) -> JSON:
        template = pod_spec(container(requests={"cpu": str(cpu), "memory": str(memory)}))
        return workload(name, bizrq=under, replicas=replicas, template=template, uid=self._uid(name), generation=1)
