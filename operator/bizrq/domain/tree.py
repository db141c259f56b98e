"""What do parents and children add up to? [T3, T6].

What a child takes from its parent is, key by key, the larger of its hard and its own used, both of one version of the
child: lowering its hard below its use frees nothing that is still in use.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Final

from bizrq.domain.amounts import Amounts, key_by_key_max, total
from bizrq.domain.bizrq import GROUP, PLURAL, Bizrq
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import is_cash

__all__ = ["circle_above", "claimant_name", "is_child", "missing_keys", "root_of", "taken", "taken_by_all", "takes"]

_CHILD: Final = f"{PLURAL}.{GROUP}//"


def claimant_name(child: str) -> str:
    """How the line of a claim calls a child; a bizrq has no namespace [A4]."""
    return _CHILD + child


def is_child(claimant: str) -> bool:
    """Whether the object of a claim is a child bizrq, and no workload."""
    return claimant.startswith(_CHILD)


def taken(child: Bizrq) -> dict[str, Quantity]:
    """What ``child`` takes from its parent [T3, T6]."""
    return takes(child.hard, child.used)


def takes(hard: Amounts, used: Amounts) -> dict[str, Quantity]:
    """What a child with this hard and this use takes: hours in whole thousandths, as they are shown, rounded up.

    Else what is granted between two thousandths could be granted again once it is shown rounded down [K6].
    """
    amounts = key_by_key_max(hard, used)
    return {key: amount.rounded_up_to_milli() if is_cash(key) else amount for key, amount in amounts.items()}


def taken_by_all(
    children: Iterable[Bizrq],
    *,
    without_hours: Container[str] = (),
    takes_now: Callable[[Bizrq], Amounts] = taken,
) -> dict[str, Quantity]:
    """What all ``children`` take together, each what ``takes_now`` says.

    The hours of those whose UID is in ``without_hours`` are in their parent's ledger already [T7].
    """
    return total(
        _without_hours(takes_now(child)) if child.uid in without_hours else takes_now(child) for child in children
    )


def _without_hours(amounts: Amounts) -> Amounts:
    return {key: amount for key, amount in amounts.items() if not is_cash(key)}


def missing_keys(child: Bizrq, parent: Bizrq) -> list[str]:
    """Keys of the parent's spec.hard that the child's lacks, in alphabetical order [T2]."""
    return sorted(parent.hard.keys() - child.hard.keys())


def circle_above(bizrq: Bizrq, find: Callable[[str], Bizrq | None]) -> tuple[str, ...]:
    """The names of the circle that the way up from ``bizrq`` ends in; empty where it ends at a root, or at nobody [T1].

    The circle goes through ``bizrq`` itself if its name is among them. Counted as usual, the figures of bizrqs that
    are each other's ancestors would raise each other for ever.
    """
    way, above = [bizrq.name], bizrq.parent
    while above not in way:
        parent = find(above) if above else None
        if parent is None:
            return ()
        way.append(above)
        above = parent.parent
    return tuple(way[way.index(above) :])


def root_of(bizrq: Bizrq, find: Callable[[str], Bizrq | None]) -> str:
    """The name of the root of its tree; the topmost that is there where a parent is missing, "" in a circle [T1]."""
    passed, top = {bizrq.name}, bizrq
    while top.parent:
        if top.parent in passed:
            return ""
        above = find(top.parent)
        if above is None:
            break
        passed.add(above.name)
        top = above
    return top.name
