"""One refresh after the other: what is written, when, and what two writers do to each other."""

import asyncio
import logging

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.controller.books import ViewTooOldError
from tests.support.build import NOW, bizrq, metadata, pod, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller, job, job_pod, started, team

HOUR = 3600


@pytest.fixture
def store():
    store = CasStore()
    store.put(team())
    return store


@pytest.fixture
def controller(store, clock):
    return started(store, clock)


async def test_used_is_what_the_workloads_of_a_bizrq_demand(controller):
    controller.workload(workload(template=ONE_CORE, replicas=3))
    status = await controller.write("team")
    assert status["used"] == {"cash/limits.cpu": "0", "limits.cpu": "3", "pods": "3"}
    assert status["selfUsed"] == status["used"]


async def test_a_deployment_through_its_replica_set_is_charged_by_its_pods(controller, clock):
    """[C7] pod -> ReplicaSet -> Deployment, by UID."""
    controller.workload(workload("web", template=ONE_CORE, replicas=1))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
    controller.replica_set({"metadata": metadata("web-1", controller=owner)})
    controller.pod(
        pod("web-1-a", spec=ONE_CORE, phase="Running", node="n1", scheduled=NOW, version=60,
            controller={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "uid-web-1"})
    )  # fmt: skip
    clock.time += 90
    status = await controller.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": str(1000 * 90)}
    assert status["cash"]["rate"] == {"limits.cpu": "1"}
    assert status["used"]["cash/limits.cpu"] == "0.025"


@pytest.mark.parametrize("first", ["pod", "replica set", "workload"])
async def test_the_order_in_which_owners_become_known_does_not_matter(controller, clock, first):
    """[C7] pods, ReplicaSets and workloads come by three watches."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
    parent = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "uid-web-1"}
    steps = {
        "pod": lambda: controller.pod(
            pod("a", spec=ONE_CORE, phase="Running", node="n", scheduled=NOW, version=60, controller=parent)
        ),
        "replica set": lambda: controller.replica_set({"metadata": metadata("web-1", controller=owner)}),
        "workload": lambda: controller.workload(workload("web", template=ONE_CORE)),
    }
    steps.pop(first)()
    for step in steps.values():
        step()
    clock.time += 10
    assert (await controller.write("team"))["cash"]["ledger"] == {"limits.cpu": "10000"}


async def test_pods_keep_their_bizrq_when_their_workload_goes_first(controller, clock):
    """[C7]."""
    raw = job()
    controller.workload(raw)
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 10
    await controller.write("team")
    controller.workload_deleted(raw, 70)
    clock.time += 10
    status = await controller.write("team")
    assert status["used"]["limits.cpu"] == "1", "and hold what they were charged [P5]"
    assert status["cash"]["ledger"] == {"limits.cpu": "20000"}


async def test_a_deleted_pod_is_settled_once_and_only_then_forgotten(controller, clock):
    """[C4] a deleted pod's record stays until a status that covers it is stored."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 30
    gone = job_pod("a", scheduled=NOW, finished=[NOW + 20], phase="Succeeded", version=61)
    controller.pod_deleted(gone)
    controller.store.refused_writes = 1
    with pytest.raises(Unavailable):
        await controller.write("team")
    status = await controller.write("team")
    assert status["cash"]["settled"] == {"limits.cpu": "20000"}
    assert list(controller.inventory.pods.of("team")) == []
    clock.time += 30
    assert (await controller.write("team"))["cash"]["ledger"] == {"limits.cpu": "20000"}


