"""The rules that keep children within their parent, each with the shortest run of events that needs it.

Each runs twice, as those of the claims do: as the code is, and with that one rule broken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.model import tree_mutations as mutations
from tests.model.rules import LATER, broken
from tests.support.world.world import CPU, MEMORY, World


@contextlib.contextmanager
def parent(cpu=2, *, child: int | None = None, child_memory: int | None = None) -> Iterator[World]:
    """Bizrq P, and its child c0 where the cores of that are given."""
    with World() as world:
        world.has_bizrq("P", cpu=cpu)
        if child is not None:
            world.has_bizrq("c0", "P", cpu=child, memory=child_memory)
        world.begins()
        yield world


def taken_in(world, name):
    return int(world.storage.status(name)["used"][CPU])


def hard_of(world, name):
    return world.storage.raw(name)["spec"]["hard"]


def sees_all_and_writes(world, name):
    world.controllers[0].catches_up()
    world.writes(name)


# --- a parent that goes ----------------------------------------------------------------------------------------------


@broken(mutations.claims_are_overlooked, "J1")
def test_parents_delete_looks_at_claims():
    """A bizrq that is granting quota to a child being created cannot be deleted."""
    with parent() as world:
        create, delete = world.create_bizrq("c1", "P", cpu=1), world.delete("P")
        world.finish(create)
        world.finish(delete)
        sees_all_and_writes(world, "P")
        assert "P" in world.storage.names()
        assert create.is_stored


@broken(mutations.children_come_from_a_cache, "J1")
def test_parents_delete_lists_children_live():
    """Whether a bizrq has children is asked of what is stored after the review began."""
    with parent() as world:
        world.finish(world.create_bizrq("c1", "P", cpu=1))
        sees_all_and_writes(world, "P")
        world.finish(world.delete("P"))
        sees_all_and_writes(world, "P")
        assert "P" in world.storage.names()


@broken(mutations.terminating_parents_grant, "J1")
def test_a_terminating_parent_grants_nothing():
    """A bizrq with a deletionTimestamp gives no quota to a child."""
    with parent() as world:
        create = world.create_bizrq("c1", "P", cpu=1, how=LATER)
        world.finish(world.delete("P"))
        world.review(create)
        world.finish(create)
        sees_all_and_writes(world, "P")
        assert world.storage.names() == []


@broken(mutations.stored_over_another_version("P"), "J1")
def test_parents_request_is_decided_again():
    """A claim in the parent's status is another version of it: its own requests are reviewed again."""
    with parent() as world:
        create = world.create_bizrq("c1", "P", cpu=1, how=LATER)
        delete = world.delete("P")
        assert delete.is_allowed
        world.review(create)
        world.finish(create)
        world.finish(delete)
        sees_all_and_writes(world, "P")
        assert "P" in world.storage.names()


# --- keys ------------------------------------------------------------------------------------------------------------


@broken(mutations.claims_are_overlooked, "J4")
def test_a_new_key_looks_at_claims():
    """A parent gains no key that a child being created lacks."""
    with parent(3) as world:
        create = world.create_bizrq("c1", "P", cpu=1)
        gain = world.set_hard("P", cpu=3, memory=1)
        world.finish(create)
        world.finish(gain)
        assert MEMORY not in hard_of(world, "P")


@broken(mutations.children_come_from_a_cache, "J4")
def test_a_new_key_lists_children_live():
    """Which keys children have is asked of what is stored after the review began."""
    with parent(3) as world:
        world.finish(world.create_bizrq("c1", "P", cpu=1))
        sees_all_and_writes(world, "P")
        world.finish(world.set_hard("P", cpu=3, memory=1))
        assert MEMORY not in hard_of(world, "P")


@broken(mutations.dropped_keys_are_not_claimed, "J4")
def test_dropping_a_key_is_growth():
    """A child that drops a key claims that in its parent."""
    with parent(3, child=1, child_memory=1) as world:
        gain, drop = world.set_hard("P", cpu=3, memory=1), world.set_hard("c0", cpu=1)
        assert gain.is_allowed
        world.finish(drop)
        world.finish(gain)
        assert MEMORY not in hard_of(world, "P")


