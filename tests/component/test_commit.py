"""[A3, A4, A13] group commit: requests for growth that come together are decided and claimed together."""

import asyncio

import pytest

from bizrq.cluster.errors import Conflict, Denied, Gone, NotFound, Unavailable
from bizrq.domain.admission import Again, Ask, Granted, LookFirst, Refused
from bizrq.domain.claims import Growth
from bizrq.domain.resource_names import GpuResources
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook import commit
from bizrq.webhook.commit import Committers, Missing
from tests.support.build import amounts, bizrq
from tests.support.faulty_store import FaultyStore
from tests.support.quotas import counted, line


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(commit, "_FIRST_PAUSE", 0.0001)
    monkeypatch.setattr(commit, "_LONGEST_PAUSE", 0.001)
    monkeypatch.setattr(commit, "_FAILED_SECONDS", 0.001)


@pytest.fixture
def store():
    store = FaultyStore()
    store.put(counted({"pods": "10"}))
    return store


class Replica:
    """The committers of one process."""

    def __init__(self, store, clock):
        self.metrics = WebhookMetrics()
        self.committers = Committers(store, clock, self.metrics, GpuResources())

    async def claim(self, ask, *, bizrq="team", seconds=5.0):
        return await self.committers.claim(bizrq, ask, asyncio.get_running_loop().time() + seconds)

    def writes(self, outcome):
        return self.metrics.registry.get_sample_value("bizrq_claims_writes_total", {"outcome": outcome}) or 0


@pytest.fixture
def replica(store, clock):
    return Replica(store, clock)


def ask(pods=1, *, uid="u", version=0, old=0):
    return Ask(Growth(uid, version, f"x/y/{uid}", amounts({"pods": str(old)}), amounts({"pods": str(pods)})))


def used(store):
    return store.status("team")["used"]["pods"]


async def _turns(count=20):
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- together --------------------------------------------------------------------------------------------------------


async def test_many_requests_at_once_take_few_writes(store, replica):
    """[A3] while one write is on its way, the next requests gather."""
    store.put(counted({"pods": "1000"}))
    store.free.clear()
    first = asyncio.create_task(replica.claim(ask(uid="first")))
    await _turns()
    others = [asyncio.create_task(replica.claim(ask(uid=f"u{number}"))) for number in range(200)]
    await _turns()
    store.free.set()
    assert await asyncio.gather(first, *others) == [Granted()] * 201
    assert store.writes == 2
    assert len(store.claims("team")) == 201
    assert used(store) == "201"


async def test_more_than_a_batch_takes_more_than_one_write(store, replica, monkeypatch):
    """A batch is bounded; nobody is left behind."""
    monkeypatch.setattr(commit, "_BATCH", 16)
    store.put(counted({"pods": "1000"}))
    answers = await asyncio.gather(*(replica.claim(ask(uid=f"u{number}")) for number in range(50)))
    assert answers == [Granted()] * 50
    assert store.writes == 4


async def test_there_is_one_committer_a_bizrq(store, replica):
    """A second one would only conflict with the first."""

    async def some(number):
        for turn in range(5):
            await replica.claim(ask(0, uid=f"u{number}-{turn}", version=7))

    await asyncio.gather(*(some(number) for number in range(20)))
    assert store.most_at_once == 1
    assert replica.writes("conflict") == 0


async def test_bizrqs_do_not_wait_for_each_other(store, replica):
    store.put(counted({"pods": "10"}, name="other"))
    store.free.clear()
    waiting = asyncio.create_task(replica.claim(ask()))
    also = asyncio.create_task(replica.claim(ask(uid="v"), bizrq="other"))
    await _turns()
    assert store.read_count == 2
    store.free.set()
    assert [await waiting, await also] == [Granted(), Granted()]


async def test_the_order_within_a_batch_is_that_of_arrival(store, replica):
    """One request's refusal touches no other."""
    sizes = [5, 4, 3, 2, 1]
    answers = await asyncio.gather(*(replica.claim(ask(size, uid=f"u{size}")) for size in sizes))
    assert [isinstance(each, Granted) for each in answers] == [True, True, False, False, True]
    assert [claim.uid for claim in store.claims("team")] == ["u5", "u4", "u1"]
    assert used(store) == "10"


@pytest.mark.parametrize("replicas", [1, 3])
async def test_never_more_is_granted_than_hard_whatever_number_of_replicas(store, clock, replicas):
    """[A3] and nothing less: all of it is granted."""
    processes = [Replica(store, clock) for _ in range(replicas)]
    answers = await asyncio.gather(
        *(processes[number % replicas].claim(ask(3, uid=f"u{number}")) for number in range(12))
    )
    assert sum(isinstance(each, Granted) for each in answers) == 3
    assert all(isinstance(each, Granted | Refused) for each in answers)
    assert used(store) == "9"
    assert len(store.claims("team")) == 3


# --- fresh or not ----------------------------------------------------------------------------------------------------


async def test_an_allow_may_start_from_what_the_last_write_returned(store, replica):
    """The compare-and-swap proves that it was fresh."""
    await replica.claim(ask(uid="a"))
    await replica.claim(ask(uid="b"))
    assert (store.read_count, store.writes) == (1, 2)


