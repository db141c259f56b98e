"""The rules that keep workloads within their bizrq, each with the shortest run of events that needs it.

Each runs twice: as the code is, when nothing that must hold is violated, and with that one rule broken, when it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.model import claim_mutations as mutations
from tests.model.rules import LATER, broken
from tests.support.world.world import CPU, World


def used(world, name, key=CPU):
    return int(world.storage.status(name)["used"][key])


def claims(world, name):
    return world.storage.status(name).get("claims") or []


@contextlib.contextmanager
def one(cpu=2, **how) -> Iterator[World]:
    """Bizrq A with one workload of one core, w0."""
    with World(**how) as world:
        world.has_bizrq("A", cpu=cpu)
        world.has_workload("w0", "A", cpu=1)
        world.begins()
        yield world


@contextlib.contextmanager
def two(cpu=3) -> Iterator[World]:
    """Bizrq A with two workloads of one core, w0 and w1."""
    with World() as world:
        world.has_bizrq("A", cpu=cpu, memory=3)
        for name in ("w0", "w1"):
            world.has_workload(name, "A", cpu=1, memory=1)
        world.begins()
        yield world


@contextlib.contextmanager
def apart() -> Iterator[World]:
    """Two bizrqs, A with w0 and B with w1, a core each."""
    with World() as world:
        for bizrq, workload in (("A", "w0"), ("B", "w1")):
            world.has_bizrq(bizrq, cpu=2)
            world.has_workload(workload, bizrq, cpu=1)
        world.begins()
        yield world


# --- which version a claim is of, and when it closes -----------------------------------------------------------------


@broken(mutations.keyed_by_generation, "I2")
def test_key_by_resource_version():
    """Claims carry the resourceVersion that the request was decided on, and no generation: a move has none."""
    with apart() as world:
        world.finish(world.move("w0", "B"))
        world.writes("B")
        assert used(world, "B") == 2


@broken(mutations.closed_by_the_same_version, "I2")
def test_close_only_by_a_later_version():
    """A claim at r stays while the UID is seen at r itself."""
    with two() as world:
        world.finish(world.change("w0", cpu=2))
        world.writes("A")
        assert used(world, "A") == 3


@broken(mutations.closed_by_deleted, "I2")
def test_deleted_is_one_more_version():
    """A DELETED event closes the claims of versions before it, and no others: the object may live without its label."""
    with apart() as world:
        world.finish(world.move("w0", None))
        world.finish(world.move("w0", "B"))
        world.sees("w0")
        world.writes("B")
        assert used(world, "B") == 2


# --- writes ----------------------------------------------------------------------------------------------------------


@broken(mutations.controller_overwrites, "I2")
def test_controller_writes_by_compare_and_swap():
    """The controller writes over the very version that it counted."""
    with two() as world:
        world.finish(world.change("w0", cpu=2))
        world.writes("A")
        assert used(world, "A") == 3


@broken(mutations.webhook_overwrites, "I1")
def test_webhook_writes_by_compare_and_swap():
    """A replica claims over the very version that it decided on."""
    with one(replicas=2) as world:
        world.replicas[0].connection.writes.shut()
        slow = world.create("w1", "A", cpu=1)
        world.finish(world.change("w0", cpu=2, how={"replica": 1}))
        world.replicas[0].connection.writes.open()
        world.loop.until_idle()
        world.finish(slow)
        assert not slow.is_stored


@broken(mutations.answered_without_a_claim, "I2")
def test_claim_before_answer():
    """After a conflict the webhook decides and claims again before it answers."""
    with one() as world:
        world.replicas[0].connection.writes.shut()
        slow = world.create("w1", "A", cpu=1)
        world.finish(world.delete("w0"))
        world.sees("w0")
        world.writes("A")
        world.replicas[0].connection.writes.open()
        world.loop.until_idle()
        world.finish(slow)
        assert slow.is_stored


# --- settlement ------------------------------------------------------------------------------------------------------


@broken(mutations.settled_at_once, "I2")
def test_wait_before_settling():
    """A claim whose object is not there, or still at r, waits until no request can rest on it."""
    with one() as world:
        create = world.create("w1", "A", cpu=1)
        world.pass_time(10)
        world.writes("A")
        world.finish(create)
        assert create.is_stored


@broken(mutations.settled_at_once, "I2")
def test_wait_before_settling_an_update():
    """As above, for an object that stands still."""
    with one() as world:
        update = world.change("w0", cpu=2)
        world.pass_time(10)
        world.writes("A")
        world.finish(update)
        assert update.is_stored


@broken(mutations.create_settled_by_another_uid, "I2")
def test_another_uid_settles_no_create():
    """A create's claim stays while another object has the name: that may go first."""
    with apart() as world:
        first, second = (world.create("w2", under, cpu=1) for under in ("A", "B"))
        world.finish(first)
        world.pass_time(10)
        world.writes("B")
        world.finish(world.delete("w2"))
        world.finish(second)
        assert second.is_stored


