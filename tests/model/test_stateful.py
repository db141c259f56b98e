"""Whatever people, processes and the network do in whatever order: no more than hard, and in the end exactly used.

Hypothesis draws the runs: requests for a tree of three levels and three workloads, two replicas of the webhook and two
controllers, each of whose steps happens now or later; answers are lost, controllers restart, lists arrive late.
"""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.world.storage import STAGES
from tests.support.world.world import World

PARENTS = {"root": "", "left": "root", "right": "root", "leaf": "left"}
WORKLOADS = ("w0", "w1", "w2")

bizrqs = st.sampled_from(tuple(PARENTS))
workloads = st.sampled_from(WORKLOADS)
objects = bizrqs | workloads
amounts = st.integers(0, 4)
hards = st.integers(0, 8)
_REQUESTS_BEFORE_A_REST = 8

either = st.sampled_from([0, 0, 1])
stages = st.sampled_from(STAGES)
far = st.sampled_from(["all the way", "all the way", "reviewed", "come in"])
"""How far a request gets in its first step."""
requests = st.fixed_dictionaries({"replica": either, "on": st.sampled_from([-1, -1, -1, -2])})


class Cluster(RuleBasedStateMachine):
    """A world in which anything may happen next."""

    def __init__(self):
        super().__init__()
        self.world = World(replicas=2, controllers=2)
        self.world.has_bizrq("root", cpu=9, memory=9)
        self.world.has_bizrq("left", "root", cpu=7, memory=7)
        self.world.has_bizrq("leaf", "left", cpu=4, memory=4)
        for name, under in (("w0", "leaf"), ("w1", "left"), ("w2", "leaf")):
            self.world.has_workload(name, under, cpu=1, memory=1)
        self.world.begins()

    def teardown(self):
        self.world.close()

    def is_there(self, name, on=-1):
        versions = self.world.storage.versions.get(name, [])
        return len(versions) >= -on and versions[on] is not None

    def under_way(self):
        return [each for each in self.world.requests if not each.is_over]

    def goes(self, far, ask, *what, how, **more):
        """A request comes in, and goes so far."""
        request = ask(*what, **more, how={**how, "reviewed": far != "come in"})
        if far == "all the way":
            self.world.finish(request)

    # --- people ---

    @rule(name=workloads, under=bizrqs, cpu=amounts, memory=amounts, far=far, how=requests)
    def create(self, name, under, cpu, memory, far, how):
        self.goes(far, self.world.create, name, under, cpu=cpu, memory=memory, how=how)

    @rule(name=workloads, owner=workloads, under=bizrqs, cpu=amounts, far=far, how=requests)
    def create_child(self, name, owner, under, cpu, far, how):
        """Nobody believes it [A8]."""
        if self.is_there(owner):
            self.goes(far, self.world.create, name, under, cpu=cpu, owner=owner, how=how)

    @rule(name=workloads, owner=workloads, far=far, how=requests)
    def give_owner(self, name, owner, far, how):
        """Nor this [A8]."""
        if self.is_there(name, how["on"]) and self.is_there(owner):
            self.goes(far, self.world.give_owner, name, owner, how=how)

    @rule(name=workloads, cpu=amounts, memory=st.none() | amounts, put=st.booleans(), far=far, how=requests)
    def change(self, name, cpu, memory, put, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.change, name, cpu=cpu, memory=memory, put=put, how=how)

    @rule(name=workloads, cpu=amounts, far=far, how=requests)
    def grow(self, name, cpu, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.change, name, cpu=cpu, how=how)

    @rule(name=workloads, to=st.none() | bizrqs | bizrqs, far=far, how=requests)
    def move(self, name, to, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.move, name, to, how=how)

    @rule(name=workloads, replicas=st.integers(0, 3), far=far, how=requests)
    def scale(self, name, replicas, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.scale, name, replicas, how=how)

    @rule(name=objects, far=far, how=requests)
    def delete(self, name, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.delete, name, how=how)

    @rule(name=bizrqs, cpu=hards, memory=st.none() | hards | hards, far=far, how=requests)
    def create_bizrq(self, name, cpu, memory, far, how):
        self.goes(far, self.world.create_bizrq, name, PARENTS[name], cpu=cpu, memory=memory, how=how)

    @rule(name=bizrqs, cpu=hards, memory=st.none() | hards | hards, far=far, how=requests)
    def set_hard(self, name, cpu, memory, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.set_hard, name, cpu=cpu, memory=memory, how=how)

    @rule(name=workloads)
    def touch(self, name):
        if self.is_there(name):
            self.world.touch(name)

    # --- the API server ---

    @precondition(under_way)
    @rule(number=st.integers(0, 20))
    def go_on(self, number):
        requests = self.under_way()
        request = requests[number % len(requests)]
        if request.is_allowed:
            self.world.persist(request)
        elif request.is_waiting:
            self.world.review(request)

    @precondition(under_way)
    @rule(number=st.integers(0, 20))
    def finish(self, number):
        requests = self.under_way()
        self.world.finish(requests[number % len(requests)])

    @precondition(under_way)
    @rule(number=st.integers(0, 20))
    def fail(self, number):
        requests = self.under_way()
        requests[number % len(requests)].fail()

    @rule(replica=st.none() | either, controller=either)
    def lose_an_answer(self, replica, controller):
        processes = self.world.controllers if replica is None else self.world.replicas
        processes[controller if replica is None else replica].connection.lost_answers = 1

    @rule(replica=either)
    def hold_or_let_go(self, replica):
        gate = self.world.replicas[replica].connection.writes
        if gate.is_open:
            gate.shut()
        else:
            gate.open()
            self.world.loop.until_idle()

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0, 20.0, 61.0]))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    # --- controllers ---

    @rule(name=objects, controller=either, everything=st.booleans())
    def see(self, name, controller, everything):
        watcher = self.world.controllers[controller]
        while name in self.world.storage.events and watcher.is_behind(name):
            watcher.sees(name)
            if not everything:
                return

    @rule(name=objects, controller=either)
    def miss(self, name, controller):
        if name in self.world.storage.events:
            self.world.controllers[controller].misses(name)

    @rule(controller=either)
    def see_all(self, controller):
        self.world.controllers[controller].catches_up()

    @rule(name=bizrqs, controller=either)
    def write(self, name, controller):
        if self.world.controllers[controller].began:
            self.world.writes(name, controller)

    @rule(controller=either)
    def write_all(self, controller):
        for name in PARENTS:
            self.write(name, controller)

    @rule(controller=either, at=st.none() | stages, name=bizrqs)
    def write_later(self, controller, at, name):
        """A controller begins a write, and stays at a list or at the write itself."""
        watcher = self.world.controllers[controller]
        gate = watcher.connection.writes if at is None else watcher.listed.gates[at]
        gate.shut()
        self.write(name, controller)

    @rule(controller=either)
    def go_on_writing(self, controller):
        self.world.goes_on(controller)

    @rule(controller=either, at=st.none() | stages)
    def list_anew(self, controller, at):
        watcher = self.world.controllers[controller]
        if at is not None:
            watcher.listed.gates[at].shut()
        if watcher.began:
            watcher.lists_anew()

    @rule(controller=either)
    def restart(self, controller):
        self.world.restarts(controller)

    # --- what must hold ---

    @invariant()
    def nothing_is_violated(self):
        self.world.check()

    @precondition(lambda self: len(self.world.requests) > _REQUESTS_BEFORE_A_REST)
    @rule(writer=either)
    def come_to_rest(self, writer):
        self.world.comes_to_rest(writer)


@pytest.fixture(autouse=True)
def quiet():
    """Conflicts and lost answers are told in the log; here they are the normal case."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


Cluster.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes minutes
)
TestCluster = Cluster.TestCase
