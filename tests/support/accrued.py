"""What pods cost, as the books of a group that keeps them for ever would say."""

from __future__ import annotations

from collections.abc import Iterable

from bizrq.domain.cash import Books, Charged, Seen, accrue
from bizrq.domain.intervals import Interval
from bizrq.domain.periods import Period

__all__ = ["charged_seconds", "cost"]


def cost(pods: Iterable[Charged], key: str, *, since: int = 0, now: int) -> int:
    """Milli-units x seconds of a compute key, from ``since`` to ``now``."""
    view = Seen(10**18, now)
    return accrue(Books(), pods, keys=[key], view=view, periods=[Period(since)], now=now).ledger[key]


def charged_seconds(interval: Interval, since: int, now: int) -> int:
    """The seconds of [since, now) that a pod pays for."""
    return cost([Charged({"cpu": 1}, interval, 1)], "cpu", since=since, now=now)
