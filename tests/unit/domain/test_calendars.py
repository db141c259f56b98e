"""[C9] edges are calendar instants of a zone: a day may have 23 hours, midnight may be missing or come twice."""

from __future__ import annotations

import datetime
import importlib.resources
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bizrq.domain.calendars import (
    CashPeriod,
    CashPeriodError,
    Every,
    local_time,
    next_edge,
    only_on_a_root,
    read_cash_period,
    span_of,
)
from tests.support.calendars import CALENDARS, HOUR, MOMENTS, ODD, ZONES, at, week

# --- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "zone", "moment", "start", "end"),
    [
        pytest.param("Day", "UTC", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z",
                     id="the first second there is"),
        pytest.param("Week", "Asia/Shanghai", "2026-11-29T15:59:59Z", "2026-11-22T16:00:00Z", "2026-11-29T16:00:00Z",
                     id="weeks begin on Monday: the last second of Sunday"),
        pytest.param("Week", "Asia/Shanghai", "2026-11-29T16:00:00Z", "2026-11-29T16:00:00Z", "2026-12-06T16:00:00Z",
                     id="half-open: the edge is of the week that begins"),
        pytest.param("Month", "Asia/Shanghai", "2026-12-15T00:00:00Z", "2026-11-30T16:00:00Z", "2026-12-31T16:00:00Z",
                     id="a month over the end of the year"),
        pytest.param("Month", "UTC", "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z",
                     id="a leap day"),
        pytest.param("Day", "Europe/Berlin", "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z",
                     id="a day of 23 hours"),
        pytest.param("Day", "Europe/Berlin", "2024-10-27T12:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z",
                     id="a day of 25 hours"),
        pytest.param("Day", "Asia/Beirut", "2024-03-31T12:00:00Z", "2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z",
                     id="Beirut: the clocks jump over midnight, the day begins at 01:00"),
        pytest.param("Day", "America/Havana", "2024-03-10T12:00:00Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z",
                     id="Havana in spring: no midnight"),
        pytest.param("Day", "America/Havana", "2024-11-03T12:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z",
                     id="Havana in autumn: midnight comes twice, the first one counts"),
        pytest.param("Day", "Africa/Cairo", "2024-04-26T12:00:00Z", "2024-04-25T22:00:00Z", "2024-04-26T21:00:00Z",
                     id="Cairo in spring: no midnight"),
        pytest.param("Day", "Africa/Cairo", "2024-10-31T21:30:00Z", "2024-10-30T21:00:00Z", "2024-10-31T22:00:00Z",
                     id="Cairo in autumn: the hour before midnight comes twice"),
        pytest.param("Day", "America/St_Johns", "2006-10-29T02:45:00Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z",
                     id="St. John's: it is Saturday again after midnight, and Sunday has begun"),
        pytest.param("Day", "America/Toronto", "1974-04-28T12:00:00Z", "1974-04-28T05:00:00Z", "1974-04-29T04:00:00Z",
                     id="Toronto: an ordinary jump at 2"),
        pytest.param("Day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z",
                     id="Apia: the day before the one that was left out"),
        pytest.param("Day", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z",
                     id="Apia: the day after it, no period is empty"),
    ],
)  # fmt: skip
def test_c9_a_period_is_a_day_week_or_month_of_its_zone(every, zone, moment, start, end):
    """[C9]"""
    assert span_of(CashPeriod(Every(every), zone), at(moment)) == (at(start), at(end))


def test_c9_a_day_begins_in_the_middle_of_a_jump_over_midnight():
    """[C9] Toronto, 1919: from 23:30 to 00:30. Before 1970, yet the rule for the next such zone."""
    start, end = span_of(CashPeriod(Every.DAY, "America/Toronto"), -1_601_750_000)
    assert local_time(start, "America/Toronto") == "1919-03-31T00:30:00-04:00"
    assert end - start == 23 * HOUR + HOUR // 2


def test_c9_weeks_of_167_and_of_169_hours():
    """[C9]"""
    berlin = week("Europe/Berlin")
    for moment, hours in (("2024-03-27T00:00:00Z", 167), ("2024-10-23T00:00:00Z", 169), ("2024-06-12T00:00:00Z", 168)):
        start, end = span_of(berlin, at(moment))
        assert end - start == hours * HOUR


