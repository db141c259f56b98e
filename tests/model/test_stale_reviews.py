"""A review on a version that is long overtaken claims a demand whose greater part is counted nowhere any more."""

from __future__ import annotations

from tests.model.rules import LATER
from tests.support.world.world import CPU, World


def an_overtaken_growth():
    """Bizrq left with w0 and w1, two cores each; w0 is to grow when it loses its label, and its review is late.

    Meanwhile the controller has counted w0 out, and another one has taken its place that never saw it.
    """
    world = World()
    world.has_bizrq("root", cpu=4)
    world.has_bizrq("left", "root", cpu=4)
    for name in ("w0", "w1"):
        world.has_workload(name, "left", cpu=2)
    world.begins()
    late = world.change("w0", cpu=3, how=LATER)
    world.finish(world.move("w0", None))
    world.controllers[0].catches_up()
    world.writes("left")
    world.restarts()
    world.review(late)
    return world


def used(world, name):
    return int(world.storage.status(name)["used"][CPU])


def test_what_nobody_granted_is_not_counted():
    """The object was under this bizrq at the version of the claim, and a later list lacks it: that claim is settled."""
    with an_overtaken_growth() as world:
        world.writes("left")
        assert used(world, "left") <= 4


def test_what_nobody_granted_credits_no_raise():
    """A raise within what a child uses claims nothing in its parent: all of that must have been granted once."""
    with an_overtaken_growth() as world:
        world.check = lambda: None  # what matters is what runs in the end
        world.writes("left")
        world.finish(world.set_hard("left", cpu=5))
        for _ in range(2):
            world.controllers[0].catches_up()
            world.pass_time(61)
            world.writes("left")
        world.finish(world.create("w2", "left", cpu=3))
        assert used(world, "left") <= 4, "what runs below root is more than its hard"
