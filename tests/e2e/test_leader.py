"""[R4] two controllers with one Lease on the real API server: one works, and the other takes over."""

from __future__ import annotations

import functools
import json
import threading
import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bizrq.cluster.leases import FLOOR_ANNOTATION
from bizrq.controller.leader import LEASE_NAME, LEASE_SECONDS
from bizrq.domain.floor import read_floor
from testbed import operator_process
from testbed.identities import NAMESPACE
from tests.support.bizrqs import ONE_CORE, bizrq, labels_for, tree
from tests.support.fault_proxy import FaultProxy, Rule
from tests.support.kube import deployment, wait_until
from tests.support.recorder import Recorder

pytestmark = pytest.mark.e2e

HANDED_OVER = 3.0
"""Seconds within which the other one leads, once the leader lets go."""

TAKEN_OVER = 20.0
"""Seconds within which it leads once the leader was killed.

Both look every 2.4 s at most: the last renewal is seen that much later, and so is it that it stood still for 15 s.
"""


class Pair:
    """Two controllers, of which either may be started anew."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.running = []

    def start(self):
        made = self.cluster.start_operator(["--resync-seconds=5"], lease_namespace=NAMESPACE)
        self.running.append(made)
        return made

    def metric(self, one, name, **labels):
        families = text_string_to_metric_families(requests.get(one.metrics_url, timeout=10).text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def leads(self, one):
        return self.metric(one, "bizrq_leader") == 1

    def writes(self, one):
        return self.metric(one, "bizrq_status_writes_total")

    def until_leads(self, one, seconds):
        wait_until(lambda: self.leads(one), f"{one.name} leads", seconds)

    def lease(self):
        text = self.cluster.kubectl("get", "lease", LEASE_NAME, f"--namespace={NAMESPACE}", "--output=json")
        return json.loads(text)

    def delete_lease(self):
        self.cluster.kubectl("delete", "lease", LEASE_NAME, f"--namespace={NAMESPACE}", "--ignore-not-found")

    def end(self):
        for each in self.running:
            if each.exit_code() is None:
                each.kill9()
        self.delete_lease()


@pytest.fixture
def pair(cluster):
    made = Pair(cluster)
    made.delete_lease()
    yield made
    made.end()


@pytest.fixture
def leader(pair):
    """The one that was started first, and so leads."""
    made = pair.start()
    pair.until_leads(made, 10)
    return made


@pytest.fixture
def standby(pair, leader):
    return pair.start()


@pytest.fixture
def group(admin, pair, namespace):
    """A bizrq of the test's own: pods of the test before may still be on their way out."""
    hard = {"limits.cpu": "100", "pods": "200", "cash/limits.cpu": "1000"}
    with tree(bizrq(admin, f"led-{namespace}", hard)) as (made,):
        yield made
        if not any(each.exit_code() is None for each in pair.running):
            pair.until_leads(pair.start(), 20)  # it must be let go


@pytest.fixture
def web(admin, namespace, group):
    """A Deployment, scaled by a call; waits until the status says so."""
    made = deployment(admin, "web", namespace=namespace, replicas=1, labels=labels_for(group.name), spec=ONE_CORE)
    made.create()

    def scale(replicas, seconds=5.0):
        made.reload()
        made.patch({"spec": {"replicas": replicas}})
        wait_until(lambda: group.used("limits.cpu") == str(replicas), f"{replicas} are counted", seconds)

    scale(2)
    return scale


def process_of(group):
    return group.status()["writer"].partition(".")[0]


def test_one_of_two_controllers_writes(pair, leader, standby, group, web):
    assert not pair.leads(standby)
    for replicas in (5, 12, 3):
        web(replicas)
    wait_until(lambda: pair.metric(standby, "bizrq_resyncs_total", outcome="done"), "the standby has resynced", 20)
    assert pair.writes(leader) > 3
    assert pair.writes(standby) == 0
    assert pair.metric(standby, "bizrq_drift_corrected_total") == 0  # its own watches are up to date


def test_a_leader_that_is_told_to_end_hands_over_at_once(pair, leader, standby, group, web):
    first = process_of(group)
    assert leader.terminate() == 0
    pair.until_leads(standby, HANDED_OVER)
    web(7)
    assert process_of(group) != first
    lease = pair.lease()["spec"]
    assert (lease["leaseTransitions"], lease["leaseDurationSeconds"]) == (1, LEASE_SECONDS)


def test_a_killed_leader_is_followed_once_its_lease_has_stood_still(pair, leader, standby, group, web):
    leader.kill9()
    pair.until_leads(standby, TAKEN_OVER)
    web(4)


def test_the_last_controller_lets_go_so_that_the_next_start_leads_at_once(pair, leader):
    assert leader.terminate() == 0
    assert pair.lease()["spec"].get("holderIdentity", "") == ""
    pair.until_leads(pair.start(), HANDED_OVER)


@pytest.fixture
def proxy(cluster, tmp_path):
    """Between both controllers and the API server."""
    operator_process.install(cluster.kubectl)
    with FaultProxy(cluster.kubeconfigs["bizrq-controller"], tmp_path) as made:
        yield made


@pytest.fixture
def old_and_new(cluster, pair, proxy, tmp_path):
    """The one that leads, and the one that stands by."""
    both = []
    for name in ("old", "new"):
        made = operator_process.start(
            cluster.state,
            proxy.kubeconfig,
            f"{name}-{tmp_path.name}",
            ["--resync-seconds=5", f"--lease-namespace={NAMESPACE}"],
        )
        pair.running.append(made)
        both.append(made)
        pair.until_leads(both[0], 10)
    return both


