"""`bizrq books import` beside a controller that writes the same statuses [C4, T7]."""

import asyncio

import pytest

from bizrq.cli import restore as restore_module
from bizrq.cli.restore import Options, Restore, RestoreError
from bizrq.controller.farewell import FINALIZER
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.exported_books import as_document, read_export, subtrees
from bizrq.domain.restored_books import How
from tests.support.build import NOW, bizrq
from tests.support.cas_store import CasStore
from tests.support.controller import Controller, job, job_pod
from tests.support.quotas import HOUR_OF_A_CORE

CASH = {"cash/limits.cpu": "10"}
MANIFESTS = {"dept": (None, {"cash/limits.cpu": "100"}), "kid": ("dept", CASH), "other": (None, CASH)}
CPU = "limits.cpu"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(restore_module, "_PAUSE_SECONDS", 0.0)


def create(store, *names, created=NOW):
    for name in names or MANIFESTS:
        parent, hard = MANIFESTS[name]
        store.put(bizrq(name, parent=parent, hard=hard, created=created))


def started(store, clock, *pods, version=90):
    controller = Controller(store, clock)
    controller.start(pods, version, workloads=[job(bizrq="kid")])
    controller.see(*store.names())
    return controller


def counted(controller, store):
    """Every status, children first; twice, since the first write of each only greets it."""
    for name in ("kid", "dept", "other"):
        asyncio.run(controller.write(name))
        controller.see(*store.names())


def exported(store, clock, *tops, export_id="e1"):
    bizrqs = subtrees([read_bizrq(store.raw(name)) for name in store.names()], tops)
    return read_export(as_document(bizrqs, export_id=export_id, now=clock.now()))


def planned(store, clock, export, run="r1", said=None, **options):
    live = {name: read_bizrq(store.raw(name)) for name in store.names()}
    say = (said if said is not None else []).append
    run = Restore(export, live, Options(**options), clock, run, say)
    run.plan()
    return run


def imported(store, clock, export, run="r1", **options):
    said: list[str] = []
    asyncio.run(planned(store, clock, export, run, said, **options).write(store))
    return said


def ledger(store, name):
    return int(store.status(name)["cash"]["ledger"].get(CPU, 0))


@pytest.fixture
def spent(clock):
    """The kid's pod has run for 100 s and goes on; the export was taken then."""
    store = CasStore()
    create(store)
    clock.time = NOW + 100
    controller = started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60))
    counted(controller, store)
    assert ledger(store, "kid") == 100_000
    return exported(store, clock)


def restored(clock, at):
    """A store and a controller after everything was deleted and created again."""
    clock.time = at
    store = CasStore(first_version=1000)
    create(store, created=at)
    return store


def test_a_tree_that_nobody_counted_gets_its_hours_and_its_pods_go_on(spent, clock, caplog):
    store = restored(clock, NOW + 160)
    said = imported(store, clock, spent)
    assert "kid: limits.cpu 0 -> 0.027 h" in said
    assert FINALIZER in store.raw("kid")["metadata"]["finalizers"], "before its first status [T7]"
    clock.time = NOW + 200
    controller = started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60), version=2000)
    counted(controller, store)
    status = store.status("kid")
    assert ledger(store, "kid") == 100_000 + 40_000, "of 200 s, the 60 s between export and restore are in no books"
    assert status["cash"]["uncertain"] == {CPU: "60000"}
    assert status["cash"]["settled"] == {CPU: "100000"}
    assert "seen by nobody" not in caplog.text, "no controller had written: no deletion can be missing"


@pytest.mark.parametrize("pods_go_on", [True, False])
def test_into_a_tree_that_was_just_counted_the_hours_come_on_top_whoever_writes_first(spent, clock, pods_go_on):
    store = restored(clock, NOW + 160)
    clock.time = NOW + 170
    pod = job_pod("a", scheduled=NOW, created=NOW, version=60)
    controller = started(store, clock, *[pod] * pods_go_on, version=2000)
    counted(controller, store)
    run = planned(store, clock, spent, how=How.ADD if pods_go_on else How.REFUSE)
    clock.time = NOW + 180
    asyncio.run(controller.write("kid"))  # after the checks
    asyncio.run(run.write(store))
    clock.time = NOW + 190
    asyncio.run(controller.write("kid"))  # knows nothing of the import, and conflicts
    assert ledger(store, "kid") == 100_000 + 30_000 * pods_go_on
    assert store.status("kid")["observedGeneration"] == 1, "counted anew"


