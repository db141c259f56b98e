"""Which controller works, and which stand by? [R4].

One Lease says who works, and carries the floor of the books. Correctness does not rest on it: two leaders at once do
all of the work twice, and nothing else. So a leader that loses the Lease goes on as a standby; it need not end.

Time is this process's own monotonic clock throughout. What others wrote into the Lease as times is never compared with
anything: somebody else's Lease is free once it has not changed for ``LEASE_SECONDS`` since it was first seen like that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError, Conflict, NotFound, Unavailable
from bizrq.cluster.leases import Lease, Leases
from bizrq.domain.floor import Floor

__all__ = ["LEASE_NAME", "LEASE_SECONDS", "Alone", "Elector", "Leadership", "new_identity"]

LEASE_NAME: Final = "bizrq-controller"
"""The chart gives a right on the Lease of this name."""

LEASE_SECONDS: Final = 15.0
"""A Lease that stands still for so long is free. That, and the two below, are what Kubernetes' own controllers use."""

_DEADLINE_SECONDS: Final = 10.0
"""A leader that could not renew for so long works no more: well before another may begin."""

_RENEW_SECONDS: Final = 2.0
"""Between two looks at the Lease, about."""

_JITTER: Final = 0.2
"""By which part of it that varies: two that began together shall not meet for ever."""

_REQUEST_SECONDS: Final = 4.0
"""A request that takes longer is given up: two of them fit into the deadline."""

_ATTEMPTS: Final = 3
"""Conflicts in a row at one look; the next look is soon."""

log = logging.getLogger(__name__)


class Leadership(Protocol):
    """Whether this process works."""

    @property
    def leading(self) -> bool:
        """Whether it is the one that works, at this very moment."""

    @property
    def floor(self) -> Floor | None:
        """The floor as it was stored or read last."""

    async def read(self) -> Floor | None:
        """The floor that is stored, to be known before the first list of pods [C5]; waits until there is an answer."""

    async def run(self) -> None:
        """Be elected, for ever."""

    async def release(self) -> None:
        """Let go, in the end, when nothing is written any more."""


class Alone:
    """No Lease: there is one controller, or each does all of the work."""

    leading = True
    floor = None

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed

    async def read(self) -> None:
        """There is no floor."""

    async def run(self) -> None:
        """Lead."""
        self._changed(True)

    async def release(self) -> None:
        """There is nothing to let go."""


