"""[C7] where pods belong, from when to when, as lines of a status; and what of a pod's interval lies in a stay."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.intervals import Interval
from bizrq.domain.resource_names import Models
from bizrq.domain.stay_chains import MOST_STAYS, tidy
from bizrq.domain.stays import (
    MAX_LINES,
    MOST_CHARACTERS,
    Home,
    Kept,
    Stay,
    is_of_another_format,
    kept_lines,
    kept_of,
    share,
)
from tests.support.books import charged_seconds
from tests.support.build import NOW

HOME = Home("team", Models(), "shop")
LINE = "1 uid-web shop 2026-01-05T10:00:00Z 2026-01-05T10:01:00Z A4/A30/ rs-1,rs-2 from=old to=new"

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
MODELS = st.none() | st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
MOMENTS = st.none() | st.integers(0, 4_000_000_000)


def read_back(line: str) -> Kept:
    (kept,) = kept_of("team", [line])
    return kept


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_line_tells_a_stay() -> None:
    """[C7] uid, moment, other bizrq, as spec section 2 has it."""
    kept = read_back(LINE)
    home = Home("team", Models("A4", "A30", None), "shop")
    assert kept == Kept("uid-web", Stay(home, NOW, NOW + 60, "old", "new"), ("rs-1", "rs-2"))
    assert kept.line() == LINE


def test_a_stay_without_ends_models_and_controllers_is_a_line_too() -> None:
    """[C7] of a workload that is gone."""
    line = Kept("uid", Stay(HOME)).line()
    assert line == "1 uid shop - - // "
    assert read_back(line) == Kept("uid", Stay(HOME))


@given(
    st.builds(
        Kept,
        NAMES,
        st.builds(
            Stay,
            st.builds(Home, st.just("team"), st.builds(Models, MODELS, MODELS, MODELS), st.just("") | NAMES),
            MOMENTS, MOMENTS, st.just("") | NAMES, st.just("") | NAMES,
        ),
        st.lists(NAMES, max_size=4).map(tuple),
    )
)  # fmt: skip
def test_every_stay_is_read_back_as_it_was(kept: Kept) -> None:
    """[C7] also of a workload without a namespace."""
    assert read_back(kept.line()) == kept


@pytest.mark.parametrize(
    "line",
    [
        "", "1", "x", "2 uid shop - - // rs", "1 uid shop - -", "1 uid shop - - A4 rs", "1 uid shop - - a/b/c/d rs",
        "1 uid shop soon - // rs", "1 uid shop - 2026-13-45T00:00:00Z // rs",
    ],
)  # fmt: skip
def test_what_is_no_line_is_left_out_and_logged_and_the_others_are_read(
    line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """[C7] somebody edited it, or another version wrote it."""
    with caplog.at_level(logging.WARNING):
        assert [kept.uid for kept in kept_of("team", [line, LINE])] == ["uid-web"]
    assert "status.cash.moves is no move of format 1" in caplog.text


@given(st.text(max_size=60))
def test_whatever_stands_there_nothing_raises(line: str) -> None:
    """[C7]."""
    list(kept_of("team", [line]))
    is_of_another_format(line)


@pytest.mark.parametrize(
    ("line", "foreign"), [("2 a", True), ("10 a b", True), (LINE, False), ("", False), ("x y", False), ("² a", False)]
)
def test_only_a_line_of_another_version_stays_as_it_is(line: str, foreign: bool) -> None:  # noqa: FBT001
    assert is_of_another_format(line) is foreign


def test_no_more_lines_are_kept_than_etcd_takes(caplog: pytest.LogCaptureFixture) -> None:
    """[C7] which is logged."""
    kept = [Kept(f"uid-{n}", Stay(HOME), ("rs",)) for n in range(MAX_LINES + 1)]
    with caplog.at_level(logging.WARNING):
        assert kept_lines(kept) == [each.line() for each in kept[:-1]]
    assert "2001 moves of one bizrq, 2000 are kept over a restart" in caplog.text


def test_a_line_longer_than_the_crd_takes_names_fewer_controllers() -> None:
    """[C7]."""
    many = tuple(f"0f9a4c1e-6f0e-4f57-9d0e-{n:012d}" for n in range(500))
    (line,) = kept_lines([Kept("uid", Stay(HOME, NOW, None, "a" * 253, "b" * 253), many)])
    assert len(line) <= 4096
    kept = read_back(line)
    assert (kept.stay.came_from, kept.stay.went_to) == ("a" * 253, "b" * 253)
    assert kept.controllers == many[: len(kept.controllers)]
    assert len(kept.controllers) > 50


def test_all_lines_together_are_no_longer_than_a_status_has_room_for(caplog: pytest.LogCaptureFixture) -> None:
    """[C7] 2000 lines of 4096 characters are 8 MB; a status that etcd refuses would never be written again."""
    many = tuple(f"0f9a4c1e-6f0e-4f57-9d0e-{n:012d}" for n in range(100))
    kept = [Kept(f"uid-{n}", Stay(HOME), many) for n in range(MAX_LINES)]
    lines = kept_lines(kept)
    assert len(lines) == MAX_LINES, "each names fewer controllers, and all are kept"
    assert sum(map(len, lines)) <= MOST_CHARACTERS
    assert all(read_back(line).controllers for line in lines)
    wide = [Kept(f"uid-{n}", Stay(HOME, NOW, NOW, "a" * 253, "b" * 253), ()) for n in range(MAX_LINES)]
    with caplog.at_level(logging.WARNING):
        lines = kept_lines(wide)
    assert 0 < len(lines) < MAX_LINES
    assert sum(map(len, lines)) <= MOST_CHARACTERS
    assert f"2000 moves of one bizrq, {len(lines)} are kept over a restart" in caplog.text


# --- stays of one workload -------------------------------------------------------------------------------------------


def chain(*ends: int, homes: Sequence[str] = ("a", "b")) -> list[Stay]:
    """Stays one after the other, in turn at these bizrqs; the first since ever, the last for ever."""
    names = [homes[number % len(homes)] for number in range(len(ends) + 1)]
    return [
        Stay(
            Home(name, Models(), "shop"), since, until,
            names[number - 1] if number else "", names[number + 1] if number < len(ends) else "",
        )
        for number, (name, since, until) in enumerate(zip(names, (None, *ends), (*ends, None), strict=True))
    ]  # fmt: skip


def spans(stays: Iterable[Stay]) -> list[tuple[str, int | None, int | None]]:
    return [(stay.home.bizrq, stay.since, stay.until) for stay in stays]


def test_a_stay_of_no_second_is_none() -> None:
    """[C7] its neighbours follow on each other; where they are at one home they are one stay."""
    assert tidy(chain(5, 8)) == tuple(chain(5, 8))
    assert tidy(chain(5, 5, homes="abc")) == tuple(chain(5, homes="ac"))
    assert tidy(chain(5, 5)) == (Stay(Home("a", Models(), "shop")),)
    assert tidy(chain(5, 5, 5)) == tuple(chain(5))


def test_time_without_a_label_stays_time_without_a_label() -> None:
    """[C7] two stays at one home with a gap between are two."""
    apart = (Stay(HOME, until=5), Stay(HOME, since=9))
    assert tidy(apart) == apart


def test_of_a_workload_that_moves_without_end_the_shortest_stay_goes_to_the_one_before() -> None:
    """[C7] each second has one payer."""
    ends = list(range(10, 10 * MOST_STAYS, 10))
    assert tidy(chain(*ends)) == tuple(chain(*ends)), "so many are kept"
    ends[50:50] = [ends[49] + 3]
    stays = tidy(chain(*ends, homes="abc"))
    assert len(stays) == MOST_STAYS
    left = {end for _, _, end in spans(stays)}
    assert left == {*ends, None} - {ends[49]}
    assert [stay.until for stay in stays[:-1]] == [stay.since for stay in stays[1:]]
    assert [stay.went_to for stay in stays[:-1]] == [stay.home.bizrq for stay in stays[1:]]
    assert [stay.came_from for stay in stays[1:]] == [stay.home.bizrq for stay in stays[:-1]]


# --- what lies in a stay ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stay", "interval", "expected"),
    [
        pytest.param(Stay(HOME), Interval(5, 9, cut=8), Interval(5, 9, cut=8), id="without ends: all of it"),
        pytest.param(Stay(HOME, since=7), Interval(5), Interval(7), id="from the moment of the move on"),
        pytest.param(Stay(HOME, until=7), Interval(5), Interval(5, cut=7), id="up to it"),
        pytest.param(Stay(HOME, 6, 8), Interval(5, 9), Interval(6, 9, cut=8), id="between two moves"),
        pytest.param(Stay(HOME, until=7), Interval(5, cut=6), Interval(5, cut=6), id="its cut came before"),
        pytest.param(Stay(HOME, until=3), Interval(5), Interval(5, cut=5), id="it began after: nothing"),
        pytest.param(Stay(HOME, 7, 8), Interval(None), Interval(None), id="it has not begun"),
    ],
)
def test_the_share_of_a_stay(stay: Stay, interval: Interval, expected: Interval) -> None:
    """[C7]."""
    assert share(interval, stay) == expected


@given(
    st.builds(Interval, st.integers(0, 50), st.none() | st.integers(0, 60), cut=st.none() | st.integers(0, 60)),
    st.lists(st.integers(0, 60), max_size=4).map(sorted),
    st.integers(0, 60),
)
def test_stays_share_an_interval_without_a_gap_and_without_a_second_twice(
    interval: Interval, moves: list[int], now: int
) -> None:
    """[C7, C5] whenever one asks."""
    bounds = [None, *moves, None]
    stays = [Stay(HOME, since, until) for since, until in pairwise(bounds)]
    shares = [charged_seconds(share(interval, stay), now=now) for stay in stays]
    assert sum(shares) == charged_seconds(interval, now=now)
