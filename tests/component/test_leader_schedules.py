"""[R4] three electors in schedules drawn at random: pauses, lost answers, outages, slow writes; broken rules too."""

import asyncio
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from bizrq.controller import leader
from bizrq.controller.leader import Elector
from bizrq.domain.floor import Floor, next_floor
from tests.support.build import NOW
from tests.support.cas_leases import CasLeases
from tests.support.clocks import HandClock


class Step(NamedTuple):
    """Something happens to one of them, after some time."""

    who: int
    seconds: float
    what: str


WHAT = ["turn", "turn", "turn", "slow", "lost", "away", "release"]
STEPS = st.lists(st.builds(Step, st.integers(0, 2), st.sampled_from([0.0, 2.0, 6.0, 9.0, 11.0, 15.0]),
                           st.sampled_from(WHAT)), max_size=14)  # fmt: skip


class Broken(Exception):
    """Two lead at once, or the floor went back."""


class Trial:
    """Three electors over one Lease. All clocks run alike, as those of machines do, from starts of their own."""

    def __init__(self):
        self.leases = CasLeases()
        self.clocks = [HandClock() for _ in range(3)]
        for number, clock in enumerate(self.clocks):
            clock.waited = 1000.0 * number
        self.view = 100
        self.electors = [self.elector(number) for number in range(3)]

    def elector(self, number):
        def above(stored):
            return next_floor(stored, Floor(self.view - 10 * number, NOW), None)  # not all see as much

        return Elector(
            self.leases, self.clocks[number], identity=f"p{number}", next_floor=above,
            changed=lambda _: None, failed=lambda: None,
        )  # fmt: skip

    async def do(self, step):
        elector = self.electors[step.who]
        await self.pass_by(step.seconds)
        self.leases.away = step.what == "away"
        if step.what == "lost":
            self.leases.lost_answers = 1
        if step.what == "slow":  # another one looks while this one's write is on its way
            self.leases.before_write = self.meanwhile(step)
        await (elector.release() if step.what == "release" else elector.turn())
        self.leases.away, self.leases.lost_answers, self.leases.before_write = False, 0, None
        self.check()

    def meanwhile(self, step):
        async def another():
            await self.pass_by(3.0)
            await self.electors[(step.who + 1) % 3].turn()
            self.check()

        return another

    async def pass_by(self, seconds):
        self.view += 7
        for clock in self.clocks:
            clock.waited += seconds
        self.check()

    def check(self):
        if [each.leading for each in self.electors].count(True) > 1:
            raise Broken("two lead")
        floors = [lease.floor.version for lease in self.leases.history if lease.floor]
        if floors != sorted(floors):
            raise Broken("the floor went back")


def is_broken(steps):
    async def run():
        trial = Trial()
        for step in steps:
            await trial.do(step)

    try:
        asyncio.run(run())
    except Broken:
        return True
    return False


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_at_no_instant_do_two_lead_and_the_floor_never_goes_back(steps):  # [R4, C4]
    assert not is_broken(steps)


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_whatever_happened_one_leads_in_the_end(steps):
    async def run():
        trial = Trial()
        for step in steps:
            await trial.do(step)
        for _ in range(10):
            await trial.pass_by(2.0)
            for each in trial.electors:
                await each.turn()
        assert [each.leading for each in trial.electors].count(True) == 1

    asyncio.run(run())


# --- broken rules ----------------------------------------------------------------------------------------------------


def a_leader_goes_on_while_another_begins(patch):
    """Its deadline is longer than the Lease."""
    patch.setattr(leader, "_DEADLINE_SECONDS", 2 * leader.LEASE_SECONDS)


def every_lease_is_free(patch):
    """Whoever looks takes it."""
    patch.setattr(Elector, "_is_free", lambda *_: True)


def since_is_never_renewed(patch):
    """The first look at any version counts, as if it had stood still since."""
    seen = Elector._seen

    def once(self, lease):
        since = self._since
        seen(self, lease)
        self._since = min(since, self._since)

    patch.setattr(Elector, "_seen", once)


def writes_are_blind(patch):
    """No compare-and-swap."""

    async def blind(self, lease):
        await self._meanwhile()
        return self._answer(lease.raw)

    patch.setattr(CasLeases, "replace", blind)


def the_stored_floor_is_not_asked_for(patch):
    """Each stores what it knows, whatever another one stored."""
    patch.setattr(Elector, "_floor_over", lambda self, _: self._next_floor(None))


MUTATIONS = [
    a_leader_goes_on_while_another_begins,
    every_lease_is_free,
    since_is_never_renewed,
    writes_are_blind,
    the_stored_floor_is_not_asked_for,
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.__name__)
def test_a_broken_rule_is_found(mutation, monkeypatch):
    mutation(monkeypatch)
    quickly = settings(max_examples=3000, deadline=None, database=None, phases=[Phase.generate])
    try:
        find(STEPS, is_broken, settings=quickly)
    except NoSuchExample:
        pytest.fail("nobody notices")
