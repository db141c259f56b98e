"""[C3-C5, K6] the books: what an interval costs, what is settled, what the ledger says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bizrq.domain.cash import HOUR, Books, Charged, Seen, accrue, budget, carried, hours, hours_text
from bizrq.domain.intervals import NOT_STARTED, Interval
from bizrq.domain.periods import Period
from bizrq.domain.quantity import ZERO, Quantity, parse, parse_own
from tests.support.books import CPU, booked, charged_seconds, pod
from tests.support.build import NOW

GPU = "requests.nvidia.com/gpu"


# --- what an interval costs ------------------------------------------------------------------------------------------


@given(
    start=st.integers(0, 3600),
    end=st.none() | st.integers(0, 3600),
    cut=st.none() | st.integers(0, 3600),
    cuts=st.lists(st.integers(0, 3600)),
)
def test_splitting_an_interval_never_changes_the_charge(
    start: int, end: int | None, cut: int | None, cuts: list[int]
) -> None:
    """[C9] a pod across the edges of periods is charged to each for its own part."""
    interval = Interval(start, end, cut=cut)
    edges = [0, *sorted(cuts), 3600]
    whole = charged_seconds(interval, since=0, now=3600)
    # Up to an edge, a period is charged as if the clock stood there.
    assert sum(charged_seconds(interval, since=since, now=until) for since, until in pairwise(edges)) == whole


@pytest.mark.parametrize(
    ("interval", "since", "seconds"),
    [
        pytest.param(Interval(None), 0, 0, id="never started"),
        pytest.param(Interval(NOW - 60), 0, 60, id="running"),
        pytest.param(Interval(NOW - 60, NOW - 20), 0, 40, id="ended"),
        pytest.param(Interval(NOW - 60), NOW - 10, 10, id="only since the period began [C9]"),
        pytest.param(Interval(NOW - 60, NOW - 20), NOW - 10, 0, id="ended before the period began"),
        pytest.param(Interval(NOW + 60), 0, 0, id="starts in the future, by another clock"),
        pytest.param(Interval(NOW - 60, NOW - 90), 0, 0, id="ended before it started"),
        pytest.param(Interval(NOW - 60, cut=NOW - 50), 0, 10, id="past its cut"),
        pytest.param(Interval(NOW, NOW), 0, 0, id="half-open: no second at all"),
    ],
)
def test_charged_seconds(interval: Interval, since: int, seconds: int) -> None:
    """[C1, C2]."""
    assert charged_seconds(interval, since=since, now=NOW) == seconds


# --- the books -------------------------------------------------------------------------------------------------------


def test_a_running_pod_is_charged_up_to_now_and_counts_in_the_rate() -> None:
    """[C3] milli-units x seconds."""
    books = booked([pod(NOW - 60, cores=2)])
    assert books == Books({CPU: 2000 * 60}, {CPU: 0}, Seen(10, NOW), {CPU: 2000})


def test_an_ended_pod_is_charged_to_its_end_and_is_settled_only_when_it_is_gone() -> None:
    ended = pod(NOW - 60, NOW - 20)
    assert booked([ended]) == Books({CPU: 40_000}, {CPU: 0}, Seen(10, NOW), {CPU: 0})
    gone = replace(ended, deleted_at=9)
    assert booked([gone]) == Books({CPU: 40_000}, {CPU: 40_000}, Seen(10, NOW), {CPU: 0})


def test_a_deletion_later_than_the_view_is_charged_and_not_settled_yet() -> None:
    """[C4] settled is what was deleted at a version up to the view's."""
    books = booked([pod(NOW - 60, NOW, deleted_at=11)], version=10)
    assert (books.ledger, books.settled, books.rate) == ({CPU: 60_000}, {CPU: 0}, {CPU: 0})
    books = booked([pod(NOW - 60, NOW, deleted_at=11)], version=11, books=books)
    assert (books.ledger, books.settled) == ({CPU: 60_000}, {CPU: 60_000})


def test_a_deletion_that_the_books_have_seen_is_not_settled_again() -> None:
    """[C4] a crash, a replay, a lost answer: nothing is doubled."""
    gone = pod(NOW - 60, NOW, deleted_at=10)
    books = booked([gone], version=10)
    assert booked([gone], version=10, books=books) == booked([], version=10, books=books) == books
    assert booked([gone], version=20, books=books).ledger == {CPU: 60_000}


def test_a_view_older_than_the_books_does_not_write() -> None:
    """[C4]."""
    books = booked([], version=10)
    with pytest.raises(ValueError, match="a view at 9 knows less than the books, which have seen 10"):
        booked([], version=9, books=books)


def test_the_first_view_may_be_at_any_version() -> None:
    assert booked([pod(NOW - 1)], version=0).ledger == {CPU: 1000}


def test_a_pod_without_a_start_costs_nothing() -> None:
    """[C1] unscheduled and gated pods."""
    waiting = Charged({CPU: 1000}, NOT_STARTED, 1)
    assert booked([waiting, replace(waiting, deleted_at=5)]) == Books({CPU: 0}, {CPU: 0}, Seen(10, NOW), {CPU: 0})


def test_a_pod_that_starts_this_very_second_is_in_the_rate() -> None:
    """[C8] from now on each second costs."""
    assert booked([pod(NOW)]) == Books({CPU: 0}, {CPU: 0}, Seen(10, NOW), {CPU: 1000})
    assert booked([pod(NOW + 1)]).rate == {CPU: 0}
    assert booked([pod(NOW - 60, NOW)]).rate == {CPU: 0}


def test_a_pod_that_is_gone_is_in_no_rate_even_if_its_node_dated_its_end_into_the_future() -> None:
    """[C2] E <= now."""
    gone = pod(NOW - 60, NOW + 60, deleted_at=5)
    assert booked([gone]) == Books({CPU: 60_000}, {CPU: 60_000}, Seen(10, NOW), {CPU: 0})


