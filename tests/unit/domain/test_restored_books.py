"""Exported books put into those of a bizrq: no second is charged twice, no hour is granted anew [C4, C9, T7]."""

import random
from dataclasses import replace

import pytest
from msgspec import structs

from bizrq.domain.bizrq import Absorbed
from bizrq.domain.cash import MAX_HISTORY, Books, Charged, Seen, accrue
from bizrq.domain.closed_periods import ClosedPeriod, Total
from bizrq.domain.exported_books import Exported
from bizrq.domain.intervals import Interval
from bizrq.domain.periods import Period
from bizrq.domain.restored_books import How, Mark, marks_of, obstacle, restored, restored_status
from tests.support.build import NOW, bizrq, read
from tests.support.quotas import HOUR_OF_A_CORE, counted

CPU = "limits.cpu"
HARD = {"cash/limits.cpu": "100", "limits.cpu": "10"}
DAY = 86_400
MARK = Mark("e1", "r1", "2026-01-05T10:00:00Z")


def cpu(amount):
    return {CPU: amount}


def team(*, created=NOW, uid="uid-new", **cash):
    return read(bizrq("team", hard=HARD, created=created, uid=uid, reconciled=NOW, cash=cash or None))


def file(ledger=1000, settled=400, *, uid="uid-old", period=None, reconciled=NOW - 50, **books):
    given = Books(ledger=cpu(ledger), settled=cpu(settled), **books)
    return Exported("team", uid, "", given, reconciled, period or Period(NOW - 9000))


ENDLESS = Period(NOW)


def test_an_object_made_again_gets_the_whole_ledger_as_of_pods_that_are_gone():
    books = restored(team(), ENDLESS, file(), How.REFUSE)
    assert (books.ledger, books.settled) == (cpu(1000), cpu(1000))


def test_a_pod_that_ran_on_over_the_restore_is_charged_each_second_once():
    """Up to the export by the file, from the new object's creation on by its own interval; the gap is stated."""
    start, exported, created, now = NOW - 5000, NOW - 300, NOW - 100, NOW
    pod = Charged(cpu(4000), Interval(start=start), 7)
    before = accrue(
        Books(), [pod], keys=[CPU], view=Seen(9, exported), periods=[Period(NOW - 9000)], now=exported
    )  # fmt: skip
    given = Exported("team", "uid-old", "", before, exported, Period(NOW - 9000))
    new = team(created=created)
    books = restored(new, Period(created), given, How.REFUSE)
    after = accrue(books, [pod], keys=[CPU], view=Seen(9, now), periods=[Period(created)], now=now)
    truth = 4000 * (now - start)
    assert after.ledger == cpu(truth - 4000 * (created - exported))
    assert after.ledger[CPU] + after.uncertain[CPU] == truth


@pytest.mark.parametrize("seed", range(200))
def test_whatever_the_pods_did_each_second_is_charged_once_or_lies_in_the_gap(seed):
    """Random lives before, over and after the restore; the controller has counted the new object first, or not."""
    rng = random.Random(seed)  # noqa: S311  # the same lives at every run
    began, exported, created, looked, now = [*sorted(rng.sample(range(NOW - 5000, NOW), 4)), NOW]
    pods = []
    for number in range(rng.randint(1, 12)):
        start = rng.randint(began - 100, now)
        end: int | None = start + rng.randint(0, 3000) if rng.random() < 0.7 else None
        pods.append(Charged(cpu(rng.randint(1, 9)), Interval(start=start, end=end), number))

    def booked(books, since, at):
        """Pods are deleted as they end: what is gone is settled once, and its record forgotten."""
        known = books.seen.version if books.seen else -1
        view = [structs.replace(each, deleted_at=each.interval.end) if _is_over(each, at) else each for each in pods]
        alive = [each for each in view if each.deleted_at is None or each.deleted_at > known]
        return accrue(books, alive, keys=[CPU], view=Seen(at, at), periods=[Period(since)], now=at)

    before = booked(Books(), began, exported)
    given = Exported("team", "uid-old", "", before, exported, Period(began))
    own = booked(Books(), created, looked) if rng.random() < 0.5 else Books(seen=Seen(created, created))
    new = replace(team(created=created), books=own)
    after = booked(restored(new, Period(created), given, How.ADD), created, now)
    cost = [(each.amounts[CPU], each.interval.start or 0, min(each.interval.end or now, now)) for each in pods]
    charged = sum(
        amount * (_in(start, stop, began, exported) + _in(start, stop, created, now)) for amount, start, stop in cost
    )
    ran_on = sum(amount * _in(start, stop, exported, created) for amount, start, stop in cost if start < exported)
    assert after.ledger[CPU] == charged
    assert after.uncertain.get(CPU, 0) >= ran_on, (
        "of pods that were there at the export, no more is missing than stated"
    )