@given(CALENDARS, MOMENTS)
@settings(max_examples=400)
def test_c9_a_period_has_its_moment_and_all_moments_of_it_are_of_the_same_one(calendar, moment):
    """[C9] periods tile the time line."""
    start, end = span_of(calendar, moment)
    assert start <= moment < end
    assert span_of(calendar, start) == span_of(calendar, (start + end) // 2) == span_of(calendar, end - 1)
    assert span_of(calendar, end)[0] == end, "no gap and no overlap after it"
    assert span_of(calendar, start - 1)[1] == start, "nor before it"
    assert next_edge(calendar, moment) == end


@given(CALENDARS, MOMENTS)
@settings(max_examples=200)
def test_c9_an_edge_is_the_first_instant_of_a_local_day(calendar, moment):
    """[C9]"""
    start, _ = span_of(calendar, moment)
    here, before = (datetime.date.fromisoformat(local_time(each, calendar.zone)[:10]) for each in (start, start - 1))
    assert before < here
    if calendar.every == Every.WEEK:
        assert here.isocalendar()[:2] != before.isocalendar()[:2]
    if calendar.every == Every.MONTH:
        assert here.month != before.month


@pytest.mark.parametrize(("every", "until"), [("Day", "2030"), ("Week", "2100"), ("Month", "2100")])
def test_c9_periods_tile_the_time_line_where_midnight_is_odd(every, until):
    """[C9] walked from edge to edge, from 1970 on."""
    for zone in ODD:
        calendar, last = CashPeriod(Every(every), zone), at(f"{until}-01-01T00:00:00Z")
        edge = next_edge(calendar, 0)
        while edge < last:
            start, end = span_of(calendar, edge)
            assert start == edge < end, (zone, edge)
            edge = end


# --- what may be written ---------------------------------------------------------------------------------------------


def test_c9_a_period_is_read():
    """[C9]"""
    stated = {"every": "Week", "timeZone": "Asia/Shanghai"}
    assert read_cash_period(stated, "spec.cashPeriod") == week("Asia/Shanghai")
    assert str(week("Asia/Shanghai")) == "every Week in Asia/Shanghai"


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("Asia/Shangai", "Asia/Shanghai"),
        ("asia/shanghai", "Asia/Shanghai"),
        ("Shanghai", "Asia/Shanghai"),
        ("Berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        (" UTC", "UTC"),
    ],
)
def test_c9_of_an_unknown_time_zone_the_nearest_is_named(zone, meant):
    """[C9]"""
    with pytest.raises(CashPeriodError) as refusal:
        read_cash_period({"every": "Week", "timeZone": zone}, "spec.cashPeriod")
    assert str(refusal.value) == (
        f'spec.cashPeriod.timeZone: there is no time zone "{zone}" (did you mean "{meant}"?); '
        "names are those of the IANA time zone database"
    )


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "UTC+8", "GMT-5", "+08:00", "../../etc/passwd", "zones", "Asia", "x" * 65, None, 8]
)
def test_c9_where_none_is_near_the_way_out_is_told(zone):
    """[C9] of an offset nothing is guessed either: Etc/GMT+8 lies 8 hours west."""
    with pytest.raises(CashPeriodError, match=r"^spec.cashPeriod.timeZone: there is no time zone ") as refusal:
        read_cash_period({"every": "Week", "timeZone": zone}, "spec.cashPeriod")
    assert str(refusal.value).endswith(
        "; write a name of the IANA time zone database, such as Asia/Shanghai, Europe/Berlin or UTC"
    )


@pytest.mark.parametrize("every", ["Year", "week", "", None, 7, ["Week"]])
def test_c9_a_period_is_a_day_a_week_or_a_month(every):
    """[C9]"""
    with pytest.raises(CashPeriodError, match=r"^spec.cashPeriod.every: .* is no period; write Day, Week or Month$"):
        read_cash_period({"every": every, "timeZone": "UTC"}, "spec.cashPeriod")


@pytest.mark.parametrize("stated", ["Week", 7, ["Week"]])
def test_c9_a_period_has_two_fields(stated):
    """[C9]"""
    with pytest.raises(CashPeriodError, match=r"^spec.cashPeriod: .* is no period; write for example \{every: Week"):
        read_cash_period(stated, "spec.cashPeriod")


@given(st.from_type(object) | st.text(max_size=80) | st.lists(st.text(max_size=3)))
def test_whatever_is_written_no_other_error_is_raised(stated):
    """[C9]"""
    for written in (stated, {"every": stated, "timeZone": "UTC"}, {"every": "Day", "timeZone": stated}):
        with pytest.raises(CashPeriodError) as refusal:
            read_cash_period(written, "spec.cashPeriod")
        assert len(str(refusal.value)) < 300


def test_a_calendar_of_a_zone_that_is_none_cannot_be_used():
    """Whoever makes one by hand learns it at once, and no path leads out of the package."""
    with pytest.raises(CashPeriodError, match="there is no time zone"):
        span_of(CashPeriod(Every.DAY, "../zones"), 0)


def test_only_a_root_has_a_period_and_it_is_named_where_it_is_known():
    """[C9]"""
    assert only_on_a_root("dept") == (
        'spec.cashPeriod: only a root may have a cashPeriod, and this group is a child of "dept"; '
        "remove it here and set it on the root of the tree: it then holds for the whole tree"
    )
    assert "set it on the root of the tree, acme: it" in only_on_a_root("dept", "acme")


# --- zones -----------------------------------------------------------------------------------------------------------


def test_every_zone_can_be_used():
    """What is accepted has edges."""
    for zone in ZONES:
        start, end = span_of(CashPeriod(Every.DAY, zone), at("2024-07-01T12:00:00Z"))
        assert end - start == 24 * HOUR


def test_the_zone_files_of_the_machine_play_no_part(tmp_path: Path):
    """All replicas have the same edges: here the machine's Berlin is a copy of Shanghai."""
    (tmp_path / "Europe").mkdir()
    data = importlib.resources.files("tzdata").joinpath("zoneinfo").joinpath("Asia").joinpath("Shanghai").read_bytes()
    (tmp_path / "Europe" / "Berlin").write_bytes(data)
    program = (
        "import zoneinfo\n"
        "import datetime\n"
        "here = datetime.datetime.fromtimestamp(1_767_607_200, zoneinfo.ZoneInfo('Europe/Berlin'))\n"
        "assert str(here) == '2026-01-05 18:00:00+08:00', here\n"
        "from bizrq.domain.calendars import CashPeriod, Every, span_of\n"
        "print(span_of(CashPeriod(Every.DAY, 'Europe/Berlin'), 1_767_607_200)[0] % 86400)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONTZPATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3] / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "82800\n", "23:00 UTC"
