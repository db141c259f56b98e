"""How are the requests for growth of one bizrq gathered, decided and claimed together? [A3, A4].

While one write of a bizrq is on its way, the next requests gather; then one write carries the claims of all of them.
There is one committer a bizrq in a process: a second one would only conflict with the first.

An *allow* may start from the object that the last write returned, or from that of a cache: the compare-and-swap proves
that it was fresh.
A *refusal* is only given on a read that began after its request came in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError, Conflict, Denied, Invalid, NotFound, Unavailable
from bizrq.cluster.store import Store
from bizrq.domain.admission import Account, Again, Ask, Granted, Outcome
from bizrq.domain.bizrq import Bizrq, read_bizrq
from bizrq.domain.resource_names import GpuResources
from bizrq.observability.metrics import WebhookMetrics

__all__ = ["Answer", "Committers", "Missing"]

_BATCH: Final = 256
"""Requests decided together; the API server has some hundred in flight at most."""

_KEPT_SECONDS: Final = 0.2
"""How long the object that a write returned is worth a try without a read: the controller writes soon after."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.004, 0.05
"""Seconds to wait after a second conflict in a row, at random up to so many, doubled each time."""

_REST, _LONGEST_REST = 3.0, 0.15
"""After a write of many claims no other one begins for so many times as long as it took, at most so many seconds.

Meanwhile requests gather, and another replica's read and write find room. A write costs the API server several times
what a review does, and one that conflicts is for nothing.
"""

_FULL_REST: Final = 12
"""So many claims in a write are worth the whole rest; fewer, their share of it, and a single one none."""

_CONTENDED_SECONDS: Final = 3.0
"""For so long after a conflict, a write after a rest begins with a read, which costs less than another conflict."""

_FAILED_SECONDS: Final = 0.5
"""Seconds to wait while the API server does not answer, some more or less; it may ask for longer."""

_LONGEST_FAILED_SECONDS: Final = 1.5
"""Whoever waits for an answer has some 4 s."""

_STALL_SECONDS: Final = 2.0
"""A read or write that takes longer is given up: perhaps its connection is dead, and the next one is not."""

JSON = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such bizrq [A7]."""


Answer = Outcome | Missing


@dataclass(slots=True)
class _Asked:
    ask: Ask
    answer: asyncio.Future[Answer]
    deadline: float

    def settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class Committers:
    """Takes requests for growth, whichever bizrq they are for."""

    def __init__(self, store: Store, clock: Clock, metrics: WebhookMetrics, gpus: GpuResources) -> None:
        self._store, self._clock, self._metrics, self._gpus = store, clock, metrics, gpus
        self._running: dict[str, _Committer] = {}

    async def claim(self, bizrq: str, ask: Ask, deadline: float) -> Answer:
        """Decide on ``ask`` and have what is granted claimed before this returns; ``deadline`` is in the loop's time.

        Whoever gives up waiting stops nothing: a claim that is on its way may still be made, and ends by itself.
        """
        committer = self._running.get(bizrq)
        if committer is None:
            committer = self._running[bizrq] = _Committer(bizrq, self)
        asked = _Asked(ask, asyncio.get_running_loop().create_future(), deadline)
        committer.put(asked)
        return await asked.answer

    async def try_out(self, bizrq: str, ask: Ask) -> Answer:
        """What would be answered, without a claim [A5]. Raises ``ClusterError``."""
        try:
            account = Account(read_bizrq(await self._store.read(bizrq)), self._gpus)
        except NotFound:
            return Missing()
        return self.decide(account, ask)

    def decide(self, account: Account, ask: Ask) -> Outcome:
        """Put one request to an account."""
        return account.admit(ask, now=self._clock.now(), milliseconds=self._clock.milliseconds())

    @property
    def store(self) -> Store:
        """Where bizrqs are."""
        return self._store

    @property
    def metrics(self) -> WebhookMetrics:
        """The process' metrics."""
        return self._metrics

    def account(self, bizrq: Bizrq) -> Account:
        """A new account on a version."""
        return Account(bizrq, self._gpus)

    def ended(self, name: str) -> None:
        """A committer has nothing left to do."""
        del self._running[name]