def _is_over(pod, at):
    end = pod.interval.end
    return end is not None and end <= at


def _in(start, stop, low, high):
    return max(0, min(stop, high) - max(start, low))


def test_the_very_object_that_was_exported_charges_its_pods_itself():
    """Nobody deleted it: existing pods are charged from the old start on, so only settled is taken over."""
    start, now = NOW - 5000, NOW
    pod = Charged(cpu(4000), Interval(start=start), 7)
    given = file(ledger=4000 * 4950 + 400, settled=400, uid="uid-same", rate=cpu(4000))
    books = restored(team(created=NOW - 9000, uid="uid-same"), Period(NOW - 9000), given, How.REFUSE)
    after = accrue(books, [pod], keys=[CPU], view=Seen(9, now), periods=[Period(NOW - 9000)], now=now)
    assert after.ledger == cpu(400 + 4000 * 5000)
    assert after.uncertain == cpu(4000 * 4950), "the pods of the export may be gone, and nobody knows"


def test_hours_that_were_uncertain_stay_so():
    books = restored(team(uncertain={CPU: "5"}), ENDLESS, file(uncertain=cpu(30)), How.ADD)
    assert books.uncertain == cpu(35)


# --- books with hours ---

SPENT = {"ledger": {CPU: "700"}, "settled": {CPU: "500"}}


def test_add_adds_and_replace_keeps_only_what_existing_pods_cost():
    added = restored(team(**SPENT), ENDLESS, file(), How.ADD)
    assert (added.ledger, added.settled) == (cpu(1700), cpu(1500))
    replaced = restored(team(**SPENT, uncertain={CPU: "5"}), ENDLESS, file(uncertain=cpu(30)), How.REPLACE)
    assert (replaced.ledger, replaced.settled, replaced.uncertain) == (cpu(1200), cpu(1000), cpu(30))


def test_replace_takes_away_the_settled_hours_of_keys_that_the_file_lacks():
    books = restored(team(ledger={"cpu": "70"}, settled={"cpu": "50"}), ENDLESS, file(), How.REPLACE)
    assert books.ledger == {"cpu": 20, CPU: 1000}


