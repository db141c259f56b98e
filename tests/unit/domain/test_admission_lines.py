"""[A3, A4, A13, T3] lines of claims that are many, long, of other versions or damaged, and hours finer than shown."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.admission import Again, Ask, Granted, LookFirst, Refused
from bizrq.domain.claims import ClaimError, parse_claim
from bizrq.domain.quantity import ZERO, Quantity, parse, parse_own
from tests.support.quotas import WEB, account, admit, again, ask, counted, line, refusal

SINCE = "2026-01-05T09:59:58.214Z"
BUDGET = 512 * 1024
"""Characters of all open claims of a bizrq."""

# --- room for lines --------------------------------------------------------------------------------------------------


def wide(keys: int) -> dict[str, str]:
    """A demand on pods and on many other keys; its line is long."""
    return {"pods": "1", **{f"requests.example.com/{number:03}-{'x' * 20}": "1" for number in range(keys)}}


def full(left: int) -> list[str]:
    """Lines of other objects, with so many characters left in the budget."""
    lines = [line(f"v{number}", 7, wide(230), {}, object_=f"x/y/{number}") for number in range(60)]
    while sum(map(len, lines)) > BUDGET - left:
        lines.pop()
    rest = BUDGET - left - sum(map(len, lines))
    filler = line("filler", 7, {"pods": "0"}, {}, object_="x/y/z")
    return [*lines, line("filler", 7, {"pods": "0"}, {}, object_="x/y/z" + "z" * (rest - len(filler)))]


def test_beyond_512_kib_of_claims_the_one_that_asks_is_asked_to_try_again() -> None:
    """[A13] etcd takes objects of 1.5 MB, and every write sends all of it."""
    lines = full(left=1000)
    assert sum(map(len, lines)) == BUDGET - 1000
    raw = counted({"pods": "10"}, claims=lines)
    words = "as many as there is room for; they close as the controller sees the objects"
    assert again(raw, ask(wide(100))) == f"team has {len(lines)} open claims, {words}"
    assert "exceeded quota" in refusal(raw, ask({**wide(100), "pods": "11"})), "what does not fit, does not fit later"


def test_what_there_is_no_room_for_holds_up_nobody_else_of_its_batch() -> None:
    """[A3]."""
    made = account(counted({"pods": "10"}, claims=full(left=1000)))
    asked = [ask(demand, uid=f"u{number}", object=f"x/y/u{number}")
             for number, demand in enumerate([wide(1), wide(100), wide(2), wide(99), wide(0)])]  # fmt: skip
    assert [type(admit(made, each)) for each in asked] == [Granted, Again, Granted, Again, Granted]
    assert made.status()["used"] == {"pods": "3"}
    assert sum(map(len, made.status()["claims"])) <= BUDGET


def test_to_the_last_character() -> None:
    asked = ask({"pods": "1"})
    length = len(line("u", 0, {"pods": "1"}, {"pods": "1"}))
    assert isinstance(admit(account(counted({"pods": "10"}, claims=full(left=length))), asked), Granted)
    assert isinstance(admit(account(counted({"pods": "10"}, claims=full(left=length - 1))), asked), Again)


def test_a_line_that_is_renewed_counts_with_its_difference_only() -> None:
    """[A4] where there is no room for it twice."""
    demand = wide(100)
    mine = line("u", 7, demand, demand)
    others = full(left=len(mine) + 40)
    made = account(counted({"pods": "10"}, used={"pods": "1"}, claims=[*others, mine]))
    for _ in range(5):
        assert isinstance(admit(made, ask(demand, version=7)), Granted)
    assert isinstance(admit(made, ask(wide(120), version=7)), Again), "20 keys more have no room"
    assert isinstance(admit(made, ask({"pods": "1"}, version=9)), Granted), "a shorter line gives room back"
    assert isinstance(admit(made, ask(wide(50), uid="w", object="x/y/w")), Granted)
    assert sum(map(len, made.status()["claims"])) <= BUDGET


def test_a_shorter_line_frees_room_and_a_fuller_status_than_allowed_takes_no_more() -> None:
    """Somebody may have edited it, or another version may allow more."""
    mine = line("u", 7, wide(100), {})
    made = account(counted({"pods": "10"}, claims=[*full(left=0), mine]))
    assert isinstance(admit(made, ask({"pods": "1"}, uid="w", object="x/y/w")), Again)
    assert isinstance(admit(made, ask(wide(100), version=7)), Again)


# --- lines on later versions -----------------------------------------------------------------------------------------

HUGE = 9 * 10**18


def looked(new: Mapping[str, str], old: Mapping[str, str] | None = None) -> Ask:
    return Ask(ask(new, old, version=70).growth, looked=True)


def test_after_a_live_read_the_larger_amounts_are_kept_and_the_line_keeps_its_version() -> None:
    """[A4] both requests may go through; the version decides when the line closes."""
    made = account(counted({"pods": "10"}, used={"pods": "6"}, claims=[line("u", HUGE, {"pods": "4"}, {"pods": "1"})]))
    assert admit(made, ask({"pods": "7"}, {"pods": "3"}, version=70)) == LookFirst()
    assert isinstance(admit(made, looked({"pods": "7"}, {"pods": "3"})), Granted)
    assert isinstance(admit(made, looked({"pods": "5"}, {"pods": "3"})), Granted)
    (claim,) = map(parse_claim, made.status()["claims"])
    assert (claim.version, str(claim.demand["pods"]), str(claim.raised["pods"])) == (HUGE, "7", "4")
    assert made.status()["used"] == {"pods": "9"}
    assert isinstance(admit(made, looked({"pods": "9"}, {"pods": "3"})), Refused)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.lists(st.integers(0, 12), max_size=8))
def test_beside_a_line_on_a_later_version_never_more_is_granted_than_hard(
    claimed: int, old: int, others: int, requests: list[int]
) -> None:
    """[A3] and never less than its object may come to demand is used."""
    before = Quantity.of(others + max(claimed, old))
    claims = [line("u", HUGE, {"pods": str(claimed)}, {})]
    made = account(counted({"pods": "10"}, used={"pods": str(before)}, claims=claims))
    for new in requests:
        outcome = admit(made, looked({"pods": str(new)}, {"pods": str(old)}))
        used = parse_own(made.status()["used"]["pods"])
        assert used <= max(before, Quantity.of(10))
        (claim,) = map(parse_claim, made.status()["claims"])
        assert used >= Quantity.of(others) + claim.demand["pods"]
        if isinstance(outcome, Granted):
            assert claim.demand["pods"] >= Quantity.of(new)


# --- hours finer than shown ------------------------------------------------------------------------------------------

CASH = "cash/limits.cpu"


def child(amount: str, number: int) -> Ask:
    return ask({CASH: amount}, uid=f"k{number}", object=f"bizgroupresourcequotas.quota.bizrq.io//k{number}",
               keys=frozenset({CASH}))  # fmt: skip


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "each on what the last one wrote"])
@pytest.mark.parametrize(
    ("hard", "amount", "granted"),
    [
        pytest.param("1m", "900u", 1, id="of 0.0009 h one fits into 0.001 h"),
        pytest.param("2m", "900u", 2, id="of 0.0009 h two fit into 0.002 h"),
        pytest.param("1m", "1n", 1, id="the least there is"),
        pytest.param("1", "999999u", 1, id="almost all of it"),
    ],
)
def test_hours_are_claimed_rounded_up_so_that_no_fraction_is_granted_twice(
    hard: str,
    amount: str,
    granted: int,
    together: bool,  # noqa: FBT001
) -> None:
    """[T3, T6] shown are thousandths, rounded down [K6]; what is granted must not be lost with the rest."""
    raw = counted({CASH: hard})
    made, count = account(raw), 0
    for number in range(5):
        count += isinstance(admit(made, child(amount, number)), Granted)
        if not together:
            raw = {**raw, "status": made.status()}
            made = account(raw)
    used = parse_own(str(made.status()["used"][CASH]))
    assert used <= parse(hard)
    assert used >= sum((parse(amount) for _ in range(count)), ZERO)
    if not together:
        assert count == granted


# --- lines of other versions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("marks", [" own", " from=team-old own", " own tomorrow=1", " from=a own b=1 c", " x"])
@pytest.mark.parametrize("version", [7, 9])
def test_marks_of_other_versions_and_own_survive_the_renewal_of_a_line(marks: str, version: int) -> None:
    """[A4, A8, C7] also where a later review replaces the line."""
    before = f"1 u 7 {WEB} {SINCE} pods=3:1{marks}"
    made = account(counted({"pods": "10"}, used={"pods": "3"}, claims=[before]))
    assert isinstance(admit(made, ask({"pods": "4"}, {"pods": "3"}, version=version)), Granted)
    (after,) = made.status()["claims"]
    assert after.endswith(marks)
    assert after.split()[:3] == ["1", "u", str(version)]
    assert parse_claim(after).own == ("own" in marks)


@pytest.mark.parametrize("amounts", ["pods=-1:0", "pods=1:-1", "pods=-1:-1", "pods=9:9,limits.cpu=-500m:0"])
def test_a_line_with_amounts_below_0_cannot_be_read(amounts: str) -> None:
    """[A4] it would lower used, and make room for others."""
    damaged = f"1 u 7 {WEB} {SINCE} {amounts}"
    with pytest.raises(ClaimError, match="is below 0"):
        parse_claim(damaged)
    raw = counted({"pods": "10"}, used={"pods": "10"}, claims=[damaged])
    assert "was written by another version of bizrq" in again(raw, ask({"pods": "1"}, version=9))
    made = account(raw)
    assert isinstance(admit(made, ask({"pods": "1"}, uid="w", object="x/y/w")), Refused), "and gives no room"
    assert made.status()["claims"] == [damaged]


@pytest.mark.parametrize(
    "since", ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.998Z", "2026-01-05T10:00:00.000Z", "no-time", ""]
)
def test_a_line_is_renewed_whatever_time_it_has(since: str) -> None:
    """[A4] always another text."""
    before = line("u", 7, {"pods": "3"}, {"pods": "1"}, since=since)
    made = account(counted({"pods": "10"}, used={"pods": "3"}, claims=[before]))
    assert isinstance(admit(made, ask({"pods": "3"}, {"pods": "2"}, version=7)), Granted)
    (after,) = made.status()["claims"]
    assert after != before
