"""[C1, C2] start and end of a pod's charge: a test a row of ``cash-rules.md``, named after the row, and laws.

The rows about a mirror pod's annotation, suspended Jobs and pods found gone by comparing lists are about what makes the
facts, or which interval is followed; they are tested there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from bizrq.domain.intervals import NOT_STARTED, EndSource, Interval, PodFacts, deleted, follow, is_open, stop_at
from tests.support.books import charged_seconds
from tests.support.build import NOW, life

CREATED = NOW - 1000
SCHEDULED = NOW - 900
ENDED = NOW - 300

WAITING = PodFacts(created=CREATED, unscheduled=True)
RUNNING = PodFacts(created=CREATED, assigned=True, scheduled=SCHEDULED, started=SCHEDULED + 2)
ENDED_WELL = replace(RUNNING, terminal=True, finished=(ENDED - 50, ENDED))


def charged(interval: Interval, now: int = NOW) -> int:
    return charged_seconds(interval, since=0, now=now)


def terminating(facts: PodFacts, *, asked: int, grace: int) -> PodFacts:
    """``facts`` after a deletion was asked for: the API server puts the time of the request plus the grace."""
    return replace(facts, deletion=asked + grace, grace=grace)


def forced(facts: PodFacts, *, asked: int) -> PodFacts:
    """``facts`` at grace 0: deletionTimestamp is (moved back to) the time of the request."""
    return terminating(facts, asked=asked, grace=0)


# --- S ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(PodFacts(created=CREATED), id="no conditions yet"),
        pytest.param(WAITING, id="unschedulable, gated, only nominatedNodeName"),
        pytest.param(replace(WAITING, deletion=NOW - 5, grace=0), id="deleted while it waits"),
        pytest.param(replace(WAITING, terminal=True), id="failed while it waits"),
    ],
)
def test_not_scheduled(facts: PodFacts) -> None:
    assert charged(life(facts), NOW + 10_000) == 0
    assert charged(life(facts, deleted_at=NOW), NOW + 10_000) == 0
    assert not is_open(life(facts), NOW)


def test_scheduled() -> None:
    assert life(RUNNING).start == SCHEDULED
    assert charged(life(WAITING, RUNNING)) == 900


@pytest.mark.parametrize(
    ("facts", "start"),
    [
        pytest.param(PodFacts(created=CREATED, assigned=True, started=SCHEDULED), SCHEDULED, id="status.startTime"),
        pytest.param(PodFacts(created=CREATED, assigned=True), CREATED, id="else creationTimestamp"),
    ],
)
def test_that_condition_missing_or_its_time_null_but_node_name_set(facts: PodFacts, start: int) -> None:
    assert life(facts).start == start


def test_a_late_condition_repairs_a_start_that_was_guessed() -> None:
    bound_directly = PodFacts(created=CREATED, assigned=True)
    assert replace(life(bound_directly, RUNNING), noted=()) == life(RUNNING)


def test_mirror_pod() -> None:
    assert charged(life(replace(RUNNING, mirror=True))) == 0
    assert charged(life(replace(ENDED_WELL, mirror=True), deleted_at=NOW)) == 0


def test_image_pull_container_creating_init_phase() -> None:
    """The card is held: the phase is still Pending, and an init container has ended."""
    pulling = replace(RUNNING, started=None)
    initialising = replace(RUNNING, finished=(SCHEDULED + 30,))
    assert charged(life(pulling, initialising)) == 900
    assert is_open(life(pulling, initialising), NOW)


@pytest.mark.parametrize("created", [SCHEDULED + 1, SCHEDULED + 100])
def test_a_start_is_never_before_the_creation(created: int) -> None:  # [C2]
    assert life(replace(RUNNING, created=created)).start == created
    assert life(PodFacts(created=created, assigned=True, started=SCHEDULED)).start == created


# --- E of what runs and of what ended --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "finished",
    [
        pytest.param((), id="restarts, CrashLoopBackOff, OOMKilled: lastState never counts"),
        pytest.param((NOW - 100,), id="one of several containers ended"),
        pytest.param((NOW - 100, NOW - 50), id="all of them, and the phase does not say so yet"),
        pytest.param((None,), id="one ended nobody knows when"),
    ],
)
def test_restarts_and_ended_containers_have_no_effect(finished: tuple[int | None, ...]) -> None:
    interval = life(RUNNING, replace(RUNNING, finished=finished))
    assert (interval.end, interval.source) == (None, EndSource.NONE)
    assert charged(interval) == 900


def test_succeeded_or_failed_and_every_terminated_state_has_a_valid_finished_at() -> None:
    interval = life(RUNNING, ENDED_WELL)
    assert (interval.end, interval.source) == (ENDED, EndSource.FINISHED_AT)
    assert charged(interval) == ENDED - SCHEDULED
    assert not is_open(interval, NOW)


INEXACT = replace(RUNNING, terminal=True, disrupted=NOW - 70, completed=NOW - 60, touched=NOW - 50)


@pytest.mark.parametrize(
    "finished",
    [
        pytest.param((ENDED, None), id="some finishedAt null or year 1 (ContainerStatusUnknown)"),
        pytest.param((None,), id="all of them null"),
        pytest.param((), id="no statuses (Evicted, OutOfcpu)"),
    ],
)
@pytest.mark.parametrize(
    ("without", "end", "source"),
    [
        pytest.param({}, NOW - 70, EndSource.DISRUPTED, id="1st DisruptionTarget=True"),
        pytest.param(
            {"disrupted": None}, NOW - 60, EndSource.COMPLETED, id="2nd Ready False, PodCompleted or PodFailed"
        ),
        pytest.param(
            {"disrupted": None, "completed": None}, NOW - 50, EndSource.TOUCHED, id="3rd managedFields of status"
        ),
        pytest.param(
            {"disrupted": None, "completed": None, "touched": None},
            NOW - 40,
            EndSource.OBSERVED,
            id="4th first observed",
        ),
    ],
)
def test_succeeded_or_failed_without_a_valid_finished_at_takes_the_first_of(
    finished: tuple[int | None, ...], without: dict[str, Any], end: int, source: EndSource
) -> None:
    facts = replace(INEXACT, finished=finished, **without)
    interval = life(RUNNING, facts, observed=NOW - 40)
    assert (interval.end, interval.source) == (end, source)
    assert interval.source > EndSource.FINISHED_AT  # counted as inexact


def test_an_inexact_end_is_never_before_a_valid_finished_at() -> None:
    late = NOW - 10
    for facts in (INEXACT, replace(INEXACT, disrupted=None), replace(RUNNING, terminal=True)):
        assert life(replace(facts, finished=(late, None)), observed=NOW - 40).end == late


def test_first_observed_is_the_first_time_and_not_the_newest() -> None:
    failed = replace(RUNNING, terminal=True)
    interval = follow(failed, follow(failed, life(RUNNING), NOW - 40), NOW)
    assert (interval.end, interval.source) == (NOW - 40, EndSource.OBSERVED)


def test_finished_at_in_the_future() -> None:
    interval = life(replace(ENDED_WELL, finished=(NOW + 60,)))
    assert charged(interval, NOW) == NOW - SCHEDULED  # now
    assert is_open(interval, NOW)
    assert charged(interval, NOW + 1000) == NOW + 60 - SCHEDULED


def test_finished_at_before_the_start() -> None:
    interval = life(replace(ENDED_WELL, finished=(SCHEDULED - 60,)))
    assert charged(interval) == 0
    assert stop_at(interval, NOW) == SCHEDULED


# --- E of what is deleted --------------------------------------------------------------------------------------------


def test_preempted_evicted_drained_is_still_open_until_terminal() -> None:
    """Terminating within its grace."""
    leaving = terminating(RUNNING, asked=NOW - 10, grace=30)
    for interval in (life(RUNNING, leaving), life(RUNNING, replace(leaving, finished=(NOW - 5,)))):
        assert charged(interval) == 900
        assert is_open(interval, NOW)
    ended = life(RUNNING, leaving, replace(leaving, terminal=True, finished=(NOW - 2,)))
    assert (ended.end, ended.source) == (NOW - 2, EndSource.FINISHED_AT)


def test_now_is_past_the_cut_and_it_is_not_terminal() -> None:
    """Node lost, stuck finalizer: ResourceQuota stops counting at deletionTimestamp + grace, and so does cash."""
    asked = NOW - 100
    interval = life(RUNNING, terminating(RUNNING, asked=asked, grace=30))
    assert interval.cut == asked + 30 + 30
    assert charged(interval) == asked + 60 - SCHEDULED
    assert is_open(interval, asked + 59)
    assert not is_open(interval, asked + 60)  # half-open
    assert charged(interval, asked + 60) == charged(interval, asked + 1000) == charged(interval, asked + 59) + 1


def test_any_deleted_pod_is_never_charged_after_the_cut_where_one_was_seen() -> None:
    asked = NOW - 100
    leaving = terminating(RUNNING, asked=asked, grace=10)
    late_report = replace(leaving, terminal=True, finished=(asked + 60,))
    for interval in (
        life(leaving, late_report),
        life(leaving, late_report, deleted_at=NOW),
        life(leaving, deleted_at=NOW),
    ):
        assert charged(interval) == asked + 20 - SCHEDULED


def test_the_cut_is_remembered_when_the_grace_is_shortened() -> None:
    """The kubelet shortens the grace to 0 at the end: then deletionTimestamp is neither the cut nor the end."""
    asked = NOW - 100
    leaving, at_grace_0 = terminating(RUNNING, asked=asked, grace=30), forced(RUNNING, asked=asked)
    interval = life(RUNNING, leaving, at_grace_0)
    assert interval.cut == asked + 60
    assert interval.end is None
    assert charged(interval, asked + 50) == asked + 50 - SCHEDULED
    finished_later = replace(at_grace_0, terminal=True, finished=(asked + 40,))
    assert life(RUNNING, leaving, finished_later, deleted_at=asked + 42).end == asked + 40


def test_deleted_with_grace_0_from_the_start_and_the_last_object_is_not_terminal() -> None:
    asked = NOW - 20
    interval = life(RUNNING, forced(RUNNING, asked=asked), deleted_at=NOW)
    assert (interval.end, interval.source) == (asked, EndSource.DELETION_REQUEST)


@pytest.mark.parametrize(
    ("arrived", "end", "source"),
    [
        pytest.param(0, 0, EndSource.DELETION_REQUEST, id="at once: the time of the request"),
        pytest.param(2, 0, EndSource.DELETION_REQUEST, id="within 2 s of it: the time of the request"),
        pytest.param(3, 3, EndSource.DELETION_ARRIVAL, id="later: when the event came"),
        pytest.param(59, 59, EndSource.DELETION_ARRIVAL, id="still before the cut"),
        pytest.param(100, 60, EndSource.DELETION_ARRIVAL, id="not after the cut"),
    ],
)
@pytest.mark.parametrize("last", [terminating, None], ids=["last seen with its grace", "last seen at grace 0"])
def test_deletion_began_with_a_grace_and_the_last_object_is_not_terminal(
    last: Any, arrived: int, end: int, source: EndSource
) -> None:
    """Forced on the way; kwok."""
    asked = NOW - 200
    versions = [RUNNING, terminating(RUNNING, asked=asked, grace=30)]
    if last is None:
        versions.append(forced(RUNNING, asked=asked))
    interval = life(*versions, deleted_at=asked + arrived)
    assert charged(interval) == asked + end - SCHEDULED
    assert interval.source is source


def test_in_a_replay_where_arrival_says_nothing_it_is_the_time_of_the_request() -> None:
    asked = NOW - 200
    interval = life(RUNNING, terminating(RUNNING, asked=asked, grace=30), deleted_at=asked + 20, replayed=True)
    assert (interval.end, interval.source) == (asked, EndSource.DELETION_REQUEST)
    assert interval.source > EndSource.FINISHED_AT  # counted as inexact


def test_normally_deleted_the_final_object_decides() -> None:
    asked = NOW - 60
    leaving = terminating(RUNNING, asked=asked, grace=30)
    final = replace(forced(RUNNING, asked=asked), terminal=True, finished=(asked + 5,))
    interval = life(RUNNING, leaving, final, deleted_at=NOW)
    assert (interval.end, interval.source) == (asked + 5, EndSource.FINISHED_AT)


def test_normally_deleted_the_last_terminal_status_seen_decides() -> None:
    """A final object without statuses takes nothing back."""
    ended = life(RUNNING, ENDED_WELL)
    interval = deleted(follow(forced(RUNNING, asked=NOW - 10), ended, NOW), NOW)
    assert (interval.end, interval.source) == (ENDED, EndSource.FINISHED_AT)


def test_removed_without_a_deletion_of_its_own() -> None:
    """Straight from etcd: the event's arrival is all there is [C2], a pod deleted while running is not lost."""
    interval = life(RUNNING, deleted_at=NOW - 1)
    assert (interval.end, interval.source) == (NOW - 1, EndSource.DELETION_ARRIVAL)


