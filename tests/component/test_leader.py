"""[R4] who works and who stands by: electors that share a Lease in memory, with clocks set by hand."""

import asyncio
import logging

import pytest

from bizrq.controller import leader
from bizrq.controller.leader import LEASE_SECONDS, Alone, Elector, new_identity
from bizrq.domain.floor import Floor
from tests.support.build import NOW
from tests.support.cas_leases import CasLeases
from tests.support.clocks import HandClock
from tests.support.controller import until

DEADLINE = leader._DEADLINE_SECONDS
FLOOR = Floor(100, NOW)


class Process:
    """An elector, and what it tells. It has a clock of its own, as every machine has."""

    def __init__(self, leases, name, floor=None):
        self.clock = HandClock()
        self.clock.waited = 1000.0 * len(name)  # monotonic clocks of two machines have nothing in common
        self.told: list[bool] = []
        self.failures = 0
        self.view = floor
        """The floor that it would store; None carries the stored one."""
        self.asked_over = []
        self.elector = Elector(
            leases, self.clock, identity=name, next_floor=self._next, changed=self.told.append, failed=self._failed
        )

    def _next(self, stored):
        self.asked_over.append(stored)
        return self.view or stored

    def _failed(self):
        self.failures += 1

    @property
    def leads(self):
        return self.elector.leading

    async def turn(self):
        await self.elector.turn()
        return self.leads


@pytest.fixture
def leases():
    return CasLeases()


@pytest.fixture
def a(leases):
    return Process(leases, "a")


@pytest.fixture
def b(leases):
    return Process(leases, "bb")


def pass_by(seconds, *processes):
    for each in processes:
        each.clock.waited += seconds


# --- one leads -------------------------------------------------------------------------------------------------------


async def test_the_first_one_leads_and_the_other_stands_by(leases, a, b):
    assert await a.turn()
    assert not await b.turn()
    assert (leases.stored.holder, leases.stored.transitions) == ("a", 0)
    assert (a.told, b.told) == ([True], [])


async def test_of_two_that_begin_at_once_one_leads(leases, a, b):
    await asyncio.gather(a.turn(), b.turn())
    assert [a.leads, b.leads].count(True) == 1


async def test_the_leader_renews_and_is_not_told_twice(leases, a):
    for _ in range(3):
        assert await a.turn()
        pass_by(2, a)
    assert (len(leases.history), leases.stored.transitions, a.told) == (3, 0, [True])


async def test_a_standby_writes_nothing(leases, a, b):
    await a.turn()
    for _ in range(3):
        await b.turn()
    assert len(leases.history) == 1


async def test_a_process_that_has_only_read_lets_nothing_go(leases, a, b):
    await a.turn()
    assert await b.elector.read() is None
    asked = leases.asked
    await b.elector.release()
    assert (leases.asked, leases.stored.holder) == (asked, "a")


async def test_a_process_that_ends_before_it_was_elected_asks_for_nothing(leases, a):
    leases.away = True
    await a.elector.release()
    assert (leases.asked, a.failures) == (0, 0)


# --- another takes over ----------------------------------------------------------------------------------------------


async def test_a_lease_that_stands_still_for_its_duration_is_taken(leases, a, b):
    await a.turn()
    await b.turn()
    pass_by(LEASE_SECONDS - 0.1, b)
    assert not await b.turn()
    pass_by(0.2, b)
    assert await b.turn()
    assert (leases.stored.holder, leases.stored.transitions) == ("bb", 1)


async def test_a_lease_that_is_renewed_is_never_taken(leases, a, b):
    await a.turn()
    for _ in range(30):
        pass_by(LEASE_SECONDS - 1, a, b)
        await a.turn()
        assert not await b.turn()


async def test_the_times_in_the_lease_are_compared_with_nothing(leases, a, b):
    """A machine whose clock is years off, on either side, changes nothing."""
    await a.turn()
    await leases.put(spec={"renewTime": "1999-01-01T00:00:00.000000Z", "acquireTime": None, "leaseDurationSeconds": 1})
    b.clock.time += 10**9
    assert not await b.turn()
    await leases.put(spec={"renewTime": "2999-01-01T00:00:00.000000Z"})
    assert not await b.turn()
    pass_by(LEASE_SECONDS, b)
    assert await b.turn()


async def test_what_was_read_at_the_start_counts_as_a_first_look(leases, a, b):
    await a.turn()
    await b.elector.read()
    pass_by(LEASE_SECONDS, b)
    assert await b.turn()


