"""What do pods hold whose workload nobody knows? [P5].

After a start, ``used`` may hold charges of workloads that went while no controller ran; their pods may still be there,
and name an owner that is gone. A pod whose owner is there and has no label is nobody's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.reads import Reads
from bizrq.domain.amounts import Amounts
from bizrq.domain.resource_names import NO_MODELS
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import Kind

__all__ = ["Strangers"]

_FRESH_SECONDS: Final = 30.0


class Strangers:
    """Pods of counted kinds without a known owner that is there."""

    def __init__(self, inventory: Callable[[], Inventory], reads: Reads, kinds: Iterable[Kind], clock: Clock) -> None:
        self._inventory, self._reads, self._clock = inventory, reads, clock
        self._kinds = tuple(kinds)
        self._names = {kind.kind for kind in self._kinds} | {"ReplicaSet"}
        self._there: set[str] = set()
        self._listed = -math.inf

    def held(self) -> Amounts:
        """What they hold together, on plain keys: nobody can tell their models."""
        inventory = self._inventory()
        return inventory.pods.held_under(self._owners(), NO_MODELS, self._clock.now())

    async def look(self) -> bool:
        """See which owners are there, unless that was done just now; whether there was anything to look for.

        Raises ``ClusterError``.
        """
        if self._clock.monotonic() - self._listed < _FRESH_SECONDS or not self._owners():
            return False
        self._there = await self._reads.uids_of(self._kinds)
        self._listed = self._clock.monotonic()
        return True

    def _owners(self) -> set[str]:
        inventory = self._inventory()
        return {
            pod.owner
            for pod in inventory.pods.strangers(self._clock.now())
            if pod.owner is not None
            and pod.owner_kind in self._names
            and inventory.owners.workload_of(pod.owner) not in self._there
        }
