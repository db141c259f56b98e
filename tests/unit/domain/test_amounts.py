"""Amounts key by key: an absent key is zero in a sum, and not limited in hard [K5]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.amounts import add_into, exceeding, key_by_key_max, only, subtract_from, total
from bizrq.domain.quantity import ZERO, Quantity
from tests.support.build import amounts, texts
from tests.support.strategies import quantities

SOME = st.dictionaries(st.sampled_from(["limits.cpu", "limits.memory", "pods", "requests.cpu"]), quantities())
KEYS = ("limits.cpu", "limits.memory", "pods", "requests.cpu")


@given(SOME, SOME)
def test_addition_is_key_by_key(left: dict[str, Quantity], right: dict[str, Quantity]) -> None:
    result = dict(left)
    add_into(result, right)
    assert result.keys() == left.keys() | right.keys()
    assert all(result[key] == left.get(key, ZERO) + right.get(key, ZERO) for key in result)
    assert total([left, right]) == result


@given(SOME, SOME)
def test_subtraction_undoes_addition_and_drops_what_is_zero(
    left: dict[str, Quantity], right: dict[str, Quantity]
) -> None:
    result = dict(left)
    add_into(result, right)
    subtract_from(result, right)
    assert {key: result.get(key, ZERO) for key in KEYS} == {key: left.get(key, ZERO) for key in KEYS}
    assert all(result[key] for key in right if key in result)


@given(SOME, SOME)
def test_subtraction_may_go_below_zero(left: dict[str, Quantity], right: dict[str, Quantity]) -> None:
    result = dict(left)
    subtract_from(result, right)
    assert all(result.get(key, ZERO) == left.get(key, ZERO) - right.get(key, ZERO) for key in KEYS)


@given(st.lists(SOME, max_size=5), st.data())
def test_a_total_does_not_depend_on_the_order(parts: list[dict[str, Quantity]], data: st.DataObject) -> None:
    assert total(parts) == total(data.draw(st.permutations(parts)))


def test_a_total_changes_none_of_its_parts() -> None:
    part = amounts({"pods": "1"})
    assert texts(total([part, part])) == {"pods": "2"}
    assert texts(part) == {"pods": "1"}


@given(SOME, SOME)
def test_the_larger_of_two_is_key_by_key(left: dict[str, Quantity], right: dict[str, Quantity]) -> None:  # [T3, A4]
    result = key_by_key_max(left, right)
    assert result.keys() == left.keys() | right.keys()
    for key, amount in result.items():
        assert amount == max(each[key] for each in (left, right) if key in each)


def test_of_two_equal_amounts_the_left_one_decides_the_suffix() -> None:
    assert texts(key_by_key_max(amounts({"limits.memory": "1Ki"}), amounts({"limits.memory": "1024"}))) == {
        "limits.memory": "1Ki"
    }


def test_only_keeps_the_keys_asked_for() -> None:
    assert texts(only(amounts({"pods": "1", "limits.cpu": "2"}), {"pods", "memory"})) == {"pods": "1"}


@pytest.mark.parametrize(
    ("used", "hard", "keys"),
    [
        pytest.param({"limits.cpu": "5"}, {"limits.cpu": "4"}, ["limits.cpu"], id="above"),
        pytest.param({"limits.cpu": "4"}, {"limits.cpu": "4"}, [], id="exactly hard is not above it"),
        pytest.param({"limits.cpu": "5"}, {}, [], id="[K5] what hard lacks is not limited"),
        pytest.param({}, {"limits.cpu": "4"}, [], id="nothing is used"),
        pytest.param({"limits.cpu": "1m"}, {"limits.cpu": "0"}, ["limits.cpu"], id="[K5] 0 allows nothing"),
        pytest.param({"pods": "2", "cpu": "2"}, {"pods": "1", "cpu": "1"}, ["cpu", "pods"], id="sorted"),
        pytest.param({"memory": "1025"}, {"memory": "1Ki"}, ["memory"], id="whatever the suffixes"),
    ],
)
def test_which_keys_are_exceeded(used: dict[str, str], hard: dict[str, str], keys: list[str]) -> None:
    assert exceeding(amounts(used), amounts(hard)) == keys