@broken(mutations.a_key_of_either_claim_is_there, "J4")
def test_absent_key_wins_in_a_merge():
    """Of two requests on one version, either may be the one that is stored: a key that one of them lacks is absent."""
    with parent(3, child=1, child_memory=1) as world:
        drop, grow = world.set_hard("c0", cpu=1), world.set_hard("c0", cpu=2, memory=1)
        assert grow.is_allowed
        grow.fail()
        gain = world.set_hard("P", cpu=3, memory=1)
        world.finish(drop)
        world.finish(gain)
        assert MEMORY not in hard_of(world, "P")


@broken(mutations.keys_of_status_hard, "J4")
def test_keys_of_the_parents_spec_hard():
    """A child needs the keys of its parent's spec.hard; status.hard lags behind."""
    with parent(3) as world:
        create = world.create_bizrq("c1", "P", cpu=1, how=LATER)
        world.finish(world.set_hard("P", cpu=3, memory=1))
        world.review(create)
        world.finish(create)
        assert world.storage.names() == ["P"]


# --- amounts ---------------------------------------------------------------------------------------------------------


@broken(mutations.status_hard_alone, "I1")
def test_the_smaller_of_spec_and_status_hard():
    """Enforced is the smaller of spec.hard and status.hard, which lags behind when hard is lowered."""
    with parent(2, child=2) as world:
        world.finish(world.set_hard("c0", cpu=1))
        for name in ("w0", "w1"):
            world.finish(world.create(name, "c0", cpu=1))
        sees_all_and_writes(world, "P")
        assert taken_in(world, "P") == 1


@broken(mutations.children_grow_unclaimed, "J3")
def test_child_claims_before_it_grows():
    """What a child will take is claimed in its parent before it takes it."""
    with parent(3, child=1) as world:
        world.finish(world.set_hard("c0", cpu=2))
        assert taken_in(world, "P") == 2


@broken(mutations.only_hard_is_taken, "J3")
def test_what_is_in_use_stays_taken():
    """Lowering a child's hard below its use frees nothing that is still in use."""
    with parent(2, child=2) as world:
        world.finish(world.create("w0", "c0", cpu=2))
        world.finish(world.set_hard("c0", cpu=1))
        sees_all_and_writes(world, "P")
        assert taken_in(world, "P") == 2


@broken(mutations.used_lags_behind_hard, "J3")
def test_hard_and_used_of_one_version():
    """What a child takes is the larger of its hard and its used as they stand in one version of it."""
    with parent(2, child=2) as world:
        for name in ("w0", "w1"):
            world.finish(world.create(name, "c0", cpu=1))
        world.finish(world.set_hard("c0", cpu=1))
        sees_all_and_writes(world, "P")
        assert taken_in(world, "P") == 2


@broken(mutations.first_hard_is_kept, "I1")
def test_workload_is_admitted_on_the_childs_version():
    """A workload is admitted against the spec.hard of the very version that its claim replaces."""
    with parent(2, child=2) as world:
        world.finish(world.create("w0", "c0", cpu=1))
        world.finish(world.set_hard("c0", cpu=1))
        late = world.finish(world.create("w1", "c0", cpu=1))
        assert not late.is_stored


@broken(mutations.raise_is_credited_with_what_was_taken, "J3")
def test_growth_from_what_is_taken_at_its_version():
    """A raise grows from what the child takes at the version under review."""
    with parent(2, child=2) as world:
        world.finish(world.set_hard("c0", cpu=1))
        raised = world.set_hard("c0", cpu=2, how=LATER)
        sees_all_and_writes(world, "P")
        assert taken_in(world, "P") == 1
        world.review(raised)
        world.finish(raised)
        assert taken_in(world, "P") == 2


@broken(mutations.stored_over_another_version("c0"), "J3")
def test_childs_request_is_decided_again():
    """A child whose status changed since the review of its raise is reviewed again, and claims at its new version."""
    with parent(2, child=2) as world:
        world.finish(world.set_hard("c0", cpu=1))
        raised = world.set_hard("c0", cpu=2, how=LATER)
        world.finish(world.create("w0", "c0", cpu=1))
        sees_all_and_writes(world, "P")
        world.review(raised)
        world.finish(raised)
        world.writes("P")
        assert taken_in(world, "P") == 2
