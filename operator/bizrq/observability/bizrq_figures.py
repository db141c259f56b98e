"""What is shown of one bizrq: its amounts as numbers, and when its hours will be gone?

Pure, and nothing is worked out here that the controller or the webhook does not go by: hours come from the same
functions [A6, C8, C9, T6]. Numbers are in the unit of their key (cores, bytes, cards, pods), hours of cash in units x
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.cash import HOUR, budget
from bizrq.domain.claims import count_open
from bizrq.domain.forecast import booked_at, used_at
from bizrq.domain.periods import Period, advance
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import CASH, cash_base, is_cash
from bizrq.domain.times import instant
from bizrq.domain.tree import circle_above, root_of
from bizrq.domain.tree_hours import Children, spent_now, used_hours, used_up_from

__all__ = ["CashFigures", "Figures", "PlainFigures", "Tree", "figures_of", "number"]

_NANO: Final = 10**9
_MILLI: Final = 1000

_HORIZON_SECONDS: Final = 10 * 366 * 86_400
"""How far is looked ahead where no period ends before: a budget that lasts for longer lasts for ever."""


class Tree:
    """Some bizrqs, and who is whose child among them; it never changes."""

    def __init__(self, bizrqs: Sequence[Bizrq]) -> None:
        self.bizrqs = bizrqs
        self._by_name = {each.name: each for each in bizrqs}
        self._children: dict[str, list[Bizrq]] = {}
        for each in bizrqs:
            if each.parent:
                self._children.setdefault(each.parent, []).append(each)

    def get(self, name: str) -> Bizrq | None:
        """The bizrq of this name, None where there is none."""
        return self._by_name.get(name)

    def children(self, name: str) -> Sequence[Bizrq]:
        """The bizrqs whose parent is ``name``."""
        return self._children.get(name, ())


@dataclass(frozen=True, slots=True)
class PlainFigures:
    """One key that is no cash; None where it was not counted yet."""

    hard: float
    used: float | None
    self_used: float | None


@dataclass(frozen=True, slots=True)
class CashFigures:
    """One budget of hours; None where it was not counted yet."""

    hard: float
    used: float | None
    self_used: float | None
    spend: float
    """Units by which ``used`` grows now."""
    self_spend: float
    """Units that its own pods hold."""
    exhausted_at: int | None
    """When ``used`` reaches ``hard`` at this spend, or since when it has; None: not in this period, or never."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is shown of one bizrq, by key as in ``spec.hard``."""

    parent: str
    root: str
    plain: Mapping[str, PlainFigures]
    cash: Mapping[str, CashFigures]
    uncertain: Mapping[str, float]
    """By cash key, also of one that is no longer in ``hard``; only where it is not 0 [C6]."""
    conditions: Mapping[str, bool]
    reconciled: int
    """When it was counted last; where it never was, when it was made."""
    claims: int
    period: Period | None
    """The one that runs, where it has an end [C9]."""


def number(amount: Quantity) -> float:
    """A quantity in its unit."""
    return amount.nano / _NANO


def figures_of(bizrq: Bizrq, tree: Tree, now: int) -> Figures:
    """What is shown of ``bizrq`` at ``now``."""
    state = None if bizrq.period is None else advance(bizrq.period, now)[0]
    period = None if state is None or state.period.end is None else state.period
    # Of bizrqs that are each other's ancestors nothing is handed up, else it would rise for ever.
    children: Children = tree.children if bizrq.name not in circle_above(bizrq, tree.get) else lambda _: ()
    self_used = own_amounts(bizrq.status.get("selfUsed"))
    plain, cash = {}, {}
    for key, hard in bizrq.hard.items():
        if is_cash(key):
            cash[key] = _cash(bizrq, key, now, period, children)
        else:
            plain[key] = PlainFigures(number(hard), _number(bizrq.used.get(key)), _number(self_used.get(key)))
    return Figures(
        parent=bizrq.parent,
        root=root_of(bizrq, tree.get),
        plain=plain,
        cash=cash,
        uncertain={CASH + base: amount / _MILLI for base, amount in bizrq.books.uncertain.items() if amount},
        conditions={each["type"]: each["status"] == "True" for each in bizrq.status.get("conditions") or ()},
        reconciled=bizrq.created if bizrq.reconciled is None else bizrq.reconciled,
        claims=count_open(bizrq.claims),
        period=period,
    )


def _number(amount: Quantity | None) -> float | None:
    return None if amount is None else number(amount)


def _cash(bizrq: Bizrq, key: str, now: int, period: Period | None, children: Children) -> CashFigures:
    base, counted = cash_base(key), key in bizrq.used
    return CashFigures(
        hard=budget(bizrq.hard[key]) / _MILLI,
        used=number(used_at(bizrq, key, now)) * HOUR if counted else None,
        self_used=booked_at(bizrq, base, now) / _MILLI if counted else None,
        spend=spent_now(bizrq, base, now, children) / _MILLI,
        self_spend=bizrq.books.rate.get(base, 0) / _MILLI,
        exhausted_at=_exhausted_at(bizrq, key, now, period, children),
    )


def _exhausted_at(bizrq: Bizrq, key: str, now: int, period: Period | None, children: Children) -> int | None:
    if used_hours(bizrq, cash_base(key), now, children) >= budget(bizrq.hard[key]):
        return _exhausted_since(bizrq, now, period)
    end = None if period is None else period.end
    last = now + _HORIZON_SECONDS if end is None else end - 1  # at the edge itself the hours begin anew
    return used_up_from(bizrq, key, now, last, children) if last > now else None


def _exhausted_since(bizrq: Bizrq, now: int, period: Period | None) -> int:
    """Since when the status says that a budget is exhausted; ``now`` where it has yet to."""
    for each in bizrq.status.get("conditions") or ():
        if each["type"] == "CashExhausted" and each["status"] == "True":
            since = min(now, instant(each.get("lastTransitionTime")) or now)
            return since if period is None else max(since, period.start)
    return now
