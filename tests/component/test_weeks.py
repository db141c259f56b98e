"""Weeks of 167 and 169 hours, kept by a whole controller: pods across each edge, and ends corrected behind it [C9]."""

import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.cas_store import CasStore
from tests.support.clocks import HandClock
from tests.support.controller import Controller, job, job_pod, team

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600


def monday(year, month, day):
    return int(datetime.datetime(year, month, day, tzinfo=BERLIN).timestamp())


SHORT = pytest.param(monday(2026, 3, 23), monday(2026, 3, 30), 167, id="the clocks go forward")
LONG = pytest.param(monday(2026, 10, 19), monday(2026, 10, 26), 169, id="the clocks go back")


def ledgers(status):
    """Core-seconds by period: the one that runs, and the one before."""
    cash = status["cash"]
    previous = cash.get("previous", {"ledger": {}})
    return tuple(int(each.get("limits.cpu", "0")) // 1000 for each in (cash["ledger"], previous["ledger"]))


def by_the_week(created):
    group = team()
    group["metadata"]["creationTimestamp"] = datetime.datetime.fromtimestamp(created, datetime.UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    group["spec"]["cashPeriod"] = {"every": "Week", "timeZone": "Europe/Berlin"}
    return group


@pytest.mark.parametrize(("start", "end", "hours"), [SHORT, LONG])
async def test_a_pod_across_an_edge_is_charged_to_each_week_for_its_own_part(start, end, hours):
    """[C9] all of a week for one that runs all the time, and corrections go to the week that they belong to."""
    assert end - start == hours * HOUR
    clock = HandClock()
    clock.time = start - 2 * HOUR
    store = CasStore()
    store.put(by_the_week(start - 100 * HOUR))
    controller = Controller(store, clock)
    controller.start([], 50, workloads=[job()])
    controller.see("team")
    await controller.write("team")
    controller.pod(job_pod("all", created=start - HOUR, scheduled=start - HOUR, version=60))
    clock.time = start + HOUR
    assert ledgers(await controller.write("team")) == (HOUR, HOUR)
    late = {"created": end - 2 * HOUR, "scheduled": end - 2 * HOUR}
    controller.pod(job_pod("late", **late, version=61))
    clock.time = end
    status = await controller.write("team")
    assert ledgers(status) == (0, (hours + 2) * HOUR)
    assert [int(each["ledger"]["limits.cpu"]) for each in status["cash"]["history"][-1:]] == [HOUR * 1000]
    clock.time = end + HOUR
    assert ledgers(await controller.write("team")) == (2 * HOUR, (hours + 2) * HOUR)
    # It had ended an hour before the edge, and only now its node tells.
    controller.pod(job_pod("late", **late, finished=[end - HOUR], phase="Succeeded", version=62))
    assert ledgers(await controller.write("team")) == (HOUR, (hours + 1) * HOUR)
    controller.pod_deleted(job_pod("late", **late, finished=[end - HOUR], phase="Succeeded", version=63))
    assert ledgers(await controller.write("team")) == (HOUR, (hours + 1) * HOUR)


@pytest.mark.parametrize(("start", "end", "hours"), [SHORT, LONG])
async def test_a_controller_that_was_down_over_an_edge_books_both_weeks(start, end, hours):
    """[C9, C5] with the pod that went meanwhile, by replay."""
    clock = HandClock()
    clock.time = start + HOUR
    store = CasStore()
    store.put(by_the_week(start))
    old = Controller(store, clock)
    old.start([], 50, workloads=[job()])
    old.see("team")
    pods = [job_pod(name, created=start, scheduled=start, version=60 + at) for at, name in enumerate("ab")]
    for each in pods:
        old.pod(each)
    await old.write("team")
    clock.time = end + HOUR
    new = Controller(store, clock)
    new.see("team")
    new.workload(job())
    sink = new.inventory.pods
    since = new.inventory.replay_from()
    assert since is not None
    sink.replay_began(since)
    new.pod_deleted(job_pod("b", created=start, scheduled=start, finished=[end - HOUR], phase="Succeeded", version=70))
    new.pods_listed(pods[:1], 80)
    sink.passed(80, clock.now())
    sink.replay_ended()
    assert ledgers(await new.write("team")) == (HOUR, (2 * hours - 1) * HOUR)
