"""What changed: list, watch, and list again with a diff where the watch has a gap.

One reflector follows one URL for ever. Its sink is told of every item of a list, of every event in order, and after a
list which version it was, so that the sink can find out what vanished unseen: nobody else will ever tell it.

A reflector may begin with a replay: it watches from a version that somebody knew before, then lists, and goes on
watching until it has passed the version of the list. So nothing vanishes between the two [C5].
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from typing import Final, Generic, Protocol, TypeVar, cast

import msgspec

from bizrq.clock import Clock
from bizrq.cluster.client import Client
from bizrq.cluster.errors import ClusterError, Gone, NotFound, Unavailable, error_of
from bizrq.cluster.objects import Listed, Page, WatchEvent

__all__ = ["Reflector", "ReplaySink", "Sink"]

_PAGE: Final = 500
"""Items a page: bounds both the memory of the first list and how long the loop stands still to decode one."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 30.0
"""Seconds between attempts after a failure, doubled each time, with jitter."""

_WATCH_SECONDS: Final = (240, 480)
"""The server ends a watch after a random time of this range, so that reconnects are spread."""

_REPLAY_SECONDS: Final = 3
"""The length of a watch in a replay. The server sends a bookmark two seconds before a watch ends: it brings what all
others wait a minute for, that nothing else happened."""

_PROGRESS: Final = {"fieldSelector": "metadata.name=none"}
"""A list of nothing, from the API server's cache: makes it ask etcd how far it is, without which an idle one sends no
bookmarks."""

_LOOK_SECONDS: Final = 60.0
"""How often a resource that the cluster does not have is looked for without a hint."""

_YIELD_EVERY: Final = 100
"""Events or items applied before other tasks may run."""

log = logging.getLogger(__name__)

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """Where the objects go. ``at`` is this machine's time of arrival, in seconds."""

    def list_began(self) -> None:
        """A list begins, perhaps after another that broke off halfway."""

    def listed(self, item: T_contra, at: int) -> None:
        """An item of a list."""

    def list_ended(self, version: int, began: int) -> None:
        """All items of a list have been told; it shows the state at ``version``, and every change before ``began``.

        What the sink holds and was not listed is gone.
        """

    def changed(self, item: T_contra, at: int) -> None:
        """An item was added or modified."""

    def deleted(self, item: T_contra, at: int) -> None:
        """An item is gone; this is its last state, under the version of its deletion."""

    def passed(self, version: int, at: int) -> None:
        """Nothing else happened up to ``version``."""


class ReplaySink(Sink[T_contra], Protocol[T_contra]):
    """A sink that can begin with a replay: between ``replay_began`` and ``replay_ended`` lists prove nothing gone."""

    def replay_began(self, version: int) -> None:
        """Events after ``version`` follow. Whatever is held is forgotten: an earlier replay may have broken off."""

    def replay_ended(self) -> None:
        """Every event after the version of ``replay_began`` has been told, up to the newest list at least."""

    def replay_lost(self) -> None:
        """The server does not have those events any more; a list follows, and what is held is forgotten."""


class _Bookmark(msgspec.Struct):
    metadata: Listed


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Failure(msgspec.Struct):
    code: int = 500
    message: str = ""
    details: _Details | None = None


