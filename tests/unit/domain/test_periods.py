"""[C9] which period the hours of a tree are in, and which ones have ended since."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bizrq.domain.calendars import CashPeriod, Every, next_edge, span_of
from bizrq.domain.periods import (
    Change,
    Period,
    State,
    advance,
    as_json,
    last_edge,
    of_child,
    read_state,
    roll,
)
from tests.support.calendars import CALENDARS, HOUR, MOMENTS, at, week

DAY = 24 * HOUR
SHANGHAI, BERLIN = week("Asia/Shanghai"), week("Europe/Berlin")
UTC_DAY = CashPeriod(Every.DAY, "UTC")
MONDAY = at("2024-11-25T00:00:00+08:00")
NEXT_MONDAY = at("2024-12-02T00:00:00+08:00")
WEDNESDAY = at("2024-11-27T12:00:00+08:00")
RUNNING = State(Period(MONDAY, NEXT_MONDAY), SHANGHAI)
"""A week in Shanghai, in which it is Wednesday."""
WITHOUT = State(Period(MONDAY))
"""An object that was made on Monday, and has no cashPeriod."""


def rolled(state, wanted, now, *, created=MONDAY, booked=MONDAY):
    """The state at ``now``, without periods that ended: there must be none."""
    after, closed = roll(state, wanted, created=created, booked=booked, now=now)
    assert closed == []
    return after


# --- the first period ------------------------------------------------------------------------------------------------


def test_c9_without_a_cash_period_there_is_one_that_began_with_the_object():
    """[C9]"""
    assert rolled(None, None, WEDNESDAY, booked=None) == WITHOUT
    assert rolled(WITHOUT, None, WEDNESDAY + 1000 * DAY) == WITHOUT


def test_c9_an_object_made_under_a_calendar_begins_with_the_rest_of_its_period():
    """[C9] a budget a week, granted on a Wednesday: until Monday."""
    state = rolled(None, SHANGHAI, WEDNESDAY + 5, created=WEDNESDAY, booked=None)
    assert state == State(Period(WEDNESDAY, NEXT_MONDAY), SHANGHAI)


def test_c9_an_object_that_is_counted_late_had_its_periods_all_the_same():
    """[C9] no controller ran for two weeks."""
    state, closed = roll(None, SHANGHAI, created=WEDNESDAY, booked=None, now=NEXT_MONDAY + 8 * DAY)
    assert closed == [Period(WEDNESDAY, NEXT_MONDAY), Period(NEXT_MONDAY, NEXT_MONDAY + 7 * DAY)]
    assert state == State(Period(NEXT_MONDAY + 7 * DAY, NEXT_MONDAY + 14 * DAY), SHANGHAI)


# --- edges -----------------------------------------------------------------------------------------------------------


def test_c9_a_period_holds_until_its_last_second():
    """[C9]"""
    assert rolled(RUNNING, SHANGHAI, NEXT_MONDAY - 1) == RUNNING
    state, closed = roll(RUNNING, SHANGHAI, created=MONDAY, booked=MONDAY, now=NEXT_MONDAY)
    assert (state.period, closed) == (Period(NEXT_MONDAY, NEXT_MONDAY + 7 * DAY), [RUNNING.period])


def test_c9_all_periods_that_ended_since_the_last_write_are_told_in_order():
    """[C9] the controller was down over the two weeks in which Berlin's clocks change."""
    edges = [at(f"{day}T00:00:00{zone}") for day, zone in (("2024-03-18", "+01:00"), ("2024-03-25", "+01:00"),
             ("2024-04-01", "+02:00"), ("2024-04-08", "+02:00"))]  # fmt: skip
    assert [(end - start) // HOUR for start, end in pairwise(edges)] == [168, 167, 168]
    running = State(Period(edges[0], edges[1]), BERLIN)
    state, closed = roll(running, BERLIN, created=0, booked=edges[0] + 5, now=edges[3] - 1)
    assert closed == [Period(edges[0], edges[1]), Period(edges[1], edges[2])]
    assert state == State(Period(edges[2], edges[3]), BERLIN)


def test_c9_an_edge_that_is_written_holds_whatever_the_calendar_says_now():
    """[C9] another version of the time zone database; the next period makes up for it."""
    odd = State(Period(MONDAY, NEXT_MONDAY + HOUR), SHANGHAI)
    state, closed = roll(odd, SHANGHAI, created=MONDAY, booked=MONDAY, now=NEXT_MONDAY + HOUR)
    assert closed == [odd.period]
    assert state.period == Period(NEXT_MONDAY + HOUR, NEXT_MONDAY + 7 * DAY)


# --- changes ---------------------------------------------------------------------------------------------------------


def test_c9_a_change_is_recorded_and_holds_from_the_end_of_the_period():
    """[C9] changing the calendar refills nothing; the first period after it ends at its own next edge, if soon."""
    changed = rolled(RUNNING, UTC_DAY, WEDNESDAY)
    assert changed == State(RUNNING.period, SHANGHAI, Change(UTC_DAY))
    assert rolled(changed, UTC_DAY, NEXT_MONDAY - 1) == changed
    state, closed = roll(changed, UTC_DAY, created=MONDAY, booked=WEDNESDAY, now=NEXT_MONDAY)
    assert closed == [RUNNING.period]
    assert state == State(Period(NEXT_MONDAY, NEXT_MONDAY + 8 * HOUR), UTC_DAY)


def test_c9_a_change_back_before_the_edge_is_forgotten():
    """[C9]"""
    assert rolled(rolled(RUNNING, UTC_DAY, WEDNESDAY), SHANGHAI, WEDNESDAY + 9) == RUNNING
    assert rolled(rolled(RUNNING, None, WEDNESDAY), SHANGHAI, WEDNESDAY + 9) == RUNNING
    assert rolled(rolled(WITHOUT, SHANGHAI, WEDNESDAY), None, WEDNESDAY + 9) == WITHOUT


def test_c9_of_two_changes_the_last_one_holds():
    """[C9]"""
    twice = rolled(rolled(RUNNING, UTC_DAY, WEDNESDAY), BERLIN, WEDNESDAY + 9)
    assert twice == State(RUNNING.period, SHANGHAI, Change(BERLIN))
    twice = rolled(rolled(WITHOUT, UTC_DAY, WEDNESDAY), SHANGHAI, WEDNESDAY + 9)
    assert twice == State(Period(MONDAY, NEXT_MONDAY), None, Change(SHANGHAI))


def test_c9_a_period_that_is_added_holds_from_the_next_edge_of_its_calendar():
    """[C9] the hours used so far count until then."""
    added = rolled(WITHOUT, SHANGHAI, WEDNESDAY)
    assert added == State(Period(MONDAY, NEXT_MONDAY), None, Change(SHANGHAI))
    assert rolled(added, SHANGHAI, NEXT_MONDAY - 1) == added, "seen again, the edge stays"
    state, closed = roll(added, SHANGHAI, created=MONDAY, booked=WEDNESDAY, now=NEXT_MONDAY + 3)
    assert (state, closed) == (State(Period(NEXT_MONDAY, NEXT_MONDAY + 7 * DAY), SHANGHAI), [added.period])


def test_c9_after_a_period_is_removed_the_open_one_begins_at_the_edge():
    """[C9] once for all from then on."""
    removed = rolled(RUNNING, None, WEDNESDAY)
    assert removed == State(RUNNING.period, SHANGHAI, Change(None))
    state, closed = roll(removed, None, created=MONDAY, booked=WEDNESDAY, now=NEXT_MONDAY + 30 * DAY)
    assert (state, closed) == (State(Period(NEXT_MONDAY)), [RUNNING.period])


def test_c9_a_change_that_is_seen_after_edges_waits_for_the_next_one():
    """[C9] the controller was down: when it was made, nobody knows."""
    state, closed = roll(RUNNING, UTC_DAY, created=MONDAY, booked=WEDNESDAY, now=NEXT_MONDAY + 5)
    assert closed == [RUNNING.period]
    assert state == State(Period(NEXT_MONDAY, NEXT_MONDAY + 7 * DAY), SHANGHAI, Change(UTC_DAY))


def test_an_edge_is_told_in_the_time_of_the_calendar_that_cut_the_period():
    """[C9] or of the one that begins at it."""
    assert State(RUNNING.period, SHANGHAI, Change(UTC_DAY)).edge == "2024-12-02T00:00:00+08:00"
    assert State(RUNNING.period, None, Change(UTC_DAY)).edge == "2024-12-01T16:00:00+00:00"
    assert WITHOUT.edge == ""


# --- laws ------------------------------------------------------------------------------------------------------------

LOOKS = st.lists(st.tuples(st.integers(0, 40 * DAY), st.booleans()), max_size=6)
STEPS = st.lists(st.tuples(st.integers(0, 40 * DAY), st.none() | CALENDARS), max_size=6)


@given(st.none() | CALENDARS, MOMENTS, STEPS)
@settings(max_examples=300)
def test_c9_whatever_is_changed_when_periods_follow_each_other_without_gap_or_overlap(first, created, steps):
    """[C9]"""
    state, ended = roll(None, first, created=created, booked=None, now=created)
    assert (state.period.start, ended) == (created, [])
    now, all_ended = created, list(ended)
    for seconds, wanted in steps:
        last = state
        now += seconds
        state, ended = roll(state, wanted, created=created, booked=now, now=now)
        all_ended += ended
        assert roll(state, wanted, created=created, booked=now, now=now) == (state, [])
        assert state.planned == wanted
        assert bool(ended) == (last.period.end is not None and last.period.end <= now), "only at an edge"
        assert ended[:1] in ([], [last.period]), "an edge that was told holds"
        assert state.period.start <= now
        assert state.period.end is None or now < state.period.end
        assert read_state(as_json(state)) == state
    edges = [*all_ended, state.period]
    assert edges[0].start == created
    assert all(one.end == other.start for one, other in pairwise(edges))


@given(CALENDARS, MOMENTS, st.integers(0, 400 * DAY), st.integers(0, 400 * DAY))
def test_c9_how_often_it_is_looked_at_plays_no_part(calendar, created, some, more):
    """[C9]"""
    begun, _ = roll(None, calendar, created=created, booked=None, now=created)
    between, early = advance(begun, created + some)
    at_last, late = advance(between, created + some + more)
    assert (at_last, early + late) == advance(begun, created + some + more)
    edge = last_edge(begun, created + some + more)
    assert edge == (at_last.period.start if early + late else None)


# --- states that somebody broke --------------------------------------------------------------------------------------

GOOD = as_json(State(Period(MONDAY, NEXT_MONDAY), SHANGHAI, Change(UTC_DAY)))


def test_a_state_reads_as_people_read_it():
    """[C9]"""
    assert GOOD == {
        "start": "2024-11-24T16:00:00Z", "end": "2024-12-01T16:00:00Z", "every": "Week", "timeZone": "Asia/Shanghai",
        "next": {"every": "Day", "timeZone": "UTC"},
    }  # fmt: skip
    assert as_json(WITHOUT) == {"start": "2024-11-24T16:00:00Z"}
    assert as_json(State(RUNNING.period, SHANGHAI, Change(None)))["next"] == {}


@pytest.mark.parametrize(
    "damage",
    [
        {"start": None}, {"start": "Monday"}, {"start": 5}, {"end": "Sunday"}, {"end": 7}, {"end": None},
        {"end": "2024-11-24T16:00:00Z"}, {"end": "2024-11-20T16:00:00Z"},
        {"every": "Year"}, {"every": None}, {"timeZone": "Mars/Base"},
    ],
    ids=str,
)  # fmt: skip
def test_c9_a_state_that_somebody_broke_counts_as_never_written(damage: dict[str, Any]):
    """[C9]"""
    broken = {name: value for name, value in {**GOOD, **damage}.items() if value is not None}
    assert read_state(broken) is None


@pytest.mark.parametrize("stated", [None, "", [], {}, 7, "2024-11-24T16:00:00Z"], ids=repr)
def test_what_is_no_state_is_none(stated):
    """[C9]"""
    assert read_state(stated) is None


@pytest.mark.parametrize("change", ["Day", {"every": "Day"}, {"every": "Day", "timeZone": "Mars/Base"}, 7, None])
def test_c9_a_broken_change_is_left_out_and_recorded_again(change):
    """[C9]"""
    assert read_state({**GOOD, "next": change}) == RUNNING
    without_calendar = {"start": GOOD["start"], "end": GOOD["end"], "next": change}
    assert read_state(without_calendar) == WITHOUT
    assert read_state({"start": GOOD["start"], "end": "Sunday", "next": GOOD["next"]}) == WITHOUT


@given(st.dictionaries(st.sampled_from([*GOOD]), st.sampled_from([*GOOD.values(), "", "x", 5, None, {}])))
def test_a_damaged_state_never_raises_and_is_never_empty(stated):
    """[C9]"""
    state = read_state(stated)
    assert state is None or state.period.end is None or state.period.start < state.period.end


def test_c9_books_without_a_state_are_of_the_period_in_which_they_were_last_written():
    """[C9] what was booked this week stays booked, and the next week comes when it would have come."""
    state, closed = roll(None, SHANGHAI, created=0, booked=WEDNESDAY, now=WEDNESDAY + DAY)
    assert (state, closed) == (RUNNING, [])
    state, closed = roll(None, SHANGHAI, created=0, booked=WEDNESDAY, now=NEXT_MONDAY + DAY)
    assert closed == [RUNNING.period]
    state, closed = roll(None, SHANGHAI, created=WEDNESDAY, booked=WEDNESDAY + 5, now=WEDNESDAY + DAY)
    assert (state, closed) == (State(Period(WEDNESDAY, NEXT_MONDAY), SHANGHAI), [])


def test_c9_books_that_are_older_than_their_object_were_brought_back():
    """[C9, T7] after a restore the object is younger than its hours."""
    state, closed = roll(None, SHANGHAI, created=NEXT_MONDAY + DAY, booked=WEDNESDAY, now=NEXT_MONDAY + DAY)
    assert (state.period.start, closed) == (NEXT_MONDAY, [RUNNING.period])
    older = State(Period(MONDAY, NEXT_MONDAY), SHANGHAI)
    assert rolled(older, SHANGHAI, WEDNESDAY + DAY, created=WEDNESDAY) == older


def test_c9_a_period_that_a_wrong_clock_began_is_given_up():
    """[C9, C2] as soon as the clock is right: else no pod would cost anything until then."""
    ahead = State(Period(NEXT_MONDAY + 70 * DAY, NEXT_MONDAY + 77 * DAY), SHANGHAI)
    assert rolled(ahead, SHANGHAI, WEDNESDAY, booked=NEXT_MONDAY + 71 * DAY) == RUNNING
    assert rolled(None, SHANGHAI, WEDNESDAY, booked=NEXT_MONDAY + 71 * DAY) == RUNNING


# --- children --------------------------------------------------------------------------------------------------------


def child(own, root, *, created=0, booked=MONDAY):
    return of_child(own, root, created=created, booked=booked)


def test_c9_a_childs_period_is_its_roots():
    """[C9] calendar, change and all."""
    root = State(RUNNING.period, SHANGHAI, Change(UTC_DAY))
    assert child(None, root) == (root, [])
    assert child(RUNNING, root) == (root, [])


def test_c9_a_childs_period_does_not_begin_before_the_child():
    """[C9]"""
    state, closed = child(None, RUNNING, created=WEDNESDAY, booked=None)
    assert (state, closed) == (State(Period(WEDNESDAY, NEXT_MONDAY), SHANGHAI), [])
    assert child(state, RUNNING, created=WEDNESDAY) == (state, [])


def test_c9_a_child_closes_its_period_where_its_root_does():
    """[C9] also edges that were passed meanwhile."""
    later = advance(RUNNING, NEXT_MONDAY + 15 * DAY)[0]
    own = State(Period(WEDNESDAY, NEXT_MONDAY), SHANGHAI)
    state, closed = child(own, later, created=WEDNESDAY)
    assert state == later
    assert closed == [Period(WEDNESDAY, NEXT_MONDAY), Period(NEXT_MONDAY, NEXT_MONDAY + 7 * DAY),
                      Period(NEXT_MONDAY + 7 * DAY, NEXT_MONDAY + 14 * DAY)]  # fmt: skip


def test_c9_a_child_follows_a_change_that_it_has_not_written_yet():
    """[C9] the root's edge decides, not the one of the calendar that the child knew."""
    root = State(Period(WEDNESDAY, WEDNESDAY + 4 * HOUR), UTC_DAY)
    assert child(RUNNING, root) == (root, [Period(MONDAY, WEDNESDAY)])
    assert child(WITHOUT, root) == (root, [Period(MONDAY, WEDNESDAY)])
    endless = State(Period(NEXT_MONDAY))
    assert child(RUNNING, endless) == (endless, [RUNNING.period])


def test_c9_a_child_that_was_never_counted_had_its_periods_all_the_same():
    """[C9] no controller ran since it was made."""
    later = advance(RUNNING, NEXT_MONDAY)[0]
    state, closed = child(None, later, created=WEDNESDAY, booked=None)
    assert (state, closed) == (later, [Period(WEDNESDAY, NEXT_MONDAY)])


def test_c9_books_of_a_child_without_a_state_are_of_the_period_in_which_they_were_last_written():
    """[C9] or a child could be refilled by breaking its status."""
    assert child(None, RUNNING, booked=WEDNESDAY) == (RUNNING, [])
    later = advance(RUNNING, NEXT_MONDAY)[0]
    assert child(None, later, booked=WEDNESDAY) == (later, [RUNNING.period])
    assert child(None, RUNNING, created=WEDNESDAY, booked=WEDNESDAY + 5)[0].period.start == WEDNESDAY
    after_a_change = State(Period(NEXT_MONDAY, NEXT_MONDAY + 8 * HOUR), UTC_DAY)
    assert child(None, after_a_change, booked=NEXT_MONDAY + 5) == (after_a_change, [])
    ahead = State(Period(NEXT_MONDAY + 7 * DAY), None)
    assert child(ahead, RUNNING, booked=WEDNESDAY) == (RUNNING, [])


@given(CALENDARS, MOMENTS, st.integers(0, 30 * DAY), LOOKS, st.none() | CALENDARS)
@settings(max_examples=200)
def test_c9_all_of_a_tree_are_in_one_period_however_seldom_a_child_is_written(calendar, created, age, steps, other):
    """[C9] and its periods follow each other without gap or overlap."""
    root, _ = roll(None, calendar, created=created, booked=None, now=created)
    now, born = created + age, created + age
    own, ended = None, []
    for seconds, written in steps:
        now += seconds
        wanted = other if seconds % 2 else calendar
        root, _ = roll(root, wanted, created=created, booked=now, now=now)
        if written:
            own, closed = of_child(own, root, created=born, booked=None if own is None else now)
            ended += closed
            assert (own.period.start, own.period.end) == (max(born, root.period.start), root.period.end)
            assert (own.calendar, own.next) == (root.calendar, root.next)
    edges = [*ended, own.period] if own else []
    assert all(one.end == later.start for one, later in pairwise(edges))
    assert not edges or edges[0].start == born


@given(CALENDARS, MOMENTS)
def test_a_period_from_its_calendar_ends_at_its_next_edge(calendar, moment):
    """[C9]"""
    begun, _ = roll(None, calendar, created=moment, booked=None, now=moment)
    assert begun.period == Period(moment, next_edge(calendar, moment))
    assert begun.period.end == span_of(calendar, moment)[1]
