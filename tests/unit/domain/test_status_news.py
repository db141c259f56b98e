"""When is a status worth a write, and when does it only say what time alone would have said?"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import Books, Seen
from bizrq.domain.periods import Period, State
from bizrq.domain.status import Counted, NotReady, has_news, new_status
from tests.support.books import CPU
from tests.support.build import NOW, bizrq, read
from tests.support.statuses import TEAM, after, core_hours, counted, surges


def stored(team: dict[str, Any], figures: Counted) -> Bizrq:
    first = read(team)
    return after(first, new_status(first, figures))


def news(team: Bizrq, figures: Counted) -> bool:
    return has_news(team, new_status(team, figures), figures)


RUNNING = {"limits.cpu": "2", "pods": "2"}


def at(seconds: int, **changes: Any) -> Counted:
    """Two cores that run on, ``seconds`` after the status."""
    books = core_hours("1", rate=2000)
    grown = Books({CPU: books.ledger[CPU] + 2000 * seconds}, books.settled, Seen(81800, NOW + seconds), books.rate)
    return counted(**{"own": RUNNING, "books": grown, "now": NOW + seconds, "writer": f"other.{seconds}", **changes})


@pytest.mark.parametrize("seconds", [0, 1, 60, 3600])
def test_time_that_passes_at_the_recorded_rate_is_no_news(seconds: int) -> None:
    """The figures move as everybody expects; so do writer and lastReconcileTime."""
    assert not news(stored(TEAM, at(0)), at(seconds))


def test_time_that_passes_is_no_news_for_a_parent_either() -> None:
    """[T6] whose children take their budgets."""
    children = {"limits.cpu": "3", "cash/limits.cpu": "5"}
    assert not news(stored(TEAM, at(0, children=children)), at(600, children=children))


def test_what_a_child_takes_in_more_than_three_decimals_is_no_news_each_time() -> None:
    """[K6] else each write would be the reason for the next one."""
    children = {"cash/limits.cpu": "333333333n"}
    assert not news(stored(TEAM, at(0, children=children)), at(600, children=children))


def test_the_same_amount_with_another_suffix_is_no_news() -> None:
    """Whose suffix a sum takes depends on the order in which workloads became known; replicas may differ in it."""
    team = bizrq(hard={"limits.memory": "8Gi"})
    assert not news(stored(team, counted({"limits.memory": "1Gi"})), counted({"limits.memory": "1073741824"}))


def test_the_first_status_is_news() -> None:
    assert news(read(TEAM), counted())


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param(at(60, own={"limits.cpu": "3", "pods": "2"}), id="its workloads use more"),
        pytest.param(at(60, own={"limits.cpu": "1", "pods": "1"}), id="or less"),
        pytest.param(at(60, children={"limits.cpu": "1"}), id="a child takes something"),
        pytest.param(at(60, children={"cash/limits.cpu": "1"}), id="a child takes hours"),
        pytest.param(at(60, books=core_hours("1", rate=2000)), id="a pod ended a while ago"),
        pytest.param(
            at(60, books=Books({CPU: 3_600_000 + 120_000}, {CPU: 0}, Seen(81800, NOW), {CPU: 1000})),
            id="the rate changed",
        ),
        pytest.param(
            at(60, books=Books({CPU: 3_600_000 + 120_000}, {CPU: 60_000}, Seen(81800, NOW), {CPU: 2000})),
            id="something was settled",
        ),
        pytest.param(
            at(60, books=dataclasses.replace(at(60).books, uncertain={CPU: 1})), id="[C6] something may be missing"
        ),
        pytest.param(dataclasses.replace(at(60), moves=["1 uid shop - - // rs"]), id="[C7] a workload has left"),
        pytest.param(dataclasses.replace(at(60), period=State(Period(NOW))), id="[C9] another period"),
        pytest.param(at(60, not_ready=NotReady("ParentNotFound", "gone")), id="it is not ready any more"),
        pytest.param(at(9 * 1800), id="[C8] its hours have run out"),
        pytest.param(dataclasses.replace(at(60), surges=surges(NOW - 3540)), id="[A8] surge has stood for an hour"),
    ],
)
def test_what_is_news(figures: Counted) -> None:
    assert news(stored(TEAM, at(0)), figures)


def test_surge_is_news_when_it_begins_to_stand_when_others_do_and_when_it_ends() -> None:
    """[A8] and not while it goes on."""
    one, two = surges(NOW - 3600, NOW - 3500)
    team = stored(TEAM, dataclasses.replace(at(0), surges=[one, two]))
    assert not news(team, dataclasses.replace(at(99), surges=[one, two]))
    assert news(team, dataclasses.replace(at(100), surges=[one, two]))
    assert news(team, at(1))


def test_a_moment_before_the_hours_run_out_is_no_news() -> None:
    """[C8] 9 hours are left, two cores run: 16200 s."""
    team = stored(TEAM, at(0))
    assert not news(team, at(16_199))
    assert news(team, at(16_200))


def test_a_new_generation_is_news() -> None:
    team = stored(TEAM, at(0))
    changed = read({**team.raw, "metadata": {**team.raw["metadata"], "generation": 4}})
    assert news(changed, at(60))


def test_a_changed_hard_is_news() -> None:
    team = stored(TEAM, at(0))
    for hard in ({"limits.cpu": "9", "pods": "4", "cash/limits.cpu": "10"}, {"limits.cpu": "8", "pods": "4"}):
        assert news(read({**team.raw, "spec": {"hard": hard}}), at(60))


def test_a_new_budget_is_news() -> None:
    team = stored(TEAM, at(0))
    hard = {**TEAM["spec"]["hard"], "cash/limits.memory": "1"}
    figures = at(60)
    books = Books({**figures.books.ledger, "limits.memory": 0}, figures.books.settled, rate=figures.books.rate)
    assert news(read({**team.raw, "spec": {"hard": hard}}), at(60, books=books))


def test_used_texts_that_somebody_edited_are_news() -> None:
    """[R2] drift is corrected."""
    team = stored(TEAM, at(0))
    for name in ("used", "selfUsed"):
        for text in ("1", "x", ""):
            edited = {**team.raw["status"], name: {**team.raw["status"][name], "limits.cpu": text}}
            assert news(after(team, edited), at(60))


def test_a_line_of_moves_of_another_version_is_no_news_each_time() -> None:
    """[C7] it stays as it is beside ours, and ours are written anew."""
    team = read(bizrq(hard={"pods": "1"}, status={"cash": {"moves": ["2 a line of tomorrow", "1 broken"]}}))
    figures = dataclasses.replace(counted(), moves=["1 uid shop - - // rs"])
    assert has_news(team, status := new_status(team, figures), figures)
    assert status["cash"]["moves"] == ["2 a line of tomorrow", "1 uid shop - - // rs"]
    assert not news(after(team, status), figures)
