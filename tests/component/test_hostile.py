"""What people may try, and what machines do at the worst moment: no hours are lost, doubled or put on somebody else."""

import asyncio

import pytest

from bizrq.cluster.errors import NotFound, Unavailable
from tests.support.build import NOW, bizrq, container, pod_spec
from tests.support.cas_store import CasStore
from tests.support.controller import Controller, job, job_pod, running, started, team, until

HOUR = 3600


@pytest.fixture
def store():
    store = CasStore()
    store.put(team())
    store.put(bizrq("other", hard={"cash/limits.cpu": "100"}, created=NOW - HOUR))
    return store


@pytest.fixture
def controller(store, clock):
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see("team", "other")
    return controller


def ledger(status):
    return int(status["cash"]["ledger"]["limits.cpu"])


@pytest.mark.parametrize("label", ["other", "nobody", ""])
async def test_a_new_label_takes_no_hours_back(controller, clock, label):
    """[C7] one segment is closed at the move, and the next begins: what was charged before stays where it was."""
    controller.workload(job(version=5))
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 100
    await controller.write("team")
    controller.workload(job(version=6, bizrq=label))
    clock.time += 100
    stays = label == ""  # no home at all: as if it had gone
    assert ledger(await controller.write("team")) == (200_000 if stays else 100_000)
    assert ledger(await controller.write("other")) == (100_000 if label == "other" else 0)
    controller.pod(job_pod("b", created=NOW + 200, scheduled=NOW + 200, version=61))
    clock.time += 10
    assert ledger(await controller.write("team")) == (210_000 if stays else 100_000)
    assert ledger(await controller.write("other")) == (120_000 if label == "other" else 0)


async def test_a_pod_that_is_gone_stays_where_it_was_when_its_workload_is_relabelled(controller, clock):
    controller.workload(job(version=5))
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 100
    controller.pod_deleted(job_pod("a", scheduled=NOW, finished=[NOW + 100], phase="Succeeded", version=61))
    await controller.write("other")
    controller.workload(job(version=6, bizrq="other"))
    assert ledger(await controller.write("team")) == 100_000
    assert ledger(await controller.write("other")) == 0


async def test_a_lost_answer_and_a_new_label_double_nothing(controller, store, clock):
    controller.workload(job(version=5))
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 100
    controller.pod_deleted(job_pod("a", scheduled=NOW, finished=[NOW + 100], phase="Succeeded", version=61))
    store.lost_answers = 1
    with pytest.raises(Unavailable):
        await controller.write("team")
    controller.workload(job(version=6, bizrq="other"))
    assert ledger(await controller.write("team")) + ledger(await controller.write("other")) == 100_000


async def test_a_pod_of_another_namespace_costs_the_named_owner_nothing(controller, clock):
    """An owner is of the pod's own namespace; a UID can be written by anybody who has read it."""
    controller.workload(job())
    controller.pod(job_pod("forged", scheduled=NOW, version=60, namespace="elsewhere"))
    clock.time += 100
    assert ledger(await controller.write("team")) == 0


async def test_a_pod_resized_down_keeps_the_price_of_the_most_it_held(controller, clock):
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 100
    small = job_pod("a", scheduled=NOW, version=61)
    small["spec"] = {**pod_spec(container(limits={"cpu": "1m"})), "nodeName": "n1"}
    controller.pod(small)
    assert ledger(await controller.write("team")) == 100_000
    controller.woken.clear()
    small["metadata"]["resourceVersion"] = "62"
    controller.pod(small)
    assert controller.woken == set(), "its later events say nothing new"


async def test_a_vanished_pod_of_a_quiet_cluster_is_charged_to_the_last_bookmark(controller, clock):
    """[C6] the watch was good as long as bookmarks came, also if no pod changed for hours."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 3000
    controller.inventory.pods.passed(70, clock.time)
    clock.time += 100
    controller.pods_listed([], 90)
    assert ledger(await controller.write("team")) == 3_000_000


async def test_hours_that_a_clock_charged_ahead_are_taken_back_once_it_is_right(controller, clock, caplog):
    """[C2] E <= now."""
    controller.workload(job())
    controller.pod(job_pod("a", scheduled=NOW, version=60))
    clock.time += 30 * 24 * HOUR
    await controller.write("team")
    clock.time = NOW + 60
    assert ledger(await controller.write("team")) == 60_000
    assert "hours charged ahead are taken back" in caplog.text


async def test_a_lone_404_to_a_write_hides_no_bizrq(controller, store):
    """A proxy on the way, or a server that is starting, may say so; the bizrq is there."""
    write = store.replace_status

    async def lost(_):
        raise NotFound("not here")

    store.replace_status = lost
    await controller.write("team")
    store.replace_status = write
    assert (await controller.write("team"))["used"]["pods"] == "0"


async def test_cash_keys_without_hours_go_with_their_place_in_hard(controller, store, clock):
    """Else a group could fill its status with keys until it can be written no more."""
    for number in range(5):
        await store.update_spec("team", {"hard": {f"cash/limits.cpu.m{number}-{key}": "1" for key in range(200)}})
        controller.see("team")
        await controller.write("team")
    assert len(store.status("team")["cash"]["ledger"]) == 200


async def test_templates_and_models_without_end_do_not_fill_the_memory(controller, monkeypatch):
    from bizrq.inventory import holdings

    monkeypatch.setattr(holdings, "_AMOUNTS", 10)
    for number in range(50):
        controller.workload(job(f"j{number}", cpu_type=f"m{number}"))
        controller.pod(job_pod(f"p{number}", of=f"j{number}", scheduled=NOW, version=60 + number))
    assert len(controller.inventory.pods.holdings._amounts) <= 10


async def test_writes_that_fail_are_tried_again_after_ever_longer_waits(store, clock, monkeypatch):
    controller = started(store, clock)
    store.refused_writes = 10**6
    waits: list[tuple[str, float]] = []
    monkeypatch.setattr(controller.sync, "_wake_in", lambda name, seconds: waits.append((name, seconds)))
    for _ in range(8):
        await controller.sync._look_at("team")
    assert [name for name, _ in waits] == ["team"] * 8
    for (_, seconds), usual in zip(waits, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.7 * usual <= seconds <= 1.3 * usual


async def test_an_end_begins_no_new_writes(store, clock):
    """SIGTERM: those on their way are finished, those that only wait for their turn are not begun."""
    names = [f"t{number}" for number in range(40)]
    for name in names:
        store.put(bizrq(name, hard={"pods": "1"}))
    controller = Controller(store, clock)
    controller.start([], 50)
    controller.see(*names)
    begun, go_on = [], asyncio.Event()
    write = store.replace_status

    async def slow(raw):
        begun.append(raw["metadata"]["name"])
        await go_on.wait()
        return await write(raw)

    store.replace_status = slow
    task = await running(controller)
    for name in names:
        controller.sync.wake(name)
    await until(lambda: len(begun) == 8)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait([task])
    assert (len(begun), store.writes) == (8, 8)
