"""[C5, C6] where deletions cannot be replayed, the ledger stays at or below the truth and says what may be missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bizrq.domain.cash import Books, Charged, Seen
from bizrq.domain.closed_periods import ClosedPeriod
from bizrq.domain.intervals import EndSource, Interval
from bizrq.domain.periods import Period
from bizrq.domain.rebase import rebase
from tests.support.books import CPU, booked, pod
from tests.support.build import NOW

HOUR = Period(0)


def rebased(books: Books, pods: Iterable[Charged], *, written: int = NOW, now: int = NOW, complete: int = 20) -> Books:
    return rebase(books, pods, complete=complete, period=HOUR, written=written, now=now)


def status(pods: Iterable[Charged], *, good: int = NOW, books: Books | None = None) -> Books:
    """The books of a status written now, whose newest event was at ``good``."""
    return dataclasses.replace(booked(pods, books=books), seen=Seen(10, good))


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_was_charged_for_a_pod_that_is_gone_is_kept() -> None:
    """[C6] the view was good up to the status itself: to the second."""
    there, gone = pod(NOW - 100), pod(NOW - 60)
    books = rebased(status([there, gone]), [there])
    assert books.settled == {CPU: 60_000}
    assert booked([there], version=20, books=books).ledger == {CPU: 160_000}
    assert (books.seen, books.rebased) == (Seen(20, NOW), True)


def test_what_the_gone_ones_may_have_run_on_is_stated() -> None:
    """[C6] up to now: nobody saw them go."""
    books = rebased(status([pod(NOW - 60, cores=2)]), [], now=NOW + 30)
    assert (books.settled, books.uncertain) == ({CPU: 120_000}, {CPU: 2000 * 30})


def test_what_is_gone_may_have_gone_right_after_the_last_good_instant() -> None:
    """[C6] what was charged between that and the status is taken back, and stated."""
    books = rebased(status([pod(NOW - 60)], good=NOW - 20), [], now=NOW + 5)
    assert (books.settled, books.uncertain) == ({CPU: 40_000}, {CPU: 25_000})


def test_a_pod_that_ended_meanwhile_may_have_been_charged_as_running() -> None:
    """[C6] its end is known by now, and whether the writer knew it is not."""
    ended, gone = pod(NOW - 100, NOW - 90, version=11), pod(NOW - 100, NOW - 50)
    books = rebased(status([pod(NOW - 100, NOW - 90), gone]), [ended])
    assert (books.settled, books.uncertain) == ({CPU: 0}, {CPU: 90_000})


def test_the_very_object_that_the_writer_saw_leaves_no_doubt() -> None:
    """[C6]."""
    ended, gone = pod(NOW - 100, NOW - 90, version=10), pod(NOW - 100, NOW - 50)
    books = rebased(status([ended, gone]), [ended])
    assert (books.settled, books.uncertain) == ({CPU: 50_000}, {CPU: 0})


def test_pods_that_came_later_take_nothing() -> None:
    """[C6]."""
    later = [pod(NOW + 5, version=15), pod(None, version=16), pod(NOW - 9, deleted_at=20), pod(NOW - 9, deleted_at=3)]
    books = rebased(status([pod(NOW - 100)]), later, now=NOW + 10)
    assert books.settled == {CPU: 100_000}


def test_a_pod_that_began_after_the_last_good_instant_may_have_been_seen_or_not() -> None:
    """[C6] nor is it known whether it was in the rate."""
    began = pod(NOW - 10, version=15)
    books = rebased(status([pod(NOW - 100)], good=NOW - 20), [began])
    assert (books.settled, books.uncertain) == ({CPU: 100_000 - 10_000 - 20_000}, {CPU: 10_000 + 20_000})


def test_a_deletion_after_the_gap_is_known_and_takes_its_part() -> None:
    """[C5, C6] it is settled by its own event."""
    known = pod(NOW - 100, NOW + 3, version=25, deleted_at=25)
    books = rebased(status([pod(NOW - 100)]), [known], now=NOW + 10)
    assert books.settled == {CPU: 0}
    assert booked([known], version=25, books=books, now=NOW + 10).ledger == {CPU: 103_000}


def test_what_was_settled_stays_at_least() -> None:
    """[C4, C6] whatever the pods that are there can have been charged."""
    before = Books({CPU: 5_000}, {CPU: 5_000}, Seen(1, 0))
    ended = pod(NOW - 100, NOW - 90, version=11)
    books = rebased(status([pod(NOW - 100, NOW - 90)], books=before), [ended])
    assert books.settled == {CPU: 5_000}


def test_the_period_before_is_rebased_too() -> None:
    """[C9, C6] the pod that is there has run in both, and so has the one that is gone."""
    there, gone = pod(NOW - 100), pod(NOW - 100)
    periods = [Period(NOW - 200, NOW - 30), Period(NOW - 30)]
    books = dataclasses.replace(booked([there, gone], periods=periods), seen=Seen(10, NOW - 40))
    kept = rebase(books, [there], complete=20, period=periods[1], written=NOW, now=NOW)
    assert kept.previous == ClosedPeriod(NOW - 200, NOW - 30, {CPU: 140_000}, {CPU: 60_000})
    assert kept.settled == {CPU: 0}
    assert kept.uncertain == {CPU: 40_000}


def test_resized_pods_take_what_they_were_charged_piece_by_piece() -> None:
    """[C1, C6]."""
    resized = Charged({CPU: 4000}, Interval(NOW - 30), 1, past=((NOW - 20, {CPU: 1000}),))
    books = rebased(status([resized, pod(NOW - 5)]), [resized])
    assert (books.ledger, books.settled) == ({CPU: 95_000}, {CPU: 5_000})


@pytest.mark.parametrize("cut", [NOW - 30, NOW + 30])
def test_behind_its_cut_a_pod_can_have_been_charged_no_more_but_nobody_knows_when_the_cut_was_seen(cut: int) -> None:
    """[C6]."""
    there = replace(pod(NOW - 100, cut=cut), version=11)
    books = rebased(status([pod(NOW - 100)]), [there])
    assert books.settled == {CPU: 0}
    assert booked([there], version=20, books=books).ledger == {CPU: 1000 * min(100, cut - NOW + 100)}


# --- bounds, in small worlds -----------------------------------------------------------------------------------------

END = 40
"""By now everything has been reported."""


@dataclass(frozen=True)
class Life:
    """What really happens to a pod; its end is told some seconds late."""

    amount: int
    start: int
    end: int | None
    delay: int
    kept: int | None
    """Seconds from the report of its end to its deletion."""

    @property
    def told(self) -> int | None:
        return None if self.end is None else self.end + self.delay

    @property
    def deletion(self) -> int | None:
        return None if self.told is None or self.kept is None else self.told + self.kept

    @property
    def cost(self) -> int:
        return self.amount * ((END if self.end is None else self.end) - self.start)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    start = draw(st.integers(0, 20))
    end = draw(st.none() | st.integers(start, 25))
    return Life(draw(st.integers(1, 3)), start, end, draw(st.integers(0, 3)), draw(st.none() | st.integers(0, 4)))


class World:
    """The log of all events; what happened up to a version is what a view at that version knows."""

    def __init__(self, of_pods: list[Life]) -> None:
        events: list[tuple[int, int, int, Interval]] = []
        for number, life in enumerate(of_pods):
            ended = Interval(life.start, life.end, EndSource.FINISHED_AT)
            events.append((life.start, number, 0, Interval(life.start)))
            events += [(at, number, what, ended) for what, at in ((1, life.told), (2, life.deletion)) if at is not None]
        self.lives, self.log = of_pods, sorted(events, key=lambda event: event[:3])

    def at(self, now: int) -> int:
        return sum(event[0] <= now for event in self.log)

    def good(self, version: int) -> int:
        return self.log[version - 1][0] if version else 0

    def view(self, version: int) -> dict[int, Charged]:
        pods = {}
        for at, (_, number, what, interval) in enumerate(self.log[:version], start=1):
            pods[number] = Charged({CPU: self.lives[number].amount}, interval, at, at if what == 2 else None)
        return pods


def periods_between(edges: list[int], first: int, last: int) -> list[Period]:
    """The one at ``first``, and those that began since."""
    bounds = [Period(start, end) for start, end in pairwise([0, *edges, 1000])]
    return [each for each in bounds if each.end is not None and first < each.end and each.start <= last]


def charged_in_all(books: Books) -> int:
    return (
        books.ledger[CPU]
        + (books.previous.ledger[CPU] if books.previous else 0)
        + sum(each.ledger[CPU] for each in books.history)
    )


@given(
    st.lists(lives(), max_size=4),
    st.lists(st.integers(1, 30), unique=True, max_size=2).map(sorted),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=2).map(sorted),
    st.integers(0, 10),
)
def test_the_ledger_is_at_most_the_truth_and_the_truth_at_most_the_ledger_and_what_is_uncertain(
    of_pods: list[Life], edges: list[int], writes: list[tuple[int, int]], outage: int
) -> None:
    """[C6] of pods that were seen; above by no more than the delay with which ends of unseen ones are reported."""
    world, books, written = World(of_pods), Books(), 0
    for now, lag in writes:
        version = max(world.at(now - lag), books.seen.version if books.seen else 0)
        books = booked(
            world.view(version).values(), now=now, version=version, books=books,
            periods=periods_between(edges, written, now),
        )  # fmt: skip
        books = dataclasses.replace(books, seen=Seen(version, world.good(version)))
        written = now
    seen = books.seen.version if books.seen else 0
    listed = world.at(written + outage)
    gone_unseen = [
        number for number, each in world.view(listed).items() if each.deleted_at is not None and each.deleted_at > seen
    ]
    known = {number: each for number, each in world.view(len(world.log)).items() if number not in gone_unseen}
    periods = periods_between(edges, written, END)
    if len(periods) > 1:
        books = dataclasses.replace(books, uncertain={})
    if seen < listed:
        books = rebase(books, known.values(), complete=listed, period=periods[0], written=written, now=END)
    books = booked(known.values(), now=END, version=max(listed, len(world.log)), books=books, periods=periods)
    never_seen = {number for number in gone_unseen if number not in world.view(seen)}
    truth = sum(each.cost for each in of_pods)
    slack = sum(of_pods[number].amount * of_pods[number].delay for number in gone_unseen)
    bounded = sum(each.cost for number, each in enumerate(of_pods) if number not in never_seen)
    assert charged_in_all(books) <= truth + slack
    assert bounded <= charged_in_all(books) + books.uncertain.get(CPU, 0)
    if not gone_unseen and seen == listed:
        assert charged_in_all(books) == truth
