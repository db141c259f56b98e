"""[C9, C4, C6, T7] the books across the edges of periods, the pieces of a pod, what is steady, and what is in doubt."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.cash import MAX_HISTORY, Books, Charged, Seen, absorb, accrue, carry, pieces
from bizrq.domain.closed_periods import ClosedPeriod, Total
from bizrq.domain.intervals import Interval
from bizrq.domain.periods import Period
from tests.support.books import CPU, booked, charged_seconds, pod
from tests.support.build import NOW

DAY = 1000
FIRST, SECOND, THIRD = Period(0, 100), Period(100, 200), Period(200, 300)


# --- edges [C9] ------------------------------------------------------------------------------------------------------


def test_a_pod_across_an_edge_is_charged_to_each_period_for_its_own_part() -> None:
    """[C9]."""
    books = booked([pod(70)], now=130, periods=[FIRST, SECOND])
    assert books.ledger == {CPU: 30_000}
    assert books.previous == ClosedPeriod(0, 100, {CPU: 30_000}, {CPU: 0})
    assert books.history == ()


def test_a_pod_that_went_is_settled_in_each_period_it_ran_in() -> None:
    """[C4, C9]."""
    books = booked([pod(70, 120, deleted_at=5)], now=130, periods=[FIRST, SECOND])
    assert (books.ledger, books.settled) == ({CPU: 20_000}, {CPU: 20_000})
    assert books.previous == ClosedPeriod(0, 100, {CPU: 30_000}, {CPU: 30_000})


def test_two_edges_passed_at_once_close_two_periods() -> None:
    """[C9] nobody wrote in the second: the first is closed for good, the second stays open for corrections."""
    books = booked([pod(70)], now=250, periods=[FIRST, SECOND, THIRD])
    assert books.ledger == {CPU: 50_000}
    assert books.previous == ClosedPeriod(100, 200, {CPU: 100_000}, {CPU: 0})
    assert books.history == (Total(0, 100, {CPU: 30_000}),)


def test_a_late_correction_goes_to_the_period_it_belongs_to() -> None:
    """[C9, C5] the last closed one stays open."""
    before = booked([pod(70)], now=130, periods=[FIRST, SECOND])
    after = booked([pod(70, 90, version=12)], now=150, version=12, books=before, periods=[SECOND])
    assert after.ledger == {CPU: 0}
    assert after.previous == ClosedPeriod(0, 100, {CPU: 20_000}, {CPU: 0})


def test_a_correction_of_an_older_period_is_dropped() -> None:
    """[C9] its total is history."""
    before = booked([pod(70)], now=130, periods=[FIRST, SECOND])
    later = booked([pod(70)], now=250, version=11, books=before, periods=[SECOND, THIRD])
    after = booked([pod(70, 90, version=12)], now=260, version=12, books=later, periods=[THIRD])
    assert (after.ledger, after.previous and after.previous.ledger) == ({CPU: 0}, {CPU: 0})
    assert after.history == (Total(0, 100, {CPU: 30_000}),)


def test_the_settled_hours_of_the_closed_period_are_kept_over_the_next_writes() -> None:
    """[C4, C9] its pods are forgotten by then."""
    before = booked([pod(70, 120, deleted_at=5)], now=130, periods=[FIRST, SECOND])
    after = booked([], now=150, version=20, books=before, periods=[SECOND])
    assert (after.ledger, after.previous) == (before.ledger, before.previous)


def test_no_more_than_twelve_totals_are_kept_and_the_oldest_go_first() -> None:
    """[C9]."""
    periods = [Period(n * 10, n * 10 + 10) for n in range(30)]
    books = booked([pod(0)], now=295, periods=periods)
    assert len(books.history) == MAX_HISTORY == 12
    assert [each.start for each in books.history] == [n * 10 for n in range(16, 28)]
    assert books.previous is not None
    assert books.previous.start == 280
    older = booked([pod(0)], now=305, version=11, books=books, periods=[periods[-1], Period(300, 310)])
    assert [each.start for each in older.history] == [n * 10 for n in range(17, 29)]


def test_a_key_that_is_new_in_hard_has_its_hours_of_the_closed_period_too() -> None:
    """[C9] what the pods that exist have cost is computed anew, also there."""
    books = accrue(Books(), [pod(70)], keys=[CPU], view=Seen(1, 130), periods=[FIRST, SECOND], now=130)
    more = Charged({CPU: 1000, "memory": 5}, Interval(70), 1)
    again = accrue(books, [more], keys=[CPU, "memory"], view=Seen(2, 140), periods=[SECOND], now=140)
    assert again.ledger == {CPU: 40_000, "memory": 200}


def test_a_key_without_hours_goes_with_its_place_in_hard() -> None:
    """Else a group that renames its keys for ever would fill its status."""
    books = accrue(Books(), [], keys=["memory"], view=Seen(1, 1), periods=[FIRST], now=1)
    assert booked([], books=books, version=2, now=2).ledger == {CPU: 0}


EDGES = st.lists(st.integers(1, DAY - 1), unique=True, max_size=5).map(sorted)


@st.composite
def lives(draw: st.DrawFn) -> Charged:
    """A pod that exists; its end, if it has one, is not before its start."""
    start, cut = draw(st.integers(0, DAY)), draw(st.none() | st.integers(0, DAY))
    return pod(start, draw(st.none() | st.integers(start, DAY)), cores=draw(st.integers(0, 3)), cut=cut)


@given(st.lists(lives(), max_size=5), EDGES, st.lists(st.integers(0, DAY), max_size=6).map(sorted))
def test_whenever_it_is_written_each_period_has_its_own_part(
    pods: list[Charged], edges: list[int], writes: list[int]
) -> None:
    """[C9, C5] edges passed one by one, or many at once."""
    bounds = [Period(start, end) for start, end in pairwise([0, *edges, DAY + 1])]
    books, at = Books(), 0
    for now in [*writes, DAY]:
        running = next(number for number, each in enumerate(bounds) if each.end is not None and now < each.end)
        books = booked(pods, now=now, books=books, periods=bounds[at : running + 1])
        at = running
    known = [*books.history, *([books.previous.total] if books.previous else [])]
    assert [(each.start, each.end) for each in known] == [(each.start, each.end) for each in bounds[:at]]
    shares = [each.ledger[CPU] for each in known] + [books.ledger[CPU]]
    for bound, share in zip(bounds, shares, strict=True):
        assert share == sum(
            each.amounts[CPU] * charged_seconds(each.interval, since=bound.start, now=min(DAY, bound.end or DAY))
            for each in pods
        )


# --- pieces: resized in place [C1] -----------------------------------------------------------------------------------

RESIZED = Charged({CPU: 4000}, Interval(0), 1, past=((10, {CPU: 1000}), (25, {CPU: 2000})))


@pytest.mark.parametrize(
    ("low", "high", "parts"),
    [
        pytest.param(0, 40, [(1000, 10), (2000, 15), (4000, 15)], id="all of it"),
        pytest.param(5, 8, [(1000, 3)], id="within the first piece"),
        pytest.param(10, 25, [(2000, 15)], id="the second one exactly"),
        pytest.param(12, 30, [(2000, 13), (4000, 5)], id="from one into the next"),
        pytest.param(25, 26, [(4000, 1)], id="after the last change"),
        pytest.param(3, 3, [], id="nothing"),
    ],
)
def test_what_a_resized_pod_held(low: int, high: int, parts: list[tuple[int, int]]) -> None:
    """[C1] half-open, to the second."""
    assert [(held[CPU], seconds) for held, seconds in pieces(RESIZED, low, high) if seconds] == parts


def test_a_resized_pod_is_charged_piece_by_piece_and_its_rate_is_the_last() -> None:
    """[C1, C9] across an edge too."""
    books = booked([RESIZED], now=40, periods=[Period(0, 20), Period(20, 99)])
    assert books.previous is not None
    assert books.previous.ledger == {CPU: 10 * 1000 + 10 * 2000}
    assert books.ledger == {CPU: 5 * 2000 + 15 * 4000}
    assert books.rate == {CPU: 4000}


@given(st.lists(st.integers(0, 60), max_size=4).map(sorted), st.integers(0, 60), st.integers(0, 60))
def test_pieces_are_what_each_second_held(untils: list[int], one: int, other: int) -> None:
    """[C1]."""
    each = Charged({CPU: 9}, Interval(0), 1, past=tuple((until, {CPU: n}) for n, until in enumerate(untils)))
    low, high = sorted((one, other))

    def held(second: int) -> int:
        return next((n for n, until in enumerate(untils) if second < until), 9)

    assert sum(amounts[CPU] * seconds for amounts, seconds in pieces(each, low, high)) == sum(
        map(held, range(low, high))
    )


# --- steady: quiet bizrqs cost rate x time ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pods", "until"),
    [
        pytest.param([], None, id="no pods: for ever"),
        pytest.param([pod(NOW - 5)], None, id="running: for ever"),
        pytest.param([pod(NOW - 5, cut=NOW + 30)], NOW + 30, id="a cut to come"),
        pytest.param([pod(NOW - 5, NOW + 20)], NOW + 20, id="an end that its node dated into the future"),
        pytest.param([pod(NOW - 5, NOW + 20, cut=NOW + 10)], NOW + 10, id="the sooner of both"),
        pytest.param([pod(NOW + 7)], NOW + 7, id="a start by a clock that is ahead"),
        pytest.param([pod(NOW - 5, NOW - 1), pod(NOW - 5, cut=NOW)], None, id="all of it is over"),
        pytest.param([pod(None)], None, id="not scheduled"),
        pytest.param([pod(NOW - 5, cut=NOW + 9), pod(NOW + 4), pod(NOW - 1)], NOW + 4, id="the first of all"),
        pytest.param([pod(NOW - 5, NOW + 20, deleted_at=3)], None, id="what is gone is settled"),
    ],
)
def test_steady_until_the_next_start_end_or_cut(pods: list[Charged], until: int | None) -> None:
    """[C4, C8]."""
    assert booked(pods).steady_until == until


@given(st.lists(lives(), max_size=5), st.integers(0, DAY), st.integers(0, DAY))
def test_while_it_is_steady_carrying_says_what_a_walk_would_say(pods: list[Charged], first: int, more: int) -> None:
    """[C4] quiet bizrqs: rate x time."""
    books = booked(pods, now=first)
    later = first + more
    if books.steady_until is not None:
        assert books.steady_until > first
        later = min(later, books.steady_until)
    walked = booked(pods, now=later, version=11, books=books)
    quiet = carry(books, Seen(11, later), later - first)
    assert (quiet.ledger, quiet.settled, quiet.seen) == (walked.ledger, walked.settled, walked.seen)
    if later != books.steady_until:
        assert quiet.rate == walked.rate


# --- doubt [C6] ------------------------------------------------------------------------------------------------------


def test_the_doubt_of_a_vanished_pod_is_stated_once_with_its_settlement() -> None:
    """[C6]."""
    vanished = pod(NOW - 60, NOW - 40, cores=2, deleted_at=12)
    vanished.doubt = 30
    books = booked([vanished], version=11)
    assert books.uncertain == {}, "not settled yet"
    books = booked([vanished], version=12, books=books)
    assert books.uncertain == {CPU: 2000 * 30}
    assert booked([vanished], version=20, books=books).uncertain == books.uncertain


def test_what_is_uncertain_adds_up_and_only_where_there_is_a_budget() -> None:
    """[C6]."""
    vanished = Charged({CPU: 1000, "memory": 5}, Interval(NOW - 60, NOW - 40), 1, 12, doubt=3)
    books = booked([vanished], version=12, books=Books(ledger={CPU: 7}, uncertain={CPU: 10}))
    assert books.uncertain == {CPU: 10 + 3000}


# --- a child that goes [T7] ------------------------------------------------------------------------------------------


def closed(start: int, end: int, hours: int) -> ClosedPeriod:
    return ClosedPeriod(start, end, {CPU: hours}, {CPU: hours})


def test_its_hours_are_settled_in_the_ledger_of_the_same_period() -> None:
    """[T7, C9] those of the period before go to the period before."""
    ours = Books({CPU: 10}, {CPU: 4}, uncertain={CPU: 1}, previous=closed(0, 100, 7))
    child = Books({CPU: 3}, {CPU: 1}, uncertain={CPU: 2}, previous=closed(50, 100, 5))
    books = absorb(ours, child, (200, 200), [CPU])
    assert (books.ledger, books.settled, books.uncertain) == ({CPU: 13}, {CPU: 7}, {CPU: 3})
    assert books.previous == closed(0, 100, 12)


def test_a_child_closed_before_the_edge_leaves_its_hours_in_the_period_before() -> None:
    """[T7, C9]."""
    ours = Books({CPU: 10}, {CPU: 4}, previous=closed(0, 100, 7))
    books = absorb(ours, Books({CPU: 3}, {CPU: 3}), (200, 100), [CPU])
    assert (books.ledger, books.settled, books.previous) == ({CPU: 10}, {CPU: 4}, closed(0, 100, 10))


def test_hours_of_a_period_that_is_closed_for_good_are_dropped() -> None:
    """[T7, C9]."""
    ours = Books({CPU: 10}, {CPU: 4}, previous=closed(100, 200, 7))
    child = Books({CPU: 3}, {CPU: 3}, previous=closed(0, 50, 9))
    assert absorb(ours, child, (300, 100), [CPU]) == ours
    assert absorb(Books({CPU: 10}), child, (300, 100), [CPU]) == Books({CPU: 10})
    assert absorb(ours, child, (300, 300), [CPU]).previous == ours.previous


def test_hours_of_a_key_without_a_budget_are_not_measured() -> None:
    """[T7, K5] but those of a key once in the books are."""
    child = Books({CPU: 3, "memory": 8, "x": 1})
    assert absorb(Books({"memory": 1}), child, (None, None), [CPU]).ledger == {CPU: 3, "memory": 9}
