"""What every keeper of a Lease must do, the API server as well as the one in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from bizrq.cluster.errors import Conflict, NotFound
from bizrq.cluster.leases import Lease, Leases
from bizrq.domain.floor import Floor
from tests.support.build import NOW

__all__ = ["LEASE_CONTRACT", "LeaseAdmin"]

FLOOR = Floor(81723, NOW - 60)


class LeaseAdmin(Protocol):
    """Somebody who may do everything, beside the keeper under test."""

    async def delete(self) -> None:
        """Remove the Lease."""


def held(lease: Lease, holder: str, floor: Floor | None = FLOOR) -> Lease:
    """What ``holder`` writes."""
    return lease.held_by(holder, NOW * 1000 + 7, seconds=15, floor=floor)


async def what_is_not_there_is_not_found(leases: Leases, _: LeaseAdmin) -> None:
    with pytest.raises(NotFound):
        await leases.read()


async def a_lease_is_created_once(leases: Leases, _: LeaseAdmin) -> None:
    stored = await leases.create(held(Lease.new(), "a"))
    assert stored.is_stored
    assert (stored.holder, stored.transitions, stored.floor) == ("a", 0, FLOOR)
    assert stored.raw["spec"]["leaseDurationSeconds"] == 15
    assert stored.raw["spec"]["renewTime"] == "2026-01-05T10:00:00.007000Z"
    with pytest.raises(Conflict):
        await leases.create(held(Lease.new(), "b"))
    assert await leases.read() == stored


async def it_is_written_over_the_version_that_was_read(leases: Leases, _: LeaseAdmin) -> None:
    await leases.create(held(Lease.new(), "a"))
    read = await leases.read()
    stored = await leases.replace(held(read, "b", Floor(81800, NOW)))
    assert stored.version > read.version
    assert (stored.holder, stored.transitions, stored.floor) == ("b", 1, Floor(81800, NOW))
    assert await leases.read() == stored


async def whoever_read_before_another_write_conflicts(leases: Leases, _: LeaseAdmin) -> None:
    read = await leases.create(held(Lease.new(), "a"))
    stored = await leases.replace(held(read, "a", Floor(81800, NOW)))
    with pytest.raises(Conflict):
        await leases.replace(held(read, "b"))
    assert await leases.read() == stored


async def it_is_let_go_and_keeps_its_floor(leases: Leases, _: LeaseAdmin) -> None:
    read = await leases.create(held(Lease.new(), "a"))
    stored = await leases.replace(read.let_go(NOW * 1000, None))
    assert (stored.holder, stored.transitions, stored.floor) == ("", 0, FLOOR)
    assert (await leases.replace(held(stored, "b", None))).transitions == 1


async def a_lease_made_anew_conflicts(leases: Leases, admin: LeaseAdmin) -> None:
    read = await leases.create(held(Lease.new(), "a"))
    await admin.delete()
    with pytest.raises((Conflict, NotFound)):
        await leases.replace(held(read, "a"))
    await leases.create(held(Lease.new(), "b"))
    with pytest.raises(Conflict):
        await leases.replace(held(read, "a"))


LEASE_CONTRACT: list[Callable[[Leases, LeaseAdmin], Awaitable[None]]] = [
    what_is_not_there_is_not_found,
    a_lease_is_created_once,
    it_is_written_over_the_version_that_was_read,
    whoever_read_before_another_write_conflicts,
    it_is_let_go_and_keeps_its_floor,
    a_lease_made_anew_conflicts,
]
