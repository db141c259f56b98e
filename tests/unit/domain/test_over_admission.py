"""Is more used than admission can have let in? And what is not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bizrq.domain.over_admission import over_admitted
from tests.support.build import amounts, read
from tests.support.quotas import counted

CPU, PODS, CASH = "limits.cpu", "pods", "cash/limits.cpu"


def found(
    hard: Mapping[str, str],
    before: Mapping[str, str],
    after: Mapping[str, str],
    *,
    status_hard: Mapping[str, str] | None = None,
) -> list[tuple[str, str, str, str]]:
    """Key, before, after and hard of each; ``hard`` is the spec's, and what was counted unless said otherwise."""
    bizrq = read(counted(hard, status_hard=status_hard, used=before))
    return [
        (each.key, str(each.before), str(each.after), str(each.hard))
        for each in over_admitted(bizrq, amounts(before), amounts(after))
    ]


def test_a_rise_above_hard_is_told_with_all_values() -> None:
    """[A1, A3] used + growth <= hard, always."""
    assert found({CPU: "10"}, {CPU: "8"}, {CPU: "11"}) == [(CPU, "8", "11", "10")]


def test_a_further_rise_above_hard_is_another() -> None:
    """[T5] only growth is refused while more is used, and that is growth."""
    assert found({CPU: "10"}, {CPU: "11"}, {CPU: "12"}) == [(CPU, "11", "12", "10")]


def test_every_key_is_looked_at() -> None:
    hard, before = {CPU: "10", PODS: "5", "memory": "1Gi"}, {CPU: "1", PODS: "1", "memory": "1Mi"}
    assert [each[0] for each in found(hard, before, {CPU: "11", PODS: "6", "memory": "1Gi"})] == [CPU, PODS]


def test_above_what_was_enforced_although_hard_was_raised_meanwhile() -> None:
    """[A1, A13] the smaller of both holds until it is counted."""
    assert found({CPU: "20"}, {CPU: "8"}, {CPU: "15"}, status_hard={CPU: "10"}) == [(CPU, "8", "15", "10")]


def test_above_what_was_enforced_before_hard_was_lowered() -> None:
    """[T5] what lies between the two may have been granted before."""
    assert found({CPU: "5"}, {CPU: "8"}, {CPU: "11"}, status_hard={CPU: "10"}) == [(CPU, "8", "11", "10")]


@pytest.mark.parametrize(
    ("hard", "status_hard", "before", "after"),
    [
        pytest.param({CPU: "10"}, {CPU: "10"}, {CPU: "8"}, {CPU: "10"}, id="all of hard"),
        pytest.param({CPU: "10"}, {CPU: "10"}, {CPU: "12"}, {CPU: "12"}, id="what was above before [T5]"),
        pytest.param({CPU: "10"}, {CPU: "10"}, {CPU: "14"}, {CPU: "12"}, id="less than before, and still above"),
        pytest.param(
            {CPU: "5"}, {CPU: "10"}, {CPU: "8"}, {CPU: "9"}, id="hard was lowered, the rest was granted before"
        ),
        pytest.param({CPU: "10"}, {}, {}, {CPU: "12"}, id="a key that is newly limited"),
        pytest.param({CPU: "10"}, {PODS: "5"}, {CPU: "0"}, {CPU: "12"}, id="a key that was gone and is back"),
        pytest.param({}, {CPU: "10"}, {CPU: "8"}, {CPU: "12"}, id="a key that is no longer limited [K5]"),
        pytest.param({CASH: "10"}, {CASH: "10"}, {CASH: "9"}, {CASH: "11"}, id="hours, which time spends [A6]"),
        pytest.param({CPU: "10"}, {CPU: "10"}, {CPU: "10"}, {}, id="a figure that is not there"),
    ],
)
def test_what_is_none(
    hard: dict[str, str], status_hard: dict[str, str], before: dict[str, str], after: dict[str, str]
) -> None:
    assert found(hard, before, after, status_hard=status_hard) == []


def test_the_first_count_of_a_bizrq_is_none() -> None:
    """[A13] nothing was enforced yet."""
    new = read({**counted({CPU: "10"}), "status": {}})
    assert over_admitted(new, {}, amounts({CPU: "12"})) == []
