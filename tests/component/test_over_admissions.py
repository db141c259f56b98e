"""Over-admission is counted and logged once, wherever it comes from; and what is none is not."""

import logging

import pytest

from bizrq.domain.bizrq import read_bizrq
from tests.support.build import bizrq, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller, job, job_pod, started
from tests.support.quotas import counted, line

CPU = "limits.cpu"
HARD = {CPU: "4", "cash/limits.cpu": "100"}


@pytest.fixture
async def controller(clock):
    store = CasStore()
    store.put(counted(HARD))
    return started(store, clock)


def web(replicas, version, name="web"):
    return workload(name, replicas=replicas, template=ONE_CORE, version=version)


def over(controller, name="team"):
    return controller.metrics.bizrqs.over[name, CPU]


def edited(controller, name="team", *, hard=None, used=None, **status):
    """Somebody stores another spec.hard, or another status, and the watch tells it."""
    raw = controller.store.raw(name)
    spec = {**raw["spec"], "hard": {**raw["spec"]["hard"], **(hard or {})}}
    of = raw["status"]
    controller.store.put({**raw, "spec": spec, "status": {**of, **status, "used": {**of["used"], **(used or {})}}})
    controller.see(name)


async def test_what_nobody_was_asked_for_is_counted_once_and_told_with_both_values(controller, caplog):
    """Admission was off, or in mode warn: nothing was claimed."""
    controller.workload(web(3, 60))
    await controller.write("team")
    assert over(controller) == 0
    controller.workload(web(5, 61))
    with caplog.at_level(logging.ERROR):
        await controller.write("team")
        await controller.write("team")
    assert over(controller) == 1
    (told,) = (each.getMessage() for each in caplog.records)
    assert told == (
        "team: used of limits.cpu rose from 3 to 5, above hard, which allows 4: the webhook was not asked, or let in "
        "what does not fit"
    )
    controller.workload(web(6, 62))
    await controller.write("team")
    assert over(controller) == 2


async def test_what_a_webhook_grants_above_hard_is_found(controller):
    """A wrong answer: the claim is in used before the controller counts."""
    await controller.write("team")
    raised = line("uid-web", 0, demand={CPU: "6"}, raised={CPU: "6"})
    edited(controller, used={CPU: "6"}, claims=[raised])
    await controller.write("team", always=False)
    assert over(controller) == 1


async def test_it_is_found_where_the_status_says_it_already_and_is_not_written_anew(controller):
    """More was used before, so no condition changes either."""
    controller.workload(web(5, 60))
    await controller.write("team")
    assert over(controller) == 1
    before = controller.store.status("team")
    self_used, raised = {**before["selfUsed"], CPU: "7"}, line("uid-b", 0, demand={CPU: "2"}, raised={CPU: "2"})
    edited(
        controller, used={CPU: "7"}, selfUsed=self_used, claims=[raised], summary={**before["summary"], "cpu": "7/4"}
    )
    await controller.write("team", always=False)
    assert controller.store.status("team")["writer"] == before["writer"]
    assert over(controller) == 2


async def test_what_was_let_in_while_no_controller_ran_is_found_by_the_next(controller, clock):
    await controller.write("team")
    later = Controller(controller.store, clock)
    later.start([], 60, workloads=[web(5, 58)])
    later.see("team")
    await later.write("team")
    assert over(later) == 1


async def test_what_another_controller_has_counted_since_is_its_own_to_tell(controller, clock):
    """This one led before, and leads again: it compares with what it reads, and not with what it remembers."""
    controller.workload(web(3, 60))
    await controller.write("team")
    other = Controller(controller.store, clock)
    other.start([], 60, workloads=[web(5, 61)])
    other.see("team")
    await other.write("team")
    controller.workload(web(5, 61))
    controller.see("team")
    await controller.write("team")
    assert (over(other), over(controller)) == (1, 0)


async def test_a_first_count_after_a_restart_that_finds_what_the_status_says_is_none(controller, clock):
    """More is used than hard allows since long ago [T5]."""
    controller.workload(web(4, 60))
    await controller.write("team")
    edited(controller, hard={CPU: "2"})
    await controller.write("team")
    later = Controller(controller.store, clock)
    later.start([], 60, workloads=[web(4, 60)])
    later.see("team")
    await later.write("team")
    assert (over(controller), over(later)) == (0, 0)
    assert controller.store.status("team")["used"][CPU] == "4"


