"""[C3-C5, K6] the books: what an interval costs, what is settled, what the ledger says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bizrq.domain.cash import (
    HOUR,
    Books,
    Charged,
    Seen,
    accrue,
    budget,
    carried,
    charged_seconds,
    hours,
    hours_text,
    keep_over_a_gap,
)
from bizrq.domain.intervals import NOT_STARTED, EndSource, Interval
from bizrq.domain.quantity import ZERO, Quantity, parse, parse_own
from tests.support.build import NOW

CPU = "limits.cpu"
GPU = "requests.nvidia.com/gpu"


def pod(
    start: int | None,
    end: int | None = None,
    *,
    cores: int = 1,
    version: int = 1,
    deleted_at: int | None = None,
    cut: int | None = None,
) -> Charged:
    source = EndSource.NONE if end is None else EndSource.FINISHED_AT
    return Charged({CPU: cores * 1000}, Interval(start, end, source, cut), version, deleted_at)


def booked(
    pods: Iterable[Charged], *, now: int = NOW, version: int = 10, books: Books | None = None, since: int = 0
) -> Books:
    return accrue(books or Books(), pods, keys=[CPU], view=Seen(version, now), since=since, now=now)


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
    books = accrue(Books(), [each], keys=[f"{CPU}.A4", GPU], view=Seen(1, NOW), since=0, now=NOW)
    assert books.ledger == {f"{CPU}.A4": 10_000, GPU: 20_000}
    assert books.rate == {f"{CPU}.A4": 1000, GPU: 2000}


def test_a_key_taken_out_of_hard_and_put_back_refills_nothing() -> None:
    """A key once in the books stays there."""
    books = booked([pod(NOW - 60, NOW, deleted_at=5)])
    without = accrue(books, [], keys=[], view=Seen(20, NOW), since=0, now=NOW)
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


# --- laws ------------------------------------------------------------------------------------------------------------

DAY = 1000


@dataclass(frozen=True)
class Past:
    """What really happens to a pod: the truth behind all views of it."""

    milli: int
    start: int
    end: int | None
    guess: int | None
    """An end that is believed before the right one comes."""
    deletion: int | None

    @property
    def cost(self) -> int:
        return 0 if self.end is None else self.milli * (self.end - self.start)


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    start = draw(st.integers(0, DAY))
    end = draw(st.none() | st.integers(start, DAY))
    guess = None if end is None else draw(st.none() | st.integers(start, DAY))
    deletion = None if end is None else draw(st.none() | st.integers(end, DAY))
    return Past(draw(st.integers(0, 64_000)), start, end, guess, deletion)


class World:
    """A log of pod events: what happened up to a version is what a view at that version knows."""

    def __init__(self, of_pods: list[Past]) -> None:
        self.pods = of_pods
        events: list[tuple[int, int, int, Interval, bool]] = []
        for number, past in enumerate(of_pods):
            events.append((past.start, number, 0, Interval(past.start), False))
            if past.end is None:
                continue
            gone_or_known = DAY if past.deletion is None else past.deletion
            if past.guess is not None and past.guess <= gone_or_known:
                told = max(past.guess, past.start)
                events.append((told, number, 1, Interval(past.start, past.guess, EndSource.OBSERVED), False))
            events.append((gone_or_known, number, 2, Interval(past.start, past.end, EndSource.FINISHED_AT), False))
            if past.deletion is not None:
                end = Interval(past.start, past.end, EndSource.FINISHED_AT)
                events.append((past.deletion, number, 3, end, True))
        self.log = sorted(events, key=lambda event: event[:3])

    def version_at(self, now: int) -> int:
        return sum(event[0] <= now for event in self.log)

    def view(self, version: int, *, forgotten: int = -1) -> list[Charged]:
        """The pods as seen at a version; those deleted up to ``forgotten`` are not kept any more."""
        pods: dict[int, Charged] = {}
        for at, (_, number, _, interval, gone) in enumerate(self.log[:version], start=1):
            pods[number] = Charged({CPU: self.pods[number].milli}, interval, at, at if gone else None)
        return [each for each in pods.values() if each.deleted_at is None or each.deleted_at > forgotten]


WRITES = st.lists(st.tuples(st.integers(0, DAY), st.floats(0, 1), st.booleans(), st.booleans()), max_size=8)


@given(st.lists(pasts(), max_size=6), WRITES)
def test_each_pod_is_charged_exactly_once_whatever_the_views_and_the_moments_of_writing(
    of_pods: list[Past], writes: list[tuple[int, float, bool, bool]]
) -> None:
    """[C4, C5] views lag and ends come late; answers are lost; records are forgotten or told again; two writers."""
    world, books = World(of_pods), Books()
    for now, freshness, lost, forgetful in sorted(writes):
        version = round(world.version_at(now) * freshness)
        seen = books.seen.version if books.seen else -1
        pods = world.view(version, forgotten=seen if forgetful else -1)
        if version < seen:  # the other writer knew more
            with pytest.raises(ValueError, match="knows less"):
                booked(pods, now=now, version=version, books=books)
            continue
        result = booked(pods, now=now, version=version, books=books)
        assert result.settled[CPU] == sum(
            past.cost for number, past in enumerate(of_pods) if is_gone(world, number, version)
        )
        books = books if lost else result
    running = sum(past.milli * (DAY - past.start) for past in of_pods if past.end is None)
    final = booked(world.view(len(world.log)), now=DAY, version=len(world.log), books=books)
    assert final.ledger[CPU] == sum(past.cost for past in of_pods) + running
    assert final.settled[CPU] == sum(past.cost for past in of_pods if past.deletion is not None)
    assert final.rate[CPU] == sum(past.milli for past in of_pods if past.end is None)


def is_gone(world: World, number: int, version: int) -> bool:
    return any(gone and pod_number == number for _, pod_number, _, _, gone in world.log[:version])


INTERVALS = st.builds(
    Interval,
    st.none() | st.integers(0, DAY),
    st.none() | st.integers(0, DAY),
    cut=st.none() | st.integers(0, DAY),
)
PODS = st.lists(
    st.builds(
        Charged,
        st.fixed_dictionaries({CPU: st.integers(0, 64_000)}, optional={GPU: st.integers(0, 8000)}),
        INTERVALS,
        st.integers(1, 20),
        st.none() | st.integers(1, 20),
    ),
    max_size=6,
)


@given(PODS, st.integers(0, DAY), st.data())
def test_the_order_of_pods_does_not_matter(pods: list[Charged], now: int, data: st.DataObject) -> None:
    before = Books({CPU: 7, GPU: 3}, {CPU: 7, GPU: 3}, Seen(4, 0))
    mixed = data.draw(st.permutations(pods))
    assert booked(pods, now=now, books=before) == booked(mixed, now=now, books=before)


@given(PODS, st.integers(0, DAY), st.integers(0, DAY))
def test_in_quiet_time_the_ledger_grows_by_rate_times_time(pods: list[Charged], first: int, later: int) -> None:
    """[A6] between writes, where nothing starts or ends, the carried figure is the exact one."""
    begin, end = sorted((first, later))
    edges = {edge for each in pods for edge in (each.interval.start, each.interval.end, each.interval.cut)}
    if any(edge is not None and begin < edge <= end for edge in edges):
        end = begin
    alive = [replace(each, deleted_at=None) for each in pods]
    books = booked(alive, now=begin)
    assert carried(books, end - begin) == booked(alive, now=end, books=books).ledger


def test_carrying_leaves_keys_without_a_rate_as_they_are() -> None:
    assert carried(Books({CPU: 5, GPU: 7}, rate={CPU: 2000}), 10) == {CPU: 20_005, GPU: 7}


# --- a gap: deletions that nobody saw [C4, C6] -----------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """The pods that a status was written for, and what a list shows of them after deletions that nobody saw."""

    unchanged: list[Charged]
    gone: list[Charged]
    changed: list[tuple[Charged, Charged]]
    """As the status saw it, and as it is listed: its end was told later, and may lie before the status."""

    @property
    def before(self) -> list[Charged]:
        return [*self.unchanged, *self.gone, *(old for old, _ in self.changed)]

    @property
    def listed(self) -> list[Charged]:
        return [*self.unchanged, *(new for _, new in self.changed)]


@st.composite
def gaps(draw: st.DrawFn) -> Gap:
    gap = Gap([], [], [])
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, DAY // 2))
        each = pod(start, draw(st.none() | st.integers(start, DAY)), cores=draw(st.integers(1, 8)), version=3)
        what = draw(st.integers(0, 2))
        if what == 0:
            gap.unchanged.append(each)
        elif what == 1:
            gap.gone.append(each)
        else:
            end = draw(st.none() | st.integers(start, 2 * DAY))
            gap.changed.append((each, replace(each, interval=Interval(start, end), version=15)))
    return gap


def cost(pods: Iterable[Charged], now: int) -> int:
    return sum(each.amounts[CPU] * charged_seconds(each.interval, since=0, now=now) for each in pods)


@given(gaps(), st.integers(0, 10**6), st.integers(DAY // 4, DAY))
def test_over_a_gap_what_the_gone_pods_can_be_shown_to_have_cost_is_kept_and_nothing_more(
    gap: Gap, settled: int, reconciled: int
) -> None:
    books = booked(gap.before, now=reconciled, books=Books({CPU: settled}, {CPU: settled}, Seen(1, 0)))
    kept = keep_over_a_gap(books, gap.listed, since=0, reconciled=reconciled)
    assert (kept.ledger, kept.rate, kept.seen) == (books.ledger, books.rate, books.seen)
    # What changed may have been charged as running all the time: that much is in doubt.
    running = [replace(old, interval=Interval(old.interval.start)) for old, _ in gap.changed]
    doubt = cost(running, reconciled) - cost([old for old, _ in gap.changed], reconciled)
    certain = settled + cost(gap.gone, reconciled) - doubt
    assert max(settled, certain) <= kept.settled[CPU] <= settled + cost(gap.gone, reconciled)


@given(gaps(), st.integers(DAY // 2, DAY))
def test_over_a_gap_where_nothing_changed_but_what_is_gone_all_of_it_is_kept(gap: Gap, reconciled: int) -> None:
    """The ledger stays as it was, to the second."""
    books = booked([*gap.unchanged, *gap.gone], now=reconciled)
    kept = keep_over_a_gap(books, gap.unchanged, since=0, reconciled=reconciled)
    assert kept.settled == {CPU: cost(gap.gone, reconciled)}
    assert booked(gap.unchanged, now=reconciled, version=20, books=kept).ledger == books.ledger


@given(gaps(), st.integers(0, 10**6), st.integers(DAY // 4, DAY))
def test_over_a_gap_where_nothing_went_settled_stays_exactly(gap: Gap, settled: int, reconciled: int) -> None:
    books = booked(gap.before, now=reconciled, books=Books({CPU: settled}, {CPU: settled}, Seen(1, 0)))
    assert keep_over_a_gap(books, [*gap.listed, *gap.gone], since=0, reconciled=reconciled) == books


@pytest.mark.parametrize(
    ("version", "kept"),
    [
        pytest.param(10, 50_000, id="the very object that the writer saw: its end is known"),
        pytest.param(11, 0, id="changed since: it may have been charged as running"),
    ],
)
def test_over_a_gap_a_pod_that_had_ended_takes_no_more_than_it_can_have_been_charged(version: int, kept: int) -> None:
    ended, gone = pod(NOW - 100, NOW - 90), pod(NOW - 100, NOW - 50)
    books = booked([ended, gone], version=10)
    listed = [replace(ended, version=version)]
    assert keep_over_a_gap(books, listed, since=0, reconciled=NOW).settled == {CPU: kept}


def test_over_a_gap_hours_before_the_period_are_no_hours() -> None:
    """[C9]."""
    books = booked([pod(NOW - 100), pod(NOW - 100)], since=NOW - 10)
    kept = keep_over_a_gap(books, [pod(NOW - 100)], since=NOW - 10, reconciled=NOW)
    assert kept.settled == {CPU: 10_000}


def test_over_a_gap_pods_that_came_later_take_nothing() -> None:
    books = booked([pod(NOW - 100)])
    kept = keep_over_a_gap(books, [pod(NOW + 5, version=15), pod(None, version=16)], since=0, reconciled=NOW)
    assert kept.settled == {CPU: 100_000}


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
    books = accrue(Books(), [each], keys=["limits.memory"], view=Seen(1, NOW), since=0, now=NOW + seconds)
    assert books.ledger["limits.memory"] == size * 1000 * seconds > 2**63
    assert hours(books.ledger["limits.memory"]) > ZERO
    assert carried(books, seconds)["limits.memory"] == 2 * size * 1000 * seconds
