"""[C9] what stays known of periods that have ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.closed_periods import ClosedPeriod, Total, read_history, read_previous
from tests.support.build import NOW, bizrq, read
from tests.support.calendars import HOUR

WEEK = 168 * HOUR
PREVIOUS = ClosedPeriod(NOW - WEEK, NOW, {"limits.cpu": 7_200_000, "memory": -5}, {"limits.cpu": 3_600_000})
OLDER = Total(NOW - 2 * WEEK, NOW - WEEK, {"limits.cpu": 2**70})


def test_c9_they_stand_in_the_status_as_the_books_do():
    """[C9, C3] integers as text, which no JSON reader rounds."""
    assert PREVIOUS.as_json() == {
        "start": "2025-12-29T10:00:00Z",
        "end": "2026-01-05T10:00:00Z",
        "ledger": {"limits.cpu": "7200000", "memory": "-5"},
        "settled": {"limits.cpu": "3600000"},
    }
    cash = {"previous": PREVIOUS.as_json(), "history": [OLDER.as_json(), PREVIOUS.total.as_json()]}
    result = read(bizrq(cash=cash)).books
    assert result.previous == PREVIOUS
    assert result.history == (OLDER, Total(NOW - WEEK, NOW, PREVIOUS.ledger))
    assert read(bizrq()).books.previous is None
    assert read(bizrq()).books.history == ()


@pytest.mark.parametrize(
    "damage",
    [{"start": None}, {"start": 5}, {"end": "soon"}, {"end": "2025-12-29T10:00:00Z"}, {"end": "2025-12-20T10:00:00Z"}],
    ids=str,
)
def test_one_that_somebody_broke_counts_as_never_written(damage: dict[str, Any]):
    """[C9]"""
    broken = {**PREVIOUS.as_json(), **damage}
    assert read_previous(broken) is None
    assert read_history([broken, OLDER.as_json(), None, "x"]) == (OLDER,)


def test_amounts_that_somebody_broke_are_left_out():
    """[C9]"""
    broken = {**PREVIOUS.as_json(), "ledger": {"a": "1.5", "b": 7, "c": "-3"}, "settled": None}
    result = read_previous(broken)
    assert result is not None
    assert (result.ledger, result.settled) == ({"c": -3}, {})


@given(st.from_type(object) | st.lists(st.text() | st.none() | st.dictionaries(st.text(), st.text())))
def test_whatever_stands_there_nothing_raises(stated):
    """[C9]"""
    assert read_previous(stated) is None
    assert read_history(stated) == ()
