"""When do the figures of a bizrq turn, though nothing happens? [C8, C9].

A budget runs out, a period ends, a pod passes its cut, surge has been there for an hour: these come by time alone, and
the controller wakes for them.
"""

from __future__ import annotations

from typing import Final

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.tree import circle_above
from bizrq.domain.tree_hours import exhausted_from
from bizrq.inventory.inventory import Inventory

__all__ = ["next_turn"]

_HORIZON_SECONDS: Final = 900
"""How far is looked ahead; whatever comes later is found by the next look."""


def next_turn(
    bizrq: Bizrq, inventory: Inventory, steady_until: int | None, now: int, *, surge_stands: int | None = None
) -> int:
    """The instant after ``now`` at which a bizrq should be counted again; of no turn within the horizon, its end.

    ``steady_until`` is when the rate at which its pods cost changes, ``surge_stands`` when surge of it begins to stand;
    None if it does not.
    """
    until = now + _HORIZON_SECONDS
    edge = bizrq.period.period.end if bizrq.period else None
    for turn in (steady_until, edge, surge_stands):
        if turn is not None:
            until = min(until, max(turn, now + 1))
    if circle_above(bizrq, inventory.bizrqs.get):
        return until
    last = until - 1 if until == edge else until  # at the edge itself the hours are those of the next period
    return exhausted_from(bizrq, now, last, inventory.bizrqs.children) or until
