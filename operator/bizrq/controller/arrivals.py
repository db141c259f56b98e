"""May a workload be counted yet, or is a RuntimeClass that it names unknown here? [P3].

The watch of workloads may be ahead of that of RuntimeClasses. A workload that is counted without the overhead that the
webhook has claimed for it would close its claim, and give the difference away. So classes that it names and that no
watch has told of are read live first: a read after the workload was seen shows every class that its review can have
seen. A class that is not there then adds nothing; the API server refuses pods that name it.

The API server's own admission plugin RuntimeClass does the same: it looks into its cache, and live where a name is
missing there. A change of a known class may arrive some moments after a workload that was reviewed with it; it then
changes the demand of all workloads of the class at once, and whoever makes such a change grants that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Protocol

from bizrq.cluster.errors import ClusterError
from bizrq.cluster.objects import RuntimeClass
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import Workload

__all__ = ["Arrivals", "know_classes"]

_RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class _Classes(Protocol):
    async def runtime_classes(self) -> list[RuntimeClass]:
        """All RuntimeClasses as they are now."""


async def know_classes(inventory: Inventory, reads: _Classes, workloads: Iterable[Workload]) -> None:
    """Have an inventory know every RuntimeClass that ``workloads`` name and that is there. Raises ``ClusterError``."""
    classes = inventory.runtime_classes
    if any(not classes.knows(name) for workload in workloads for name in workload.runtime_classes):
        for each in await reads.runtime_classes():
            classes.put(each)


class Arrivals:
    """Puts workloads into an inventory, in whatever order they can be counted: a later version is never undone."""

    def __init__(self, inventory: Inventory, reads: _Classes) -> None:
        self._inventory, self._reads = inventory, reads
        self._waiting: dict[str, Workload] = {}
        self._some = asyncio.Event()

    def put(self, workload: Workload) -> None:
        """Count a version of a workload: at once, or once its RuntimeClasses are known."""
        if all(map(self._inventory.runtime_classes.knows, workload.runtime_classes)):
            self._inventory.put_workload(workload)
            return
        known = self._waiting.get(workload.uid)
        if known is None or known.version < workload.version:
            self._waiting[workload.uid] = workload
            self._some.set()

    async def run(self) -> None:
        """Look up what workloads wait for, for ever; those that come meanwhile share the next look."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._waiting = self._waiting, {}
            try:
                await know_classes(self._inventory, self._reads, batch.values())
            except ClusterError as error:
                log.warning("RuntimeClasses cannot be read, %d workloads wait for them: %s", len(batch), error)
                await asyncio.sleep(_RETRY_SECONDS)
                for workload in batch.values():
                    self.put(workload)
                continue
            for workload in batch.values():
                self._inventory.put_workload(workload)
