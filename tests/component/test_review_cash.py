"""[C7] what a user may do to a workload that pays: none of it makes hours free, or another's."""

import pytest

from bizrq.domain.bizrq import LABEL
from bizrq.domain.times import timestamp
from tests.component.test_moves import HARD, PODS, SECOND, ledger, moves, started
from tests.support.build import NOW, bizrq, workload
from tests.support.controller import ONE_CORE, Controller, job, job_pod
from tests.support.faulty_store import FaultyStore


@pytest.fixture
def store():
    store = FaultyStore()
    for name in ("old", "new"):
        store.put(bizrq(name, hard=HARD, created=NOW - 60))
    return store


@pytest.fixture
async def controller(store, clock):
    controller = started(store, clock, PODS, "old")
    for name in ("old", "new"):
        await controller.write(name)
    return controller


async def test_labels_that_change_several_times_in_one_second_free_no_hours(controller, store, clock):
    """[C7] old, new, old, new: the old one pays for all that was before."""
    clock.time = NOW + 50
    for version, label in enumerate(("new", "old", "new"), start=6):
        controller.workload(job(bizrq=label, version=version))
    clock.time = NOW + 60
    for name in ("new", "old", "new", "old"):
        await controller.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 10 * SECOND)


def orphan(raw, version):
    """The pod after an orphaning delete of its workload, or once its labels do not fit the selector any more."""
    metadata = {name: value for name, value in raw["metadata"].items() if name != "ownerReferences"}
    return {**raw, "metadata": {**metadata, "resourceVersion": str(version)}}


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_pod_that_loses_its_owner_is_charged_as_before_over_a_restart(controller, store, clock, deleted):
    """[C7] whether its workload goes, or lives on without it: nothing is paid back, and it runs on for hours."""
    cut_off = orphan(PODS[0], 91)
    clock.time = NOW + 50
    if deleted:
        controller.workload_deleted(job(bizrq="old", version=5), 92)
    controller.pod(cut_off)
    await controller.write("old")
    assert ledger(store, "old") == 50 * SECOND
    clock.time = NOW + 100
    another = Controller(store, clock)
    another.see("old", "new")
    another.start([cut_off], 95, workloads=[] if deleted else [job(bizrq="old", version=5)])
    another.inventory.pods_known()
    await another.write("old")
    assert ledger(store, "old") == 100 * SECOND
    clock.time = NOW + 110
    another.pod_deleted({**cut_off, "metadata": {**cut_off["metadata"], "resourceVersion": "99"}})
    for _ in range(2):
        await another.write("old")
    assert (ledger(store, "old"), moves(store, "old")) == (110 * SECOND, [])


async def test_a_pod_that_is_adopted_by_a_workload_of_another_bizrq_stays_where_it_was(controller, store, clock):
    """[C7] also over a restart: else the hours of its past would change their payer."""
    adopted = orphan(PODS[0], 92)
    adopted["metadata"]["ownerReferences"] = job_pod("x", of="other")["metadata"]["ownerReferences"]
    clock.time = NOW + 50
    controller.workload(job("other", bizrq="new", version=85))
    controller.pod(orphan(PODS[0], 91))
    controller.pod(adopted)
    for name in ("old", "new"):
        await controller.write(name)
    another = Controller(store, clock)
    another.see("old", "new")
    another.start([adopted], 95, workloads=[job(bizrq="old", version=5), job("other", bizrq="new", version=85)])
    another.inventory.pods_known()
    clock.time = NOW + 60
    for each in (controller, another):
        each.see("old", "new")
        for name in ("old", "new"):
            await each.write(name)
        assert (ledger(store, "old"), ledger(store, "new")) == (60 * SECOND, 0)


async def test_a_pod_that_loses_its_owner_before_that_is_known_is_charged_all_the_same(store, clock):
    """[C7] owners come by another watch than pods."""
    controller = started(store, clock, [orphan(PODS[0], 61)], None)
    await controller.write("old")
    raw = job_pod("b", scheduled=NOW, created=NOW, version=91)
    controller.pod(raw)
    controller.pod(orphan(raw, 92))
    controller.workload(job(bizrq="old", version=5))
    controller.pod(orphan(raw, 93))
    clock.time = NOW + 10
    await controller.write("old")
    assert ledger(store, "old") == 10 * SECOND
    assert len(moves(store, "old")) == 1, "over a restart too"


async def test_a_bare_pod_that_is_adopted_belongs_to_its_new_owner(controller, store, clock):
    """[C7] at once, as it would after a restart."""
    bare = orphan(job_pod("b", scheduled=NOW + 10, created=NOW + 10, version=91), 91)
    clock.time = NOW + 20
    controller.pod(bare)
    controller.pod(job_pod("b", scheduled=NOW + 10, created=NOW + 10, version=92))
    await controller.write("old")
    assert ledger(store, "old") == 30 * SECOND


