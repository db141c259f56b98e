"""[A2, A6, A7, P4, T2] the words of refusals and warnings: ResourceQuota's, then what helps."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from bizrq.domain.quantity import parse, parse_own
from bizrq.domain.refusals import (
    Limit,
    exceeded,
    fits,
    key_missing,
    left_to_grant,
    must_specify,
    nearly_used,
    no_such_bizrq,
    spent,
)


def limit(key: str, requested: str, used: str, limited: str) -> Limit:
    return Limit(key, parse(requested), parse_own(used), parse(limited))


def test_a_refusal_reads_as_that_of_a_resource_quota() -> None:
    """[A2]."""
    assert exceeded("team-vision", [limit("limits.cpu", "8", "396", "400")]) == (
        "exceeded quota: team-vision, requested: limits.cpu=8, used: limits.cpu=396, limited: limits.cpu=400"
    )


def test_exceeded_keys_are_sorted() -> None:
    """[A2]."""
    limits = [limit("pods", "2", "9", "10"), limit("limits.memory", "2Gi", "1536Mi", "2Gi")]
    assert exceeded("team", limits) == (
        "exceeded quota: team, requested: limits.memory=2Gi,pods=2, used: limits.memory=1536Mi,pods=9, "
        "limited: limits.memory=2Gi,pods=10"
    )


def test_a_spent_budget_is_told_in_hours() -> None:
    """[A6, K6]."""
    assert spent("team-vision", [limit("cash/limits.cpu", "0", "100500m", "100")]) == (
        "exceeded quota: team-vision, used: cash/limits.cpu=100.5, limited: cash/limits.cpu=100"
        "; these hours are used up: what runs goes on, and nothing more starts until the budget is raised"
    )


@pytest.mark.parametrize(
    ("replicas", "words"),
    [
        pytest.param(0, "; not even one replica fits", id="none"),
        pytest.param(1, "; the largest replica count that fits is 1", id="one"),
        pytest.param(12, "; the largest replica count that fits is 12", id="more"),
    ],
)
def test_after_it_for_people_the_largest_replica_count_that_fits(replicas: int, words: str) -> None:
    """[A2]."""
    assert fits(replicas) == words


def test_a_child_is_told_what_its_parent_has_left() -> None:
    """[T3] never less than nothing."""
    limits = [limit("pods", "9", "12", "10"), limit("limits.cpu", "9", "4", "10")]
    assert left_to_grant("dept", limits) == (
        "; a child's quota is taken from its parent's: dept has limits.cpu=6, pods=0 left to grant"
    )


def test_containers_that_do_not_state_what_is_limited_are_named() -> None:
    """[P4]."""
    assert (
        must_specify("NAME", {"limits.cpu": ("c1", "c2")}) == "failed quota: NAME: must specify limits.cpu for: c1,c2"
    )
    assert must_specify("NAME", {"limits.cpu": ("c1",), "limits.memory": ("c2",)}) == (
        "failed quota: NAME: must specify limits.cpu for: c1; limits.memory for: c2"
    )


def test_a_child_is_told_the_keys_that_it_lacks() -> None:
    """[T2]."""
    missing = [limit("limits.cpu", "0", "4", "10"), limit("pods", "0", "12", "10")]
    assert key_missing("kid", "dept", missing) == (
        "kid: spec.hard lacks keys that its parent dept limits: limits.cpu, pods; "
        "add them, with no more than dept has left to grant: limits.cpu=6, pods=0"
    )


def test_many_missing_keys_are_counted() -> None:
    message = key_missing("kid", "dept", [limit(f"requests.x/{number:02}", "0", "1", "5") for number in range(256)])
    assert "requests.x/09 and 246 more keys; add them" in message
    assert message.endswith("requests.x/09=4 and 246 more keys")


@pytest.mark.parametrize(
    ("name", "others", "meant"),
    [
        pytest.param(
            "team-vison", ["team-vision", "team-audio"], ' (did you mean "team-vision"?)', id="the nearest name"
        ),
        pytest.param("zzz", ["team-vision"], "", id="none is near"),
        pytest.param("team", [], "", id="there is none"),
    ],
)
def test_a_label_that_names_nobody_is_answered_with_the_nearest_name(name: str, others: list[str], meant: str) -> None:
    """[A7]."""
    words = f'label x: there is no BizGroupResourceQuota "{name}"{meant}; '
    assert no_such_bizrq("label x", name, others) == f"{words}see: kubectl get bizrq"
    assert no_such_bizrq("label x", name, others, "make it") == f"{words}make it"


def test_of_ten_thousand_names_at_most_500_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A7] comparing costs time, and whoever misspells may do so often."""
    compared: list[int] = []
    real = difflib.get_close_matches

    def counting(word: str, possibilities: list[str], **how: Any) -> list[str]:
        compared.append(len(possibilities))
        return real(word, possibilities, **how)

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    alike = [f"team-{number:04}" for number in range(10_000)]
    other = [f"{number:05}-of-the-others" for number in range(9_999)]
    no_such_bizrq("label x", "team-x123", alike)
    assert '(did you mean "team-vision"?)' in no_such_bizrq("label x", "team-vison", [*other, "team-vision"])
    assert compared == [500, 1]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("tema-vision", "team-vision", id="two letters exchanged"),
        pytest.param("eam-vision", "team-vision", id="the first one missing"),
        pytest.param("team-visio", "team-vision", id="the last one missing"),
        pytest.param("team-vision-dev", "team-vision", id="four more"),
        pytest.param("Team-vision", "team-vision", id="a capital"),
    ],
)
def test_a_name_that_is_near_is_found(name: str, meant: str) -> None:
    """[A7]."""
    assert f'(did you mean "{meant}"?)' in no_such_bizrq("label x", name, ["acme", meant, "zzz"])


@pytest.mark.parametrize(
    ("limits", "warnings"),
    [
        pytest.param([("pods", "1", "7", "10")], [], id="80 %: none"),
        pytest.param([("pods", "89", "0", "99")], [], id="89.9 %: none"),
        pytest.param([("pods", "1", "8", "10")], ["quota team: 90 % of pods is used (9 of 10)"], id="90 %"),
        pytest.param([("pods", "2", "8", "10")], ["quota team: 100 % of pods is used (10 of 10)"], id="all of it"),
        pytest.param([("pods", "0", "0", "0")], [], id="0 of 0 is no share"),
        pytest.param(
            [("cash/limits.cpu", "0", "95500m", "100")],
            ["quota team: 95 % of cash/limits.cpu is used (95.5 of 100)"],
            id="hours",
        ),
        pytest.param(
            [("pods", "1", "8", "10"), ("limits.memory", "1Gi", "8Gi", "10Gi")],
            [
                "quota team: 90 % of limits.memory is used (9Gi of 10Gi)",
                "quota team: 90 % of pods is used (9 of 10)",
            ],
            id="sorted",
        ),
    ],
)
def test_a_grant_that_leaves_little_comes_with_a_warning(
    limits: list[tuple[str, str, str, str]], warnings: list[str]
) -> None:
    assert nearly_used("team", [limit(*each) for each in limits], 90) == warnings
