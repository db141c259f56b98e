"""[P5] a line of status.leftovers, and what a workload is charged while its pods are there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.amounts import beyond
from bizrq.domain.leftovers import (
    Leftover,
    LeftoverError,
    bounded,
    charge,
    held_by_pods,
    is_of_another_format,
    leftovers_of,
    parse_leftover,
)
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import NO_MODELS, Models
from tests.support.build import amounts, bizrq, read, texts

LINE = "1 u-1 deployments.apps/shop/web rs-1,rs-2 A4// limits.cpu=8,limits.cpu.A4=8,pods=4"

words = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
keys = st.sampled_from(["pods", "limits.cpu", "limits.cpu.A4", "requests.nvidia.com/gpu", "hugepages-2Mi", "cpu"])
quantities = st.integers(0, 10**9).map(Quantity.from_milli)
charges = st.dictionaries(keys, quantities, max_size=4)
models = st.builds(Models, *(st.none() | words for _ in range(3)))


def test_a_line_is_read():
    leftover = parse_leftover(LINE)
    assert (leftover.uid, leftover.object) == ("u-1", "deployments.apps/shop/web")
    assert (leftover.controllers, leftover.models) == (("rs-1", "rs-2"), Models("A4", None, None))
    assert texts(leftover.charge) == {"limits.cpu": "8", "limits.cpu.A4": "8", "pods": "4"}


@given(words, words, st.lists(words, max_size=3).map(tuple), models, charges)
def test_a_line_is_read_as_it_was_printed(uid, name, controllers, models, charge):
    leftover = Leftover(uid, f"jobs.batch/shop/{name}", controllers, models, charge)
    assert parse_leftover(leftover.line()) == leftover


def test_what_no_hard_can_name_is_left_out_of_a_line():
    leftover = Leftover("u", "jobs.batch/shop/a", (), NO_MODELS, amounts({"a b": "1", "x=y": "1", "pods": "1"}))
    assert leftover.line() == "1 u jobs.batch/shop/a  // pods=1"


@pytest.mark.parametrize(
    "line", ["", "1", "2 u jobs.batch/shop/a  // pods=1", "1 u a  / pods=1", "1 u a  // pods=x", LINE + " more"]
)
def test_what_is_no_line_is_told(line):
    with pytest.raises(LeftoverError):
        parse_leftover(line)


def test_a_line_that_cannot_be_read_is_left_out_and_logged(caplog):
    team = read(bizrq(status={"leftovers": [LINE, "1 broken", "2 u newer"]}))
    assert list(leftovers_of(team)) == ["u-1"]
    assert "1 broken" in caplog.text


@pytest.mark.parametrize(
    ("line", "stays"), [("2 u newer", True), ("10", True), ("1 u broken", False), ("", False), ("x", False)]
)
def test_lines_of_other_formats_are_other_versions_and_garbage_is_nobody_s(line, stays):
    assert is_of_another_format(line) is stays


def test_lines_stop_where_a_status_has_no_room():
    assert bounded(["a"] * 6000) == ["a"] * 5000
    assert len(bounded(["x" * 100_000] * 5)) == 2


# --- charges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "sure", "pods", "charged"),
    [
        pytest.param("2", "4", "4", "4", id="all pods are there"),
        pytest.param("2", "4", "3", "3", id="one has gone"),
        pytest.param("2", "4", "1", "2", id="never below the demand"),
        pytest.param("2", "4", "9", "4", id="never above what was charged: surge adds nothing"),
    ],
)
def test_a_charge_falls_with_the_pods(base, sure, pods, charged):
    assert texts(charge(amounts({"pods": base}), amounts({"pods": sure}), amounts({"pods": pods}))) == {"pods": charged}


@given(charges, charges, charges)
def test_a_charge_is_the_model_s_formula(base, more, pods):
    zero = Quantity.of(0)
    sure = {key: max(base.get(key, zero), more.get(key, zero)) for key in {*base, *more}}
    charged = charge(base, sure, pods)
    for key in {*base, *more, *pods}:
        ideal = max(base.get(key, zero), min(pods.get(key, zero), sure.get(key, zero)))
        assert charged.get(key, zero) == ideal


def test_pods_hold_no_count_of_workloads():
    assert texts(held_by_pods(amounts({"count/jobs.batch": "1", "pods": "2"}))) == {"pods": "2"}


def test_what_is_beyond_is_above_zero():
    assert texts(beyond(amounts({"a": "2", "b": "1", "c": "1"}), amounts({"a": "1", "b": "1"}))) == {"a": "1", "c": "1"}
