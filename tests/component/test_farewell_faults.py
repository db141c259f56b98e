"""[T7] wrong answers and edited statuses while a child goes: no hours are lost, and nothing crashes."""

import pytest

from bizrq.cluster.errors import Conflict, NotFound, Unavailable
from bizrq.controller.farewell import FINALIZER
from tests.support.build import NOW, bizrq
from tests.support.controller import Controller, job, job_pod
from tests.support.faulty_store import FaultyStore

CASH = {"cash/limits.cpu": "10"}
SPENT = 100 * 1000
"""Milli-cores x seconds: what the child's one pod has cost."""


class Liar(FaultyStore):
    """A store that may say of a bizrq that it is not there, as a proxy on the way or a server that starts may."""

    def __init__(self):
        super().__init__()
        self.lies_at_reads: list[str] = []
        """Names of which the next read is answered with 404, one each."""
        self.lies_at_writes: list[str] = []
        self.asked_for: list[str] = []

    async def read(self, name, **how):
        self.asked_for.append(name)
        if name in self.lies_at_reads:
            self.lies_at_reads.remove(name)
            raise NotFound(name)
        return await super().read(name, **how)

    async def replace_status(self, raw):
        name = raw["metadata"]["name"]
        if name in self.lies_at_writes:
            self.lies_at_writes.remove(name)
            raise NotFound(name)
        return await super().replace_status(raw)


@pytest.fixture
def store():
    store = Liar()
    store.put(bizrq("dept", hard={"cash/limits.cpu": "100"}, created=NOW))
    store.put(bizrq("kid", parent="dept", hard=CASH, created=NOW))
    return store


@pytest.fixture
async def controller(store, clock):
    """Both are counted, the child's pod has ended, and the child has been deleted."""
    clock.time = NOW + 100
    controller = Controller(store, clock)
    pods = [job_pod("a", scheduled=NOW, created=NOW, version=60, finished=[NOW + 100], phase="Succeeded")]
    controller.start(pods, 90, workloads=[job(bizrq="kid")])
    controller.see(*store.names())
    for name in ("kid", "dept", "kid", "dept"):
        await controller.write(name)
    await store.delete("kid")
    controller.see("kid", "dept")
    store.steps.clear()
    return controller


def ledger(store):
    return int(store.status("dept")["cash"]["ledger"].get("limits.cpu", "0"))


# --- a wrong 404 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["read", "write"])
async def test_a_single_wrong_404_for_the_parent_loses_no_hours(controller, store, at):
    """The child stays, and its hours move when it is tried again."""
    if at == "write":
        store.lies_at_writes = ["dept"]
    else:
        store.lies_at_reads = ["dept"]
    with pytest.raises(Unavailable, match="bizrq dept: said to be gone, which no watch has told yet"):
        await controller.sync.refresh("kid")
    assert store.raw("kid")["metadata"]["finalizers"] == [FINALIZER]
    assert ledger(store) == 0
    await controller.sync.refresh("kid")
    assert store.names() == ["dept"]
    assert ledger(store) == SPENT


async def test_a_wrong_404_at_the_read_after_a_conflict_loses_no_hours(controller, store):
    """With the parent's webhook, which writes at the same time."""
    store.faults = {1: "conflicts"}
    replace = store.replace_status

    async def then_lies(raw):
        try:
            return await replace(raw)
        except Conflict:
            store.lies_at_reads = ["dept"]
            raise

    store.replace_status = then_lies
    with pytest.raises(Unavailable):
        await controller.sync.refresh("kid")
    await controller.sync.refresh("kid")
    assert (store.names(), ledger(store)) == (["dept"], SPENT)


async def test_it_is_tried_again_by_itself(controller, store):
    """After a wait, as any write that failed."""
    store.lies_at_reads = ["dept"]
    await controller.sync._look_at("kid")
    assert "kid" in controller.sync._due
    assert "kid" in store.names()


async def test_a_parent_that_goes_on_being_said_to_be_gone_lets_nobody_go_while_it_is_in_view(controller, store):
    store.lies_at_reads = ["dept"] * 5
    for _ in range(5):
        with pytest.raises(Unavailable):
            await controller.sync.refresh("kid")
    assert "kid" in store.names()


@pytest.mark.parametrize("told_by", ["its DELETED event", "a list"])
async def test_once_the_parent_is_out_of_the_view_the_child_goes(controller, store, told_by):
    """Deleted by force, without a webhook: there is nobody to take the hours."""
    dept = store.raw("dept")
    store._objects.pop("dept")
    with pytest.raises(Unavailable):
        await controller.sync.refresh("kid")
    if told_by == "a list":
        kid = controller.inventory.bizrqs.get("kid")
        controller.inventory.bizrqs_listed([kid], store.version + 1, set())
    else:
        controller.inventory.remove_bizrq(dept["metadata"]["uid"], "dept", store.version + 1)
    await controller.sync.refresh("kid")
    assert store.names() == []


# --- edited entries of absorbed children -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        "uid-x ..", "uid-x ../../api/v1/secrets", "uid-x a/b", "uid-x A", "uid-x a b", "uid-x %2e%2e", "uid-x .",
        "uid-x -", "uid-x ", "uid-x", " ", "", "uid-x kid?watch=true", "uid-x kid#", "uid-x k\u00efd", "uid-x a\n",
        "x" * 300,
    ],
)  # fmt: skip
async def test_an_entry_that_names_no_bizrq_causes_no_read_and_no_crash(controller, store, entry):
    """Somebody edited the status: a name that is none is never put into an address."""
    raw = store.raw("dept")
    store.put({**raw, "status": {**raw["status"], "cash": {**raw["status"]["cash"], "absorbed": [entry]}}})
    controller.see("dept")
    store.asked_for.clear()
    status = await controller.write("dept")
    assert store.asked_for == []
    assert status["used"]
    assert status["lastReconcileTime"]


async def test_garbage_beside_a_good_entry_keeps_nobody_from_going(controller, store):
    raw = store.raw("dept")
    store.put({**raw, "status": {**raw["status"], "cash": {**raw["status"]["cash"], "absorbed": ["x ..", "y gone"]}}})
    controller.see("dept")
    await controller.sync.refresh("kid")
    assert store.names() == ["dept"]
    assert ledger(store) == SPENT
    assert not any(entry.startswith("y ") for entry in store.status("dept")["cash"]["absorbed"]), "it is gone"
