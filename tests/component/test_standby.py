"""[R4] a standby watches and writes nothing; once it leads it is as good as any other."""

import asyncio

import pytest

from bizrq.controller import resync
from bizrq.controller.resync import Resync
from tests.component.test_resync import Lists
from tests.support.build import workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller, running, started, team, until


@pytest.fixture
def store():
    store = CasStore()
    store.put(team())
    return store


@pytest.fixture
def standby(store, clock):
    controller = started(store, clock)
    controller.leading = False
    return controller


async def test_a_standby_works_off_no_wakes(store, standby):
    before = store.version
    task = await running(standby)
    standby.workload(workload(template=ONE_CORE))
    await until(lambda: not standby.sync._due and not standby.sync._busy)
    assert (store.version, standby.reads.reads, standby.lists) == (before, 0, 0)
    task.cancel()
    await asyncio.wait([task])


async def test_what_was_let_go_is_written_once_it_leads(store, standby):
    standby.workload(workload(template=ONE_CORE))
    await standby.write("team")
    standby.leading = True
    assert (await standby.write("team", always=False))["used"]["limits.cpu"] == "1"


async def test_the_resync_of_a_standby_corrects_its_view_and_writes_nothing(store, standby, clock, monkeypatch):
    """[R2] A warm standby's view is as right as the leader's."""
    monkeypatch.setattr(resync, "_DELIVERY_SECONDS", 0.0)
    lists = Lists(store)
    made = Resync(lists, standby.inventory, standby.sync, clock, standby.metrics, seconds=300)  # type: ignore[arg-type]
    standby.workload(workload(template=ONE_CORE, version=5))
    before = store.version
    await made.once()
    assert store.version == before
    assert len(standby.inventory.workloads) == 0


async def test_a_standby_keeps_nothing_of_workloads_that_another_controller_charges(store, standby, clock):
    """[P5] What it charged them stands in no status any more, and a standby may stand by for months."""
    leader = Controller(store, clock)
    leader.start([], 50)
    leader.see("team")
    for number in range(5):
        raw = workload(f"w{number}", template=ONE_CORE, version=60 + number)
        for each in (leader, standby):
            each.workload(raw)
            each.workload_deleted(raw, 70 + number)
        await leader.write("team")
        standby.see("team")
        await standby.write("team")
    assert standby.inventory.workloads.take_before("team") == {}


async def test_a_leader_that_stands_by_for_a_moment_remembers_what_it_charged(store, standby):
    """[P5] No other wrote meanwhile: its own write is still the last one."""
    standby.leading = True
    raw = workload(template=ONE_CORE, version=60)
    standby.workload(raw)
    await standby.write("team")
    standby.leading = False
    standby.workload_deleted(raw, 70)
    await standby.write("team")
    assert list(standby.inventory.workloads.take_before("team")) == [raw["metadata"]["uid"]]


async def test_a_deleted_bizrq_waits_for_the_leader(store, standby):
    """[T7] No hours are moved and no finalizer is taken off by a standby."""
    standby.leading = True
    await standby.write("team")
    standby.leading = False
    await store.delete("team")
    standby.see("team")
    before = store.version
    await standby.write("team")
    assert store.version == before
    standby.leading = True
    await standby.sync.refresh("team")
    assert store.names() == []
