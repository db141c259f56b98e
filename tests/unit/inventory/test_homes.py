"""[C7] the stays of workloads: who moved, when, and for how long that must be remembered."""

from __future__ import annotations

import pytest

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.domain.stays import Home, Kept, Stay
from bizrq.inventory.homes import GONE_SECONDS, Homes
from bizrq.workloads.read import read_workload
from tests.support.build import NOW, workload
from tests.support.controller import DEPLOYMENT

MODELS = Models()


def web(team="a", **labels):
    return read_workload(workload("web", bizrq=team, **labels), DEPLOYMENT, DEFAULT_GPU_RESOURCES)


def home(team, models=MODELS):
    return Home(team, models, "shop")


class Table(Homes):
    """Homes of one workload, ``web``, with pods of one controller, ``rs``; moves are settled when a test says so."""

    def __init__(self):
        self.told: list[str] = []
        super().__init__(self.told.append)
        self.known = None
        self.began = [NOW]
        """When the pods that are known began."""

    def label(self, team, now=NOW, **labels):
        new = web(team, **labels)
        self.labelled(new, self.known, now)
        self.known = new

    def go(self, now=NOW):
        assert self.known is not None
        self.lost(self.known, now, has_pods=bool(self.began))
        self.known = None

    def stays(self, controller="rs", created=0, uid="uid-web"):
        return self.of(uid, controller, "shop", created)

    def lines(self, team, now=NOW + 10**6):
        """Long after all moves."""
        return self.kept(
            team,
            lambda _: ("rs",),
            lambda controller, before: controller == "rs" and any(before is None or at < before for at in self.began),
            now,
        )

    def told_lines(self, team, now=NOW, lines=()):
        """What a status says."""
        self.read(team, lines, now)


@pytest.fixture
def homes():
    return Table()


# --- moves -----------------------------------------------------------------------------------------------------------


def test_a_workload_that_never_moved_is_at_home_all_its_time(homes):
    homes.label("a")
    assert homes.stays() == (Stay(home("a")),)
    assert homes.stays() is homes.stays(), "one value for all its pods"
    assert homes.lines("a") == []
    assert not homes.pending


def test_a_move_closes_one_stay_and_opens_the_next(homes):
    """[C7] at the moment it is observed, until a live read of the claim tells the true one."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 30)
    assert homes.stays() == (
        Stay(home("a"), until=NOW + 30, went_to="b"),
        Stay(home("b"), since=NOW + 30, came_from="a"),
    )
    assert [(each.came_from, each.went_to) for each in homes.pending_for("a")] == [("a", "b")]
    assert homes.pending_for("a") == homes.pending_for("b")
    homes.settle("uid-web", NOW + 27)
    assert homes.stays() == (
        Stay(home("a"), until=NOW + 27, went_to="b"),
        Stay(home("b"), since=NOW + 27, came_from="a"),
    )
    assert not homes.pending
    assert homes.told == ["uid-web"] * 3


def test_both_statuses_keep_the_move(homes):
    """[C7] until the pods scheduled before it are gone."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 30)
    homes.settle("uid-web", NOW + 30)
    (left,), (came,) = homes.lines("a"), homes.lines("b")
    assert (left.stay.until, left.stay.went_to) == (came.stay.since, "b") == (NOW + 30, "b")
    assert (came.stay.came_from, came.controllers, left.controllers) == ("a", ("rs",), ("rs",))
    homes.began = [NOW + 30]
    assert homes.lines("b") == []
    assert homes.stays() == (Stay(home("b")),), "without a past again"
    assert homes.lines("a") == []


def test_a_pending_move_is_kept_whatever_pods_are_known(homes):
    """[C7]."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 30)
    homes.began = []
    assert len(homes.lines("b")) == 1


def test_there_and_back_again(homes):
    """[C7] three stays, two of them at the first home."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 10)
    homes.settle("uid-web", NOW + 10)
    homes.label("a", NOW + 20)
    homes.settle("uid-web", NOW + 20)
    first, between, last = homes.stays()
    assert (first.home.bizrq, first.until, first.went_to) == ("a", NOW + 10, "b")
    assert (between.home.bizrq, between.since, between.until) == ("b", NOW + 10, NOW + 20)
    assert (last.home.bizrq, last.since, last.until, last.came_from) == ("a", NOW + 20, None, "b")
    assert [each.stay for each in homes.lines("a")] == [first, last]
    assert [each.stay for each in homes.lines("b")] == [between]