async def test_a_lost_answer_neither_loses_nor_doubles_a_charge(controller, store, clock):
    """[C4]."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 20
    controller.pod_deleted(job_pod("a", scheduled=NOW, finished=[NOW + 20], phase="Succeeded", version=61))
    store.lost_answers = 1
    with pytest.raises(Unavailable):
        await controller.write("team")
    clock.time += 5
    status = await controller.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": "20000"}
    assert status["cash"]["settled"] == {"limits.cpu": "20000"}


async def test_after_a_conflict_the_figures_are_counted_anew_on_the_fresh_object(controller, store):
    """[R4] a check that passed on a stale object is never written."""
    controller.workload(workload(template=ONE_CORE, replicas=3))
    store.before_write = lambda: store.put({**store.raw("team"), "spec": {"hard": {"pods": "7"}}})
    status = await controller.write("team")
    assert status["hard"] == {"pods": "7"}
    assert status["used"] == {"pods": "3"}


async def test_what_this_version_does_not_know_is_sent_back_as_it_was(controller, store):
    """A writer sends back the object it read, changed in place."""
    claim = "1 uid 7 deployments.apps/shop/web 2026-01-05T09:59:58.214Z pods=1:0"
    future = {
        "claims": [claim],
        "tomorrow": {"x": 1},
        "cash": {"absorbed": ["uid-9"], "uncertain": {"limits.cpu": "5"}},
    }
    store.put({**store.raw("team"), "status": future})
    controller.see("team")
    status = await controller.write("team")
    assert status["claims"] == [claim]
    assert status["tomorrow"] == {"x": 1}
    assert status["cash"]["absorbed"] == ["uid-9"]
    assert status["cash"]["uncertain"] == {"limits.cpu": "5"}


async def test_two_controllers_write_the_same_books(store, clock):
    """[C4] two operators at once neither lose nor double a charge."""
    both = [Controller(store, clock), Controller(store, clock)]
    for each in both:
        each.start([], 50)
        each.see("team")
        each.workload(job())
    for version in range(60, 80):
        clock.time += 7
        born = clock.time
        for each in both:
            each.pod(job_pod(f"p{version}", scheduled=born, created=born, version=version * 2))
        clock.time += 5
        end = job_pod(f"p{version}", scheduled=born, created=born, finished=[born + 5], phase="Succeeded",
                      version=version * 2 + 1)  # fmt: skip
        for each in both if version % 3 else reversed(both):
            each.pod_deleted(end)
            await each.write("team")
    status = await both[0].write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": str(20 * 5 * 1000)}


async def test_a_controller_whose_view_is_older_than_the_status_does_not_write(store, clock):
    """[C4]."""
    ahead, behind = Controller(store, clock), Controller(store, clock)
    ahead.start([], 90)
    behind.start([], 50)
    ahead.see("team")
    await ahead.write("team")
    behind.see("team")
    behind.reads.pods_at = 90
    with pytest.raises(ViewTooOldError, match="has seen version 90 of the pods, this process 50"):
        await behind.write("team")
    behind.inventory.pods.passed(91, NOW)
    await behind.write("team")


async def test_a_restart_loses_and_doubles_nothing(store, clock):
    """[C4] nothing but the status is remembered."""
    old = Controller(store, clock)
    old.start([], 50)
    old.see("team")
    old.workload(job())
    pods = [job_pod(f"p{n}", scheduled=NOW + n, version=60 + n) for n in range(3)]
    for each in pods:
        old.pod(each)
    clock.time += 100
    old.pod_deleted({**pods[0], "metadata": {**pods[0]["metadata"], "resourceVersion": "80"}})
    await old.write("team")
    clock.time += 50
    new = Controller(store, clock)
    new.start(pods[1:], 90, workloads=[job()])
    new.see("team")
    status = await new.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": str(1000 * (100 + 149 + 148))}


async def test_of_pods_deleted_while_no_controller_ran_what_may_be_missing_is_stated(store, clock):
    """[C6] the replay failed: the ledger errs low, and with what is uncertain it reaches the truth."""
    old = Controller(store, clock)
    old.start([], 50)
    old.see("team")
    old.workload(job())
    pods = [job_pod(f"p{n}", scheduled=NOW, version=60 + n) for n in range(2)]
    for each in pods:
        old.pod(each)
    clock.time += 100
    await old.write("team")
    clock.time += 50
    new = Controller(store, clock)
    new.start(pods[1:], 90, workloads=[job()])
    new.see("team")
    cash = (await new.write("team"))["cash"]
    charged, missing = int(cash["ledger"]["limits.cpu"]), int(cash["uncertain"]["limits.cpu"])
    assert charged >= 1000 * 150, "the one that is there"
    for gone in (NOW, NOW + 100, NOW + 150):
        assert charged <= 1000 * (150 + gone - NOW) <= charged + missing
    assert (await new.write("team"))["cash"]["uncertain"] == cash["uncertain"], "and stated once"


async def test_pods_missing_from_a_second_list_are_charged_to_the_last_good_instant(controller, clock):
    """[C6] nobody tells of deletions that happened while a watch was broken."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 40
    controller.pod(job_pod("b", scheduled=NOW + 40, created=NOW + 40, version=61))  # the view is good up to here
    clock.time += 60
    controller.pods_listed([], 90)
    status = await controller.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": str(1000 * 40)}
    assert controller.inventory.pods.vanished == 2


