"""[A8] which labelled objects are counted with their owner, whatever order their events come in."""

import itertools

import pytest

from bizrq.domain.claims import Claim
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in
from tests.support.build import amounts, bizrq, container, pod, pod_spec, read, texts, workload
from tests.support.controller import owned_object, pod_object

KINDS = {kind.kind: kind for kind in built_in()}
CORE = pod_spec(container(limits={"cpu": "1"}))
LABEL = {"biz.group.resource.quota": "team"}


def ref(kind, name, api_version="apps/v1"):
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": f"uid-{name}"}


def web(**fields):
    return workload("web", replicas=2, template=CORE, **fields)


def replica_set(owner=None, **fields):
    return workload("web-1", kind="ReplicaSet", replicas=2, template=CORE, controller=owner, **fields)


def child(owner=None, **fields):
    return pod("web-1-a", spec=CORE, labels=LABEL, controller=owner, **fields)


def mark(raw, kind):
    line = Claim(
        raw["metadata"]["uid"], 0, f"{kind}/shop/x", "2026-01-05T09:59:58.214Z", amounts({}), {}, own=True
    ).line()
    return lambda inventory: inventory.put_bizrq(read(bizrq("team", status={"claims": [line]}, version=9)))


def see(raw):
    return lambda inventory: inventory.put_workload(read_workload(raw, KINDS[raw["kind"]], DEFAULT_GPU_RESOURCES))


def see_bare(raw):
    """The watch of the metadata of what stands between."""
    return lambda inventory: inventory.owners.sink(KINDS[raw["kind"]]).changed(owned_object(raw), 0)


def watch(raw):
    """The watch of all pods."""
    return lambda inventory: inventory.pods.changed(pod_object(raw), 0)


def counted_in(order):
    inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: 0)
    for event in order:
        event(inventory)
    return texts(inventory.workloads.total("team"))


def counted(*events):
    """The total of the bizrq after these events, the same in whatever order they come."""
    totals = [counted_in(order) for order in itertools.permutations(events)]
    assert all(each == totals[0] for each in totals), totals
    return totals[0]


def of(total):
    """What is counted: pods, and objects by kind."""
    return {key: int(amount) for key, amount in total.items() if key == "pods" or key.startswith("count/")}


WEB = {"pods": 2, "count/deployments.apps": 1}
RS = {"pods": 2, "count/replicasets.apps": 1}
POD = {"pods": 1, "count/pods": 1}


@pytest.mark.parametrize(
    ("events", "total"),
    [
        pytest.param([see(web()), see(child(ref("Deployment", "web")))], WEB, id="a child"),
        pytest.param([see(web()), see(replica_set(ref("Deployment", "web"))), see(child(ref("ReplicaSet", "web-1")))],
                     WEB, id="a grandchild"),
        pytest.param([see(web()), see_bare(replica_set(ref("Deployment", "web"))),
                      see(child(ref("ReplicaSet", "web-1")))], WEB, id="over a ReplicaSet without a label"),
        pytest.param([see(replica_set()), see(child(ref("ReplicaSet", "web-1")))], RS, id="of an unowned ReplicaSet"),
        pytest.param([see(child())], POD, id="a bare pod"),
        pytest.param([see(child(ref("ReplicaSet", "web-1")))], POD, id="of an owner that nobody knows"),
        pytest.param([see(web()), see(child(ref("ConfigMap", "web", "v1")))], WEB | {"pods": 3, "count/pods": 1},
                     id="of an owner that is of another kind than it says"),
        pytest.param([see(web(namespace="other")), see(child(ref("Deployment", "web")))],
                     WEB | {"pods": 3, "count/pods": 1}, id="of an owner in another namespace"),
        pytest.param([see(web(bizrq="")), see(child(ref("Deployment", "web")))], POD, id="of an owner under no bizrq"),
        pytest.param([see(web()), see(child(ref("Deployment", "web"))), mark(child(), "pods")],
                     WEB | {"pods": 3, "count/pods": 1}, id="one that is marked as a workload of its own"),
        pytest.param([see(web()), see(replica_set(ref("Deployment", "web"))), see(child(ref("ReplicaSet", "web-1"))),
                      mark(replica_set(), "replicasets.apps")],
                     WEB | {"pods": 4, "count/replicasets.apps": 1}, id="the child of one that is marked"),
        pytest.param([see(replica_set(ref("ReplicaSet", "web-1"))), see(child(ref("ReplicaSet", "web-1")))], RS,
                     id="of one that owns itself"),
    ],
)  # fmt: skip
def test_an_object_is_counted_with_its_owner_where_that_is_counted(events, total):
    """[A8]"""
    assert of(counted(*events)) == total


def ray_job():
    raw = workload("train", kind="RayJob", api_version="ray.io/v1")
    raw["spec"] = {"submissionMode": "HTTPMode", "rayClusterSpec": {"headGroupSpec": {"template": {"spec": CORE}}}}
    return raw


def ray_cluster():
    raw = workload("ray", kind="RayCluster", api_version="ray.io/v1", controller=ref("RayJob", "train", "ray.io/v1"))
    raw["spec"] = {"headGroupSpec": {"template": {"spec": CORE}}}
    return raw


def head():
    return child(ref("RayCluster", "ray", "ray.io/v1"))


def a_job(owner):
    return workload("run", kind="Job", api_version="batch/v1", replicas=None, template=CORE, controller=owner)


