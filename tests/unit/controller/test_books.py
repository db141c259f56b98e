"""[C4-C6, C9] what the books of one bizrq say: when a walk over its pods is spared, and when they are rebased."""

from __future__ import annotations

import dataclasses

import pytest

from bizrq.controller.books import Quiet, ViewTooOldError, books_now, period_now
from bizrq.domain.cash import Seen
from bizrq.domain.floor import Floor
from bizrq.domain.periods import Period, State
from tests.support.books import CPU
from tests.support.build import NOW, bizrq, read
from tests.support.cas_store import CasStore
from tests.support.clocks import HandClock
from tests.support.controller import Controller, job, job_pod, pod_object

OPEN = State(Period(NOW - 3600))
WALKED, CARRIED = 100_000, 5_000_000 + 7000 * 60
"""The pods cost something else than the status says, so one sees which of both was asked."""


def team(*, seen="60 2026-01-05T09:59:59Z", cash=None, **fields):
    books = {"ledger": {CPU: "5000000"}, "settled": {CPU: "0"}, "rate": {CPU: "7"}, "seen": seen, **(cash or {})}
    return read(
        bizrq(hard={"cash/limits.cpu": "100"}, cash=books, reconciled=NOW - 60, created=NOW - 3600,
              status={"writer": "w.1"}, **fields)
    )  # fmt: skip


@pytest.fixture
def inventory():
    controller = Controller(CasStore(), HandClock())
    controller.start([job_pod("a", scheduled=NOW - 100, created=NOW - 100, version=60)], 60, workloads=[job()])
    controller.inventory.pods.stirred.clear()
    return controller.inventory


def quiet_of(bizrq_, *, steady_until=None):
    return Quiet(bizrq_.writer, bizrq_.books, steady_until)


def ledger(bizrq_, inventory, quiet, *, now=NOW, closed=(), state=OPEN):
    return books_now(bizrq_, inventory, now=now, closed=closed, state=state, quiet=quiet).ledger[CPU]


# --- quiet -----------------------------------------------------------------------------------------------------------


def test_a_quiet_bizrq_costs_rate_times_time(inventory):
    """[C4] no walk over its pods."""
    assert ledger(team(), inventory, quiet_of(team())) == CARRIED
    assert ledger(team(), inventory, None) == WALKED


def test_not_where_something_happened_to_its_pods(inventory):
    """[C4]."""
    inventory.pods.stirred.add("other")
    assert ledger(team(), inventory, quiet_of(team())) == CARRIED
    inventory.pods.stirred.add("team")
    assert ledger(team(), inventory, quiet_of(team())) == WALKED


@pytest.mark.parametrize(("turn", "expected"), [(NOW + 1, CARRIED), (NOW, WALKED), (NOW - 5, WALKED), (None, CARRIED)])
def test_not_over_a_start_an_end_or_a_cut(inventory, turn, expected):
    """[C4]."""
    assert ledger(team(), inventory, quiet_of(team(), steady_until=turn)) == expected


def test_a_quiet_tick_does_not_forget_up_to_when_it_is_steady(inventory):
    """[C4] no status tells; the next tick must know as well."""
    books = books_now(
        team(), inventory, now=NOW, closed=[], state=OPEN, quiet=quiet_of(team(), steady_until=NOW + 9)
    )  # fmt: skip
    assert books.steady_until == NOW + 9


def test_not_where_somebody_else_wrote_the_status(inventory):
    """[C4, R4]."""
    quiet = dataclasses.replace(quiet_of(team()), writer="other.7")
    assert ledger(team(), inventory, quiet) == WALKED


def test_not_where_the_books_were_edited_under_our_name(inventory):
    """[C4] a claim changes nothing in them; a hand does."""
    edited = team(cash={"ledger": {CPU: "1"}})
    assert ledger(edited, inventory, quiet_of(team())) == WALKED


def test_not_where_a_budget_is_new(inventory):
    """[C4] its pods have cost something already."""
    quiet = quiet_of(team())
    more = read({**team().raw, "spec": {"hard": {"cash/limits.cpu": "1", "cash/limits.memory": "1"}}})
    assert ledger(more, inventory, quiet) == WALKED


