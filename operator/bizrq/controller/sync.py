"""How is one bizrq refreshed? [R1].

Its whole status is counted, and written by compare-and-swap where it says something new.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from weakref import WeakValueDictionary

from bizrq.clock import Clock
from bizrq.cluster.errors import Conflict, NotFound, Unavailable
from bizrq.cluster.reads import Reads
from bizrq.cluster.store import Store
from bizrq.controller.books import Quiet
from bizrq.controller.count import count
from bizrq.controller.drift import Drift
from bizrq.controller.farewell import FINALIZER, Farewell, is_leaving
from bizrq.controller.leftovers import Memory
from bizrq.controller.moves import Moves
from bizrq.controller.over_admissions import OverAdmissions
from bizrq.controller.pods_seen import PodsSeen
from bizrq.controller.settlement import Settlement
from bizrq.controller.strangers import Strangers
from bizrq.controller.surges import Crowds
from bizrq.controller.turns import next_turn
from bizrq.controller.wakes import Wakes
from bizrq.domain.bizrq import Bizrq, read_bizrq
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.status import Counted, has_news, new_status
from bizrq.inventory.inventory import Inventory
from bizrq.observability.metrics import ControllerMetrics
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import Workload

__all__ = ["Sync"]

_ATTEMPTS: Final = 8
"""Conflicting writes in a row before the bizrq goes back to the queue."""

_RECOUNTS: Final = 3
"""How often a status is counted, as more becomes known of its pods."""

_UNSURE_SECONDS: Final = 0.5
"""Until a bizrq is counted again whose charges wait for the view of pods [P5]."""

_LOOKS: Final = 32
"""Live reads of claims before one write; halved at each conflict, for a write that is to go through must be quick."""

log = logging.getLogger(__name__)


class Sync(Wakes):
    """Keeps the statuses of all bizrqs true."""

    def __init__(  # noqa: PLR0917  # one caller, and everything it needs
        self,
        inventory: Callable[[], Inventory],
        store: Store,
        reads: Reads,
        list_anew: Callable[[], Awaitable[None]],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        gather_seconds: float,
        kinds: Sequence[Kind],
        gpus: GpuResources,
        leading: Callable[[], bool] = lambda: True,
        told: Callable[[Bizrq, Bizrq, Sequence[str]], None] = lambda *_: None,
    ) -> None:
        """``list_anew`` returns once a list of everything that began after the call has been taken over [R4].

        While not ``leading``, nothing is counted and nothing written; whoever begins to lead wakes all bizrqs.
        ``told`` is given each write: the version that it replaced, the one that is stored, and what was corrected.
        """
        super().__init__(gather_seconds, failed=metrics.status_writes.labels("failed").inc)
        self._inventory, self._store, self._clock, self._metrics = inventory, store, clock, metrics
        self._reads, self._gpus = reads, gpus
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One a bizrq that is being written: a second writer of this process would only conflict with the first."""
        self._trusted: dict[str, str] = {}
        """The writer of the status after which everything was listed, by UID of the bizrq [R4].

        Also "" of one without a status: a bizrq of that name may have been there before, and granted something that is
        not seen yet.
        """
        self._unsure: set[str] = set()
        """Whose charges wait for the view of pods, or for the end of pods that wake nobody [P5]."""
        self._list_anew, self._leading, self._told = list_anew, leading, told
        self._drift = Drift(metrics)
        self._over_admissions = OverAdmissions(lambda name: inventory().bizrqs.get(name), metrics)  # noqa: PLW0108
        self._settlement = Settlement(inventory, reads, kinds, gpus, clock)
        self._farewell = Farewell(store)
        self._moves = Moves(inventory, store, reads)
        self._quiet: dict[str, Quiet] = {}
        """Books that only time changes, as far as is known."""
        self._pods_seen = PodsSeen(inventory, reads, clock)
        self._strangers = Strangers(inventory, reads, kinds, clock)
        self._crowds = Crowds()
        self._process = secrets.token_hex(3)
        self._writes = 0

    async def refresh(self, name: str, *, always: bool = False) -> None:
        """Count a bizrq and write its status where that says something new, or ``always``; a standby does nothing.

        Raises ``ViewTooOldError`` [C4], and ``ClusterError`` where the write failed and may be tried again.
        """
        bizrq = self._inventory().bizrqs.get(name)
        if not self._leading():
            if bizrq is None or not self._wrote(bizrq):  # what this process charged it stands in no status any more
                self._forget(name)
            return
        leaving = bizrq is not None and is_leaving(bizrq)
        await self._write_sources(name, frozenset({name}))
        async with self._lock(name):
            await self._refresh(name, always=always or leaving)
        if leaving and bizrq is not None:
            await self._let_go(bizrq)

    async def _write_sources(self, name: str, asked: frozenset[str]) -> None:
        """Write first the statuses of bizrqs that workloads came from, so that they say until when they pay [C7].

        Where workloads change places, one of both goes first all the same: its lines tell of the other's end as well.
        """
        bizrq = self._inventory().bizrqs.get(name)
        if bizrq is None:
            return
        await self._moves.settle(bizrq)
        for source in sorted(self._inventory().homes.sources(name, self._exists) - asked):
            await self._write_sources(source, asked | {source})
            async with self._lock(source):
                await self._refresh(source, always=True)

    def _exists(self, name: str) -> bool:
        return self._inventory().bizrqs.get(name) is not None

    async def _let_go(self, bizrq: Bizrq) -> None:
        """The books of ``bizrq`` are closed: have its hours moved, then let it go [T7]."""
        if bizrq.parent and bizrq.parent != bizrq.name:
            async with self._lock(bizrq.parent):
                await self._refresh(bizrq.parent, always=True, leaving=bizrq)
        await self._farewell.let_go(bizrq)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def trust(self, writers: Mapping[str, str]) -> None:
        """A list of everything that began after these statuses were read has been taken over: writers by UID [R4]."""
        self._trusted |= writers

    def missed(self, name: str, sentence: str) -> None:
        """A watch had missed what a bizrq's figures rest on: its next write corrects them [R2]."""
        if self._leading():
            self._drift.missed(name, sentence)

    async def _refresh(self, name: str, *, always: bool, leaving: Bizrq | None = None) -> None:
        if leaving is not None and not await self._read_again(name):
            self._must_be_gone(name)
            return
        for attempt in range(_ATTEMPTS):
            bizrq = self._inventory().bizrqs.get(name)
            if bizrq is None:
                self._forget(name)
                return
            try:
                if await self._greeted(bizrq) and await self._write(bizrq, attempt, always=always, leaving=leaving):
                    self._look_later(name)
                    return
            except Conflict:
                self._metrics.status_writes.labels("conflict").inc()
                if not await self._read_again(name):
                    if leaving is not None:
                        self._must_be_gone(name)
                    return
            except NotFound:
                # Its DELETED event, or the next list, takes it out of the inventory; an answer may be wrong.
                if leaving is not None:
                    self._must_be_gone(name)
                return
        msg = f"bizrq {name}: {_ATTEMPTS} conflicting writes in a row"
        raise Unavailable(msg)

    def _must_be_gone(self, name: str) -> None:
        """A parent that is said to be gone is gone only once it is in no view either: else hours would be lost [T7]."""
        if self._inventory().bizrqs.get(name) is not None:
            msg = f"bizrq {name}: said to be gone, which no watch has told yet"
            raise Unavailable(msg)

    async def _greeted(self, bizrq: Bizrq) -> bool:
        """Whether ``bizrq`` has our finalizer; False if it got it just now and is another version."""
        if bizrq.deleting or FINALIZER in bizrq.finalizers:
            return True
        self._inventory().put_bizrq(await self._farewell.greet(bizrq), ours=True)
        return False

    async def _write(self, bizrq: Bizrq, attempt: int, *, always: bool, leaving: Bizrq | None) -> bool:
        """Write the status over this very version; False if the view was renewed first, and all is to be done again.

        Raises ``Conflict`` if somebody wrote before.
        """
        before: dict[str, Workload] = {}
        written = False
        try:
            counted, settled = await self._counted(bizrq, attempt, before, leaving)
            status = new_status(bizrq, counted)
            drifted = self._drift.found(bizrq, status)
            if not (always or drifted or has_news(bizrq, status, counted)):
                self._drift.remember(bizrq)
                self._over_admissions.look(bizrq, bizrq.status)
                self._agrees(bizrq, counted)
                return True
            if not self._is_trusted(bizrq):
                writer = bizrq.writer
                await self._list_anew()
                self._trusted[bizrq.uid] = writer
                return False
            stored = read_bizrq(await self._store.replace_status({**bizrq.raw, "status": status}))
            written = True
        finally:
            if not written:
                self._inventory().workloads.give_back(bizrq.name, before)
        self._metrics.status_writes.labels("stored").inc()
        self._metrics.claims_settled.inc(len(settled))
        self._drift.remember(stored)
        self._over_admissions.look(bizrq, stored.status)
        self._inventory().put_bizrq(stored, ours=True)
        self._agrees(stored, counted)
        self._told(bizrq, stored, self._drift.take_corrected(bizrq.name))
        return True

    def _agrees(self, bizrq: Bizrq, counted: Counted) -> None:
        """This very status says what was counted, or would have said with time alone."""
        books = counted.books
        self._quiet[bizrq.name] = Quiet(bizrq.writer, bizrq.books, books.steady_until)
        if books.seen is not None:
            self._inventory().pods.uncovered.cover(bizrq.name, books.seen.version)

    async def _counted(
        self, bizrq: Bizrq, attempt: int, before: dict[str, Workload], leaving: Bizrq | None
    ) -> tuple[Counted, frozenset[str]]:
        """What the status must say, and the lines of claims that live reads have closed.

        ``before`` is given the workloads that changed since the last write, as that had charged them.
        """
        settled = await self._settlement.look(bizrq, max(1, _LOOKS >> attempt))
        # Read after the parent, and live: what it has spent is final now [T7].
        child = await self._farewell.live(leaving.name, leaving.uid) if leaving else None
        gone = await self._gone(bizrq)
        # What another controller charged is in the status that it wrote, and nowhere else [R4].
        memory = Memory(
            before if self._wrote(bizrq) else {},
            self._pods_seen.is_as_late,
            self._pods_seen.rest_since,
            self._strangers.held,
        )
        believe_seen = not await self._is_from_the_future(bizrq)
        recounts = 0
        while True:
            recounts += 1
            await self._moves.settle(bizrq)
            while self._inventory().homes.pending_for(bizrq.name):
                await self._moves.settle(
                    bizrq
                )  # came meanwhile; this write would close the claim that tells its moment
            self._writes += 1
            # At the very moment of the count: what changes after it is a change against what is counted here.
            before |= {**self._inventory().workloads.take_before(bizrq.name), **before}
            quiet = self._still_quiet(bizrq.name)
            now = self._clock.now()
            crowd = self._crowds.of(bizrq, self._inventory(), now)
            counted = count(
                bizrq,
                self._inventory(),
                now=now,
                writer=f"{self._process}.{self._writes}",
                gpus=self._gpus,
                settled=settled,
                leaving=child,
                gone=gone,
                memory=memory,
                crowded=crowd.uids,
                quiet=quiet,
                believe_seen=believe_seen,
            )
            if recounts == _RECOUNTS or not (
                (counted.rest and await self._strangers.look())
                or (counted.unsure and await self._pods_seen.ask(counted.unsure))
            ):
                break
        self._crowds.note(bizrq.name, crowd, counted.surges)
        if counted.unsure or counted.look_again:
            self._unsure.add(bizrq.name)
        else:
            self._unsure.discard(bizrq.name)
        return counted, settled

    def _still_quiet(self, name: str) -> Quiet | None:
        """The books as they were, unless something has happened to pods since."""
        stirred = self._inventory().pods.stirred
        quiet = self._quiet.pop(name, None)
        if name in stirred:
            stirred.discard(name)
            return None
        return quiet

    async def _is_from_the_future(self, bizrq: Bizrq) -> bool:
        """Whether the status has seen what did not happen yet: somebody edited it, or etcd was restored [C4]."""
        seen = bizrq.books.seen
        if seen is None or seen.version <= self._inventory().pods.view(self._clock.now(), seen.version).version:
            return False
        if seen.version <= await self._reads.pods_version():
            return False
        log.warning(
            "%s: its status claims to have seen version %d of the pods, which is not there yet; not believed",
            bizrq.name, seen.version,
        )  # fmt: skip
        return True

    def _is_trusted(self, bizrq: Bizrq) -> bool:
        """Whether our view may stand for what the last writer of this status knew [R4]."""
        return self._wrote(bizrq) or self._trusted.get(bizrq.uid) == bizrq.writer

    def _wrote(self, bizrq: Bizrq) -> bool:
        """Whether no other controller has written since this process did."""
        return bizrq.writer.partition(".")[0] == self._process

    async def _gone(self, bizrq: Bizrq) -> set[str]:
        """Which deleted children, whose hours are in this ledger, a live read shows gone [T7]."""
        known = {child.uid for child in self._inventory().bizrqs.children(bizrq.name)}
        return {
            each.uid
            for each in bizrq.absorbed
            if each.name and each.uid not in known and await self._farewell.live(each.name, each.uid) is None
        }

    async def _read_again(self, name: str) -> bool:
        """Take over the object as it is stored now, after a conflict the one that won. False if there is none."""
        try:
            fresh = read_bizrq(await self._store.read(name))
        except NotFound:
            return False
        self._inventory().put_bizrq(fresh)
        return True

    def _look_later(self, name: str) -> None:
        """Nothing happens by itself where a claim must be looked at, or pods come into view."""
        if name in self._unsure:
            self._wake_in(name, max(_UNSURE_SECONDS, self._gather))
        seconds = self._settlement.next_look(name)
        if seconds is not None:
            self._wake_in(name, max(seconds, self._gather))
        bizrq = self._inventory().bizrqs.get(name)
        if bizrq is not None:
            now, quiet = self._clock.now(), self._quiet.get(name)
            steady_until, surge_stands = quiet.steady_until if quiet else None, self._crowds.next_standing(name, now)
            turn = next_turn(bizrq, self._inventory(), steady_until, now, surge_stands=surge_stands)
            self._wake_in(name, max(turn - self._clock.milliseconds() / 1000, self._gather))

    def _forget(self, name: str) -> None:
        self._drift.forget(name)
        self._over_admissions.forget(name)
        self._inventory().workloads.forget_before(name)
        self._unsure.discard(name)
        self._settlement.forget(name)
        self._let_go_of(name)
        self._quiet.pop(name, None)
        self._crowds.forget(name)
