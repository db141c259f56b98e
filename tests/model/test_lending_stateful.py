"""Whatever people and processes do to Rollouts and the Deployments whose templates they have: no more than hard.

As ``test_stateful.py``, for demand that hangs on two objects. Deployments are not deleted here: of a Rollout without
one nobody can say what it asks for.
"""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.world.lending import LendingWorld

LENDERS, BORROWERS = ("d", "e"), ("r", "s")

_REQUESTS_BEFORE_A_REST = 6

lenders, borrowers = st.sampled_from(LENDERS), st.sampled_from(BORROWERS)
objects = lenders | borrowers
either = st.sampled_from([0, 0, 1])
far = st.sampled_from(["all the way", "all the way", "reviewed", "come in"])
requests = st.fixed_dictionaries({"replica": either, "on": st.sampled_from([-1, -1, -1, -2])})


class Lent(RuleBasedStateMachine):
    """A world in which anything may happen next."""

    def __init__(self):
        super().__init__()
        self.world = LendingWorld(replicas=2, controllers=2)
        self.world.has_bizrq("A", cpu=9, memory=9)
        for name, replicas in (("d", 0), ("e", 1)):
            self.world.has_workload(name, "A", cpu=1, memory=1, replicas=replicas)
        self.world.has_rollout("r", "A", "d")
        self.world.begins()

    def teardown(self):
        self.world.close()

    def is_there(self, name, on=-1):
        versions = self.world.storage.versions.get(name, [])
        return len(versions) >= -on and versions[on] is not None

    def under_way(self):
        return [each for each in self.world.requests if not each.is_over]

    def goes(self, far, ask, *what, how, **more):
        request = ask(*what, **more, how={**how, "reviewed": far != "come in"})
        if far == "all the way":
            self.world.finish(request)

    # --- people ---

    @rule(name=borrowers, of=lenders, replicas=st.integers(0, 3), far=far, how=requests)
    def create(self, name, of, replicas, far, how):
        self.goes(far, self.world.create_rollout, name, "A", of, replicas=replicas, how=how)

    @rule(name=lenders, cpu=st.integers(0, 4), memory=st.none() | st.integers(0, 3), put=st.booleans(), far=far,
          how=requests)  # fmt: skip
    def change(self, name, cpu, memory, put, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.change, name, cpu=cpu, memory=memory, put=put, how=how)

    @rule(name=objects, replicas=st.integers(0, 3), far=far, how=requests)
    def scale(self, name, replicas, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.scale, name, replicas, how=how)

    @rule(name=borrowers, to=lenders, far=far, how=requests)
    def refer(self, name, to, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.refer, name, to, how=how)

    @rule(name=borrowers, far=far, how=requests)
    def delete(self, name, far, how):
        if self.is_there(name, how["on"]):
            self.goes(far, self.world.delete, name, how=how)

    @rule(name=objects)
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

    @rule(replica=either)
    def hold_or_let_go(self, replica):
        gate = self.world.replicas[replica].connection.writes
        if gate.is_open:
            gate.shut()
        else:
            gate.open()
            self.world.loop.until_idle()

    @rule(seconds=st.sampled_from([1.0, 20.0, 61.0]))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    # --- controllers ---

    @rule(name=objects | st.just("A"), controller=either, everything=st.booleans())
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

    @rule(controller=either)
    def write(self, controller):
        if self.world.controllers[controller].began:
            self.world.writes("A", controller)

    @rule(controller=either)
    def list_anew(self, controller):
        watcher = self.world.controllers[controller]
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
    """Conflicts are told in the log; here they are the normal case."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


Lent.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes minutes
)
TestLent = Lent.TestCase
