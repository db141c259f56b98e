"""Whatever people, makers of pods and controllers do in whatever order: used covers what pods hold, and ends exact.

Hypothesis draws the runs: two bizrqs, three names of workloads, two controllers whose views of workloads and of pods
lag each by itself; pods are made and end at any time; controllers restart.
"""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.world.pods import PodWorld

WORKLOADS = ("w0", "w1", "w2")

bizrqs = st.sampled_from(["A", "B"])
workloads = st.sampled_from(WORKLOADS)
sizes = st.integers(0, 3)
either = st.sampled_from([0, 0, 1])


class Cluster(RuleBasedStateMachine):
    """A world in which anything may happen next."""

    def __init__(self):
        super().__init__()
        self.world = PodWorld(controllers=2)
        self.world.has_bizrq("A", cpu=5)
        self.world.has_bizrq("B", cpu=3)
        for name, under in (("w0", "A"), ("w1", "B")):
            self.world.has_workload(name, under, cpu=1)
            self.world.makes(f"{name}-first", self.world.uid(name))
        self.world.begins()
        self.pods = 0

    def teardown(self):
        self.world.close()

    def is_there(self, name):
        return self.world.storage.current(name) is not None

    @invariant()
    def all_holds(self):
        self.world.check()

    # --- people ---

    @rule(name=workloads, under=bizrqs, size=sizes, happens=st.sampled_from([True, True, True, False]))
    def create(self, name, under, size, happens):
        request = self.world.create(name, under, cpu=1, replicas=size)
        if happens:
            self.world.finish(request)
        request.fail()

    @rule(name=workloads, size=sizes, happens=st.sampled_from([True, True, True, False]))
    def scale(self, name, size, happens):
        if self.is_there(name):
            request = self.world.scale(name, size)
            if happens:
                self.world.finish(request)
            request.fail()

    @rule(name=workloads)
    def delete(self, name):
        if self.is_there(name):
            self.world.finish(self.world.delete(name))

    @rule(name=workloads, to=bizrqs)
    def move(self, name, to):
        if self.is_there(name):
            self.world.finish(self.world.move(name, to))

    # --- makers of pods ---

    @rule(name=workloads, count=st.integers(1, 3))
    def pods_are_made(self, name, count):
        if self.is_there(name):
            for _ in range(count):
                self.pods += 1
                self.world.makes(f"p{self.pods}", self.world.uid(name))

    @precondition(lambda self: self.world.storage.pods)
    @rule(data=st.data())
    def a_pod_ends(self, data):
        self.world.ends(data.draw(st.sampled_from(sorted(self.world.storage.pods))))

    # --- controllers ---

    @rule(name=workloads | bizrqs, who=either)
    def sees(self, name, who):
        if name in self.world.storage.events and self.world.controllers[who].is_behind(name):
            self.world.sees(name, who)

    @rule(who=either)
    def sees_pods(self, who):
        self.world.sees_pods(who)

    @precondition(lambda self: any(each.lacks_pods for each in self.world.controllers))
    @rule()
    def sees_a_pod(self):
        for each in self.world.controllers:
            if each.lacks_pods:
                each.sees_a_pod()

    @rule(name=bizrqs, who=either)
    def writes(self, name, who):
        self.world.writes(name, who)

    @rule(who=either)
    def restarts(self, who):
        self.world.restarts(who)

    @rule(seconds=st.sampled_from([0.6, 20.0, 61.0]))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    @rule(who=either)
    def everything_ends(self, who):
        """I6: the pods are gone, everything is seen."""
        world = self.world
        for name in list(world.storage.pods):
            world.ends(name)
        world.comes_to_rest(who)
        for name in ("A", "B"):
            world.check_nothing_is_left(name)


@pytest.fixture(autouse=True)
def quiet():
    """Conflicts and views that lag are told in the log; here they are the normal case."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


Cluster.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes minutes
)
TestCluster = Cluster.TestCase
