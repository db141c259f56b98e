"""The rules of leftovers [P5], each with the shortest run of events that needs it.

Each runs twice: as the code is, when nothing that must hold is violated, and with that one rule broken, when it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.model import leftovers_mutations as mutations
from tests.model.rules import broken
from tests.support.world.pods import PodWorld


@contextlib.contextmanager
def world_of(*cores: int, hard: int = 2, controllers: int = 1, late: bool = False) -> Iterator[PodWorld]:
    """Bizrq A with workloads w0, w1, ... of so many cores, each with all its pods: w0-0, w0-1, ..."""
    with PodWorld(controllers=controllers) as world:
        world.has_bizrq("A", cpu=hard)
        for number, replicas in enumerate(cores):
            name = f"w{number}"
            world.has_workload(name, "A", cpu=1, replicas=replicas)
            if late:
                world.observes(name)
            for each in range(replicas):
                world.storage.pod_made(f"{name}-{each}", world.uid(name))
        world.storage.is_observed_late = late
        world.begins()
        yield world


def all_seen(world, controller=0):
    """Everything is seen and written, until nothing changes any more."""
    for _ in range(2):
        world.sees_all(controller)
        world.writes("A", controller)


# --- charges ---------------------------------------------------------------------------------------------------------


@broken(mutations.falls_with_the_demand, "I5")
def test_charge_stays_with_the_pods():
    """A charge falls with the pods, not with the demand."""
    with world_of(2) as world:
        world.finish(world.scale("w0", 1))
        world.sees_all()
        world.writes("A")
        assert world.used("A") == 2
        world.ends("w0-1")
        all_seen(world)
        world.check_nothing_is_left("A")


@broken(mutations.falls_by_any_view, "I5")
def test_pods_view_is_as_new_as_the_workload_s():
    """A view of pods that is older than that of the workload lowers nothing."""
    with world_of(1) as world:
        world.finish(world.scale("w0", 2))
        world.makes("w0-1", world.uid("w0"))
        world.finish(world.scale("w0", 1))
        world.sees("w0")
        world.sees("w0")
        world.writes("A")
        assert world.used("A") == 2


@broken(mutations.deleted_is_released, "I5")
def test_deleted_is_no_release():
    """A DELETED event says nothing of the pods."""
    with world_of(1) as world:
        world.finish(world.delete("w0"))
        world.sees_all()
        world.writes("A")
        assert world.used("A") == 1
        world.ends("w0-0")
        all_seen(world)
        world.check_nothing_is_left("A")


@broken(mutations.falls_unobserved, "I5")
def test_the_fall_waits_for_observed_generation():
    """A live workload's charge does not fall before its controller has seen the lower demand."""
    with world_of(2, late=True) as world:
        world.ends("w0-1")
        world.finish(world.scale("w0", 1))
        world.sees_all()
        world.writes("A")
        world.makes("w0-2", world.uid("w0"))
        world.ends("w0-2")
        world.observes("w0")
        all_seen(world)
        world.check_nothing_is_left("A")


# --- lines -----------------------------------------------------------------------------------------------------------


@broken(mutations.lines_are_not_written, "I7")
def test_line_in_the_write_that_lowers():
    """A leftover is named in the very write that charges it, so that surge is never taken for it."""
    with world_of(1, 1) as world:
        world.finish(world.scale("w0", 0))
        world.makes("surge", world.uid("w1"))
        all_seen(world)
        world.restarts(begins=False)
        world.ends("w0-0")
        world.controllers[0].begin()
        all_seen(world)
        world.check_surge("A")


@broken(mutations.closed_by_name, "I5")
def test_a_line_is_by_uid():
    """Another object of the name is another workload."""
    with world_of(1) as world:
        world.finish(world.delete("w0"))
        world.sees_all()
        world.writes("A")
        world.finish(world.create("w0", "A", cpu=1))
        world.sees_all()
        world.writes("A")
        assert world.used("A") == 2


@broken(mutations.lines_stay_with_the_workload, "I6")
def test_a_line_ends_with_its_pods():
    """A line goes when the pods do, whether the workload is there or not."""
    with world_of(2) as world:
        world.finish(world.scale("w0", 1))
        all_seen(world)
        world.ends("w0-1")
        all_seen(world)
        world.check_nothing_is_left("A")


@broken(mutations.moved_leaves_a_line, "I6")
def test_a_moved_workload_leaves_no_line():
    """A move to another bizrq releases the old one at once."""
    with PodWorld() as world:
        for name in ("A", "B"):
            world.has_bizrq(name, cpu=1)
        world.has_workload("w0", "A", cpu=1)
        world.makes("w0-0", world.uid("w0"))
        world.begins()
        world.finish(world.move("w0", "B"))
        world.sees_all()
        world.writes("A")
        world.check_nothing_is_left("A")


@broken(mutations.credited_with_pods, "I2")
def test_growth_is_credited_with_the_line():
    """What is held for a workload is what its line says, not what runs."""
    with world_of(2) as world:
        world.finish(world.scale("w0", 1))
        world.sees("w0")
        world.ends("w0-1")
        world.sees_all()
        world.writes("A")
        assert world.used("A") == 1
        world.finish(world.scale("w0", 2))
        assert world.used("A") == 2


# --- what cannot be named --------------------------------------------------------------------------------------------


@broken(mutations.what_nobody_names_is_released, "I5")
def test_used_is_the_floor_after_a_restart():
    """What a dead controller had charged falls only with the pods."""
    with world_of(1) as world:
        world.finish(world.scale("w0", 0))
        world.restarts()
        all_seen(world)
        assert world.used("A") == 1
        world.ends("w0-0")
        all_seen(world)
        world.check_nothing_is_left("A")


@broken(mutations.only_known_workloads_count, "I5")
def test_pods_without_a_known_owner_count():
    """Pods of a workload that went while no controller ran are somebody's."""
    with world_of(1) as world:
        world.finish(world.delete("w0"))
        world.restarts()
        all_seen(world)
        assert world.used("A") == 1
        world.ends("w0-0")
        all_seen(world)
        world.check_nothing_is_left("A")


@broken(mutations.memory_outlives_other_writers, "I5")
def test_memory_dies_with_another_s_write():
    """What this process charged once says nothing about a status that another one wrote."""
    with world_of(1, 1, controllers=2) as world:
        world.ends("w1-0")
        world.sees_all(1)
        world.finish(world.delete("w1"))
        world.controllers[1].lists_anew()
        world.sees_all(1)
        world.writes("A", 1)
        assert world.used("A") == 1
        world.finish(world.scale("w0", 2))
        world.makes("w0-1", world.uid("w0"))
        world.finish(world.scale("w0", 1))
        world.sees("w0", 1)
        world.writes("A", 1)
        assert world.used("A") == 2
        assert not world.lines("A")
        world.sees_all(0)
        world.writes("A", 0)
        assert world.used("A") == 2


@broken(mutations.rest_falls_by_any_view, "I5")
def test_what_cannot_be_named_waits_for_the_view_of_pods():
    """A claim that was replaced by a smaller one may have made pods that are not in view yet."""
    with world_of(1, hard=3) as world:
        world.finish(world.scale("w0", 3))
        for each in ("w0-1", "w0-2"):
            world.makes(each, world.uid("w0"))
        world.finish(world.scale("w0", 1))
        world.finish(world.scale("w0", 2))
        world.writes("A")
        assert world.used("A") == 3
        world.ends("w0-2")
        world.sees_all()
        all_seen(world)
        world.check_nothing_is_left("A")
