"""[C7] a label move: who pays from when on, whose status is written first, and what a restart knows of it."""

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.domain.times import timestamp
from tests.support.build import NOW, bizrq
from tests.support.controller import Controller, job, job_pod
from tests.support.faulty_store import FaultyStore

SECOND = 1000
HARD = {"limits.cpu": "10", "cash/limits.cpu": "100", "count/jobs.batch": "9"}
CLAIMED, SEEN = NOW + 50, NOW + 53


@pytest.fixture
def store():
    store = FaultyStore()
    for name in ("old", "new"):
        store.put(bizrq(name, hard=HARD, created=NOW - 60))
    return store


def started(store, clock, pods, label, version=90):
    controller = Controller(store, clock)
    controller.see(*store.names())
    controller.start(pods, version, workloads=[job(bizrq=label, version=5)] if label else [])
    controller.inventory.pods_known()
    return controller


PODS = [job_pod("a", scheduled=NOW, created=NOW, version=60)]


@pytest.fixture
async def controller(store, clock):
    controller = started(store, clock, PODS, "old")
    for name in ("old", "new"):
        await controller.write(name)
    return controller


def claim(store, moment, came_from="old"):
    """The webhook has granted the move, and said when."""
    line = f"1 uid-job 5 jobs.batch/shop/job {timestamp(moment)} count/jobs.batch=1:1,limits.cpu=1:1 from={came_from}"
    raw = store.raw("new")
    raw["status"]["claims"] = [line]
    store.put(raw)


def ledger(store, name):
    return int(store.status(name)["cash"]["ledger"]["limits.cpu"])


def moves(store, name):
    return store.status(name)["cash"].get("moves", [])


async def moved(controller, clock, *, claimed=True):
    """It is under another label since CLAIMED, which is seen some seconds later."""
    if claimed:
        claim(controller.store, CLAIMED)
    clock.time = SEEN
    controller.workload(job(bizrq="new", version=6))
    clock.time = NOW + 60


async def test_each_bizrq_pays_for_its_own_part_to_the_second_of_the_claim(controller, store, clock):
    """[C7] not to the one at which the watch told."""
    await moved(controller, clock)
    await controller.write("new")
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 10 * SECOND)
    clock.time = NOW + 100
    for name in ("old", "new"):
        await controller.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 50 * SECOND)


async def test_the_status_of_the_old_one_is_written_first(controller, store, clock):
    """[C7] then that of the new one, which closes the claim."""
    await moved(controller, clock)
    store.steps.clear()
    await controller.write("new")
    assert store.steps == ["status old", "status new"]
    assert "claims" not in store.status("new")


async def test_where_the_old_one_cannot_be_written_nor_is_the_new_one(controller, store, clock):
    """[C7] the claim stays open: it alone knows the moment."""
    await moved(controller, clock)
    store.refused_writes = 1
    with pytest.raises(Unavailable):
        await controller.write("new")
    assert store.status("new")["claims"]
    await controller.write("new")
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 10 * SECOND)


async def test_both_keep_the_move_until_the_pods_scheduled_before_it_are_gone(controller, store, clock):
    """[C7]."""
    await moved(controller, clock)
    await controller.write("new")
    at = timestamp(CLAIMED)
    assert moves(store, "old") == [f"1 uid-job shop - {at} // uid-job to=new"]
    assert moves(store, "new") == [f"1 uid-job shop {at} - // uid-job from=old"]
    controller.pod(job_pod("b", scheduled=NOW + 60, created=NOW + 60, version=91))
    clock.time = NOW + 70
    controller.pod_deleted(job_pod("a", scheduled=NOW, created=NOW, finished=[NOW + 65], phase="Succeeded", version=92))
    for name in ("old", "new", "old", "new"):
        await controller.write(name)
    assert (moves(store, "old"), moves(store, "new")) == ([], [])
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, (15 + 10) * SECOND)


async def test_that_a_pod_was_scheduled_before_the_move_may_be_told_after_the_writes(controller, store, clock):
    """[C7] pods come by another watch than workloads."""
    controller.pod_deleted(job_pod("a", scheduled=NOW, created=NOW, finished=[NOW], phase="Failed", version=91))
    waiting = job_pod("b", phase="Pending", created=NOW + 10, version=92)
    del waiting["spec"]["nodeName"]
    controller.pod(waiting)
    await moved(controller, clock)
    for name in ("new", "old", "new"):
        await controller.write(name)
    controller.pod(job_pod("b", created=NOW + 10, scheduled=NOW + 20, version=93))
    for name in ("old", "new"):
        await controller.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (30 * SECOND, 10 * SECOND)


