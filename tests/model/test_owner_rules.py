"""[A8] Whose children are believed, and how the others stay counted: each rule with the shortest run that needs it."""

from tests.model import owner_mutations as mutations
from tests.model.rules import broken
from tests.model.test_claims_rules import claims, one, used
from tests.support.world.world import TRUSTED


def marked(world, name):
    """The claims of a bizrq are marks, and nothing else."""
    return [line.rpartition(" ")[2] for line in claims(world, name)]


@broken(mutations.being_seen_closes_it, "I2")
def test_being_seen_leaves_the_mark_of_a_child_that_is_not_believed():
    """It is charged as long as it is there, over restarts, and not longer."""
    with one() as world:
        made = world.finish(world.create("w1", "A", cpu=1, owner="w0"))
        world.sees("w1")
        for _ in range(2):
            world.writes("A")
        assert made.is_stored
        assert (used(world, "A"), marked(world, "A")) == (2, ["own"])
        world.restarts()
        world.writes("A")
        assert not world.create("w2", "A", cpu=1).is_allowed
        world.finish(world.delete("w1"))
        world.comes_to_rest()
        assert (used(world, "A"), claims(world, "A")) == (1, [])


@broken(mutations.a_reference_alone_is_believed, "I2")
def test_an_owner_reference_alone_proves_nothing():
    """Only a trusted controller makes children."""
    with one() as world:
        world.finish(world.create("w1", "A", cpu=1, owner="w0"))
        assert used(world, "A") == 2


@broken(mutations.any_owner_is_believed, "I2")
def test_a_trusted_controller_is_believed_only_for_a_live_counted_owner():
    """One under another bizrq is none, nor is one that is gone."""
    with one() as world:
        world.has_workload("w3", None, cpu=1)
        made = world.finish(world.create("w1", "A", cpu=1, owner="w3", by=TRUSTED))
        assert made.is_stored
        assert used(world, "A") == 2


def test_a_child_that_is_believed_is_charged_to_its_owner():
    """And by itself once its owner is gone."""
    with one() as world:
        assert world.finish(world.create("w1", "A", cpu=2, owner="w0", by=TRUSTED)).is_stored
        world.comes_to_rest()
        assert (used(world, "A"), claims(world, "A")) == (1, [])


@broken(mutations.the_mark_is_not_looked_for, "I2")
def test_what_is_marked_grows_by_claim_whoever_changes_it():
    """A Deployment's controller scales what names it as its owner, whoever made that."""
    with one(cpu=3) as world:
        world.finish(world.create("w1", "A", cpu=1, owner="w0"))
        world.sees("w1")
        world.writes("A")
        world.finish(world.change("w1", cpu=2, by=TRUSTED))
        assert used(world, "A") == 3
        assert not world.change("w1", cpu=3, by=TRUSTED).is_allowed


@broken(mutations.a_later_owner_is_not_asked_about, "I2")
def test_an_owner_that_comes_later_is_claimed_as_growth():
    """Or else what runs could hide behind it."""
    with one() as world:
        world.finish(world.create("w1", "A", cpu=1))
        world.sees("w1")
        world.writes("A")
        world.finish(world.give_owner("w1", "w0"))
        world.sees("w1")
        world.writes("A")
        assert used(world, "A") == 2


@broken(mutations.a_failed_change_closes_the_mark, "I2")
def test_a_change_that_fails_leaves_the_mark():
    """And gives back what it had claimed."""
    with one(cpu=3) as world:
        world.finish(world.create("w1", "A", cpu=1, owner="w0"))
        world.sees("w1")
        world.writes("A")
        world.change("w1", cpu=2).fail()
        assert used(world, "A") == 3
        world.writes("A")
        world.pass_time(61)
        for _ in range(2):
            world.writes("A")
        assert (used(world, "A"), marked(world, "A")) == (2, ["own"])


@broken(mutations.growth_drops_the_mark, "I2")
def test_a_claim_that_replaces_one_keeps_its_mark():
    """At a later version it is still a child that nobody believes."""
    with one(cpu=3) as world:
        world.finish(world.create("w1", "A", cpu=1, owner="w0"))
        world.finish(world.change("w1", cpu=2))
        for _ in range(2):
            world.sees("w1")
        world.writes("A")
        assert (used(world, "A"), marked(world, "A")) == (3, ["own"])


@broken(mutations.the_mark_keeps_its_amounts, "I3")
def test_a_mark_holds_no_amounts():
    """What shrinks is charged what it demands."""
    with one(cpu=4) as world:
        world.finish(world.create("w1", "A", cpu=2, owner="w0"))
        world.finish(world.change("w1", cpu=1))
        world.comes_to_rest()
        assert used(world, "A") == 2


@broken(mutations.a_growing_child_is_charged_its_growth, "I2")
def test_a_believed_child_that_somebody_grows_is_charged_in_full():
    """What its owner is charged stands for it no more."""
    with one(cpu=3) as world:
        world.finish(world.create("w1", "A", cpu=1, owner="w0", by=TRUSTED))
        world.sees("w1")
        world.writes("A")
        grown = world.finish(world.change("w1", cpu=2, by="alice"))
        assert grown.is_stored
        world.storage.makers[world.uid_of("w1")] = "alice"
        world.check()
        assert used(world, "A") == 3
