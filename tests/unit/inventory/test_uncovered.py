"""[C4, C5] the floor of the Lease stays below every event that no stored status covers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.cluster.errors import Unavailable
from bizrq.domain.floor import Floor
from bizrq.inventory.uncovered import Uncovered
from tests.support.build import NOW, bizrq, read
from tests.support.cas_store import CasStore
from tests.support.clocks import HandClock
from tests.support.controller import Controller, job, job_pod


def test_an_event_holds_the_floor_down_until_a_stored_status_covers_it():
    table = Uncovered()
    table.note("a", 7)
    table.note("b", 5)
    table.note("a", 9)
    assert table.oldest() == 5
    table.cover("b", 5)
    assert table.oldest() == 7
    table.cover("a", 8)
    assert table.oldest() == 9, "what came after the view of that status is not covered"
    table.cover("a", 9)
    assert table.oldest() is None


def test_an_event_that_is_covered_already_is_none():
    """[C4] another controller has written."""
    table = Uncovered()
    table.cover("a", 9)
    table.note("a", 9)
    assert table.oldest() is None
    table.vouched(20)
    table.note("b", 20)
    assert table.oldest() is None
    table.note("b", 21)
    assert table.oldest() == 21
    assert table.covered_by("a") == 20


def test_an_event_of_unknown_version_counts_with_the_lowest_it_can_have():
    """[C5] only a list told of it."""
    table = Uncovered()
    table.note("a", 9, after=4)
    assert table.oldest() == 5
    table.cover("a", 8)
    assert table.oldest() == 9


def test_neither_covering_nor_vouching_goes_back():
    table = Uncovered()
    table.cover("a", 9)
    table.cover("a", 3)
    table.vouched(5)
    table.vouched(2)
    assert (table.covered_by("a"), table.covered_by("b")) == (9, 5)


def test_bizrqs_that_are_gone_or_were_never_made_hold_nothing_up():
    table = Uncovered()
    table.note("gone", 3)
    table.note("nobody", 4)
    table.note("there", 5)
    table.forget("gone")
    table.sweep(lambda name: name == "there")
    assert table.oldest() == 5
    table.note("gone", 3)
    assert table.oldest() == 3, "made anew it has covered nothing"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 12)), max_size=30))
def test_the_oldest_is_never_above_an_event_that_nobody_covers(steps):
    """[C4] the promise of the floor, for any order of events and statuses."""
    table, covered = Uncovered(), {"a": -1, "b": -1}
    events: dict[str, set[int]] = {"a": set(), "b": set()}
    for name, is_event, version in steps:
        if is_event:
            table.note(name, version)
            events[name].add(version)
        else:
            table.cover(name, version)
            covered[name] = max(covered[name], version)
        open_ones = [each for of in "ab" for each in events[of] if each > covered[of]]
        oldest = table.oldest()
        if open_ones:
            assert oldest is not None
            assert oldest <= min(open_ones)
        else:
            assert oldest is None


# --- the floor of an inventory ---------------------------------------------------------------------------------------


def started(version=50):
    store = CasStore()
    for name in ("team", "other"):
        store.put(bizrq(name, hard={"cash/limits.cpu": "100"}, created=NOW - 3600))
    controller = Controller(store, HandClock())
    controller.start([], version, workloads=[job(), job("else", bizrq="other")])
    controller.see("team", "other")
    return controller


def floor(controller):
    result = controller.inventory.next_floor(controller.inventory.floor)
    return None if result is None else result.version


async def test_the_floor_follows_the_view_where_every_status_covers_everything():
    """[C4]."""
    controller = started()
    assert floor(controller) == 50
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    assert floor(controller) == 59
    controller.inventory.pods.passed(70, NOW)
    assert floor(controller) == 59
    await controller.write("team")
    assert floor(controller) == 70


async def test_the_slowest_bizrq_holds_the_floor():
    """[C4]."""
    controller = started()
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    controller.pod(job_pod("b", of="else", scheduled=NOW, version=61))
    controller.pod(job_pod("a", scheduled=NOW, finished=[NOW], phase="Succeeded", version=62))
    await controller.write("team")
    assert floor(controller) == 60
    await controller.write("other")
    assert floor(controller) == 62


async def test_a_status_that_was_not_stored_covers_nothing():
    """[C4] the floor vouches only for stored statuses."""
    controller = started()
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    controller.store.lost_answers = 1
    with pytest.raises(Unavailable):
        await controller.write("team")
    assert floor(controller) == 59
    controller.see("team")
    assert floor(controller) == 60, "read back"


def test_a_pod_gone_without_a_home_holds_the_floor_until_it_is_nobody_s():
    """[C4, C7] its owner may become known yet."""
    controller = started()
    controller.pod(job_pod("x", of="late", scheduled=NOW, version=60))
    controller.pod_deleted(job_pod("x", of="late", scheduled=NOW, version=61))
    controller.inventory.pods.passed(70, NOW)
    assert floor(controller) == 60
    controller.clock.time += 61
    assert floor(controller) == 70


def test_a_pod_gone_before_its_owner_was_known_holds_it_for_its_bizrq():
    """[C4, C7]."""
    controller = started()
    controller.pod(job_pod("x", of="late", scheduled=NOW, version=60))
    controller.pod_deleted(job_pod("x", of="late", scheduled=NOW, version=61))
    controller.workload(job("late"))
    controller.inventory.pods.passed(70, NOW)
    controller.clock.time += 61
    assert floor(controller) == 60


async def test_what_vanished_unseen_holds_the_floor_at_the_view_before():
    """[C5, C6] it went at an unknown version between the views."""
    controller = started()
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    await controller.write("team")
    controller.inventory.pods.passed(65, NOW)
    controller.pods_listed([], 90)
    assert floor(controller) == 65
    await controller.write("team")
    assert floor(controller) == 90


def test_what_vanished_without_a_home_holds_it_there_too():
    """[C5, C7] its owner may become known yet."""
    controller = started()
    controller.pod(job_pod("x", of="late", scheduled=NOW, version=60))
    controller.inventory.pods.passed(65, NOW)
    controller.pods_listed([], 90)
    assert floor(controller) <= 65
    controller.clock.time += 61
    assert floor(controller) == 90


def test_a_bizrq_that_nobody_made_holds_nothing_up():
    controller = started()
    controller.workload(job("astray", bizrq="nobody"))
    controller.pod(job_pod("a", of="astray", scheduled=NOW, version=60))
    assert floor(controller) == 59
    controller.inventory.sweep(NOW)
    assert floor(controller) == 60


def test_before_the_first_view_the_floor_stays():
    """[C4]."""
    controller = Controller(CasStore(), HandClock())
    assert controller.inventory.next_floor(None) is None
    stored = Floor(7, NOW)
    assert controller.inventory.next_floor(stored) == stored


def test_after_a_failed_replay_the_floor_waits_for_every_rebase():
    """[C5] nobody knows what happened between the old floor and the first list."""
    controller = Controller(CasStore(), HandClock())
    controller.inventory.put_bizrq(read(bizrq(hard={"cash/limits.cpu": "1"}, cash={"seen": "12 2026-01-05T09:00:00Z"})))
    controller.inventory.vouch(Floor(20, NOW - 60))
    assert controller.inventory.replay_from() == 20
    controller.inventory.pods.replay_began(20)
    controller.inventory.pods.replay_lost()
    controller.pods_listed([], 90)
    controller.inventory.pods_known()
    assert floor(controller) == 20
    controller.inventory.pods.covered("team", 90)
    assert floor(controller) == 90


def test_after_a_replay_the_floor_stands_for_what_was_replayed():
    """[C5]."""
    controller = Controller(CasStore(), HandClock())
    controller.inventory.put_bizrq(read(bizrq(hard={"cash/limits.cpu": "1"}, cash={"seen": "12 2026-01-05T09:00:00Z"})))
    assert controller.inventory.replay_from() == 12, "without a floor the oldest view of a status"
    controller.inventory.vouch(Floor(20, NOW - 60))
    controller.inventory.pods.replay_began(20)
    controller.inventory.pods.passed(60, NOW)
    controller.inventory.pods.replay_ended()
    controller.inventory.pods_known()
    assert floor(controller) == 60


def test_a_floor_of_a_version_that_is_not_there_is_not_believed():
    """[C4, C5] somebody edited the Lease: events are held against no such floor, and it vouches for no status."""
    controller = Controller(CasStore(), HandClock())
    controller.workload(job())
    lie = Floor(10**9, NOW)
    controller.inventory.vouch(lie)
    controller.inventory.put_bizrq(read(bizrq(hard={"cash/limits.cpu": "1"}, cash={"seen": "12 2026-01-05T09:00:00Z"})))
    controller.inventory.pods.replay_lost()
    controller.pods_listed([job_pod("a", scheduled=NOW, version=60)], 90)
    controller.inventory.pods_known()
    assert controller.inventory.floor is None
    assert controller.inventory.pods.oldest_uncovered(NOW) == 0
    controller.inventory.pods.covered("team", 90)
    assert controller.inventory.next_floor(lie) == lie, "it never goes back"
    assert controller.inventory.floor is None
    controller.pod(job_pod("a", scheduled=NOW, finished=[NOW], phase="Succeeded", version=95))
    assert controller.inventory.pods.oldest_uncovered(NOW) == 95


def test_a_floor_of_another_controller_is_taken_over_once_the_view_is_there():
    """[C4]."""
    controller = started()
    assert controller.inventory.next_floor(Floor(70, NOW)) == Floor(70, NOW)
    assert controller.inventory.floor is None
    controller.inventory.pods.passed(70, NOW)
    controller.inventory.next_floor(Floor(70, NOW))
    assert controller.inventory.floor == Floor(70, NOW)


def test_a_status_that_claims_to_have_seen_more_than_this_process_covers_what_this_process_saw():
    """[C4] whether it is true is found out before it is written; what comes later is held all the same."""
    controller = started()
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    controller.inventory.put_bizrq(
        read(bizrq(hard={"cash/limits.cpu": "1"}, cash={"seen": "900 2026-01-05T09:00:00Z"}, version=10**6))
    )
    assert controller.inventory.pods.oldest_uncovered(NOW) is None
    controller.pod(job_pod("a", scheduled=NOW, finished=[NOW], phase="Succeeded", version=61))
    assert controller.inventory.pods.oldest_uncovered(NOW) == 61