async def test_a_pod_gone_before_its_owner_was_known_is_charged_all_the_same(controller, clock):
    """[C7] owners arrive by other watches than pods; `seen` waits some seconds for them."""
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 5
    controller.pod_deleted(job_pod("a", scheduled=NOW, finished=[NOW + 5], phase="Succeeded", version=61))
    status = await controller.write("team")
    assert status["cash"]["seen"].split()[0] == "60"
    controller.workload(job())
    status = await controller.write("team")
    assert status["cash"]["ledger"] == {"limits.cpu": "5000"}
    assert status["cash"]["seen"].split()[0] == "61"


async def test_a_pod_of_nobody_holds_nothing_up_for_long(controller, clock):
    controller.pod(job_pod("a", of="unlabelled", scheduled=NOW, version=60))
    controller.pod_deleted(job_pod("a", of="unlabelled", scheduled=NOW, finished=[NOW], phase="Failed", version=61))
    assert (await controller.write("team"))["cash"]["seen"].split()[0] == "60"
    clock.time += 61
    assert (await controller.write("team"))["cash"]["seen"].split()[0] == "61"
    assert not controller.inventory.pods.has_owner("uid-unlabelled")


async def test_pods_of_a_bizrq_that_does_not_exist_do_not_pile_up(controller, clock):
    controller.workload(job(bizrq="nobody"))
    for number in range(5):
        controller.pod(job_pod(f"p{number}", scheduled=NOW, version=60 + 2 * number))
        controller.pod_deleted(
            job_pod(f"p{number}", scheduled=NOW, finished=[NOW], phase="Failed", version=61 + 2 * number)
        )
    controller.inventory.sweep(clock.now())
    assert len(list(controller.inventory.pods.of("nobody"))) == 5
    controller.inventory.sweep(clock.now() + 61)
    assert list(controller.inventory.pods.of("nobody")) == []
    assert not controller.inventory.pods.has_owner("uid-job")


async def test_a_pod_whose_workload_has_an_empty_label_is_nobodys(controller):
    controller.workload(job(bizrq=""))
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    assert list(controller.inventory.pods.of("")) == []


async def test_a_resync_and_an_event_at_once_do_not_conflict_with_each_other(controller, store):
    await asyncio.gather(*(controller.sync.refresh("team", always=True) for _ in range(5)))
    assert controller.metrics.registry.get_sample_value("bizrq_status_writes_total", {"outcome": "conflict"}) is None
    assert store.writes == 5


async def test_a_clock_set_back_takes_no_hours_back(controller, clock):
    """[C2, C4] lastReconcileTime never goes back."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 60
    before = await controller.write("team")
    clock.time -= 30
    after = await controller.write("team")
    assert after["lastReconcileTime"] == before["lastReconcileTime"]
    assert after["cash"]["ledger"] == before["cash"]["ledger"]


async def test_a_cash_key_taken_out_of_hard_and_put_back_refills_nothing(controller, store, clock):
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 60
    await controller.write("team")
    await store.update_spec("team", {"hard": {"pods": "20"}})
    controller.see("team")
    clock.time += 60
    assert "cash/limits.cpu" not in (await controller.write("team"))["used"]
    await store.update_spec("team", team()["spec"])
    controller.see("team")
    assert (await controller.write("team"))["cash"]["ledger"] == {"limits.cpu": "120000"}


# --- when it writes --------------------------------------------------------------------------------------------------


async def test_time_alone_is_no_reason_to_write(controller, store, clock):
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    await controller.write("team")
    writes = store.writes
    for _ in range(5):
        clock.time += 60
        await controller.write("team", always=False)
    assert store.writes == writes


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(lambda c: c.workload(workload("more", template=ONE_CORE)), id="a workload grows"),
        pytest.param(lambda c: c.pod(job_pod("b", scheduled=NOW + 60, version=62)), id="a pod starts"),
        pytest.param(
            lambda c: c.pod(job_pod("a", scheduled=NOW, finished=[NOW + 30], phase="Succeeded", version=62)),
            id="a pod has ended",
        ),
        pytest.param(lambda c: c.pod_deleted(job_pod("a", scheduled=NOW, version=62, deletion=NOW)), id="a pod goes"),
    ],
)
async def test_what_says_more_than_time_is_written(controller, store, clock, event):
    """[R1]."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    await controller.write("team")
    writes = store.writes
    clock.time += 60
    event(controller)
    await controller.write("team", always=False)
    assert store.writes == writes + 1