async def test_a_standby_that_was_stopped_takes_nothing_that_moved_meanwhile(leases, a, b):
    await a.turn()
    await b.turn()
    pass_by(2, a)
    await a.turn()
    pass_by(3600, b)
    assert not await b.turn()


async def test_a_lease_that_was_let_go_is_taken_at_once(leases, a, b):
    await a.turn()
    await b.turn()
    await a.elector.release()
    assert (leases.stored.holder, a.told) == ("", [True, False])
    assert await b.turn()
    assert leases.stored.transitions == 1


async def test_a_lease_that_somebody_deleted_is_made_anew(leases, a):
    await a.turn()
    await leases.delete()
    assert await a.turn()
    assert leases.stored.holder == "a"


# --- the leader ceases to lead ---------------------------------------------------------------------------------------


async def test_a_leader_that_cannot_renew_stops_before_another_may_begin(leases, a, b):
    await a.turn()
    await b.turn()
    leases.away = True
    pass_by(DEADLINE - 0.1, a, b)
    assert await a.turn()
    pass_by(0.1, a, b)
    assert not a.leads  # at that very moment, before it looks again
    assert not await a.turn()
    assert (a.told, a.failures) == ([True, False], 2)
    leases.away = False
    assert not await b.turn()
    assert await a.turn()
    assert a.told == [True, False, True]


async def test_a_leaders_time_counts_from_before_its_request(leases, a):
    """When it was stored on the way, nobody here knows."""

    async def slowly():
        pass_by(DEADLINE - 1, a)

    leases.before_write = slowly
    assert await a.turn()
    pass_by(1, a)
    assert not a.leads


async def test_a_leader_that_was_stopped_knows_before_it_does_anything(leases, a, b):
    await a.turn()
    await b.turn()
    pass_by(LEASE_SECONDS, a, b)
    assert await b.turn()
    assert not a.leads
    assert not await a.turn()
    assert (leases.stored.holder, a.told) == ("bb", [True, False])


async def test_a_leader_whose_time_has_passed_unnoticed_begins_anew(leases, a):
    """What it let go of meanwhile must be done: whoever is told wakes all bizrqs."""
    await a.turn()
    pass_by(DEADLINE, a)
    assert await a.turn()
    assert a.told == [True, False, True]


async def test_a_leader_that_finds_another_in_its_lease_stops_at_once(leases, a):
    await a.turn()
    await leases.put(spec={"holderIdentity": "c"})
    assert not await a.turn()
    assert a.told == [True, False]


async def test_an_answer_that_takes_too_long_is_given_up(leases, a, monkeypatch):
    monkeypatch.setattr(leader, "_REQUEST_SECONDS", 0.01)
    await a.turn()
    monkeypatch.setattr(leases, "replace", lambda _: asyncio.sleep(60))
    assert await a.turn()  # until its deadline
    assert a.failures == 1


async def test_a_lost_answer_is_read_back(leases, a):
    await a.turn()
    leases.lost_answers = 1
    pass_by(2, a)
    await a.turn()
    assert await a.turn()
    assert (leases.stored.transitions, a.told) == (0, [True])


async def test_a_lost_answer_to_the_first_write_is_read_back(leases, a):
    leases.lost_answers = 1
    assert not await a.turn()
    assert await a.turn()
    assert (leases.stored.holder, leases.stored.transitions) == ("a", 0)


async def test_a_lease_whose_answer_was_lost_is_let_go_too(leases, a):
    leases.lost_answers = 1
    await a.turn()
    await a.elector.release()
    assert leases.stored.holder == ""


async def test_letting_go_over_somebodys_edit(leases, a):
    await a.turn()
    leases.before_write = lambda: leases.put(metadata={"labels": {"x": "y"}})
    await a.elector.release()
    assert (leases.stored.holder, leases.stored.raw["metadata"]["labels"]) == ("", {"x": "y"})


async def test_what_cannot_be_let_go_ends_the_process_all_the_same(leases, a, caplog):
    await a.turn()
    leases.away = True
    await a.elector.release()
    assert not a.leads
    assert "the Lease could not be let go: no API server" in caplog.text


# --- the floor -------------------------------------------------------------------------------------------------------


async def test_every_renewal_carries_the_floor(leases, a):  # [C4]
    for version in (100, 150):
        a.view = Floor(version, NOW)
        await a.turn()
        assert leases.stored.floor == a.elector.floor == Floor(version, NOW)
    assert a.asked_over == [None, Floor(100, NOW)]


