"""What a controller tells by events: each transition once, whoever restarts, and nobody waits for it."""

import asyncio

import pytest

from bizrq.cluster.errors import Denied, Invalid, NotFound, Unavailable
from bizrq.cluster.events import REPORTER, ApiEvents, Event, Ref
from bizrq.controller import announcer
from bizrq.controller.announcer import Announcer
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.events import NOTE_BYTES
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in
from tests.support.build import NOW, bizrq, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, job, job_pod, started, team
from tests.support.told_events import ToldEvents


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(announcer, "_RETRY_SECONDS", 0.0)


@pytest.fixture
def store():
    store = CasStore()
    store.put(team(pods="20"))
    return store


@pytest.fixture
def controller(store, clock):
    return started(store, clock)


def over(controller, replicas=11, name="web", version=5, **fields):
    """Ten cores are allowed."""
    controller.workload(workload(name, template=ONE_CORE, replicas=replicas, version=version, **fields))


def handed(controller):
    """The reasons of what waits to be told: a series hides in events what is told twice."""
    return [each.news.reason for each in controller.announcer._waiting]


def events(controller, outcome):
    return controller.metrics.registry.get_sample_value("bizrq_events_total", {"outcome": outcome})


async def test_a_transition_is_told_once_and_its_end_too(controller, clock):
    await controller.write("team")
    assert (await controller.tell()).told == []
    over(controller)
    for _ in range(3):
        await controller.write("team")
    assert handed(controller) == ["OverQuota"]
    assert (await controller.tell()).reasons() == ["OverQuota"]
    over(controller, 9, version=6)
    for _ in range(3):
        await controller.write("team")
    assert handed(controller) == ["WithinQuota"]
    assert (await controller.tell()).reasons() == ["OverQuota", "WithinQuota"]
    assert events(controller, "written") == 3, "the first of them is told in the namespace as well"


async def test_a_restart_and_a_second_controller_tell_nothing_again(controller, store, clock):
    over(controller)
    await controller.write("team")
    assert (await controller.tell()).reasons() == ["OverQuota"]
    second = started(store, clock)
    over(second)
    await second.write("team")
    assert (await second.tell()).told == []
    over(second, 3, version=9)
    await second.write("team")
    assert (await second.tell()).reasons() == ["WithinQuota"]
    controller.see("team")
    over(controller, 3, version=9)
    await controller.write("team")
    assert (await controller.tell()).reasons() == ["OverQuota"], "the end was told by the other one"


async def test_whoever_loses_a_conflict_tells_only_what_it_stored_itself(controller, store, clock):
    """The write that went through in between has told it: the loser finds it in the status that it replaces."""
    over(controller)
    anothers = await controller.write("team")
    over(controller, 1, version=6)
    await controller.write("team")
    await controller.tell()
    clock.waited += announcer._SERIES_SECONDS + 1
    over(controller, 11, version=7)
    store.before_write = lambda: store.put({**store.raw("team"), "status": anothers})
    assert (await controller.write("team"))["writer"] != anothers["writer"]
    assert (await controller.tell()).reasons() == ["OverQuota", "WithinQuota"], "those of before"


async def test_a_write_that_failed_tells_nothing(controller, store):
    over(controller)
    store.refused_writes = 1
    with pytest.raises(Unavailable):
        await controller.write("team")
    assert (await controller.tell()).told == []
    await controller.write("team")
    assert (await controller.tell()).reasons() == ["OverQuota"]


async def test_a_standby_tells_nothing(controller):
    controller.leading = False
    over(controller)
    await controller.write("team")
    controller.sync.missed("team", "a watch had missed something")
    controller.leading = True
    over(controller, 3, version=6)
    await controller.write("team")
    assert (await controller.tell()).told == []


