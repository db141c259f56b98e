"""What is shown of one bizrq: the numbers that the webhook and the controller go by [A6, C8, C9, T6]."""

from __future__ import annotations

from typing import Any

import pytest

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.claims import mark_of, parse_claim
from bizrq.domain.forecast import used_at
from bizrq.domain.tree_hours import exhausted_from
from bizrq.observability.bizrq_figures import Figures, Tree, figures_of
from tests.support.build import NOW, read
from tests.support.quotas import HOUR_OF_A_CORE, counted, line

CPU = "limits.cpu"
CASH = f"cash/{CPU}"

WEEK = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-12T00:00:00Z", "every": "Week", "timeZone": "UTC"}


def team(hours: str = "10", *, spent: int = 0, rate: str = "0", name: str = "team", **fields: Any) -> Bizrq:
    """A bizrq with a budget, of which so many milli-core-seconds are booked."""
    cash = {"ledger": {CPU: str(spent)}, "rate": {CPU: rate}, **fields.pop("cash", {})}
    shown = {CASH: f"{spent // 3600}m"} | fields.pop("used", {})
    hard = {CPU: "8", CASH: hours} | fields.pop("hard", {})
    return read(counted(hard, name=name, cash=cash, used=shown, **fields))


def shown(*bizrqs: Bizrq, at: int = NOW) -> Figures:
    """The figures of the first one."""
    return figures_of(bizrqs[0], Tree(bizrqs), at)


def test_amounts_are_in_the_unit_of_their_key() -> None:
    """Cores, bytes, cards, pods; self used is without the children."""
    hard = {CPU: "1500m", "limits.memory": "2Gi", "requests.nvidia.com/gpu": "4", "pods": "10"}
    found = shown(read(counted(hard, used={CPU: "1", "limits.memory": "1Gi"}, self_used={CPU: "250m"}))).plain
    assert {key: each.hard for key, each in found.items()} == {
        CPU: 1.5, "limits.memory": 2 * 2**30, "requests.nvidia.com/gpu": 4, "pods": 10,
    }  # fmt: skip
    assert (found[CPU].used, found[CPU].self_used) == (1, 0.25)
    assert found["limits.memory"].used == 2**30


def test_what_was_not_counted_yet_has_no_use() -> None:
    """A key that is new in hard [A13]."""
    found = shown(read(counted({CPU: "4", "pods": "1", CASH: "1"}, status_hard={CPU: "4"}, used={CPU: "1"})))
    assert (found.plain["pods"].hard, found.plain["pods"].used, found.plain["pods"].self_used) == (1, None, None)
    assert (found.cash[CASH].hard, found.cash[CASH].used, found.cash[CASH].self_used) == (3600, None, None)


def test_cash_is_in_units_x_seconds_and_carried_forward_as_the_webhook_does_it() -> None:
    """[A6] at the recorded rate; hours are a presentation."""
    bizrq = team(spent=HOUR_OF_A_CORE, rate="2")
    found = shown(bizrq, at=NOW + 900).cash[CASH]
    assert (found.hard, found.used, found.self_used) == (36_000, 5400, 5400)
    assert found.used == used_at(bizrq, CASH, NOW + 900).nano * 3600 / 10**9
    assert (found.spend, found.self_spend) == (2, 2)


def test_over_an_edge_used_begins_anew() -> None:
    """[C9] before any controller has written it."""
    week = {**WEEK, "end": "2026-01-05T10:10:00Z"}
    found = shown(team(spent=HOUR_OF_A_CORE, rate="2", cash={"period": week}), at=NOW + 700)
    assert found.cash[CASH].self_used == 200
    assert found.period is not None
    assert found.period.start == NOW + 600


def test_a_period_is_shown_where_it_has_an_end() -> None:
    """[C9]."""
    period = shown(team(cash={"period": WEEK})).period
    assert period is not None
    assert period.end is not None
    assert period.end - period.start == 7 * 86_400
    assert shown(team(cash={"period": {"start": WEEK["start"]}})).period is None
    assert shown(team()).period is None


def test_a_budget_is_exhausted_when_the_controller_wakes_for_it() -> None:
    """[C8] the same function says when."""
    bizrq = team("1", rate="2")
    assert shown(bizrq).cash[CASH].exhausted_at == NOW + 1800
    assert exhausted_from(bizrq, NOW, NOW + 7200, lambda _: ()) == NOW + 1800


def test_a_budget_that_lasts_out_its_period_is_not_exhausted() -> None:
    """[C9] at the edge itself its hours begin anew."""
    seconds = 14 * 3600
    day = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z", "every": "Day", "timeZone": "UTC"}
    assert shown(team("14", rate="1", cash={"period": day})).cash[CASH].exhausted_at is None
    assert shown(team("13.999", rate="1", cash={"period": day})).cash[CASH].exhausted_at == NOW + seconds - 3
    assert shown(team("14", rate="1")).cash[CASH].exhausted_at == NOW + seconds


