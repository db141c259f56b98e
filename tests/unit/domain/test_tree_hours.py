"""[A6, C8, T6] what a tree has used by now, and when its hours will be gone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.quantity import Quantity
from bizrq.domain.tree_hours import Children, exhausted_from, spent_now, taken_hours, used_hours, used_up_from
from tests.support.build import NOW, bizrq, read

CPU = "limits.cpu"
HOUR = 3_600_000
"""Milli-cores x seconds in a core-hour."""


@dataclass
class Tree:
    """One bizrq with what is below it."""

    milli_hours: int
    """Of its budget."""
    ledger: int = 0
    rate: int = 0
    shown: int | None = None
    """Thousandths of hours of its ``used``; None: what it is by its ledger."""
    below: list[Tree] = field(default_factory=list)


def grown(tree: Tree, name: str = "top", parent: str | None = None) -> tuple[Bizrq, Children]:
    """The bizrqs of a tree, as they were written at NOW."""
    known: dict[str, list[Bizrq]] = {}

    def make(tree: Tree, name: str, parent: str | None) -> Bizrq:
        known[name] = [make(child, f"{name}.{n}", name) for n, child in enumerate(tree.below)]
        shown = tree.ledger // 3600 if tree.shown is None else tree.shown
        return read(
            bizrq(
                name, parent=parent, hard={f"cash/{CPU}": f"{tree.milli_hours}m"}, reconciled=NOW,
                used={f"cash/{CPU}": f"{shown}m"},
                cash={"ledger": {CPU: str(tree.ledger)}, "rate": {CPU: f"{tree.rate}m"}},
            )
        )  # fmt: skip

    return make(tree, name, parent), lambda name: known[name]


def by_hand(tree: Tree, seconds: int) -> int:
    """The same, straight from the rule: own hours, and of each child the larger of hard and used, in thousandths."""
    total = tree.ledger + tree.rate * seconds
    for child in tree.below:
        taken = max(by_hand(child, seconds), child.milli_hours * 3600, (child.shown or 0) * 3600)
        total += -(-taken // 3600) * 3600
    return total


def trees(depth: int = 3) -> st.SearchStrategy[Tree]:
    return st.builds(
        Tree,
        st.integers(0, 3000),
        st.integers(0, 2 * HOUR),
        st.sampled_from([0, 0, 1, 1000, 7000]),
        st.none() | st.integers(0, 3000),
        st.lists(trees(depth - 1), max_size=2) if depth > 1 else st.just([]),
    )


@given(trees(), st.integers(0, 900))
def test_used_is_what_its_own_pods_cost_and_what_its_children_take(tree: Tree, seconds: int) -> None:
    """[T6] at any time after the statuses."""
    top, children = grown(tree)
    assert used_hours(top, CPU, NOW + seconds, children) == by_hand(tree, seconds)


@given(trees(), st.integers(0, 300), st.integers(1, 300))
def test_its_hours_are_gone_at_the_first_second_at_which_all_of_the_budget_is_used(
    tree: Tree, since: int, horizon: int
) -> None:
    """[C8] against a look at every second."""
    top, children = grown(tree)
    budget = tree.milli_hours * 3600
    first = next((s for s in range(since, since + horizon + 1) if by_hand(tree, s) >= budget), None)
    expected = NOW + first if first is not None and first > since else None
    assert exhausted_from(top, NOW + since, NOW + since + horizon, children) == expected


@given(trees(), st.integers(0, 900))
def test_what_is_spent_now_is_what_used_grows_by(tree: Tree, since: int) -> None:
    """[T6] over the next hour, unless a child uses up its own budget meanwhile: then it is more."""
    top, children = grown(tree)
    now = NOW + since
    risen = used_hours(top, CPU, now + 3600, children) - used_hours(top, CPU, now, children)
    below = [*children("top"), *(kid for child in children("top") for kid in children(child.name))]
    rounded = 3600 * len(below)  # each of what they take is in whole thousandths of an hour
    assert spent_now(top, CPU, now, children) * 3600 <= risen + rounded
    if not any(
        used_up_from(each, f"cash/{CPU}", now, now + 3600, children) or _shows_more(each, now, children)
        for each in below
    ):
        assert abs(spent_now(top, CPU, now, children) * 3600 - risen) <= rounded


def _shows_more(child: Bizrq, now: int, children: Children) -> bool:
    """Whether the status of a child says more than it has used by now."""
    return child.used[f"cash/{CPU}"].nano * 3600 // 10**6 > used_hours(child, CPU, now, children)


def test_a_child_that_overruns_its_budget_spends_that_of_its_parent() -> None:
    """[T6, C8] at every level: nothing is written, time alone does it."""
    grandchild = Tree(1000, ledger=HOUR, rate=4000)
    top, children = grown(Tree(3000, below=[Tree(1000, below=[grandchild])]))
    assert used_hours(top, CPU, NOW, children) == HOUR
    assert used_hours(top, CPU, NOW + 900, children) == 2 * HOUR
    assert exhausted_from(top, NOW, NOW + 3600, children) == NOW + 1800
    assert exhausted_from(top, NOW, NOW + 1800, children) == NOW + 1800
    assert exhausted_from(top, NOW, NOW + 1799, children) is None
    (child,) = children("top")
    assert taken_hours(child, NOW + 900, children) == {f"cash/{CPU}": Quantity.of(2)}


def test_what_a_child_was_granted_is_taken_whether_it_is_used_or_not() -> None:
    """[T3, T6]."""
    top, children = grown(Tree(1000, rate=1000, below=[Tree(500, rate=10)]))
    assert used_hours(top, CPU, NOW + 100, children) == HOUR // 2 + 100_000


def test_what_a_child_takes_is_whole_thousandths_rounded_up() -> None:
    """[K6] as its parent's status says it."""
    (child,) = grown(Tree(9, below=[Tree(0, ledger=1)]))[1]("top")
    assert taken_hours(child, NOW, lambda _: []) == {f"cash/{CPU}": Quantity.from_milli(1)}
    assert taken_hours(child, NOW + 5, lambda _: []) == {f"cash/{CPU}": Quantity.from_milli(1)}