def test_what_was_spent_after_the_checks_is_no_reason_to_stop_half_way(spent, clock):
    """Without a flag hours are added too: nothing is lost by what came in between."""
    store = restored(clock, NOW + 160)
    run = planned(store, clock, spent)
    clock.time = NOW + 170
    controller = started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60), version=2000)
    counted(controller, store)
    asyncio.run(run.write(store))
    assert ledger(store, "kid") == 100_000 + 10_000


def test_what_the_parent_shows_comes_right(spent, clock):
    """[T6] a child that used more than it was granted takes that from its parent."""
    rich = as_rich(spent, 12 * HOUR_OF_A_CORE)
    store = restored(clock, NOW + 160)
    controller = started(store, clock, version=2000)
    counted(controller, store)
    imported(store, clock, rich)
    controller.see(*store.names())
    assert "dept" in controller.woken
    for name in ("kid", "dept"):
        asyncio.run(controller.write(name, always=False))
        controller.see(*store.names())
    assert store.status("kid")["used"]["cash/limits.cpu"] == "12"
    assert store.status("dept")["used"]["cash/limits.cpu"] == "12"
    exhausted = {each["type"]: each["status"] for each in store.status("kid")["conditions"]}
    assert exhausted["CashExhausted"] == "True"


def as_rich(export, amount):
    for each in export.bizrqs:
        if each.name == "kid":
            each.books.ledger[CPU] = amount
            each.books.rate.clear()
    return export


# --- checks come first ---


def test_nothing_is_written_where_anything_is_in_the_way_and_all_of_it_is_named(spent, clock):
    store = restored(clock, NOW + 160)
    asyncio.run(store.delete("other"))
    clock.time = NOW + 170
    counted_kid = started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60), version=2000)
    asyncio.run(counted_kid.write("kid"))
    before = {name: store.raw(name) for name in store.names()}
    with pytest.raises(RestoreError) as refused:
        planned(store, clock, spent)
    lines = str(refused.value).splitlines()
    assert lines[0].startswith("bizrq kid: its books have hours already (limits.cpu 0.002 h); --add adds")
    assert lines[1] == "bizrq other: it is not in the cluster; create it first, or leave it out with --skip-missing"
    assert lines[-1] == "Nothing was written."
    assert {name: store.raw(name) for name in store.names()} == before


def test_missing_ones_may_be_left_out_which_says_the_hours_that_are_in_no_books(spent, clock):
    store = restored(clock, NOW + 160)
    asyncio.run(store.delete("kid"))
    said = imported(store, clock, spent, skip_missing=True)
    assert "kid: left out, it is not in the cluster; in no books are limits.cpu 0.027 h" in said


def test_the_same_file_twice_is_refused_before_anything_is_written(spent, clock):
    store = restored(clock, NOW + 160)
    imported(store, clock, spent)
    with pytest.raises(RestoreError, match="bizrq kid: this file was imported into it already"):
        planned(store, clock, spent, how=How.REPLACE)
    imported(store, clock, spent, run="r2", how=How.ADD)
    assert ledger(store, "kid") == 200_000


def test_the_mark_outlives_the_writes_of_controllers(spent, clock):
    store = restored(clock, NOW + 160)
    imported(store, clock, spent)
    counted(started(store, clock, version=2000), store)
    with pytest.raises(RestoreError, match="imported into it already"):
        planned(store, clock, spent)


def test_a_period_that_is_over_is_closed_by_the_controller_first(spent, clock):
    store = restored(clock, NOW + 160)
    raw = store.raw("other")
    raw["spec"]["cashPeriod"] = {"every": "Day", "timeZone": "UTC"}
    store.put(raw)
    clock.time = NOW + 2 * 86_400
    with pytest.raises(RestoreError, match=r"bizrq other: the period of its books ended at 2.*; start the con"):
        planned(store, clock, spent)


# --- while it writes ---


def test_a_conflict_is_decided_anew_on_what_is_stored_then(spent, clock):
    store = restored(clock, NOW + 160)
    clock.time = NOW + 170
    controller = started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60), version=2000)
    counted(controller, store)
    run = planned(store, clock, spent, how=How.ADD)

    def somebody_writes():
        raw = store.raw("dept")
        raw["status"]["cash"]["ledger"] = raw["status"]["cash"]["settled"] = {CPU: "7"}
        store.put(raw)

    store.before_write = somebody_writes
    asyncio.run(run.write(store))
    assert ledger(store, "dept") == 7


@pytest.mark.parametrize("fault", ["lost_answers", "refused_writes"])
def test_after_an_answer_that_did_not_come_hours_are_there_once(spent, clock, fault):
    store = restored(clock, NOW + 160)
    run = planned(store, clock, spent)
    setattr(store, fault, 1)
    asyncio.run(run.write(store))
    assert ledger(store, "kid") == 100_000
    assert len(store.status("dept")["cash"]["imported"]) == 1


