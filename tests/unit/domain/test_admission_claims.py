"""[A3, A4, A13, T2, T3] what is claimed when a request is granted, and what the status says then."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.admission import Account, Again, Ask, Granted, LookFirst, Outcome, Refused
from bizrq.domain.claims import Growth, parse_claim
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import GpuResources
from tests.support.build import amounts, read
from tests.support.quotas import WEB, account, admit, again, ask, counted, line, refusal

# --- batches ---------------------------------------------------------------------------------------------------------


def test_the_refusal_of_one_touches_no_other() -> None:
    """[A3] decided in the order of arrival, each as if it had been written by itself."""
    made = account(counted({"pods": "10"}, used={"pods": "2"}))
    outcomes = [
        admit(made, ask({"pods": amount}, uid=f"u{number}", object=f"deployments.apps/shop/w{number}"))
        for number, amount in enumerate(["5", "4", "3", "1"])
    ]
    assert [type(each) for each in outcomes] == [Granted, Refused, Granted, Refused]
    assert made.granted == 2
    status = made.status()
    assert status["used"] == {"pods": "10"}
    assert [parse_claim(each).uid for each in status["claims"]] == ["u0", "u2"]


def test_two_requests_on_the_same_pair_in_a_batch_share_a_line() -> None:
    """[A4] a call for the same pair keeps the larger amount of each key."""
    made = account(counted({"pods": "10"}))
    for amount in ("5", "3", "7"):
        assert isinstance(admit(made, ask({"pods": amount}, {"pods": "1"}, version=7)), Granted)
    (claim,) = map(parse_claim, made.status()["claims"])
    assert (str(claim.demand["pods"]), str(claim.raised["pods"])) == ("7", "6")
    assert made.status()["used"] == {"pods": "6"}


def test_the_same_pair_again_rewrites_the_line_even_if_no_amount_changes() -> None:
    """[A4] new `since`, always different text."""
    before = line("u", 7, {"pods": "5"}, {"pods": "2"}, since="2026-01-05T10:00:00.000Z")
    made = account(counted({"pods": "10"}, used={"pods": "5"}, claims=[before]))
    assert isinstance(admit(made, ask({"pods": "5"}, {"pods": "3"}, version=7)), Granted)
    (after,) = made.status()["claims"]
    assert after != before
    assert parse_claim(after).demand == parse_claim(before).demand
    assert made.status()["used"] == {"pods": "5"}
    assert made.granted == 1, "which is to be written"


@pytest.mark.parametrize("amount", ["0", "1", "99"])
def test_a_review_older_than_an_open_claim_is_decided_by_a_live_read(amount: str) -> None:
    """[A4] nobody is let by on the word of a line, which may be forged."""
    raw = counted({"pods": "10"}, used={"pods": "10"}, claims=[line("u", 9, {"pods": "5"}, {})])
    made = account(raw)
    assert admit(made, ask({"pods": amount}, version=7)) == LookFirst()
    assert made.granted == 0
    assert made.status()["claims"] == raw["status"]["claims"]


def test_a_later_review_replaces_the_open_claim_of_its_uid() -> None:
    """[A4]."""
    claims = [line("v", 3, {"pods": "1"}, {}), line("u", 5, {"pods": "5"}, {"pods": "2"})]
    made = account(counted({"pods": "10"}, used={"pods": "6"}, claims=claims))
    assert isinstance(admit(made, ask({"pods": "8"}, {"pods": "5"}, version=7)), Granted)
    kept, new = made.status()["claims"]
    assert kept == claims[0]
    assert (parse_claim(new).version, str(parse_claim(new).demand["pods"])) == (7, "8")
    assert made.status()["used"] == {"pods": "9"}


def test_a_claim_of_a_later_format_must_close_before_its_object_grows() -> None:
    """[A13] nothing is known of its amounts."""
    raw = counted({"pods": "10"}, claims=[f"2 u 7 {WEB} in another form"])
    assert "was written by another version of bizrq" in again(raw, ask({"pods": "1"}, version=9))
    made = account(raw)
    assert isinstance(admit(made, ask({"pods": "1"}, uid="other", object="x/y/z")), Granted)
    assert raw["status"]["claims"][0] in made.status()["claims"], "and it stands"


# --- names -----------------------------------------------------------------------------------------------------------


def creates(count: int) -> list[str]:
    return [line(f"other{number}", 0, {"pods": "1"}, {"pods": "1"}) for number in range(count)]


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_where_a_create_of_the_name_is_open_already_a_live_read_decides(taken: int) -> None:
    """[A4]."""
    made = account(counted({"pods": "10"}, used={"pods": "3"}, claims=creates(taken)))
    assert admit(made, ask({"pods": "1"})) == LookFirst()
    assert made.granted == 0


@pytest.mark.parametrize(("taken", "outcome"), [(1, Granted), (2, Granted), (3, Again)])
def test_if_the_object_is_not_there_at_most_three_lines_a_name(taken: int, outcome: type[Outcome]) -> None:
    """[A4] then [A13]; each create has a line of its own, by UID."""
    made = account(counted({"pods": "10"}, used={"pods": "3"}, claims=creates(taken)))
    asked = Ask(ask({"pods": "1"}).growth, looked=True)
    assert isinstance(admit(made, asked), outcome)
    if outcome is Granted:
        assert len(made.status()["claims"]) == taken + 1
        assert made.status()["used"] == {"pods": "4"}


def test_a_create_of_the_same_name_in_the_same_batch_is_one_too() -> None:
    """[A4]."""
    made = account(counted({"pods": "10"}))
    assert isinstance(admit(made, ask({"pods": "1"}, uid="a")), Granted)
    assert admit(made, ask({"pods": "1"}, uid="b")) == LookFirst()


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(ask({"pods": "1"}, uid="other0"), id="the same create again"),
        pytest.param(ask({"pods": "1"}, object="deployments.apps/prod/web"), id="another namespace"),
        pytest.param(ask({"pods": "1"}, object="jobs.batch/shop/web"), id="another kind"),
        pytest.param(ask({"pods": "1"}, version=7), id="an update"),
    ],
)
def test_whoever_creates_no_other_object_of_the_name_is_not_held_up(asked: Ask) -> None:
    """[A4]."""
    assert isinstance(admit(account(counted({"pods": "10"}, claims=creates(3))), asked), Granted)


def test_beyond_1000_open_claims_admission_says_try_again() -> None:
    """[A13] at most 1,000 claims a bizrq."""
    full = [line(f"v{number}", 7, {"pods": "0"}, {}, object_=f"x/y/{number}") for number in range(1000)]
    raw = counted({"pods": "10"}, claims=full)
    assert again(raw, ask({"pods": "1"})) == (
        "team has 1000 open claims, as many as there is room for; they close as the controller sees the objects"
    )
    assert isinstance(admit(account(counted({"pods": "10"}, claims=full[1:])), ask({"pods": "1"})), Granted)
    made = account(raw)
    assert isinstance(admit(made, ask({"pods": "1"}, uid="v5", version=7, object="x/y/5")), Granted), "no line more"
    assert len(made.status()["claims"]) == 1000
    assert "exceeded quota" in refusal(raw, ask({"pods": "11"})), "what does not fit does not fit later either"


def test_lines_of_a_later_format_count_in_these_1000() -> None:
    lines = [f"2 something {number}" for number in range(1000)]
    assert isinstance(admit(account(counted({"pods": "10"}, claims=lines)), ask({"pods": "1"})), Again)


def test_a_line_longer_than_the_crd_takes_is_refused() -> None:
    """It could never be written, and would hold up its whole batch."""
    many = {f"requests.example.com/{'x' * 60}{number}": "1" for number in range(1500)}
    assert "names too many resources to be counted: 1500" in refusal(counted({"pods": "10"}), ask(many))


# --- children --------------------------------------------------------------------------------------------------------

KID = "bizgroupresourcequotas.quota.bizrq.io//kid"


def child(new: dict[str, str], old: dict[str, str] | None = None, **of: Any) -> Ask:
    return ask(new, old, object=KID, keys=frozenset(new), old_keys=frozenset(old or {}), **of)


def test_a_childs_hard_must_have_every_key_of_its_parents_spec_hard() -> None:
    """[T2] of spec.hard, whatever status.hard says yet."""
    raw = counted({"pods": "10", "limits.cpu": "10"}, status_hard={"pods": "10"}, used={"pods": "0"})
    assert refusal(raw, child({"pods": "1"})) == (
        "kid: spec.hard lacks keys that its parent team limits: limits.cpu; "
        "add them, with no more than team has left to grant: limits.cpu=0"
    )


def test_a_key_of_status_hard_alone_is_no_longer_asked_of_a_child() -> None:
    """[T2]."""
    raw = counted({"pods": "10"}, status_hard={"pods": "10", "limits.cpu": "10"})
    assert isinstance(admit(account(raw), child({"pods": "1"})), Granted)


def test_dropping_a_key_is_claimed_although_nothing_is_raised() -> None:
    """[T2]."""
    made = account(counted({"pods": "10"}, used={"pods": "3"}))
    asked = child({"pods": "1"}, {"pods": "1", "limits.cpu": "4"}, version=7)
    assert isinstance(admit(made, asked), Granted)
    (claim,) = map(parse_claim, made.status()["claims"])
    assert set(claim.demand) == {"pods"}
    assert made.status()["used"] == {"pods": "3"}


def test_a_child_that_does_not_fit_is_told_what_is_left_to_grant() -> None:
    """[T3]."""
    raw = counted({"pods": "10"}, used={"pods": "7"})
    assert refusal(raw, child({"pods": "5"})) == (
        "exceeded quota: team, requested: pods=5, used: pods=7, limited: pods=10"
        "; a child's quota is taken from its parent's: team has pods=3 left to grant"
    )


def test_what_a_child_is_granted_is_used_but_not_self_used() -> None:
    """[T3] selfUsed: own workloads and their open claims."""
    made = account(counted({"pods": "10"}, used={"pods": "2"}))
    admit(made, child({"pods": "5"}))
    assert (made.status()["used"], made.status()["selfUsed"]) == ({"pods": "7"}, {"pods": "2"})
    admit(made, ask({"pods": "1"}, uid="w"))
    assert (made.status()["used"], made.status()["selfUsed"]) == ({"pods": "8"}, {"pods": "3"})


def test_a_child_need_not_state_its_containers() -> None:
    """[P4] is about pods."""
    assert isinstance(admit(account(counted({"limits.cpu": "10"})), child({"limits.cpu": "5"})), Granted)


# --- the status ------------------------------------------------------------------------------------------------------


def test_the_status_is_the_one_that_was_read_with_what_was_granted() -> None:
    """A writer sends back the object it read, changed in place."""
    raw = counted(
        {"limits.cpu": "400", "limits.memory": "2Ti"},
        used={"limits.cpu": "388", "limits.memory": "1024Gi", "tomorrow": "x"},
        writer="9f31c2.4711",
        tomorrow={"y": 1},
        claims=["2 a line of tomorrow"],
    )
    made = account(raw)
    admit(made, ask({"limits.cpu": "8"}))
    status = made.status()
    claims = status.pop("claims")
    assert status == {
        **{name: value for name, value in raw["status"].items() if name != "claims"},
        "used": {"limits.cpu": "396", "limits.memory": "1024Gi", "tomorrow": "x"},
        "selfUsed": {"limits.cpu": "396", "limits.memory": "1024Gi", "tomorrow": "x"},
        "summary": {"cpu": "396/400", "memory": "1Ti/2Ti", "gpu": "", "cashCpu": "", "cashGpu": ""},
    }
    assert claims[0] == "2 a line of tomorrow"
    assert parse_claim(claims[1]).object == WEB


def test_the_object_that_was_read_is_not_changed() -> None:
    raw = counted({"pods": "10"}, claims=[line("v", 3, {"pods": "1"}, {}, object_="x/y/z")])
    before = read(raw).status
    made = Account(read(raw), GpuResources())
    admit(made, ask({"pods": "1"}))
    made.status()
    assert read(raw).status == before
    assert len(before["claims"]) == 1


def test_a_move_names_the_old_bizrq_in_its_line() -> None:
    """[C7] also where the request is repeated."""
    made = account(counted({"pods": "10"}))
    admit(made, ask({"pods": "1"}, version=7, moved_from="team-old"))
    assert made.status()["claims"][0].endswith(" from=team-old")
    admit(made, ask({"pods": "2"}, version=7))
    assert made.status()["claims"][0].endswith(" from=team-old")


# --- never more than hard --------------------------------------------------------------------------------------------

REQUESTS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers(0, 6), st.integers(0, 6), st.booleans()),
    max_size=12,
)


@given(st.integers(0, 12), st.integers(0, 12), REQUESTS)
def test_whatever_is_asked_never_more_is_granted_than_hard(
    hard: int, used: int, requests: list[tuple[str, int, int, int, bool]]
) -> None:
    """[A3] and what was over quota before grows no more."""
    made = account(counted({"pods": str(hard)}, used={"pods": str(used)}))
    for uid, version, old, new, is_child in requests:
        before = made.status()["used"]["pods"]
        outcome = admit(
            made,
            Ask(
                Growth(
                    uid,
                    version,
                    f"x/y/{uid}",
                    {"pods": Quantity.of(old)},
                    {"pods": Quantity.of(new)},
                    keys=frozenset({"pods"}) if is_child else None,
                    old_keys=frozenset({"pods"}),
                ),
                looked=True,
            ),
        )
        after = amounts(made.status()["used"])["pods"]
        assert after <= max(Quantity.of(hard), Quantity.of(used))
        if not isinstance(outcome, Granted):
            assert str(after) == before
    assert amounts(made.status()["used"])["pods"] - Quantity.of(used) >= ZERO
