"""How are wakes gathered and one bizrq refreshed? [R1].

A wake is the name of a bizrq whose figures may have changed. Wakes of one bizrq are gathered for a moment, then its
whole status is counted and written by compare-and-swap; bizrqs go side by side, one bizrq never twice at a time.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError, Conflict, NotFound, Unavailable
from bizrq.cluster.store import Store
from bizrq.controller.count import ViewTooOldError, count
from bizrq.domain.bizrq import Bizrq, read_bizrq
from bizrq.domain.resource_names import GpuResources, is_cash
from bizrq.domain.status import has_news, new_status
from bizrq.inventory.inventory import Inventory
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["Sync"]

_WRITERS: Final = 8
"""Statuses written side by side: the API server stores some 280 a second from one client, one after the other."""

_ATTEMPTS: Final = 8
"""Conflicting writes in a row before the bizrq goes back to the queue."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
"""Seconds until a bizrq is tried again after a failed write, or while the view is too old; doubled each time."""

_END_SECONDS: Final = 10.0
"""How long the end of the process waits for the writes on their way."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """The figures of the last status that this process wrote or found right, to find out what somebody changed."""

    uid: str
    version: int
    used: Mapping[str, str]
    self_used: Mapping[str, str]


class Sync:
    """Keeps the statuses of all bizrqs true."""

    def __init__(
        self,
        inventory: Callable[[], Inventory],
        store: Store,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        gather_seconds: float,
        gpus: GpuResources,
    ) -> None:
        self._inventory, self._store, self._clock, self._metrics = inventory, store, clock, metrics
        self._gather, self._gpus = gather_seconds, gpus
        self._due: dict[str, float] = {}
        """When a bizrq is to be looked at next, in the loop's time."""
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_WRITERS)
        self._waiting: set[asyncio.Task[None]] = set()
        """Refreshes that have no slot yet."""
        self._failures: dict[str, int] = {}
        """How often in a row a bizrq could not be written."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One a bizrq that is being written: a second writer of this process would only conflict with the first."""
        self._known: dict[str, _Known] = {}
        self._process = secrets.token_hex(3)
        self._writes = 0

    def wake(self, name: str) -> None:
        """Have a bizrq looked at again, after the moment in which further events are gathered."""
        self._wake_in(name, self._gather)

    def _wake_in(self, name: str, seconds: float) -> None:
        due = asyncio.get_running_loop().time() + seconds
        if name not in self._due or self._due[name] > due:
            self._due[name] = due
            self._changed.set()

    async def run(self) -> None:
        """Work off the wakes for ever. When cancelled, finishes the writes on their way first."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._changed.clear()
                now = loop.time()
                for name in [name for name, due in self._due.items() if due <= now and name not in self._busy]:
                    del self._due[name]
                    task = loop.create_task(self._look_at(name), name=f"refresh {name}")
                    self._busy[name] = task
                    task.add_done_callback(functools.partial(self._done, name))
                waiting = [due for name, due in self._due.items() if name not in self._busy]
                pause = max(0.0, min(waiting) - loop.time()) if waiting else None
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._waiting:
                task.cancel()
            if self._busy:
                await asyncio.wait(list(self._busy.values()), timeout=_END_SECONDS)

    def _done(self, name: str, _: asyncio.Task[None]) -> None:
        self._busy.pop(name, None)
        self._changed.set()

    async def _look_at(self, name: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the types: this runs as a task of its own
        self._waiting.add(task)
        try:
            async with self._slots:
                self._waiting.discard(task)
                await self.refresh(name)
            self._failures.pop(name, None)
        except ViewTooOldError as error:
            self._try_again(name, 0.0, f"nothing written: {error}")
        except ClusterError as error:
            self._metrics.status_writes.labels("failed").inc()
            asked = error.retry_after if isinstance(error, Unavailable) else 0.0
            self._try_again(name, asked, f"its status could not be written: {error}")
        except Exception:
            # One bizrq that cannot be counted must not stop the others; the next event or resync tries again.
            log.exception("%s: its status could not be counted", name)
        finally:
            self._waiting.discard(task)

    def _try_again(self, name: str, asked: float, why: str) -> None:
        """Have a bizrq looked at later: after the seconds that the server asked for, and longer each time."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        wait = max(min(_FIRST_WAIT * 2.0 ** min(failures - 1, 10), _LONGEST_WAIT), min(asked, _LONGEST_WAIT))
        log.warning("%s: %s; again in about %.0f s", name, why, wait)
        self._wake_in(name, wait * random.uniform(0.75, 1.25))  # noqa: S311  # jitter, no secret

    async def refresh(self, name: str, *, always: bool = False) -> None:
        """Count a bizrq and write its status where that says something new, or ``always``.

        Raises ``ViewTooOldError`` [C4], and ``ClusterError`` where the write failed and may be tried again.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            await self._refresh(name, always=always)

    async def _refresh(self, name: str, *, always: bool) -> None:
        for _ in range(_ATTEMPTS):
            bizrq = self._inventory().bizrqs.get(name)
            if bizrq is None:
                self._known.pop(name, None)
                self._failures.pop(name, None)
                return
            self._writes += 1
            writer = f"{self._process}.{self._writes}"
            counted = count(bizrq, self._inventory(), now=self._clock.now(), writer=writer, gpus=self._gpus)
            status = new_status(bizrq, counted)
            drifted = self._report_drift(bizrq, status)
            if not (always or drifted or has_news(bizrq, status, counted)):
                self._remember(bizrq)
                return
            try:
                stored = await self._store.replace_status({**bizrq.raw, "status": status})
            except Conflict:
                self._metrics.status_writes.labels("conflict").inc()
                if not await self._read_again(name):
                    return
                continue
            except NotFound:
                # Its DELETED event, or the next list, takes it out of the inventory; an answer may be wrong.
                return
            self._metrics.status_writes.labels("stored").inc()
            self._take_over(stored)
            return
        msg = f"bizrq {name}: {_ATTEMPTS} conflicting writes in a row"
        raise Unavailable(msg)

    async def _read_again(self, name: str) -> bool:
        """After a conflict: decide anew on the object that won. False if there is none."""
        try:
            fresh = read_bizrq(await self._store.read(name))
        except NotFound:
            return False
        self._inventory().put_bizrq(fresh)
        return True

    def _take_over(self, raw: dict[str, Any]) -> None:
        """The answer to a write is the newest version there is, and ours."""
        bizrq = read_bizrq(raw)
        self._remember(bizrq)
        self._inventory().put_bizrq(bizrq, ours=True)

    def _remember(self, bizrq: Bizrq) -> None:
        status = bizrq.raw["status"]
        self._known[bizrq.name] = _Known(bizrq.uid, bizrq.version, _plain(status, "used"), _plain(status, "selfUsed"))

    def _report_drift(self, bizrq: Bizrq, status: Mapping[str, Any]) -> bool:
        """Whether somebody else has put wrong figures into a status that was right; logged and counted."""
        last = self._known.get(bizrq.name)
        if last is None or last.uid != bizrq.uid or last.version == bizrq.version:
            return False
        self._known.pop(bizrq.name)
        old = bizrq.raw.get("status") or {}
        edited = False
        for field, written in (("used", last.used), ("selfUsed", last.self_used)):
            found, right = _plain(old, field), _plain(status, field)
            for key in sorted(written.keys() & right.keys()):
                if found.get(key) != written[key] and found.get(key) != right[key]:
                    edited = True
                    log.warning(
                        "%s: drift: status.%s of %s was changed to %s by somebody else; corrected to %s",
                        bizrq.name, field, key, found.get(key, "nothing"), right[key],
                    )  # fmt: skip
        if edited:
            self._metrics.drift.labels("status").inc()
        return edited


def _plain(status: Mapping[str, Any], field: str) -> dict[str, str]:
    return {key: text for key, text in (status.get(field) or {}).items() if not is_cash(key)}
