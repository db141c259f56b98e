"""The rules of demand that lives in another object: a Rollout by workloadRef, whose template a Deployment has.

Each runs twice: as the code is, when nothing that must hold is violated, and with that one rule broken, when it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.model import lending_mutations as mutations
from tests.model.rules import LATER, broken
from tests.support.world.lending import LendingWorld
from tests.support.world.world import CPU


def used(world):
    return int(world.storage.status("A")["used"][CPU])


def claims(world):
    return world.storage.status("A").get("claims") or []


@contextlib.contextmanager
def lent(cpu=8, replicas=1) -> Iterator[LendingWorld]:
    """Bizrq A with the Deployment d, scaled to nothing, and the Rollout r, which has its template of one core."""
    with LendingWorld() as world:
        world.has_bizrq("A", cpu=cpu)
        world.has_workload("d", "A", cpu=1, replicas=0)
        world.has_rollout("r", "A", "d", replicas=replicas)
        world.begins()
        yield world


# --- who is asked ----------------------------------------------------------------------------------------------------


@broken(mutations.not_claimed, "I2")
def test_a_template_that_grows_is_claimed_for_those_that_have_it():
    """Growth of the template is growth of each Rollout."""
    with lent() as world:
        world.finish(world.change("d", cpu=2))
        assert used(world) == 2
        world.comes_to_rest()


@broken(mutations.not_claimed, "I1")
def test_what_does_not_fit_is_refused_with_all_it_would_grow():
    """All or nothing: the Deployment's own growth, and that of both Rollouts."""
    with LendingWorld() as world:
        world.has_bizrq("A", cpu=5)
        world.has_workload("d", "A", cpu=1)
        for name in ("r", "s"):
            world.has_rollout(name, "A", "d")
        world.begins()
        world.finish(world.change("d", cpu=2))
        assert used(world) == 3
        assert not claims(world)


def test_both_are_charged_each_for_itself():
    with LendingWorld() as world:
        world.has_bizrq("A", cpu=9)
        world.has_workload("d", "A", cpu=1, replicas=2)
        world.has_rollout("r", "A", "d", replicas=3)
        world.begins()
        assert used(world) == 5
        world.comes_to_rest()


# --- which version a claim is of, and when it closes -----------------------------------------------------------------


@broken(mutations.keyed_by_the_borrower, "I2")
def test_the_claim_is_of_the_version_of_the_lender():
    """A status of the Rollout says nothing of what became of the Deployment's change."""
    with lent() as world:
        change = world.change("d", cpu=2)
        world.touch("r")
        world.sees("r")
        world.writes("A")
        world.finish(change)
        assert change.is_stored
        assert used(world) == 2


@broken(mutations.closed_by_the_borrower, "I2")
def test_it_closes_only_by_a_later_version_of_the_lender():
    """That the Rollout is seen closes nothing."""
    with lent() as world:
        for _ in range(3):
            world.touch("r")
        world.finish(world.change("d", cpu=2))
        world.touch("r")
        while world.controllers[0].is_behind("r"):
            world.sees("r")
        world.writes("A")
        assert used(world) == 2
        world.sees("d")
        world.writes("A")
        assert (used(world), claims(world)) == (2, [])


@broken(mutations.other_object_not_waited_for, "I2")
def test_it_stays_until_the_borrower_is_in_view_as_it_was_claimed():
    """The Deployment is seen, and the Rollout only as it was before it was scaled."""
    with lent() as world:
        world.finish(world.scale("r", 2))
        world.finish(world.change("d", cpu=2))
        world.sees("d")
        world.writes("A")
        assert used(world) == 4
        world.comes_to_rest()


@broken(mutations.other_object_not_waited_for, "I2")
def test_a_claim_of_the_borrower_stays_until_the_lender_is_in_view_as_it_was_claimed():
    """The Rollout is seen, and the Deployment only as it was before its template grew."""
    with lent() as world:
        world.finish(world.change("d", cpu=2))
        world.finish(world.scale("r", 2))
        world.sees("r")
        world.writes("A")
        assert used(world) == 4
        world.comes_to_rest()


# --- two growths at a time -------------------------------------------------------------------------------------------


@broken(mutations.overlaps, "(I1|I2)")
def test_a_borrower_does_not_grow_while_its_template_does():
    """The review of a scale knows the template of now, and not the one that was allowed."""
    with lent() as world:
        growing = world.change("d", cpu=2)
        scaled = world.scale("r", 2)
        world.finish(scaled)
        world.finish(growing)
        assert not scaled.is_stored
        assert used(world) == 2


