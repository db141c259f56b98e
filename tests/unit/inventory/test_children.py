"""[A8] which labelled objects are counted with their owner, whatever order their events come in."""

import itertools

import pytest

from bizrq.domain.claims import Claim
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in
from tests.support.build import amounts, bizrq, container, pod, pod_spec, read, texts, workload
from tests.support.controller import owned_object

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


def counted(*events):
    """The total of the bizrq after these events, the same in whatever order they come."""
    totals = []
    for order in itertools.permutations(events):
        inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: 0, ())
        for event in order:
            event(inventory)
        totals.append(texts(inventory.workloads.total("team")))
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


def test_two_that_own_each_other_are_both_counted():
    """[A8] An ownerReference alone proves nothing."""
    events = [see(replica_set(ref("ReplicaSet", "b"))),
              see(workload("b", kind="ReplicaSet", template=CORE, controller=ref("ReplicaSet", "web-1")))]  # fmt: skip
    for order in (events, events[::-1]):
        inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: 0, ())
        for event in order:
            event(inventory)
        assert texts(inventory.workloads.total("team"))["count/replicasets.apps"] == "2"


def test_a_child_is_counted_once_its_owner_is_gone_or_its_own_reference_is():
    """[A8] and wakes the bizrq."""
    woken: list[str] = []
    inventory = Inventory(woken.append, DEFAULT_GPU_RESOURCES, lambda: 0, ())
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
    inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: 0, ())
    for event in (see(web()), see(child(ref("Deployment", "web"))), mark(child(), "pods")):
        event(inventory)
    inventory.put_bizrq(read(bizrq("team", status={"claims": []}, version=10)))
    assert of(texts(inventory.workloads.total("team"))) == WEB