def test_not_over_an_edge(inventory):
    """[C9]."""
    closed, state = [Period(NOW - 3600, NOW - 40)], State(Period(NOW - 40))
    assert ledger(team(), inventory, quiet_of(team()), closed=closed, state=state) == 40_000


def test_not_before_the_time_of_the_status(inventory):
    """[C2, C4] a clock that was set back carries nothing backwards."""
    assert ledger(team(), inventory, quiet_of(team()), now=NOW - 61) == 39_000


def test_a_view_that_is_too_old_writes_nothing_be_it_quiet_or_not(inventory):
    """[C4]."""
    ahead = team(seen="61 2026-01-05T09:59:59Z")
    for quiet in (None, quiet_of(ahead)):
        with pytest.raises(ViewTooOldError, match="has seen version 61 of the pods, this process 60"):
            ledger(ahead, inventory, quiet)


# --- rebased or not --------------------------------------------------------------------------------------------------


def rebased(bizrq_, inventory, **options):
    return books_now(bizrq_, inventory, now=NOW, closed=[], state=OPEN, **options).rebased


def test_a_status_as_new_as_the_first_list_needs_no_rebase(inventory):
    """[C5] nothing was missed."""
    assert not rebased(team(), inventory)


def test_a_status_older_than_the_first_list_is_rebased(inventory):
    """[C5, C6] the view of the status, from then on, is where deletions are known from."""
    books = books_now(team(seen="59 2026-01-05T09:59:59Z"), inventory, now=NOW, closed=[], state=OPEN)
    assert books.rebased
    assert books.seen == Seen(60, NOW)


@pytest.mark.parametrize(("floor", "expected"), [(60, False), (99, False), (59, True)])
def test_the_floor_vouches_for_a_status_that_is_older(inventory, floor, expected):
    """[C5] no event of its pods lies between its view and the floor."""
    inventory.vouch(Floor(floor, NOW - 30))
    assert rebased(team(seen="12 2026-01-05T09:59:59Z"), inventory) is expected


def test_the_time_of_the_floor_counts_for_a_rebase_up_to_the_status(inventory):
    """[C6] less is uncertain then."""
    old, missing = team(seen="12 2026-01-05T09:50:00Z"), []
    for floor in (None, Floor(50, NOW - 75), Floor(50, NOW + 99)):
        inventory.floor = floor
        missing.append(books_now(old, inventory, now=NOW, closed=[], state=OPEN).uncertain[CPU])
    assert missing == [7000 * 600 + 1000 * 40, 7000 * 75 - 1000 * 75, 7000 * 60 - 1000 * 60]


def test_a_replay_from_the_view_of_the_status_needs_no_rebase(inventory):
    """[C5]."""
    inventory.pods.known_since = 20
    assert not rebased(team(seen="20 2026-01-05T09:59:59Z"), inventory)
    assert rebased(team(seen="19 2026-01-05T09:59:59Z"), inventory)


def test_a_bizrq_without_books_has_nothing_to_miss(inventory):
    """[C5] its first status."""
    new = read(bizrq(hard={"cash/limits.cpu": "100"}, created=NOW - 3600))
    assert not rebased(new, inventory)
    assert books_now(new, inventory, now=NOW, closed=[], state=OPEN).ledger == {CPU: WALKED}


def test_books_that_lost_their_view_may_miss_anything(inventory):
    """[C6] somebody took `seen` out."""
    assert rebased(team(seen=None), inventory)


def test_a_view_from_the_future_that_is_not_believed_is_one_of_nothing(inventory):
    """[C4, C6] etcd was restored."""
    restored = team(seen="900 2026-01-05T09:59:59Z")
    books = books_now(restored, inventory, now=NOW, closed=[], state=OPEN, believe_seen=False)
    assert books.rebased
    assert books.seen is not None
    assert books.seen.version == 60


def test_a_deletion_that_such_a_status_may_have_settled_is_not_settled_twice(inventory):
    """[C4, C6] it errs low, and says so, whatever the floor vouches for."""
    inventory.vouch(Floor(60, NOW - 30))
    inventory.pods.deleted(
        pod_object(job_pod("a", scheduled=NOW - 100, created=NOW - 100, finished=[NOW - 70], phase="Succeeded",
                           version=61)), NOW - 65,
    )  # fmt: skip
    settled = team(seen="900 2026-01-05T09:59:59Z", cash={"ledger": {CPU: "30000"}, "settled": {CPU: "30000"}})
    books = books_now(settled, inventory, now=NOW, closed=[], state=OPEN, believe_seen=False)
    assert books.ledger == {CPU: 30_000}