async def test_after_a_conflict_the_floor_is_computed_anew(leases, a):
    """[C4] Never written blindly: somebody else may have stored a higher one."""
    a.view = FLOOR
    await a.turn()
    leases.before_write = lambda: leases.put(metadata={"annotations": {"quota.bizrq.io/floor": f"{Floor(120, NOW)}"}})
    await a.turn()
    assert a.asked_over == [None, FLOOR, Floor(120, NOW)]


async def test_the_floor_stays_where_there_is_no_next_one(leases, a, b):
    a.view = FLOOR
    await a.turn()
    await a.elector.release()
    await b.turn()
    assert leases.stored.floor == b.elector.floor == FLOOR


async def test_letting_go_stores_the_last_floor(leases, a):
    a.view = FLOOR
    await a.turn()
    a.view = Floor(160, NOW)
    await a.elector.release()
    assert leases.stored.floor == Floor(160, NOW)


async def test_a_standby_knows_the_floor_as_it_was_read(leases, a, b):
    a.view = FLOOR
    await a.turn()
    assert await b.elector.read() == FLOOR
    a.view = Floor(170, NOW)
    await a.turn()
    await b.turn()
    assert b.elector.floor == Floor(170, NOW)


async def test_an_edit_that_is_no_floor_is_written_over(leases, a):
    await a.turn()
    await leases.put(metadata={"annotations": {"quota.bizrq.io/floor": "rubbish"}})
    a.view = FLOOR
    await a.turn()
    assert (a.asked_over[-1], leases.stored.floor) == (None, FLOOR)


async def test_a_floor_that_was_taken_away_is_none(leases, a):
    """What is not stored vouches for nothing."""
    a.view = FLOOR
    await a.turn()
    await leases.delete()
    a.view = None
    await a.turn()
    assert (a.asked_over, a.elector.floor, leases.stored.floor) == ([None, FLOOR, None], None, None)


async def test_the_floor_is_waited_for_at_the_start(leases, a, b, monkeypatch):
    monkeypatch.setattr(leader, "_RENEW_SECONDS", 0.01)
    a.view = FLOOR
    await a.turn()
    leases.away = True
    reading = asyncio.create_task(b.elector.read())
    await until(lambda: b.failures == 2)
    leases.away = False
    assert await reading == FLOOR


async def test_after_a_restored_etcd_this_process_vouches_for_nothing(leases, a, caplog):
    """[R2] What it knows of pods is of another history; it ends at the next resync, and another one knows better."""
    a.view = FLOOR
    await a.turn()
    backup = leases.stored
    a.view = Floor(500, NOW)
    await a.turn()
    await a.turn()
    leases.restore(backup)
    assert await a.turn()
    assert await a.turn()
    await a.elector.release()
    assert leases.stored.floor == FLOOR
    assert "etcd was restored" in caplog.text


# --- for ever, and without a Lease -----------------------------------------------------------------------------------


async def test_it_is_renewed_again_and_again(leases, a, monkeypatch):
    monkeypatch.setattr(leader, "_RENEW_SECONDS", 0.001)
    running = asyncio.create_task(a.elector.run())
    await until(lambda: len(leases.history) >= 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert a.leads


async def test_a_lease_that_stands_still_is_looked_at_the_moment_it_is_free(leases, a, b):
    shortest, longest = (leader._RENEW_SECONDS * each for each in (1 - leader._JITTER, 1 + leader._JITTER))
    await a.turn()
    await b.turn()
    assert shortest <= b.elector._pause() <= longest
    pass_by(LEASE_SECONDS - 0.5, b)
    assert b.elector._pause() == pytest.approx(0.5)
    pass_by(0.5, b)
    assert await b.turn()


async def test_a_takeover_is_logged(leases, a, caplog):
    caplog.set_level(logging.INFO)
    await a.turn()
    await leases.put(spec={"holderIdentity": "c"})
    await a.turn()
    lines = [line.message for line in caplog.records]
    assert lines == ["this controller leads: a", "this controller stands by: a"]


async def test_without_a_lease_a_controller_leads_always_and_has_no_floor():
    told: list[bool] = []
    alone = Alone(told.append)
    await alone.read()
    await alone.run()
    await alone.release()
    assert (alone.leading, alone.floor, told) == (True, None, [True])


def test_no_two_processes_have_one_identity():
    assert len({new_identity() for _ in range(100)}) == 100
