"""[C2] timestamps: whole seconds, and what says nothing."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.times import instant, micro_timestamp, timestamp
from tests.support.build import NOW


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2026-01-05T10:00:00Z", NOW, id="as Kubernetes writes it"),
        pytest.param("2026-01-05T18:00:00+08:00", NOW, id="in another zone"),
        pytest.param("2026-01-05T10:00:00.999999Z", NOW, id="a MicroTime, cut to its second"),
        pytest.param("2026-01-05T10:00:00.123456789Z", NOW, id="nanoseconds"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="the first instant there is"),
        pytest.param("0001-01-01T00:00:00Z", None, id="year 1, Go's zero time, says nothing"),
        pytest.param("0001-01-01T00:00:00+00:00", None, id="year 1 in another form"),
        pytest.param("1969-12-31T23:59:59Z", None, id="no cluster is that old"),
        pytest.param(None, None, id="null"),
        pytest.param("", None, id="an empty text"),
        pytest.param("yesterday", None, id="a broken text"),
        pytest.param("2026-13-05T10:00:00Z", None, id="a month that does not exist"),
        pytest.param("2026-01-05T10:00:00", None, id="without a zone it could be any instant"),
        pytest.param("2026-01-05", None, id="a day is no instant"),
    ],
)
def test_what_a_timestamp_says(text: str | None, moment: int | None) -> None:
    assert instant(text) == moment


@given(st.text(max_size=40) | st.text("0123456789-:T.Z+ W", max_size=40))
def test_no_text_raises(text: str) -> None:
    moment = instant(text)
    assert moment is None or moment >= -86_400


@given(st.integers(0, 253_370_764_799))
def test_writing_and_reading_an_instant_gives_it_back(moment: int) -> None:
    text = timestamp(moment)
    assert instant(text) == moment
    assert text.endswith("Z")
    assert len(text) == len("2026-01-05T10:00:00Z")


@given(
    st.datetimes(min_value=datetime.datetime(1971, 1, 1), max_value=datetime.datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_zones_are_only_another_way_of_writing(moment: datetime.datetime, minutes: int) -> None:
    zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    aware = moment.replace(tzinfo=datetime.UTC)
    assert instant(aware.astimezone(zone).isoformat()) == int(aware.timestamp())


@given(st.integers(0, 253_370_764_799_999))
def test_a_micro_time_has_the_milliseconds(milliseconds: int) -> None:
    text = micro_timestamp(milliseconds)
    assert instant(text) == milliseconds // 1000
    assert text.endswith(f".{milliseconds % 1000:03d}000Z")
    assert len(text) == len("2026-01-05T10:00:00.123000Z")