@broken(mutations.overlaps, "(I1|I2)")
def test_a_template_does_not_grow_while_a_borrower_does():
    """The review of the Deployment knows the replicas of now, and not those that were allowed."""
    with lent() as world:
        scaled = world.scale("r", 2)
        growing = world.change("d", cpu=2)
        world.finish(growing)
        world.finish(scaled)
        assert not growing.is_stored
        assert used(world) == 2


@broken(mutations.overlaps, "(I1|I2)")
def test_a_template_does_not_grow_while_a_borrower_is_made():
    """No list shows it yet."""
    with lent() as world:
        made = world.create_rollout("s", "A", "d")
        growing = world.change("d", cpu=2)
        world.finish(growing)
        world.finish(made)
        assert not growing.is_stored


@broken(mutations.idle_templates_are_not_claimed, "(I1|I2)")
def test_a_template_that_nobody_has_yet_is_claimed_too():
    """A Rollout is made for it at this moment: only the claim tells its review that the template grows."""
    with LendingWorld() as world:
        world.has_bizrq("A", cpu=8)
        world.has_workload("d", "A", cpu=1, replicas=0)
        world.begins()
        growing = world.change("d", cpu=2)
        made = world.create_rollout("r", "A", "d")
        world.finish(made)
        world.finish(growing)
        assert not made.is_stored


@broken(mutations.decided_once, "(I1|I2)")
def test_what_a_borrower_was_decided_with_is_looked_at_again_once_it_is_claimed():
    """The Deployment grew, was stored and seen while the scale waited for its write."""
    with LendingWorld(replicas=2) as world:
        world.has_bizrq("A", cpu=8)
        world.has_workload("d", "A", cpu=1, replicas=0)
        world.has_rollout("r", "A", "d")
        world.begins()
        world.replicas[0].connection.writes.shut()
        scaled = world.scale("r", 2)
        world.finish(world.change("d", cpu=2, how={"replica": 1}))
        world.sees("d")
        world.writes("A")
        world.replicas[0].connection.writes.open()
        world.loop.until_idle()
        world.finish(scaled)
        assert scaled.is_stored
        world.comes_to_rest()
        assert used(world) == 4


@broken(mutations.decided_once, "(I1|I2)")
def test_the_borrowers_are_listed_again_once_the_template_is_claimed():
    """The Rollout was scaled, stored and seen while the Deployment's change waited for its write."""
    with LendingWorld(replicas=2) as world:
        world.has_bizrq("A", cpu=8)
        world.has_workload("d", "A", cpu=1, replicas=0)
        world.has_rollout("r", "A", "d")
        world.begins()
        world.replicas[0].connection.writes.shut()
        growing = world.change("d", cpu=2)
        world.finish(world.scale("r", 2, how={"replica": 1}))
        world.sees("r")
        world.writes("A")
        world.replicas[0].connection.writes.open()
        world.loop.until_idle()
        world.finish(growing)
        assert growing.is_stored
        world.comes_to_rest()
        assert used(world) == 4


@broken(mutations.switching_is_not_claimed, "(I1|I2)")
def test_a_workload_that_takes_another_template_says_so_in_a_claim():
    """It grows by nothing at that moment; but the template it takes may be growing."""
    with lent() as world:
        world.finish(world.create("e", "A", cpu=1, replicas=0))
        switched = world.refer("r", "e")
        growing = world.change("e", cpu=2)
        world.finish(growing)
        world.finish(switched)
        assert not growing.is_stored


# --- the lender goes -------------------------------------------------------------------------------------------------


def test_without_its_lender_a_borrower_is_charged_as_before():
    with lent(replicas=2) as world:
        world.finish(world.delete("d"))
        world.sees("d")
        world.touch("r")
        world.sees("r")
        world.writes("A")
        assert used(world) == 2


@broken(mutations.new_lenders_are_not_claimed, "I2")
def test_a_lender_made_anew_is_growth_of_all_that_its_borrowers_ask_for():
    """What they were charged with the one before, nobody knows any more."""
    with lent() as world:
        world.finish(world.delete("d"))
        made = world.finish(world.create("d", "A", cpu=3, replicas=0))
        assert made.is_stored
        assert used(world) >= 3
        world.comes_to_rest()


def test_a_change_that_failed_leaves_no_claim():
    with lent() as world:
        world.change("d", cpu=2, how=LATER).fail()
        world.change("d", cpu=2).fail()
        assert used(world) == 2
        world.comes_to_rest()
