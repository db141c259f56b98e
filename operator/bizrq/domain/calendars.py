"""Where are the edges of days, weeks and months in a time zone? [C9].

An edge is the first instant of a local day. Midnight itself may be missing there, or come twice; a day may have 23 or
25 hours, and where the date line was crossed, none.

Zones are those of the package tzdata, never of the machine: all replicas of a version have the same edges. Its files
are read once a zone; they are data of this program like the text of a module.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

__all__ = [
    "CashPeriod",
    "CashPeriodError",
    "Every",
    "local_time",
    "next_edge",
    "only_on_a_root",
    "read_cash_period",
    "span_of",
]

_LONGEST_NAME: Final = 64
"""Characters of a zone's name, as in the CRD."""

_OFFSET: Final = re.compile(r"(UTC|GMT)?[-+ ]?[0-9]")


class CashPeriodError(ValueError):
    """A cashPeriod that cannot be meant; the message names the field, the value and the way out."""


class Every(StrEnum):
    """How long a period is; weeks begin on Monday."""

    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


@dataclass(frozen=True, slots=True)
class CashPeriod:
    """By which calendar hours are granted anew."""

    every: Every
    zone: str
    """Name in the IANA time zone database; one that is known."""

    def __str__(self) -> str:
        """For people, such as ``every Week in Asia/Shanghai``."""
        return f"every {self.every} in {self.zone}"


def read_cash_period(stated: object, path: str) -> CashPeriod:
    """A calendar from its JSON; ``path`` is the field's. Raises ``CashPeriodError``."""
    if not isinstance(stated, Mapping):
        msg = f"{path}: {_shown(stated)} is no period; write for example {{every: Week, timeZone: Asia/Shanghai}}"
        raise CashPeriodError(msg)
    every, zone = stated.get("every"), stated.get("timeZone")
    if every not in list(Every):
        raise CashPeriodError(f"{path}.every: {_shown(every)} is no period; write Day, Week or Month")
    if not isinstance(zone, str) or zone not in _zones():
        raise CashPeriodError(f"{path}.timeZone: there is no time zone {_shown(zone)}{_meant(zone)}")
    return CashPeriod(Every(every), zone)


def only_on_a_root(parent: str, root: str = "") -> str:
    """What is said of a cashPeriod of a child of ``parent``, with the root of its tree where that is known."""
    where = f"the root of the tree{root and ', '}{root}"
    return (
        f'spec.cashPeriod: only a root may have a cashPeriod, and this group is a child of "{parent}"; '
        f"remove it here and set it on {where}: it then holds for the whole tree"
    )


def _shown(stated: object) -> str:
    text = stated if isinstance(stated, str) else repr(stated)
    return f'"{text}"' if len(text) <= _LONGEST_NAME else f'"{text[:_LONGEST_NAME]}..."'


def _meant(zone: object) -> str:
    near = _nearest(zone) if isinstance(zone, str) and len(zone) <= _LONGEST_NAME else ""
    if near:
        return f' (did you mean "{near}"?); names are those of the IANA time zone database'
    return "; write a name of the IANA time zone database, such as Asia/Shanghai, Europe/Berlin or UTC"


def _nearest(zone: str) -> str:
    """The zone that was probably meant: by its whole name, or by its place alone; "" where none is near.

    Of a bare offset nothing is guessed: the sign of the database's own names for these is the other way round.
    """
    if _OFFSET.match(zone):
        return ""
    told: dict[str, str] = {}
    for name in sorted(_zones()):
        told.setdefault(name.rpartition("/")[2].lower(), name)
    told |= {name.lower(): name for name in _zones()}
    wanted = zone.strip().replace(" ", "_").lower()
    near = difflib.get_close_matches(wanted, told, n=1, cutoff=0.8)
    return told[near[0]] if near else ""


# --- zones -----------------------------------------------------------------------------------------------------------


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(importlib.resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@functools.cache
def _zone(name: str) -> ZoneInfo:
    """Raises ``CashPeriodError`` for a name that ``read_cash_period`` would not have let by."""
    if name not in _zones():
        raise CashPeriodError(f"there is no time zone {_shown(name)}")
    file = importlib.resources.files("tzdata").joinpath("zoneinfo")
    for part in name.split("/"):
        file = file.joinpath(part)
    with file.open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


# --- edges -----------------------------------------------------------------------------------------------------------


def span_of(calendar: CashPeriod, moment: int) -> tuple[int, int]:
    """The day, week or month that has ``moment``, as [first instant, first instant of the next) since 1970."""
    zone = _zone(calendar.zone)
    first = _beginning(calendar.every, _local(moment, zone).date())
    following = _following(calendar.every, first)
    # An hour of the day before may come again after midnight: the new day has begun. A day may be left out.
    while (end := _first_instant(following, zone)) <= moment:
        first, following = following, _following(calendar.every, following)
    return _first_instant(first, zone), end


def next_edge(calendar: CashPeriod, moment: int) -> int:
    """The first edge after ``moment``."""
    return span_of(calendar, moment)[1]


def local_time(moment: int, zone: str) -> str:
    """RFC 3339 text of an instant in a zone, such as ``2026-11-30T00:00:00+08:00``: for people."""
    return _local(moment, _zone(zone)).isoformat()


def _local(moment: int, zone: ZoneInfo) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, zone)


def _beginning(every: Every, day: datetime.date) -> datetime.date:
    match every:
        case Every.DAY:
            return day
        case Every.WEEK:
            return day - datetime.timedelta(days=day.weekday())
        case Every.MONTH:
            return day.replace(day=1)


def _following(every: Every, first: datetime.date) -> datetime.date:
    match every:
        case Every.DAY:
            return first + datetime.timedelta(days=1)
        case Every.WEEK:
            return first + datetime.timedelta(days=7)
        case Every.MONTH:
            return (first + datetime.timedelta(days=31)).replace(day=1)


def _first_instant(day: datetime.date, zone: ZoneInfo) -> int:
    """The first instant whose local date is ``day`` or a later one."""
    midnight = datetime.datetime.combine(day, datetime.time(), zone)
    early, late = int(midnight.timestamp()), int(midnight.replace(fold=1).timestamp())
    if early <= late:  # once, or twice: then the first time
        return early
    # The clocks jump over midnight, somewhere in [late, early]: with the offset after the jump it is too early.
    low, high = late, early
    while low < high:
        middle = (low + high) // 2
        if _local(middle, zone).date() >= day:
            high = middle
        else:
            low = middle + 1
    return low
