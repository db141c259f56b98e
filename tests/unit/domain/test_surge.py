"""[A8, P5] since when a workload has more pods than it is charged for: told by nothing but the pods that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.surge import Surge, next_standing, surge_since
from tests.support.build import NOW

HOUR = 3600


@pytest.mark.parametrize(
    ("starts", "charged", "since"),
    [
        pytest.param([1, 2, 3], 3, None, id="as many as are charged"),
        pytest.param([1, 2], 3, None, id="fewer"),
        pytest.param([], 0, None, id="none"),
        pytest.param([5], 0, 5, id="one of a workload that is charged for none"),
        pytest.param([1, 2, 3, 50], 3, 50, id="a canary beside the three of old"),
        pytest.param([1, 2, 3, 50, 51, 52], 3, 50, id="a blue-green: since the first of the new ones"),
        pytest.param([1, 2, 70, 50, 51, 52], 3, 51, id="one of the old ones was made anew meanwhile"),
        pytest.param([60, 61, 62, 63], 3, 63, id="a rollout that has replaced all of them: since the last"),
    ],
)
def test_since_when(starts: list[int], charged: int, since: int | None) -> None:
    assert surge_since(starts, charged) == since


LIVES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)).map(lambda pair: (pair[0], sum(pair))), max_size=12)
"""Pods from a start to an end."""


@given(LIVES, st.integers(0, 6))
def test_it_never_says_longer_than_it_is(lives: list[tuple[int, int]], charged: int) -> None:
    """At each instant since then there were more, whatever came and went besides."""
    now = 40
    present = [start for start, end in lives if start <= now < end]
    since = surge_since(present, charged)
    if since is None:
        assert len(present) <= charged
        return
    for instant in range(since, now + 1):
        assert sum(start <= instant < end for start, end in lives) > charged


@given(LIVES, st.integers(0, 6))
def test_where_no_pod_has_gone_it_is_exact(lives: list[tuple[int, int]], charged: int) -> None:
    starts = [start for start, _ in lives]
    since = surge_since(starts, charged)
    more = [instant for instant in range(41) if sum(start <= instant for start in starts) > charged]
    assert since == (more[0] if more else None)


@given(st.lists(st.integers(0, 40), max_size=8).flatmap(lambda each: st.tuples(st.just(each), st.permutations(each))))
def test_the_order_in_which_pods_become_known_is_nothing(orders: tuple[list[int], list[int]]) -> None:
    """So it is the same after a restart."""
    one, other = orders
    assert surge_since(one, 2) == surge_since(other, 2)


def surge(since: int) -> Surge:
    return Surge("deployments.apps/shop/web", 4, 3, since)


def test_it_stands_after_an_hour() -> None:
    assert surge(NOW).stands_from == NOW + HOUR


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([NOW - HOUR], None, id="one that stands already"),
        pytest.param([NOW - HOUR, NOW - 5, NOW - 10], NOW - 10 + HOUR, id="the first of those that do not"),
    ],
)
def test_when_the_next_one_stands(since: list[int], expected: int | None) -> None:
    assert next_standing(map(surge, since), NOW) == expected
