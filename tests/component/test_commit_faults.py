"""[A3, A13] group commit while something goes wrong: one bad request or one dead connection holds up nobody else."""

import asyncio

import pytest

from bizrq.cluster.errors import Invalid, Unavailable
from bizrq.domain.admission import Again, Ask, Granted
from bizrq.domain.claims import Growth
from bizrq.domain.resource_names import GpuResources
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook import commit
from bizrq.webhook.commit import Committers, Missing
from tests.support.build import amounts
from tests.support.faulty_store import FaultyStore
from tests.support.quotas import counted

POISON = "poison"
STALL_SECONDS = commit._STALL_SECONDS


class Picky(FaultyStore):
    """A store that never takes what one request asks for, as where its line is of a form that the schema refuses."""

    error: Exception = Invalid("status.claims[3]: no such form")
    stalls = 0
    """So many of the next writes of a status are never answered."""
    read_stalls = 0

    async def replace_status(self, raw):
        if self.stalls:
            self.stalls -= 1
            await asyncio.Event().wait()
        if any(f" {POISON} " in line for line in raw["status"].get("claims") or ()):
            self.ask()
            raise self.error
        return await super().replace_status(raw)

    async def read(self, name, **how):
        if self.read_stalls:
            self.read_stalls -= 1
            await asyncio.Event().wait()
        return await super().read(name, **how)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(commit, "_FIRST_PAUSE", 0.0001)
    monkeypatch.setattr(commit, "_LONGEST_PAUSE", 0.001)
    monkeypatch.setattr(commit, "_FAILED_SECONDS", 0.001)
    monkeypatch.setattr(commit, "_STALL_SECONDS", 0.05)


@pytest.fixture
def store():
    store = Picky()
    store.put(counted({"pods": "1000"}))
    return store


class Replica:
    """The committers of one process."""

    def __init__(self, store, clock):
        self.metrics = WebhookMetrics()
        self.committers = Committers(store, clock, self.metrics, GpuResources())

    async def claim(self, uid="u", pods=1, *, bizrq="team", seconds=5.0):
        ask = Ask(Growth(uid, 0, f"x/y/{uid}", {}, amounts({"pods": str(pods)})))
        return await self.committers.claim(bizrq, ask, asyncio.get_running_loop().time() + seconds)

    def writes(self, outcome):
        return self.metrics.registry.get_sample_value("bizrq_claims_writes_total", {"outcome": outcome}) or 0


@pytest.fixture
def replica(store, clock):
    return Replica(store, clock)


async def _turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


# --- one bad request -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Invalid("status.claims[3]: no such form"), Unavailable("500 etcdserver: too large")])
@pytest.mark.parametrize("others", [1, 30])
async def test_what_can_never_be_written_does_not_fail_the_others_of_its_batch(store, replica, error, others):
    """The batch is halved until only the bad request is left, which is told to try again; all wait equally long."""
    store.error = error
    uids = [f"u{number}" for number in range(others)] + [POISON]
    answers = await asyncio.gather(*(replica.claim(uid, seconds=0.5) for uid in uids))
    assert answers[:-1] == [Granted()] * others
    assert isinstance(answers[-1], Again)
    assert sorted(claim.uid for claim in store.claims("team")) == sorted(uids[:-1])
    assert store.status("team")["used"]["pods"] == str(others)


@pytest.mark.parametrize("error", [Invalid("422"), Unavailable("500")])
@pytest.mark.parametrize("at", [0, 1, 5, 10])
async def test_wherever_the_bad_request_stands_in_its_batch_the_others_are_granted_in_time(store, replica, at, error):
    """All wait equally long."""
    store.error = error
    uids = [f"u{number}" for number in range(10)]
    uids.insert(at, POISON)
    answers = await asyncio.gather(*(replica.claim(uid, seconds=0.5) for uid in uids))
    assert {uid for uid, answer in zip(uids, answers, strict=True) if answer != Granted()} == {POISON}