@pytest.mark.parametrize("grace", [0, 30])
def test_a_pod_first_seen_by_its_deleted_event_is_charged_in_full(grace: int) -> None:
    """[C5] its last object has all that is needed."""
    asked = NOW - 200
    final = replace(terminating(RUNNING, asked=asked, grace=grace), terminal=True, finished=(asked + 3,))
    assert charged(life(final, deleted_at=NOW)) == asked + 3 - SCHEDULED


@pytest.mark.parametrize("graces", [(10, 60), (60, 10), (60, 10, 0)])
def test_the_cut_is_the_latest_that_was_seen(graces: tuple[int, ...]) -> None:
    """Whichever order the graces came in, and whichever of them was missed at the end."""
    interval = life(RUNNING, *(terminating(RUNNING, asked=NOW, grace=grace) for grace in graces))
    assert interval.cut == NOW + 120


# --- laws ------------------------------------------------------------------------------------------------------------

MOMENTS = st.integers(CREATED - 20, NOW + 50)
MAYBE = st.none() | MOMENTS
FACTS = st.builds(
    PodFacts,
    created=st.just(CREATED),
    assigned=st.booleans(),
    scheduled=MAYBE,
    unscheduled=st.booleans(),
    started=MAYBE,
    terminal=st.booleans(),
    finished=st.lists(MAYBE, max_size=3),
    disrupted=MAYBE,
    completed=MAYBE,
    touched=MAYBE,
    deletion=MAYBE,
    grace=st.none() | st.integers(0, 60),
)


