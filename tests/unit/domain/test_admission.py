"""[A1, A2, K5, P4] what fits into a bizrq, and what is said where it does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.admission import Again, Ask, Granted, Refused
from bizrq.domain.claims import Claim, Growth
from bizrq.domain.quantity import Quantity
from tests.support.build import NOW, bizrq, container, pod_resources, pod_spec
from tests.support.quotas import WEB, account, admit, again, ask, counted, line, refusal

SINCE = "2026-01-05T09:59:58.214Z"
UNCOUNTED = "and the controller has yet to count it; try again in a moment, and see whether it runs"

# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "granted"),
    [
        pytest.param({}, {"limits.cpu": "4"}, True, id="[A1] used + growth = hard: allowed"),
        pytest.param({}, {"limits.cpu": "4001m"}, False, id="[A1] a thousandth more: refused"),
        pytest.param({"limits.cpu": "6"}, {"limits.cpu": "10"}, True, id="[A1] only the growth counts"),
        pytest.param({"limits.cpu": "6"}, {"limits.cpu": "11"}, False, id="[A1] growth beyond hard"),
        pytest.param({}, {"limits.cpu": "1", "pods": "99"}, True, id="[K5] an absent key is unlimited"),
        pytest.param({}, {"requests.nvidia.com/gpu": "1"}, False, id='[K5] "0" = nothing allowed'),
        pytest.param({}, {"requests.nvidia.com/gpu": "0"}, True, id='[K5] nothing of "0" is allowed'),
        pytest.param(
            {"requests.nvidia.com/gpu": "2"},
            {"requests.nvidia.com/gpu": "1", "limits.cpu": "1"},
            True,
            id="[A1] for every growing key: what shrinks is not asked for, whatever is used of it",
        ),
    ],
)
def test_growth_is_allowed_up_to_hard(old: dict[str, str], new: dict[str, str], granted: bool) -> None:  # noqa: FBT001
    raw = counted(
        {"limits.cpu": "10", "requests.nvidia.com/gpu": "0"}, used={"limits.cpu": "6", "requests.nvidia.com/gpu": "2"}
    )
    raw["status"]["used"]["requests.nvidia.com/gpu"] = "2" if old else "0"
    assert isinstance(admit(account(raw), ask(new, old, version=7)), Granted) == granted


@pytest.mark.parametrize(
    ("spec", "status"), [("10", "8"), ("8", "10"), ("8", "8")], ids=["raised, not counted yet", "lowered", "neither"]
)
def test_the_smaller_of_spec_hard_and_status_hard_is_enforced(spec: str, status: str) -> None:
    """[A1]."""
    raw = counted({"limits.cpu": spec}, status_hard={"limits.cpu": status})
    assert isinstance(admit(account(raw), ask({"limits.cpu": "8"})), Granted)
    assert not isinstance(admit(account(raw), ask({"limits.cpu": "9"})), Granted)


@pytest.mark.parametrize(
    ("spec", "status", "wanted", "words"),
    [
        pytest.param("10", "8", "9", "", id="what was raised is asked again, not refused"),
        pytest.param("10", "8", "11", "limited: limits.cpu=8", id="what does not fit either way is refused"),
        pytest.param("8", "10", "9", "limited: limits.cpu=8", id="what was lowered is refused"),
    ],
)
def test_what_was_raised_and_is_not_counted_yet_cannot_be_decided(
    spec: str, status: str, wanted: str, words: str
) -> None:
    """[A1, A13]."""
    raw = counted({"limits.cpu": spec}, status_hard={"limits.cpu": status})
    if words:
        assert words in refusal(raw, ask({"limits.cpu": wanted}))
    else:
        assert again(raw, ask({"limits.cpu": wanted})) == f"team was given more limits.cpu, {UNCOUNTED}"


def test_a_key_that_is_only_in_spec_hard_yet_cannot_be_decided() -> None:
    """[A1, A13]."""
    raw = counted({"limits.cpu": "10", "pods": "5"}, status_hard={"limits.cpu": "10"}, used={"limits.cpu": "0"})
    assert again(raw, ask({"pods": "1"})) == f"pods is new in the quota of team, {UNCOUNTED}"
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"})), Granted), "who does not grow there goes on"


def test_a_key_whose_use_somebody_removed_cannot_be_decided() -> None:
    """[A13] nothing is known of its use."""
    raw = counted({"limits.cpu": "10"}, used={"limits.cpu": "no quantity"})
    assert isinstance(admit(account(raw), ask({"limits.cpu": "1"})), Again)


def test_a_key_gone_from_spec_hard_is_not_limited() -> None:
    """[A1] although status.hard has it still."""
    raw = counted(
        {"pods": "5"},
        status_hard={"pods": "5", "limits.cpu": "1", "cash/limits.cpu": "0"},
        used={"pods": "0", "limits.cpu": "1"},
    )
    assert isinstance(admit(account(raw), ask({"pods": "1", "limits.cpu": "99"})), Granted)


def test_a_bizrq_without_a_status_cannot_be_decided() -> None:
    """[A7, A13]."""
    assert again(bizrq("team", hard={"pods": "5"}), ask({"pods": "1"})) == f"team is new, {UNCOUNTED}"
    assert isinstance(admit(account(bizrq("team")), ask({"pods": "1"})), Again), "nor one that limits nothing"


def test_a_bizrq_that_limits_nothing_grants_anything() -> None:
    """[K5]."""
    assert isinstance(admit(account(counted({})), ask({"pods": "99"})), Granted)


def test_a_bizrq_that_is_being_deleted_admits_no_growth_and_no_child() -> None:
    """[T7]."""
    raw = counted({"pods": "5"}, deletion=NOW)
    words = "team is being deleted and grants nothing any more; name another bizrq"
    assert refusal(raw, ask({"pods": "1"})) == words
    assert refusal(raw, ask({"pods": "1"}, keys=frozenset({"pods"}))) == words


def test_a_bizrq_whose_hard_cannot_be_read_grants_nothing() -> None:
    """A limit that nobody can read is no freedom."""
    assert "grants nothing while its quota cannot be read: spec.hard.limits.cpu" in refusal(
        counted({"pods": "5", "limits.cpu": "many"}, status_hard={"pods": "5"}), ask({"pods": "1"})
    )


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_refusal_reads_as_a_resource_quotas() -> None:
    """[A2] exceeded keys only, sorted, `requested` is the growth."""
    raw = counted(
        {"limits.memory": "2Ti", "limits.cpu": "400", "pods": "900"},
        used={"limits.memory": "2Ti", "limits.cpu": "396", "pods": "30"},
        name="team-vision",
    )
    asked = ask(
        {"limits.memory": "16Gi", "limits.cpu": "16", "pods": "16"},
        {"limits.memory": "8Gi", "limits.cpu": "8", "pods": "8"},
        version=7,
    )
    assert refusal(raw, asked) == (
        "exceeded quota: team-vision, requested: limits.cpu=8,limits.memory=8Gi, "
        "used: limits.cpu=396,limits.memory=2Ti, limited: limits.cpu=400,limits.memory=2Ti"
    )


def replicas(count: int, *, old: int = 0, version: int = 0) -> Ask:
    """So many replicas of one core."""

    def demand(number: int) -> dict[str, Quantity]:
        return {"limits.cpu": Quantity.of(number), "pods": Quantity.of(number)} if number else {}

    return Ask(Growth("u", version, WEB, demand(old), demand(count)), demand_of=demand, replicas=count)


@pytest.mark.parametrize(
    ("used", "asked", "words"),
    [
        pytest.param("6", replicas(8), "; the largest replica count that fits is 4", id="what is left"),
        pytest.param("6", replicas(8, old=2, version=7), "; the largest replica count that fits is 6", id="a scale up"),
        pytest.param("10", replicas(8), "; not even one replica fits", id="nothing is left"),
        pytest.param(
            "12", replicas(8, old=3, version=7), "; the largest replica count that fits is 3", id="over quota"
        ),
    ],
)
def test_after_a_refusal_stands_the_largest_replica_count_that_fits(used: str, asked: Ask, words: str) -> None:
    """[A2]."""
    message = refusal(counted({"limits.cpu": "10"}, used={"limits.cpu": used}), asked)
    assert message.endswith(f"limited: limits.cpu=10{words}")


def test_where_not_even_0_replicas_fit_no_count_is_told() -> None:
    """The workload itself is one too many."""

    def demand(number: int) -> dict[str, Quantity]:
        return {"count/deployments.apps": Quantity.of(1), "pods": Quantity.of(number)}

    asked = Ask(Growth("u", 0, WEB, {}, demand(3)), demand_of=demand, replicas=3)
    message = refusal(counted({"count/deployments.apps": "0"}), asked)
    assert message.endswith("limited: count/deployments.apps=0")


@given(
    hard=st.integers(0, 12),
    used=st.integers(0, 14),
    old=st.integers(0, 6),
    wanted=st.integers(1, 16),
    claimed=st.none() | st.tuples(st.sampled_from([5, 7]), st.integers(0, 10), st.integers(0, 6)),
    cores=st.sampled_from([1, 3]),
)
def test_the_count_that_is_told_is_the_largest_that_would_be_granted(
    hard: int, used: int, old: int, wanted: int, claimed: tuple[int, int, int] | None, cores: int
) -> None:
    """[A2] found by asking for each count in turn, on the same bizrq."""

    def demand(number: int) -> dict[str, Quantity]:
        some = {"limits.cpu": Quantity.of(number * cores), "pods": Quantity.of(number)} if number else {}
        return {"count/deployments.apps": Quantity.of(1), **some}

    def asked(number: int) -> Ask:
        return Ask(Growth("u", 7, WEB, demand(old), demand(number)), demand_of=demand, replicas=number)

    claims = []
    if claimed is not None:
        version, most, raised = claimed
        claims = [Claim("u", version, WEB, SINCE, demand(most), {"limits.cpu": Quantity.of(raised * cores)}).line()]
    raw = counted({"limits.cpu": str(hard), "pods": "9"}, used={"limits.cpu": str(used), "pods": "2"}, claims=claims)
    outcome = admit(account(raw), asked(wanted))
    if not isinstance(outcome, Refused):
        assert isinstance(outcome, Granted)
        return
    fit = [number for number in range(wanted) if isinstance(admit(account(raw), asked(number)), Granted)]
    words = f"; the largest replica count that fits is {fit[-1]}" if fit[-1] else "; not even one replica fits"
    assert outcome.message.endswith(words)
    assert fit == list(range(len(fit))), "a smaller count always fits too"


def test_growth_that_an_open_claim_covers_is_told_as_what_the_request_grows_by() -> None:
    """[A2] over quota: `requested` is never 0."""
    raw = counted({"pods": "10"}, used={"pods": "12"}, claims=[line("u", 7, {"pods": "8"}, {"pods": "3"})])
    assert refusal(raw, ask({"pods": "7"}, {"pods": "5"}, version=7)).startswith(
        "exceeded quota: team, requested: pods=2, used: pods=12, limited: pods=10"
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            pod_spec(container("c1"), container("c2")),
            "failed quota: team: must specify limits.cpu for: c1,c2",
            id="every container must state it",
        ),
        pytest.param(
            pod_spec(container("c1", limits={"cpu": "1"}), init=[container("i")]),
            "failed quota: team: must specify limits.cpu for: i",
            id="and every init container",
        ),
        pytest.param(pod_spec(container("c1", limits={"cpu": "0"})), None, id="0 is a statement"),
        pytest.param(pod_spec(container("c1"), limits={"cpu": "1"}), None, id="unless pod-level resources are set"),
    ],
)
def test_every_container_must_state_what_hard_limits(spec: dict[str, Any], words: str | None) -> None:
    """[P4]."""
    asked = Ask(ask({"pods": "1"}).growth, pods=[pod_resources(spec)])
    outcome = admit(account(counted({"limits.cpu": "10"})), asked)
    assert outcome == (Granted() if words is None else Refused(words))


@pytest.mark.parametrize(
    ("used", "new", "warnings"),
    [
        pytest.param("8", "1", ("quota team: 90 % of pods is used (9 of 10)",), id="90 %"),
        pytest.param("7", "1", (), id="less: none"),
    ],
)
def test_a_grant_from_90_per_cent_on_comes_with_a_warning(used: str, new: str, warnings: tuple[str, ...]) -> None:
    outcome = admit(
        account(counted({"pods": "10", "limits.cpu": "1"}, used={"pods": used, "limits.cpu": "1"})), ask({"pods": new})
    )
    assert outcome == Granted(warnings), "and only for keys that grow"
