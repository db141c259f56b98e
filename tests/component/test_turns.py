"""[C8, C9] what comes by time alone is written in time: the controller wakes for it, and for nothing else."""

import asyncio

import pytest

from bizrq.domain.times import timestamp
from tests.support.build import NOW, bizrq
from tests.support.cas_store import CasStore
from tests.support.controller import Controller, job, job_pod, until
from tests.support.loop import Loop

SECOND = 1000
"""Milli-cores x seconds of one core in a second."""


@pytest.fixture
def store():
    return CasStore()


def began(store, clock, *raws, pods, workloads):
    for raw in raws:
        store.put(raw)
    controller = Controller(store, clock)
    controller.start(pods, 90, workloads=workloads)
    controller.see(*store.names())
    return Loop(controller)


def exhausted(store, name="team"):
    (found,) = [each for each in store.status(name)["conditions"] if each["type"] == "CashExhausted"]
    return found["status"], found["lastTransitionTime"]


def group(name="team", hours="1", **fields):
    return bizrq(name, hard={"cash/limits.cpu": hours}, created=NOW - 60, **fields)


def cores(count, team="team"):
    """So many pods of one core that run from now on, and their workload."""
    name = f"job-{team}"
    pods = [job_pod(f"{team}-{n}", of=name, scheduled=NOW, created=NOW, version=60 + n) for n in range(count)]
    return pods, job(name, bizrq=team)


async def test_cash_exhausted_turns_true_at_the_very_second(store, clock):
    """[C8] 10 cores on a budget of an hour: 360 s, and nothing happens meanwhile."""
    pods, workload = cores(10)
    loop = began(store, clock, group(), pods=pods, workloads=[workload])
    await loop.look("team")
    writes = store.writes
    await loop.pass_time(NOW + 359)
    assert exhausted(store) == ("False", timestamp(NOW))
    assert store.writes == writes, "time alone is no reason to write"
    await loop.pass_time(NOW + 361)
    assert exhausted(store) == ("True", timestamp(NOW + 360))


async def test_beyond_the_horizon_as_well(store, clock):
    """[C8] one core: an hour."""
    pods, workload = cores(1)
    loop = began(store, clock, group(), pods=pods, workloads=[workload])
    await loop.look("team")
    await loop.pass_time(NOW + 4000)
    assert exhausted(store) == ("True", timestamp(NOW + 3600))


async def test_an_hour_that_is_spent_shortly_before_the_period_ends_is_told(store, clock):
    """[C8, C9] and at the edge there is a new one."""
    pods, workload = cores(10)
    week = {"start": timestamp(NOW - 60), "end": timestamp(NOW + 400), "every": "Day", "timeZone": "UTC"}
    raw = group(reconciled=NOW - 1, cash={"period": week, "ledger": {}, "seen": f"90 {timestamp(NOW - 1)}"})
    raw["spec"]["cashPeriod"] = {"every": "Day", "timeZone": "UTC"}
    loop = began(store, clock, raw, pods=pods, workloads=[workload])
    await loop.look("team")
    await loop.pass_time(NOW + 399)
    assert exhausted(store) == ("True", timestamp(NOW + 360))
    await loop.pass_time(NOW + 420)
    assert exhausted(store) == ("False", timestamp(NOW + 400))
    cash = store.status("team")["cash"]
    assert cash["period"]["start"] == timestamp(NOW + 400)
    assert cash["previous"]["ledger"] == {"limits.cpu": str(10 * 400 * SECOND)}
    assert cash["ledger"] == {"limits.cpu": "0"}, "written at the edge itself"


async def test_a_pod_past_its_cut_costs_no_more_however_many_quiet_looks_lie_between(store, clock):
    """[C4, C8] a quiet bizrq remembers up to when it is quiet."""
    pods, workload = cores(2)
    pods[1] = job_pod("team-1", of="job-team", scheduled=NOW, created=NOW, version=61, deletion=NOW + 100, grace=50)
    loop = began(store, clock, group(hours="100"), pods=pods, workloads=[workload])
    for second in (0, 30, 60, 90):
        clock.time = NOW + second
        await loop.controller.write("team")
    await loop.look("team")
    await loop.pass_time(NOW + 200)
    cash = store.status("team")["cash"]
    assert cash["rate"] == {"limits.cpu": "1"}, "written when the rate changed"
    assert cash["ledger"] == {"limits.cpu": str((150 + 150) * SECOND)}
    status = await loop.controller.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": str((200 + 150) * SECOND)}


async def test_a_child_that_overruns_exhausts_its_parent_without_any_event(store, clock):
    """[C8, T6] the child takes what it was granted first, then more."""
    pods, workload = cores(10, "kid")
    loop = began(
        store, clock, group("top", hours="2"), group("kid", parent="top"), pods=pods, workloads=[workload]
    )  # fmt: skip
    for name in ("kid", "top"):
        await loop.look(name)
    await loop.pass_time(NOW + 719)
    assert exhausted(store, "kid") == ("True", timestamp(NOW + 360))
    assert exhausted(store, "top")[0] == "False"
    await loop.pass_time(NOW + 722)
    assert exhausted(store, "top") == ("True", timestamp(NOW + 720))


async def test_the_real_loop_wakes_by_itself(store, clock):
    """[C8] no event, no resync."""
    pods, workload = cores(10)
    loop = began(store, clock, group(hours="10m"), pods=pods, workloads=[workload])
    del loop.controller.sync._wake_in
    running = asyncio.create_task(loop.controller.sync.run())
    try:
        loop.controller.sync.wake("team")
        await until(lambda: store.writes == 1)
        assert exhausted(store)[0] == "False"
        clock.time = NOW + 4  # 3.6 s of ten cores; the loop wakes by its own clock
        await until(lambda: exhausted(store)[0] == "True", seconds=20)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