@broken(mutations.live_read_is_no_view, "I2")
def test_live_read_counts_as_a_view():
    """What a live read shows is the observed state before the claim closes."""
    with one() as world:
        world.finish(world.create("w1", "A", cpu=1))
        world.writes("A")
        world.pass_time(61)
        world.writes("A")
        assert (used(world, "A"), claims(world, "A")) == (2, [])


@broken(mutations.verdict_outlives_the_version, "I2")
def test_verdict_dies_with_the_bizrq_version():
    """A live read made before the bizrq changed closes nothing: a request that came since may rest on the claim."""
    with one() as world:
        world.change("w0", cpu=2).fail()
        world.writes("A")
        world.pass_time(61)
        world.controllers[0].connection.writes.shut()
        world.writes("A")
        world.finish(world.change("w0", cpu=2))
        world.goes_on()
        assert used(world, "A") == 2


def a_repeat(world):
    """The same request fails, comes again, and is stored after the first one's wait is over."""
    world.change("w0", cpu=2).fail()
    world.writes("A")
    world.pass_time(50)
    again = world.change("w0", cpu=2)
    world.writes("A")
    world.pass_time(20)
    world.writes("A")
    world.finish(again)
    assert again.is_stored


@broken(mutations.repeat_is_the_same_line, "I2")
def test_a_repeat_renews_the_wait():
    """A second request on the same version makes a new line, which waits anew."""
    with one() as world:
        a_repeat(world)


@broken(mutations.covered_growth_is_not_claimed, "I2")
def test_each_growth_claims_at_its_own_version():
    """Every growth is claimed, also where the open claim covers it."""
    with one() as world:
        a_repeat(world)


@broken(mutations.creates_wait_for_ever, "I3")
def test_dead_claims_end():
    """Claims of creates that never happened are closed."""
    with one() as world:
        world.create("w1", "A", cpu=1).fail()
        assert used(world, "A") == 2
        world.comes_to_rest()


# --- what is claimed -------------------------------------------------------------------------------------------------


@broken(mutations.credited_in_full, "I1")
def test_credit_only_what_a_claim_raised():
    """Of a claim that is replaced only what it raised counts as granted: the controller may have taken less of it."""
    with two() as world:
        world.finish(world.change("w0", cpu=2))
        early = world.change("w0", cpu=3, put=True, how=LATER)
        world.finish(world.change("w0", cpu=1))
        late = world.change("w0", cpu=3, put=True, how=LATER)
        for _ in range(2):
            world.sees("w0")
        world.writes("A")
        world.review(early)
        world.review(late)
        world.finish(late)
        assert early.is_allowed
        assert not late.is_stored


@broken(mutations.older_review_replaces, "I2")
def test_older_review_leaves_newer_claim():
    """A review on a version before that of the open claim changes nothing: its write must fail."""
    with two() as world:
        early = world.change("w0", cpu=2, how=LATER)
        world.touch("w0")
        late = world.finish(world.change("w0", cpu=2))
        world.review(early)
        world.sees("w0")
        world.writes("A")
        assert late.is_stored
        assert used(world, "A") == 3


@broken(mutations.last_one_overwrites, "I2")
def test_same_version_keeps_the_larger():
    """Two requests on one version are claimed with the larger of their amounts, key by key."""
    with two() as world:
        one_, other = world.change("w0", cpu=2), world.change("w0", memory=2, how=LATER)
        world.finish(one_)
        world.review(other)
        world.writes("A")
        assert used(world, "A") == 3


@broken(mutations.replaced_by_the_new_amounts, "I2")
def test_replacement_covers_the_object_at_its_version():
    """A claim that replaces one covers what the object demands at the later version too."""
    with two() as world:
        world.finish(world.change("w0", cpu=2))
        world.change("w0", cpu=1, memory=2)
        world.writes("A")
        assert used(world, "A") == 3


@broken(mutations.growth_is_claimed, "I2")
def test_claim_in_full():
    """A claim holds the whole demand, not what it grows by."""
    with two() as world:
        world.finish(world.change("w0", cpu=2))
        world.writes("A")
        assert used(world, "A") == 3


@broken(mutations.moves_claim_their_growth, "I2")
def test_a_move_is_charged_in_full():
    """Under the bizrq that a workload comes to, all of its demand is growth."""
    with apart() as world:
        moved = world.finish(world.move("w0", "B"))
        assert moved.is_stored


@broken(mutations.scale_reads_an_older_copy, "I1")
def test_scale_reads_its_parent_at_its_version():
    """The template and the label of a scaled object are those of the version that the Scale is of."""
    with World() as world:
        world.has_bizrq("A", cpu=4)
        for name in ("w0", "w1"):
            world.has_workload(name, "A", cpu=1)
        world.begins()
        world.finish(world.change("w0", cpu=2))
        scaled = world.finish(world.scale("w0", 2))
        assert not scaled.is_stored
