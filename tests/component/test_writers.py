"""[R4, R2] whose write was the last one, and which changes of a status are drift."""

import logging

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.controller.farewell import FINALIZER
from tests.support.build import bizrq, workload
from tests.support.controller import DEPLOYMENT, ONE_CORE, started
from tests.support.faulty_store import FaultyStore
from tests.support.quotas import line

HARD = {"limits.cpu": "10", "pods": "20"}


@pytest.fixture
def store():
    store = FaultyStore()
    store.put(bizrq("team", hard=HARD))
    return store


@pytest.fixture
def controller(store, clock):
    return started(store, clock)


def edit(controller, **changes):
    """Somebody changes the status; the watch brings it."""
    raw = controller.store.raw("team")
    controller.store.put({**raw, "status": {**raw["status"], **changes}})
    controller.see("team")


def web(version, replicas):
    return workload("web", version=version, replicas=replicas, template=ONE_CORE)


# --- other controllers -----------------------------------------------------------------------------------------------


async def test_the_first_write_of_a_new_object_takes_a_list(controller):
    """[R4] one of that name may have been there before, and have granted what is not seen yet."""
    status = await controller.write("team")
    assert controller.lists == 1
    assert status["writer"].partition(".")[0] == controller.sync._process


async def test_own_writes_take_no_list(controller):
    """[R4] unless the last writer is this process."""
    await controller.write("team")
    for _ in range(3):
        await controller.write("team")
    assert controller.lists == 1, "that before the first write"


async def test_another_controllers_write_is_followed_by_a_list_before_the_next_write(store, clock):
    """[R4] of the bizrq's workloads and children, begun after it read that status."""
    first, second = started(store, clock), started(store, clock)
    second.workload(web(70, 3))  # its view is old
    await first.write("team")
    second.see("team")
    second.reads.workloads[DEPLOYMENT.id, "shop", "web"] = web(80, 7)
    status = await second.write("team")
    assert second.lists == 1
    assert status["used"]["pods"] == "7"
    await second.write("team")
    assert second.lists == 1, "now it is our own"


async def test_two_controllers_in_turn_list_each_time(store, clock):
    """[R4] the Lease only saves this work."""
    both = [started(store, clock), started(store, clock)]
    for turn in range(6):
        both[turn % 2].see("team")
        await both[turn % 2].write("team")
    assert [each.lists for each in both] == [3, 3]


async def test_after_a_list_that_fails_nothing_is_written(store, clock):
    """[R4]."""
    await started(store, clock).write("team")
    controller = started(store, clock)

    async def away():
        raise Unavailable("no API server")

    controller.sync._list_anew = away
    writes = store.writes
    with pytest.raises(Unavailable):
        await controller.write("team")
    assert store.writes == writes


async def test_a_status_written_during_the_list_takes_another_one(store, clock):
    """[R4] the list must have begun after that write."""
    other = started(store, clock)
    await other.write("team")
    controller = started(store, clock)
    list_anew = controller.list_anew

    async def late():
        await list_anew()
        if controller.lists == 1:
            other.see("team")
            await other.write("team")

    controller.sync._list_anew = late
    await controller.write("team")
    assert controller.lists == 2
    assert store.status("team")["writer"].partition(".")[0] == controller.sync._process


async def test_a_list_that_began_after_the_status_was_read_is_enough(store, clock):
    """[R4] as a resync takes one anyway."""
    await started(store, clock).write("team")
    controller = started(store, clock)
    controller.sync.trust({store.raw("team")["metadata"]["uid"]: store.status("team")["writer"]})
    await controller.write("team")
    assert controller.lists == 0


async def test_a_list_before_another_status_is_not_enough(store, clock):
    """[R4]."""
    other = started(store, clock)
    await other.write("team")
    controller = started(store, clock)
    controller.sync.trust({store.raw("team")["metadata"]["uid"]: store.status("team")["writer"]})
    other.see("team")
    await other.write("team")
    controller.see("team")
    await controller.write("team")
    assert controller.lists == 1


async def test_a_webhooks_write_takes_no_list(controller):
    """[R4] webhooks leave the writer."""
    await controller.write("team")
    edit(controller, claims=[line("u", 0, {"pods": "1"}, {})])
    await controller.write("team")
    assert controller.lists == 1, "that before the first write"


async def test_without_news_nothing_is_listed_for_another_controllers_status(store, clock):
    """[R4] the other one is at work."""
    await started(store, clock).write("team")
    controller = started(store, clock)
    writes = store.writes
    await controller.write("team", always=False)
    assert (controller.lists, store.writes) == (0, writes)


@pytest.mark.parametrize(
    "left",
    [
        pytest.param({"claims": [line("uid-web", 0, {"pods": "2"}, {"pods": "2"})]}, id="claims"),
        pytest.param({"used": {"pods": "2"}}, id="used"),
        pytest.param({"used": {"pods": "2"}, "writer": ""}, id="and an empty writer"),
    ],
)
async def test_a_status_that_somebody_edited_is_not_taken_for_that_of_a_new_object(store, clock, left):
    """[R4] without lastReconcileTime and writer: something was granted that this process may not have seen."""
    raw = store.raw("team")
    store.put({**raw, "metadata": {**raw["metadata"], "finalizers": [FINALIZER]}, "status": left})
    controller = started(store, clock)
    controller.reads.workloads[DEPLOYMENT.id, "shop", "web"] = web(80, 7)
    status = await controller.write("team")
    assert controller.lists == 1
    assert status["used"]["pods"] == "7", "it was not in view, and is in the list"


