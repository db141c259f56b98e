"""How wakes are gathered, and what the end of the process does to writes on their way [R1]."""

import asyncio

import pytest

from tests.support.build import bizrq, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller, running, started, team, until


@pytest.fixture
def store():
    store = CasStore()
    store.put(team())
    return store


async def test_a_burst_of_events_is_one_write(store, clock):
    """[R1] bursts are gathered."""
    controller = Controller(store, clock, gather=0.1)
    controller.start([], 50)
    controller.see("team")
    task = await running(controller)
    for number in range(200):
        controller.workload(workload(f"w{number}", template=ONE_CORE))
    await until(lambda: store.status("team").get("used", {}).get("limits.cpu") == "200")
    assert store.writes == 1
    task.cancel()
    await asyncio.wait([task])


async def test_a_bizrq_that_cannot_be_counted_does_not_stop_the_others(store, clock, caplog):
    controller = Controller(store, clock)
    store.put(bizrq("other", hard={"limits.cpu": "4"}))
    controller.start([], 50)
    controller.see("team", "other")
    broken = controller.inventory.bizrqs.get("team")
    object.__setattr__(broken, "hard", None)
    task = await running(controller)
    controller.sync.wake("team")
    controller.workload(workload(bizrq="other", template=ONE_CORE))
    await until(lambda: store.status("other").get("used") == {"limits.cpu": "1"})
    assert "team: its status could not be counted" in caplog.text
    task.cancel()
    await asyncio.wait([task])


async def test_a_failed_write_is_tried_again(store, clock):
    controller = started(store, clock)
    store.refused_writes = 1
    task = await running(controller)
    controller.workload(workload(template=ONE_CORE))
    await until(lambda: store.status("team").get("used", {}).get("limits.cpu") == "1")
    task.cancel()
    await asyncio.wait([task])


async def test_a_bizrq_that_could_not_be_written_waits_as_long_as_it_was_to_wait_whatever_happens(store, clock):
    """Events without end must not have an API server asked in a hot loop that cannot answer."""
    controller = started(store, clock)
    store.refused_writes = 4
    for _ in range(4):
        await controller.sync._look_at("team")
    due = controller.sync._due["team"]
    assert due - asyncio.get_running_loop().time() > 0.7
    controller.inventory._wake = controller.sync.wake
    for number in range(20):
        controller.workload(workload(f"w{number}", template=ONE_CORE))
    assert controller.sync._due["team"] == due
    controller.sync.wake("other")
    assert "other" in controller.sync._due, "nobody else waits for it"


async def test_an_event_during_a_write_that_fails_does_not_shorten_the_wait(store, clock):
    controller = started(store, clock)
    store.refused_writes = 4
    write = store.replace_status

    async def woken_meanwhile(raw):
        controller.sync.wake("team")
        return await write(raw)

    store.replace_status = woken_meanwhile
    for _ in range(4):
        controller.sync._due.clear()
        await controller.sync._look_at("team")
    assert controller.sync._due["team"] - asyncio.get_running_loop().time() > 5.0


async def test_once_it_was_written_events_wake_it_as_ever(store, clock):
    controller = started(store, clock)
    store.refused_writes = 1
    for _ in range(2):
        await controller.sync._look_at("team")
    assert store.writes == 1
    controller.sync._due.clear()
    controller.sync._wake_in("team", 60.0)  # as for a claim that is to be looked for
    controller.sync.wake("team")
    assert controller.sync._due["team"] - asyncio.get_running_loop().time() < 0.5


async def test_an_end_finishes_the_writes_on_their_way(store, clock):
    controller = started(store, clock)
    task = await running(controller)
    begun, go_on = asyncio.Event(), asyncio.Event()
    write = store.replace_status

    async def slow(raw):
        begun.set()
        await go_on.wait()
        return await write(raw)

    store.replace_status = slow
    controller.workload(workload(template=ONE_CORE))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait([task])
    assert store.writes == 1
