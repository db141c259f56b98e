"""The controller process writes nothing before it has listed everything [R4]."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bizrq.controller.feed import Listing
from bizrq.controller.run import Controller


class Steps:
    """Takes the place of the parts of a process, and notes which of them begin, in which order."""

    def __init__(self):
        self.taken = []
        self.may_go_on = asyncio.Event()

    def part(self, name):
        synced = asyncio.Event()

        async def run():
            self.taken.append(name)
            await self.may_go_on.wait()
            synced.set()

        return SimpleNamespace(run=run, synced=synced, looked=synced)

    async def read_floor(self):
        self.taken.append("lease")
        return "vouched"

    async def owners(self):
        self.taken.append("owners")

    async def list_all(self):
        self.taken.append("lists")
        await self.may_go_on.wait()
        return Listing([], 1, [])


@pytest.fixture
def steps():
    return Steps()


async def until_idle():
    for _ in range(20):
        await asyncio.sleep(0)


async def begun(steps):
    """A process that has begun, as far as it comes while every part of it waits."""
    process = object.__new__(Controller)
    process.__dict__ |= {
        "_runtime_classes": steps.part("runtimeclasses"),
        "_feed": SimpleNamespace(list_all=steps.list_all, arrivals=steps.part("arrivals")),
        "_between": {"replicasets.apps": steps.part("replicasets")},
        "_definitions": steps.part("definitions"),
        "_appearance": steps.part("appearance"),
        "_pods": steps.part("pods"),
        "_sync": SimpleNamespace(run=steps.part("writes").run, trust=lambda _: steps.taken.append("taken over")),
        "_gone_owners": SimpleNamespace(begin=steps.owners, run=steps.part("gone owners").run),
        "_kopf": steps.part("events"),
        "_resync": steps.part("resync"),
        "_announcer": steps.part("announcer"),
        "_certificates": steps.part("certificates"),
        "_enforcement": steps.part("enforcement"),
        "_leadership": SimpleNamespace(read=steps.read_floor, run=steps.part("leadership").run),
        "_inventory": SimpleNamespace(
            bizrqs_listed=lambda *_: None,
            bizrqs=(),
            workloads=(),
            pods=(),
            workloads_listed=None,
            vouch=steps.taken.append,
            pods_known=lambda: steps.taken.append("pods known"),
        ),
    }
    task = asyncio.create_task(process._work())
    await until_idle()
    return task


async def test_no_write_before_the_first_list_of_every_kind(steps):
    """Lease, RuntimeClasses, lists, ReplicaSets, pods; each taken over before the next begins, all before any write.

    [C5] The floor is known before the replay, which begins at it; and pods before the statuses and the next floor.
    """
    task = await begun(steps)
    known = ["lease", "vouched", "runtimeclasses", "lists", "taken over", "arrivals", "replicasets", "pods"]
    for begun_so_far in (3, 4, 7, 8):
        assert steps.taken == known[:begun_so_far]
        steps.may_go_on.set()
        steps.may_go_on = asyncio.Event()
        await until_idle()
    assert steps.taken[:10] == [*known, "owners", "pods known"]
    assert set(steps.taken[10:]) == {
        "writes", "leadership", "resync", "gone owners", "definitions", "appearance", "enforcement", "announcer",
        "certificates",
    }  # fmt: skip
    steps.may_go_on.set()
    await until_idle()
    assert steps.taken[-1] == "events", "of what kopf does not find somebody else will tell"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