@st.composite
def lives(draw: st.DrawFn) -> Interval:
    interval, observed = NOT_STARTED, CREATED
    for facts in draw(st.lists(FACTS, min_size=1, max_size=5)):
        observed += draw(st.integers(0, 300))
        interval = follow(facts, interval, observed)
    if draw(st.booleans()):
        interval = deleted(interval, observed + draw(st.integers(0, 100)), replayed=draw(st.booleans()))
    return interval


@given(lives(), st.integers(CREATED, NOW + 500))
def test_the_stop_is_never_before_the_start_and_never_after_now(interval: Interval, now: int) -> None:  # [C2]
    assume(interval.start is not None)
    assert interval.start is not None
    stop = stop_at(interval, now)
    assert stop >= interval.start
    if interval.start <= now:
        assert stop <= now
    assert interval.start >= CREATED


@given(lives(), st.lists(st.integers(CREATED - 100, NOW + 500), min_size=2))
def test_a_charge_is_never_negative_and_never_shrinks_with_time(interval: Interval, moments: list[int]) -> None:  # [C2]
    for earlier, later in pairwise(sorted(moments)):
        assert 0 <= charged(interval, earlier) <= charged(interval, later)
        assert charged(interval, later) - charged(interval, earlier) <= later - earlier


@given(lives(), st.integers(CREATED - 100, NOW + 500))
def test_a_pod_is_open_exactly_while_the_next_second_costs_something(interval: Interval, now: int) -> None:
    """[C8] the rate is what the clock will really add."""
    assert is_open(interval, now) == (charged(interval, now + 1) - charged(interval, now) == 1)


