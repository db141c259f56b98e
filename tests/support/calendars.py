"""Calendars and instants for tests of periods."""

from __future__ import annotations

import importlib.resources
from typing import Final

from hypothesis import strategies as st

from bizrq.domain.calendars import CashPeriod, Every
from bizrq.domain.times import instant

__all__ = ["CALENDARS", "HOUR", "MOMENTS", "ODD", "ZONES", "at", "week"]

HOUR: Final = 3600

ZONES: Final = sorted((importlib.resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())
"""Every zone there is."""

ODD: Final = [
    "Asia/Beirut", "America/Havana", "Africa/Cairo", "America/St_Johns", "Pacific/Apia", "Pacific/Kwajalein",
    "America/Sao_Paulo", "Asia/Gaza", "Africa/Monrovia", "Europe/Berlin", "Antarctica/Troll", "Australia/Lord_Howe",
]  # fmt: skip
"""Zones where midnight was missing, came twice, or a whole day was left out."""

CALENDARS: Final = st.builds(CashPeriod, st.sampled_from(list(Every)), st.sampled_from(ODD) | st.sampled_from(ZONES))

MOMENTS: Final = st.integers(0, 4_133_980_799)
"""1970 to 2100."""


def at(text: str) -> int:
    """The instant of an RFC 3339 text with an offset."""
    moment = instant(text)
    assert moment is not None, text
    return moment


def week(zone: str) -> CashPeriod:
    """A week in a zone."""
    return CashPeriod(Every.WEEK, zone)
