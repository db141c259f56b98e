"""[A6, T6] growth under budgets of hours."""

from __future__ import annotations

from typing import Any

import pytest

from bizrq.domain.admission import Again, Granted, Refused
from bizrq.domain.times import timestamp
from tests.support.build import NOW
from tests.support.quotas import HOUR_OF_A_CORE, account, admit, ask, budget, counted, refusal


@pytest.mark.parametrize(
    ("raw", "spent"),
    [
        pytest.param(budget("1", booked=HOUR_OF_A_CORE), True, id="used = hard: refused"),
        pytest.param(budget("1", booked=HOUR_OF_A_CORE - 1), False, id="the least amount below it: allowed"),
        pytest.param(budget("1", booked=HOUR_OF_A_CORE + 1), True, id="the least amount above it: refused"),
        pytest.param(budget("0", booked=0), True, id="no budget at all"),
        pytest.param(
            budget("2", booked=HOUR_OF_A_CORE, used="2"), True, id="[T6] what children have overrun is used too"
        ),
        pytest.param(
            budget("2", booked=HOUR_OF_A_CORE - 1, used="1999m"),
            False,
            id="[T6] with children's hours: to the least amount",
        ),
    ],
)
def test_growth_is_refused_where_the_hours_are_used_up(raw: dict[str, Any], spent: bool) -> None:  # noqa: FBT001
    """[A6] cash used >= hard."""
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"})), Refused) == spent


def test_a_refusal_for_want_of_hours_says_how_many_were_used() -> None:
    """[A6]."""
    raw = budget("100", booked=int(100.5 * HOUR_OF_A_CORE))
    assert refusal(raw, ask({"limits.cpu": "1"})) == (
        "exceeded quota: team, used: cash/limits.cpu=100.5, limited: cash/limits.cpu=100"
        "; these hours are used up: what runs goes on, and nothing more starts until the budget is raised"
    )


def test_used_is_carried_forward_from_the_last_reconcile_at_the_recorded_rate() -> None:
    """[A6] exactly to the second."""
    raw = budget("1", booked=HOUR_OF_A_CORE - 10 * 4000, rate="4")
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"}), NOW + 9), Granted)
    assert "used: cash/limits.cpu=1," in refusal(raw, ask({"limits.cpu": "1"}), NOW + 10)
    assert "used: cash/limits.cpu=2," in refusal(raw, ask({"limits.cpu": "1"}), NOW + 10 + 900)


def test_a_clock_that_is_behind_the_last_reconcile_takes_no_hours_back() -> None:
    """[A6]."""
    assert isinstance(
        admit(account(budget("1", booked=HOUR_OF_A_CORE, rate="4")), ask({"limits.cpu": "1"}), NOW - 60), Refused
    )


@pytest.mark.parametrize(
    ("old", "new", "spent"),
    [
        pytest.param({}, {"limits.memory": "1Gi", "pods": "1"}, False, id="growth elsewhere"),
        pytest.param({"limits.cpu": "3"}, {"limits.cpu": "3", "pods": "9"}, False, id="no more of it"),
        pytest.param({}, {"limits.cpu.A4": "1"}, False, id="a model without a budget of its own"),
        pytest.param({}, {"requests.nvidia.com/gpu.A30": "1"}, True, id="a model with one that is spent"),
    ],
)
def test_only_growth_that_touches_the_resource_of_a_spent_budget_is_refused(
    old: dict[str, str],
    new: dict[str, str],
    spent: bool,  # noqa: FBT001
) -> None:
    """[A6] plain, or of its model."""
    raw = counted({"cash/limits.cpu": "0", "cash/requests.nvidia.com/gpu.A30": "0"})
    assert isinstance(admit(account(raw), ask(new, old, version=7)), Refused) == spent


@pytest.mark.parametrize(("spec", "status"), [("2", "1"), ("1", "2")])
def test_the_smaller_budget_of_spec_and_status_counts(spec: str, status: str) -> None:
    """[A1, A6]."""
    raw = budget(spec, booked=HOUR_OF_A_CORE)
    raw["status"]["hard"]["cash/limits.cpu"] = status
    assert not isinstance(admit(account(raw), ask({"limits.cpu": "1"})), Granted)