def test_budgets_that_are_gone_already_are_no_turn() -> None:
    """[C8] it was one when they went."""
    top, children = grown(Tree(1000, ledger=HOUR, rate=1000))
    assert exhausted_from(top, NOW, NOW + 900, children) is None


def test_the_budget_that_is_gone_first_is_the_first_turn() -> None:
    """[C8] and the next one the next."""
    cash = {"ledger": {CPU: "0", "cpu": "0"}, "rate": {CPU: "1", "cpu": "1"}}
    top = read(bizrq(hard={f"cash/{CPU}": "1", "cash/cpu": "500m"}, reconciled=NOW, cash=cash))
    assert exhausted_from(top, NOW, NOW + 9999, lambda _: []) == NOW + 1800
    assert exhausted_from(top, NOW + 1800, NOW + 9999, lambda _: []) == NOW + 3600


def test_without_a_rate_nothing_turns() -> None:
    top, children = grown(Tree(1000, ledger=HOUR - 1))
    assert exhausted_from(top, NOW, NOW + 900, children) is None


@pytest.mark.parametrize(("shown", "taken"), [("5", 5), ("1", 2)])
def test_what_a_child_has_granted_and_nobody_counted_yet_is_in_its_used(shown: str, taken: int) -> None:
    """[T6] the claims of its own children."""
    child = read(bizrq("kid", hard={f"cash/{CPU}": "2"}, used={f"cash/{CPU}": shown}, reconciled=NOW))
    assert taken_hours(child, NOW, lambda _: []) == {f"cash/{CPU}": Quantity.of(taken)}


def test_over_an_edge_a_child_takes_its_budget_anew() -> None:
    """[C9, T6] what it showed was of the period before."""
    period = {"start": "2026-01-05T09:00:00Z", "end": "2026-01-05T10:10:00Z", "every": "Day", "timeZone": "UTC"}
    child = read(
        bizrq("kid", hard={f"cash/{CPU}": "2"}, used={f"cash/{CPU}": "5"}, reconciled=NOW,
              cash={"ledger": {CPU: str(5 * HOUR)}, "rate": {CPU: "1"}, "period": period})
    )  # fmt: skip
    assert taken_hours(child, NOW + 599, lambda _: [])[f"cash/{CPU}"] > Quantity.of(5)
    assert taken_hours(child, NOW + 600, lambda _: []) == {f"cash/{CPU}": Quantity.of(2)}


def test_each_budget_is_used_up_at_a_time_of_its_own() -> None:
    """[C8]"""
    cash = {"ledger": {CPU: "0", "cpu": "0"}, "rate": {CPU: "1", "cpu": "1"}}
    top = read(bizrq(hard={f"cash/{CPU}": "1", "cash/cpu": "500m"}, reconciled=NOW, cash=cash))
    assert [used_up_from(top, key, NOW, NOW + 9999, lambda _: []) for key in top.hard] == [NOW + 3600, NOW + 1800]
    assert used_up_from(top, "cash/cpu", NOW + 1800, NOW + 9999, lambda _: []) is None, "it is already"