@pytest.mark.parametrize("written", [True, False], ids=["after both writes", "before any write"])
async def test_a_restart_knows_the_same(controller, store, clock, written):
    """[C7] by the lines, or by the claim that is still open."""
    await moved(controller, clock)
    if written:
        await controller.write("new")
    clock.time = NOW + 80
    again = Controller(store, clock)
    again.see("old", "new")
    again.start(PODS, 95, workloads=[job(bizrq="new", version=6)])
    for name in ("new", "old"):
        await again.write(name)
    assert (ledger(store, "old"), ledger(store, "new")) == (50 * SECOND, 30 * SECOND)


async def test_without_a_claim_the_moment_is_the_one_it_was_observed(controller, store, clock):
    """[C7] the webhook was bypassed."""
    await moved(controller, clock, claimed=False)
    await controller.write("new")
    assert (ledger(store, "old"), ledger(store, "new")) == (53 * SECOND, 7 * SECOND)


async def test_a_claim_of_another_move_tells_nothing(controller, store, clock):
    """[C7] it came from elsewhere."""
    claim(store, CLAIMED, came_from="third")
    await moved(controller, clock, claimed=False)
    await controller.write("new")
    assert (ledger(store, "old"), ledger(store, "new")) == (53 * SECOND, 7 * SECOND)


async def test_a_claim_dated_after_the_move_was_seen_moves_nothing_later(controller, store, clock):
    """[C7] the clock of a webhook is ahead."""
    claim(store, NOW + 600)
    await moved(controller, clock, claimed=False)
    await controller.write("new")
    assert (ledger(store, "old"), ledger(store, "new")) == (53 * SECOND, 7 * SECOND)


@pytest.mark.parametrize("label", [None, "", "other"])
async def test_a_label_that_was_removed_ends_the_stay_and_a_deletion_does_not(controller, store, clock, label):
    """[C7] a watch tells both in one way; a live read tells which it was."""
    clock.time = SEEN
    if label is not None:
        controller.reads.workloads["jobs.batch", "shop", "job"] = job(bizrq=label or None, version=6)
    controller.workload_deleted(job(version=5), 6)
    clock.time = NOW + 60
    await controller.write("old")
    assert ledger(store, "old") == (53 if label == "" else 60) * SECOND


async def test_one_that_was_made_anew_under_its_name_is_another(controller, store, clock):
    """[C7]."""
    controller.reads.workloads["jobs.batch", "shop", "job"] = job(bizrq=None, version=9, uid="another")
    clock.time = SEEN
    controller.workload_deleted(job(version=5), 6)
    clock.time = NOW + 60
    await controller.write("old")
    assert ledger(store, "old") == 60 * SECOND


async def test_a_workload_that_went_before_its_pods_is_known_over_a_restart(controller, store, clock):
    """[C7] by the controllers that its line names."""
    controller.workload_deleted(job(version=5), 6)
    await controller.write("old")
    assert moves(store, "old") == ["1 uid-job shop - - // uid-job"]
    clock.time = NOW + 80
    again = started(store, clock, PODS, None, version=95)
    await again.write("old")
    assert ledger(store, "old") == 80 * SECOND
    again.pod_deleted(job_pod("a", scheduled=NOW, created=NOW, finished=[NOW + 80], phase="Succeeded", version=96))
    for _ in range(2):
        await again.write("old")
    assert (ledger(store, "old"), moves(store, "old")) == (80 * SECOND, [])


async def test_workloads_that_change_places_end_the_stays_of_each_other(controller, store, clock):
    """[C7] one of both statuses is written first all the same, and no write waits for itself."""
    pods = [*PODS, job_pod("b", of="second", scheduled=NOW, created=NOW, version=63)]
    controller.workload(job("second", bizrq="new", version=5))
    controller.pod(pods[1])
    for name in ("old", "new"):
        await controller.write(name)
    clock.time = NOW + 30
    controller.workload(job(bizrq="new", version=6))
    controller.workload(job("second", bizrq="old", version=6))
    clock.time = NOW + 40
    await controller.write("new")
    await controller.write("old")
    assert (ledger(store, "old"), ledger(store, "new")) == (40 * SECOND, 40 * SECOND)
    assert len(moves(store, "old")) == len(moves(store, "new")) == 2
