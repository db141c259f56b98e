"""What a bizrq says, read from its JSON; damaged by hand it is reported or ignored, and never raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.bizrq import Bizrq, read_bizrq
from bizrq.domain.calendars import CashPeriod, Every, only_on_a_root
from bizrq.domain.cash import Books, Seen
from bizrq.domain.periods import Period
from tests.support.build import NOW, bizrq, read, texts


def test_everything_is_read() -> None:
    raw = bizrq(
        "team-vision",
        uid="u1",
        version=81723,
        generation=3,
        created=NOW - 60,
        parent="dept-ai",
        hard={"limits.cpu": "400", "limits.memory": "2Ti", "pods": 20, "cash/limits.cpu": "10000"},
        used={"limits.cpu": "396", "cash/limits.cpu": "812.4"},
        reconciled=NOW,
        cash={
            "ledger": {"limits.cpu": "2924640000"},
            "settled": {"limits.cpu": "1000"},
            "seen": "81700 2026-01-05T09:59:58Z",
            "rate": {"limits.cpu": "396500m"},
        },
    )
    result = read(raw)
    assert (result.name, result.uid, result.version, result.generation) == ("team-vision", "u1", 81723, 3)
    assert (result.created, result.parent, result.reconciled) == (NOW - 60, "dept-ai", NOW)
    assert texts(result.hard) == {
        "limits.cpu": "400",
        "limits.memory": "2Ti",
        "pods": "20",
        "cash/limits.cpu": "10k",
    }
    assert texts(result.used) == {"limits.cpu": "396", "cash/limits.cpu": "812400m"}
    assert result.books == Books(
        ledger={"limits.cpu": 2924640000},
        settled={"limits.cpu": 1000},
        seen=Seen(81700, NOW - 2),
        rate={"limits.cpu": 396500},
    )
    assert result.problems == ()
    assert result.raw is raw


def test_cash_keys_are_the_compute_keys_with_a_budget() -> None:
    """[K3]."""
    result = read(bizrq(hard={"limits.cpu": "1", "cash/limits.cpu": "1", "cash/requests.nvidia.com/gpu.A30": "1"}))
    assert result.cash_keys == {"limits.cpu", "requests.nvidia.com/gpu.A30"}


def test_a_new_bizrq_has_no_books_yet() -> None:
    result = read(bizrq())
    assert (result.parent, result.hard, result.used, result.reconciled) == ("", {}, {}, None)
    assert result.books == Books()


@pytest.mark.parametrize("parent", [None, ""])
def test_no_parent_makes_a_root(parent: str | None) -> None:
    assert read({**bizrq(), "spec": {"parentBizGroup": parent}}).parent == ""


@pytest.mark.parametrize(
    ("value", "why"),
    [("abc", "'abc' is not a quantity"), (None, "null is not a quantity"), ("1K", "write k for 1000 or Ki for 1024")],
)
def test_a_limit_that_cannot_be_read_is_reported_and_left_out(value: object, why: str) -> None:
    result = read(bizrq(hard={"limits.cpu": value, "pods": "1"}))
    assert texts(result.hard) == {"pods": "1"}
    (problem,) = result.problems
    assert problem.startswith("spec.hard.limits.cpu: ")
    assert why in problem


@pytest.mark.parametrize("absent", [None, {}])
def test_null_and_empty_parts_are_as_absent(absent: Any) -> None:
    raw = {**bizrq(), "spec": absent, "status": absent}
    assert read(raw).books == Books()
    in_status = {"used": absent, "cash": absent and {**absent}, "lastReconcileTime": None}
    assert read({**bizrq(), "status": in_status}).books == Books()
    of_cash = {"ledger": absent, "settled": absent, "rate": absent, "seen": None}
    assert read({**bizrq(), "status": {"cash": of_cash}}).books == Books()


@pytest.mark.parametrize(
    "text",
    ["", "-", "abc", "1.5", "1e3", "--1", "+1", "\uff11", " 1", "1_000", "9" * 5000],
)
def test_figures_that_somebody_edited_into_no_integers_count_as_never_written(text: str) -> None:
    """[C3]."""
    cash = {"ledger": {"limits.cpu": text, "limits.memory": "7"}, "settled": {"limits.cpu": text}}
    books = read(bizrq(cash=cash)).books
    assert books.ledger == {"limits.memory": 7}
    assert books.settled == {}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("81723 2026-01-05T10:00:00Z", Seen(81723, NOW)),
        ("81723", Seen(81723, 0)),
        ("81723 ", Seen(81723, 0)),
        ("81723 soon", Seen(81723, 0)),
        ("", None),
        ("-5 2026-01-05T10:00:00Z", None),
        ("\uff11 2026-01-05T10:00:00Z", None),
        ("2026-01-05T10:00:00Z", None),
    ],
)
def test_the_view_behind_a_status(text: str, seen: Seen | None) -> None:
    """[C4]."""
    assert read(bizrq(cash={"seen": text})).books.seen == seen


def test_a_negative_figure_is_a_figure() -> None:
    """[C5] a credit that came after its period."""
    assert read(bizrq(cash={"ledger": {"limits.cpu": "-5"}})).books.ledger == {"limits.cpu": -5}


@pytest.mark.parametrize(
    "printed",
    [
        pytest.param("99999999999999999999999999999999999999999", id="longer than what people may write"),
        pytest.param("1e102", id="three exponent digits"),
        pytest.param("12Ei", id="above the cap of binary suffixes"),
    ],
)
def test_a_sum_that_we_printed_is_read_back_whole(printed: str) -> None:
    """[T3] else the key would be gone from ``used``, and what is in use would be granted again."""
    assert texts(read(bizrq(used={"limits.memory": printed})).used)["limits.memory"] == printed


# --- periods [C9] ----------------------------------------------------------------------------------------------------

WEEKLY = {"every": "Week", "timeZone": "Asia/Shanghai"}
RUNNING = {"start": "2025-12-28T16:00:00Z", "end": "2026-01-11T16:00:00Z", **WEEKLY}


def periodic(cash_period: Any, *, parent: str | None = None, period: Any = None) -> Bizrq:
    """A bizrq with this spec.cashPeriod and this status.cash.period."""
    raw = bizrq("team", parent=parent, hard={"pods": "1"}, cash={"period": period})
    raw["spec"]["cashPeriod"] = cash_period
    return read(raw)


def test_the_period_of_a_root_is_read() -> None:
    """[C9]"""
    result = periodic(WEEKLY, period=RUNNING)
    assert result.cash_period == CashPeriod(Every.WEEK, "Asia/Shanghai")
    assert result.period is not None
    assert result.period.period == Period(1_766_937_600, 1_768_147_200)
    assert result.problems == ()
    nothing = periodic(None)
    assert (nothing.cash_period, nothing.period, nothing.problems) == (None, None, ())


def test_while_a_period_cannot_be_read_what_was_planned_goes_on_and_the_status_says_why() -> None:
    """[C9] a zone that a version does not know must neither end the periods nor refill a budget."""
    result = periodic(
        {**WEEKLY, "timeZone": "Asia/Shangai"}, period={**RUNNING, "next": {"every": "Day", "timeZone": "UTC"}}
    )
    assert result.cash_period == CashPeriod(Every.DAY, "UTC")
    (problem,) = result.problems
    assert problem.startswith('spec.cashPeriod.timeZone: there is no time zone "Asia/Shangai" (did you mean "Asia/S')
    assert periodic("weekly").cash_period is None


def test_a_period_of_a_child_is_not_used_and_the_status_says_so() -> None:
    """[C9]"""
    result = periodic(WEEKLY, parent="dept", period=RUNNING)
    assert result.cash_period is None
    assert result.period is not None
    assert result.problems == (only_on_a_root("dept"),)


TEXTS = st.text(max_size=12) | st.text("0123456789.-+eEKi ", max_size=40)
MAPS = st.none() | st.dictionaries(st.sampled_from(["limits.cpu", "cash/limits.cpu", ""]) | TEXTS, TEXTS, max_size=3)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "used": MAPS,
            "selfUsed": MAPS,
            "lastReconcileTime": st.none() | TEXTS,
            "cash": st.none()
            | st.fixed_dictionaries(
                {},
                optional={
                    "ledger": MAPS,
                    "settled": MAPS,
                    "rate": MAPS,
                    "seen": st.none() | TEXTS,
                    "period": MAPS | TEXTS,
                },
            ),
        },
    ),
    st.dictionaries(TEXTS, TEXTS | st.none() | st.integers() | st.booleans() | st.floats(), max_size=4),
)
def test_a_status_that_somebody_damaged_never_raises(status: dict[str, Any], hard: dict[str, Any]) -> None:
    result = read_bizrq({**bizrq(), "spec": {"hard": hard}, "status": status})
    assert result.hard.keys() <= hard.keys()
    assert len(result.hard) + len(result.problems) == len(hard)


@pytest.mark.parametrize("damage", [{"name": None}, {"uid": None}, {"resourceVersion": None}, {"resourceVersion": "x"}])
def test_what_no_api_server_sends_raises(damage: dict[str, Any]) -> None:
    raw = bizrq()
    metadata = {key: value for key, value in {**raw["metadata"], **damage}.items() if value is not None}
    with pytest.raises((KeyError, ValueError)):
        read_bizrq({**raw, "metadata": metadata})