def test_an_object_with_hours_needs_add_or_replace():
    raw = team(ledger={CPU: str(HOUR_OF_A_CORE * 3 // 2)})
    why = obstacle(raw, "e1", How.REFUSE)
    assert why == (
        "its books have hours already (limits.cpu 1.5 h); --add adds those of the file to them, --replace puts those "
        "of the file in their place"
    )
    assert obstacle(raw, "e1", How.ADD) is obstacle(raw, "e1", How.REPLACE) is None


@pytest.mark.parametrize("cash", [
    {"previous": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "ledger": {CPU: "1"}}},
    {"history": [{"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "ledger": {CPU: "1"}}]},
], ids=["of the last period", "of the history"])  # fmt: skip
def test_hours_of_periods_that_ended_are_hours(cash):
    assert "have hours already" in str(obstacle(team(**cash), "e1", How.REFUSE))


def test_an_object_counted_to_nothing_has_no_hours():
    assert obstacle(team(ledger={CPU: "0"}, settled={CPU: "0"}), "e1", How.REFUSE) is None


def test_the_same_file_a_second_time_needs_add():
    raw = team(imported=["e0 r0 t", "e1 r1 t"])
    for how in (How.REFUSE, How.REPLACE):
        assert str(obstacle(raw, "e1", how)).startswith("this file was imported into it already; --continue leaves it")
    assert obstacle(raw, "e1", How.ADD) is obstacle(raw, "e2", How.REFUSE) is None


def test_nothing_is_put_into_an_object_that_goes():
    raw = read(bizrq("team", hard=HARD, deletion=NOW))
    assert str(obstacle(raw, "e1", How.ADD)).startswith("it is being deleted; wait until it is gone")


# --- periods [C9] ---

MONDAY = NOW - NOW % DAY
LAST = MONDAY - 7 * DAY
WEEK = Period(LAST, MONDAY)
THIS_WEEK = Period(NOW - 100, MONDAY + 7 * DAY)
"""Of an object that was made on the way."""


def total(start, end, amount):
    return Total(start, end, cpu(amount))


def test_hours_of_the_week_that_runs_count_in_it():
    given = file(period=Period(MONDAY, MONDAY + 7 * DAY))
    assert restored(team(), THIS_WEEK, given, How.REFUSE).ledger == cpu(1000)


def test_hours_of_a_week_that_ended_before_the_object_was_made_are_history():
    books = restored(team(), THIS_WEEK, file(period=WEEK, uncertain=cpu(3)), How.REFUSE)
    assert (books.ledger, books.history) == ({}, (total(LAST, MONDAY, 1000),))
    assert books.uncertain == {}, "what was doubtful belongs to that week"


def test_hours_of_the_week_that_ended_since_count_in_that_one():
    """The object was made in it; the last period stays open, so they are of pods that are gone."""
    previous = {"start": "2026-01-04T00:00:00Z", "end": "2026-01-05T00:00:00Z",
                "ledger": {CPU: "70"}, "settled": {CPU: "50"}}  # fmt: skip
    assert restored(team(previous=previous), THIS_WEEK, file(period=WEEK), How.ADD).previous == ClosedPeriod(
        MONDAY - DAY, MONDAY, cpu(1070), cpu(1050)
    )


def test_hours_of_the_week_that_ended_are_not_those_of_another_one_that_did():
    previous = {"start": "2026-01-03T00:00:00Z", "end": "2026-01-04T00:00:00Z", "ledger": {CPU: "70"}}
    books = restored(team(previous=previous), THIS_WEEK, file(period=WEEK), How.ADD)
    assert books.previous == ClosedPeriod(MONDAY - 2 * DAY, MONDAY - DAY, cpu(70), {})
    assert books.history == (total(LAST, MONDAY, 1000),)


def test_a_period_that_began_with_the_very_second_is_another_one():
    books = restored(team(), Period(MONDAY, MONDAY + 7 * DAY), file(period=WEEK), How.REFUSE)
    assert (books.ledger, books.history) == ({}, (total(LAST, MONDAY, 1000),))


def test_of_the_very_object_only_settled_goes_to_the_period_before_too():
    previous = {"start": "2025-12-29T00:00:00Z", "end": "2026-01-05T00:00:00Z", "ledger": {CPU: "70"}}
    books = restored(team(previous=previous), THIS_WEEK, file(uid="uid-new", period=WEEK), How.ADD)
    assert books.previous == ClosedPeriod(LAST, MONDAY, cpu(470), cpu(400))


@pytest.mark.parametrize("theirs", [Period(NOW - 9000), Period(MONDAY, MONDAY + 20 * DAY)], ids=["once", "longer"])
def test_a_restore_under_another_calendar_grants_nothing_anew(theirs):
    assert restored(team(), THIS_WEEK, file(period=theirs), How.REFUSE).ledger == cpu(1000)


def test_the_period_before_is_closed_for_good_by_a_restore():
    """Open, existing pods would be charged in it once more."""
    before = ClosedPeriod(LAST, MONDAY, cpu(90), cpu(20))
    given = file(period=Period(MONDAY, MONDAY + 7 * DAY), previous=before, history=(total(1, 2, 5),))
    books = restored(team(), THIS_WEEK, given, How.REFUSE)
    assert books.previous is None
    assert books.history == (total(1, 2, 5), total(LAST, MONDAY, 90))


def test_totals_of_two_objects_are_added_and_of_one_are_the_same():
    history = [{"start": "2025-12-29T00:00:00Z", "end": "2026-01-05T00:00:00Z", "ledger": {CPU: "8"}}]
    given = [
        file(uid=uid, period=Period(MONDAY, MONDAY + 7 * DAY), history=(total(LAST, MONDAY, 5),))
        for uid in ("uid-old", "uid-new")
    ]
    added, same = (restored(team(history=history), THIS_WEEK, each, How.ADD) for each in given)
    assert (added.history[0].ledger, same.history[0].ledger) == (cpu(13), cpu(8))
    assert restored(team(history=history), THIS_WEEK, given[0], How.REPLACE).history[0].ledger == cpu(5)


def test_no_more_totals_are_kept_than_a_controller_keeps():
    many = tuple(total(end - 1, end, end) for end in range(10, 10 + 2 * MAX_HISTORY))
    books = restored(team(), THIS_WEEK, file(history=many, period=Period(NOW - 9000)), How.REFUSE)
    assert books.history == many[-MAX_HISTORY:]


# --- the status ---


def status_of(raw, amount, absorbed=()):
    return restored_status(raw, Books(ledger=cpu(amount), settled=cpu(amount)), absorbed, MARK)


def test_the_figures_that_the_webhook_goes_by_show_the_hours_at_once():
    """Else it would carry forward a use without them until the controller's next write [A6]."""
    raw = read(
        counted(HARD, used={"cash/limits.cpu": "3"}, self_used={"cash/limits.cpu": "1"},
                cash={"ledger": {CPU: str(HOUR_OF_A_CORE)}}, observedGeneration=1)
    )  # fmt: skip
    status = status_of(raw, 5 * HOUR_OF_A_CORE)
    assert status["used"] == {"cash/limits.cpu": "7", "limits.cpu": "0"}, "its children take 2 h"
    assert status["selfUsed"]["cash/limits.cpu"] == "5"
    assert "observedGeneration" not in status, "it is to be counted anew"


def test_a_status_that_nobody_counted_shows_nothing():
    """The webhook grants nothing under it yet, and must not take it for counted [A4]."""
    assert status_of(read(bizrq("team", hard=HARD)), 5).keys() == {"cash"}


def test_what_else_a_status_says_stays():
    raw = read(counted(HARD, claims=["1 a line"], cash={"seen": "5 2026-01-05T10:00:00Z", "moves": ["1 x"]}))
    status = status_of(raw, 5)
    assert status["claims"] == ["1 a line"]
    assert (status["cash"]["seen"], status["cash"]["moves"]) == ("5 2026-01-05T10:00:00Z", ["1 x"])


def test_each_import_leaves_a_mark_and_children_that_were_absorbed_are_remembered_once():
    raw = team(absorbed=["uid-a a"], imported=["e0 r0 t"])
    status = status_of(raw, 5, [Absorbed("uid-a", "a"), Absorbed("uid-b", "b")])
    assert status["cash"]["absorbed"] == ["uid-a a", "uid-b b"]
    assert status["cash"]["imported"] == ["e0 r0 t", str(MARK)]
    assert marks_of(team(imported=[*status["cash"]["imported"], "edited"]))[-1] == MARK