@pytest.mark.parametrize(("first", "then"), [("new", "old"), ("old", "new")], ids=["late", "in between"])
def test_a_write_of_a_paused_leader_that_comes_late_does_no_harm(
    admin, cluster, pair, proxy, old_and_new, group, web, namespace, first, then
):
    """[C4, R4] It is held on its way, while its sender is stopped and the other one leads.

    Once the other one has written, it conflicts. Before, it is taken, and the other one counts anew.
    """
    old, new = old_and_new
    uid = cluster.kubectl("get", "deployment/web", f"--namespace={namespace}", "--output=jsonpath={.metadata.uid}")
    pass_on = {name: threading.Event() for name in ("old", "new")}
    writes = {name: Rule(f"/{group.name}/status", held=event) for name, event in pass_on.items()}
    with Recorder(admin) as recorder:
        with proxy.spoil(*writes.values()):
            cluster.kubectl("scale", "deployment/web", "--replicas=5", f"--namespace={namespace}")
            wait_until(lambda: writes["old"].hits, "the leader writes")
            old.pause()
            pair.until_leads(new, TAKEN_OVER)
            wait_until(lambda: writes["new"].hits, "the other one writes")
            for each in (first, then):
                pass_on[each].set()
                wait_until(functools.partial(getattr, writes[each], "answered"), f"that of the {each} one is answered")
        assert (writes[first].answered, writes[then].answered) == ([200], [409])
        wait_until(lambda: group.used("limits.cpu") == "5", "what is there is counted")
        web(9)
        second = process_of(group)
        old.resume()
        web(6)  # what the old one missed, and this, comes to its watches now
        wait_until(lambda: not pair.leads(old), "it has noticed")
        before = pair.writes(old)
        web(8)
        assert pair.writes(old) == before
        assert process_of(group) == second
        assert pair.leads(new)
        web(0)
        wait_until(lambda: recorder.saw_all_go(namespace), "all pods are gone")
        cost = recorder.cost({uid: {"limits.cpu": 1000}})
        assert cost.pods >= 9
        group.until_ledger_says(cost)


@pytest.mark.parametrize("fault", [{"status": 503}, {"abort": True}], ids=["an error", "no answer"])
def test_a_leader_that_is_cut_off_from_its_lease_stops_before_another_begins(cluster, pair, tmp_path, fault):
    operator_process.install(cluster.kubectl)
    with FaultProxy(cluster.kubeconfigs["bizrq-controller"], tmp_path) as proxy:
        cut_off = operator_process.start(
            cluster.state, proxy.kubeconfig, f"cut-off-{tmp_path.name}", [f"--lease-namespace={NAMESPACE}"]
        )
        pair.running.append(cut_off)
        pair.until_leads(cut_off, 10)
        standby = pair.start()
        with proxy.spoil(Rule(f"/leases/{LEASE_NAME}", times=1000, **fault)):
            wait_until(lambda: not pair.leads(cut_off), "it has stopped", LEASE_SECONDS)
            assert not pair.leads(standby)
            pair.until_leads(standby, LEASE_SECONDS)
            assert pair.metric(cut_off, "bizrq_lease_failures_total") > 1
        assert cut_off.exit_code() is None  # it goes on as a standby ...
        assert standby.terminate() == 0
        pair.until_leads(cut_off, HANDED_OVER)  # ... that takes over
        assert cut_off.terminate() == 0


def test_a_paused_standby_takes_nothing_when_it_comes_back(pair, leader, standby):
    standby.pause()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > LEASE_SECONDS, "longer than a Lease stands", LEASE_SECONDS + 5)
    version = int(pair.lease()["metadata"]["resourceVersion"])
    standby.resume()
    wait_until(lambda: int(pair.lease()["metadata"]["resourceVersion"]) > version + 2, "renewed again and again")
    assert pair.leads(leader)
    assert not pair.leads(standby)
    assert pair.lease()["spec"]["leaseTransitions"] == 0


def test_the_floor_rises_with_the_pods_and_never_goes_back_whoever_holds_the_lease(pair, leader, standby, group, web):
    """[C4] every renewal puts it just below the oldest event that no stored status covers."""

    def floor():
        text = pair.lease()["metadata"].get("annotations", {}).get(FLOOR_ANNOTATION, "")
        found = read_floor(text)
        return found.version if found else -1

    first = wait_until(lambda: max(0, floor()), "there is a floor", 20)
    web(3)
    raised = wait_until(lambda: floor() if floor() > first else None, "what happened to pods has raised it", 30)
    assert leader.terminate() == 0
    pair.until_leads(standby, HANDED_OVER)
    assert floor() >= raised
    web(5)
    wait_until(lambda: floor() > raised, "the next one raises it too", 30)


def test_a_deleted_lease_is_made_anew(pair, leader, standby):
    pair.delete_lease()
    there = ["get", "lease", f"--namespace={NAMESPACE}", "--output=name"]
    wait_until(lambda: pair.cluster.kubectl(*there), "there is one again", 10)
    wait_until(lambda: [pair.leads(each) for each in (leader, standby)].count(True) == 1, "one leads", 20)


def test_without_a_lease_each_controller_leads(cluster):
    one = cluster.start_operator()
    try:
        pair = Pair(cluster)
        assert pair.leads(one)
        assert pair.metric(one, "bizrq_lease_failures_total") == 0
    finally:
        assert one.terminate() == 0