def test_a_second_move_before_the_first_is_settled_is_settled_alone(homes):
    """[C7]."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 10)
    homes.label("c", NOW + 20)
    (pending,) = homes.pending_for("c")
    assert (pending.came_from, homes.pending_for("a")) == ("b", [])
    homes.settle("uid-web", NOW + 15)
    assert [(each.since, each.until) for each in homes.stays()] == [
        (None, NOW + 10), (NOW + 10, NOW + 15), (NOW + 15, None),
    ]  # fmt: skip


def test_a_moment_before_the_stay_began_ends_it_there(homes):
    """[C7] a claim that lies before the one of the move before it: it was there for no second."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 10)
    homes.settle("uid-web", NOW + 10)
    homes.label("c", NOW + 20)
    homes.settle("uid-web", NOW + 5)
    assert homes.stays() == (
        Stay(home("a"), until=NOW + 10, went_to="c"),
        Stay(home("c"), since=NOW + 10, came_from="a"),
    )
    assert homes.lines("b") == []


def test_there_and_back_within_a_second_is_no_move(homes):
    """[C7] and nobody is asked for its moment."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 10)
    homes.label("a", NOW + 10)
    assert homes.stays() == (Stay(home("a")),)
    assert not homes.pending
    assert homes.lines("a") == homes.lines("b") == []


def test_where_more_is_read_a_guess_leaves_nothing_behind(homes):
    """[C7] the bizrq that a workload was thought to have been under has no line of it, and can be counted."""
    homes.label("c")
    homes.told_lines("a", lines=[Kept("uid-web", Stay(home("a"), until=NOW - 30, went_to="b"), ("rs",))])
    assert [each.home.bizrq for each in homes.stays()] == ["a", "b", "c"]
    homes.told_lines("a", lines=[Kept("uid-web", Stay(home("a"), until=NOW - 30, went_to="c"), ("rs",))])
    homes.began = [NOW]
    for team in ("a", "b", "c"):
        assert homes.lines(team) == []


def test_other_models_split_too_and_nobody_else_knows_the_moment(homes):
    """[C7, K2] at once, without a live read."""
    homes.label("a", cpu_type="A4")
    homes.stays()
    homes.label("a", NOW + 10, cpu_type="B7")
    first, last = homes.stays()
    assert (first.home.models.cpu, first.until) == ("A4", NOW + 10)
    assert (last.home.models.cpu, last.since) == ("B7", NOW + 10)
    assert not homes.pending
    assert [each.stay for each in homes.lines("a")] == [first, last]
    assert homes.sources("a", lambda _: True) == set()


def test_without_pods_a_move_is_kept_for_a_minute(homes):
    """[C7] the watch of pods may be behind that of workloads; after it there is nothing to share."""
    homes.began = []
    homes.label("a")
    homes.label("b", NOW + 10)
    homes.settle("uid-web", NOW + 10)
    assert [each.stay.until for each in homes.lines("a", NOW + 70)] == [NOW + 10]
    assert [each.stay.since for each in homes.lines("b", NOW + 70)] == [NOW + 10]
    assert (homes.lines("a", NOW + 71), homes.lines("b", NOW + 71)) == ([], [])
    assert homes.stays() == (Stay(home("b")),)


def test_the_same_label_again_is_no_move(homes):
    homes.label("a")
    homes.label("a", NOW + 10)
    assert homes.stays() == (Stay(home("a")),)
    assert homes.told == ["uid-web"]


def test_a_claim_tells_of_a_move_that_nobody_here_saw(homes):
    """[C7] with the old bizrq, or without where it had none."""
    homes.label("b")
    homes.claimed("uid-web", "a", NOW - 50)
    assert homes.stays() == (
        Stay(home("a"), until=NOW - 50, went_to="b"), Stay(home("b"), since=NOW - 50, came_from="a"),
    )  # fmt: skip
    homes.claimed("uid-web", "x", NOW)
    assert homes.stays()[1].since == NOW - 50, "the move is known by now"
    others = Table()
    others.label("b")
    others.claimed("uid-web", "", NOW - 50)
    assert others.stays() == (Stay(home("b"), since=NOW - 50),)
    others.claimed("uid-nobody", "a", NOW)
    assert others.stays(uid="uid-nobody", controller="x") == ()


def test_a_pod_elsewhere_is_not_its_pod(homes):
    """Owners are of the same namespace: it only names its UID."""
    homes.label("a")
    assert homes.of("uid-web", "rs", "elsewhere", NOW) == ()


# --- gone, or without a label ----------------------------------------------------------------------------------------


def test_pods_keep_the_home_of_a_workload_that_is_gone(homes):
    """[C7] and it is asked whether it has only lost its label."""
    homes.label("a")
    homes.stays()
    homes.go(NOW + 30)
    (pending,) = homes.pending_for("a")
    assert (pending.came_from, pending.went_to) == ("a", "")
    homes.settle("uid-web", None)
    assert homes.stays() == (Stay(home("a")),)
    assert [each.stay for each in homes.lines("a")] == [Stay(home("a"))]
    homes.began = []
    assert homes.lines("a") == [], "no pod is left that needs it"


def test_where_only_the_label_went_the_stay_ends(homes):
    """[C7] at the moment that is observed."""
    homes.label("a")
    homes.stays()
    homes.go(NOW + 30)
    homes.settle("uid-web", NOW + 30)
    assert homes.stays() == (Stay(home("a"), until=NOW + 30),)
    homes.label("b", NOW + 50)
    assert homes.stays() == (
        Stay(home("a"), until=NOW + 30), Stay(home("b"), since=NOW + 50),
    ), "and nobody pays between the two"  # fmt: skip
    assert [each.came_from for each in homes.pending_for("b")] == [""]
    homes.settle("uid-web", NOW + 45)
    assert [each.since for each in homes.stays()] == [None, NOW + 45]


def test_a_label_that_comes_back_before_anybody_asked_was_never_lost(homes):
    """[C7] gone and there again is the same home."""
    homes.label("a")
    homes.stays()
    homes.go(NOW + 30)
    homes.label("a", NOW + 40)
    assert homes.stays() == (Stay(home("a")),)
    assert not homes.pending


def test_pods_made_after_it_went_are_nobody_s(homes):
    """[C7] those of that very second may be older."""
    homes.label("a")
    homes.go(NOW + 30)
    assert homes.stays(created=NOW + 30) == (Stay(home("a")),)
    assert homes.stays(created=NOW + 31) == ()
    homes.label("a", NOW + 60)
    assert homes.stays(created=NOW + 31) == (Stay(home("a")),)


def test_what_is_gone_is_forgotten_when_no_pod_needs_it_and_not_at_once(homes):
    """[C7] pods may come late."""
    homes.label("a")
    homes.began = []
    homes.go(NOW)
    homes.sweep(lambda _: False, NOW + GONE_SECONDS)
    assert homes.stays() == (Stay(home("a")),)
    homes.sweep(lambda uid: uid == "uid-web", NOW + GONE_SECONDS + 1)
    assert homes.stays() == (Stay(home("a")),)
    homes.sweep(lambda _: False, NOW + GONE_SECONDS + 1)
    assert homes.stays() == ()
    assert homes.lines("a") == []


def test_what_is_not_settled_yet_is_not_forgotten(homes):
    homes.label("a")
    homes.stays()
    homes.go(NOW)
    homes.sweep(lambda _: False, NOW + 10 * GONE_SECONDS)
    assert homes.stays() == (Stay(home("a")),)


# --- who is written first --------------------------------------------------------------------------------------------


def test_the_status_of_the_old_home_is_written_first(homes):
    """[C7] until it says so."""
    homes.label("a")
    homes.stays()
    homes.label("b", NOW + 30)
    homes.settle("uid-web", NOW + 27)
    assert homes.sources("b", lambda _: True) == {"a"}
    assert homes.sources("a", lambda _: True) == set()
    assert homes.sources("b", lambda name: name != "a") == set(), "of one that is gone nothing is written"
    homes.read("a", [Kept("uid-web", Stay(home("a"), until=NOW + 30, went_to="b"), ("rs",))], NOW)
    homes.settle("uid-web", None)
    homes.read("a", homes.lines("a"), NOW)
    assert homes.sources("b", lambda _: True) == set()
    homes.forget_bizrq("a")
    assert homes.sources("b", lambda _: True) == {"a"}