class Reflector(Generic[T]):
    """Follows all objects under one URL."""

    def __init__(
        self,
        client: Client,
        url: str,
        item: type[T],
        sink: Sink[T] | ReplaySink[T],
        clock: Clock,
        *,
        replay: Callable[[], int | None] | None = None,
        params: Mapping[str, str] | None = None,
        metadata_only: bool = False,
        may_be_missing: bool = False,
        relisted: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Follow a resource, or wait for one that ``may_be_missing``: until it is there it counts as an empty list.

        ``replay`` tells after which version the sink, a ``ReplaySink``, is to be told of events; None: of none.
        """
        self._client, self._url, self._sink, self._clock = client, url, sink, clock
        self._replay_from = replay
        self._params = dict(params or {})
        self._may_be_missing = may_be_missing
        self._look = asyncio.Event()
        as_ = "application/json;as={};g=meta.k8s.io;v=v1"
        self._accept_list = as_.format("PartialObjectMetadataList") if metadata_only else "application/json"
        # The List form on a watch is answered with 200 and no events, ever.
        self._accept_watch = as_.format("PartialObjectMetadata") if metadata_only else "application/json"
        self._pages = msgspec.json.Decoder(Page[item])  # type: ignore[valid-type]
        self._lines = msgspec.json.Decoder(WatchEvent)
        self._items = msgspec.json.Decoder(item)
        self._bookmarks = msgspec.json.Decoder(_Bookmark)
        self._failures = msgspec.json.Decoder(_Failure)
        self._version: int | None = None
        self._events = 0
        self._relisted, self._failed = relisted, failed
        self.synced = asyncio.Event()
        """Set once the first list has been taken over."""
        self.heard: float = float("-inf")
        """The loop's time of the last sign of life: a page of a list, an event, a bookmark."""

    async def run(self) -> None:
        """Follow for ever; failures are retried with backoff, never raised."""
        wait = 0.0
        while True:
            heard, events = self.heard, self._events
            try:
                if not self.synced.is_set():
                    await self._begin()
                    self.synced.set()
                elif self._version is None:
                    self._version = await self._list()
                await self._watch()
                wait = _FIRST_WAIT  # a server that closes at once must not be asked in a hot loop
            except NotFound as error:
                if self._may_be_missing and self._version is None:
                    await self._wait_for_it()
                    wait = 0.0
                else:
                    wait = self._complain(error, wait, heard)
                    if self._may_be_missing:
                        self._version = None  # a list tells whether it is gone
            except Gone as error:
                log.warning("%s: the watch has a gap, listing again: %s", self._url, error)
                self._version = None
                wait = _longer(0.0 if self._events > events else wait)
            except ClusterError as error:
                wait = self._complain(error, wait, heard)
            except msgspec.DecodeError as error:
                self._failed()
                self._version = None  # what could not be read may matter: start from a list
                wait = _longer(wait)
                log.exception("%s: an object could not be read", self._url, exc_info=error)
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, no secret

    def look_again(self) -> None:
        """The resource may be there now."""
        self._look.set()

    def _complain(self, error: ClusterError, wait: float, heard: float) -> float:
        """Count and tell a failure; the seconds to wait after it."""
        self._failed()
        # If it had worked meanwhile, this is a new failure, not one more of the same.
        wait = _longer(0.0 if self.heard > heard else wait)
        asked = error.retry_after if isinstance(error, Unavailable) else 0.0
        wait = max(wait, min(asked, _LONGEST_WAIT))
        log.warning("%s: %s; again in about %.1f s", self._url, error, wait)
        return wait

    async def _wait_for_it(self) -> None:
        """The cluster does not have the resource: an empty list, until somebody says that it may be there."""
        self._alive()
        now = self._clock.now()
        self._sink.list_began()
        self._sink.list_ended(self._version or 0, now)
        self._version = None
        self.synced.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._look.wait(), _LOOK_SECONDS)
        self._look.clear()

    def _alive(self) -> None:
        self.heard = asyncio.get_running_loop().time()

    async def _begin(self) -> None:
        after = self._replay_from() if self._replay_from else None
        if after is not None:
            try:
                await self._replay(after)
            except Gone as error:
                log.warning("%s: what happened after version %d cannot be replayed: %s", self._url, after, error)
                self._replaying.replay_lost()
            else:
                return
        self._version = await self._list()

    async def _replay(self, after: int) -> None:
        sink = self._replaying
        newest = await self._newest()
        if after > newest:  # a watch from there would be answered with silence, for ever
            msg = f"the server is at version {newest}: somebody edited the version, or etcd was restored"
            raise Gone(msg)
        self._version = after
        sink.replay_began(after)
        await self._watch_to(None)  # first, for a server keeps events for little more than a minute
        listed = await self._list()
        await self._watch_to(listed)
        sink.replay_ended()

    @property
    def _replaying(self) -> ReplaySink[T]:
        return cast("ReplaySink[T]", self._sink)

    async def _watch_to(self, version: int | None) -> None:
        """Watch until the server has told everything up to ``version``, or up to now."""
        while True:
            if await self._watch(_REPLAY_SECONDS, to=version) and (version is None or self._version >= version):  # type: ignore[operator]
                return
            await self._newest()

    async def _newest(self) -> int:
        """The version that the server is at."""
        answer = await self._client.get(self._url, params=_PROGRESS, accept=self._accept_list)
        self._alive()
        return int(self._pages.decode(answer).metadata.resource_version)

    async def _list(self) -> int:
        """Take over a consistent list, page by page; never resourceVersion=0, which may be an old cache's state.

        Its version.
        """
        began = self._clock.now()
        self._sink.list_began()
        params = {**self._params, "limit": str(_PAGE)}
        version: int | None = None
        while True:
            page = self._pages.decode(await self._client.get(self._url, params=params, accept=self._accept_list))
            self._alive()
            at = self._clock.now()
            for number, item in enumerate(page.items or (), 1):
                self._sink.listed(item, at)
                if number % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            if version is None:
                version = int(page.metadata.resource_version)  # all pages show the state of the first
            if not page.metadata.continue_:
                break
            params["continue"] = page.metadata.continue_
        self._sink.list_ended(version, began)
        self._relisted()
        return version

    async def _watch(self, seconds: int = 0, *, to: int | None = None) -> bool:
        """Follow until the server ends the watch; of one of some ``seconds``, until something tells how far it is.

        Whether something did: an event at ``to`` or later, or a bookmark.
        """
        params = {
            **self._params,
            "resourceVersion": str(self._version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds or random.randint(*_WATCH_SECONDS)),  # noqa: S311
        }
        number = 0
        lines = self._client.watch(self._url, params=params, accept=self._accept_watch)
        async with contextlib.aclosing(lines):
            async for line in lines:
                self._alive()
                is_bookmark = self._apply(self._lines.decode(line))
                if seconds and (is_bookmark or (to is not None and self._version is not None and self._version >= to)):
                    return True
                number += 1
                if number % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        return False

    def _apply(self, event: WatchEvent) -> bool:
        """Tell the sink of an event; whether it was a bookmark."""
        match event.type:
            case "ADDED" | "MODIFIED":
                item = self._items.decode(event.object)
                self._sink.changed(item, self._clock.now())
            case "DELETED":
                item = self._items.decode(event.object)
                self._sink.deleted(item, self._clock.now())
            case "BOOKMARK":
                version = int(self._bookmarks.decode(event.object).metadata.resource_version)
                self._sink.passed(version, self._clock.now())
                self._version = version
                return True
            case "ERROR":
                failure = self._failures.decode(event.object)
                after = failure.details.retry_after_seconds if failure.details else 0
                raise error_of(failure.code, failure.message, after)
            case _:
                log.warning("%s: an event of unknown type %r", self._url, event.type)
                return False
        self._events += 1
        self._version = int(item.metadata.resource_version)  # type: ignore[attr-defined]  # every item has metadata
        return False


def _longer(wait: float) -> float:
    """The seconds to wait after one more failure."""
    return min(max(wait * 2, _FIRST_WAIT), _LONGEST_WAIT)
