"""One Lease in memory, with compare-and-swap.

It passes the same contract test as the API server (tests/support/lease_contract.py). Faults are asked for: a server
that is away, answers that get lost after the write, and somebody else who is faster.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bizrq.cluster.errors import Conflict, NotFound, Unavailable
from bizrq.cluster.leases import Lease

__all__ = ["CasLeases"]

JSON = dict[str, Any]


class CasLeases:
    """A Lease; every write makes a new version of one history."""

    def __init__(self) -> None:
        self.version = 100
        self.away = False
        """Whatever is asked raises ``Unavailable``."""
        self.lost_answers = 0
        """So many of the next writes are stored, and their answer is lost."""
        self.before_write: Callable[[], Awaitable[object]] | None = None
        """Called once, right before the next write is compared: somebody else is faster."""
        self.asked = 0
        self.history: list[Lease] = []
        """Every version that was stored."""
        self._raw: JSON | None = None

    @property
    def stored(self) -> Lease:
        """The newest version."""
        assert self._raw is not None
        return Lease(copy.deepcopy(self._raw))

    async def put(self, **changes: Any) -> None:
        """Somebody with all rights changes the metadata or the spec; a change of None takes a field out."""
        raw = self.stored.raw
        self._store({**raw, **{part: {**raw[part], **fields} for part, fields in changes.items()}})

    def restore(self, lease: Lease) -> None:
        """Etcd is restored from a backup: an old version is the newest one again."""
        self._raw, self.version = copy.deepcopy(dict(lease.raw)), lease.version

    async def delete(self) -> None:
        """Remove it."""
        self.version += 1
        self._raw = None

    # --- what bizrq.cluster.leases.Leases is ---

    async def read(self) -> Lease:
        """The newest version."""
        await self._ask()
        if self._raw is None:
            raise NotFound("no Lease")
        return self.stored

    async def create(self, lease: Lease) -> Lease:
        """Store the first version."""
        await self._ask()
        await self._meanwhile()
        if self._raw is not None:
            raise Conflict("there is one")
        return self._answer({**lease.raw, "metadata": {**lease.raw["metadata"], "uid": f"uid-{self.version}"}})

    async def replace(self, lease: Lease) -> Lease:
        """Write over the very version that ``lease`` was made of."""
        await self._ask()
        await self._meanwhile()
        if self._raw is None:
            raise Conflict("no Lease of this UID")
        known, ours = self._raw["metadata"], lease.raw["metadata"]
        if (ours["uid"], ours["resourceVersion"]) != (known["uid"], known["resourceVersion"]):
            raise Conflict("another version")
        return self._answer(lease.raw)

    async def _ask(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)  # as long as it takes for others to come
        if self.away:
            raise Unavailable("no API server")

    async def _meanwhile(self) -> None:
        if self.before_write is not None:
            hook, self.before_write = self.before_write, None
            await hook()

    def _answer(self, raw: Mapping[str, Any]) -> Lease:
        self._store(raw)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the answer was lost")
        return self.stored

    def _store(self, raw: Mapping[str, Any]) -> None:
        self.version += 1
        self._raw = copy.deepcopy(dict(raw))
        self._raw["metadata"] |= {"resourceVersion": str(self.version)}
        self.history.append(self.stored)
