"""The processes of bizrq over the storage: replicas of the webhook, and controllers that see late.

All of them run the real code; what stands in is the connection to the API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bizrq.cluster.errors import ClusterError, Unavailable
from bizrq.controller.books import ViewTooOldError
from bizrq.controller.feed import Feed, take_over
from bizrq.controller.resync import Resync
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.routes import routes_over
from tests.support.cas_store import StoreReads
from tests.support.clocks import HandClock
from tests.support.controller import Controller
from tests.support.world.invariants import Violation
from tests.support.world.loop import Gate, HandLoop
from tests.support.world.storage import Lists, Storage, is_bizrq

__all__ = ["Connection", "Replica", "Watcher"]

JSON = dict[str, Any]


class Connection:
    """One process' way to the bizrqs; what it loses is lost for this process alone."""

    def __init__(self, storage: Storage, *, compares: bool) -> None:
        self._storage = storage
        self.writes = Gate()
        self.lost_answers = 0
        """So many of the next writes are stored, and their answer is lost."""
        self._compares = compares

    async def read(self, name: str, *, recent: bool = False) -> JSON:  # noqa: ARG002  # all of it is
        """The newest object."""
        return await self._storage.read(name)

    async def replace_status(self, raw: Mapping[str, Any]) -> JSON:
        """Write the status of ``raw`` over the very version that ``raw`` is."""
        await self.writes.passed()
        if not self._compares:
            raw = {**await self._storage.read(raw["metadata"]["name"]), "status": raw["status"]}
        stored = await self._storage.replace_status(raw)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the answer was lost")
        return stored

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> JSON:
        """Replace the finalizers over the very version that ``raw`` is."""
        return await self._storage.set_finalizers(raw, finalizers)

    def raw(self, name: str) -> JSON:
        """The stored object."""
        return self._storage.raw(name)

    def names(self) -> list[str]:
        """The names of all bizrqs."""
        return self._storage.names()

    def status(self, name: str) -> JSON:
        """The stored status."""
        return self._storage.status(name)


class Replica:
    """A replica of the webhook."""

    compares = True
    """Whether its writes are over the version that was read, as the contract of a store has it."""

    def __init__(self, storage: Storage, clock: HandClock) -> None:
        self.connection = Connection(storage, compares=self.compares)
        self.reads = StoreReads(storage)
        self.reads.workloads = storage.workloads
        self.routes = routes_over(
            self.connection, self.reads, storage.kinds, DEFAULT_GPU_RESOURCES, clock, WebhookMetrics()
        )


class Watcher(Controller):
    """A controller that is told of each object event by event, as late as the test wants it."""

    compares = True
    """As that of a replica."""

    def __init__(self, storage: Storage, clock: HandClock, loop: HandLoop) -> None:
        self.connection = Connection(storage, compares=self.compares)
        super().__init__(self.connection, clock)  # type: ignore[arg-type]  # all of a CasStore that it uses
        self._storage, self._loop = storage, loop
        self.reads.workloads = storage.workloads
        self.listed = Lists(storage)
        feed = Feed(self.listed, self.reads, self.inventory, storage.kinds, DEFAULT_GPU_RESOURCES)  # type: ignore[arg-type]
        self._feed = feed
        self._resync = Resync(feed, self.inventory, self.sync, clock, self.metrics, seconds=300)
        self._told: dict[str, int] = {}
        """How many of its events have been delivered, by object."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.began = False

    # --- what it sees ---

    def begin(self) -> None:
        """The first list; from its take-over on objects are watched, from their last event on."""

        async def first_list() -> None:
            listing = await self._feed.list_all()
            take_over(listing, self.inventory)
            self.sync.trust(listing.writers)
            self.start([], 1)
            for name, events in self._storage.events.items():
                self._told[name] = len(events) - (events[-1].type != "DELETED")
            self.began = True

        self._run("", first_list())

    def is_behind(self, name: str) -> bool:
        """Whether something has happened to an object that it was not told of."""
        return self.began and self._told.get(name, 0) < len(self._storage.events[name])

    def sees(self, name: str) -> None:
        """The next event of an object."""
        event = self._storage.events[name][self._told.get(name, 0)]
        self._told[name] = self._told.get(name, 0) + 1
        kind = None if is_bizrq(event.raw) else self._storage.kind_of(event.raw)
        self._feed.event(kind, event.type, event.raw)

    def misses(self, name: str) -> None:
        """What has happened to an object is never told, as over a watch that had to begin anew."""
        self._told[name] = len(self._storage.events[name])

    def catches_up(self) -> None:
        """All events that are left."""
        for name in self._storage.events:
            while self.is_behind(name):
                self.sees(name)

    async def list_anew(self) -> None:
        """As the process does it."""
        self.lists += 1
        await self._resync.list_anew()

    def lists_anew(self) -> None:
        """A list of everything, and its take-over where the gate of lists is open."""
        self._run("", self._resync.list_anew())

    # --- what it does ---

    def writes(self, name: str) -> None:
        """Count a bizrq and write its status; goes on later if a gate is shut."""
        self._run(name, self.sync.refresh(name, always=True))

    def goes_on(self) -> None:
        """Open the gates of lists and writes."""
        for gate in self.listed.gates.values():
            gate.open()
        self.connection.writes.open()
        self._loop.until_idle()
        self._collect()

    @property
    def is_busy(self) -> bool:
        """Whether a write or a list is on its way."""
        return bool(self._tasks)

    def dies(self) -> None:
        """Nothing of it goes on."""
        for task in self._tasks.values():
            task.cancel()
        self._loop.until_idle()

    def _run(self, name: str, work: Any) -> None:
        if name in self._tasks:
            work.close()
            return
        self._tasks[name] = self._loop.start(work)
        self._collect()

    def _collect(self) -> None:
        for name, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[name]
                error = task.exception()
                if error is not None and not isinstance(error, ClusterError | ViewTooOldError):
                    raise error
        if told := dict(self.metrics.bizrqs.over):
            raise Violation(f"O1: more was let in than admission can have let in, it is told: {told}")