def test_a_budget_from_90_per_cent_on_is_warned_of() -> None:
    raw = budget("1", booked=HOUR_OF_A_CORE * 95 // 100)
    assert admit(account(raw), ask({"limits.cpu": "1"})) == Granted(
        ("quota team: 95 % of cash/limits.cpu is used (0.95 of 1)",)
    )


def test_a_spent_budget_does_not_keep_a_child_from_being_granted_cores() -> None:
    """[T6] a child spends hours of its own budget, and that is granted from its parent's."""
    raw = budget("1", booked=HOUR_OF_A_CORE)
    keys = {"limits.cpu": "1", "cash/limits.cpu": "0"}
    assert isinstance(admit(account(raw), ask(keys, keys=frozenset(keys))), Granted)
    more = {"limits.cpu": "1", "cash/limits.cpu": "1"}
    assert refusal(raw, ask(more, keys=frozenset(more))).startswith(
        "exceeded quota: team, requested: cash/limits.cpu=1, used: cash/limits.cpu=1, limited: cash/limits.cpu=1"
    )


def test_what_is_left_of_a_budget_for_children_is_carried_forward_too() -> None:
    """[T6, A6]."""
    raw = budget("2", booked=HOUR_OF_A_CORE // 2, rate="1")
    half = {"limits.cpu": "0", "cash/limits.cpu": "1500m"}
    assert isinstance(admit(account(raw), ask(half, keys=frozenset(half))), Granted)
    assert "used: cash/limits.cpu=0.501" in refusal(raw, ask(half, keys=frozenset(half)), NOW + 4)


def test_a_budget_that_was_raised_and_is_not_counted_yet_cannot_be_decided() -> None:
    """[A1, A6, A13] as any other key."""
    raw = budget("2", booked=HOUR_OF_A_CORE)
    raw["status"]["hard"]["cash/limits.cpu"] = "1"
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"})), Again)


def test_a_budget_that_is_only_in_spec_hard_yet_cannot_be_decided() -> None:
    """[A1, A6, A13] nothing is known of its hours; it is not spent."""
    raw = counted(
        {"limits.cpu": "10", "cash/limits.cpu": "100"}, status_hard={"limits.cpu": "10"}, used={"limits.cpu": "0"}
    )
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"})), Again)


# --- over an edge of the period --------------------------------------------------------------------------------------

EDGE = NOW + 3600
PERIOD = {"start": timestamp(NOW - 86_400), "end": timestamp(EDGE), "every": "Week", "timeZone": "UTC"}


def periodic(booked: int, **fields: str) -> dict[str, Any]:
    """A budget of 10 core-hours a week, of which so many milli-cores x seconds are booked; the week ends at EDGE."""
    raw = budget("10", booked=booked, **fields)
    raw["status"]["cash"]["period"] = PERIOD
    return raw


def test_a_budget_that_is_spent_is_there_again_from_the_edge_on_without_a_controller() -> None:
    """[A6, C9] the webhook carries used over an edge by itself."""
    raw = periodic(10 * HOUR_OF_A_CORE, rate="2")
    assert "used: cash/limits.cpu=11.999," in refusal(raw, ask({"limits.cpu": "1"}), EDGE - 1)
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"}), EDGE), Granted)


def test_after_an_edge_the_hours_since_then_are_spent_at_the_recorded_rate() -> None:
    """[A6, C9] to the second."""
    raw = periodic(0, rate="4")
    spent = EDGE + 9000  # 10 core-hours of 4 cores
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"}), spent - 1), Granted)
    assert "used: cash/limits.cpu=10," in refusal(raw, ask({"limits.cpu": "1"}), spent)


def test_a_refusal_says_when_hours_are_granted_anew() -> None:
    """[A6, C9] at the edge to come, in the time of the zone."""
    raw = periodic(10 * HOUR_OF_A_CORE, rate="10")
    raw["status"]["cash"]["period"] = {**PERIOD, "timeZone": "Asia/Shanghai"}
    words = "; these hours are used up: what runs goes on, and nothing more starts until hours are granted anew at "
    assert f"{words}2026-01-05T19:00:00+08:00 or the budget is raised" in refusal(raw, ask({"limits.cpu": "1"}))
    later = refusal(raw, ask({"limits.cpu": "1"}), EDGE + 3600)
    assert f"{words}2026-01-12T00:00:00+08:00 or the budget is raised" in later


def test_after_an_edge_it_is_warned_of_what_is_used_since_then() -> None:
    """[A6, C9]"""
    raw = periodic(9 * HOUR_OF_A_CORE)
    assert admit(account(raw), ask({"limits.cpu": "1"}), EDGE - 1).warnings == (  # type: ignore[union-attr]
        "quota team: 90 % of cash/limits.cpu is used (9 of 10)",
    )
    assert admit(account(raw), ask({"limits.cpu": "1"}), EDGE) == Granted()


def test_after_an_edge_children_still_take_what_they_were_granted() -> None:
    """[A6, T6, C9]"""
    raw = periodic(2 * HOUR_OF_A_CORE, used="10")
    assert "used: cash/limits.cpu=10," in refusal(raw, ask({"limits.cpu": "1"}), EDGE - 1)
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"}), EDGE), Granted)
    more = {"limits.cpu": "0", "cash/limits.cpu": "2001m"}
    assert "requested: cash/limits.cpu=2.001, used: cash/limits.cpu=8," in refusal(
        raw, ask(more, keys=frozenset(more)), EDGE
    )
