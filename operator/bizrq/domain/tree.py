"""What do parents and children add up to? [T3, T6].

What a child takes from its parent is, key by key, the larger of its hard and its own used, both of one version of the
child: lowering its hard below its use frees nothing that is still in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bizrq.domain.amounts import Amounts, key_by_key_max, total
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.quantity import Quantity

__all__ = ["is_in_cycle", "missing_keys", "taken", "taken_by_all"]

MAX_DEPTH = 64
"""No organisation is deeper; a walk up a tree ends here, whatever somebody wrote."""


def taken(child: Bizrq) -> dict[str, Quantity]:
    """What ``child`` takes from its parent [T3, T6]."""
    return key_by_key_max(child.hard, child.used)


def taken_by_all(children: Iterable[Bizrq]) -> Amounts:
    """What all ``children`` take together."""
    return total(taken(child) for child in children)


def missing_keys(child: Bizrq, parent: Bizrq) -> list[str]:
    """Keys of the parent's spec.hard that the child's lacks, in alphabetical order [T2]."""
    return sorted(parent.hard.keys() - child.hard.keys())


def is_in_cycle(bizrq: Bizrq, find: Callable[[str], Bizrq | None]) -> bool:
    """Whether ``bizrq`` is an ancestor of itself [T1]; counted as usual, their figures would grow for ever."""
    parent = bizrq.parent
    for _ in range(MAX_DEPTH):
        if parent == bizrq.name:
            return True
        above = find(parent) if parent else None
        if above is None:
            return False
        parent = above.parent
    return True  # deeper than any tree: it leads into a cycle further up
