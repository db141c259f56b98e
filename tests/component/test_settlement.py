"""[A4] how a claim closes: by what is seen, and by a live read where nothing is seen."""

import pytest

from bizrq.domain.tree import claimant_name
from bizrq.inventory.inventory import Inventory
from tests.support.build import bizrq, workload
from tests.support.controller import DEPLOYMENT, ONE_CORE, Controller
from tests.support.faulty_store import FaultyStore
from tests.support.quotas import line
from tests.support.webhook import FaultyReads

KID = claimant_name("kid")


@pytest.fixture
def store():
    store = FaultyStore()
    store.put(bizrq("team", hard={"limits.cpu": "10", "pods": "20"}))
    return store


async def started(store, clock):
    """A controller whose own write is the last one."""
    controller = Controller(store, clock)
    controller.reads = controller.sync._settlement._reads = FaultyReads(store)
    controller.start([], 50)
    controller.see(*store.names())
    await controller.write("team")
    return controller


@pytest.fixture
async def controller(store, clock):
    return await started(store, clock)


def create(uid="uid-web", pods="3", **fields):
    return line(uid, 0, {"pods": pods}, {"pods": pods}, **fields)


def update(version, uid="uid-web", pods="5", **fields):
    return line(uid, version, {"pods": pods}, {"pods": "2"}, **fields)


def grant(controller, *lines, used="5"):
    """What a webhook writes: used is raised, and the lines are there; the watch brings it."""
    raw = controller.store.raw("team")
    status = raw["status"]
    figures = {name: {**status[name], "pods": used} for name in ("used", "selfUsed")}
    controller.store.put({**raw, "status": {**status, **figures, "claims": list(lines)}})
    controller.see("team")


async def claims(controller):
    """The open claims after one refresh."""
    return (await controller.write("team", always=False)).get("claims") or []


def pods(controller):
    return controller.store.status("team")["used"]["pods"]


def there(controller, *raws):
    for raw in raws:
        metadata = raw["metadata"]
        controller.reads.workloads[DEPLOYMENT.id, metadata["namespace"], metadata["name"]] = raw


def web(version, replicas=5, **fields):
    return workload("web", version=version, replicas=replicas, template=ONE_CORE, **fields)


# --- by what is seen -------------------------------------------------------------------------------------------------


async def test_a_claim_closes_when_its_uid_has_been_seen_at_a_later_version(controller):
    """[A4] in the same write in which the observed amounts count; nothing is read for it."""
    grant(controller, update(70))
    controller.workload(web(70, 3))
    assert await claims(controller) == [update(70)]
    assert pods(controller) == "5"
    controller.workload(web(71, 4))
    assert await claims(controller) == []
    assert pods(controller) == "4"
    assert controller.reads.reads == 0


async def test_a_create_closes_when_its_uid_has_been_seen(controller):
    """[A4]."""
    grant(controller, create(), create("uid-other"))
    controller.workload(web(71, 3))
    assert await claims(controller) == [create("uid-other")]
    assert pods(controller) == "6"


async def test_a_deletion_is_one_more_version(controller):
    """[A4] the object may live, without its label."""
    grant(controller, update(70), update(90, "uid-b", object_="deployments.apps/shop/b"))
    controller.workload_deleted(web(3), 80)
    controller.workload_deleted(workload("b", version=3), 80)
    assert [each.split()[1] for each in await claims(controller)] == ["uid-b"]


async def test_a_list_that_lacks_an_object_proves_no_more_than_that_it_changed(controller):
    """[A4] without its label it may stand still below the version of the list, with a request under way."""
    controller.workload(web(70, 3))
    grant(controller, update(71))
    controller.inventory.workloads_listed(DEPLOYMENT, [], 500)
    assert await claims(controller) == [update(71)]
    grant(controller, update(70))
    assert await claims(controller) == []


async def test_a_workload_counts_with_the_larger_of_its_demand_and_its_open_claim(controller):
    """[A4] a resync never lowers used below it."""
    controller.workload(web(70, 7))
    grant(controller, update(70), create("uid-b", "4", object_="deployments.apps/shop/b"), used="0")
    status = await controller.write("team")
    assert status["used"] == {"limits.cpu": "7", "pods": "11"}
    assert status["selfUsed"] == status["used"]
    assert len(status["claims"]) == 2


# --- by a live read --------------------------------------------------------------------------------------------------


async def test_a_create_that_nobody_sees_closes_60_s_after_this_process_first_saw_its_line(controller, clock):
    """[A4] on its own monotonic clock: the API server gives a request 34 s."""
    grant(controller, create())
    for clock.waited in (0.0, 30.0, 59.9):
        assert await claims(controller) == [create()]
    assert controller.reads.reads == 0
    assert pods(controller) == "3"
    clock.waited = 60.0
    assert await claims(controller) == []
    assert pods(controller) == "0"
    assert controller.metrics.registry.get_sample_value("bizrq_claims_settled_total") == 1