@pytest.mark.parametrize("label", ["new", "old"])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_label_on_a_pod_of_a_counted_workload_takes_no_hours_back(store, clock, label, restarted):
    """[A8, C7] it is a workload of its own from the moment of its claim on; before, it was its owner's."""
    controller = started(store, clock, PODS, "old")
    for name in ("old", "new"):
        await controller.write(name)
    line = f"1 uid-a 60 pods/shop/a {timestamp(NOW + 50)} count/pods=1:1,limits.cpu=1:1,pods=1:1 own"
    raw = store.raw(label)
    raw["status"]["claims"] = [line]
    store.put(raw)
    clock.time = NOW + 53
    labelled = job_pod("a", scheduled=NOW, created=NOW, version=91, labels={LABEL: label})
    if restarted:
        controller = Controller(store, clock)
        controller.see("old", "new")
        controller.start([labelled], 95, workloads=[job(bizrq="old", version=5), labelled])
        controller.inventory.pods_known()
    else:
        controller.see(label)
        controller.workload(labelled)
        controller.pod(labelled)
    expected = {"old": (60, 0), "new": (50, 10)}[label]
    clock.time = NOW + 60
    for _ in range(2):
        for name in ("new", "old"):
            await controller.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (expected[0] * SECOND, expected[1] * SECOND)
    again = Controller(store, clock)
    again.see("old", "new")
    again.start([labelled], 95, workloads=[job(bizrq="old", version=5), labelled])
    again.inventory.pods_known()
    for name in ("new", "old"):
        await again.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (expected[0] * SECOND, expected[1] * SECOND)


@pytest.mark.parametrize("label", ["new", "old"])
async def test_a_pod_whose_own_label_is_taken_off_is_its_owners_again(controller, store, clock, label):
    """[A8, C7] not nobody's: its owner is counted."""
    line = f"1 uid-a 60 pods/shop/a {timestamp(NOW + 50)} count/pods=1:1,limits.cpu=1:1,pods=1:1 own"
    raw = store.raw(label)
    raw["status"]["claims"] = [line]
    store.put(raw)
    clock.time = NOW + 50
    labelled = job_pod("a", scheduled=NOW, created=NOW, version=91, labels={LABEL: label})
    controller.see(label)
    controller.workload(labelled)
    controller.pod(labelled)
    for name in ("new", "old"):
        await controller.write(name)
    clock.time = NOW + 60
    bare = job_pod("a", scheduled=NOW, created=NOW, version=93)
    controller.reads.workloads["pods", "shop", "a"] = bare
    controller.pod(bare)
    controller.workload_deleted(labelled, 93)
    clock.time = NOW + 100
    for _ in range(2):
        for name in ("new", "old"):
            await controller.write(name)
    new = 10 if label == "new" else 0
    assert (ledger(store, "old"), ledger(store, "new")) == ((100 - new) * SECOND, new * SECOND)
    again = Controller(store, clock)
    again.see("old", "new")
    again.start([bare], 95, workloads=[job(bizrq="old", version=5)])
    again.inventory.pods_known()
    for name in ("new", "old"):
        await again.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == ((100 - new) * SECOND, new * SECOND)


def replica_set(version, *, owned=True):
    """One that names another bizrq than its Deployment, as a label in its template has it."""
    raw = workload("web-1", kind="ReplicaSet", replicas=1, template=ONE_CORE, bizrq="new", version=version)
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}
    return {**raw, "metadata": {**raw["metadata"], **({"ownerReferences": [owner]} if owned else {})}}


@pytest.mark.parametrize("gone_first", [True, False])
async def test_an_orphan_that_names_another_bizrq_bills_it_nothing_of_its_past(store, clock, gone_first):
    """[A8, C7] who may use the other one or not: it pays from when the ReplicaSet is a workload of its own."""
    web = workload("web", replicas=1, template=ONE_CORE, bizrq="old", version=5)
    pod = job_pod("a", scheduled=NOW, created=NOW, version=60)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "uid-web-1", "controller": True}
    pod = {**pod, "metadata": {**pod["metadata"], "ownerReferences": [owner]}}
    controller = Controller(store, clock)
    controller.see("old", "new")
    controller.start([pod], 90, workloads=[web, replica_set(6)], replica_sets=[replica_set(6)])
    controller.inventory.pods_known()
    clock.time = NOW + 50
    for name in ("old", "new"):
        await controller.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 0)
    left = replica_set(93, owned=False)
    if gone_first:
        controller.workload_deleted(web, 92)
    controller.workload(left)
    controller.replica_set(left)
    if not gone_first:
        controller.workload_deleted(web, 92)
    clock.time = NOW + 60
    for name in ("new", "old"):
        await controller.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 10 * SECOND)
    again = Controller(store, clock)
    again.see("old", "new")
    again.start([pod], 95, workloads=[left], replica_sets=[left])
    again.inventory.pods_known()
    for name in ("new", "old"):
        await again.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 10 * SECOND)
