"""[T7] what a deleted child has spent moves into its parent's ledger, exactly once, before it goes."""

import asyncio

import pytest

from bizrq.cluster.errors import ClusterError, Unavailable
from bizrq.controller.books import ViewTooOldError
from bizrq.controller.farewell import FINALIZER
from tests.support.build import NOW, bizrq
from tests.support.controller import Controller, job, job_pod
from tests.support.faulty_store import FaultyStore
from tests.support.quotas import HOUR_OF_A_CORE

CASH = {"cash/limits.cpu": "10"}
SPENT = 100 * 1000
"""Milli-cores x seconds: what the child's one pod has cost."""


@pytest.fixture
def store():
    store = FaultyStore()
    store.put(bizrq("dept", hard={"cash/limits.cpu": "100"}, created=NOW))
    store.put(bizrq("kid", parent="dept", hard=CASH, created=NOW))
    return store


def started(store, clock, *, version=90, running=False):
    """A controller that sees what there is: the child's pod has run for 100 s, or runs still."""
    controller = Controller(store, clock)
    ended = {} if running else {"finished": [NOW + 100], "phase": "Succeeded"}
    pods = [job_pod("a", scheduled=NOW, created=NOW, version=60, **ended)]
    controller.start(pods, version, workloads=[job(bizrq="kid")])
    controller.see(*store.names())
    return controller


@pytest.fixture
def controller(store, clock):
    clock.time = NOW + 100
    return started(store, clock)


async def counted(controller):
    """Both have a status, and the child is about to go."""
    for name in ("kid", "dept", "kid", "dept"):
        await controller.write(name)
    controller.store.steps.clear()


async def leave(controller, name="kid"):
    await controller.store.delete(name)
    controller.see(*controller.store.names())


def gone(controller, raw):
    """The watch tells of its end."""
    controller.inventory.remove_bizrq(raw["metadata"]["uid"], raw["metadata"]["name"], controller.store.version)


def ledger(store, name="dept"):
    return int(store.status(name)["cash"]["ledger"].get("limits.cpu", "0"))


def absorbed(store):
    return store.status("dept")["cash"].get("absorbed") or []


# --- coming ----------------------------------------------------------------------------------------------------------


async def test_the_finalizer_is_set_before_the_first_status_and_so_before_any_admission(controller, store):
    """[T7]."""
    await controller.write("kid")
    assert store.steps == ["finalizers kid", "status kid"]
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]
    await controller.write("kid")
    assert store.steps == ["finalizers kid", "status kid", "status kid"], "once"


