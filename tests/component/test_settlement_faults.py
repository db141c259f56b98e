"""[A4] a claim that cannot be looked for holds up no other one, and not the write of its bizrq."""

import logging

import pytest

from bizrq.cluster.errors import Denied, Invalid, Unavailable
from tests.support.build import bizrq, workload
from tests.support.controller import DEPLOYMENT, Controller
from tests.support.faulty_store import FaultyStore
from tests.support.quotas import line
from tests.support.webhook import FaultyReads

GOOD = line("uid-gone", 70, {"pods": "4"}, {"pods": "4"}, object_="deployments.apps/shop/gone")
BAD = line("uid-bad", 70, {"pods": "3"}, {"pods": "3"}, object_="deployments.apps/shop/bad")


class Reads(FaultyReads):
    """Live reads of which that of the workload ``bad`` fails."""

    error: Exception | None = None

    async def workload(self, kind, namespace, name):
        if self.error is not None and name == "bad":
            self.reads += 1
            raise self.error
        return await super().workload(kind, namespace, name)


@pytest.fixture
async def controller(clock):
    store = FaultyStore()
    store.put(bizrq("team", hard={"pods": "20"}))
    controller = Controller(store, clock)
    controller.reads = controller.sync._settlement._reads = Reads(store)
    controller.start([], 50)
    controller.see("team")
    await controller.write("team")
    return controller


async def look(controller, *lines):
    """A webhook has claimed; the claims are looked for once they are due. The status after that."""
    raw = controller.store.raw("team")
    figures = {"pods": "7"}
    controller.store.put(
        {**raw, "status": {**raw["status"], "used": figures, "selfUsed": figures, "claims": list(lines)}}
    )
    controller.see("team")
    await controller.write("team", always=False)
    controller.clock.waited += 61.0
    return await controller.write("team", always=False)


def broken(**metadata):
    raw = workload("bad", uid="uid-bad", version=70)
    raw["metadata"] = {name: value for name, value in {**raw["metadata"], **metadata}.items() if value is not None}
    return raw


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(broken(resourceVersion="no number"), id="a version that is no number"),
        pytest.param(broken(uid=None), id="no UID"),
        pytest.param(broken(labels={"biz.group.resource.quota": ["team"]}), id="a label that is no text"),
        pytest.param({"metadata": None}, id="no metadata"),
    ],
)
async def test_an_object_that_cannot_be_read_is_logged_and_the_others_are_settled(controller, caplog, raw):
    """Its claim stays open."""
    controller.reads.workloads[DEPLOYMENT.id, "shop", "bad"] = raw
    with caplog.at_level(logging.WARNING):
        status = await look(controller, BAD, GOOD)
    assert status["claims"] == [BAD]
    assert status["used"]["pods"] == "3"
    assert f"team: a claim cannot be settled, its object cannot be read: {BAD}" in caplog.text


@pytest.mark.parametrize("error", [Denied("deployments: forbidden"), Unavailable("503"), Invalid("400"), OSError("?")])
async def test_a_read_that_fails_is_logged_and_the_others_are_settled(controller, caplog, error):
    """As where the right to read one kind is missing."""
    controller.reads.error = error
    status = await look(controller, BAD, GOOD)
    assert (status["claims"], status["used"]["pods"]) == ([BAD], "3")
    assert str(error) in caplog.text
    controller.reads.error = None
    controller.clock.waited += 15.0
    assert "claims" not in await controller.write("team", always=False)


async def test_a_kind_that_this_process_does_not_know_is_logged_and_the_others_are_settled(controller, caplog):
    """Its webhook has another file of kinds: this process cannot tell."""
    odd = line("uid-odd", 70, {"pods": "3"}, {"pods": "3"}, object_="sparkapps.example.com/shop/odd")
    status = await look(controller, odd, GOOD)
    assert (status["claims"], status["used"]["pods"]) == ([odd], "3")
    assert "this process does not count that kind; give it the same file of kinds as the webhook" in caplog.text


@pytest.mark.parametrize(
    "object_", ["deployments.apps", "deployments.apps/shop", "/", "//", "deployments.apps/../../x", "x" * 300]
)
async def test_an_object_that_is_no_object_is_passed_over(controller, object_):
    """Somebody has edited the line."""
    odd = f"1 uid-odd 70 {object_} 2026-01-05T09:59:58.214Z pods=3:3"
    status = await look(controller, odd, GOOD)
    assert GOOD not in (status.get("claims") or [])
    assert status["used"]["pods"] == ("3" if odd in (status.get("claims") or []) else "0")


async def test_what_cannot_be_read_is_not_read_at_every_write(controller):
    controller.reads.error = Denied("no")
    await look(controller, BAD)
    for _ in range(5):
        await controller.write("team")
    assert controller.reads.reads == 1


async def test_many_that_cannot_be_read_leave_the_bizrq_written(controller):
    """Nothing is decided from memory, and nothing else waits for it."""
    lines = [
        line(f"u{number}", 70, {"pods": "1"}, {"pods": "1"}, object_=f"deployments.apps/shop/w{number}")
        for number in range(7)
    ]
    controller.reads.faulty.away = False
    read = controller.reads.workload

    async def away(*_):
        raise Unavailable("no API server")

    controller.reads.workload = away
    status = await look(controller, *lines)
    assert (status["claims"], status["used"]["pods"]) == (lines, "7")
    assert status["lastReconcileTime"]
    controller.reads.workload = read
    controller.clock.waited += 15.0
    assert "claims" not in await controller.write("team", always=False)


@pytest.mark.parametrize("amounts", ["pods=-1:0", "pods=-100:-100", "pods=no:1"])
async def test_a_line_with_amounts_that_cannot_be_read_lowers_nothing(controller, amounts):
    """[A4] while it is open nobody knows what used may be lowered to; its head tells when it closes."""
    damaged = f"1 uid-gone 70 deployments.apps/shop/gone 2026-01-05T09:59:58.214Z {amounts}"
    raw = controller.store.raw("team")
    figures = {"pods": "7"}
    controller.store.put(
        {**raw, "status": {**raw["status"], "used": figures, "selfUsed": figures, "claims": [damaged]}}
    )
    controller.see("team")
    status = await controller.write("team")
    assert (status["used"]["pods"], status["selfUsed"]["pods"], status["claims"]) == ("7", "7", [damaged])
    controller.clock.waited += 61.0
    status = await controller.write("team")
    assert (status["used"]["pods"], status.get("claims")) == ("0", None)
