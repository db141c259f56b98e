"""The series of bizrqs: those that are there now, of the controller that works, and no others."""

import asyncio
import threading

import aiohttp
import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bizrq.observability.health import HealthServer
from bizrq.observability.metrics import ControllerMetrics
from tests.support.build import NOW, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller
from tests.support.quotas import counted

CPU = "limits.cpu"
HARD = {CPU: "10", "pods": "20", f"cash/{CPU}": "100"}


@pytest.fixture
def controller(clock):
    store = CasStore()
    store.put(counted(HARD, name="dept"))
    store.put(counted(HARD, name="team", parent="dept"))
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see("dept", "team")
    return controller


@pytest.fixture
def series(controller):
    """Everything that a scrape shows of bizrqs, as it is read: by name and labels."""

    def series():
        controller.show()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(generate_latest(controller.metrics.registry).decode())
            for sample in family.samples
            if "bizrq" in sample.labels
        }

    return series


async def test_every_bizrq_has_its_series_as_its_status_says(controller, series):
    controller.workload(workload("web", replicas=3, template=ONE_CORE, version=60))
    controller.clock.time += 5
    await controller.write("team")
    found = series()
    assert found["bizrq_info", "team", "dept", "dept"] == found["bizrq_info", "dept", "", "dept"] == 1
    assert (found["bizrq_hard", "team", CPU], found["bizrq_used", "team", CPU]) == (10, 3)
    assert found["bizrq_self_used", "team", CPU] == 3
    assert found["bizrq_cash_hard_resource_seconds", "team", f"cash/{CPU}"] == 360_000
    assert found["bizrq_condition", "team", "Ready"] == 1
    assert found["bizrq_condition", "team", "OverQuota"] == 0
    assert found["bizrq_last_reconcile_timestamp_seconds", "team"] == NOW + 5
    assert found["bizrq_claims_open", "team"] == 0
    assert found["bizrq_over_admissions_total", "team", CPU] == 0


def test_the_series_of_a_bizrq_go_away_with_it(controller, series):
    controller.metrics.bizrqs.above = controller.metrics.bizrqs.beyond = {"team": 1, "dept": 2}
    controller.metrics.bizrqs.above_amounts = {"team": {CPU: 1.5}}
    assert {labels[1] for labels in series()} == {"dept", "team"}
    controller.inventory.remove_bizrq(controller.store.raw("team")["metadata"]["uid"], "team", 900)
    assert {labels[1] for labels in series()} == {"dept"}


def test_a_standby_shows_none(controller, series):
    """[R4] else everything would be there twice."""
    controller.leading = False
    assert series() == {}
    controller.leading = True
    assert series()


def test_a_key_that_is_no_longer_limited_is_no_longer_shown(controller, series):
    """[K5]"""
    raw = controller.store.raw("team")
    controller.store.put({**raw, "spec": {**raw["spec"], "hard": {"pods": "20"}}})
    controller.see("team")
    assert {labels[2] for labels in series() if labels[:2] == ("bizrq_used", "team")} == {"pods"}


def test_names_of_keys_are_written_so_that_they_are_read_back(controller, series):
    controller.store.put(counted({"requests.nvidia.com/mig-1g.5gb": "1"}, name="gpu"))
    controller.see("gpu")
    assert series()["bizrq_hard", "gpu", "requests.nvidia.com/mig-1g.5gb"] == 1


async def scraped(port):
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        return await response.text()


async def test_a_scrape_brings_the_metrics_up_to_date_and_is_made_beside_everything_else():
    """The loop goes on while a long list of series is written down."""
    metrics = ControllerMetrics()
    began, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow:
        def collect(self):
            loop.call_soon_threadsafe(began.set)
            assert may_end.wait(10)
            return ()

        def describe(self):
            return ()

    metrics.registry.register(Slow())
    server = HealthServer(0, metrics.registry, live={}, ready={}, collect=lambda: metrics.leader.set(1))
    await server.start()
    scrape = asyncio.create_task(scraped(server.port))
    await asyncio.wait_for(began.wait(), 10)
    assert not scrape.done()
    may_end.set()
    assert "\nbizrq_leader 1.0\n" in await scrape
    await server.stop()