@pytest.mark.parametrize(
    "since", ["2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z", "no-time-at-all"], ids=["old", "to come", "none"]
)
async def test_since_plays_no_part(controller, clock, since):
    """[A4] nor does the other clock."""
    grant(controller, create(since=since))
    clock.time += 10**6
    assert await claims(controller) == [create(since=since)]
    clock.time -= 10**7
    clock.waited = 60.0
    assert await claims(controller) == []


@pytest.mark.parametrize("live", [None, web(90, uid="uid-new")], ids=["none", "another UID"])
async def test_for_an_update_a_live_read_that_shows_another_uid_or_none_closes_at_once(controller, clock, live):
    """[A4] r > 0: the object is gone for good. Watches are given some seconds before."""
    grant(controller, update(70))
    if live is not None:
        there(controller, live)
    assert await claims(controller) == [update(70)]
    clock.waited = 5.0
    assert await claims(controller) == []
    assert pods(controller) == ("0" if live is None else "5")


async def test_another_uid_settles_no_create(controller, clock):
    """[A4] r = 0: its request may still be on its way; 60 s."""
    there(controller, web(90, 1, uid="uid-new"))
    grant(controller, create())
    for clock.waited in (0.0, 5.0, 20.0, 59.0):
        assert await claims(controller) == [create()]
    clock.waited = 60.0
    assert await claims(controller) == []
    assert pods(controller) == "1", "what the read showed is counted"


async def test_an_object_still_at_r_closes_its_claim_after_60_s(controller, clock):
    """[A4] and not before."""
    there(controller, web(70, 3))
    grant(controller, update(70))
    await claims(controller)
    for clock.waited in (5.0, 20.0, 40.0, 59.0):
        assert await claims(controller) == [update(70)]
        assert pods(controller) == "5"
    clock.waited = 75.0
    assert await claims(controller) == []
    assert pods(controller) == "3"


async def test_a_live_read_counts_as_a_view(controller, clock):
    """[A4] what it shows replaces older observed state before the write."""
    controller.workload(web(60, 1))
    there(controller, web(72, 4))
    grant(controller, update(70))
    await claims(controller)
    clock.waited = 5.0
    assert await claims(controller) == []
    assert pods(controller) == "4"


async def test_a_create_found_by_a_live_read_is_counted(controller, clock):
    """[A4] its watch may be broken."""
    there(controller, web(90, 3))
    grant(controller, create())
    await claims(controller)
    clock.waited = 60.0
    assert await claims(controller) == []
    assert pods(controller) == "3"
    assert controller.store.status("team")["used"]["limits.cpu"] == "3"


async def test_an_object_that_lost_its_label_is_seen_too(controller, clock):
    """[A4] a live read at a later version; it demands nothing of anybody."""
    controller.workload(web(70, 3))
    there(controller, web(72, 4, bizrq=None))
    grant(controller, update(70))
    await claims(controller)
    clock.waited = 5.0
    assert await claims(controller) == []
    assert pods(controller) == "0"


async def test_a_live_read_older_than_the_view_takes_nothing_back(controller, clock):
    """[A4] the state of a workload is replaced only by a higher resourceVersion."""
    controller.workload(web(80, 6))
    grant(controller, create("uid-b", object_="deployments.apps/shop/web"))
    there(controller, web(72, 4))
    await claims(controller)
    clock.waited = 60.0
    await claims(controller)
    assert pods(controller) == "6"


async def test_a_renewed_line_waits_anew(controller, clock):
    """[A4] 60 s after this process first saw this exact line."""
    grant(controller, create())
    await claims(controller)
    clock.waited = 50.0
    renewed = create(since="2026-01-05T10:00:00.000Z")
    grant(controller, renewed)
    for clock.waited in (50.0, 61.0, 109.0):
        assert await claims(controller) == [renewed]
    clock.waited = 110.0
    assert await claims(controller) == []


async def test_another_process_waits_for_itself(controller, store, clock):
    """[A4] after this process first saw it: what the one before knew is lost."""
    grant(controller, create())
    await claims(controller)
    clock.waited = 1000.0
    after = await started(store, clock)
    assert await claims(after) == [create()]
    clock.waited = 1060.0
    assert await claims(after) == []


async def test_the_verdict_of_a_live_read_is_void_when_the_bizrq_has_changed(controller, clock):
    """[A4] the write is a compare-and-swap on the version read before the live read: a repeat came meanwhile."""
    grant(controller, create())
    await claims(controller)
    clock.waited = 60.0
    renewed = create(since="2026-01-05T10:00:59.000Z")
    controller.store.before_write = lambda: grant(controller, renewed)
    assert await claims(controller) == [renewed]
    assert pods(controller) == "3"


async def test_after_a_conflict_claims_are_looked_for_anew(controller, clock):
    """[A4] what closed before closes again, by a read begun after the version that won."""
    grant(controller, create())
    await claims(controller)
    clock.waited = 60.0
    reads = []

    def made_meanwhile():
        reads.append(controller.reads.reads)
        there(controller, web(99, 3))
        controller.store.put(controller.store.raw("team"))

    controller.store.before_write = made_meanwhile
    assert await claims(controller) == []
    assert controller.reads.reads == reads[0] + 1
    assert pods(controller) == "3", "the object was made between the two reads, and counts"