def test_the_same_with_add_of_a_file_that_was_imported_before(spent, clock):
    store = restored(clock, NOW + 160)
    imported(store, clock, spent)
    run = planned(store, clock, spent, "r2", how=How.ADD)
    store.lost_answers = 3
    asyncio.run(run.write(store))
    assert ledger(store, "kid") == 200_000


def test_a_run_that_broke_off_says_how_far_it_came_and_is_continued(spent, clock):
    store = restored(clock, NOW + 160)
    run = planned(store, clock, spent)
    asyncio.run(store.delete("kid"))
    with pytest.raises(
        RestoreError, match=r"(?s)bizrq kid: not written: .*1 of 3 bizrqs were written before; .*--cont"
    ):
        asyncio.run(run.write(store))
    create(store, "kid", created=NOW + 160)
    with pytest.raises(RestoreError, match="bizrq dept: this file was imported into it already"):
        planned(store, clock, spent)
    said = imported(store, clock, spent, "r2", go_on=True)
    assert "dept: done before, left as it is" in said
    assert ledger(store, "kid") == 100_000
    assert len(store.status("dept")["cash"]["imported"]) == 1


def test_an_object_made_anew_between_check_and_write_is_not_written(spent, clock):
    store = restored(clock, NOW + 160)
    run = planned(store, clock, spent)
    asyncio.run(store.delete("dept"))
    create(store, "dept", created=NOW + 170)
    with pytest.raises(RestoreError, match="deleted and created anew meanwhile"):
        asyncio.run(run.write(store))


def test_two_runs_of_one_file_at_a_time_put_it_in_once(spent, clock):
    store = restored(clock, NOW + 160)
    one, two = planned(store, clock, spent, "r1"), planned(store, clock, spent, "r2")
    asyncio.run(one.write(store))
    with pytest.raises(RestoreError, match="another run has imported this file"):
        asyncio.run(two.write(store))
    assert ledger(store, "kid") == 100_000


# --- children that were on their way [T7] ---


def test_hours_that_are_with_the_parent_in_the_file_do_not_go_to_the_child_too(clock):
    store = CasStore()
    create(store)
    clock.time = NOW + 100
    counted(started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60)), store)
    raw = store.raw("dept")
    uid = store.raw("kid")["metadata"]["uid"]
    raw["status"]["cash"] |= {"absorbed": [f"{uid} kid"], "ledger": {CPU: "100000"}, "settled": {CPU: "100000"}}
    store.put(raw)
    export = exported(store, clock)
    new = restored(clock, NOW + 160)
    said = imported(new, clock, export)
    assert "kid: left out, its hours are in the books of dept already" in said
    assert ledger(new, "dept") == 100_000
    assert "cash" not in new.status("kid")
    assert new.status("dept")["cash"]["absorbed"] == [f"{uid} kid"]


def test_hours_that_went_to_the_parent_after_the_export_do_not_go_to_the_child_too(spent, clock):
    """The child was deleted after the export, and its parent, which lives on, has its hours."""
    store = restored(clock, NOW + 160)
    counted(started(store, clock, version=2000), store)
    raw = store.raw("dept")
    uid = next(each.uid for each in spent.bizrqs if each.name == "kid")
    raw["status"]["cash"] |= {"absorbed": [f"{uid} kid"], "ledger": {CPU: "100000"}, "settled": {CPU: "100000"}}
    store.put(raw)
    said = imported(store, clock, spent, how=How.REPLACE)
    assert "kid: left out, its hours are in the books of dept already" in said


def test_a_child_that_still_waits_to_go_is_not_moved_a_second_time(clock):
    """Its parent was lost after it had taken the hours, and is restored with the child still there."""
    store = CasStore()
    create(store)
    clock.time = NOW + 100
    counted(started(store, clock, job_pod("a", scheduled=NOW, created=NOW, version=60)), store)
    uid = store.raw("kid")["metadata"]["uid"]
    raw = store.raw("dept")
    raw["status"]["cash"] |= {"absorbed": [f"{uid} kid"], "ledger": {CPU: "100000"}, "settled": {CPU: "100000"}}
    store.put(raw)
    export = exported(store, clock, "dept")
    asyncio.run(store.delete("dept"))
    lost = store.raw("dept")
    asyncio.run(store.set_finalizers(lost, []))
    create(store, "dept", created=NOW + 160)
    clock.time = NOW + 160
    imported(store, clock, export)
    asyncio.run(store.delete("kid"))
    asyncio.run(started(store, clock, version=2000).sync.refresh("kid"))
    assert "kid" not in store.names()
    assert ledger(store, "dept") == 100_000
