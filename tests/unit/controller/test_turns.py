"""[C8, C9] when the figures of a bizrq turn by time alone."""

from __future__ import annotations

import pytest

from bizrq.controller.turns import next_turn
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.domain.times import timestamp
from bizrq.inventory.inventory import Inventory
from tests.support.books import CPU
from tests.support.build import NOW, bizrq, read

HORIZON = 900


def inventory_of(*raws):
    inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: NOW)
    for raw in raws:
        inventory.put_bizrq(read(raw))
    return inventory


def group(name="team", *, parent=None, hours="1", ledger=0, rate="0", period_end=None, **fields):
    cash = {"ledger": {CPU: str(ledger)}, "rate": {CPU: rate}}
    if period_end is not None:
        cash["period"] = {
            "start": timestamp(NOW - 60), "end": timestamp(period_end), "every": "Day", "timeZone": "UTC",
        }  # fmt: skip
    return bizrq(name, parent=parent, hard={"cash/limits.cpu": hours}, reconciled=NOW, cash=cash, **fields)


def turn(*raws, steady_until=None, now=NOW, **more):
    inventory = inventory_of(*raws)
    return next_turn(read(raws[0]), inventory, steady_until, now, **more) - now


def test_at_rest_it_looks_again_at_the_horizon():
    """[C8]."""
    assert turn(group()) == HORIZON


def test_when_the_budget_is_used_up():
    """[C8] to the second: 36 s of 100 cores are an hour."""
    assert turn(group(rate="100")) == 36
    assert turn(group(rate="99")) == 37


def test_what_comes_behind_the_horizon_is_found_by_the_next_look():
    """[C8]."""
    assert turn(group(rate="1")) == HORIZON
    assert turn(group(rate="1"), now=NOW + 2800) == 800


def test_when_surge_begins_to_stand():
    """[A8]."""
    assert turn(group(), surge_stands=NOW + 300) == 300
    assert turn(group(), surge_stands=NOW + 3600) == HORIZON


def test_when_the_period_ends():
    """[C9]."""
    assert turn(group(period_end=NOW + 300)) == 300


@pytest.mark.parametrize(("end", "expected"), [(300, 36), (37, 36), (36, 36), (30, 30)])
def test_hours_that_run_out_before_the_period_ends_are_not_overlooked(end, expected):
    """[C8, C9] at the edge itself they are those of the next period."""
    assert turn(group(rate="100", period_end=NOW + end)) == expected


def test_when_a_pod_starts_ends_or_passes_its_cut():
    """[C8] the rate is another one from then on."""
    assert turn(group(rate="100"), steady_until=NOW + 20) == 20
    assert turn(group(rate="100"), steady_until=NOW + 50) == 36


def test_what_is_due_already_comes_next_and_not_at_once_for_ever():
    assert turn(group(), steady_until=NOW - 5) == 1
    assert turn(group(period_end=NOW)) == 1


def test_a_child_that_overruns_uses_up_the_hours_of_its_parent():
    """[C8, T6] at two levels."""
    top = group("top", hours="2")
    raws = [top, group("mid", parent="top", hours="1"), group("leaf", parent="mid", hours="1", rate="100")]
    assert turn(*raws) == 72
    assert turn(raws[1], raws[0], raws[2]) == HORIZON, "its hours are all granted: gone already"


def test_in_a_circle_nothing_is_handed_up():
    """[T1] and no recursion without an end."""
    assert turn(group("a", parent="b", rate="100"), group("b", parent="a")) == HORIZON
