"""[A4, R4] which claims stay open, and what they add to what is observed."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.amounts import Amounts, key_by_key_max, total
from bizrq.domain.charges import added_by, open_claims
from bizrq.domain.claims import Claim
from bizrq.domain.quantity import Quantity
from bizrq.domain.tree import claimant_name
from tests.support.build import amounts, texts

SINCE = "2026-01-05T09:59:58.214Z"
WEB = "deployments.apps/shop/web"


def line(
    uid: str = "u", version: int = 7, object_: str = WEB, *, of: dict[str, str] | None = None, **demand: str
) -> str:
    amounts_ = amounts(of or demand or {"pods": "3"})
    return Claim(uid, version, object_, SINCE, amounts_, {}).line()


def seen_at(**versions: int):
    """What was seen of each UID; -1: nothing."""
    return lambda _, uid: versions.get(uid, -1)


@pytest.mark.parametrize(
    ("version", "seen", "is_open"),
    [
        pytest.param(7, -1, True, id="never seen"),
        pytest.param(7, 6, True, id="seen at an earlier version"),
        pytest.param(7, 7, True, id="still at r: the request may be on its way"),
        pytest.param(7, 8, False, id="seen at a later version"),
        pytest.param(0, -1, True, id="a create, not seen yet"),
        pytest.param(0, 1, False, id="a create, seen at any version"),
    ],
)
def test_a_claim_closes_when_that_uid_has_been_seen_at_a_later_version(
    version: int,
    seen: int,
    is_open: bool,  # noqa: FBT001
) -> None:
    """[A4]."""
    lines = [line(version=version)]
    assert open_claims(lines, seen_at(u=seen)) == (lines if is_open else [])


@pytest.mark.parametrize(
    ("own", "is_own", "kept"),
    [
        pytest.param(True, True, [f"1 u 7 {WEB} {SINCE}  own"], id="one that is not believed, and is there"),
        pytest.param(True, False, [], id="and is not there"),
        pytest.param(False, True, [], id="any other"),
    ],
)
def test_of_a_claim_marked_own_the_mark_is_kept_once_its_outcome_is_known(
    own: bool,  # noqa: FBT001
    is_own: bool,  # noqa: FBT001
    kept: list[str],
) -> None:
    """[A8]."""
    lines = [Claim("u", 7, WEB, SINCE, amounts({"pods": "3"}), amounts({"pods": "3"}), own=own).line()]
    assert open_claims(lines, seen_at(u=7), (), lambda _: is_own) == lines
    for seen, settled in ((8, set[str]()), (7, set(lines))):
        assert open_claims(lines, seen_at(u=seen), settled, lambda _: is_own) == kept
        assert open_claims(kept, seen_at(u=seen), settled, lambda _: is_own) == kept


def test_another_uid_of_the_same_name_closes_nothing() -> None:
    """[A4]."""
    assert open_claims([line("u", 0)], seen_at(other=99)) == [line("u", 0)]


def test_a_line_that_a_live_read_has_closed_goes_and_no_other() -> None:
    """[A4] this very text: a line that was renewed meanwhile stays."""
    one, two = line("u", 7), line("u", 7).replace(SINCE, SINCE.replace("214", "215"))
    assert open_claims([one, two], seen_at(), settled={one}) == [two]


def test_the_object_is_asked_for_with_its_uid() -> None:
    """A child is looked for among the bizrqs, a workload among the workloads."""
    asked = []

    def seen(name: str, uid: str) -> int:
        asked.append((name, uid))
        return -1

    open_claims([line("u"), line("v", object_=claimant_name("kid"))], seen)
    assert asked == [(WEB, "u"), ("bizgroupresourcequotas.quota.bizrq.io//kid", "v")]


def test_a_line_of_a_form_to_come_stays_until_its_uid_is_seen() -> None:
    """Replicas of two versions run side by side."""
    future = f"2 u 7 {WEB} and more"
    assert open_claims([future], seen_at()) == [future]
    assert open_claims([future], seen_at(u=8)) == []


def test_what_is_no_line_of_any_form_goes_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_claims(["", "nonsense", line()], seen_at()) == [line()]
    assert "is no claim, and is dropped: 'nonsense'" in caplog.text


# --- what they add ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "adds"),
    [
        pytest.param({}, {"pods": "8", "cpu": "4"}, id="nothing observed: all of it"),
        pytest.param({"pods": "5", "cpu": "4"}, {"pods": "3"}, id="what is above the observed demand"),
        pytest.param({"pods": "9", "cpu": "5"}, {}, id="a larger demand in view: nothing"),
        pytest.param({"pods": "5"}, {"pods": "3", "cpu": "4"}, id="key by key"),
    ],
)
def test_a_workload_counts_with_the_larger_of_observed_demand_and_open_claim(
    observed: dict[str, str], adds: dict[str, str]
) -> None:
    """[A4] key by key."""
    workloads, children = added_by([line(pods="8", cpu="4")], lambda *_: amounts(observed))
    assert (texts(workloads), children) == (adds, {})


def test_a_claim_counts_also_on_keys_that_hard_does_not_limit() -> None:
    """[A4] hard may gain them; which are shown is for the status."""
    assert texts(added_by([line(of={"requests.x/y": "2"})], lambda *_: {})[0]) == {"requests.x/y": "2"}


def test_claims_of_children_are_counted_apart() -> None:
    """[T3] selfUsed has the workloads' only."""
    lines = [line("u", pods="8"), line("v", object_=claimant_name("kid"), pods="5")]
    workloads, children = added_by(lines, lambda *_: {})
    assert (texts(workloads), texts(children)) == ({"pods": "8"}, {"pods": "5"})


def test_two_lines_of_one_uid_count_with_the_larger_of_each_key() -> None:
    lines = [line("u", 7, pods="8", cpu="1"), line("u", 9, pods="6", cpu="3")]
    assert texts(added_by(lines, lambda *_: {})[0]) == {"pods": "8", "cpu": "3"}


def test_creates_of_one_name_count_each_by_its_uid() -> None:
    """[A4] each create has a line of its own: merging them over-admits."""
    assert texts(added_by([line("u", 0, pods="8"), line("v", 0, pods="8")], lambda *_: {})[0]) == {"pods": "16"}


def test_an_open_claim_that_cannot_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert added_by([f"2 u 7 {WEB} {SINCE} x"], lambda *_: {}) == ({}, {})
    assert "an open claim is not counted" in caplog.text


UIDS = st.sampled_from(["a", "b", "c"])
SMALL = st.dictionaries(st.sampled_from(["pods", "limits.cpu"]), st.integers(0, 9).map(Quantity.of))


@given(st.lists(st.tuples(UIDS, SMALL), max_size=6), st.dictionaries(UIDS, SMALL))
def test_used_is_the_sum_over_claimants_of_the_larger_of_demand_and_claims(
    stated: list[tuple[str, dict[str, Quantity]]], observed: dict[str, dict[str, Quantity]]
) -> None:
    """[A4] a resync never lowers used below it."""
    lines = [Claim(uid, 0, WEB, SINCE, demand, {}).line() for uid, demand in stated]
    added, _ = added_by(lines, lambda _, uid: observed.get(uid, {}))
    charges: dict[str, Amounts] = dict(observed)
    for uid, demand in stated:
        charges[uid] = key_by_key_max(charges.get(uid, {}), demand)
    assert total([*observed.values(), added]) == total(charges.values())
