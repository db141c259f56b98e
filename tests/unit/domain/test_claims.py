"""[A4] lines of claims, and what a request for growth is claimed with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.amounts import key_by_key_max
from bizrq.domain.claims import (
    MAX_LINE,
    Claim,
    Claimant,
    ClaimError,
    Growth,
    Lender,
    Settled,
    claimant_of,
    is_mark,
    mark_of,
    owned_by_itself,
    parse_claim,
    settle,
    since_text,
)
from bizrq.domain.quantity import ZERO, Quantity, parse_own
from tests.support.build import NOW, amounts, texts
from tests.support.strategies import quantities

WEB = "deployments.apps/shop/web"
CHILD = "bizgroupresourcequotas.quota.bizrq.io//team-a"
SINCE = "2026-01-05T09:59:58.214Z"

LINE = (
    f"1 3f2a-11c9 81723 {WEB} {SINCE} "
    "count/deployments.apps=1:0,limits.cpu=8:3,limits.memory=16Gi:6Gi,pods=8:3,requests.cpu=8:3,requests.memory=16Gi:6Gi"
)

# --- the line --------------------------------------------------------------------------------------------------------

KEYS = st.from_regex(r"[A-Za-z0-9][-A-Za-z0-9_./]{0,40}", fullmatch=True)
WORDS = st.from_regex(r"[a-z0-9][-a-z0-9.]{0,30}", fullmatch=True)


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    huge = quantities(least=0, most=10**70)
    lenders = st.builds(Lender, WORDS, st.integers(0, 2**63 - 1), st.just(WEB))
    lender = draw(st.none() | lenders)
    demand = draw(st.dictionaries(KEYS, huge, max_size=5))
    return Claim(
        uid=draw(WORDS),
        version=draw(st.integers(0, 2**63 - 1)),
        object=f"{draw(WORDS)}/{draw(WORDS | st.just(''))}/{draw(WORDS)}",
        since=since_text(draw(st.integers(0, 4 * 10**12))),
        demand=demand,
        raised={key: draw(huge) for key in demand},
        moved_from=draw(st.just("") | WORDS),
        own=draw(st.booleans()),
        lender=lender,
        by_lender=lender is not None and draw(st.booleans()),
    )


@given(claims())
def test_a_claim_is_read_as_it_was_printed(claim: Claim) -> None:
    """[A4] also with amounts beyond the 32 characters that a person may write: sums are longer."""
    assert parse_claim(claim.line()) == claim
    claimant = Claimant(claim.uid, claim.version, claim.object, claim.lender, claim.by_lender)
    assert claimant_of(claim.line()) == claimant


def test_the_line_of_the_contract_is_read_and_printed_again() -> None:
    """Format, uid, resourceVersion, object, since, demand:raised."""
    claim = parse_claim(LINE)
    assert (claim.uid, claim.version, claim.object, claim.since) == ("3f2a-11c9", 81723, WEB, SINCE)
    assert texts(claim.demand) == {
        "count/deployments.apps": "1",
        "limits.cpu": "8",
        "limits.memory": "16Gi",
        "pods": "8",
        "requests.cpu": "8",
        "requests.memory": "16Gi",
    }
    assert texts(claim.raised)["limits.memory"] == "6Gi"
    assert (claim.moved_from, claim.own) == ("", False)
    assert claim.line() == LINE


@pytest.mark.parametrize(
    ("marks", "moved_from", "own"),
    [
        pytest.param("", "", False, id="neither"),
        pytest.param(" from=team-old", "team-old", False, id="[C7] `from=OLD` on a move"),
        pytest.param(" own", "", True, id="[A8] `own`: a child that no trusted controller made"),
        pytest.param(" from=team-old own", "team-old", True, id="both"),
        pytest.param(" tomorrow=1", "", False, id="a mark of a version to come is passed over"),
    ],
)
def test_marks_stand_behind_the_amounts(marks: str, moved_from: str, own: bool) -> None:  # noqa: FBT001
    claim = parse_claim(f"1 u 7 {WEB} {SINCE} pods=1:0{marks}")
    assert (claim.moved_from, claim.own) == (moved_from, own)
    assert texts(claim.demand) == {"pods": "1"}


def test_a_claim_on_nothing_is_a_claim() -> None:
    """A child whose hard is empty is being created all the same."""
    claim = Claim("u", 0, CHILD, SINCE, {}, {}, moved_from="old")
    assert parse_claim(claim.line()) == claim


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("requests.é/gpu", id="letters of no key"),
        pytest.param("requests.x/a b", id="a space, which would end the amounts"),
        pytest.param("requests.x/a,pods=9:9", id="a comma, which would begin another amount"),
        pytest.param("requests.x/a=5", id="an equals sign"),
        pytest.param("requests.x/a:5", id="a colon"),
        pytest.param("requests.x/a\n", id="a line end"),
        pytest.param("", id="no name"),
        pytest.param("r" * 387, id="longer than any key of hard"),
    ],
)
def test_keys_that_cannot_be_limited_are_left_out(key: str) -> None:
    """[K1] a custom resource may name anything as a resource."""
    claim = Claim("u", 7, WEB, SINCE, amounts({key: "1", "pods": "2"}), amounts({key: "1", "pods": "1"}))
    assert claim.line() == f"1 u 7 {WEB} {SINCE} pods=2:1"


def test_what_a_key_raised_is_0_where_it_is_not_told() -> None:
    claim = Claim("u", 7, WEB, SINCE, amounts({"pods": "2"}), {})
    assert claim.line().endswith("pods=2:0")


def test_an_amount_longer_than_a_person_may_write_is_read() -> None:
    """[K6] 32 characters are the bound for what people write, not for our sums."""
    long = "123456789012345678901234567890123456789"
    assert parse_claim(f"1 u 7 {WEB} {SINCE} limits.memory={long}:{long}").demand["limits.memory"] == parse_own(long)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="nothing"),
        pytest.param("1 u 7", id="half a line"),
        pytest.param(f"1 u 7 {WEB} {SINCE}", id="no amounts"),
        pytest.param(f"1 u x {WEB} {SINCE} pods=1:0", id="no version"),
        pytest.param(f"1 u -7 {WEB} {SINCE} pods=1:0", id="a version below 0"),
        pytest.param(f"1 u \u0667 {WEB} {SINCE} pods=1:0", id="a version in digits of another script"),
        pytest.param(f"1 u {'9' * 21} {WEB} {SINCE} pods=1:0", id="a version that no etcd has"),
    ],
)
def test_what_is_no_line_names_no_claimant(line: str) -> None:
    assert claimant_of(line) is None
    with pytest.raises(ClaimError, match="is no claim"):
        parse_claim(line)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LINE.replace("1 ", "2 ", 1), id="a later format"),
        pytest.param(f"1 u 7 {WEB} {SINCE} pods", id="a key without amounts"),
        pytest.param(f"1 u 7 {WEB} {SINCE} pods=1", id="not what it raised"),
        pytest.param(f"1 u 7 {WEB} {SINCE} pods=:1", id="not what it demands"),
        pytest.param(f"1 u 7 {WEB} {SINCE} pods=many:1", id="an amount that is no quantity"),
        pytest.param(f"1 u 7 {WEB} {SINCE} pods={'1' * 257}:1", id="an amount longer than any sum"),
    ],
)
def test_of_a_line_that_cannot_be_read_whole_the_claimant_is_known(line: str) -> None:
    """Lines begin with a format number: one of a later version stands, and its claimant is known."""
    assert claimant_of(line) is not None
    with pytest.raises(ClaimError, match="is no claim"):
        parse_claim(line)


@given(claims())
def test_a_mark_is_a_line_that_says_whose_and_no_amounts(claim: Claim) -> None:
    """[A8]."""
    mark = parse_claim(mark_of(claim))
    assert mark == replace(claim, demand={}, raised={}, lender=None, by_lender=False)
    assert is_mark(mark) == claim.own
    assert owned_by_itself([claim.line(), mark.line()]) == ({claim.uid} if claim.own else set())


def test_an_error_shows_no_more_than_the_beginning_of_a_line() -> None:
    with pytest.raises(ClaimError) as error:
        parse_claim("9 " + "x" * MAX_LINE)
    assert len(str(error.value)) < 200


# --- when ------------------------------------------------------------------------------------------------------------


def test_since_is_the_time_in_milliseconds() -> None:
    assert since_text(NOW * 1000 + 7) == "2026-01-05T10:00:00.007Z"


@given(st.integers(0, 4 * 10**12), st.integers(-2, 2))
def test_a_new_since_always_is_another_text(milliseconds: int, later: int) -> None:
    """[A4] a repeat within the same millisecond, or by a clock that was set back, renews the line too."""
    before = since_text(milliseconds)
    assert since_text(max(0, milliseconds + later), before) != before


# --- settling --------------------------------------------------------------------------------------------------------


def growth(old: dict[str, str], new: dict[str, str], version: int = 7) -> Growth:
    return Growth("u", version, WEB, amounts(old), amounts(new))


def known(version: int, demand: dict[str, str], raised: dict[str, str]) -> Claim:
    return Claim("u", version, WEB, SINCE, amounts(demand), amounts(raised))


def told(settled: Settled | None) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """What is granted, what the line says, and what it says was raised; without zeros."""
    assert settled is not None
    grant, demand, raised = (
        texts({key: amount for key, amount in each.items() if amount})
        for each in (settled.grant, settled.demand, settled.raised)
    )
    return grant, demand, raised


@pytest.mark.parametrize(
    ("asked", "claim", "expected"),
    [
        pytest.param(
            growth({}, {"pods": "8"}, version=0),
            None,
            ({"pods": "8"}, {"pods": "8"}, {"pods": "8"}),
            id="a create is claimed and raised in full",
        ),
        pytest.param(
            growth({"pods": "5"}, {"pods": "8"}),
            None,
            ({"pods": "3"}, {"pods": "8"}, {"pods": "3"}),
            id="the whole demand is claimed, used rises by the growth",
        ),
        pytest.param(
            growth({"pods": "5", "limits.cpu": "9"}, {"pods": "8", "limits.cpu": "2"}),
            None,
            ({"pods": "3"}, {"pods": "8", "limits.cpu": "9"}, {"pods": "3"}),
            id="what shrinks in the same request is claimed as it is now: the request may fail",
        ),
        pytest.param(
            growth({"pods": "5", "limits.cpu": "9"}, {"pods": "8"}),
            None,
            ({"pods": "3"}, {"pods": "8", "limits.cpu": "9"}, {"pods": "3"}),
            id="so is a key that goes",
        ),
        pytest.param(
            growth({}, {"pods": "8"}),
            None,
            ({"pods": "8"}, {"pods": "8"}, {"pods": "8"}),
            id="a move is charged in full",
        ),
        pytest.param(
            growth({"pods": "5"}, {"pods": "8"}),
            known(7, {"pods": "8"}, {"pods": "3"}),
            ({}, {"pods": "8"}, {"pods": "3"}),
            id="the same pair again: nothing more is granted, and the line says what it said",
        ),
        pytest.param(
            growth({"pods": "5"}, {"pods": "6"}),
            known(7, {"pods": "8"}, {"pods": "3"}),
            ({}, {"pods": "8"}, {"pods": "3"}),
            id="the same pair and less: the larger amount of each key is kept",
        ),
        pytest.param(
            growth({"pods": "5"}, {"pods": "9"}),
            known(7, {"pods": "8"}, {"pods": "3"}),
            ({"pods": "1"}, {"pods": "9"}, {"pods": "4"}),
            id="the same pair and more: only what is above the claim is granted",
        ),
        pytest.param(
            growth({"pods": "5", "limits.cpu": "5"}, {"pods": "9", "limits.cpu": "6"}),
            known(7, {"pods": "8", "limits.cpu": "10"}, {"pods": "3", "limits.cpu": "5"}),
            ({"pods": "1"}, {"pods": "9", "limits.cpu": "10"}, {"pods": "4", "limits.cpu": "5"}),
            id="key by key",
        ),
        pytest.param(
            growth({"pods": "8"}, {"pods": "10"}),
            known(5, {"pods": "8"}, {"pods": "3"}),
            ({"pods": "2"}, {"pods": "10"}, {"pods": "2"}),
            id="a later review replaces a claim whose write succeeded",
        ),
        pytest.param(
            growth({"pods": "5"}, {"pods": "7"}),
            known(5, {"pods": "8"}, {"pods": "3"}),
            ({}, {"pods": "7"}, {"pods": "2"}),
            id="a later review of an object whose write failed: what was raised counts as granted",
        ),
        pytest.param(
            growth({"pods": "1"}, {"pods": "10"}),
            known(5, {"pods": "8"}, {"pods": "3"}),
            ({"pods": "6"}, {"pods": "10"}, {"pods": "9"}),
            id="a replaced claim counts as max(old, min(claimed, old + raised)), never in full",
        ),
        pytest.param(
            growth({"pods": "5"}, {"pods": "6"}),
            known(5, {"pods": "8", "limits.cpu": "4"}, {"pods": "3", "limits.cpu": "4"}),
            ({}, {"pods": "6"}, {"pods": "1"}),
            id="a replaced claim leaves no key behind that neither version of the object has",
        ),
    ],
)
def test_a_request_for_growth_is_claimed(
    asked: Growth, claim: Claim | None, expected: tuple[dict[str, str], dict[str, str], dict[str, str]]
) -> None:
    """[A4]."""
    assert told(settle(asked, claim)) == expected


def test_a_review_older_than_an_open_claim_changes_nothing() -> None:
    """[A4] it is allowed: its write must fail."""
    assert settle(growth({"pods": "5"}, {"pods": "99"}), known(8, {"pods": "6"}, {"pods": "1"})) is None


def raise_of_child(old: dict[str, str], new: dict[str, str]) -> Growth:
    old_, new_ = amounts(old), amounts(new)
    return Growth("u", 7, CHILD, old_, new_, keys=frozenset(new), old_keys=frozenset(old))


@pytest.mark.parametrize(
    ("old", "new", "claim", "keys"),
    [
        pytest.param({}, {"pods": "1", "cpu": "1"}, None, {"pods", "cpu"}, id="at first: the keys of its new hard"),
        pytest.param({"pods": "1", "cpu": "1"}, {"pods": "2"}, None, {"pods"}, id="a key that it drops is absent"),
        pytest.param(
            {"pods": "1", "cpu": "1"},
            {"pods": "1", "cpu": "2"},
            known(7, {"pods": "1"}, {}),
            {"pods"},
            id="merged with a claim on the same version that dropped it: absent stays absent",
        ),
        pytest.param(
            {"pods": "1"},
            {"pods": "1", "cpu": "2"},
            known(5, {"pods": "1", "cpu": "1"}, {}),
            {"pods"},
            id="in place of an older claim: its write is settled, and the object lacks the key still",
        ),
        pytest.param(
            {"pods": "1", "cpu": "1"},
            {"pods": "1", "cpu": "2"},
            known(5, {"pods": "1"}, {}),
            {"pods", "cpu"},
            id="in place of an older claim that dropped a key: the object has it",
        ),
    ],
)
def test_the_claim_of_a_child_has_the_keys_that_it_is_sure_to_have(
    old: dict[str, str], new: dict[str, str], claim: Claim | None, keys: set[str]
) -> None:
    """[T2] however its requests end: a parent that gains a key looks at these."""
    settled = settle(raise_of_child(old, new), claim)
    assert settled is not None
    assert set(settled.demand) == keys
    assert set(settled.raised) == keys


SMALL = st.dictionaries(st.sampled_from(["pods", "limits.cpu", "memory"]), st.integers(0, 9).map(Quantity.of))


@given(SMALL, SMALL, st.none() | st.tuples(st.integers(5, 7), SMALL, SMALL))
def test_what_is_granted_and_was_granted_covers_the_demand(
    old: dict[str, Quantity], new: dict[str, Quantity], claimed: tuple[int, dict[str, Quantity], dict[str, Quantity]]
) -> None:
    """[A4] nothing is granted twice, and never less than what the object may come to demand."""
    claim = None
    if claimed is not None:
        version, demand, raised = claimed
        # On the very version under review a claim covers what the object has there.
        claim = Claim("u", version, WEB, SINCE, key_by_key_max(demand, old) if version == 7 else demand, raised)
    settled = settle(Growth("u", 7, WEB, old, new), claim)
    assert settled is not None
    for key, wanted in new.items():
        assert settled.grant[key] >= ZERO
        assert settled.demand[key] >= wanted
        assert settled.grant[key] <= max(ZERO, wanted - old.get(key, ZERO))
        if claim is None:
            assert old.get(key, ZERO) + settled.grant[key] >= wanted
    for key, there in old.items():
        assert settled.demand[key] >= there
        assert settled.raised[key] == settled.demand[key] - there
