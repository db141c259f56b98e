"""Which workloads of a bizrq have more pods than they are charged for? [A8, P5].

At each count only workloads are looked at that had more pods than demand at the last walk over all pods of the bizrq.
Surge must stand an hour before anybody is told, so such a walk now and then misses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bizrq.controller.beyond import staying_pods
from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.quantity import ZERO
from bizrq.domain.resource_names import PODS
from bizrq.domain.surge import STANDS_SECONDS, Surge, next_standing, surge_since
from bizrq.inventory.inventory import Inventory

__all__ = ["Crowd", "Crowds", "crowded", "surges_of"]

_WALK_SECONDS: Final = STANDS_SECONDS // 6
"""Between two walks over the pods of a bizrq: some 80 ms for 100,000, which is nothing in ten minutes."""

_NANO: Final = 10**9


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is remembered of one bizrq."""

    walked: int
    """When its pods were walked over last."""
    uids: frozenset[str]
    """Of the workloads that may have surge."""
    surges: Sequence[Surge] = ()
    """As they were counted last."""


class Crowds:
    """Where surge has to be looked for, by bizrq. Nothing of it must outlive the process."""

    def __init__(self) -> None:
        self._known: dict[str, Crowd] = {}

    def of(self, bizrq: Bizrq, inventory: Inventory, now: int) -> Crowd:
        """Where surge may be: what is remembered, or what a walk finds if that is the first or the last is long ago."""
        known = self._known.get(bizrq.name)
        if known is not None and 0 <= now - known.walked < _WALK_SECONDS:
            return known
        return Crowd(now, crowded(bizrq, inventory))

    def note(self, name: str, crowd: Crowd, surges: Sequence[Surge]) -> None:
        """Remember what was counted; a walk over pods that are not all in view yet counts nothing [C4]."""
        self._known[name] = replace(crowd, surges=surges)

    def next_standing(self, name: str, now: int) -> int | None:
        """The next instant after ``now`` from which on surge of a bizrq stands, as far as was counted."""
        known = self._known.get(name)
        return next_standing(known.surges, now) if known else None

    def forget(self, name: str) -> None:
        """A bizrq is gone, or is counted by another controller."""
        self._known.pop(name, None)


def crowded(bizrq: Bizrq, inventory: Inventory) -> frozenset[str]:
    """UIDs of the workloads of ``bizrq`` that have more pods than they demand. A walk over its pods."""
    return frozenset(
        uid
        for uid, number in staying_pods(bizrq, inventory).items()
        if number > _pods(inventory.workloads.counted(uid, bizrq.name))
    )


def surges_of(
    bizrq: Bizrq, inventory: Inventory, uids: Iterable[str], charges: Mapping[str, Amounts]
) -> tuple[Surge, ...]:
    """The surge of those of these workloads that are counted under ``bizrq``, oldest first.

    ``charges`` are what workloads are charged that may be charged more than they demand: their pods that outlive a
    demand are in ``used`` [P5], and so no surge. Pods without a node hold nothing and are none either.
    """
    found = []
    for uid in uids:
        workload = inventory.workloads.get(uid)
        demand = inventory.workloads.counted(uid, bizrq.name)
        if workload is None or not demand:
            continue
        charged = max(_pods(demand), _pods(charges.get(uid, {})))
        starts = inventory.pods.starts_of_staying(inventory.controllers_of(uid))
        since = surge_since(starts, charged)
        if since is not None:
            found.append(Surge(str(workload), len(starts), charged, since))
    return tuple(sorted(found, key=lambda each: (each.since, each.object)))


def _pods(amounts: Amounts) -> int:
    return amounts.get(PODS, ZERO).nano // _NANO
