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

__all__ = ["Children", "exhausted_from", "spent_now", "taken_hours", "used_hours", "used_up_from"]

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
    turns = [used_up_from(bizrq, key, now, until, children) for key in bizrq.hard if is_cash(key)]
    return min((turn for turn in turns if turn is not None), default=None)


def used_up_from(bizrq: Bizrq, key: str, now: int, until: int, children: Children) -> int | None:
    """The first second after ``now`` at which the budget behind ``key`` is used up; as ``exhausted_from``."""
    limit, base = budget(bizrq.hard[key]), cash_base(key)
    if used_hours(bizrq, base, until, children) >= limit > used_hours(bizrq, base, now, children):
        return _first(_is_used_up(bizrq, base, limit, children), now, until)
    return None


def spent_now(bizrq: Bizrq, base: str, now: int, children: Children) -> int:
    """By how much ``used_hours`` grows a second, in milli-units: its own pods, and what children spend beyond hard."""
    own = bizrq.books.rate.get(base, 0)
    below = (child for child in children(bizrq.name) if _overruns(child, base, now, children))
    return own + sum(spent_now(child, base, now, children) for child in below)


def _overruns(child: Bizrq, base: str, now: int, children: Children) -> bool:
    """Whether what a child takes grows with what it uses: it has used all that it was granted."""
    return used_hours(child, base, now, children) >= max(_kept(child, base, now))


def _taken(child: Bizrq, base: str, now: int, children: Children) -> int:
    amount = max(used_hours(child, base, now, children), *_kept(child, base, now))
    return -(-amount // _THOUSANDTH) * _THOUSANDTH


def _kept(child: Bizrq, base: str, now: int) -> list[int]:
    """What a child takes however little it uses: what it was granted, and what its status shows."""
    granted, shown = child.hard.get(CASH + base), child.used.get(CASH + base)
    amounts = [0]
    if granted is not None:
        amounts.append(_milli_seconds(granted))
    if shown is not None and (child.period is None or last_edge(child.period, now) is None):
        amounts.append(_milli_seconds(shown))  # with what it has granted and nobody has seen yet
    return amounts


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
