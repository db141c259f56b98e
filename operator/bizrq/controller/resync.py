"""Does everything still add up? [R2].

Every few minutes workloads and bizrqs are listed anew, since a watch may have missed something, and every status is
counted and written. What a watch had not brought within the time of [R1] is drift: corrected, counted, logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError
from bizrq.controller.above import show_above
from bizrq.controller.beyond import show_beyond
from bizrq.controller.books import ViewTooOldError
from bizrq.controller.feed import Feed, Listing, RestoredError, take_over
from bizrq.controller.sync import Sync
from bizrq.domain.amounts import Amounts, first_of
from bizrq.inventory.inventory import Inventory
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["Resync"]

_DELIVERY_SECONDS: Final = 2.0
"""A list is compared with what watches have brought only so long after its answer: they may lag this much [R1]."""

_AFTER_A_START: Final = 3.0
"""Seconds from a start of kopf to a resync: by then its first list has been handed on."""

_WRITERS: Final = 4
"""Statuses a resync writes side by side, besides those that events ask for."""

log = logging.getLogger(__name__)


class Resync:
    """Recomputes everything from time to time."""

    def __init__(
        self, feed: Feed, inventory: Inventory, sync: Sync, clock: Clock, metrics: ControllerMetrics, *, seconds: float
    ) -> None:
        self._feed, self._inventory, self._sync = feed, inventory, sync
        self._clock, self._metrics, self._seconds = clock, metrics, seconds
        self._asked = asyncio.Event()
        self._listing = asyncio.Lock()
        self._next_list: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Have the next resync in some seconds: kopf starts, and what went before its first list it never tells."""
        asyncio.get_running_loop().call_later(_AFTER_A_START, self._asked.set)

    async def run(self) -> None:
        """Resync for ever. A failed one is logged and followed by the next. Raises ``RestoredError``."""
        while True:
            self._asked.clear()
            pause = self._seconds * random.uniform(0.95, 1.0)  # noqa: S311  # replicas drift apart
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), pause)
            try:
                await self.once()
                self._metrics.resyncs.labels("done").inc()
                self._metrics.last_resync.set(self._clock.now())
            except ClusterError as error:
                self._metrics.resyncs.labels("failed").inc()
                log.warning("the resync failed, the next one is in %.0f s: %s", self._seconds, error)
            except RestoredError:
                raise
            except Exception:
                self._metrics.resyncs.labels("failed").inc()
                log.exception("the resync failed, the next one is in %.0f s", self._seconds)

    async def list_anew(self) -> None:
        """Returns once a list that began after this call has been taken over [R4]; callers share one.

        Raises ``ClusterError``.
        """
        if self._next_list is None:
            self._next_list = asyncio.create_task(self._list_next(), name="list anew")
        await asyncio.shield(self._next_list)

    async def _list_next(self) -> None:
        async with self._listing:
            self._next_list = None  # it begins now: who calls from here on needs another
            listing = await self._feed.list_all()
            try:
                take_over(listing, self._inventory)
            except RestoredError:
                self._asked.set()  # the next resync finds it too, and ends the process
                raise
            self._sync.trust(listing.writers)

    async def once(self) -> None:
        """List, compare, correct, write every status, look for pods above their templates.

        Raises ``ClusterError``.
        """
        listing = await self._feed.list_all()
        await asyncio.sleep(min(_DELIVERY_SECONDS, self._seconds / 2))
        self._take_over(listing)
        self._inventory.sweep(self._clock.now())
        slots = asyncio.Semaphore(_WRITERS)
        async with asyncio.TaskGroup() as group:
            for bizrq in self._inventory.bizrqs:
                group.create_task(self._write(bizrq.name, slots))
        await show_above(self._inventory, self._metrics)
        await show_beyond(self._inventory, self._metrics)

    def _take_over(self, listing: Listing) -> None:
        for kind, bizrq, before, after in take_over(listing, self._inventory):
            self._metrics.drift.labels("workloads").inc()
            sentence = f"a watch had missed {kind.id}: {_differences(before, after)}"
            log.warning("%s: drift: %s", bizrq, sentence)
            self._sync.missed(bizrq, sentence)
        self._sync.trust(listing.writers)

    async def _write(self, name: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                await self._sync.refresh(name, always=True)
            except ViewTooOldError as error:
                log.info("%s: nothing written: %s", name, error)
            except ClusterError as error:
                log.warning("%s: its status could not be written: %s", name, error)
                self._sync.wake(name)
            except Exception:
                # One bizrq that cannot be counted must not keep the others from being written.
                log.exception("%s: its status could not be counted", name)


def _differences(before: Amounts, after: Amounts) -> str:
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return first_of(keys, lambda key: f"{key} was {before.get(key, 0)}, is {after.get(key, 0)}")
