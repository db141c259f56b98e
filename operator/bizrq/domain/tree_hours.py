"""How many hours has a tree used by now, or when will they be gone? [A6, C8, T6].

A child takes the larger of what it was granted and what it has used. What it uses grows with time, so what is above it
does too, without anything that happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import HOUR, budget
from bizrq.domain.forecast import booked_at
from bizrq.domain.periods import last_edge
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import CASH, cash_base, is_cash

__all__ = ["exhausted_from", "taken_hours", "used_hours"]

Children = Callable[[str], Iterable[Bizrq]]
"""The children of a bizrq, by its name."""

_THOUSANDTH: Final = HOUR
"""Milli-units x seconds in a thousandth of an hour."""


def used_hours(bizrq: Bizrq, base: str, now: int, children: Children) -> int:
    """What it has used of the compute key ``base`` by now with what its children take, in milli-units x seconds."""
    return booked_at(bizrq, base, now) + sum(_taken(child, base, now, children) for child in children(bizrq.name))


def taken_hours(child: Bizrq, now: int, children: Children) -> dict[str, Quantity]:
    """What a child takes by now of its cash keys: in whole thousandths, rounded up."""
    return {
        key: Quantity.from_milli(_taken(child, cash_base(key), now, children) // _THOUSANDTH)
        for key in {*child.hard, *child.used}
        if is_cash(key)
    }


def exhausted_from(bizrq: Bizrq, now: int, until: int, children: Children) -> int | None:
    """The first second after ``now`` at which one more budget of a bizrq is used up; None if that is not by ``until``.

    ``until`` must lie before the end of its period, at which the hours begin anew.
    """
    turns = []
    for key, hard in bizrq.hard.items():
        if is_cash(key):
            limit, base = budget(hard), cash_base(key)
            if used_hours(bizrq, base, until, children) >= limit > used_hours(bizrq, base, now, children):
                turns.append(_first(_is_used_up(bizrq, base, limit, children), now, until))
    return min(turns, default=None)


def _taken(child: Bizrq, base: str, now: int, children: Children) -> int:
    granted, shown = child.hard.get(CASH + base), child.used.get(CASH + base)
    amounts = [used_hours(child, base, now, children)]
    if granted is not None:
        amounts.append(_milli_seconds(granted))
    if shown is not None and (child.period is None or last_edge(child.period, now) is None):
        amounts.append(_milli_seconds(shown))  # with what it has granted and nobody has seen yet
    return -(-max(amounts) // _THOUSANDTH) * _THOUSANDTH


def _milli_seconds(hours: Quantity) -> int:
    return -(-hours.nano * HOUR // 10**6)


def _is_used_up(bizrq: Bizrq, base: str, limit: int, children: Children) -> Callable[[int], bool]:
    return lambda at: used_hours(bizrq, base, at, children) >= limit


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first instant in (low, high] at which it holds; it does at ``high``, and goes on once it did."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
