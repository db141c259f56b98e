"""Books of cash for tests: pods, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bizrq.domain.cash import Books, Charged, Seen, accrue
from bizrq.domain.intervals import EndSource, Interval
from bizrq.domain.periods import Period
from tests.support.build import NOW

__all__ = ["CPU", "booked", "charged_seconds", "cost", "pod"]

CPU = "limits.cpu"


def pod(
    start: int | None,
    end: int | None = None,
    *,
    cores: int = 1,
    version: int = 1,
    deleted_at: int | None = None,
    cut: int | None = None,
) -> Charged:
    """A pod of so many cores."""
    source = EndSource.NONE if end is None else EndSource.FINISHED_AT
    return Charged({CPU: cores * 1000}, Interval(start, end, source, cut), version, deleted_at)


def booked(
    pods: Iterable[Charged],
    *,
    now: int = NOW,
    version: int = 10,
    books: Books | None = None,
    since: int = 0,
    periods: Sequence[Period] | None = None,
) -> Books:
    """The books of cores at ``now``; ``since`` is the start of the only period, unless there are ``periods``."""
    return accrue(
        books or Books(), pods, keys=[CPU], view=Seen(version, now), periods=periods or [Period(since)], now=now
    )


def cost(pods: Iterable[Charged], key: str, *, since: int = 0, now: int = NOW) -> int:
    """Milli-units x seconds of a compute key, from ``since`` to ``now``, in books that were just begun."""
    view = Seen(10**18, now)
    return accrue(Books(), pods, keys=[key], view=view, periods=[Period(since)], now=now).ledger[key]


def charged_seconds(interval: Interval, *, since: int = 0, now: int = NOW) -> int:
    """Seconds that a pod pays for in a period that began at ``since``: the cost of one of a single milli-unit."""
    return cost([Charged({"x": 1}, interval, 1)], "x", since=since, now=now)