def test_a_pod_past_its_cut_costs_no_more() -> None:
    books = booked([pod(NOW - 60, cut=NOW - 10)])
    assert (books.ledger, books.rate) == ({CPU: 50_000}, {CPU: 0})


def test_only_budgeted_keys_are_booked_and_models_are_keys_of_their_own() -> None:
    """[K3]."""
    each = Charged({CPU: 1000, f"{CPU}.A4": 1000, "limits.memory": 2**40, GPU: 2000}, Interval(NOW - 10), 1)
    books = accrue(Books(), [each], keys=[f"{CPU}.A4", GPU], view=Seen(1, NOW), periods=[Period(0)], now=NOW)
    assert books.ledger == {f"{CPU}.A4": 10_000, GPU: 20_000}
    assert books.rate == {f"{CPU}.A4": 1000, GPU: 2000}


def test_a_key_taken_out_of_hard_and_put_back_refills_nothing() -> None:
    """A key once in the books stays there."""
    books = booked([pod(NOW - 60, NOW, deleted_at=5)])
    without = accrue(books, [], keys=[], view=Seen(20, NOW), periods=[Period(0)], now=NOW)
    assert booked([], books=without, version=30).ledger == {CPU: 60_000}


def test_nothing_before_the_period_is_booked() -> None:
    """[C9] no period: one that began with the object."""
    assert booked([pod(NOW - 60), pod(NOW - 60, NOW - 40)], since=NOW - 30).ledger == {CPU: 30_000}


def test_accruing_changes_neither_the_books_nor_the_pods_it_is_given() -> None:
    before = Books({CPU: 5}, {CPU: 5}, Seen(1, 0), {CPU: 0})
    each = pod(NOW - 60)
    booked([each], books=before)
    assert before == Books({CPU: 5}, {CPU: 5}, Seen(1, 0), {CPU: 0})
    assert (each.amounts, each.interval, each.deleted_at) == ({CPU: 1000}, Interval(NOW - 60), None)


# --- hours and budgets [K6, C8] --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("milli_seconds", "text"),
    [
        pytest.param(0, "0", id="nothing"),
        pytest.param(3_600_000, "1", id="an hour of one core"),
        pytest.param(3_599_999, "0.999", id="a moment less is rounded down"),
        pytest.param(3_600_001, "1", id="a moment more too"),
        pytest.param(812_400 * 3600, "812.4", id="no zeros at the end"),
        pytest.param(100 * 3_600_000, "100", id="zeros of whole hours stay"),
        pytest.param(3599, "0", id="less than a thousandth"),
        pytest.param(3600, "0.001", id="a thousandth"),
        pytest.param(10_000 * 3_600_000, "10000", id="a decimal, no suffix"),
        pytest.param(2**41 * 1000 * 365 * 24 * HOUR, str(2**41 * 365 * 24), id="2Ti for a year"),
        pytest.param(-1800_000, "-0.5", id="a credit"),
        pytest.param(-3600, "-0.001", id="a small credit"),
    ],
)
def test_hours_for_people(milli_seconds: int, text: str) -> None:
    """[K6] decimals of up to 3 places, rounded down."""
    assert hours_text(hours(milli_seconds)) == text


@given(st.integers(0, 10**30))
def test_hours_are_rounded_down_to_thousandths_and_print_as_what_they_are(milli_seconds: int) -> None:
    """[K6]."""
    shown = hours(milli_seconds)
    assert 0 <= milli_seconds - shown.milli() * 3600 < 3600
    text = hours_text(shown)
    assert text.replace(".", "").isdecimal()
    assert len(text.partition(".")[2]) <= 3
    assert parse_own(text) == shown


@given(st.integers(0, 10**9), st.integers(-5000, 5000))
def test_hours_show_at_least_hard_exactly_when_the_budget_is_exhausted(milli_hours: int, off: int) -> None:
    """[K6, C8] for budgets of up to three decimals, to the second."""
    hard = Quantity.from_milli(milli_hours)
    ledger = max(0, budget(hard) + off)
    assert (hours(ledger) >= hard) == (ledger >= budget(hard))


@pytest.mark.parametrize(
    ("hard", "milli_seconds"),
    [("1", 3_600_000), ("0", 0), ("0.5", 1_800_000), ("10k", 36_000_000_000), ("1m", 3600), ("1u", 3), ("1n", 0)],
)
def test_what_a_budget_grants(hard: str, milli_seconds: int) -> None:
    """[C3] rounded down, so that what is left is never shown too large."""
    assert budget(parse(hard)) == milli_seconds


def test_a_budget_is_reached_at_its_very_second() -> None:
    """[C8] 8 cores on a budget of 1 core-hour: 450 s."""
    each = pod(NOW, cores=8)
    limit = budget(parse("1"))
    assert booked([each], now=NOW + 449).ledger[CPU] < limit
    assert booked([each], now=NOW + 450).ledger[CPU] == limit


def test_memory_hours_pass_64_bits_without_a_loss() -> None:
    """[C3] 2Ti and one byte for a year and a second, in milli-bytes x seconds."""
    size, seconds = 2**41 + 1, 365 * 24 * HOUR + 1
    each = Charged({"limits.memory": size * 1000}, Interval(NOW), 1)
    books = accrue(Books(), [each], keys=["limits.memory"], view=Seen(1, NOW), periods=[Period(0)], now=NOW + seconds)
    assert books.ledger["limits.memory"] == size * 1000 * seconds > 2**63
    assert hours(books.ledger["limits.memory"]) > ZERO
    assert carried(books, seconds)["limits.memory"] == 2 * size * 1000 * seconds
