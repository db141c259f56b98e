"""[C4-C7] What the simulator found: the shortest run of each, on the real objects."""

import pytest

from bizrq.domain.cash import Books, Charged, Seen
from bizrq.domain.intervals import Interval
from bizrq.domain.periods import Period
from bizrq.domain.rebase import rebase
from bizrq.domain.resource_names import NO_MODELS
from bizrq.domain.stay_chains import merged
from bizrq.domain.stays import Home, Stay
from tests.support.build import NOW
from tests.support.cas_store import CasStore
from tests.support.controller import Controller, job, job_pod, team

CPU = "limits.cpu"


@pytest.fixture
def store():
    store = CasStore()
    store.put(team())
    return store


def ledger(status):
    return int(status["cash"]["ledger"][CPU])


async def test_a_quiet_tick_after_a_quiet_tick_still_ends_at_the_cut(store, clock):
    controller = Controller(store, clock)
    asked = {"deletion": NOW + 10, "grace": 10}  # the cut is 10 s behind that
    controller.start([job_pod("p", scheduled=NOW, version=10, **asked)], 10, workloads=[job()])
    controller.see("team")
    for at in (0, 5, 10, 60):
        clock.time = NOW + at
        await controller.write("team")
    assert ledger(store.status("team")) == 20 * 1000


async def test_a_replayed_deletion_that_the_status_has_seen_does_not_hold_it_up(store, clock):
    """Its owner may be gone by now, and known to nobody."""
    controller = Controller(store, clock)
    controller.start([], 20, workloads=[job()])
    controller.see("team")
    await controller.write("team")

    after = Controller(store, clock)
    after.workload(job())
    after.inventory.pods.replay_began(5)
    after.pod_deleted(job_pod("p", of="gone", scheduled=NOW, finished=[NOW], phase="Failed", version=10))
    after.pods_listed([], 20)
    after.inventory.pods.passed(20, NOW)
    after.inventory.pods.replay_ended()
    after.see("team")
    assert (await after.write("team"))["cash"]["seen"].startswith("20 ")


async def test_a_move_counts_though_the_pods_come_into_view_after_it(store, clock):
    store.put({**team(), "metadata": {**team()["metadata"], "name": "other", "uid": "uid-other"}})
    controller = Controller(store, clock)
    controller.start([], 5, workloads=[job(version=3)])
    controller.see("team", "other")
    clock.time = NOW + 20
    controller.workload(job(bizrq="other", version=8))
    controller.pod(job_pod("p", scheduled=NOW, version=7))
    clock.time = NOW + 50
    await controller.write("other")
    assert {name: ledger(await controller.write(name)) for name in ("team", "other")} == {
        "team": 20 * 1000, "other": 30 * 1000,
    }  # fmt: skip


async def test_after_a_restart_a_move_is_known_before_the_old_bizrq_is_written(store, clock):
    """Its open claim stands in the status of the new one alone."""
    claim = "1 uid-job 3 jobs.batch/shop/job 2026-01-05T10:00:20.000Z count/jobs.batch=1:1 from=team"
    other = {**team(), "metadata": {**team()["metadata"], "name": "other", "uid": "uid-other"}}
    store.put({**other, "status": {"claims": [claim]}})
    controller = Controller(store, clock)
    clock.time = NOW + 50
    controller.see("team", "other")
    controller.start([job_pod("p", scheduled=NOW, version=7)], 9, workloads=[job(bizrq="other", version=8)])
    assert ledger(await controller.write("team")) == 20 * 1000


async def test_what_a_vanished_pod_may_have_run_is_counted_up_to_the_answer_of_the_list(store, clock):
    """The list shows a later moment than that at which it was asked for."""
    controller = Controller(store, clock)
    there = job_pod("there", scheduled=NOW, version=9)
    controller.start([job_pod("p", scheduled=NOW, version=10), there], 10, workloads=[job()])
    controller.see("team")
    await controller.write("team")
    clock.time = NOW + 30
    controller.pods_listed([there], 20, began=NOW + 25)
    assert (await controller.write("team"))["cash"]["uncertain"][CPU] == str(30 * 1000)


def test_a_pod_whose_owner_was_perhaps_unknown_is_no_proof_that_it_was_charged():
    """[C6] Else a rebase takes from the ledger what it never had."""
    pod = Charged({CPU: 1000}, Interval(NOW - 20), version=5)
    books = Books(ledger={CPU: 0}, settled={CPU: 0}, rate={CPU: 0}, seen=Seen(7, NOW))
    after = rebase(books, [pod], complete=9, period=Period(NOW - 100), written=NOW, now=NOW + 5)
    assert after.uncertain == {CPU: 20 * 1000}


@pytest.mark.parametrize("told", [Stay(Home("b", NO_MODELS, "shop"), since=NOW, came_from="a")])
def test_two_controllers_that_date_a_move_differently_mean_the_same_move(told):
    a, b = Home("a", NO_MODELS, "shop"), Home("b", NO_MODELS, "shop")
    known = (Stay(a, until=NOW + 1, went_to="b"), Stay(b, since=NOW + 1, came_from="a"))
    assert merged(known, told) == (Stay(a, until=NOW, went_to="b"), told)
