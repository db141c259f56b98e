"""A store in memory that fails on demand, holds its answers back, and counts what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from bizrq.cluster.errors import Unavailable
from bizrq.domain.claims import Claim, parse_claim
from tests.support.cas_store import CasStore

__all__ = ["FaultyStore"]

JSON = dict[str, Any]


class FaultyStore(CasStore):
    """A store that fails on demand, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        """Whatever is asked raises ``Unavailable``."""
        self.read_errors: list[Exception] = []
        """Raised by the next reads, one each."""
        self.write_errors: list[Exception] = []
        """Raised by the next writes of a status, before anything is stored."""
        self.free = asyncio.Event()
        """Reads and writes go on while it is set."""
        self.free.set()
        self.asked = 0
        self.read_count = 0
        self.at_once = 0
        """Writes of a status on their way."""
        self.most_at_once = 0
        self.steps: list[str] = []
        """Every write that was tried: ``status team``, ``finalizers team``."""
        self.faults: dict[int, str] = {}
        """What happens at a write of this number, from 0: it ``fails``, its answer is ``lost``, or it ``conflicts``."""

    def ask(self) -> None:
        """Count a request, and fail where the store is away."""
        self.asked += 1
        if self.away:
            raise Unavailable("no API server")

    async def read(self, name: str, *, recent: bool = False) -> JSON:
        """The newest object."""
        self.ask()
        self.read_count += 1
        if self.read_errors:
            raise self.read_errors.pop(0)
        raw = await super().read(name, recent=recent)
        await asyncio.sleep(0)
        await self.free.wait()
        return raw

    async def replace_status(self, raw: Mapping[str, Any]) -> JSON:
        """Write the status of ``raw`` over the very version that ``raw`` is."""
        self.ask()
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0)  # as long as it takes for others to come
            await self.free.wait()
            if self.write_errors:
                raise self.write_errors.pop(0)
            return await self._step("status", raw, super().replace_status(raw))
        finally:
            self.at_once -= 1

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> JSON:
        """Replace the finalizers over the very version that ``raw`` is."""
        self.ask()
        return await self._step("finalizers", raw, super().set_finalizers(raw, finalizers))

    async def _step(self, what: str, raw: Mapping[str, Any], write: Coroutine[Any, Any, JSON]) -> JSON:
        name = raw["metadata"]["name"]
        fault = self.faults.pop(len(self.steps), "")
        self.steps.append(f"{what} {name}")
        if fault == "fails":
            write.close()
            raise Unavailable("nothing was written")
        if fault == "conflicts" and name in self.names():
            self.put(self.raw(name))  # somebody else is faster
        stored = await write
        if fault == "lost":
            raise Unavailable("the answer was lost")
        return stored

    def claims(self, name: str) -> list[Claim]:
        """The open claims of a bizrq."""
        return [parse_claim(line) for line in self.status(name).get("claims") or ()]