@pytest.mark.parametrize("first", ["refused", "name taken"])
async def test_a_refusal_is_given_only_on_a_read_begun_after_the_request_came(store, replica, first):
    """What a controller has freed meanwhile is seen."""
    await replica.claim(ask(10, uid="a"))
    asked = ask(1, uid="b") if first == "refused" else Ask(Growth("b", 0, "x/y/a", {}, amounts({"pods": "0"})))
    store.put(counted({"pods": "10"}))  # the controller has seen the end of it
    assert await replica.claim(asked) == Granted()
    assert store.read_count == 2


async def test_a_refusal_is_no_cache_s_word_and_the_next_one_needs_no_cache(store, replica):
    """What a cache has is enough for an allow only: the write proves that it was fresh."""
    assert isinstance(await replica.claim(ask(11)), Refused)
    assert (store.read_count, store.writes) == (2, 0)
    assert isinstance(await replica.claim(ask(12, uid="v")), Refused)
    assert (store.read_count, store.writes) == (3, 0)


@pytest.mark.parametrize("old", ["full", "gone"])
async def test_a_cache_that_lags_behind_refuses_nobody(store, replica, monkeypatch, old):
    """[A2, A7] it may have a use that was given back, or not know the bizrq yet."""
    read = store.read

    async def cached(name, *, recent=False):
        if not recent:
            return await read(name)
        if old == "gone":
            raise NotFound(name)
        return counted({"pods": "10"}, used={"pods": "10"})

    monkeypatch.setattr(store, "read", cached)
    assert await replica.claim(ask(3)) == Granted()
    assert used(store) == "3"


async def test_a_cache_that_lags_behind_grants_nobody(store, replica, monkeypatch):
    """[A3] the write is a compare-and-swap on the version that it had."""
    read, old = store.read, store.raw("team")
    store.put(counted({"pods": "10"}, used={"pods": "9"}))

    async def cached(name, *, recent=False):
        return old if recent else await read(name)

    monkeypatch.setattr(store, "read", cached)
    assert isinstance(await replica.claim(ask(3)), Refused)
    assert (used(store), replica.writes("conflict")) == ("9", 1)


async def test_a_refusal_in_a_batch_has_the_whole_batch_decided_anew(store, replica):
    """On one version."""
    await replica.claim(ask(1, uid="a"))
    answers = await asyncio.gather(replica.claim(ask(2, uid="b")), replica.claim(ask(11, uid="c")))
    assert [type(each) for each in answers] == [Granted, Refused]
    assert (store.read_count, store.writes) == (2, 2)
    assert used(store) == "3"


async def test_what_a_write_returned_is_not_kept_for_long(store, replica, monkeypatch):
    """The controller writes soon after; a committer without requests ends."""
    monkeypatch.setattr(commit, "_KEPT_SECONDS", 0.0)
    await replica.claim(ask(uid="a"))
    while replica.committers._running:  # noqa: ASYNC110  # its end has no event
        await asyncio.sleep(0)
    await replica.claim(ask(uid="b"))
    assert store.read_count == 2


# --- conflicts and lost answers --------------------------------------------------------------------------------------


async def test_on_conflict_the_check_is_made_again_on_the_fresh_object(store, replica):
    """[A3]."""
    store.before_write = lambda: store.put(counted({"pods": "10"}, used={"pods": "10"}))
    answer = await replica.claim(ask())
    assert isinstance(answer, Refused)
    assert "used: pods=10" in answer.message
    assert store.writes == 0
    assert replica.writes("conflict") == 1


async def test_after_conflicts_what_still_fits_is_granted(store, replica):
    """[A3]."""
    store.write_errors = [Conflict("team")] * 5
    assert await replica.claim(ask()) == Granted()
    assert (replica.writes("conflict"), replica.writes("stored")) == (5, 1)
    assert used(store) == "1"


async def test_a_lost_answer_is_asked_again_and_granted_once(store, replica):
    """[A4] the claim is found and renewed: a new line, the same amounts, and used rises once."""
    lines = []
    store.lost_answers = 1
    store.before_write = lambda: None

    async def watch():
        while not store.status("team").get("claims"):  # noqa: ASYNC110  # the store has no event
            await asyncio.sleep(0)
        lines.extend(store.status("team")["claims"])

    _, answer = await asyncio.gather(watch(), replica.claim(ask(4)))
    assert answer == Granted()
    (renewed,) = store.status("team")["claims"]
    assert renewed not in lines
    assert used(store) == "4"
    assert (store.writes, replica.writes("failed"), replica.writes("stored")) == (2, 1, 1)


async def test_a_lost_answer_of_a_batch_doubles_nothing(store, replica):
    """[A4]."""
    store.lost_answers = 2
    answers = await asyncio.gather(*(replica.claim(ask(2, uid=f"u{number}")) for number in range(6)))
    assert [type(each) for each in answers] == [Granted] * 5 + [Refused]
    assert used(store) == "10"
    assert len(store.claims("team")) == 5


