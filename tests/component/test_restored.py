"""[R2] a store that went back in time, as etcd does when it is restored: the process ends, with its memory."""

import asyncio

import kubernetes.client
import pytest
from click.testing import CliRunner

from bizrq.cli.main import main
from bizrq.cluster.credentials import Credentials
from bizrq.cluster.errors import Unavailable
from bizrq.controller import resync, run
from bizrq.controller.feed import Feed, Listing, RestoredError, take_over
from bizrq.controller.resync import Resync
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.settings import ControllerSettings
from bizrq.workloads.registry import built_in
from tests.support.build import NOW, bizrq
from tests.support.cas_store import CasStore
from tests.support.controller import Controller, started


@pytest.fixture
def controller(clock):
    store = CasStore()
    store.put(bizrq("team", hard={"pods": "10"}, created=NOW))
    return started(store, clock)


def listing(controller, version, *, held=None, names=("team",)):
    """What the API server lists now; ``held`` is what had been seen before it was asked."""
    bizrqs = [read_bizrq(controller.store.raw(name)) for name in names]
    seen = controller.inventory.bizrqs.newest if held is None else held
    return Listing(bizrqs, version, [], held_before=seen)


# --- what is told from a list ----------------------------------------------------------------------------------------


def test_a_list_older_than_what_was_seen_before_it_was_asked_for_says_that_the_store_was_restored(controller):
    seen = controller.store.version
    with pytest.raises(
        RestoredError, match=f"^bizrqs are listed at version {seen - 1}, and were seen at {seen} before$"
    ):
        take_over(listing(controller, seen - 1, names=()), controller.inventory)
    assert controller.inventory.bizrqs.get("team") is not None, "nothing of it is taken over"


@pytest.mark.parametrize("ahead", [0, 1, 1000])
def test_a_list_as_new_as_what_was_seen_is_taken_over(controller, ahead):
    take_over(listing(controller, controller.store.version + ahead), controller.inventory)


def test_what_a_watch_brought_while_the_list_was_on_its_way_restores_nothing(controller):
    """Compared is what was seen before the list was asked for."""
    before = listing(controller, controller.store.version)
    controller.store.put(controller.store.raw("team"))
    controller.see("team")
    take_over(before, controller.inventory)


def test_a_process_that_has_seen_nothing_takes_over_any_list(clock):
    """As after the new start."""
    fresh = Controller(CasStore(), clock)
    take_over(Listing([], 1, []), fresh.inventory)


class OldServer:
    """Lists as a restored API server: nothing, at a version that was long ago."""

    def __init__(self, version):
        self.version = version

    async def get(self, _, **__):
        return b'{"metadata": {"resourceVersion": "%d"}, "items": []}' % self.version


async def test_the_feed_remembers_what_was_seen_before_it_asks(controller):
    feed = Feed(OldServer(7), controller.reads, controller.inventory, built_in(), DEFAULT_GPU_RESOURCES)  # type: ignore[arg-type]
    with pytest.raises(RestoredError):
        take_over(await feed.list_all(), controller.inventory)
    feed = Feed(OldServer(10**6), controller.reads, controller.inventory, built_in(), DEFAULT_GPU_RESOURCES)  # type: ignore[arg-type]
    take_over(await feed.list_all(), controller.inventory)


async def test_a_bizrq_that_was_seen_and_is_gone_counts_too(controller):
    """Its version was the highest."""
    raw = controller.store.put(bizrq("last", hard={"pods": "1"}))
    controller.see("last")
    await controller.store.delete("last")
    controller.inventory.remove_bizrq(raw["metadata"]["uid"], "last", controller.store.version)
    with pytest.raises(RestoredError):
        take_over(listing(controller, int(raw["metadata"]["resourceVersion"]) - 1), controller.inventory)


# --- the resync ends -------------------------------------------------------------------------------------------------


class Lists:
    """Answers of ``Feed.list_all`` in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def list_all(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_restored_store_ends_the_resync(controller, monkeypatch):
    """While a list that fails does not."""
    monkeypatch.setattr(resync, "_DELIVERY_SECONDS", 0.0)
    good = controller.store.version
    lists = Lists(
        Unavailable("no API server"),
        listing(controller, good),
        ValueError("a fault of ours"),
        listing(controller, good - 1, held=good),
    )
    parts = (controller.inventory, controller.sync, controller.clock, controller.metrics)
    made = Resync(lists, *parts, seconds=0.0)  # type: ignore[arg-type]
    async with asyncio.timeout(10.0):
        with pytest.raises(RestoredError):
            await made.run()
    assert lists.answers == []
    assert controller.metrics.registry.get_sample_value("bizrq_resyncs_total", {"outcome": "done"}) == 1


# --- the process ends ------------------------------------------------------------------------------------------------


@pytest.fixture
def process(monkeypatch, clock):
    """A controller process whose work ends as that of a group of tasks does."""
    config = kubernetes.client.Configuration()
    config.host = "http://127.0.0.1:1"
    settings = ControllerSettings(metrics_port=0)

    def made(*errors):
        async def work(_):
            raise ExceptionGroup("unhandled errors in a TaskGroup", list(errors))

        monkeypatch.setattr(run.Controller, "_work", work)
        return run.Controller(settings, built_in(), Credentials(config), clock)

    return made


async def test_a_restored_store_ends_the_process(process):
    """With the error itself, out of the group of tasks."""
    with pytest.raises(RestoredError, match=r"^back in time$"):
        await process(RestoredError("back in time")).run()


async def test_it_is_told_whatever_else_ended_with_it(process):
    with pytest.raises(RestoredError):
        await process(ValueError("another task"), RestoredError("back in time")).run()


async def test_any_other_end_of_the_work_is_told_as_it_is(process):
    with pytest.raises(ExceptionGroup):
        await process(ValueError("a fault of ours")).run()


def test_the_command_ends_with_one_clear_line_and_exit_code_1(monkeypatch):
    """No traceback: whoever reads the log of the last container must see at once what happened."""

    def restored(_):
        msg = "bizrqs are listed at version 7, and were seen at 9 before"
        raise RestoredError(msg)

    monkeypatch.setattr(run, "run_controller", restored)
    result = CliRunner().invoke(main, ["controller"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: etcd was restored, it seems, and what is in memory is of no use: "
        "bizrqs are listed at version 7, and were seen at 9 before; start again\n"
    )