async def test_an_exhausted_budget_is_told_where_the_workloads_are(controller, store, clock):
    """By the largest user of each namespace, the one that must become smaller for anything to start again."""
    store.put(team(**{"cash/limits.cpu": "1"}))
    controller.see("team")
    controller.workload(job("train", namespace="ml"))
    controller.pod(job_pod("a", "train", namespace="ml", scheduled=NOW, version=60))
    over(controller, 2, "small", namespace="shop")
    over(controller, 3, "web", namespace="shop")
    over(controller, 9, "elsewhere", namespace="other", bizrq="other")
    await controller.write("team")
    clock.time += 3600
    await controller.write("team")
    told = (await controller.tell()).told
    assert [(each.regarding.kind, each.regarding.events_lie_in, each.regarding.name) for each in told] == [
        ("BizGroupResourceQuota", "default", "team"),
        ("Deployment", "shop", "web"),
        ("Job", "ml", "train"),
    ]
    assert {each.reason for each in told} == {"CashExhausted"}
    first, *others = told
    assert first.note.startswith("no hours are left: cash/limits.cpu 1 of 1; ")
    assert {each.note for each in others} == {f"bizrq team: {first.note}"}
    assert {each.related for each in others} == {first.regarding}
    assert first.related is None


async def test_not_more_than_some_namespaces_are_told_the_largest_first(controller):
    for number in range(30):
        over(controller, 1 + number, namespace=f"n{number:02d}", uid=f"uid-{number}")
    await controller.write("team")
    told = (await controller.tell()).told[1:]
    assert [each.regarding.namespace for each in told] == [f"n{number:02d}" for number in range(29, 9, -1)]


async def test_a_namespace_is_as_large_as_all_its_workloads_together(controller):
    for name, namespace, replicas in (("a", "one", 5), ("b", "two", 3), ("c", "two", 4)):
        over(controller, replicas, name, namespace=namespace)
    await controller.write("team")
    told = (await controller.tell()).told[1:]
    assert [(each.regarding.namespace, each.regarding.name) for each in told] == [("two", "c"), ("one", "a")]


async def test_a_note_is_as_long_as_the_api_server_takes(controller):
    controller.sync.missed("team", "a watch had missed much, " * 100 + "and this in the end")
    await controller.write("team")
    ((_, note),) = (await controller.tell()).of("team")
    assert len(note) <= NOTE_BYTES
    assert note.endswith("and this in the end")


async def test_what_is_counted_with_its_owner_is_told_by_its_owner(controller):
    """[A8]."""
    over(controller)
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
    raw = workload("web-1", kind="ReplicaSet", template=ONE_CORE, replicas=99, version=6, controller=owner)
    controller.inventory.put_workload(_read(raw))
    await controller.write("team")
    assert [each.regarding.name for each in (await controller.tell()).told] == ["team", "web"]


def _read(raw):
    kind = next(each for each in built_in() if each.kind == raw["kind"])
    return read_workload(raw, kind, DEFAULT_GPU_RESOURCES)


async def test_drift_is_told_with_both_values(controller, store):
    over(controller, 3)
    await controller.write("team")
    edited = store.raw("team")
    store.put({**edited, "status": {**edited["status"], "used": {**edited["status"]["used"], "limits.cpu": "99"}}})
    controller.see("team")
    missed = "a watch had missed deployments.apps: pods was 2, is 3"
    controller.sync.missed("team", missed)
    await controller.write("team")
    await controller.write("team")
    assert handed(controller) == ["DriftCorrected"]
    assert (await controller.tell()).of("team") == [
        ("DriftCorrected", f"{missed}; status.used of limits.cpu was changed to 99 by somebody else; corrected to 3")
    ]


async def test_a_missing_parent_and_its_return_are_told(store, clock):
    store.put(bizrq("kid", parent="boss", hard={"pods": "1"}, created=NOW))
    controller = started(store, clock)
    await controller.write("kid")
    store.put(bizrq("boss", hard={"pods": "1", "limits.cpu": "1"}, created=NOW))
    controller.see("boss")
    await controller.write("kid")
    store.put({**store.raw("kid"), "spec": {"parentBizGroup": "boss", "hard": {"pods": "1", "limits.cpu": "1"}}})
    controller.see("kid")
    await controller.write("kid")
    assert (await controller.tell()).reasons("kid") == ["ParentNotFound", "KeyMissing", "Ready"]
    assert "add them, with no more than boss has left to grant" in controller.events.of("kid")[1][1]


# --- how they are written --------------------------------------------------------------------------------------------


