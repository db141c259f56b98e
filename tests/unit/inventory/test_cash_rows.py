"""[C1, C2] one test a row of the table in docs/cash.md, in its order and named after it.

Pods come as the API server's JSON, through the decoder and the table of pods, at the instants of a clock set by hand.
"""

from __future__ import annotations

from typing import Any

import pytest

from bizrq.domain.intervals import Clamp, EndSource
from bizrq.domain.times import timestamp
from tests.support.build import NOW
from tests.support.pod_watch import CREATED, GRACE, SCHEDULED, Watch, asked_to_go, card

JSON = dict[str, Any]

EXACT: dict[Clamp | EndSource, int] = {}


@pytest.fixture
def watch() -> Watch:
    return Watch()


# --- S ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["SchedulingGated", "Unschedulable"])
def test_not_scheduled(watch: Watch, reason: str) -> None:
    waiting = card("Pending", node=None, scheduled=None, conditions={"PodScheduled": ("False", reason, CREATED)})
    waiting["status"]["nominatedNodeName"] = "n1"
    watch.shows(waiting)
    assert watch.seconds(NOW + 10_000) == 0
    watch.loses(waiting, at=NOW + 10)
    assert (watch.seconds(NOW + 10_000), watch.noted()) == (0, EXACT)


def test_scheduled(watch: Watch) -> None:
    watch.shows(card("Pending"))
    assert (watch.seconds(), watch.noted()) == (NOW - SCHEDULED, EXACT)


@pytest.mark.parametrize("time_is_null", [True, False], ids=["its time null", "that condition missing"])
@pytest.mark.parametrize(
    ("started", "start"), [(NOW - 800, NOW - 800), (None, CREATED)], ids=["status.startTime", "else creationTimestamp"]
)
def test_that_condition_missing_or_its_time_null_spec_node_name_set(
    watch: Watch, started: int | None, start: int, *, time_is_null: bool
) -> None:
    """Bound directly; virtual kubelets."""
    conditions = {"PodScheduled": ("True", None, None)} if time_is_null else None
    watch.shows(card(scheduled=None, started=started, conditions=conditions))
    assert (watch.seconds(), watch.noted()) == (NOW - start, {Clamp.START_GUESSED: 1})


def test_mirror_pod(watch: Watch) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1"}
    mirror = card(annotations={"kubernetes.io/config.mirror": "x"}, controller=node)
    watch.shows(mirror)
    assert watch.seconds() == 0


def test_image_pull_container_creating_init_phase(watch: Watch) -> None:
    """Charged: the card is held."""
    watch.shows(card("Pending"), at=SCHEDULED)
    initialising = card("Pending", started=SCHEDULED + 1)
    initialising["status"]["initContainerStatuses"] = [
        {"name": "init", "state": {"terminated": {"exitCode": 0, "finishedAt": timestamp(SCHEDULED + 100)}}}
    ]
    initialising["status"]["containerStatuses"] = [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]
    watch.shows(initialising)
    assert watch.seconds() == NOW - SCHEDULED


# --- E of what runs and of what ended --------------------------------------------------------------------------------

ENDED = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": timestamp(NOW - 500)}}


@pytest.mark.parametrize(
    "statuses",
    [
        pytest.param([{"name": "c", "state": {"running": {}}, "lastState": ENDED}], id="restarted, OOMKilled"),
        pytest.param(
            [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ENDED}],
            id="CrashLoopBackOff",
        ),
        pytest.param(
            [{"name": "c", "state": ENDED}, {"name": "d", "state": {"running": {}}}], id="one of several ended"
        ),
    ],
)
def test_restarts_crash_loop_back_off_oom_killed_one_of_several_containers_ended(
    watch: Watch, statuses: list[JSON]
) -> None:
    """Not an end; ``lastState`` never is."""
    restarted = card()
    restarted["status"]["containerStatuses"] = statuses
    watch.shows(card(), restarted)
    assert (watch.seconds(), watch.noted()) == (NOW - SCHEDULED, EXACT)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_succeeded_failed_every_terminated_state_has_a_valid_finished_at(watch: Watch, phase: str) -> None:
    """The latest over containerStatuses and initContainerStatuses."""
    ended = card(phase, finished=[NOW - 300, NOW - 200])
    ended["status"]["initContainerStatuses"] = [
        {"name": "sidecar", "state": {"terminated": {"exitCode": 0, "finishedAt": timestamp(NOW - 100)}}}
    ]
    watch.shows(card(), ended)
    assert (watch.seconds(), watch.noted()) == (NOW - 100 - SCHEDULED, EXACT)


FALLBACKS = {
    "DisruptionTarget": ("True", "TerminationByKubelet", NOW - 70),
    "Ready": ("False", "PodFailed", NOW - 59),
    "ContainersReady": ("False", "PodFailed", NOW - 60),
}
TOUCHED = [
    {"time": timestamp(NOW - 55), "subresource": "status"},
    {"time": timestamp(NOW - 50), "subresource": "status"},
    {"time": timestamp(NOW - 10)},
]