class _Committer:
    """Works off the requests for one bizrq, batch by batch, and ends some moments after the last one."""

    def __init__(self, name: str, all_: Committers) -> None:
        self._name, self._all = name, all_
        self._queue: list[_Asked] = []
        self._batch: list[_Asked] = []
        self._came = asyncio.Event()
        self._held: Bizrq | None = None
        """What the last write returned."""
        self._pause = 0.0
        """The longest wait after the next conflict; 0 where the last write was none."""
        self._refuses = False
        """The last requests were not all granted: the next ones will be read for from etcd at once."""
        self._rests_until = 0.0
        self._contended_until = 0.0
        self._task = asyncio.create_task(self._run(), name=f"claims {name}")

    def put(self, asked: _Asked) -> None:
        self._queue.append(asked)
        self._came.set()

    async def _run(self) -> None:
        try:
            while await self._more():
                await self._rest()
                batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
                self._batch = batch
                try:
                    await self._work_off(batch)
                except Exception:
                    log.exception("%s: requests could not be decided", self._name)
                    _settle_all(batch, Again("an error of bizrq itself; its log says more"))
                    self._held = None
        finally:
            self._all.ended(self._name)
            _settle_all([*self._batch, *self._queue], Again("this replica of the webhook ends"))

    async def _more(self) -> bool:
        if self._queue:
            return True
        self._came.clear()
        try:
            async with asyncio.timeout(_KEPT_SECONDS):
                await self._came.wait()
        except TimeoutError:
            self._held = None
        return bool(self._queue)

    async def _rest(self) -> None:
        """Let requests gather, and others write."""
        loop = asyncio.get_running_loop()
        if self._rests_until > loop.time():
            await asyncio.sleep(self._rests_until - loop.time())
            if self._contended_until > loop.time():
                self._held = None

    async def _work_off(self, batch: Sequence[_Asked], *, halved: bool = False) -> None:
        """Answer every request of a batch, claimed where it is granted; ``halved``: after the whole could not be."""
        # While all is granted, a read from a cache is enough to begin with: the write proves that it was fresh.
        fresh, recent = False, not self._refuses
        while batch := self._still_waited_for(batch):
            try:
                if self._held is None:
                    fresh = not recent
                    self._held = await self._read(recent=recent)
                    recent = False
                if self._held is None:
                    if not fresh:
                        continue
                    _settle_all(batch, Missing())
                    return
                account = self._all.account(self._held)
                answers = [self._all.decide(account, each.ask) for each in batch]
                self._refuses = not all(isinstance(answer, Granted) for answer in answers)
                if self._refuses and not fresh:
                    self._held, recent = None, False
                    continue
                if account.granted:
                    await self._write(account)
            except Conflict:
                self._held = None
                await self._wait_for_others()
                continue
            except ClusterError as error:
                self._held = None
                if _is_in_vain(error, alone=len(batch) == 1, halved=halved):
                    log.error("%s: %s", self._name, error)  # noqa: TRY400  # no bug of ours
                    _settle_all(batch, Again(f"{self._name} could not be read or written; the webhook's log says why"))
                    return
                await self._wait_for_server(error)
                if len(batch) > 1:  # perhaps one of them asks for what cannot be stored: it must not hold up others
                    await self._work_off(batch[: len(batch) // 2], halved=True)
                    await self._work_off(batch[len(batch) // 2 :], halved=True)
                    return
                continue
            for each, answer in zip(batch, answers, strict=True):
                each.settle(answer)
            return

    async def _read(self, *, recent: bool) -> Bizrq | None:
        try:
            return read_bizrq(await _in_time(self._all.store.read(self._name, recent=recent)))
        except NotFound:
            return None

    async def _write(self, account: Account) -> None:
        writes, loop = self._all.metrics.claims_writes, asyncio.get_running_loop()
        began = loop.time()
        try:
            changed = {**account.bizrq.raw, "status": account.status()}
            stored = await _in_time(self._all.store.replace_status(changed))
        except Conflict:
            writes.labels("conflict").inc()
            raise
        except ClusterError:
            # Perhaps it was stored and only the answer is lost. The same request again renews its claim [A4].
            writes.labels("failed").inc()
            raise
        writes.labels("stored").inc()
        self._all.metrics.claims_granted.inc(account.granted)
        self._held = read_bizrq(stored)
        self._pause = 0.0
        if account.granted > 1:
            share = min(1.0, account.granted / _FULL_REST)
            self._rests_until = loop.time() + min(_LONGEST_REST, _REST * share * (loop.time() - began))

    async def _wait_for_others(self) -> None:
        # Whoever was faster rests now, as we would.
        self._contended_until = asyncio.get_running_loop().time() + _CONTENDED_SECONDS
        if self._pause:
            await asyncio.sleep(random.uniform(0, self._pause))  # noqa: S311  # jitter, no secret
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)

    async def _wait_for_server(self, error: ClusterError) -> None:
        log.warning("%s: claims are tried again: %s", self._name, error)
        if isinstance(error, Invalid):
            return  # it did answer
        asked = error.retry_after if isinstance(error, Unavailable) else 0.0
        seconds = min(max(asked, _FAILED_SECONDS), _LONGEST_FAILED_SECONDS)
        await asyncio.sleep(seconds * random.uniform(0.75, 1.25))  # noqa: S311

    def _still_waited_for(self, batch: Sequence[_Asked]) -> list[_Asked]:
        now = asyncio.get_running_loop().time()
        waiting = []
        for each in batch:
            if each.answer.done():
                continue
            if each.deadline <= now:
                each.settle(Again(f"{self._name} could not be claimed in time: many ask, or the API server is slow"))
            else:
                waiting.append(each)
        return waiting


async def _in_time(request: Awaitable[JSON]) -> JSON:
    """The answer of a request, or ``Unavailable``: whether it was done is then unknown, as where an answer is lost."""
    try:
        async with asyncio.timeout(_STALL_SECONDS):
            return await request
    except TimeoutError as error:
        msg = f"no answer within {_STALL_SECONDS:.0f} s"
        raise Unavailable(msg) from error


def _is_in_vain(error: ClusterError, *, alone: bool, halved: bool) -> bool:
    """Whether to try no more: no right to, or it is the one request that could not be stored with the others either."""
    return isinstance(error, Denied) or (alone and (halved or isinstance(error, Invalid)))


def _settle_all(batch: Sequence[_Asked], answer: Answer) -> None:
    for each in batch:
        each.settle(answer)