async def test_a_finalizer_that_somebody_took_off_comes_back(controller, store):
    """[T7]."""
    await controller.write("kid")
    raw = store.raw("kid")
    raw["metadata"]["finalizers"] = ["example.com/theirs"]
    store.put(raw)
    controller.see("kid")
    await controller.write("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == ["example.com/theirs", FINALIZER]


async def test_what_is_going_already_gets_no_finalizer(controller, store):
    """[T7] the API server would refuse it."""
    raw = store.raw("kid")
    raw["metadata"]["finalizers"] = ["example.com/theirs"]
    store.put(raw)
    await leave(controller)
    await controller.write("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == ["example.com/theirs"]


@pytest.mark.parametrize("fault", ["fails", "lost", "conflicts"])
async def test_without_its_finalizer_nothing_gets_a_status(controller, store, fault):
    """[T7] whatever happens to the write of it."""
    store.faults = {0: fault}
    try:
        await controller.write("kid")
    except Unavailable:
        assert not store.status("kid")
        controller.see("kid")
        await controller.write("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]
    assert store.status("kid")


# --- going -----------------------------------------------------------------------------------------------------------


async def test_the_order_in_which_a_child_goes(controller, store):
    """[T7] close the child's books; the parent's one write; the finalizer goes."""
    await counted(controller)
    await leave(controller)
    await controller.sync.refresh("kid")
    assert store.steps == ["status kid", "status dept", "finalizers kid"]
    assert store.names() == ["dept"]


async def test_the_hours_of_a_deleted_child_move_into_its_parents_ledger(controller, store):
    """[T7] what it has spent is not refunded; what it has not is free again."""
    await counted(controller)
    assert store.status("dept")["used"]["cash/limits.cpu"] == "10", "the child's budget"
    raw = store.raw("kid")
    await leave(controller)
    await controller.sync.refresh("kid")
    assert (ledger(store), store.status("dept")["cash"]["settled"]) == (SPENT, {"limits.cpu": str(SPENT)})
    assert absorbed(store) == [f"{raw['metadata']['uid']} kid"]
    gone(controller, raw)
    status = await controller.write("dept")
    assert status["used"] == status["selfUsed"] == {"cash/limits.cpu": "0.027"}


async def test_while_the_child_is_still_there_its_hours_count_once(controller, store):
    """[T7] in the ledger, and no longer among what children take."""
    await counted(controller)
    await leave(controller)
    store.faults = {2: "fails"}
    with pytest.raises(Unavailable):
        await controller.sync.refresh("kid")
    assert "kid" in store.names()
    assert store.status("dept")["used"]["cash/limits.cpu"] == "0.027"
    assert (await controller.write("dept"))["used"]["cash/limits.cpu"] == "0.027"
    assert ledger(store) == SPENT


async def test_a_pod_that_still_runs_is_charged_up_to_the_closing_of_the_books(store, clock):
    """[T7] corrections after closing are dropped."""
    clock.time = NOW + 50
    controller = started(store, clock, running=True)
    await counted(controller)
    clock.time = NOW + 70
    raw = store.raw("kid")
    await leave(controller)
    await controller.sync.refresh("kid")
    assert ledger(store) == 70 * 1000
    gone(controller, raw)
    clock.time = NOW + 500
    await controller.write("dept")
    assert ledger(store) == 70 * 1000


async def test_the_uid_leaves_only_after_a_live_read_shows_the_child_gone(controller, store):
    """[T7]."""
    await counted(controller)
    raw = store.raw("kid")
    await leave(controller)
    store.faults = {2: "fails"}
    with pytest.raises(Unavailable):
        await controller.sync.refresh("kid")
    gone(controller, raw)  # a watch may say so: it is there
    await controller.write("dept")
    assert absorbed(store) == [f"{raw['metadata']['uid']} kid"]
    controller.inventory = started(store, controller.clock).inventory
    await controller.sync.refresh("kid")
    gone(controller, raw)
    await controller.write("dept")
    assert absorbed(store) == []
    assert ledger(store) == SPENT


async def test_a_live_read_that_fails_leaves_the_uid_there(controller, store):
    """[T7]."""
    await counted(controller)
    raw = store.raw("kid")
    await leave(controller)
    await controller.sync.refresh("kid")
    gone(controller, raw)
    store.read_errors = [Unavailable("no API server")]
    with pytest.raises(Unavailable):
        await controller.write("dept")
    assert absorbed(store) == [f"{raw['metadata']['uid']} kid"]


async def test_a_group_that_is_made_anew_refills_nothing(controller, store):
    """[T7] deleting and re-creating, again and again."""
    await counted(controller)
    for turn in range(1, 4):
        raw = store.raw("kid")
        await leave(controller)
        await controller.sync.refresh("kid")
        gone(controller, raw)
        assert ledger(store) == SPENT
        again = store.put(bizrq("kid", parent="dept", hard=CASH, created=NOW + 100))
        assert again["metadata"]["uid"] != raw["metadata"]["uid"]
        controller.see("kid")
        controller.inventory.pods.forget_bizrq("kid")
        status = await controller.write("dept")
        assert status["used"]["cash/limits.cpu"] == "10.027", f"turn {turn}: the budget and what was spent"
        assert absorbed(store) == []
        await controller.write("kid")


# --- faults at every step --------------------------------------------------------------------------------------------

STEPS = ["status kid", "status dept", "finalizers kid"]


async def until_gone(controller, raw, restart):
    """Try again until the child is gone and its UID has left; ``restart`` makes the controller after each fault."""
    for _ in range(8):
        try:
            if "kid" in controller.store.names():
                controller.see("kid")
                await controller.sync.refresh("kid")
            else:
                gone(controller, raw)
                await controller.write("dept")
                if not absorbed(controller.store):
                    return
        except ClusterError:
            controller = restart(controller)
    pytest.fail(f"it never goes: {controller.store.steps}")


@pytest.mark.parametrize("fault", ["fails", "lost", "conflicts"])
@pytest.mark.parametrize("restarts", [False, True], ids=["the same process", "another process after each fault"])
@pytest.mark.parametrize("steps", [(0,), (1,), (2,), (0, 1), (1, 2), (1, 3), (2, 4), (1, 2, 3), (0, 2, 4, 6)], ids=str)
async def test_hours_move_exactly_once(controller, store, clock, steps, fault, restarts):
    """[T7] over conflicts, lost answers, and a crash between any two steps."""
    await counted(controller)
    raw = store.raw("kid")
    await leave(controller)
    store.faults = dict.fromkeys(steps, fault)
    await until_gone(controller, raw, (lambda _: started(store, clock)) if restarts else lambda same: same)
    assert ledger(store) == SPENT
    assert store.status("dept")["cash"]["settled"] == {"limits.cpu": str(SPENT)}
    assert store.status("dept")["used"]["cash/limits.cpu"] == "0.027"


async def test_two_controllers_at_once_move_the_hours_once(controller, store, clock):
    """[T7, R4] in whichever order their steps come."""
    await counted(controller)
    raw = store.raw("kid")
    other = started(store, clock)
    await leave(controller)
    other.see(*store.names())
    await asyncio.gather(*(each.sync.refresh("kid") for each in (controller, other)))
    for each in (other, controller):
        gone(each, raw)
        each.see("dept")
        await each.write("dept")
    assert ledger(store) == SPENT
    assert absorbed(store) == []


async def test_a_conflict_with_the_parents_webhook_reads_parent_and_child_anew(controller, store):
    """[T7] the parent, then the child, live."""
    await counted(controller)
    await leave(controller)
    store.faults = {1: "conflicts", 2: "conflicts"}
    await controller.sync.refresh("kid")
    assert store.steps == ["status kid", *["status dept"] * 3, "finalizers kid"]
    assert ledger(store) == SPENT


async def test_what_another_controller_booked_last_is_moved(controller, store):
    """[T7] the child is read live, after the parent."""
    await counted(controller)
    await leave(controller)

    def book():
        raw = store.raw("kid")
        cash = {**raw["status"]["cash"], "ledger": {"limits.cpu": str(HOUR_OF_A_CORE)}}
        store.put({**raw, "status": {**raw["status"], "cash": cash}})
        store.put(store.raw("dept"))

    original = store.replace_status

    async def once(raw):
        if raw["metadata"]["name"] == "dept":
            store.replace_status = original
            book()
        return await original(raw)

    store.replace_status = once
    await controller.sync.refresh("kid")
    assert ledger(store) == HOUR_OF_A_CORE


async def test_books_that_cannot_be_closed_let_nobody_go(controller, store, clock):
    """[T7, C4] a view of pods older than the status."""
    await counted(controller)
    await leave(controller)
    behind = started(store, clock, version=61)
    behind.reads.pods_at = 90
    with pytest.raises(ViewTooOldError):
        await behind.sync.refresh("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]


async def test_a_parent_that_cannot_be_read_lets_nobody_go(controller, store):
    """[T7]."""
    await counted(controller)
    await leave(controller)
    read = store.read

    async def fails(name):
        if name == "dept":
            raise Unavailable("no API server")
        return await read(name)

    store.read = fails
    with pytest.raises(Unavailable):
        await controller.sync.refresh("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]


async def test_a_parent_whose_books_cannot_be_written_lets_nobody_go(controller, store, clock):
    """[T7, C4] another controller with a newer view of the pods has written them."""
    await counted(controller)
    await started(store, clock, version=500).write("dept")
    await leave(controller)
    controller.reads.pods_at = 500
    with pytest.raises(ViewTooOldError):
        await controller.sync.refresh("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]


# --- who has no parent -----------------------------------------------------------------------------------------------


async def test_a_root_goes_with_its_hours(controller, store):
    """[T7] there is nobody to take them."""
    store.put(bizrq("root", hard=CASH, created=NOW))
    controller.see("root")
    await controller.write("root")
    await leave(controller, "root")
    store.steps.clear()
    await controller.sync.refresh("root")
    assert store.steps == ["status root", "finalizers root"]
    assert "root" not in store.names()


async def test_a_child_whose_parent_is_gone_is_not_held_for_ever(controller, store):
    """[T7] with --force and without webhook."""
    await counted(controller)
    dept = store.raw("dept")
    store._objects.pop("dept")
    gone(controller, dept)
    await leave(controller)
    await controller.sync.refresh("kid")
    assert store.names() == []


async def test_the_finalizers_of_others_stay(controller, store):
    """[T7] only ours goes; the hours have moved."""
    await counted(controller)
    raw = store.raw("kid")
    raw["metadata"]["finalizers"] = ["example.com/a", FINALIZER, "example.com/b"]
    store.put(raw)
    await leave(controller)
    await controller.sync.refresh("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == ["example.com/a", "example.com/b"]
    assert ledger(store) == SPENT
    controller.see("kid")
    for name in ("kid", "dept", "kid", "dept"):
        await controller.write(name)
    assert ledger(store) == SPENT
    assert absorbed(store) == [f"{raw['metadata']['uid']} kid"], "it is there still"
    assert store.status("dept")["used"]["cash/limits.cpu"] == "0.027"


async def test_a_child_of_that_name_made_meanwhile_keeps_its_finalizer(controller, store):
    """[T7] by UID: the new one has hours of its own."""
    await counted(controller)
    await leave(controller)
    old = controller.inventory.bizrqs.get("kid")
    store._objects.pop("kid")
    new = store.put(bizrq("kid", parent="dept", hard=CASH, created=NOW))
    new["metadata"] |= {"finalizers": [FINALIZER], "deletionTimestamp": "2026-01-05T10:00:00Z"}
    store.put(new)
    await controller.sync._farewell.let_go(old)
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]
    assert await controller.sync._farewell.live("kid", old.uid) is None