@pytest.mark.parametrize(
    "finished", [[], [None], [NOW - 400, None]], ids=["no statuses (Evicted, OutOfcpu)", "null", "some null"]
)
@pytest.mark.parametrize(
    ("without", "managed", "end", "source"),
    [
        pytest.param(set(), TOUCHED, NOW - 70, EndSource.DISRUPTED, id="1 DisruptionTarget"),
        pytest.param({"DisruptionTarget"}, TOUCHED, NOW - 60, EndSource.COMPLETED, id="2 Ready or ContainersReady"),
        pytest.param(set(FALLBACKS), TOUCHED, NOW - 50, EndSource.TOUCHED, id="3 managedFields of the status"),
        pytest.param(set(FALLBACKS), None, NOW - 40, EndSource.OBSERVED, id="4 first observed"),
    ],
)
def test_succeeded_failed_some_finished_at_null_or_year_1_or_no_statuses(
    watch: Watch,
    finished: list[int | None],
    without: set[str],
    managed: list[JSON] | None,
    end: int,
    source: EndSource,
) -> None:
    """The first there is, and counted as inexact, once."""
    failed = card(
        "Failed", finished=finished, conditions={kind: told for kind, told in FALLBACKS.items() if kind not in without}
    )
    failed["metadata"]["managedFields"] = managed
    watch.shows(card())
    watch.shows(failed, at=NOW - 40)
    watch.shows(failed)
    assert (watch.seconds(), watch.noted()) == (end - SCHEDULED, {source: 1})


def test_an_inexact_end_is_never_before_a_valid_finished_at(watch: Watch) -> None:
    watch.shows(card("Failed", finished=[NOW - 5, None], conditions=FALLBACKS))
    assert watch.seconds() == NOW - 5 - SCHEDULED


# --- E of what is deleted --------------------------------------------------------------------------------------------


def test_preempted_evicted_drained_terminating_within_grace(watch: Watch) -> None:
    """Still open until terminal."""
    conditions = {"DisruptionTarget": ("True", "PreemptionByScheduler", NOW - 10)}
    watch.shows(card(), asked_to_go(asked=NOW - 10, conditions=conditions))
    assert watch.seconds() == NOW - SCHEDULED
    watch.shows(asked_to_go("Failed", asked=NOW - 10, conditions=conditions, finished=[NOW + 5]), at=NOW + 6)
    assert (watch.seconds(NOW + 10), watch.noted()) == (NOW + 5 - SCHEDULED, EXACT)


def test_now_after_the_cut_and_not_terminal(watch: Watch) -> None:
    """Node lost, stuck finalizer."""
    watch.shows(card(), asked_to_go(asked=NOW - 10))
    cut = NOW - 10 + 2 * GRACE
    assert [watch.seconds(now) for now in (cut - 1, cut, cut + 9999)] == [cut - 1 - SCHEDULED, *2 * [cut - SCHEDULED]]


def test_any_deleted_pod_is_never_charged_after_the_cut(watch: Watch) -> None:
    asked = NOW - 500
    watch.shows(card(), asked_to_go(asked=asked), at=asked)
    watch.loses(asked_to_go("Failed", asked=asked, grace=0, finished=[asked + 300]))
    assert (watch.seconds(), watch.noted()) == (asked + 2 * GRACE - SCHEDULED, {Clamp.END_AFTER_CUT: 1})


def test_deleted_with_grace_0_from_the_start_last_object_not_terminal(watch: Watch) -> None:
    watch.shows(card())
    watch.loses(asked_to_go(asked=NOW - 20, grace=0))
    assert (watch.seconds(), watch.noted()) == (NOW - 20 - SCHEDULED, EXACT)


@pytest.mark.parametrize(
    ("late", "charged", "source"),
    [
        pytest.param(2, 0, EndSource.DELETION_REQUEST, id="within 2 s: the request"),
        pytest.param(3, 3, EndSource.DELETION_ARRIVAL, id="else the arrival"),
        pytest.param(2 * GRACE + 9, 2 * GRACE, EndSource.DELETION_ARRIVAL, id="not after the cut"),
    ],
)
def test_deletion_began_with_a_grace_last_object_not_terminal(
    watch: Watch, late: int, charged: int, source: EndSource
) -> None:
    """Forced on the way; kwok. Counted as inexact."""
    asked = NOW - 200
    watch.shows(card(), asked_to_go(asked=asked), at=asked)
    watch.loses(asked_to_go(asked=asked, grace=0), at=asked + late)
    clamped = {Clamp.END_AFTER_CUT} if late > 2 * GRACE else set()
    assert (watch.seconds(), set(watch.noted())) == (asked + charged - SCHEDULED, {source} | clamped)


