"""[C4] the floor: its text, and how far it may rise. The rules are also broken one at a time."""

from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import find, given
from hypothesis.errors import NoSuchExample

from bizrq.domain.floor import Floor, next_floor, read_floor
from tests.support.build import NOW

STORED = Floor(100, NOW - 60)
VIEW = Floor(200, NOW)


# --- its text --------------------------------------------------------------------------------------------------------


def test_a_floor_stands_in_the_lease_as_version_and_time():
    assert str(Floor(81723, NOW - 1)) == "81723 2026-01-05T09:59:59Z"


@given(st.builds(Floor, st.integers(0, 10**19 - 1), st.integers(0, 250_000_000_000)))
def test_what_is_written_is_read(floor):
    assert read_floor(str(floor)) == floor


@pytest.mark.parametrize(
    "text",
    [
        None, "", "81723", "81723 ", "2026-01-05T09:59:58Z", 81723, ["81723 2026-01-05T09:59:58Z"],
        "-1 2026-01-05T09:59:58Z", "+1 2026-01-05T09:59:58Z", "0817 2026-01-05T09:59:58Z", "1_0 2026-01-05T09:59:58Z",
        "81723  2026-01-05T09:59:58Z", " 81723 2026-01-05T09:59:58Z", "81723 2026-01-05T09:59:58Z\n",
        "81723 2026-01-05 09:59:58Z", "81723 2026-13-05T09:59:58Z", "81723 2026-01-05T09:59:58+01", "x 2026-01-05",
        "81723 0001-01-01T00:00:00Z", "٣ 2026-01-05T09:59:58Z", "9" * 20 + " 2026-01-05T09:59:58Z",
    ],
)  # fmt: skip
def test_an_edit_that_is_no_floor_counts_as_none(text):
    assert read_floor(text) is None


# --- how far it may rise ---------------------------------------------------------------------------------------------


def test_it_is_just_below_the_oldest_event_that_no_stored_status_covers():
    assert next_floor(STORED, VIEW, 151).version == 150


def test_it_is_the_view_where_every_event_is_covered():
    assert next_floor(STORED, VIEW, None) == VIEW


@pytest.mark.parametrize("oldest", [None, 1, 50, 100, 101])
def test_it_never_goes_back(oldest):
    assert next_floor(STORED, Floor(99, NOW), oldest) == STORED
    assert next_floor(STORED, VIEW, 101) == STORED
    assert next_floor(STORED, Floor(STORED.version, NOW), oldest) == STORED


def test_its_time_moves_only_when_it_is_the_view_itself():
    assert next_floor(STORED, VIEW, 200) == Floor(199, STORED.time)
    assert next_floor(STORED, VIEW, 201) == VIEW
    assert next_floor(None, VIEW, 200) == Floor(199, 0)


def test_its_time_does_not_go_back_either():
    assert next_floor(STORED, Floor(200, STORED.time - 5), None) == Floor(200, STORED.time)


def test_an_event_behind_the_view_does_not_lift_it_above_the_view():
    assert next_floor(STORED, VIEW, 500) == VIEW


# --- the promise: no event of any bizrq in (its seen, the floor] -----------------------------------------------------


class Event(NamedTuple):
    version: int
    bizrq: int


class Renewal(NamedTuple):
    """What a controller knows when it renews, of two bizrqs."""

    at: int
    seen: tuple[int, int]
    """Of the statuses that it knows to be stored."""


class History(NamedTuple):
    events: tuple[Event, ...]
    renewals: tuple[Renewal, ...]


_events = st.lists(st.integers(0, 1), max_size=6).map(lambda of: tuple(Event(i, b) for i, b in enumerate(of, 1)))


@st.composite
def histories(draw):
    events = draw(_events)
    versions = st.integers(0, len(events))
    renewals = []
    for at in draw(st.lists(versions, max_size=4)):  # any order: of two controllers one may be far behind
        seen = tuple(draw(st.integers(0, at)) for _ in range(2))
        renewals.append(Renewal(at, seen))
    return History(events, tuple(renewals))


def floors(history, rule):
    """The floors that are stored, one a renewal."""
    stored, found = None, []
    for at, seen in history.renewals:
        open_ = [e.version for e in history.events if seen[e.bizrq] < e.version <= at]
        if stored is not None:  # what the stored floor covers is covered
            open_ = [version for version in open_ if version > stored.version]
        stored = rule(stored, Floor(at, NOW + at), min(open_, default=None))
        found.append(stored)
    return found


def is_broken(history, rule):
    """Whether a floor lies: above an event that no status covered when it was stored, or below the one before."""
    best, before = [0, 0], 0
    for renewal, floor in zip(history.renewals, floors(history, rule), strict=True):
        best = [max(known, seen) for known, seen in zip(best, renewal.seen, strict=True)]
        if floor.version < before:
            return True
        before = floor.version
        if any(best[e.bizrq] < e.version <= floor.version for e in history.events):
            return True
        newest = max((NOW + e.version for e in history.events if e.version <= floor.version), default=0)
        if floor.version and floor.time > max(newest, NOW):
            return True
    return False


@given(histories())
def test_no_event_lies_between_what_a_status_has_seen_and_the_floor(history):  # [C4, C5]
    assert not is_broken(history, next_floor)


def own_view(stored, view, _):
    return next_floor(stored, view, None)


def floor_back(_, view, oldest):
    return next_floor(None, view, oldest)


def the_event_itself(stored, view, oldest):
    return next_floor(stored, view, oldest and oldest + 1)


def the_views_time(stored, view, oldest):
    floor = next_floor(stored, view, oldest)
    return Floor(floor.version, view.time)


@pytest.mark.parametrize("mutation", [own_view, floor_back, the_event_itself, the_views_time])
def test_a_broken_rule_is_found(mutation):
    try:
        find(histories(), lambda history: is_broken(history, mutation))
    except NoSuchExample:
        pytest.fail(f"nobody notices {mutation.__name__}")