class Elector:
    """Holds the Lease as often as it is free."""

    def __init__(
        self,
        leases: Leases,
        clock: Clock,
        *,
        identity: str,
        next_floor: Callable[[Floor | None], Floor | None],
        changed: Callable[[bool], None],
        failed: Callable[[], None],
    ) -> None:
        """``identity`` is this process and no other.

        ``next_floor`` gives the floor to be stored over the stored one; None leaves it. ``changed`` is told when this
        begins or ceases to lead, ``failed`` when a request for the Lease fails.
        """
        self._leases, self._clock, self._identity = leases, clock, identity
        self._next_floor, self._changed, self._failed = next_floor, changed, failed
        self._lease: Lease | None = None
        """As it is stored, by what this process knows; None where it must be read."""
        self._version = 0
        """The newest version seen, and when it was seen first."""
        self._since = math.inf
        self._until = -math.inf
        """How long this may lead."""
        self._told = False
        self._asked = False
        """Whether the Lease was ever asked for: then it may be ours, whatever was answered."""
        self._restored = False
        self.floor: Floor | None = None
        """The floor as it was stored or read last."""

    @property
    def leading(self) -> bool:
        """Whether this process works, at this very moment.

        A process that was stopped for a while sees at once that its time has passed.
        """
        return self._clock.monotonic() < self._until

    async def read(self) -> Floor | None:
        """The floor that is stored; waits until the API server answers."""
        while True:
            try:
                await self._read()
            except ClusterError as error:
                self._fail("could not be read", error)
                await asyncio.sleep(_RENEW_SECONDS)
            else:
                return self.floor

    async def run(self) -> None:
        """Get the Lease whenever it is free, and keep it, until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds until the next look; a Lease that stands still is looked at again the moment it is free."""
        pause = _RENEW_SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
        left = self._since + LEASE_SECONDS - self._clock.monotonic()
        return left if 0 < left < pause else pause

    async def turn(self) -> None:
        """One look at the Lease: get it, keep it, or stand by."""
        try:
            await self._get_or_keep()
        except ClusterError as error:
            self._fail("could not be read or renewed", error)
        self._tell()

    async def release(self) -> None:
        """Let go of the Lease if it is ours, with the last floor, so that another leads within seconds.

        Where that fails, another leads once the Lease has stood still for ``LEASE_SECONDS``.
        """
        self._until = -math.inf
        self._tell()
        try:
            for _ in range(_ATTEMPTS if self._asked else 0):
                lease = self._lease or await self._read()
                if lease.holder != self._identity:
                    return
                with contextlib.suppress(Conflict, NotFound):
                    await self._write(lease.let_go(self._clock.milliseconds(), self._floor_over(lease)))
                    return
        except ClusterError as error:
            self._fail("could not be let go", error)

    async def _get_or_keep(self) -> None:
        for _ in range(_ATTEMPTS):
            asked = self._clock.monotonic()
            lease = self._lease
            if lease is None or lease.holder != self._identity:
                lease = await self._read()
            if not self._is_free(lease, asked):
                self._until = -math.inf
                return
            asked = self._clock.monotonic()
            with contextlib.suppress(Conflict, NotFound):
                floor = self._floor_over(lease)
                at = self._clock.milliseconds()
                await self._write(lease.held_by(self._identity, at, seconds=LEASE_SECONDS, floor=floor))
                self._tell()  # that its time had passed meanwhile, if so: it begins anew then
                self._until = asked + _DEADLINE_SECONDS
                return

    def _is_free(self, lease: Lease, asked: float) -> bool:
        """Whether ``lease``, that was still stored at the moment ``asked`` or later, may be ours."""
        return lease.holder in {"", self._identity} or asked - self._since >= LEASE_SECONDS

    def _floor_over(self, lease: Lease) -> Floor | None:
        """The floor to be stored with the next version of ``lease``.

        Once etcd was restored, what this process knows of pods is of another history, and vouches for nothing.
        """
        return None if self._restored else self._next_floor(lease.floor)

    async def _read(self) -> Lease:
        try:
            async with _in_time():
                lease = await self._leases.read()
        except NotFound:
            lease = Lease.new()
        self._seen(lease)
        return lease

    async def _write(self, lease: Lease) -> None:
        """Store ``lease``. Raises ``Conflict`` or ``NotFound`` where another was faster, and ``Unavailable``."""
        self._asked = True
        self._lease = None  # until there is an answer, nobody knows what is stored
        async with _in_time():
            stored = await (self._leases.replace(lease) if lease.is_stored else self._leases.create(lease))
        self._seen(stored)

    def _seen(self, lease: Lease) -> None:
        self._lease, self.floor = lease, lease.floor
        if not lease.is_stored:
            return
        if lease.version < self._version:
            self._restored = True
            log.warning("the Lease went back to an older version: etcd was restored, it seems; its floor stays")
        if lease.version != self._version:
            self._version, self._since = lease.version, self._clock.monotonic()

    def _tell(self) -> None:
        leading = self.leading
        if leading != self._told:
            self._told = leading
            log.info("this controller %s: %s", "leads" if leading else "stands by", self._identity)
            self._changed(leading)

    def _fail(self, what: str, error: ClusterError) -> None:
        self._failed()
        log.warning("the Lease %s: %s", what, error)


def new_identity() -> str:
    """A name of this process that no other process has or had; it begins with the name of the pod or machine."""
    return f"{socket.gethostname()}_{secrets.token_hex(8)}"


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            yield
    except TimeoutError as error:
        msg = f"no answer within {_REQUEST_SECONDS:.0f} s"
        raise Unavailable(msg) from error
