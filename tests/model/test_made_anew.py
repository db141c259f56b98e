"""A bizrq that was deleted and made anew under the same name counts what is still labelled with it.

Its first status is no later than those of others: whoever writes it may not have seen what the old object had granted.
"""

from __future__ import annotations

from bizrq.webhook.bizrqs import FORCE_DELETE
from tests.support.world.world import CPU, World


def world_of_one():
    """Bizrq A for one workload of two cores."""
    world = World()
    world.has_bizrq("A", cpu=2, count=1)
    world.begins()
    return world


def sees_all_of(world, name):
    controller = world.controllers[0]
    while controller.is_behind(name):
        controller.sees(name)


def is_made_anew(world):
    """The controller sees all of A, and nothing else."""
    world.finish(world.delete("A"))
    sees_all_of(world, "A")
    world.writes("A")
    if "A" in world.storage.names():
        return
    world.finish(world.create_bizrq("A", cpu=2, count=1))
    sees_all_of(world, "A")
    world.writes("A")


def test_a_create_on_its_way_is_not_forgotten():
    """It has no pods, and counts all the same."""
    with world_of_one() as world:
        create = world.create("w0", "A", replicas=0)
        is_made_anew(world)
        world.finish(create)


def test_a_workload_that_was_not_seen_is_counted():
    """Its bizrq may go, for it has no pods; the next one of that name has it from the start."""
    with world_of_one() as world:
        world.finish(world.create("w0", "A", replicas=0))
        is_made_anew(world)


def test_a_workload_that_was_not_seen_is_counted_after_a_forced_deletion():
    """Its cores are held all the time, and no two workloads of two cores each may run."""
    with world_of_one() as world:
        world.finish(world.create("w0", "A", cpu=2))
        raw = world.storage.raw("A")
        world.storage.put({**raw, "metadata": {**raw["metadata"], "annotations": {FORCE_DELETE: "true"}}})
        is_made_anew(world)
        assert world.storage.status("A")["used"][CPU] == "2"