# --- drift -----------------------------------------------------------------------------------------------------------


def drift(controller):
    return controller.metrics.registry.get_sample_value("bizrq_drift_corrected_total", {"of": "status"})


def raised(pods, *lines):
    """What a webhook leaves: figures of a bizrq that used 3 before."""
    figures = {"limits.cpu": "3", "pods": pods}
    return {"used": figures, "selfUsed": figures, "claims": list(lines)}


CLAIM = line("u", 0, {"pods": "2"}, {"pods": "2"}, object_="deployments.apps/shop/new")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param(raised("5", CLAIM), 0, id="a webhook's raise, by what its new line claims"),
        pytest.param(raised("4", CLAIM), 0, id="by less: a part was granted before"),
        pytest.param(raised("3", CLAIM), 0, id="by nothing: a claim that others cover"),
        pytest.param(raised("3"), 0, id="nothing changed"),
        pytest.param(raised("6", CLAIM), 1, id="by more than its line claims: an edit"),
        pytest.param(raised("2", CLAIM), 1, id="lowered: an edit, whatever is claimed"),
        pytest.param(raised("4"), 1, id="raised without a line: an edit"),
        pytest.param({**raised("5", CLAIM), "selfUsed": {"limits.cpu": "3", "pods": "9"}}, 1, id="selfUsed edited"),
    ],
)
async def test_a_webhooks_raise_is_no_drift_and_an_edit_is(controller, caplog, changes, found):
    """[R2] drift found is corrected, counted and logged with both values."""
    controller.workload(web(70, 3))
    await controller.write("team")
    with caplog.at_level(logging.WARNING):
        edit(controller, **changes)
        status = await controller.write("team", always=False)
    assert drift(controller) == found
    assert ("drift" in caplog.text) == bool(found)
    assert status["used"]["pods"] == ("5" if CLAIM in changes["claims"] else "3")


async def test_a_childs_claim_raises_used_and_not_self_used(controller):
    """[R2, T3]."""
    child = line("k", 0, {"pods": "2"}, {"pods": "2"}, object_="bizgroupresourcequotas.quota.bizrq.io//kid")
    controller.workload(web(70, 3))
    await controller.write("team")
    edit(controller, **{**raised("5", child), "selfUsed": {"limits.cpu": "3", "pods": "3"}})
    await controller.write("team", always=False)
    assert drift(controller) == 0
    edit(controller, **{**raised("5", child), "selfUsed": {"limits.cpu": "3", "pods": "5"}})
    status = await controller.write("team", always=False)
    assert drift(controller) == 1
    assert (status["used"]["pods"], status["selfUsed"]["pods"]) == ("5", "3")


async def test_a_claim_whose_object_comes_into_view_is_no_drift(controller):
    """[R2, A4] what was claimed and what is seen differ."""
    await controller.write("team")
    edit(controller, used={"limits.cpu": "0", "pods": "9"}, selfUsed={"limits.cpu": "0", "pods": "9"},
         claims=[line("uid-web", 0, {"pods": "9"}, {"pods": "9"})])  # fmt: skip
    controller.workload(web(70, 3))
    status = await controller.write("team", always=False)
    assert (status["used"]["pods"], status.get("claims")) == ("3", None)
    assert drift(controller) == 0


async def test_a_line_that_somebody_removed_comes_back_to_nobody_and_is_told_by_its_figures(controller):
    """[R2] its amounts are in used: what is written there was ours."""
    await controller.write("team")
    edit(controller, used={"limits.cpu": "0", "pods": "2"}, selfUsed={"limits.cpu": "0", "pods": "2"}, claims=[CLAIM])
    await controller.write("team", always=False)
    edit(controller, claims=[])
    status = await controller.write("team", always=False)
    assert status["used"]["pods"] == "0"


async def test_another_controllers_figures_are_no_drift(store, clock, caplog):
    """[R2, R4] it has seen what this one has not seen yet."""
    first, second = started(store, clock), started(store, clock)
    await second.write("team")
    first.see("team")
    first.workload(web(70, 3))
    await first.write("team")
    second.see("team")
    with caplog.at_level(logging.WARNING):
        await second.write("team", always=False)
    assert drift(second) == 0
    assert "drift" not in caplog.text


async def test_a_claim_of_a_later_format_keeps_what_it_raised(controller, caplog):
    """[A4] a webhook of the next version granted it: while it is open nobody here knows what used may be lowered to."""
    await controller.write("team")
    figures = {"limits.cpu": "0", "pods": "2"}
    edit(controller, used=figures, selfUsed=figures, claims=["2 u 0 deployments.apps/shop/new in another form"])
    status = await controller.write("team")
    assert status["claims"] == ["2 u 0 deployments.apps/shop/new in another form"]
    assert status["used"]["pods"] == "2"
