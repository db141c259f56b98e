"""What a status says, field by field, and what it leaves alone."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.calendars import CashPeriod, Every
from bizrq.domain.cash import HOUR, Books, Seen
from bizrq.domain.periods import Period, State
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.status import Counted, NotReady, has_news, new_status, summary
from tests.support.books import CPU
from tests.support.build import NOW, amounts, bizrq, read, texts
from tests.support.statuses import TEAM, after, core_hours, counted, surges

GPUS = GpuResources()


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return dict(found)


# --- the figures -----------------------------------------------------------------------------------------------------


def test_a_status_says_all_that_was_counted() -> None:
    """The example of spec section 2."""
    team = read(
        bizrq(
            "team-vision",
            generation=3,
            parent="dept-ai",
            hard={
                "requests.cpu": "400",
                "limits.cpu": "400",
                "limits.cpu.A4": "100",
                "limits.memory": "2Ti",
                "requests.nvidia.com/gpu": "64",
                "requests.nvidia.com/gpu.A30": "16",
                "cash/limits.cpu": "10000",
                "cash/requests.nvidia.com/gpu": "1000",
            },
        )
    )
    hour = 1000 * HOUR
    books = Books(
        ledger={"limits.cpu": 812 * hour + 4 * hour // 10, "requests.nvidia.com/gpu": 12 * hour},
        settled={"limits.cpu": hour, "requests.nvidia.com/gpu": 0},
        seen=Seen(81723, NOW - 2),
        rate={"limits.cpu": 396_500, "requests.nvidia.com/gpu": 40_000},
    )
    own = {"requests.cpu": "396", "limits.cpu": "396", "limits.memory": "1536Gi", "requests.nvidia.com/gpu": "40"}
    status = new_status(team, counted({**own, "pods": "9"}, books=books))
    assert status.pop("conditions")
    assert status == {
        "hard": {
            "cash/limits.cpu": "10000",
            "cash/requests.nvidia.com/gpu": "1000",
            "limits.cpu": "400",
            "limits.cpu.A4": "100",
            "limits.memory": "2Ti",
            "requests.cpu": "400",
            "requests.nvidia.com/gpu": "64",
            "requests.nvidia.com/gpu.A30": "16",
        },
        "used": {
            "cash/limits.cpu": "812.4",
            "cash/requests.nvidia.com/gpu": "12",
            "limits.cpu": "396",
            "limits.cpu.A4": "0",
            "limits.memory": "1536Gi",
            "requests.cpu": "396",
            "requests.nvidia.com/gpu": "40",
            "requests.nvidia.com/gpu.A30": "0",
        },
        "selfUsed": status["used"],
        "lastReconcileTime": "2026-01-05T10:00:00Z",
        "observedGeneration": 3,
        "writer": "9f31c2.4711",
        "summary": {
            "cpu": "396/400",
            "memory": "1536Gi/2Ti",
            "gpu": "40/64",
            "cashCpu": "812.4/10000",
            "cashGpu": "12/1000",
        },
        "cash": {
            "ledger": {"limits.cpu": "2924640000", "requests.nvidia.com/gpu": "43200000"},
            "settled": {"limits.cpu": "3600000", "requests.nvidia.com/gpu": "0"},
            "seen": "81723 2026-01-05T09:59:58Z",
            "rate": {"limits.cpu": "396500m", "requests.nvidia.com/gpu": "40"},
            "period": {"start": "2026-01-05T09:59:00Z"},
        },
    }


KEYS = st.sampled_from(["limits.cpu", "limits.memory", "pods", "cash/limits.cpu", "cash/limits.memory"])
FIGURES = st.dictionaries(KEYS, st.integers(0, 10**6).map(lambda milli: f"{milli}m"))


@given(FIGURES, FIGURES, FIGURES, st.integers(0, 10**12))
def test_used_is_self_used_and_what_the_children_take_on_the_keys_of_hard(
    hard: dict[str, str], own: dict[str, str], children: dict[str, str], ledger: int
) -> None:
    """[T3, T6, K5] only keys of hard are shown."""
    books = Books({"limits.cpu": ledger})
    status = new_status(read(bizrq(hard=hard)), counted(own, children=children, books=books))
    assert status["hard"].keys() == status["used"].keys() == status["selfUsed"].keys() == hard.keys()
    used, self_used, taken = amounts(status["used"]), amounts(status["selfUsed"]), amounts(children)
    assert amounts(status["hard"]) == amounts(hard)
    for key in hard:
        assert used[key] == self_used[key] + taken.get(key, ZERO)
        if not key.startswith("cash/"):
            assert self_used[key] == amounts(own).get(key, ZERO)


def test_hours_used_come_from_the_ledger_rounded_down_and_not_from_what_workloads_hold() -> None:
    """[C3, K6]."""
    team = read(bizrq(hard={"cash/limits.cpu": "10"}))
    books = Books({"limits.cpu": 3_599_999})
    status = new_status(team, counted({"cash/limits.cpu": "7"}, children={"cash/limits.cpu": "1500m"}, books=books))
    assert (status["selfUsed"], status["used"]) == ({"cash/limits.cpu": "0.999"}, {"cash/limits.cpu": "2.499"})


@given(st.dictionaries(KEYS, st.integers(0, 10**15).map(lambda milli: f"{milli}m")), st.integers(0, 10**30))
def test_a_status_is_read_back_as_what_was_counted(hard: dict[str, str], ledger: int) -> None:
    """[C4] ledger, settled, seen, rate and lastReconcileTime are exact on the way through a status."""
    books = Books({"limits.cpu": ledger, "limits.memory": -5}, {"limits.cpu": 3}, Seen(7, NOW - 9), {"limits.cpu": 1})
    team = read(bizrq(hard=hard))
    status = new_status(team, counted(books=books))
    back = after(team, status)
    assert back.books == books
    assert back.reconciled == NOW
    assert {key: back.used[key] for key in hard} == amounts(status["used"])


# --- what it leaves alone --------------------------------------------------------------------------------------------


def test_what_this_version_does_not_know_stays_as_it_was() -> None:
    """Replicas of two versions run side by side during an upgrade."""
    old = {
        "leftovers": ["2 ..."],
        "future": {"field": [1, 2]},
        "cash": {"moves": ["2 a line of tomorrow"], "new": 1},
        "conditions": [
            {"type": "Paused", "status": "True", "reason": "ByHand", "message": "m", "lastTransitionTime": "t"},
            {"type": "Ready", "status": "False", "reason": "Old", "message": "old", "extra": 1},
        ],
    }
    team = read(bizrq(hard={"pods": "1"}, status=old))
    before = copy.deepcopy(team.raw)
    status = new_status(team, counted())
    assert {name: status[name] for name in ("leftovers", "future")} == {
        name: old[name] for name in ("leftovers", "future")
    }
    assert old["cash"].items() <= status["cash"].items()  # type: ignore[attr-defined]
    assert old["conditions"][0] in status["conditions"]  # type: ignore[index]
    assert condition(status, "Ready")["extra"] == 1
    assert team.raw == before  # the object that was read is not changed


def test_a_status_that_is_changed_afterwards_does_not_reach_into_the_object_that_was_read() -> None:
    team = read(bizrq(hard={"pods": "1"}, status={"leftovers": ["2 a"], "cash": {"moves": ["2 m"]}}))
    status = new_status(team, counted())
    status["leftovers"].append("b")
    status["cash"]["moves"].append("n")
    assert (team.raw["status"]["leftovers"], team.raw["status"]["cash"]["moves"]) == (["2 a"], ["2 m"])


def test_a_view_that_is_not_known_leaves_the_one_that_is_stored() -> None:
    """[C4] ``seen`` never goes back."""
    team = read(bizrq(cash={"seen": "5 2026-01-05T10:00:00Z"}))
    assert new_status(team, counted(books=Books({CPU: 1})))["cash"]["seen"] == "5 2026-01-05T10:00:00Z"


@pytest.mark.parametrize("damaged", [{"cash": None}, {"conditions": None}, {"used": None}])
def test_parts_that_are_null_are_as_absent(damaged: dict[str, Any]) -> None:
    team = read({**bizrq(hard={"pods": "1", "cash/limits.cpu": "1"}), "status": damaged})
    fresh = read(bizrq(hard={"pods": "1", "cash/limits.cpu": "1"}))
    assert new_status(team, counted()) == new_status(fresh, counted())
    assert has_news(team, new_status(team, counted()), counted())


# --- the printed columns [spec 2] ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hard", "used", "column", "text"),
    [
        pytest.param({"limits.cpu": "400"}, {"limits.cpu": "396"}, "cpu", "396/400", id="CPU is limits.cpu"),
        pytest.param(
            {"cpu": "1", "requests.cpu": "2", "limits.cpu": "3"},
            {"limits.cpu": "1"},
            "cpu",
            "1/3",
            id="before the others",
        ),
        pytest.param({"cpu": "1", "requests.cpu": "2"}, {"requests.cpu": "1"}, "cpu", "1/2", id="else requests.cpu"),
        pytest.param({"cpu": "1"}, {"cpu": "500m"}, "cpu", "500m/1", id="else cpu"),
        pytest.param({"limits.cpu.A4": "1"}, {}, "cpu", "", id="a model is not the CPU"),
        pytest.param({"limits.memory": "2Ti"}, {"limits.memory": "1536Gi"}, "memory", "1536Gi/2Ti", id="memory"),
        pytest.param({"requests.memory": "2Ti"}, {}, "memory", "0/2Ti", id="nothing used"),
        pytest.param({"requests.nvidia.com/gpu": "64"}, {"requests.nvidia.com/gpu": "40"}, "gpu", "40/64", id="GPU"),
        pytest.param(
            {"requests.nvidia.com/gpu": "4", "requests.amd.com/gpu": "2", "requests.nvidia.com/mig-1g.5gb": "7"},
            {"requests.nvidia.com/gpu": "1", "requests.amd.com/gpu": "1", "requests.nvidia.com/mig-1g.5gb": "3"},
            "gpu",
            "5/13",
            id="the sum of the GPU resources",
        ),
        pytest.param(
            {"requests.nvidia.com/gpu": "4", "requests.nvidia.com/gpu.A30": "2", "requests.example.com/fpga": "9"},
            {"requests.nvidia.com/gpu": "1", "requests.nvidia.com/gpu.A30": "1"},
            "gpu",
            "1/4",
            id="of their plain keys",
        ),
        pytest.param(
            {"requests.nvidia.com/mig-1g.5gb": "4", "requests.nvidia.com/mig-1g.5gb.A30": "2"},
            {"requests.nvidia.com/mig-1g.5gb": "1", "requests.nvidia.com/mig-1g.5gb.A30": "1"},
            "gpu",
            "1/4",
            id="of slices too",
        ),
        pytest.param(
            {"cash/limits.cpu": "10000"},
            {"cash/limits.cpu": "812400m"},
            "cashCpu",
            "812.4/10000",
            id="hours are decimals",
        ),
        pytest.param({"cash/limits.cpu": "1500m"}, {"cash/limits.cpu": "0"}, "cashCpu", "0/1.5", id="on both sides"),
        pytest.param(
            {"cash/requests.cpu": "1", "cash/cpu": "2"},
            {"cash/requests.cpu": "1"},
            "cashCpu",
            "1/1",
            id="the first of three",
        ),
        pytest.param(
            {"cash/requests.nvidia.com/gpu": "1000", "cash/requests.nvidia.com/gpu.A30": "200", "cash/limits.cpu": "1"},
            {"cash/requests.nvidia.com/gpu": "12"},
            "cashGpu",
            "12/1000",
            id="card-hours of the plain keys",
        ),
        pytest.param({"pods": "1"}, {"pods": "1"}, "cpu", "", id="empty where not limited"),
        pytest.param({}, {}, "cashGpu", "", id="also for hours"),
    ],
)
def test_the_texts_behind_the_columns(hard: dict[str, str], used: dict[str, str], column: str, text: str) -> None:
    result = summary(amounts(hard), amounts(used), GPUS)
    assert result.keys() == {"cpu", "memory", "gpu", "cashCpu", "cashGpu"}
    assert result[column] == text


def test_which_resources_are_gpus_is_a_setting() -> None:
    """[K2]."""
    hard, used = amounts({"requests.hygon.com/dcu": "4"}), amounts({"requests.hygon.com/dcu": "1"})
    assert summary(hard, used, GpuResources(("dcu",)))["gpu"] == "1/4"
    assert summary(hard, used, GPUS)["gpu"] == ""


# --- conditions ------------------------------------------------------------------------------------------------------


def conditions_of(team: dict[str, Any], figures: Counted) -> dict[str, tuple[str, str, str]]:
    status = new_status(read(team), figures)
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in status["conditions"]}


def test_all_is_well() -> None:
    result = conditions_of(TEAM, counted({"limits.cpu": "8", "pods": "4"}, books=core_hours("9.999")))
    assert {kind: (status, reason) for kind, (status, reason, _) in result.items()} == {
        "Ready": ("True", "Counted"),
        "OverQuota": ("False", "WithinHard"),
        "CashExhausted": ("False", "BudgetLeft"),
        "SurgeStanding": ("False", "NoneForAnHour"),
    }


def test_every_condition_is_a_metav1_condition() -> None:
    for each in new_status(read(TEAM), counted())["conditions"]:
        assert each.keys() == {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"}
        assert each["reason"].isalnum()
        assert each["message"]
        assert each["observedGeneration"] == 3
        assert each["lastTransitionTime"] == "2026-01-05T10:00:00Z"


def test_not_ready_says_why() -> None:
    figures = counted(not_ready=NotReady("ParentNotFound", "the parent dept-ai does not exist"))
    assert conditions_of(TEAM, figures)["Ready"] == ("False", "ParentNotFound", "the parent dept-ai does not exist")


def test_a_hard_that_cannot_be_read_is_not_ready() -> None:
    """[K1]."""
    team = bizrq(hard={"limits.cpu": "8", "pods": "x", "cpu": "1K"})
    status, reason, message = conditions_of(team, counted(not_ready=NotReady("Other", "other")))["Ready"]
    assert (status, reason) == ("False", "InvalidHard")
    assert "spec.hard.pods: 'x'" in message
    assert "spec.hard.cpu: '1K'" in message


@pytest.mark.parametrize(
    ("own", "children", "over"),
    [
        pytest.param({"limits.cpu": "9"}, {}, "limits.cpu 9 of 8", id="own use"),
        pytest.param({"limits.cpu": "5"}, {"limits.cpu": "4"}, "limits.cpu 9 of 8", id="with what the children take"),
        pytest.param({"limits.cpu": "9", "pods": "5"}, {}, "limits.cpu 9 of 8, pods 5 of 4", id="every key, sorted"),
    ],
)
def test_over_quota_names_what_is_above_hard(own: dict[str, str], children: dict[str, str], over: str) -> None:
    """[T5]."""
    status, reason, message = conditions_of(TEAM, counted(own, children=children))["OverQuota"]
    assert (status, reason) == ("True", "UsedAboveHard")
    assert message == (
        f"more is used than hard allows: {over}; what runs goes on, and nothing that needs more of it is admitted "
        "until less is used or hard is raised"
    )


def test_a_message_names_ten_keys_and_says_how_many_more_there_are() -> None:
    """A bizrq may have 256 keys, and its status is sent around with every write."""
    keys = [f"count/kind{number:02}.example.com" for number in range(12)]
    team = bizrq(hard=dict.fromkeys(keys, "1"))
    message = conditions_of(team, counted(dict.fromkeys(keys, "2")))["OverQuota"][2]
    assert [key in message for key in keys] == [True] * 10 + [False] * 2
    assert " and 2 more keys; " in message


def test_hours_above_their_budget_are_exhausted_and_not_over_quota() -> None:
    result = conditions_of(TEAM, counted(books=core_hours("11")))
    assert result["OverQuota"][0] == "False"
    assert result["CashExhausted"][0] == "True"


@pytest.mark.parametrize(
    ("ledger", "children", "exhausted"),
    [
        pytest.param(10 * 3_600_000 - 1, "0", "False", id="a moment before"),
        pytest.param(10 * 3_600_000, "0", "True", id="at the very second: used >= hard"),
        pytest.param(4 * 3_600_000 - 1, "6", "False", id="with what the children take, a moment before"),
        pytest.param(4 * 3_600_000, "6", "True", id="and at the second"),
    ],
)
def test_cash_is_exhausted_to_the_second(ledger: int, children: str, exhausted: str) -> None:
    """[A6, C8, T6]."""
    figures = counted(children={"cash/limits.cpu": children}, books=Books({CPU: ledger}))
    assert conditions_of(TEAM, figures)["CashExhausted"][0] == exhausted
    shown = amounts(new_status(read(TEAM), figures)["used"])["cash/limits.cpu"]
    assert (shown >= Quantity.of(10)) == (exhausted == "True")


def test_an_exhausted_budget_is_named_with_its_hours() -> None:
    """[A6]."""
    team = bizrq(hard={"cash/limits.cpu": "100", "cash/limits.memory": "1Ti"})
    status, reason, message = conditions_of(team, counted(books=core_hours("100.5")))["CashExhausted"]
    assert (status, reason) == ("True", "BudgetSpent")
    assert message == (
        "no hours are left: cash/limits.cpu 100.5 of 100; what runs goes on and is paid for, and nothing that needs "
        "more of it is admitted until the budget is raised"
    )


def test_a_budget_of_a_period_says_when_it_is_granted_anew() -> None:
    """[C9] so that people know whether to wait or to ask."""
    day = State(Period(NOW - 60, NOW + 86_400), CashPeriod(Every.DAY, "Asia/Shanghai"))
    message = conditions_of(TEAM, dataclasses.replace(counted(books=core_hours("10")), period=day))["CashExhausted"][2]
    assert message.endswith(" until hours are granted anew at 2026-01-06T18:00:00+08:00 or the budget is raised")


def test_without_a_budget_nothing_is_exhausted() -> None:
    assert conditions_of(bizrq(hard={"pods": "1"}), counted())["CashExhausted"][:2] == ("False", "NoBudget")


def test_a_budget_of_zero_allows_nothing() -> None:
    """[K5]."""
    assert conditions_of(bizrq(hard={"cash/limits.cpu": "0"}), counted())["CashExhausted"][0] == "True"


@pytest.mark.parametrize(
    ("age", "standing"), [pytest.param(3599, "False", id="59 min 59 s"), pytest.param(3600, "True", id="an hour")]
)
def test_surge_stands_after_an_hour(age: int, standing: str) -> None:
    """[A8]."""
    figures = dataclasses.replace(counted(), surges=surges(NOW - age))
    assert conditions_of(TEAM, figures)["SurgeStanding"][0] == standing


def test_surge_that_stands_is_named_with_its_pods_and_the_way_out() -> None:
    """[A8] and what does not stand yet is not named."""
    figures = dataclasses.replace(counted(), surges=surges(NOW - 3600, NOW - 60))
    status, reason, message = conditions_of(TEAM, figures)["SurgeStanding"]
    assert (status, reason) == ("True", "RolloutStands")
    assert message == (
        "deployments.apps/shop/web-0 has 8 pods and is charged for 4, since 2026-01-05T09:00:00Z: "
        "promote or abort the rollout, or lower its replicas"
    )


def test_five_workloads_with_surge_are_named() -> None:
    """A status is sent around with every write."""
    figures = dataclasses.replace(counted(), surges=surges(*[NOW - 7200] * 7))
    message = conditions_of(TEAM, figures)["SurgeStanding"][2]
    assert [f"web-{number} " in message for number in range(7)] == [True] * 5 + [False] * 2
    assert "; and 2 more workloads: promote" in message


def test_the_time_of_a_transition_is_kept_while_the_status_is_the_same() -> None:
    team = read(TEAM)
    first = new_status(team, counted({"limits.cpu": "9"}))
    second = new_status(after(team, first), counted({"limits.cpu": "10"}, now=NOW + 60))
    assert condition(second, "OverQuota") == {
        **condition(first, "OverQuota"),
        "message": condition(first, "OverQuota")["message"].replace("limits.cpu 9", "limits.cpu 10"),
    }
    third = new_status(after(team, second), counted({"limits.cpu": "8"}, now=NOW + 120))
    assert condition(third, "OverQuota")["lastTransitionTime"] == "2026-01-05T10:02:00Z"
    assert condition(third, "Ready")["lastTransitionTime"] == "2026-01-05T10:00:00Z"
    assert len(third["conditions"]) == 4


def test_texts_of_amounts_are_canonical() -> None:
    """[K6]."""
    team = read(bizrq(hard={"limits.memory": "1024Ki", "limits.cpu": "1.50"}))
    status = new_status(team, counted({"limits.memory": "2048Ki", "limits.cpu": "0.5"}))
    assert texts(amounts(status["hard"])) == status["hard"] == {"limits.cpu": "1500m", "limits.memory": "1Mi"}
    assert status["used"] == {"limits.cpu": "500m", "limits.memory": "2Mi"}
