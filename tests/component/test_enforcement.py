"""Enforcement is active, off, or nobody knows; each change is logged with its reason."""

import asyncio
import logging
from typing import Any

import pytest

from bizrq.cluster.errors import Denied, Invalid, NotFound, Unavailable, error_of
from bizrq.controller.enforcement import Enforcement
from bizrq.domain.probe import PROBE_KEY, probe
from bizrq.observability.metrics import ControllerMetrics
from tests.support.build import NOW, read
from tests.support.clocks import HandClock
from tests.support.configurations import configuration
from tests.support.quotas import counted

REFUSED = Invalid(f'422 admission webhook "bizrqs.quota.bizrq.io" denied the request: spec.hard.{PROBE_KEY}: none')
AWAY = error_of(500, '500 failed calling webhook "bizrqs.quota.bizrq.io": Post "https://h/s3cret/bizrqs": refused')


class ApiServer:
    """What admission is configured, and answers; asked by whom and how often."""

    def __init__(self):
        self.stored: Any = configuration()
        self.answer: Any = REFUSED
        self.tried: list[str] = []

    async def configuration(self, name):
        assert name == "bizrq"
        if isinstance(self.stored, Exception):
            raise self.stored
        return self.stored

    async def try_out(self, bizrq, change):
        assert change == probe()
        self.tried.append(bizrq)
        answer = self.answer[bizrq] if isinstance(self.answer, dict) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def server():
    return ApiServer()


class Looking(Enforcement):
    """With what a test steers it by."""

    def __init__(self, server, name="bizrq"):
        self.bizrqs = [read(counted({"pods": "1"}, name=each)) for each in ("team", "other")]
        self.clock, self.leads = HandClock(), True
        self.metrics = ControllerMetrics()
        super().__init__(name, server, lambda: self.bizrqs, self.clock, self.metrics, leading=lambda: self.leads)

    def counted(self):
        """How often what was found."""
        looks = self.metrics.enforcement_looks
        return tuple(int(looks.labels(found)._value.get()) for found in ("active", "off", "unknown"))


@pytest.fixture
def enforcement(server):
    return Looking(server)


async def test_it_is_active_where_the_probe_is_refused_by_our_webhook(enforcement, server):
    assert enforcement.active is None, "nobody has looked yet"
    await enforcement.look()
    assert enforcement.active is True
    assert server.tried == ["team"]


async def test_each_look_is_counted_by_what_it_found(enforcement, server):
    """One that finds nothing shows nowhere else: the right to read the configuration is missing, say."""
    for answer, stored in ((REFUSED, server.stored), (AWAY, server.stored), (REFUSED, Denied("403 forbidden"))):
        server.answer, server.stored = answer, stored
        await enforcement.look()
    server.stored = configuration()
    await enforcement.look()
    assert enforcement.counted() == (2, 1, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("stored", None, id="no configuration"),
        pytest.param("stored", {"webhooks": []}, id="another configuration"),
        pytest.param("answer", AWAY, id="no answer"),
        pytest.param("answer", (), id="accepted"),
    ],
)
async def test_it_is_off_otherwise_and_each_change_is_logged_once(enforcement, server, caplog, field, value):
    right = getattr(server, field)
    with caplog.at_level(logging.INFO):
        for state in (right, value, right):
            setattr(server, field, state)
            for _ in range(3):
                await enforcement.look()
            assert enforcement.active is (state is right)
    assert [each.levelname for each in caplog.records] == ["INFO", "ERROR", "INFO"]
    assert caplog.messages[1].startswith("enforcement is off: ")
    assert "s3cret" not in caplog.text


async def test_what_is_off_for_another_reason_than_before_is_logged(enforcement, server, caplog):
    server.answer = AWAY
    await enforcement.look()
    server.stored = None
    await enforcement.look()
    assert [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]


async def test_a_wrong_configuration_is_not_probed(enforcement, server):
    server.stored = {"webhooks": []}
    await enforcement.look()
    assert server.tried == []


@pytest.mark.parametrize("error", [Unavailable("no answer within 4 s"), Denied("403 may not get")])
async def test_where_nothing_can_be_found_out_the_last_finding_stands_for_a_minute(enforcement, server, caplog, error):
    await enforcement.look()
    caplog.clear()
    server.stored = error
    enforcement.clock.waited = 59
    await enforcement.look()
    assert enforcement.active is True
    enforcement.clock.waited = 61
    await enforcement.look()
    assert enforcement.active is None
    assert caplog.messages == [f"whether the webhook is asked could not be found out: {error}"]


@pytest.mark.parametrize("error", [NotFound("404 gone"), Invalid("422 spec.hard: the schema has changed")])
async def test_a_bizrq_that_cannot_be_tried_is_no_answer_and_the_next_one_is(enforcement, server, error):
    """It goes at that moment, or is of an older form."""
    server.answer = {"team": error, "other": REFUSED}
    await enforcement.look()
    assert (server.tried, enforcement.active) == (["team", "other"], True)


async def test_only_some_are_tried_at_a_time(enforcement, server):
    enforcement.bizrqs *= 5
    server.answer = NotFound("404 gone")
    await enforcement.look()
    assert (len(server.tried), enforcement.active) == (3, None)


async def test_without_a_bizrq_the_configuration_tells(enforcement, server):
    enforcement.bizrqs = [read(counted({"pods": "1"}, deletion=NOW))]
    await enforcement.look()
    assert (server.tried, enforcement.active) == ([], True)
    server.stored = None
    await enforcement.look()
    assert enforcement.active is False


async def test_a_standby_knows_nothing_and_asks_nobody(enforcement, server):
    await enforcement.look()
    enforcement.leads = False
    assert enforcement.active is None
    task = asyncio.create_task(enforcement.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert server.tried == ["team"]
    enforcement.leads = True
    enforcement.soon()
    async with asyncio.timeout(5):
        while enforcement.active is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert server.tried == ["team", "team"]
    task.cancel()


async def test_without_a_name_nobody_looks(server):
    enforcement = Looking(server, "")
    await asyncio.wait_for(enforcement.run(), 5)
    assert (server.tried, enforcement.active) == ([], None)