@given(st.lists(FACTS, max_size=4), FACTS)
def test_what_a_pod_cost_is_a_function_of_its_last_version(before: list[PodFacts], last: PodFacts) -> None:
    """[C5] an end that is corrected late repairs the charge, whatever was believed before."""
    exact = replace(last, terminal=True, finished=(ENDED,), scheduled=SCHEDULED, deletion=None)
    earlier = [replace(facts, deletion=None) for facts in before]
    through_all, alone = life(*earlier, exact), life(exact)
    assert (through_all.start, through_all.end, through_all.source) == (alone.start, alone.end, alone.source)
    assert charged(through_all) == charged(alone) == ENDED - SCHEDULED
    assert charged(deleted(through_all, NOW)) == ENDED - SCHEDULED


@given(st.lists(FACTS, min_size=1, max_size=4), st.integers(0, 3))
def test_the_same_version_told_twice_changes_nothing(versions: list[PodFacts], at: int) -> None:
    index = at % len(versions)
    assert life(*versions) == life(*versions[: index + 1], *versions[index:])


@given(lives(), st.integers(0, 5000))
def test_an_end_is_not_changed_by_a_deletion(interval: Interval, later: int) -> None:
    assume(interval.end is not None)
    assert deleted(interval, NOW + later) == interval