async def test_a_status_edited_by_somebody_is_corrected_and_told_with_both_values(controller, store, caplog):
    """[R2]."""
    controller.workload(workload(template=ONE_CORE, replicas=3))
    status = await controller.write("team")
    store.put({**store.raw("team"), "status": {**status, "used": {**status["used"], "limits.cpu": "99"}}})
    controller.see("team")
    with caplog.at_level(logging.WARNING):
        status = await controller.write("team", always=False)
    assert status["used"]["limits.cpu"] == "3"
    assert "drift: status.used of limits.cpu was changed to 99 by somebody else; corrected to 3" in caplog.text
    assert controller.metrics.registry.get_sample_value("bizrq_drift_corrected_total", {"of": "status"}) == 1


async def test_a_changed_hard_is_no_drift(controller, store, caplog):
    controller.workload(workload(template=ONE_CORE, replicas=3))
    await controller.write("team")
    await store.update_spec("team", {"hard": {"limits.cpu": "2"}})
    controller.see("team")
    with caplog.at_level(logging.WARNING):
        status = await controller.write("team", always=False)
    assert status["hard"] == {"limits.cpu": "2"}
    assert [each["status"] for each in status["conditions"] if each["type"] == "OverQuota"] == ["True"]
    assert "drift" not in caplog.text


# --- the tree --------------------------------------------------------------------------------------------------------


async def test_a_parent_is_debited_what_its_children_take(store, clock):
    """[T3, T6] the larger of hard and used; a child over its hard takes more."""
    store.put(bizrq("parent", hard={"limits.cpu": "50", "cash/limits.cpu": "100"}, created=NOW))
    store.put(bizrq("kid", parent="parent", hard={"limits.cpu": "4", "cash/limits.cpu": "10"}, created=NOW))
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see("parent", "kid")
    controller.workload(workload(bizrq="kid", template=ONE_CORE, replicas=6))
    await controller.write("kid")
    status = await controller.write("parent")
    assert status["used"] == {"limits.cpu": "6", "cash/limits.cpu": "10"}
    assert status["selfUsed"] == {"limits.cpu": "0", "cash/limits.cpu": "0"}


async def test_a_childs_write_wakes_its_parent_only_if_it_takes_more_or_less(controller, store):
    store.put(bizrq("kid", parent="team", hard={"limits.cpu": "4"}, created=NOW))
    controller.see("kid")
    await controller.write("kid")
    controller.woken.clear()
    await controller.write("kid")
    assert controller.woken == set()
    controller.workload(workload(bizrq="kid", template=ONE_CORE, replicas=6))
    await controller.write("kid")
    assert "team" in controller.woken


async def test_a_circle_of_parents_does_not_raise_itself_for_ever(store, clock):
    """[T1]."""
    store.put(bizrq("a", parent="b", hard={"limits.cpu": "4"}, created=NOW))
    store.put(bizrq("b", parent="a", hard={"limits.cpu": "4"}, created=NOW))
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see("a", "b")
    for _ in range(5):
        await controller.write("a")
        await controller.write("b")
    status = store.status("b")
    assert status["used"] == {"limits.cpu": "0"}
    assert status["conditions"][0]["reason"] == "ParentCycle"


@pytest.mark.parametrize(
    ("parent", "reason", "words"),
    [
        pytest.param(None, "ParentNotFound", "the parent boss does not exist", id="no parent"),
        pytest.param(
            {"limits.cpu": "9", "pods": "5"}, "KeyMissing", "lacks keys that the parent boss has: pods", id="[T2]"
        ),
    ],
)
async def test_not_ready_says_what_is_missing(store, clock, parent, reason, words):
    if parent is not None:
        store.put(bizrq("boss", hard=parent))
    store.put(bizrq("kid", parent="boss", hard={"limits.cpu": "4"}))
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see("kid", *(["boss"] if parent is not None else []))
    ready = (await controller.write("kid"))["conditions"][0]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", reason)
    assert words in ready["message"]