async def flap(controller, times, version=100):
    """Over quota, and back."""
    for number in range(times):
        controller.clock.time += 1
        over(controller, 11, version=version + 2 * number)
        await controller.write("team")
        over(controller, 1, version=version + 2 * number + 1)
        await controller.write("team")
    await controller.tell()


async def test_what_happens_again_and_again_is_a_series(controller, clock):
    await flap(controller, 1)
    first = [each.name for each in controller.events.told]
    asked = controller.events.asked
    await flap(controller, 20, 200)
    assert controller.events.asked == asked, "counted only: it was written a moment ago"
    clock.waited += announcer._COUNT_SECONDS
    await flap(controller, 1, 300)
    assert [each.name for each in controller.events.told] == first
    assert controller.events.counts == dict.fromkeys(first, 22)
    asked = controller.events.asked
    await flap(controller, 1, 400)
    assert controller.events.asked == asked, "that was a moment ago, too"


async def test_a_series_goes_on_as_long_as_it_happens_again_in_time(controller, clock):
    for number in range(4):
        await flap(controller, 1, 100 * (number + 1))
        clock.waited += announcer._SERIES_SECONDS * 0.9
    assert controller.events.reasons() == ["OverQuota", "WithinQuota"]
    assert set(controller.events.counts.values()) == {4}


async def test_long_after_it_is_an_event_of_its_own(controller, clock):
    await flap(controller, 1)
    clock.waited += announcer._SERIES_SECONDS + 1
    await flap(controller, 1, 200)
    assert controller.events.reasons() == ["OverQuota", "WithinQuota"] * 2
    assert controller.events.counts == {}


async def test_nothing_is_kept_of_what_was_long_ago(controller, store, clock):
    await flap(controller, 1)
    clock.waited += announcer._SERIES_SECONDS + 1
    store.put(bizrq("solo", hard={"limits.cpu": "many"}, created=NOW))
    controller.see("solo")
    await controller.write("solo")
    assert (await controller.tell()).reasons("solo") == ["InvalidHard"]
    assert len(controller.announcer._series) == 1


async def test_a_series_whose_event_has_gone_begins_anew(controller, clock):
    """The API server keeps events for an hour."""
    await flap(controller, 1)
    controller.events.told.clear()
    clock.waited += announcer._COUNT_SECONDS
    await flap(controller, 1, 200)
    assert controller.events.reasons() == ["OverQuota", "WithinQuota"]
    assert controller.events.counts == {}
    clock.waited += announcer._COUNT_SECONDS
    await flap(controller, 1, 300)
    assert set(controller.events.counts.values()) == {2}


@pytest.mark.parametrize(
    ("faults", "written", "dropped"),
    [
        ([Unavailable("busy")], 2, 0),
        ([Unavailable("busy")] * 2, 2, 0),
        ([Unavailable("busy")] * 3, 1, 1),
        ([Denied("no right")], 1, 1),
        ([NotFound("no such namespace")], 1, 1),
        ([Invalid("too long")], 1, 1),
        ([Denied("no right")] * 2, 0, 2),
    ],
)
async def test_one_that_cannot_be_written_is_tried_some_times_logged_and_counted(
    controller, caplog, faults, written, dropped
):
    over(controller)
    await controller.write("team")
    controller.events.faults = list(faults)
    await controller.tell()
    assert (events(controller, "written"), events(controller, "dropped")) == (written, dropped)
    assert caplog.text.count("the event OverQuota is not written") == dropped
    assert controller.store.status("team")["conditions"], "the status is stored whatever becomes of events"