async def test_while_the_api_server_cannot_be_read_no_claim_closes(controller, clock, caplog):
    """[A4] nothing is decided from memory; once it can be read again, the claim closes."""
    grant(controller, create())
    await claims(controller)
    clock.waited = 60.0
    controller.store.away = True
    assert await claims(controller) == [create()]
    assert "a claim cannot be settled, its object cannot be read" in caplog.text
    controller.store.away = False
    clock.waited = 75.0
    assert await claims(controller) == []


async def test_a_claim_of_a_kind_that_is_not_known_stays(controller, clock):
    """A process with another file of kinds made it: this one cannot tell."""
    odd = create(object_="sparkapps.example.com/shop/x")
    grant(controller, odd)
    await claims(controller)
    clock.waited = 1000.0
    assert await claims(controller) == [odd]


async def test_a_claim_of_a_later_format_is_settled_by_its_head(controller, clock):
    """Its uid, version and object are known."""
    grant(controller, "2 uid-web 0 deployments.apps/shop/web something new")
    await claims(controller)
    clock.waited = 60.0
    assert await claims(controller) == []


async def test_live_reads_before_one_write_are_bounded_and_go_on_with_the_next(controller, clock):
    """A write that is to go through must be quick."""
    lines = [create(f"u{number}", "1", object_=f"deployments.apps/shop/w{number}") for number in range(40)]
    grant(controller, *lines, used="40")
    await claims(controller)
    clock.waited = 60.0
    assert len(await claims(controller)) == 8
    assert controller.reads.reads == 32
    assert await claims(controller) == []


async def test_a_claim_that_stays_open_is_not_read_at_every_write(controller, clock):
    there(controller, web(70, 3))
    grant(controller, update(70))
    await claims(controller)
    clock.waited = 5.0
    for _ in range(5):
        await claims(controller)
    assert controller.reads.reads == 1
    clock.waited = 20.0
    await claims(controller)
    assert controller.reads.reads == 2


async def test_a_bizrq_with_an_open_claim_is_looked_at_again_by_itself(controller, clock):
    """[A4] without any event."""
    assert controller.sync._settlement.next_look("team") is None
    grant(controller, update(70), create("uid-b"))
    await claims(controller)
    assert controller.sync._settlement.next_look("team") == 5.0
    clock.waited = 3.0
    assert controller.sync._settlement.next_look("team") == 2.0
    controller.workload(web(71))
    for _ in range(2):
        await claims(controller)
    assert controller.sync._settlement.next_look("team") == 57.0
    assert "team" in controller.sync._due


# --- children --------------------------------------------------------------------------------------------------------


def kid_line(uid, version=0, demand="4"):
    return line(uid, version, {"pods": demand}, {"pods": demand}, object_=KID)


def kid(**fields):
    return bizrq("kid", parent="team", hard={"limits.cpu": "1", "pods": "4"}, **fields)


async def test_a_childs_claim_closes_when_the_child_has_been_seen(controller):
    """[T3, A4] what it takes is counted instead."""
    uid = controller.store.put(kid())["metadata"]["uid"]
    grant(controller, kid_line(uid, demand="9"))
    assert await claims(controller) == [kid_line(uid, demand="9")]
    assert (pods(controller), controller.store.status("team")["selfUsed"]["pods"]) == ("9", "0")
    controller.see("kid")
    assert await claims(controller) == []
    assert pods(controller) == "4"


async def test_a_child_that_was_never_made_frees_its_claim_after_60_s(controller, clock):
    """[T3, A4]."""
    grant(controller, kid_line("uid-kid"))
    await claims(controller)
    clock.waited = 59.0
    assert await claims(controller) == [kid_line("uid-kid")]
    clock.waited = 60.0
    assert await claims(controller) == []


async def test_a_child_that_is_gone_frees_the_claim_of_its_raise(controller, clock):
    """[T3, A4] for good, by its DELETED event or by a live read."""
    raw = controller.store.put(kid())
    controller.see("kid")
    uid, version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
    await controller.store.delete("kid")
    grant(controller, kid_line(uid, version))
    await claims(controller)
    clock.waited = 5.0
    assert await claims(controller) == []
    grant(controller, kid_line(uid, 10**9))
    controller.inventory.remove_bizrq(uid, "kid", version + 1)
    assert await claims(controller) == []


async def test_a_live_read_of_a_child_counts_as_a_view(controller, clock):
    """[A4]."""
    raw = controller.store.put(kid())
    grant(controller, kid_line(raw["metadata"]["uid"]))
    await claims(controller)
    clock.waited = 60.0
    assert await claims(controller) == []
    assert pods(controller) == "4"
    assert isinstance(controller.inventory, Inventory)
    assert controller.inventory.bizrqs.get("kid") is not None