async def test_a_request_that_the_schema_refuses_is_given_up_at_once_and_holds_up_nobody(store, replica):
    async with asyncio.timeout(1.0):
        bad = asyncio.create_task(replica.claim(POISON, seconds=30.0))
        await _turns()
        assert await replica.claim("later") == Granted()
        assert isinstance(await bad, Again)


async def test_the_next_batch_is_decided_as_ever(store, replica):
    assert isinstance(await replica.claim(POISON, seconds=0.05), Again)
    assert await replica.claim() == Granted()
    assert store.status("team")["used"]["pods"] == "1"


async def test_a_batch_that_failed_for_a_moment_is_granted_whole(store, replica):
    """[A4] nothing is granted twice, though the answer of a write was lost before the batch was halved."""
    store.lost_answers = 1
    answers = await asyncio.gather(*(replica.claim(f"u{number}", 80) for number in range(10)))
    assert answers == [Granted()] * 10
    assert len(store.claims("team")) == 10
    assert store.status("team")["used"]["pods"] == "800"


async def test_a_bizrq_that_goes_while_a_batch_is_halved_is_missing_to_all_of_it(store, replica):
    """[A7]."""
    store.write_errors = [Unavailable("no")]
    answers = [asyncio.create_task(replica.claim(f"u{number}")) for number in range(4)]
    await _turns(2)
    while store.write_errors:  # noqa: ASYNC110  # the store has no event
        await asyncio.sleep(0)
    store._objects.pop("team")
    assert await asyncio.gather(*answers) == [Missing()] * 4


# --- no answer -------------------------------------------------------------------------------------------------------


async def test_a_write_without_an_answer_is_given_up_and_the_batch_goes_on(store, replica, caplog):
    """Perhaps its connection is dead, and the next one is not."""
    store.stalls = 1
    async with asyncio.timeout(3.0):
        answers = await asyncio.gather(*(replica.claim(f"u{number}") for number in range(6)))
    assert answers == [Granted()] * 6
    assert "claims are tried again: no answer within" in caplog.text
    assert (replica.writes("failed"), store.status("team")["used"]["pods"]) == (1, "6")


async def test_a_read_without_an_answer_is_given_up_too(store, replica):
    store.read_stalls = 1
    async with asyncio.timeout(3.0):
        assert await replica.claim() == Granted()


async def test_a_stalled_write_that_was_stored_all_the_same_is_granted_once(store, replica, monkeypatch):
    """[A4] whether it was done is unknown; the same request again renews its line."""
    write = store.replace_status

    async def late(raw):
        monkeypatch.setattr(store, "replace_status", write)
        await write(raw)
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "replace_status", late)
    async with asyncio.timeout(3.0):
        assert await replica.claim("u", 7) == Granted()
    assert (len(store.claims("team")), store.status("team")["used"]["pods"]) == (1, "7")


def test_two_seconds_are_given_to_an_answer():
    """Whoever waits has some 4 s."""
    assert STALL_SECONDS == 2.0


# --- Retry-After -----------------------------------------------------------------------------------------------------


async def test_a_server_that_asks_to_wait_for_long_is_asked_before_whoever_waits_has_gone(store, replica, monkeypatch):
    """[A13]."""
    monkeypatch.setattr(commit, "_LONGEST_FAILED_SECONDS", 0.01)
    store.read_errors = [Unavailable("503", retry_after=3600.0)]
    store.write_errors = [Unavailable("429", retry_after=30.0)]
    async with asyncio.timeout(3.0):
        assert await replica.claim() == Granted()


async def test_what_a_server_asks_for_is_waited_for_within_that(store, replica, monkeypatch):
    pauses = []
    sleep = asyncio.sleep

    async def noted(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(commit, "_LONGEST_FAILED_SECONDS", 1.5)
    store.read_errors = [Unavailable("503", retry_after=1.0), Unavailable("503", retry_after=9.0), Unavailable("503")]
    monkeypatch.setattr(asyncio, "sleep", noted)
    assert await replica.claim() == Granted()
    waits = [seconds for seconds in pauses if seconds]
    assert 0.75 <= waits[0] <= 1.25
    assert 1.1 <= waits[1] <= 1.9
    assert waits[2] < 0.01
