"""[A6, C8, C9] what is used by now as the last status lets one tell, and when nothing is left."""

from __future__ import annotations

import pytest

from bizrq.domain.calendars import CashPeriod, Every
from bizrq.domain.forecast import booked_at, used_at
from bizrq.domain.periods import Change, Period, State, as_json
from bizrq.domain.quantity import parse
from tests.support.build import bizrq, read
from tests.support.calendars import HOUR, at, week
from tests.support.quotas import HOUR_OF_A_CORE

CPU, CASH_CPU = "limits.cpu", "cash/limits.cpu"
BERLIN = week("Europe/Berlin")
MONDAY = at("2024-03-25T00:00:00+01:00")
SHORT = State(Period(MONDAY, at("2024-04-01T00:00:00+02:00")), BERLIN)
"""The week of 167 hours."""
AUTUMN = at("2024-10-21T00:00:00+02:00")
LONG = State(Period(AUTUMN, at("2024-10-28T00:00:00+01:00")), BERLIN)
"""The week of 169 hours."""


def written(state, *, hours, used, rate="2", reconciled):
    """A bizrq with so many core-hours of its own, and ``used`` with what its children take."""
    return read(
        bizrq(
            hard={CASH_CPU: "1000", CPU: "9"},
            used={CASH_CPU: used, CPU: "3"},
            reconciled=reconciled,
            cash={
                "ledger": {CPU: str(hours * HOUR_OF_A_CORE)},
                "rate": {CPU: rate},
                **({} if state is None else {"period": as_json(state)}),
            },
        )
    )


@pytest.mark.parametrize("state", [None, SHORT, LONG], ids=["no period written yet", "167 hours", "169 hours"])
def test_a6_inside_a_period_used_goes_on_at_the_recorded_rate(state):
    """[A6] two cores for half an hour are one core-hour."""
    start = MONDAY if state is None else state.period.start
    group = written(state, hours=10, used="10", reconciled=start + HOUR)
    assert str(used_at(group, CASH_CPU, start + HOUR)) == "10"
    assert str(used_at(group, CASH_CPU, start + HOUR + HOUR // 2)) == "11"
    assert str(used_at(group, CASH_CPU, start)) == "10", "a clock that is behind takes nothing back"


@pytest.mark.parametrize(("state", "length"), [(SHORT, 167), (LONG, 169)])
def test_a6_over_an_edge_only_the_hours_since_then_count(state, length):
    """[A6, C9] to the second, in the weeks in which the clocks change."""
    start = state.period.start
    group = written(state, hours=300, used="300", reconciled=start + 150 * HOUR)
    edge = start + length * HOUR
    assert str(used_at(group, CASH_CPU, edge - 1)) == f"{300 + 2 * (length - 150) - 1}999m"
    assert str(used_at(group, CASH_CPU, edge)) == "0"
    assert booked_at(group, CPU, edge + 1) == 2000
    assert str(used_at(group, CASH_CPU, edge + 5 * HOUR)) == "10"


def test_a6_over_several_edges_the_last_one_counts():
    """[A6, C9] the controller is down for two weeks, one of them of 167 hours."""
    before = State(Period(MONDAY - 168 * HOUR, MONDAY), BERLIN)
    group = written(before, hours=300, used="300", reconciled=MONDAY - HOUR)
    assert str(used_at(group, CASH_CPU, MONDAY + 167 * HOUR - 1)) == "333999m"
    assert str(used_at(group, CASH_CPU, MONDAY + 167 * HOUR + 3 * HOUR)) == "6"


def test_a6_over_an_edge_at_which_the_calendar_changes_that_of_the_new_one_counts():
    """[A6, C9]"""
    changed = State(SHORT.period, BERLIN, Change(CashPeriod(Every.DAY, "UTC")))
    group = written(changed, hours=300, used="300", reconciled=MONDAY)
    assert SHORT.period.end is not None
    assert str(used_at(group, CASH_CPU, SHORT.period.end + HOUR)) == "2"
    assert str(used_at(group, CASH_CPU, at("2024-04-03T05:00:00Z"))) == "10"
    removed = State(SHORT.period, BERLIN, Change(None))
    group = written(removed, hours=300, used="300", reconciled=MONDAY)
    assert str(used_at(group, CASH_CPU, SHORT.period.end + 1000 * HOUR)) == "2k"


def test_a6_what_children_take_stays_as_it_was_recorded():
    """[A6, T6] over an edge too: they take at least what they are granted."""
    group = written(SHORT, hours=100, used="250", reconciled=MONDAY + HOUR)
    assert str(used_at(group, CASH_CPU, MONDAY + 2 * HOUR)) == "252"
    assert SHORT.period.end is not None
    assert str(used_at(group, CASH_CPU, SHORT.period.end + HOUR)) == "152"


def test_a6_what_was_granted_since_the_status_counts():
    """[A6, A3]"""
    group = written(SHORT, hours=10, used="10", reconciled=MONDAY)
    assert str(used_at(group, CASH_CPU, MONDAY + HOUR, parse("15"))) == "17"


def test_what_is_no_budget_of_hours_does_not_move_with_time():
    """[A6]"""
    group = written(SHORT, hours=10, used="10", reconciled=MONDAY)
    assert str(used_at(group, CPU, MONDAY + 1000 * HOUR)) == "3"
    assert str(used_at(group, "cash/memory", MONDAY + 1000 * HOUR)) == "0"
