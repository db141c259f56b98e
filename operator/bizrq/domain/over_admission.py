"""Is more used than admission can have let in? [A1, A3].

Admission lets in what fits below the smaller of ``spec.hard`` and ``status.hard``, and claims it before it is stored.
So what is used of a limited key never rises above that by itself. Where it does, nobody was asked (no webhook, another
address, mode warn), or the answer was wrong.

None of it is: a hard that was lowered below what is used [T5], a key that was not limited when the status was counted
[A13], what is used already and is only kept [P5], what a child goes on taking, and hours of cash, which grow with time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import is_cash

__all__ = ["OverAdmission", "over_admitted"]


@dataclass(frozen=True, slots=True)
class OverAdmission:
    """One key of which more is used than could be let in."""

    key: str
    before: Quantity
    after: Quantity
    hard: Quantity
    """What was enforced, at most."""


def over_admitted(bizrq: Bizrq, before: Amounts, after: Amounts) -> list[OverAdmission]:
    """The keys of which ``used`` rose above hard, in alphabetical order.

    ``bizrq`` is the version on which ``after`` was counted, with ``status.hard`` as it was enforced since the count
    that found ``before``. A key that is missing in either was not counted, and proves nothing.
    """
    enforced = _enforced(bizrq)
    return [
        OverAdmission(key, before[key], after[key], enforced[key])
        for key in sorted(enforced.keys() & before.keys() & after.keys())
        if after[key] > before[key] and after[key] > enforced[key]
    ]


def _enforced(bizrq: Bizrq) -> Mapping[str, Quantity]:
    """The limits that held since the last count, of keys in both.

    Where spec.hard is lower by now, nobody knows since when, and the higher one is what can be relied on.
    """
    counted = own_amounts(bizrq.status.get("hard"))
    return {key: counted[key] for key in bizrq.hard if key in counted and not is_cash(key)}
