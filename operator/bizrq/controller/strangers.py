"""What do pods hold whose workload nobody knows? [P5].

After a start, ``used`` may hold charges of workloads that went while no controller ran; their pods may still be there,
and name an owner that is gone. A pod whose owner is there and has no label is nobody's business. Pods that an event
brought are none of these: whoever watched them knew their owner.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.reads import Reads
from bizrq.domain.amounts import Amounts
from bizrq.domain.resource_names import NO_MODELS
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import PODS_ID, Kind
from bizrq.workloads.registry import between

__all__ = ["Strangers"]

_NOT_LOOKED: Final = -1


class Strangers:
    """Pods of counted kinds without a known owner that is there."""

    def __init__(self, inventory: Callable[[], Inventory], reads: Reads, kinds: Iterable[Kind], clock: Clock) -> None:
        self._inventory, self._reads, self._clock = inventory, reads, clock
        kinds = tuple(kinds)
        found = {each.id: each for each in (*kinds, *between(kinds))}
        found.pop(PODS_ID, None)  # a pod owns none
        self._owners = tuple(found.values())
        self._names = {each.kind for each in self._owners}
        self._gone: set[str] = set()
        """Controllers whose pods nobody knows the workload of, as of the list of pods below."""
        self._looked = _NOT_LOOKED
        """The number of the list of pods after which was looked: only a list brings more of them."""

    def held(self, named: Container[str]) -> Amounts:
        """What they hold together, on plain keys: nobody can tell their models; without the controllers ``named``."""
        pods = self._inventory().pods
        owners = self._gone if self._looked == pods.lists else self._candidates()
        return pods.held_under((each for each in owners if each not in named), NO_MODELS, self._clock.now())

    async def look(self) -> bool:
        """See which owners are there, unless that was done; whether something has become known.

        Raises ``ClusterError``.
        """
        lists = self._inventory().pods.lists
        if self._looked == lists:
            return False
        candidates = self._candidates()
        there = await self._reads.uids_of(self._owners) if candidates else set()
        workload_of = self._inventory().owners.workload_of
        self._gone = {each for each in candidates if workload_of(each) not in there}
        self._looked = lists
        return bool(candidates)

    def _candidates(self) -> set[str]:
        return self._inventory().pods.strangers(self._names, self._clock.now())