@pytest.mark.parametrize("rate", ["0", "1m"])
def test_a_budget_that_is_hardly_spent_is_never_exhausted(rate: str) -> None:
    assert shown(team("1000000", rate=rate)).cash[CASH].exhausted_at is None


@pytest.mark.parametrize(
    ("condition", "since"),
    [
        pytest.param("2026-01-05T09:00:00Z", NOW - 3600, id="since the status says it"),
        pytest.param("2026-01-04T09:00:00Z", NOW - 36_000, id="not before the period"),
        pytest.param("2026-01-05T10:00:09Z", NOW, id="not after now, by another's clock"),
        pytest.param(None, NOW, id="now, where the status has yet to say it"),
    ],
)
def test_an_exhausted_budget_is_so_since_the_past(condition: str | None, since: int) -> None:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    if condition:
        conditions.append({"type": "CashExhausted", "status": "True", "lastTransitionTime": condition})
    spent = team("1", spent=HOUR_OF_A_CORE, cash={"period": WEEK}, conditions=conditions)
    assert shown(spent).cash[CASH].exhausted_at == since


def test_each_budget_has_a_time_of_its_own() -> None:
    """[C8] the controller wakes for the first."""
    hard = {CASH: "1", "cash/cpu": "2"}
    cash = {"ledger": {CPU: "0", "cpu": "0"}, "rate": {CPU: "1", "cpu": "1"}}
    found = shown(read(counted(hard, cash=cash))).cash
    assert [found[key].exhausted_at for key in hard] == [NOW + 3600, NOW + 7200]


def test_what_children_overrun_is_spent_of_their_parent_and_what_they_were_granted_is_not() -> None:
    """[T6]."""
    parent = team("10", rate="1", name="dept", used={CASH: "3"})
    within = team("2", rate="5", name="within", parent="dept", spent=HOUR_OF_A_CORE)
    beyond = team("1", rate="7", name="beyond", parent="dept", spent=HOUR_OF_A_CORE)
    found = shown(parent, within, beyond).cash[CASH]
    assert (found.spend, found.self_spend) == (8, 1)


def test_uncertain_hours_are_shown_behind_the_key_of_hard() -> None:
    """[C6] also of a budget that is gone; only where there are any."""
    found = shown(team(cash={"uncertain": {CPU: "1500", "requests.nvidia.com/gpu": "2000", "cpu": "0"}}))
    assert found.uncertain == {CASH: 1.5, "cash/requests.nvidia.com/gpu": 2}


def test_conditions_claims_and_the_time_of_the_count() -> None:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "OverQuota", "status": "Unknown"}]
    raised = {CPU: "1"}
    mark = mark_of(parse_claim(line("c", 1, raised, raised) + " own"))
    claims = [*(line(uid, 1, raised, raised) for uid in ("a", "b")), mark, "9 of a form to come own"]
    found = shown(read(counted({CPU: "1"}, conditions=conditions, claims=claims)))
    assert found.conditions == {"Ready": True, "OverQuota": False}
    assert (found.claims, found.reconciled) == (3, NOW), "a mark says no more than that its object is counted [A8]"


def test_a_bizrq_without_a_status_shows_what_it_allows() -> None:
    found = shown(read({**counted({CPU: "4"}), "status": {}}))
    assert (found.plain[CPU].hard, found.plain[CPU].used, found.claims) == (4, None, 0)


def test_one_that_was_never_counted_is_as_old_as_itself() -> None:
    """So that it shows as stale where nothing can be written, be it from its first second on."""
    raw = counted({CPU: "4"})
    raw["metadata"]["creationTimestamp"] = "2026-01-05T09:00:00Z"
    assert shown(read({**raw, "status": {}})).reconciled == NOW - 3600


def test_the_place_in_the_tree() -> None:
    """[T1] the root is the topmost that is there."""
    root, dept, kid = (
        team(name=name, parent=parent) for name, parent in (("acme", ""), ("dept", "acme"), ("kid", "dept"))
    )
    assert [(each.parent, each.root) for each in (shown(root), shown(kid, dept, root), shown(kid, dept))] == [
        ("", "acme"), ("dept", "acme"), ("dept", "dept"),
    ]  # fmt: skip


def test_bizrqs_that_are_each_others_ancestors_are_shown_without_what_they_take() -> None:
    """[T1] nobody's figures may hold up a scrape."""
    one, other = team(name="one", parent="other", rate="1"), team(name="other", parent="one", rate="2")
    found = shown(one, other)
    assert (found.root, found.cash[CASH].spend) == ("", 1)
    below = team(name="below", parent="one")
    assert shown(below, one, other).root == ""