def job_set():
    raw = workload("set", kind="JobSet", api_version="jobset.x-k8s.io/v1alpha2")
    raw["spec"] = {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": {"spec": CORE}}}}]}
    return raw


def cron_job():
    raw = workload("nightly", kind="CronJob", api_version="batch/v1")
    raw["spec"] = {"jobTemplate": {"metadata": {"labels": LABEL}}}
    return raw


RAY_JOB = {"pods": 1, "count/rayjobs.ray.io": 1}
JOB_SET = {"pods": 1, "count/jobsets.jobset.x-k8s.io": 1}
CRON_JOB = {"pods": 1, "count/cronjobs.batch": 1, "count/jobs.batch": 1}


@pytest.mark.parametrize(
    ("events", "total"),
    [
        pytest.param([see(ray_job()), see(ray_cluster())], RAY_JOB, id="a RayCluster with its RayJob's label"),
        pytest.param([see(ray_job()), see(ray_cluster()), see_bare(ray_cluster()), see(head())], RAY_JOB,
                     id="and its pod"),
        pytest.param([see(ray_job()), see_bare(ray_cluster()), see(head())], RAY_JOB,
                     id="a pod over a RayCluster without a label"),
        pytest.param([see(ray_job()), see(ray_cluster()), mark(ray_cluster(), "rayclusters.ray.io")],
                     RAY_JOB | {"pods": 2, "count/rayclusters.ray.io": 1}, id="a RayCluster that is marked"),
        pytest.param([see(job_set()), see(a_job(ref("JobSet", "set", "jobset.x-k8s.io/v1alpha2")))], JOB_SET,
                     id="a Job of a JobSet"),
        pytest.param([see(cron_job()), see(a_job(ref("CronJob", "nightly", "batch/v1")))], CRON_JOB,
                     id="a Job of a CronJob, which leaves the counting to it"),
        pytest.param([see(cron_job()), see_bare(a_job(ref("CronJob", "nightly", "batch/v1"))),
                      see(child(ref("Job", "run", "batch/v1")))],
                     {"pods": 1, "count/cronjobs.batch": 1, "count/pods": 1},
                     id="a pod over a Job without a label of a CronJob"),
        pytest.param([see(child()), see(a_job(ref("Pod", "web-1-a", "v1")))],
                     POD | {"pods": 2, "count/jobs.batch": 1}, id="of a pod, which stands for nothing but itself"),
    ],
)  # fmt: skip
def test_a_child_that_is_of_a_counted_kind_itself_is_counted_once(events, total):
    """[A8] with its owner, or by itself where that leaves the counting to its children."""
    assert of(counted(*events)) == total


def test_workers_are_counted_over_the_pod_of_their_leader():
    """[A8] A LeaderWorkerSet: StatefulSet, leader's pod, StatefulSet of its workers, pod."""
    group = workload("lws", kind="LeaderWorkerSet", api_version="leaderworkerset.x-k8s.io/v1", replicas=1)
    group["spec"] = {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": {"spec": CORE}}}
    leaders = workload(
        "lws-0", kind="StatefulSet", controller=ref("LeaderWorkerSet", "lws", "leaderworkerset.x-k8s.io/v1")
    )
    leader = pod("leader", spec=CORE, labels=LABEL, controller=ref("StatefulSet", "lws-0"))
    workers = workload("workers", kind="StatefulSet", controller=ref("Pod", "leader", "v1"))
    worker = pod("worker", spec=CORE, labels=LABEL, controller=ref("StatefulSet", "workers"))
    events = [see(group), see_bare(leaders), watch(leader), see_bare(workers), see(worker)]
    assert of(counted(*events)) == {"count/leaderworkersets.leaderworkerset.x-k8s.io": 1, "pods": 2}
    assert of(counted(*events, see(leader))) == {"count/leaderworkersets.leaderworkerset.x-k8s.io": 1, "pods": 2}


def test_two_that_own_each_other_are_both_counted():
    """[A8] An ownerReference alone proves nothing."""
    events = [see(replica_set(ref("ReplicaSet", "b"))),
              see(workload("b", kind="ReplicaSet", template=CORE, controller=ref("ReplicaSet", "web-1")))]  # fmt: skip
    for order in (events, events[::-1]):
        inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: 0)
        for event in order:
            event(inventory)
        assert texts(inventory.workloads.total("team"))["count/replicasets.apps"] == "2"


def test_a_child_is_counted_once_its_owner_is_gone_or_its_own_reference_is():
    """[A8] and wakes the bizrq."""
    woken: list[str] = []
    inventory = Inventory(woken.append, DEFAULT_GPU_RESOURCES, lambda: 0)
    for event in (see(web()), see(child(ref("Deployment", "web")))):
        event(inventory)
    woken.clear()
    inventory.remove_workload("uid-web", 5)
    assert of(texts(inventory.workloads.total("team"))) == POD
    assert woken == ["team", "team"]
    see(web(version=6))(inventory)
    assert of(texts(inventory.workloads.total("team"))) == WEB
    see(child(version=7))(inventory)
    assert of(texts(inventory.workloads.total("team"))) == WEB | {"pods": 3, "count/pods": 1}


def test_a_mark_that_is_gone_marks_nobody():
    """[A8]"""
    inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: 0)
    for event in (see(web()), see(child(ref("Deployment", "web"))), mark(child(), "pods")):
        event(inventory)
    inventory.put_bizrq(read(bizrq("team", status={"claims": []}, version=10)))
    assert of(texts(inventory.workloads.total("team"))) == WEB