async def test_the_next_try_waits_longer_each_time_and_as_long_as_the_api_server_asks(controller, monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    over(controller)
    await controller.write("team")
    controller.events.faults = [Unavailable("busy"), Unavailable("busy", retry_after=7.0)]
    monkeypatch.setattr(announcer, "_RETRY_SECONDS", 1.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    await controller.tell()
    assert [seconds for seconds in waited if seconds >= 1] == [1, 7]


async def test_one_whose_answer_was_lost_is_not_told_twice(controller):
    over(controller)
    await controller.write("team")
    controller.events.lose_answer = Unavailable("no answer")
    await controller.tell()
    assert controller.events.reasons() == ["OverQuota"]
    assert (events(controller, "written"), events(controller, "dropped")) == (2, 0)


async def test_a_status_is_stored_while_events_hang_and_what_is_too_much_is_dropped(controller, monkeypatch):
    monkeypatch.setattr(announcer, "_WAITING", 3)
    for number in range(5):
        over(controller, 11, version=100 + 2 * number)
        await controller.write("team")
        over(controller, 1, version=101 + 2 * number)
        assert (await controller.write("team"))["used"]["pods"] == "1"
    assert (controller.events.asked, events(controller, "dropped")) == (0, 7)


async def test_events_are_written_one_after_the_other_at_a_bounded_pace(controller, monkeypatch):
    monkeypatch.setattr(announcer, "_PAUSE_SECONDS", 3600.0)
    working = asyncio.create_task(controller.announcer.run())
    over(controller)
    await controller.write("team")
    while not controller.events.told:  # noqa: ASYNC110  # the store has no event to wait for
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(controller.events.told) == 1
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await controller.announcer.finish()
    assert [each.regarding.name for each in controller.events.told] == ["team", "web"], "the rest, and nothing twice"
    assert {each.count for each in controller.announcer._series.values()} == {1}


async def test_the_end_of_the_process_does_not_wait_for_ever(clock, store, monkeypatch):
    monkeypatch.setattr(announcer, "_END_SECONDS", 0.01)

    class Silent(ToldEvents):
        async def create(self, _):
            await asyncio.Event().wait()

    controller = started(store, clock)
    silent = Announcer(lambda: controller.inventory, Silent(), clock, controller.metrics)
    over(controller)
    before = read_bizrq(store.raw("team"))
    await controller.write("team")
    silent.stored(before, read_bizrq(store.raw("team")), [])
    await silent.finish()
    assert events(controller, "dropped") == 1


# --- what the API server is sent -------------------------------------------------------------------------------------


class Sent:
    """Stands in for the connection."""

    def __init__(self):
        self.requests = []

    async def post(self, path, body):
        self.requests.append(("POST", path, body))
        return b"{}"

    async def patch(self, path, change):
        self.requests.append(("PATCH", path, change))
        return {}


async def test_an_event_has_all_that_the_api_asks_for():
    sent = Sent()
    told = ApiEvents(sent, "x" * 200)  # type: ignore[arg-type]
    team_ = Ref("quota.bizrq.io/v1", "BizGroupResourceQuota", "team", "u-1")
    web = Ref("apps/v1", "Deployment", "web", "u-2", "shop")
    event = Event("web.1", web, "OverQuota", "Count", "why", warning=True, at=NOW * 1000 + 7, related=team_)
    await told.create(event)
    await told.repeat(event, 3, NOW * 1000 + 9)
    assert sent.requests == [
        (
            "POST",
            "/apis/events.k8s.io/v1/namespaces/shop/events",
            {
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {"name": "web.1", "namespace": "shop"},
                "eventTime": "2026-01-05T10:00:00.007000Z",
                "type": "Warning",
                "reason": "OverQuota",
                "action": "Count",
                "note": "why",
                "regarding": {
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-2", "namespace": "shop",
                },
                "related": {
                    "apiVersion": "quota.bizrq.io/v1", "kind": "BizGroupResourceQuota", "name": "team", "uid": "u-1",
                },
                "reportingController": REPORTER,
                "reportingInstance": "x" * 128,
            },
        ),
        (
            "PATCH",
            "/apis/events.k8s.io/v1/namespaces/shop/events/web.1",
            {"series": {"count": 3, "lastObservedTime": "2026-01-05T10:00:00.009000Z"}},
        ),
    ]  # fmt: skip


def test_workloads_of_the_core_group_are_referred_to_by_their_version():
    raw = {"metadata": {"name": "p", "namespace": "shop", "uid": "u", "resourceVersion": "1"}, "kind": "Pod"}
    ref = Ref.of_workload(_read({**raw, "spec": ONE_CORE}))
    assert (ref.api_version, ref.kind, ref.events_lie_in) == ("v1", "Pod", "shop")
