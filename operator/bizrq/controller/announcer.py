"""How do news become events, without anybody waiting for them? [R1].

Whoever has stored a status hands its news over and goes on. A worker writes them, slowly, so that a thousand groups
that run out at one instant do not keep the API server from what matters. An event is a courtesy: one that cannot be
written is logged, counted and forgotten. Conditions and metrics say what holds.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError, Conflict, NotFound, Unavailable
from bizrq.cluster.events import Event, Events, Ref
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.events import News, corrected, event_name, news_of, shortened, within_namespace
from bizrq.inventory.inventory import Inventory
from bizrq.inventory.users import largest_users
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["Announcer"]

_WAITING: Final = 500
"""News that may wait; what comes then is dropped. At the pace below that is the work of one to twenty minutes."""

_PAUSE_SECONDS: Final = 0.1
"""Between two events; the API server stores some 28 objects of one client in that time."""

_NAMESPACES: Final = 20
"""Namespaces in which one transition is told."""

_TRIES: Final = 3
_RETRY_SECONDS: Final = 1.0
"""Until an event is tried again that was not stored, if the API server asks for nothing longer."""

_SERIES_SECONDS: Final = 600.0
"""What happens again within so long of the last time is one more of a series, and no event of its own."""

_COUNT_SECONDS: Final = 30.0
"""A series is written at most so often; in between it is counted only."""

_END_SECONDS: Final = 2.0
"""How long the end of the process waits for the events that are left."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Handed:
    """News that wait for the worker."""

    bizrq: Ref
    news: News
    at: int
    """In epoch milliseconds."""


@dataclass(slots=True)
class _Series:
    """An event that was written, and what came after it."""

    event: Event
    count: int
    last: float
    """When it happened last, and when that was written last, on the monotonic clock."""
    written: float


class Announcer:
    """Writes the events of one controller."""

    def __init__(
        self, inventory: Callable[[], Inventory], events: Events, clock: Clock, metrics: ControllerMetrics
    ) -> None:
        self._inventory, self._events, self._clock = inventory, events, clock
        self._written, self._dropped = (metrics.events.labels(outcome).inc for outcome in ("written", "dropped"))
        self._waiting: collections.deque[_Handed] = collections.deque()
        self._handed = asyncio.Event()
        self._series: dict[tuple[str, str, str], _Series] = {}
        """By UID of the object, UID of the related one, and reason; those that happened last at the end."""

    def stored(self, before: Bizrq, after: Bizrq, corrections: Sequence[str]) -> None:
        """A status is stored: have its news told. ``before`` is the version that it replaced; never waits or fails."""
        news = news_of(before, after)
        drift = corrected(corrections)
        for each in news if drift is None else [drift, *news]:
            if len(self._waiting) >= _WAITING:
                self._drop(after.name, each.reason, "too many wait already")
                continue
            self._waiting.append(_Handed(Ref.of_bizrq(after), each, self._clock.milliseconds()))
            self._handed.set()

    async def run(self) -> None:
        """Write what is handed over, for ever."""
        while True:
            await self._handed.wait()
            self._handed.clear()
            await self._work_off(_PAUSE_SECONDS)

    async def finish(self) -> None:
        """Write what is left, as far as there is time: the process ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._work_off(0)
        for each in self._waiting:
            self._drop(each.bizrq.name, each.news.reason, "the process ends")
        self._waiting.clear()

    async def _work_off(self, pause: float) -> None:
        while self._waiting:
            handed = self._waiting[0]  # it stays until it is told, in case this is cancelled meanwhile
            for event in self._events_of(handed):
                if await self._tell(event):
                    await asyncio.sleep(pause)
            self._waiting.popleft()

    def _events_of(self, handed: _Handed) -> Iterator[Event]:
        """What is told of it, and where."""
        bizrq, news = handed.bizrq, handed.news
        yield self._event(handed, bizrq, news.note)
        if news.for_users:
            told = within_namespace(bizrq.name, news.note)
            for workload in largest_users(self._inventory(), bizrq.name, news.keys, _NAMESPACES):
                yield self._event(handed, Ref.of_workload(workload), told, related=bizrq)

    @staticmethod
    def _event(handed: _Handed, regarding: Ref, note: str, related: Ref | None = None) -> Event:
        news = handed.news
        return Event(
            name=event_name(regarding.name, regarding.uid, handed.bizrq.uid, news.reason, str(handed.at)),
            regarding=regarding,
            reason=news.reason,
            action=news.action,
            note=shortened(note),
            warning=news.warning,
            at=handed.at,
            related=related,
        )

    async def _tell(self, event: Event) -> bool:
        """Write an event, or that it has happened again; whether anything was asked of the API server."""
        about = event.related.uid if event.related else ""
        key, now = (event.regarding.uid, about, event.reason), self._clock.monotonic()
        series = self._series.pop(key, None)
        if series is None or now - series.last > _SERIES_SECONDS:
            if await self._sent(event, lambda: self._events.create(event)):
                self._remember(key, _Series(event, 1, now, now))
            return True
        self._series[key] = series
        if series.event.name == event.name:
            return False  # told before this process was told to end
        series.count, series.last = series.count + 1, now
        if now - series.written < _COUNT_SECONDS:
            return False
        series.written = now
        await self._sent(event, lambda: self._repeat(series, event))
        return True

    async def _repeat(self, series: _Series, event: Event) -> None:
        try:
            await self._events.repeat(series.event, series.count, event.at)
        except NotFound:  # events live for an hour, unless somebody deletes them before
            await self._events.create(event)
            series.event, series.count = event, 1

    async def _sent(self, event: Event, request: Callable[[], Awaitable[None]]) -> bool:
        """Whether it is stored, after some tries."""
        wait, failure = 0.0, ""
        for attempt in range(_TRIES):
            await asyncio.sleep(wait)
            try:
                await request()
            except Unavailable as error:
                wait, failure = max(_RETRY_SECONDS * 2.0**attempt, error.retry_after), str(error)
                continue
            except Conflict:
                pass  # an earlier try was stored after all: nobody else makes events of this name
            except ClusterError as error:
                failure = str(error)
                break
            self._written()
            return True
        self._drop(event.regarding.name, event.reason, failure)
        return False

    def _drop(self, name: str, reason: str, why: str) -> None:
        self._dropped()
        log.warning("%s: the event %s is not written: %s", name, reason, why)

    def _remember(self, key: tuple[str, str, str], series: _Series) -> None:
        self._series[key] = series
        while self._series:
            oldest = next(iter(self._series))
            if series.last - self._series[oldest].last <= _SERIES_SECONDS:
                return
            del self._series[oldest]
