"""[T1-T3, T6] what children take, and circles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.quantity import ZERO
from bizrq.domain.tree import circle_above, missing_keys, root_of, taken, taken_by_all
from tests.support.build import bizrq, read, texts


def child(name: str = "child", *, hard: dict[str, str] | None = None, used: dict[str, str] | None = None) -> Bizrq:
    return read(bizrq(name, parent="parent", hard=hard, used=used))


@pytest.mark.parametrize(
    ("hard", "used", "takes"),
    [
        pytest.param({"limits.cpu": "8"}, {"limits.cpu": "3"}, {"limits.cpu": "8"}, id="its hard, used or not"),
        pytest.param({"limits.cpu": "8"}, None, {"limits.cpu": "8"}, id="before its first status too"),
        pytest.param(
            {"limits.cpu": "4"}, {"limits.cpu": "8"}, {"limits.cpu": "8"}, id="lowered below its use: what is in use"
        ),
        pytest.param(
            {"limits.cpu": "4", "pods": "9"},
            {"limits.cpu": "8", "pods": "2"},
            {"limits.cpu": "8", "pods": "9"},
            id="key by key",
        ),
        pytest.param(
            {"cash/limits.cpu": "100"},
            {"cash/limits.cpu": "100.5"},
            {"cash/limits.cpu": "100500m"},
            id="[T6] a budget overrun is taken from the parent too",
        ),
        pytest.param(
            {"pods": "9"},
            {"limits.cpu": "8"},
            {"limits.cpu": "8", "pods": "9"},
            id="a key dropped from hard is still in use",
        ),
    ],
)
def test_what_a_child_takes_is_the_larger_of_its_hard_and_its_used(
    hard: dict[str, str], used: dict[str, str] | None, takes: dict[str, str]
) -> None:
    """[T3]."""
    assert texts(taken(child(hard=hard, used=used))) == takes


AMOUNTS = st.dictionaries(st.sampled_from(["limits.cpu", "pods", "cash/limits.cpu"]), st.integers(0, 20).map(str))


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=4))
def test_what_all_children_take_is_the_sum_and_covers_both_hard_and_used(
    stated: list[tuple[dict[str, str], dict[str, str]]],
) -> None:
    """[T3, T6] parent.used = parent.selfUsed + what the children take."""
    children = [child(f"child-{index}", hard=hard, used=used) for index, (hard, used) in enumerate(stated)]
    everything = taken_by_all(children)
    for key in ("limits.cpu", "pods", "cash/limits.cpu"):
        of_each = [taken(each).get(key, ZERO) for each in children]
        assert everything.get(key, ZERO) == sum(of_each, ZERO)
        assert all(
            amount == max(each.hard.get(key, ZERO), each.used.get(key, ZERO))
            for amount, each in zip(of_each, children, strict=True)
        )


def test_the_keys_that_a_child_lacks_are_named_in_order() -> None:
    """[T2] a child has every key of its parent's spec.hard; more are allowed."""
    parent = read(bizrq("parent", hard={"pods": "1", "limits.cpu": "1", "memory": "1"}))
    assert missing_keys(child(hard={"limits.cpu": "1", "requests.cpu": "1"}), parent) == ["memory", "pods"]
    assert missing_keys(child(hard={"pods": "0", "limits.cpu": "1", "memory": "1"}), parent) == []


# --- circles [T1] ----------------------------------------------------------------------------------------------------


def tree(parents: dict[str, str]) -> dict[str, Bizrq]:
    return {name: read(bizrq(name, parent=parent)) for name, parent in parents.items()}


@pytest.mark.parametrize(
    ("parents", "circled"),
    [
        pytest.param({"a": ""}, set(), id="a root"),
        pytest.param({"a": "", "b": "a", "c": "b"}, set(), id="a branch"),
        pytest.param({"a": "a"}, {"a"}, id="its own parent"),
        pytest.param({"a": "b", "b": "a"}, {"a", "b"}, id="each other's parents"),
        pytest.param({"a": "b", "b": "c", "c": "a"}, {"a", "b", "c"}, id="a circle of three"),
        pytest.param({"a": "gone"}, set(), id="a parent that does not exist"),
        pytest.param({"a": "b", "b": "a", "c": "a"}, {"a", "b", "c"}, id="a branch that hangs on a circle"),
        pytest.param({"a": "b", "b": "a", "c": ""}, {"a", "b"}, id="a circle beside a tree"),
    ],
)
def test_who_stands_in_a_circle(parents: dict[str, str], circled: set[str]) -> None:
    """[T1] also where somebody wrote one past the webhook."""
    bizrqs = tree(parents)
    assert {name for name, each in bizrqs.items() if circle_above(each, bizrqs.get)} == circled


def test_the_circle_is_named_without_the_branch_that_hangs_on_it() -> None:
    """[T1] only those in the circle hand nothing up; the branch counts its children as usual."""
    bizrqs = tree({"a": "b", "b": "a", "c": "a", "d": "c"})
    assert {name: set(circle_above(each, bizrqs.get)) for name, each in bizrqs.items()} == dict.fromkeys(
        "abcd", frozenset({"a", "b"})
    )


def test_a_deep_branch_is_no_circle() -> None:
    """[T1]."""
    depth = 500
    bizrqs = tree({"b0": "", **{f"b{level}": f"b{level - 1}" for level in range(1, depth + 1)}})
    assert not circle_above(bizrqs[f"b{depth}"], bizrqs.get)


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", *"abcdefg"]), min_size=1))
def test_a_walk_up_any_tree_ends_and_finds_the_circles(parents: dict[str, str]) -> None:
    """[T1]."""
    bizrqs = tree(parents)
    for name, each in bizrqs.items():
        above, walked = parents[name], set()
        while above in parents and above not in walked:
            walked.add(above)
            above = parents[above]
        assert bool(circle_above(each, bizrqs.get)) is (above in walked)


def test_the_root_of_a_tree_is_the_topmost_that_is_there() -> None:
    """[T1] in a circle there is none."""
    known = {name: read(bizrq(name, parent=parent)) for name, parent in (("a", None), ("b", "a"), ("c", "b"))}
    assert [root_of(known[name], known.get) for name in "abc"] == ["a", "a", "a"]
    assert root_of(known["c"], {"b": known["b"]}.get) == "b"
    circle = {name: read(bizrq(name, parent=parent)) for name, parent in (("x", "y"), ("y", "x"), ("z", "x"))}
    assert [root_of(circle[name], circle.get) for name in "xyz"] == ["", "", ""]
