"""[P5] a charge never falls faster than the pods leave: sentence by sentence, one controller driven by hand."""

from typing import Any

import pytest

from bizrq.cluster.errors import Unavailable
from tests.support.build import NOW, bizrq, metadata, pod, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller, job, job_pod

HARD = {"limits.cpu": "10", "pods": "10", "count/deployments.apps": "5", "limits.cpu.A4": "10"}
SPEC: dict[str, Any] = {"generation": 1, "status": {"observedGeneration": 1}}


@pytest.fixture
def store():
    store = CasStore()
    store.put(bizrq("team", hard=HARD, created=NOW - 3600))
    store.put(bizrq("other", hard=HARD, created=NOW - 3600))
    return store


class Cluster:
    """Deployment web of so many pods under bizrq team, and whoever controls it now."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock
        self.version = 100
        self.pods = {}
        self.replica_sets = [self.replica_set("rs-1")]
        self.deployment = None
        self.controller = self.new_controller()

    def new_controller(self):
        controller = Controller(self.store, self.clock)
        known = [] if self.deployment is None else [self.deployment]
        controller.start(list(self.pods.values()), self.version, workloads=known, replica_sets=self.replica_sets)
        controller.see(*self.store.names())
        if self.deployment is not None:
            controller.reads.workloads["deployments.apps", "shop", "web"] = self.deployment
        return controller

    def replica_set(self, name, of="uid-web"):
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": of}
        return {"metadata": metadata(name, controller=owner)}

    def restart(self):
        self.controller = self.new_controller()

    def put(self, **fields):
        self.version += 1
        raw = workload("web", template=ONE_CORE, version=self.version, **{**SPEC, **fields})
        self.deployment = raw
        self.controller.workload(raw)
        return raw

    def delete(self, *, seen=True):
        self.version += 1
        raw, self.deployment = self.deployment, None
        if seen:
            self.controller.workload_deleted(raw, self.version)

    def pod(self, name, *, of="rs-1", seen=True, **fields):
        self.version += 1
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": of, "uid": f"uid-{of}"}
        raw = pod(name, spec=ONE_CORE, phase=fields.pop("phase", "Running"), node="n", scheduled=NOW,
                  version=self.version, controller=owner, **fields)  # fmt: skip
        self.pods[name] = raw
        if seen:
            self.controller.pod(raw)

    def pod_gone(self, *names):
        for name in names:
            self.version += 1
            raw = self.pods.pop(name)
            self.controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}})

    async def used(self, name="team"):
        return (await self.controller.write(name))["used"]["limits.cpu"]

    def lines(self, name="team"):
        return self.store.status(name).get("leftovers", [])


@pytest.fixture
async def cluster(store, clock):
    """Three replicas, three pods, counted."""
    cluster = Cluster(store, clock)
    cluster.put(replicas=3)
    for name in "abc":
        cluster.pod(name)
    assert await cluster.used() == "3"
    assert cluster.lines() == []
    return cluster


# --- what shrinks, ends or goes --------------------------------------------------------------------------------------


async def test_a_deployment_that_is_scaled_down_stays_charged_until_its_pods_are_gone(cluster):
    cluster.put(replicas=1)
    assert await cluster.used() == "3"
    (line,) = cluster.lines()
    assert line == (
        "1 uid-web deployments.apps/shop/web uid-rs-1 // "
        "cpu=3,limits.cpu=3,limits.memory=3Gi,memory=3Gi,pods=3,requests.cpu=3,requests.memory=3Gi"
    )
    cluster.pod_gone("a")
    assert await cluster.used() == "2"
    cluster.pod_gone("b")
    assert await cluster.used() == "1"
    assert cluster.lines() == []


async def test_a_deleted_one_too_but_for_its_count(cluster, store):
    """No pod is a workload: what is counted by kind falls at once."""
    cluster.delete()
    assert await cluster.used() == "3"
    assert store.status("team")["used"]["count/deployments.apps"] == "0"
    assert store.status("team")["used"]["pods"] == "3"
    cluster.pod_gone("a", "b", "c")
    assert await cluster.used() == "0"
    assert cluster.lines() == []


async def test_an_orphaning_delete_releases_nothing(cluster):
    """Its ReplicaSet lives on without an owner, and goes on making pods."""
    cluster.delete()
    cluster.controller.replica_set({"metadata": metadata("rs-1", version=150)})
    cluster.pod_gone("a")
    cluster.pod("d")
    assert await cluster.used() == "3"


async def test_a_label_that_is_lost_releases_nothing(cluster):
    """A watch tells it as DELETED, and the pods run on."""
    cluster.controller.workload_deleted(cluster.deployment, cluster.version + 1)
    assert await cluster.used() == "3"
    cluster.restart()
    cluster.controller.workload_deleted(cluster.deployment, cluster.version + 1)
    assert await cluster.used() == "3"


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, id="finished"),
        pytest.param({"status": {"conditions": [{"type": "Failed", "status": "True"}]}}, id="failed"),
    ],
)
async def test_a_finished_job_is_charged_while_its_pods_are_not_terminal(cluster, ends):
    controller = cluster.controller
    controller.workload(job(version=200))
    controller.pod(job_pod("j", scheduled=NOW, version=201))
    await controller.write("team")
    controller.workload(job(version=202, **ends))
    assert await cluster.used() == "4"
    controller.pod(job_pod("j", scheduled=NOW, version=203, phase="Succeeded", finished=[NOW + 5]))
    assert await cluster.used() == "3"
    assert cluster.lines() == []


async def test_a_suspended_job_is_charged_until_its_pods_are_gone(cluster):
    controller = cluster.controller
    controller.workload(job(version=200))
    controller.pod(job_pod("j", scheduled=NOW, version=201))
    await controller.write("team")
    suspended = job(version=202)
    suspended["spec"]["suspend"] = True
    controller.workload(suspended)
    assert await cluster.used() == "4"
    controller.pod_deleted(job_pod("j", scheduled=NOW, version=203))
    assert await cluster.used() == "3"


async def test_a_pod_past_its_cut_holds_nothing(cluster, clock):
    """Of a lost node nobody will ever tell the end."""
    cluster.put(replicas=2)
    cluster.pod("a", deletion=NOW + 30, grace=30)
    assert await cluster.used() == "3"
    clock.time += 61
    assert await cluster.used() == "2"


async def test_surge_over_an_unchanged_demand_adds_nothing(cluster):
    cluster.pod("surge")
    assert await cluster.used() == "3"
    cluster.put(replicas=2)
    assert await cluster.used() == "3", "what was charged before, not all that runs"


async def test_a_move_to_another_bizrq_releases_at_once(cluster):
    cluster.put(replicas=3, bizrq="other")
    assert await cluster.used() == "0"
    assert await cluster.used("other") == "3"
    assert cluster.lines() == cluster.lines("other") == []


async def test_a_leftover_goes_when_its_uid_is_seen_under_another_bizrq(cluster):
    cluster.put(replicas=1)
    assert await cluster.used() == "3"
    cluster.put(replicas=1, bizrq="other")
    assert await cluster.used() == "0"
    assert cluster.lines() == []


async def test_another_object_of_the_name_is_charged_besides(cluster):
    cluster.delete()
    await cluster.controller.write("team")
    cluster.put(replicas=2, uid="uid-web-2")
    assert await cluster.used() == "5"
    cluster.pod_gone("a", "b", "c")
    assert await cluster.used() == "2"


async def test_a_model_is_charged_as_long_as_the_pods(cluster, store):
    cluster.put(replicas=3, cpu_type="A4")
    await cluster.controller.write("team")
    cluster.delete()
    await cluster.controller.write("team")
    assert store.status("team")["used"]["limits.cpu.A4"] == "3"
    assert " A4// " in cluster.lines()[0]
    cluster.restart()
    await cluster.controller.write("team")
    assert store.status("team")["used"]["limits.cpu.A4"] == "3"


# --- views -----------------------------------------------------------------------------------------------------------


async def test_a_view_of_pods_older_than_that_of_the_workload_lowers_nothing(cluster):
    cluster.put(replicas=5)
    await cluster.controller.write("team")
    cluster.pod("d", seen=False)
    cluster.put(replicas=3)
    cluster.controller.reads.pods_at = cluster.version
    assert await cluster.used() == "5"
    cluster.controller.pod(cluster.pods["d"])
    cluster.controller.inventory.pods.passed(cluster.version, NOW)
    assert await cluster.used() == "4"


async def test_where_nothing_happens_to_pods_their_namespace_is_compared_after_a_second(cluster, clock):
    """A bookmark would come within a minute."""
    reads = cluster.controller.reads
    cluster.put(replicas=2)
    cluster.pod_gone("a")
    reads.pods_at = cluster.version + 1000
    reads.pods = {"shop": {raw["metadata"]["uid"]: int(raw["metadata"]["resourceVersion"])
                           for raw in cluster.pods.values()}}  # fmt: skip
    assert await cluster.used() == "3"
    clock.waited += 1.0
    assert await cluster.used() == "2"


async def test_a_comparison_that_shows_an_unseen_pod_proves_nothing(cluster, clock):
    reads = cluster.controller.reads
    cluster.put(replicas=2)
    cluster.pod_gone("a")
    reads.pods_at = cluster.version + 1000
    reads.pods = {"shop": {"uid-unseen": cluster.version}}
    await cluster.used()
    clock.waited += 1.0
    assert await cluster.used() == "3"
    clock.waited += 1.0
    reads.pods = {}
    assert await cluster.used() == "3", "the next comparison is two seconds after the first"
    clock.waited += 1.0
    assert await cluster.used() == "2"


async def test_the_fall_waits_for_observed_generation(cluster):
    """Its controller may still make pods of the old demand; that it saw the new one wakes the bizrq."""
    cluster.put(replicas=1, generation=2)
    cluster.pod_gone("a", "b")
    assert await cluster.used() == "3"
    cluster.controller.woken.clear()
    cluster.put(replicas=1, generation=2, status={"observedGeneration": 2})
    assert cluster.controller.woken == {"team"}
    assert await cluster.used() == "1"


# --- restarts --------------------------------------------------------------------------------------------------------


async def test_a_line_outlives_the_process_and_tells_whose_its_pods_are(cluster, clock):
    """Workload and ReplicaSet are gone; the pods are charged, also in cash, and their end wakes the bizrq."""
    clock.time += 10
    cluster.delete()
    assert await cluster.used() == "3"
    cluster.replica_sets = []
    cluster.restart()
    clock.time += 10
    assert await cluster.used() == "3"
    cluster.controller.woken.clear()
    cluster.pod_gone("a", "b", "c")
    assert cluster.controller.woken == {"team"}
    assert await cluster.used() == "0"


async def test_hours_are_charged_over_a_restart_by_the_line(cluster, clock, store):
    """[C5, C7] the pod keeps the bizrq it was attributed to."""
    store.put(bizrq("team", hard={**HARD, "cash/limits.cpu": "100"}, created=NOW - 3600, status=store.status("team")))
    cluster.controller.see("team")
    cluster.delete()
    await cluster.controller.write("team")
    cluster.replica_sets = []
    cluster.restart()
    clock.time += 60
    status = await cluster.controller.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": str(3 * 1000 * 60)}


async def test_a_pod_made_after_its_workload_went_is_nobody_s(cluster):
    """A line tells of pods that were there at the start; one made in that very second may have been."""
    cluster.delete()
    await cluster.controller.write("team")
    cluster.replica_sets = []
    cluster.restart()
    cluster.pod("late", created=NOW + 1)
    assert len(list(cluster.controller.inventory.pods.of("team"))) == 3


async def test_what_went_while_no_controller_ran_is_charged_until_its_pods_are_gone(cluster):
    cluster.delete(seen=False)
    cluster.replica_sets = []
    cluster.restart()
    assert await cluster.used() == "3"
    assert cluster.lines() == [], "nobody knows what to name"
    cluster.pod_gone("a")
    assert await cluster.used() == "2"
    cluster.pod_gone("b", "c")
    assert await cluster.used() == "0"


async def test_pods_of_an_unlabelled_workload_that_is_there_are_nobody_s(cluster):
    """[P5] what used held for one that went is released, whatever else runs in the cluster."""
    cluster.delete(seen=False)
    cluster.pods.clear()
    cluster.pod("x", of="rs-free", seen=False)
    cluster.replica_sets = [cluster.replica_set("rs-free", of="uid-free")]
    cluster.restart()
    cluster.controller.reads.owners = {"uid-free", "uid-rs-free"}
    assert await cluster.used() == "0"


async def test_a_scale_down_that_no_controller_saw_is_charged_until_the_pods_are_gone(cluster):
    cluster.delete(seen=False)
    raw = workload("web", template=ONE_CORE, version=190, replicas=1, **SPEC)
    cluster.deployment = raw
    cluster.version = 190
    cluster.restart()
    assert await cluster.used() == "3"
    cluster.pod_gone("a")
    assert await cluster.used() == "2"
    cluster.pod_gone("b")
    assert await cluster.used() == "1"


@pytest.mark.parametrize("stored", [False, True])
async def test_killed_before_or_after_the_write_that_names_it(cluster, store, stored):
    cluster.delete()
    if stored:
        store.lost_answers = 1
    else:
        store.refused_writes = 1
    with pytest.raises(Unavailable):
        await cluster.controller.write("team")
    assert bool(cluster.lines()) is stored
    cluster.restart()
    assert await cluster.used() == "3"
    cluster.pod_gone("a", "b", "c")
    assert await cluster.used() == "0"


@pytest.mark.parametrize("stored", [False, True])
async def test_a_write_that_failed_forgets_nothing(cluster, store, stored):
    """The same process tries again."""
    cluster.delete()
    store.lost_answers, store.refused_writes = int(stored), int(not stored)
    with pytest.raises(Unavailable):
        await cluster.controller.write("team")
    assert await cluster.used() == "3"
    assert len(cluster.lines()) == 1


async def test_a_status_that_somebody_else_wrote_is_believed_line_by_line(cluster, store):
    """[R4] what this process charged before says nothing any more; used and its lines do."""
    cluster.delete()
    status = store.status("team")
    store.put({**store.raw("team"), "status": {**status, "writer": "other.1"}})
    cluster.controller.see("team")
    cluster.controller.reads.workloads = {}
    assert await cluster.used() == "3"
    assert cluster.lines() == [], "charged, but not by name"
    cluster.pod_gone("a", "b", "c")
    assert await cluster.used() == "0"


# --- what it costs ---------------------------------------------------------------------------------------------------


async def test_where_nothing_fell_nothing_is_asked_and_no_pod_is_looked_at(cluster, monkeypatch):
    reads, pods = cluster.controller.reads, cluster.controller.inventory.pods
    asked: list[Any] = []
    for name in ("pods_version", "pods_in", "uids_of"):
        monkeypatch.setattr(reads, name, asked.append)
    monkeypatch.setattr(type(pods), "held_under", lambda *_: asked.append("held"))
    monkeypatch.setattr(type(pods), "strangers", lambda *_: asked.append("strangers"))
    cluster.put(replicas=5)
    assert await cluster.used() == "5"
    assert asked == []


async def test_owners_are_listed_once_after_a_start(cluster, monkeypatch):
    cluster.delete(seen=False)
    cluster.replica_sets = []
    cluster.restart()
    reads, listed = cluster.controller.reads, []
    uids_of = reads.uids_of

    async def counting(kinds):
        listed.append(kinds)
        return await uids_of(kinds)

    monkeypatch.setattr(reads, "uids_of", counting)
    for _ in range(3):
        assert await cluster.used() == "3"
    assert len(listed) == 1


async def test_what_changes_under_names_that_no_bizrq_has_is_not_kept(cluster):
    workloads = cluster.controller.inventory.workloads
    cluster.put(replicas=1, bizrq="nobody", uid="u2")
    cluster.put(replicas=2, bizrq="nobody", uid="u2")
    cluster.controller.inventory.sweep(NOW)
    assert workloads.take_before("nobody") == {}
