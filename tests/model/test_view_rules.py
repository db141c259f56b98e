"""The rules of what a controller may write with, each with the shortest run of events that needs it.

Each runs twice: as the code is, when nothing that must hold is violated, and with that one rule broken, when it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.model import view_mutations as mutations
from tests.model.rules import broken
from tests.support.world.world import CPU, World


def used(world, name):
    return int(world.storage.status(name)["used"][CPU])


@contextlib.contextmanager
def one(cpu=2, **how) -> Iterator[World]:
    """Bizrq A with one workload of one core, w0."""
    with World(**how) as world:
        world.has_bizrq("A", cpu=cpu)
        world.has_workload("w0", "A", cpu=1)
        world.begins()
        yield world


@broken(mutations.every_view_is_trusted, "I2")
def test_list_after_another_controllers_write():
    """A status that another controller wrote is written over only with a list that began after it."""
    with one(controllers=2) as world:
        world.finish(world.change("w0", cpu=2))
        world.sees("w0", 0)
        world.writes("A", 0)
        world.writes("A", 1)
        assert used(world, "A") == 2


@broken(mutations.any_list_is_good_enough, "I2")
def test_list_begins_after_that_write():
    """A list that began before the other controller's write does not tell what that one knew."""
    with one(controllers=2) as world:
        update = world.change("w0", cpu=2)
        world.controllers[1].listed.gates["bizrqs"].shut()
        world.writes("A", 1)
        world.finish(update)
        world.sees("w0", 0)
        world.writes("A", 0)
        world.goes_on(1)
        assert used(world, "A") == 2


@broken(mutations.lists_on_their_way_are_joined, "I2")
def test_list_is_shared_only_before_it_begins():
    """Who needs a list does not join one that has begun."""
    with World(controllers=2) as world:
        for bizrq, workload in (("A", "w0"), ("B", "w1")):
            world.has_bizrq(bizrq, cpu=2)
            world.has_workload(workload, bizrq, cpu=1)
        world.begins()
        update = world.change("w1", cpu=2)
        world.controllers[1].listed.gates["bizrqs"].shut()
        world.writes("A", 1)
        world.finish(update)
        world.sees("w1", 0)
        world.writes("B", 0)
        for _ in range(2):
            world.sees("B", 1)
        world.writes("B", 1)
        world.goes_on(1)
        assert used(world, "B") == 2


@broken(mutations.writers_are_read_last, "I2")
def test_writers_are_read_before_the_list():
    """A list is later than the writes that were read before it, not than those it shows."""
    with one(controllers=2) as world:
        update = world.change("w0", cpu=2)
        world.controllers[1].listed.gates["workloads"].shut()
        world.controllers[1].lists_anew()
        world.finish(update)
        world.sees("w0", 0)
        world.writes("A", 0)
        world.goes_on(1)
        world.writes("A", 1)
        assert used(world, "A") == 2


@broken(mutations.every_view_is_trusted, "I2")
def test_no_write_before_the_first_list():
    """A controller that has seen nothing but a bizrq lists before it writes."""
    with one() as world:
        world.restarts(begins=False)
        world.controllers[0].began = True
        world.controllers[0].start([], 1)
        world.sees("A")
        world.sees("A")
        world.writes("A")
        assert used(world, "A") == 1


@broken(mutations.lists_come_from_a_cache, "I2")
def test_first_list_is_no_cache_read():
    """The list that a controller begins with is of what is stored, not what a cache of the API server holds."""
    with one() as world:
        world.cache_stands_still()
        world.finish(world.change("w0", cpu=2))
        world.sees("w0")
        world.writes("A")
        world.restarts()
        world.writes("A")
        assert used(world, "A") == 2


@broken(mutations.lists_replace_what_is_newer, "I2")
def test_view_never_goes_back():
    """A list replaces no state that is newer than its own."""
    with one() as world:
        world.controllers[0].listed.gates["bizrqs"].shut()
        world.controllers[0].lists_anew()
        world.finish(world.change("w0", cpu=2))
        world.sees("w0")
        world.writes("A")
        world.goes_on()
        world.writes("A")
        assert used(world, "A") == 2


@broken(mutations.lists_remove_what_is_newer, "I2")
def test_view_never_goes_back_to_before_a_create():
    """A list that lacks an object removes no state that is newer than the list."""
    with one() as world:
        world.controllers[0].listed.gates["bizrqs"].shut()
        world.controllers[0].lists_anew()
        world.finish(world.create("w1", "A", cpu=1))
        world.sees("w1")
        world.writes("A")
        world.goes_on()
        world.writes("A")
        assert used(world, "A") == 2
