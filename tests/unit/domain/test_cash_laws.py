"""[C4, C5] laws of the books: whatever the views and the moments of writing, each pod is charged exactly once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bizrq.domain.cash import Books, Charged, Seen, carried
from bizrq.domain.intervals import EndSource, Interval
from tests.support.books import CPU, booked

GPU = "requests.nvidia.com/gpu"
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
