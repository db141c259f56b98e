"""[C7] over a restart: what the lines of statuses tell, in whatever order they and the workloads become known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.domain.stays import Home, Kept, Stay
from bizrq.inventory.homes import GONE_SECONDS, Homes
from bizrq.workloads.read import read_workload
from tests.support.build import NOW, workload
from tests.support.controller import DEPLOYMENT

LONG_AFTER = NOW + 10**6


def home(team, models=None):
    return Home(team, models or Models(), "shop")


def web(team):
    return read_workload(workload("web", bizrq=team), DEPLOYMENT, DEFAULT_GPU_RESOURCES)


def kept(stay):
    return Kept("uid-web", stay, ("rs",))


MOVE = {
    "a": [kept(Stay(home("a"), until=NOW, went_to="b"))],
    "b": [kept(Stay(home("b"), since=NOW, came_from="a"))],
}
MOVED = (Stay(home("a"), until=NOW, went_to="b"), Stay(home("b"), since=NOW, came_from="a"))


def after(*steps):
    """Homes that were told of the workload ("web"), or what a status says (its name), in this order."""
    homes = Homes(lambda _: None)
    for step in steps:
        step(homes)
    return homes


def listed(team="b"):
    return lambda homes: homes.labelled(web(team), None, NOW + 100)


def says(team, lines):
    return lambda homes: homes.read(team, lines[team], NOW + 100)


def stays(homes, created=0):
    return homes.of("rs", "rs", "shop", created)


@pytest.mark.parametrize("order", list(itertools.permutations(["web", "a", "b"])), ids="-".join)
def test_the_lines_of_both_statuses_tell_the_move_in_whatever_order(order):
    """[C7] before or after the workload is listed."""
    steps = {"web": listed(), "a": says("a", MOVE), "b": says("b", MOVE)}
    homes = after(*(steps[name] for name in order))
    assert homes.of("uid-web", "rs", "shop", 0) == MOVED
    assert homes.sources("b", lambda _: True) == set()


@pytest.mark.parametrize("order", [["web", "a"], ["a", "web"]], ids="-".join)
def test_the_line_of_the_old_home_alone_tells_when_it_left(order):
    """[C7] the new one was not written any more."""
    steps = {"web": listed(), "a": says("a", MOVE)}
    homes = after(*(steps[name] for name in order))
    first, last = homes.of("uid-web", "rs", "shop", 0)
    assert (first, last.home.bizrq, last.since) == (MOVED[0], "b", NOW)


@pytest.mark.parametrize("order", [["web", "b"], ["b", "web"]], ids="-".join)
def test_the_line_of_the_new_home_alone_tells_both_stays(order):
    """[C7] the old one has let its line go, or is to be written first."""
    steps = {"web": listed(), "b": says("b", MOVE)}
    homes = after(*(steps[name] for name in order))
    assert homes.of("uid-web", "rs", "shop", 0) == MOVED
    assert homes.sources("b", lambda _: True) == {"a"}


def test_the_models_of_the_old_home_are_those_of_its_own_line():
    """[C7, K2]."""
    lines = {**MOVE, "a": [kept(Stay(home("a", Models(cpu="A4")), until=NOW, went_to="b"))]}
    for order in (("b", "a"), ("a", "b")):
        homes = after(listed(), *(says(name, lines) for name in order))
        assert homes.of("uid-web", "rs", "shop", 0)[0].home.models.cpu == "A4"


def test_where_both_know_a_move_the_status_is_right():
    """[C7] another process has settled its moment."""
    homes = Homes(lambda _: None)
    homes.labelled(web("a"), None, NOW)
    homes.of("uid-web", "rs", "shop", 0)
    homes.labelled(web("b"), web("a"), NOW + 9)
    homes.read("a", MOVE["a"], NOW + 10)
    assert [(each.since, each.until) for each in homes.of("uid-web", "rs", "shop", 0)] == [(None, NOW), (NOW, None)]


BACK = {
    "a": [kept(Stay(home("a"), until=NOW, went_to="b")), kept(Stay(home("a"), since=NOW + 50, came_from="b"))],
    "b": [kept(Stay(home("b"), NOW, NOW + 50, "a", "a"))],
}
WAS_BACK = (
    Stay(home("a"), until=NOW, went_to="b"),
    Stay(home("b"), NOW, NOW + 50, "a", "a"),
    Stay(home("a"), since=NOW + 50, came_from="b"),
)


@pytest.mark.parametrize("order", list(itertools.permutations(["web", "a", "b"])), ids="-".join)
def test_there_and_back_again_in_whatever_order(order):
    """[C7] oldest first, no second twice."""
    steps = {"web": listed("a"), "a": says("a", BACK), "b": says("b", BACK)}
    homes = after(*(steps[name] for name in order))
    assert homes.of("uid-web", "rs", "shop", 0) == WAS_BACK


def test_there_and_back_again_without_the_status_between():
    """[C7] it is gone, or was never written: no second is charged twice."""
    homes = after(listed("a"), says("a", BACK))
    first, between, last = homes.of("uid-web", "rs", "shop", 0)
    assert (first.until, between.since, between.until, last.since) == (NOW, NOW, NOW + 50, NOW + 50)
    assert between.home.bizrq == "b"


# --- a workload that is gone -----------------------------------------------------------------------------------------

GONE = {"a": [kept(Stay(home("a")))]}


def test_a_workload_that_is_gone_is_found_by_the_controllers_of_its_pods():
    """[C7] its ReplicaSets may be gone as well."""
    homes = after(says("a", GONE))
    assert stays(homes, NOW) == (Stay(home("a")),)
    assert homes.controllers_of("uid-web") == ("rs",)
    assert stays(homes, NOW + 101) == (), "made after this process began"
    assert homes.of("x", "x", "shop", 0) == ()


def test_it_stays_in_its_status_until_its_pods_are_gone_also_after_the_restart():
    """[C7]."""
    homes = after(says("a", GONE))
    assert homes.kept("a", lambda _: (), lambda controller, _: controller == "rs", LONG_AFTER) == GONE["a"]
    homes.sweep(lambda _: False, NOW + 101 + GONE_SECONDS)
    assert stays(homes) == ()
    assert homes.kept("a", lambda _: (), lambda *_: True, LONG_AFTER) == []
    assert homes.controllers_of("uid-web") == ()


def test_one_that_is_there_after_all_is_at_home():
    """[C7] somebody put the label back while nobody looked."""
    homes = after(says("a", GONE), listed("a"))
    assert homes.of("uid-web", "rs", "shop", 0) == (Stay(home("a")),)
    assert stays(homes, NOW + 500) == (Stay(home("a")),)


def test_a_broken_line_cannot_put_a_pod_into_another_namespace():
    homes = after(says("a", {"a": [Kept("uid-web", Stay(Home("a", Models(), "elsewhere")), ("rs",))]}))
    assert stays(homes) == ()


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_whatever_the_moves_a_restart_finds_the_same_stays(moves, random):
    """[C7] from the statuses that all were written."""
    homes, known = Homes(lambda _: None), None
    for number, team in enumerate(moves):
        homes.labelled(web(team), known, NOW + number)
        homes.of("uid-web", "rs", "shop", 0)
        known = web(team)
        homes.settle("uid-web", NOW + number)
    expected = homes.of("uid-web", "rs", "shop", 0)
    statuses = {
        team: homes.kept(team, lambda _: ("rs",), lambda controller, _: controller == "rs", LONG_AFTER)
        for team in ("a", "b", "c")
    }
    steps = [listed(moves[-1]), *(says(team, statuses) for team in statuses)]
    random.shuffle(steps)
    assert after(*steps).of("uid-web", "rs", "shop", 0) == expected