@pytest.mark.parametrize(
    "in_the_final_object", [True, False], ids=["the final object", "the last terminal status seen"]
)
def test_normally_deleted_by_the_kubelet(watch: Watch, *, in_the_final_object: bool) -> None:
    """It decides by the rows above; a finishedAt after deletionTimestamp is valid on an object at grace 0."""
    asked = NOW - 100
    watch.shows(card(), asked_to_go(asked=asked), at=asked)
    watch.shows(asked_to_go("Succeeded", asked=asked, finished=[asked + 7]), at=asked + 8)
    final = ("Succeeded", [asked + 7]) if in_the_final_object else ("Running", [])
    watch.loses(asked_to_go(final[0], asked=asked, grace=0, finished=final[1]))
    assert (watch.seconds(), watch.noted()) == (asked + 7 - SCHEDULED, EXACT)


def test_gone_without_an_event(watch: Watch) -> None:
    """Charged to the last instant at which the watch was known good [C6]."""
    watch.shows(card(), at=NOW - 500)
    watch.pods.passed(watch.version, NOW - 400)
    watch.lists([], at=NOW)
    assert (watch.seconds(), watch.pods.vanished) == (NOW - 400 - SCHEDULED, 1)


def test_finished_at_in_the_future(watch: Watch) -> None:
    watch.shows(card("Succeeded", finished=[NOW + 60]))
    assert [watch.seconds(NOW), watch.seconds(NOW + 600)] == [NOW - SCHEDULED, NOW + 60 - SCHEDULED]
    assert watch.noted() == {Clamp.END_IN_FUTURE: 1}


def test_finished_at_before_s(watch: Watch) -> None:
    watch.shows(card("Succeeded", finished=[SCHEDULED - 60]))
    assert (watch.seconds(), watch.noted()) == (0, {Clamp.END_BEFORE_START: 1})


@pytest.mark.parametrize("scheduled", [CREATED - 5, None], ids=["scheduled", "startTime"])
def test_s_before_creation_timestamp(watch: Watch, scheduled: int | None) -> None:
    """After every rule, S >= creationTimestamp."""
    watch.shows(card(scheduled=scheduled, started=CREATED - 5))
    guessed = {} if scheduled else {Clamp.START_GUESSED: 1}
    assert (watch.seconds(), watch.noted()) == (NOW - CREATED, {Clamp.START_BEFORE_CREATION: 1, **guessed})


def test_job_suspended_and_resumed_stateful_set_pod_of_the_same_name(watch: Watch) -> None:
    """A new UID is a new interval: what lies between is not charged."""
    watch.shows(card(name="web-0", uid="first"))
    watch.loses(asked_to_go("Failed", name="web-0", uid="first", asked=NOW - 100, grace=0, finished=[NOW - 100]))
    watch.shows(card(name="web-0", uid="second", created=NOW - 40, scheduled=NOW - 30))
    assert watch.seconds() == (NOW - 100 - SCHEDULED) + 30


# --- counted once a pod ----------------------------------------------------------------------------------------------


def test_each_is_counted_once_a_pod_and_reason(watch: Watch) -> None:
    """[C2] whatever happens later: the same again, or an end that is corrected."""
    early = card("Failed", finished=[None], conditions={"Ready": ("False", "PodFailed", SCHEDULED - 1)})
    watch.shows(early, early)
    assert watch.noted() == {EndSource.COMPLETED: 1, Clamp.END_BEFORE_START: 1}
    watch.shows(early, card("Failed", finished=[NOW - 3]), early)
    watch.loses(asked_to_go("Failed", asked=NOW, grace=0, finished=[NOW - 3]))
    assert watch.noted() == EXACT
    watch.shows(card("Failed", name="b", finished=[SCHEDULED - 1]))
    assert watch.noted() == {Clamp.END_BEFORE_START: 1}, "of another pod"


def test_what_is_found_later_is_counted_then(watch: Watch) -> None:
    watch.shows(card(scheduled=None))
    assert watch.noted() == {Clamp.START_GUESSED: 1}
    watch.shows(card("Failed", scheduled=None, finished=[NOW + 1]))
    assert watch.noted() == {Clamp.END_IN_FUTURE: 1}


def test_what_stands_at_the_border_is_not_moved(watch: Watch) -> None:
    """S at the creation, E at S, at now, and at the cut."""
    watch.shows(card("Failed", scheduled=CREATED, finished=[CREATED]))
    watch.shows(card("Failed", name="b", finished=[NOW]))
    asked = NOW - 2 * GRACE
    watch.shows(asked_to_go("Failed", name="c", asked=asked, finished=[NOW]))
    assert watch.noted() == EXACT


def test_nothing_is_counted_of_what_costs_nothing(watch: Watch) -> None:
    watch.shows(card("Failed", node=None, scheduled=None))
    assert watch.noted() == EXACT