async def test_a_hard_that_is_lowered_is_none_and_growth_behind_it_is(controller):
    """[T5]"""
    controller.workload(web(3, 60))
    await controller.write("team")
    edited(controller, hard={CPU: "2"})
    await controller.write("team")
    assert over(controller) == 0
    controller.workload(web(4, 61))
    await controller.write("team")
    assert over(controller) == 1


async def test_a_key_that_is_newly_limited_is_none(controller):
    """[T5, K5]"""
    controller.workload(web(3, 60))
    await controller.write("team")
    edited(controller, hard={"limits.memory": "1Gi"})
    await controller.write("team")
    assert controller.store.status("team")["used"]["limits.memory"] == "3Gi"
    assert sum(controller.metrics.bizrqs.over.values()) == 0


async def test_what_is_kept_for_pods_that_outlive_their_demand_is_none(controller):
    """[P5] a leftover, while hard is lowered around it."""
    controller.workload(job())
    controller.pod(job_pod("job-1", version=60))
    await controller.write("team")
    edited(controller, hard={CPU: "0"})
    await controller.write("team")
    controller.workload_deleted(job(), 70)
    await controller.write("team")
    assert controller.store.status("team")["used"][CPU] == "1"
    assert over(controller) == 0


async def test_a_figure_that_somebody_lowered_is_drift_and_what_is_let_in_by_it_is_found(controller):
    """[R2] it is not taken for what was used."""
    controller.workload(web(4, 60))
    await controller.write("team")
    edited(controller, used={CPU: "1"})
    await controller.write("team")
    assert (controller.store.status("team")["used"][CPU], over(controller)) == ("4", 0)
    edited(controller, used={CPU: "1"})
    controller.workload(web(6, 61))
    await controller.write("team")
    assert over(controller) == 1


# --- children --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def family(clock):
    """A parent that is used up by its child, which does not limit memory yet."""
    store = CasStore()
    store.put(counted({CPU: "4"}, name="dept", used={CPU: "4"}, self_used={CPU: "0"}))
    store.put(counted({CPU: "4"}, parent="dept"))
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see("dept", "team")
    for name in ("team", "dept"):
        await controller.write(name)
    return controller


async def test_what_a_child_goes_on_taking_is_none(family):
    """[T3] its hard is lowered below its use, and raised again within it."""
    family.workload(web(4, 60))
    for hard in ("4", "1", "3"):
        edited(family, hard={CPU: hard})
        for name in ("team", "dept"):
            await family.write(name)
    assert family.store.status("dept")["used"][CPU] == "4"
    assert (over(family), over(family, "dept")) == (0, 0)


async def test_a_child_that_was_let_in_too_far_is_so_for_its_parent_too(family):
    """[T6] what it takes is the larger of its hard and its use."""
    family.workload(web(5, 60))
    for name in ("team", "dept"):
        await family.write(name)
    assert (over(family), over(family, "dept")) == (1, 1)


async def test_what_a_child_is_found_to_use_of_a_key_that_is_new_to_it_is_none_for_all_above(clock):
    """[T5] a parent may gain the key before its child was counted on it; the rise comes once."""
    store = CasStore()
    for name, parent in (("acme", None), ("dept", "acme"), ("team", "dept")):
        store.put(counted({"pods": "9"}, name=name, parent=parent))
    family = Controller(store, clock)
    family.start([], 50, workloads=[web(6, 40)])
    family.see("acme", "dept", "team")
    names = ("team", "dept", "acme")
    for name in names:
        await family.write(name)
        edited(family, name, hard={CPU: "4"})
    for name in reversed(names):
        await family.write(name)
    assert store.status("acme")["used"][CPU] == "4"
    for name in ("dept", "acme"):
        await family.write(name)
    assert store.status("acme")["used"][CPU] == "6"
    assert sum(family.metrics.bizrqs.over.values()) == 0
    family.workload(web(7, 61))
    for name in names:
        await family.write(name)
    assert [over(family, name) for name in names] == [1, 1, 1]


async def test_a_bizrq_that_is_made_anew_begins_with_none(controller):
    controller.workload(web(5, 60))
    await controller.write("team")
    old = controller.store.raw("team")["metadata"]["uid"]
    assert over(controller) == 1
    controller.store.version += 1
    controller.inventory.remove_bizrq(old, "team", controller.store.version)
    await controller.sync.refresh("team")
    assert over(controller) == 0
    controller.inventory.put_bizrq(read_bizrq(controller.store.put(bizrq("team", hard=HARD, uid="another"))))
    await controller.write("team")
    assert (controller.store.status("team")["used"][CPU], over(controller)) == ("5", 0)
