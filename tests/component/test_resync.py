"""What a resync finds and corrects [R2]."""

import logging

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.controller import resync
from bizrq.controller.feed import Feed, Listing, _readable
from bizrq.controller.resync import Resync
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.workloads.read import read_workload
from tests.support.build import NOW, bizrq, container, pod_spec, workload
from tests.support.cas_store import CasStore
from tests.support.clocks import HandClock
from tests.support.controller import DEPLOYMENT, Controller

ONE_CORE = pod_spec(container(limits={"cpu": "1"}))


class Lists:
    """Answers what the API server would list."""

    def __init__(self, store):
        self.store, self.workloads, self.version, self.fails = store, [], 1000, False
        self.names = ["team"]

    async def list_all(self):
        if self.fails:
            raise Unavailable("no API server")
        found = [read_workload(raw, DEPLOYMENT, DEFAULT_GPU_RESOURCES) for raw in self.workloads]
        return Listing(
            [read_bizrq(self.store.raw(name)) for name in self.names], self.version, [(DEPLOYMENT, found, self.version)]
        )


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(resync, "_DELIVERY_SECONDS", 0.0)
    store, clock = CasStore(), HandClock()
    store.put(bizrq("team", hard={"limits.cpu": "10", "cash/limits.cpu": "10"}, created=NOW))
    controller = Controller(store, clock)
    controller.start([], 50)
    lists = Lists(store)
    made = Resync(lists, controller.inventory, controller.sync, clock, controller.metrics, seconds=300)  # type: ignore[arg-type]
    return controller, lists, made


def drift(controller, of="workloads"):
    return controller.metrics.registry.get_sample_value("bizrq_drift_corrected_total", {"of": of}) or 0


async def test_a_workload_whose_deletion_was_missed_is_dropped_counted_and_logged(world, caplog):
    controller, _, made = world
    controller.workload(workload(template=ONE_CORE, replicas=3, version=5))
    with caplog.at_level(logging.WARNING):
        await made.once()
    assert controller.store.status("team")["used"]["limits.cpu"] == "0"
    assert "team: drift: a watch had missed deployments.apps: " in caplog.text
    assert "limits.cpu was 3, is 0" in caplog.text
    ((reason, note),) = (await controller.tell()).of("team")
    assert (reason, "limits.cpu was 3, is 0" in note) == ("DriftCorrected", True)
    assert drift(controller) == 1


async def test_a_workload_whose_change_was_missed_is_corrected(world, caplog):
    controller, lists, made = world
    controller.workload(workload(template=ONE_CORE, replicas=3, version=5))
    lists.workloads = [workload(template=ONE_CORE, replicas=7, version=9)]
    await made.once()
    assert controller.store.status("team")["used"]["limits.cpu"] == "7"
    assert "limits.cpu was 3, is 7" in caplog.text


async def test_a_watch_that_is_ahead_of_the_list_is_no_drift(world, caplog):
    controller, lists, made = world
    controller.workload(workload(template=ONE_CORE, replicas=3, version=5))
    controller.workload(workload("new", template=ONE_CORE, replicas=2, version=1001))
    lists.workloads = [workload(template=ONE_CORE, replicas=1, version=4)]
    await made.once()
    assert controller.store.status("team")["used"]["limits.cpu"] == "5"
    assert (drift(controller), "drift" in caplog.text) == (0, False)


async def test_every_status_is_written_whatever_happened(world):
    """Cash is booked at least this often."""
    controller, _, made = world
    await made.once()
    writes = controller.store.writes
    controller.clock.time += 300
    await made.once()
    assert controller.store.writes == writes + 1
    assert controller.store.status("team")["lastReconcileTime"] == "2026-01-05T10:05:00Z"


async def test_one_bizrq_that_cannot_be_written_does_not_stop_the_others(world):
    controller, _, made = world
    controller.store.refused_writes = 1
    await made.once()
    assert "team" in controller.sync._due  # it is tried again soon


async def test_one_bizrq_that_cannot_be_counted_does_not_stop_the_others(world, caplog):
    controller, lists, made = world
    controller.store.put(bizrq("aaa", hard={"limits.cpu": "10"}, created=NOW))
    controller.see("aaa", "team")
    lists.names = ["aaa", "team"]
    object.__setattr__(controller.inventory.bizrqs.get("aaa"), "hard", None)
    await made.once()
    assert "aaa: its status could not be counted" in caplog.text
    assert controller.store.status("team")["used"]["limits.cpu"] == "0"


def test_an_object_that_cannot_be_read_is_left_out_and_logged(caplog):
    good = bizrq("good")
    broken, unreadable = {"metadata": {"name": "broken", "uid": "uid-broken"}}, set[str]()
    assert [each.name for each in _readable([broken, good], read_bizrq, unreadable)] == ["good"]
    assert "broken could not be read" in caplog.text
    assert unreadable == {"uid-broken"}, "it is there all the same"


async def test_a_failed_list_raises_and_changes_nothing(world):
    controller, lists, made = world
    lists.fails = True
    with pytest.raises(Unavailable):
        await made.once()
    assert controller.store.writes == 0


def test_the_stand_in_has_the_methods_of_the_feed():
    assert set(dir(Lists)) & {name for name in dir(Feed) if not name.startswith("_")} == {"list_all"}