def test_another_writer_inside_a_gap_of_our_watch_is_a_reason_to_rebase():
    """[C5, C6] nobody knows on which side of its view the pod went."""
    controller = Controller(CasStore(), HandClock())
    controller.start([job_pod("a", scheduled=NOW - 100, created=NOW - 100, version=50)], 50, workloads=[job()])
    controller.inventory.pods.passed(55, NOW - 10)
    controller.pods_listed([], 70)
    for version, expected in ((55, False), (56, True), (69, True), (70, False)):
        assert rebased(team(seen=f"{version} 2026-01-05T09:59:59Z"), controller.inventory) is expected


def test_what_was_uncertain_belongs_to_the_period_that_is_over(inventory):
    """[C6, C9]."""
    unsure = team(cash={"uncertain": {CPU: "77"}})
    assert books_now(unsure, inventory, now=NOW, closed=[], state=OPEN).uncertain == {CPU: 77}
    closed, state = [Period(NOW - 3600, NOW - 40)], State(Period(NOW - 40))
    assert books_now(unsure, inventory, now=NOW, closed=closed, state=state).uncertain == {}


# --- which period ----------------------------------------------------------------------------------------------------

DAY = {"every": "Day", "timeZone": "UTC"}
MIDNIGHT, NEXT = NOW - 36_000, NOW + 50_400


def group(name, parent=None, *, cash_period=None, reconciled=None, period=None, created=NOW - 10**6):
    raw = bizrq(name, parent=parent, hard={"cash/limits.cpu": "1"}, created=created, reconciled=reconciled,
                cash={"period": period} if period else None)  # fmt: skip
    if cash_period:
        raw["spec"]["cashPeriod"] = cash_period
    return read(raw)


def known(*bizrqs):
    return {each.name: each for each in bizrqs}.get


def test_a_child_has_the_period_of_its_root_however_deep_it_stands():
    """[C9]."""
    root, middle, leaf = group("root", cash_period=DAY, reconciled=NOW), group("mid", "root"), group("leaf", "mid")
    for each in (root, middle, leaf):
        state, _ = period_now(each, known(root, middle, leaf), NOW)
        assert state.period == Period(MIDNIGHT, NEXT)


def test_a_child_closes_the_periods_that_it_slept_over():
    """[C9] in order."""
    root = group("root", cash_period=DAY, reconciled=NOW)
    was = {"start": "2026-01-03T00:00:00Z", "end": "2026-01-04T00:00:00Z", **DAY}
    kid = group("kid", "root", reconciled=MIDNIGHT - 2 * 86_400 + 5, period=was)
    state, closed = period_now(kid, known(root, kid), NOW)
    assert state.period == Period(MIDNIGHT, NEXT)
    assert [(each.start, each.end) for each in closed] == [
        (MIDNIGHT - 172_800, MIDNIGHT - 86_400), (MIDNIGHT - 86_400, MIDNIGHT),
    ]  # fmt: skip


@pytest.mark.parametrize("parents", [{}, {"kid": "kid"}, {"kid": "b", "b": "a", "a": "b"}, {"kid": "a", "a": "kid"}])
def test_where_the_way_up_ends_at_nobody_or_in_a_circle_what_was_planned_goes_on(parents):
    """[C9, T1]."""
    period = {"start": "2026-01-04T00:00:00Z", "end": "2026-01-05T00:00:00Z", **DAY}
    kid = group("kid", parents.get("kid", "nobody"), reconciled=MIDNIGHT - 5, period=period)
    others = [group(name, above) for name, above in parents.items() if name != "kid"]
    state, closed = period_now(kid, known(kid, *others), NOW)
    assert state.period == Period(MIDNIGHT, NEXT)
    assert [each.end for each in closed] == [MIDNIGHT]


def test_without_a_root_and_a_status_there_is_one_period_without_an_end():
    """[C9] one that began with the object."""
    state, closed = period_now(group("kid", "nobody"), known(), NOW)
    assert (state.period, closed) == (Period(NOW - 10**6), [])