async def test_a_write_that_failed_is_tried_again(store, replica):
    store.write_errors = [Unavailable("no")]
    store.read_errors = [Unavailable("no"), Gone("no")]
    assert await replica.claim(ask()) == Granted()
    assert (store.writes, used(store)) == (1, "1")


# --- what cannot be decided ------------------------------------------------------------------------------------------


async def test_what_is_not_decided_by_its_deadline_is_asked_for_again_later(store, replica):
    """[A13] contention, or an API server that is slow."""
    store.away = True
    answer = await replica.claim(ask(), seconds=0.02)
    assert answer == Again("team could not be claimed in time: many ask, or the API server is slow")


async def test_a_deadline_that_has_passed_reads_nothing(store, replica):
    """[A13]."""
    assert isinstance(await replica.claim(ask(), seconds=-1.0), Again)
    assert store.asked == 0


async def test_each_request_has_a_deadline_of_its_own(store, replica):
    """[A13] one that is late does not take the others with it."""
    late, other = await asyncio.gather(replica.claim(ask(uid="a"), seconds=-1.0), replica.claim(ask(uid="b")))
    assert (type(late), other) == (Again, Granted())
    assert [claim.uid for claim in store.claims("team")] == ["b"]


async def test_a_write_that_is_denied_is_not_tried_for_ever(store, replica, caplog):
    """[A13] retrying is no use; the log says why."""
    store.write_errors = [Denied("claims: forbidden")]
    answer = await replica.claim(ask())
    assert isinstance(answer, Again)
    assert answer.message.endswith("log says why")
    assert "claims: forbidden" in caplog.text
    assert store.read_count == 1
    assert await replica.claim(ask()) == Granted(), "the next request is decided anew"


async def test_a_read_that_is_denied_says_try_again(store, replica):
    """[A13]."""
    store.read_errors = [Denied("forbidden")]
    assert isinstance(await replica.claim(ask()), Again)


@pytest.mark.parametrize("gone_at", ["read", "write"])
async def test_a_bizrq_that_is_not_there_is_missing(store, replica, gone_at):
    """[A7]."""
    store.put(bizrq("team", hard={"pods": "10"}, status=counted({"pods": "10"})["status"]))
    if gone_at == "write":
        store.before_write = lambda: store._objects.pop("team")
    else:
        await store.delete("team")
    assert await replica.claim(ask()) == Missing()


async def test_an_error_of_our_own_is_logged_and_ends_nothing(store, replica, monkeypatch, caplog):
    """[A13] never with a hang."""
    real = replica.committers.decide

    def fails(account, asked):
        monkeypatch.setattr(replica.committers, "decide", real)
        msg = "a fault"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(replica.committers, "decide", fails)
    assert await replica.claim(ask()) == Again("an error of bizrq itself; its log says more")
    assert "ZeroDivisionError" in caplog.text
    assert await replica.claim(ask()) == Granted()


async def test_a_name_that_is_taken_is_told_and_claimed_nowhere(store, replica):
    """[A4]."""
    store.put(counted({"pods": "10"}, claims=[line("other", 0, {"pods": "1"}, {}, object_="x/y/u")]))
    assert await replica.claim(ask()) == LookFirst()
    assert store.writes == 0


async def test_a_committer_that_ends_answers_those_who_wait(store, replica):
    """[A13] never with a hang."""
    store.free.clear()
    first = asyncio.create_task(replica.claim(ask(uid="a")))
    await _turns()
    second = asyncio.create_task(replica.claim(ask(uid="b")))
    await _turns()
    replica.committers._running["team"]._task.cancel()
    async with asyncio.timeout(1.0):
        assert await second == Again("this replica of the webhook ends")
        assert isinstance(await first, Again), "the batch on its way too"


# --- who gives up ----------------------------------------------------------------------------------------------------


async def test_whoever_gives_up_waiting_stops_nothing(store, replica):
    """The claim that is on its way is made, and ends by itself [A4]; the others are answered."""
    store.free.clear()
    first = asyncio.create_task(replica.claim(ask(uid="a")))
    other = asyncio.create_task(replica.claim(ask(uid="b")))
    await _turns()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    store.free.set()
    assert await other == Granted()


async def test_whoever_gave_up_before_a_batch_is_not_decided_on(store, replica):
    """There is nobody to be told."""
    store.free.clear()
    first = asyncio.create_task(replica.claim(ask(uid="a")))
    await _turns()
    second = asyncio.create_task(replica.claim(ask(uid="b")))
    await _turns()
    second.cancel()
    store.free.set()
    assert await first == Granted()
    assert await replica.claim(ask(uid="c")) == Granted()
    assert [claim.uid for claim in store.claims("team")] == ["a", "c"]


# --- dry-run ---------------------------------------------------------------------------------------------------------


async def test_a_trial_is_answered_as_it_would_be_and_claims_nothing(store, replica):
    """[A5]."""
    assert await replica.committers.try_out("team", ask()) == Granted()
    assert isinstance(await replica.committers.try_out("team", ask(11)), Refused)
    assert await replica.committers.try_out("nobody", ask()) == Missing()
    store.away = True
    with pytest.raises(Unavailable):
        await replica.committers.try_out("team", ask())
    assert store.writes == 0
