"""Which changes of a status are news, and what is said of them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.calendars import CashPeriod, Every
from bizrq.domain.events import NOTE_BYTES, corrected, event_name, news_of, shortened
from bizrq.domain.periods import Period, State
from bizrq.domain.status import Counted, NotReady, new_status
from tests.support.build import NOW, bizrq, read
from tests.support.statuses import TEAM, after, core_hours, counted, surges

FRESH = read(TEAM)
GONE_OVER = {"limits.cpu": "9", "pods": "4"}


def written(over: Bizrq, what: Counted) -> Bizrq:
    """The bizrq once this was counted and stored over that version."""
    return after(over, new_status(over, what))


def told(before: Bizrq, what: Counted) -> list[tuple[str, str, bool, bool]]:
    """Reason, note, and whether it is a warning and for users."""
    return [(each.reason, each.note, each.warning, each.for_users) for each in news_of(before, written(before, what))]


def test_a_bizrq_that_is_well_is_no_news() -> None:
    assert told(FRESH, counted({"limits.cpu": "8"})) == []


def test_a_budget_that_is_used_up_is_told_with_its_figures_and_the_way_out() -> None:
    note = (
        "no hours are left: cash/limits.cpu 10 of 10; what runs goes on and is paid for, and nothing that needs more "
        "of it is admitted until the budget is raised"
    )
    assert told(FRESH, counted(books=core_hours("10"))) == [("CashExhausted", note, True, True)]


def test_a_budget_of_a_period_says_when_hours_are_granted_anew() -> None:
    day = State(Period(NOW, NOW + 86_400), CashPeriod(Every.DAY, "Asia/Shanghai"))
    ((_, note, *_),) = told(FRESH, replace(counted(books=core_hours("10")), period=day))
    assert note.endswith("admitted until hours are granted anew at 2026-01-06T18:00:00+08:00 or the budget is raised")


def test_the_end_is_told_to_who_looks_at_the_bizrq_with_the_figures_of_now() -> None:
    spent = written(FRESH, counted(books=core_hours("10")))
    assert told(spent, counted(books=core_hours("2.5"))) == [
        ("CashAvailable", "every budget has hours left: cash/limits.cpu 2.5 of 10", False, False)
    ]


def test_going_over_quota_and_coming_back_are_told() -> None:
    over = written(FRESH, counted(GONE_OVER))
    ((reason, note, warning, for_users),) = told(FRESH, counted(GONE_OVER))
    assert (reason, warning, for_users) == ("OverQuota", True, True)
    assert note == (
        "more is used than hard allows: limits.cpu 9 of 8; what runs goes on, and nothing that needs more of it is "
        "admitted until less is used or hard is raised"
    )
    assert told(over, counted({"limits.cpu": "7"})) == [
        ("WithinQuota", "nothing is used above hard: limits.cpu 7 of 8", False, False)
    ]


@pytest.mark.parametrize(
    ("over", "keys"),
    [({"limits.cpu": "9"}, ("limits.cpu",)), ({"limits.cpu": "9", "pods": "5"}, ("limits.cpu", "pods"))],
)
def test_news_know_which_keys_they_are_about(over: dict[str, str], keys: tuple[str, ...]) -> None:
    (news,) = news_of(FRESH, written(FRESH, counted(over)))
    assert news.keys == keys
    (news,) = news_of(FRESH, written(FRESH, counted(books=core_hours("10"))))
    assert news.keys == ("cash/limits.cpu",)


def test_a_limit_that_is_lifted_ends_it_without_a_figure() -> None:
    over = written(FRESH, counted(GONE_OVER))
    lifted = read({**over.raw, "spec": {"hard": {"pods": "4"}}})
    assert told(lifted, counted(GONE_OVER)) == [("WithinQuota", "nothing is used above hard", False, False)]


def test_what_goes_on_is_told_once_whatever_the_figures() -> None:
    over = written(FRESH, counted(GONE_OVER, books=core_hours("10")))
    assert told(over, counted({"limits.cpu": "99", "pods": "99"}, books=core_hours("11"))) == []


def test_a_rollout_that_stands_is_told_and_its_end_too() -> None:
    standing = replace(counted(), surges=surges(NOW - 3600))
    ((reason, note, warning, for_users),) = told(FRESH, standing)
    assert (reason, warning, for_users) == ("SurgeStanding", True, False)
    assert note.endswith("promote or abort the rollout, or lower its replicas")
    assert [reason for reason, *_ in told(written(FRESH, standing), counted())] == ["SurgeEnded"]


def test_why_a_bizrq_is_not_ready_is_told_by_its_reason() -> None:
    missing = NotReady("KeyMissing", "spec.hard lacks keys that the parent dept has: pods")
    assert told(FRESH, counted(not_ready=missing)) == [("KeyMissing", missing.message, True, False)]
    blocked = written(FRESH, counted(not_ready=missing))
    assert told(blocked, counted(not_ready=NotReady("KeyMissing", "of others"))) == []
    gone = NotReady("ParentNotFound", "the parent dept does not exist")
    assert told(blocked, counted(not_ready=gone)) == [("ParentNotFound", gone.message, True, False)]
    assert told(blocked, counted()) == [("Ready", "counted for generation 3", False, False)]


def test_a_spec_that_cannot_be_read_is_told() -> None:
    broken = read(bizrq(hard={"limits.cpu": "many"}))
    ((reason, note, *_),) = told(broken, counted())
    assert reason == "InvalidHard"
    assert "spec.hard.limits.cpu" in note


def test_drift_is_told_with_both_values() -> None:
    assert corrected([]) is None
    news = corrected(["status.used of pods was changed to 3 by somebody else; corrected to 4", "more"])
    assert news is not None
    assert (news.reason, news.action, news.warning, news.for_users) == ("DriftCorrected", "Correct", True, False)
    assert news.note == "status.used of pods was changed to 3 by somebody else; corrected to 4; more"


def test_conditions_that_somebody_broke_are_no_obstacle() -> None:
    broken = read({**TEAM, "status": {"conditions": [{}, {"type": "OverQuota"}]}})
    assert [reason for reason, *_ in told(broken, counted(GONE_OVER))] == ["OverQuota"]


@given(st.text(max_size=3000))
def test_no_note_is_longer_than_the_api_server_takes(note: str) -> None:
    short = shortened(note)
    assert len(short.encode()) <= NOTE_BYTES
    assert short == note or len(note.encode()) > NOTE_BYTES
    if short != note:
        assert note.startswith(short[:200])
        assert note.endswith(short[-60:])
        assert " ... " in short, "that something is missing is seen"


PART = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAINS = st.from_regex(rf"{PART}(\.{PART}){{0,6}}", fullmatch=True).filter(lambda name: len(name) <= 253)


@given(SUBDOMAINS, st.lists(st.text()))
@example(f"{'a' * 49}." * 3 + "a" * 49 + "-b", [])
@example(f"{'a' * 49}." * 4 + "b", [])
def test_the_name_of_an_event_is_a_valid_one(regarding: str, parts: list[str]) -> None:
    name = event_name(regarding, *parts)
    assert len(name) <= 253
    assert re.fullmatch(rf"{PART}(\.{PART})*", name)
    assert name.startswith(regarding[:190].rstrip("-."))


def test_other_news_have_another_name() -> None:
    names = {event_name("team", "uid", reason, str(at)) for reason in ("OverQuota", "WithinQuota") for at in (1, 2)}
    assert len(names) == 4
    assert event_name("team", "a", "b") == event_name("team", "a", "b")
