"""What a pod holds by its JSON, and what becomes of that when it is resized in place [C1, P5]."""

from __future__ import annotations

import pytest

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.domain.stays import Home, Stay
from bizrq.domain.times import timestamp
from bizrq.inventory.holdings import Holdings
from bizrq.inventory.pods import Pods
from tests.support.build import NOW, container, pod, pod_spec, texts
from tests.support.controller import pod_object
from tests.support.segments import segments

JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "uid-job"}


def cpu(amount, name="c"):
    return container(name, requests={"cpu": amount}, limits={"cpu": amount})


def sized(spec, actual=None, allocated=None, *, version=1, condition=None, phase="Running", names=("c",), **fields):
    """A pod whose containers ask for ``spec`` cores each; ``actual`` and ``allocated`` are what its node says."""
    raw = pod("a", spec=pod_spec(*(cpu(spec, name) for name in names)), phase=phase, node="n1", scheduled=NOW,
              version=version, controller=JOB, **fields)  # fmt: skip
    if actual is not None:
        given = {} if allocated is None else {"allocatedResources": {"cpu": allocated}}
        raw["status"]["containerStatuses"] = [
            {"name": name, "state": {"running": {}}, **given, "resources": cpu(actual)["resources"]} for name in names
        ]
    if condition is not None:
        kind, reason, moment = condition
        raw["status"]["conditions"].append(
            {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": timestamp(moment)}
        )
    return raw


def holds(raw, *, infeasible=False):
    return texts(Holdings(DEFAULT_GPU_RESOURCES).of(pod_object(raw), infeasible=infeasible).requests)["cpu"]


def in_progress(at):
    return ("PodResizeInProgress", None, at)


INFEASIBLE, DEFERRED = (("PodResizePending", reason, NOW) for reason in ("Infeasible", "Deferred"))


# --- by its JSON ---


@pytest.mark.parametrize(
    ("raw", "cores"),
    [
        pytest.param(sized("1"), "1", id="a node that says nothing"),
        pytest.param(sized("1", "1", "1"), "1", id="a node that repeats the spec"),
        pytest.param(sized("1", "1"), "1", id="a node that says nothing of what it allocated"),
        pytest.param(sized("3", "1", "2"), "3", id="spec"),
        pytest.param(sized("1", "1", "2"), "2", id="allocated, where all else repeats the spec"),
        pytest.param(sized("1", "3", "2"), "3", id="actual"),
        pytest.param(sized("1", "3", "3", names=("b", "a")), "6", id="of all containers"),
    ],
)
def test_it_holds_the_most_of_spec_allocated_and_actual(raw, cores):
    assert holds(raw) == cores


def test_statuses_in_another_order_than_the_containers_are_told_apart():
    """The kubelet sorts them by name."""
    raw = sized("1", "1", "1", names=("b", "a"))
    raw["spec"]["containers"][0]["resources"] = cpu("5")["resources"]
    raw["status"]["containerStatuses"][0] |= {"name": "a"}
    raw["status"]["containerStatuses"][1] |= {"name": "b", "resources": cpu("5")["resources"]}
    assert holds(raw) == "6"
    raw["status"]["containerStatuses"][0] |= {"resources": cpu("5")["resources"]}
    assert holds(raw) == "10"
    raw["status"]["containerStatuses"][1] |= {"resources": cpu("1")["resources"]}
    for told in raw["status"]["containerStatuses"]:
        del told["allocatedResources"]
    assert holds(raw) == "10", "each in its place says what the spec says of the other"


def test_a_status_of_a_sidecar_and_of_the_pod_as_a_whole_is_read():
    raw = sized("1")
    raw["spec"]["initContainers"] = [container("side", requests={"cpu": "1"}, sidecar=True)]
    raw["status"]["initContainerStatuses"] = [{"name": "side", "resources": {"requests": {"cpu": "2"}}}]
    assert holds(raw) == "3"
    raw["spec"]["resources"] = {"requests": {"cpu": "4"}}
    raw["status"] |= {"resources": {"requests": {"cpu": "5"}}, "allocatedResources": {"cpu": "6"}}
    assert holds(raw) == "6"
    del raw["status"]["initContainerStatuses"]
    assert holds(raw) == "6", "the pod as a whole alone"


def test_what_the_node_says_of_one_pod_is_not_taken_for_another():
    """Pods share what was worked out for the same bytes, and for these only."""
    holdings = Holdings(DEFAULT_GPU_RESOURCES)

    def of(raw, *, infeasible=False):
        return texts(holdings.of(pod_object(raw), infeasible=infeasible).requests)["cpu"]

    asked = sized("3", "1", "1")
    assert [of(sized("3")), of(asked), of(asked, infeasible=True), of(sized("3", "4", "4"))] == ["3", "3", "1", "4"]
    swapped = sized("1", "1", "1", names=("a", "b"))
    swapped["spec"]["containers"][0]["resources"] = cpu("5")["resources"]
    other = sized("1", "1", "1", names=("b", "a"))
    other["spec"]["containers"][0]["resources"] = cpu("5")["resources"]
    for raw in (swapped, other):
        raw["status"]["containerStatuses"] = [{"name": "a", "resources": cpu("2")["resources"]}]
    assert [of(swapped), of(other)] == ["6", "7"]


def test_a_node_that_repeats_the_spec_costs_no_template_of_its_own():
    holdings = Holdings(DEFAULT_GPU_RESOURCES)
    quiet, repeating = (pod_object(raw) for raw in (sized("1"), sized("1", "1", "1")))
    assert holdings.of(quiet, infeasible=False) is holdings.of(repeating, infeasible=False)


def test_amounts_of_a_status_that_are_none_are_left_out():
    raw = sized("1", "2", "2")
    raw["status"]["containerStatuses"][0]["resources"] = {"requests": {"cpu": "many"}}
    raw["status"]["containerStatuses"][0]["allocatedResources"] = None
    assert holds(raw) == "1"


# --- in segments ---


@pytest.fixture
def touched():
    return []


@pytest.fixture
def pods(touched):
    stays = (Stay(Home("team", Models(), "shop")),)
    made = Pods(lambda *_: stays, touched.append, DEFAULT_GPU_RESOURCES)
    made.list_began()
    made.list_ended(0, NOW - 100)
    return made


def shown(pods, *seen):
    """The segments of the pod after these versions, each with the second at which it came: from, until, cores."""
    for version, (at, raw) in enumerate(seen, 1):
        raw["metadata"]["resourceVersion"] = str(version)
        pods.changed(pod_object(raw), NOW + at)
    (one,) = pods.of("team")
    return [
        (since and since - NOW, until and until - NOW, texts(each.requests)["cpu"])
        for since, until, each in segments(one.held_now, one.held_before)
    ]


def test_a_pod_that_starts_is_not_resized(pods):
    """Its node begins to say what it has; in other words, or the same."""
    same = sized("1", "1000m", "1")
    assert shown(pods, (0, sized("1", phase="Pending")), (5, same), (9, sized("1", "1", "1"))) == [(None, None, "1")]


def test_the_amount_stays_that_of_the_peak_when_init_containers_have_ended(pods):
    """[P1, P3] with a sidecar and overhead: fixed for the pod's life."""
    raws = [sized("1", phase="Pending"), sized("1", "1", "1")]
    for raw in raws:
        raw["spec"] |= {
            "initContainers": [container("side", requests={"cpu": "1"}, sidecar=True), cpu("4", "init")],
            "overhead": {"cpu": "500m"},
        }
    ended = {"terminated": {"exitCode": 0, "finishedAt": timestamp(NOW + 5)}}
    raws[1]["status"]["initContainerStatuses"] = [
        {"name": "side", "state": {"running": {}}, "resources": {"requests": {"cpu": "1"}}},
        {"name": "init", "state": ended, "resources": cpu("4")["resources"]},
    ]
    assert shown(pods, *enumerate(raws)) == [(None, None, "5500m")]


def test_a_resize_upwards_is_charged_from_when_it_is_observed(pods):
    assert shown(
        pods,
        (0, sized("1", "1", "1")),
        (10, sized("3", "1", "1")),
        (12, sized("3", "1", "3", condition=in_progress(NOW + 12))),
        (14, sized("3", "3", "3")),
    ) == [(None, 10, "1"), (10, None, "3")]


def test_a_resize_downwards_is_charged_until_its_containers_have_less(pods):
    """The time of PodResizeInProgress is that of the allocation; the version that said it still held the old amount."""
    assert shown(
        pods,
        (0, sized("3", "3", "3")),
        (10, sized("1", "3", "3")),
        (12, sized("1", "3", "1", condition=in_progress(NOW + 12))),
        (14, sized("1", "1", "1", condition=in_progress(NOW + 12))),
    ) == [(None, 14, "3"), (14, None, "1")]


def test_a_resize_that_is_seen_late_began_when_the_node_says_so(pods):
    late = sized("3", "1", "3", condition=in_progress(NOW + 40))
    assert shown(pods, (0, sized("1", "1", "1")), (90, late)) == [(None, 40, "1"), (40, None, "3")]


def test_a_resize_that_is_infeasible_is_charged_until_the_node_says_so(pods):
    assert shown(
        pods,
        (0, sized("1", "1", "1")),
        (10, sized("64", "1", "1")),
        (11, sized("64", "1", "1", condition=INFEASIBLE)),
    ) == [(None, 10, "1"), (10, 11, "64"), (11, None, "1")]


def test_a_resize_that_is_deferred_is_charged(pods):
    """Its room is kept free for it, as by the scheduler and ResourceQuota."""
    deferred = sized("4", "1", "1", condition=DEFERRED)
    assert shown(pods, (0, sized("1", "1", "1")), (10, deferred)) == [(None, 10, "1"), (10, None, "4")]


def test_what_is_asked_for_before_the_pod_has_a_node_leaves_no_segment(pods):
    waiting = [sized("1", phase="Pending"), sized("2", phase="Pending")]
    for raw in waiting:
        del raw["spec"]["nodeName"], raw["status"]["conditions"]
    assert shown(pods, (0, waiting[0]), (5, waiting[1]), (9, sized("2"))) == [(None, None, "2")]


def test_of_a_pod_that_has_ended_nobody_says_what_it_holds(pods):
    """Its statuses say less, and the spec may be what its node refused."""
    ended = sized("64", phase="Failed", finished=[NOW + 20])
    refused = sized("64", "1", "1", condition=INFEASIBLE)
    assert shown(pods, (0, sized("1", "1", "1")), (10, refused), (25, ended)) == [(None, None, "1")]


def test_the_bizrq_is_woken_by_each_change_of_what_a_pod_holds(pods, touched):
    """[C8] also by one downwards: the rate is another."""
    shown(pods, (0, sized("3", "3", "3")))
    touched.clear()
    shown(pods, (0, sized("3", "3", "3")), (10, sized("1", "1", "1")))
    assert touched == ["team"]
    touched.clear()
    shown(pods, *[(20, sized("1", "1", "1"))] * 4)
    assert touched == []


def test_leftovers_go_by_the_most_it_was_ever_seen_to_hold(pods):
    """[P5]"""
    shown(pods, (0, sized("3", "3", "3")), (10, sized("1", "1", "1")))
    assert texts(pods.held_under(["uid-job"], Models(), NOW))["requests.cpu"] == "3"


def test_what_is_remembered_of_a_resize_goes_with_the_pod(pods):
    raw = sized("3", "1", "3", condition=in_progress(NOW + 12))
    shown(pods, (12, raw))
    raw["metadata"]["resourceVersion"] = "9"
    pods.deleted(pod_object(raw), NOW + 20)
    assert pods.versions._resizing == {}


def test_what_is_remembered_of_a_resize_goes_when_it_is_over(pods):
    shown(pods, (0, sized("1", "1", "1")), (12, sized("3", "1", "3", condition=in_progress(NOW + 12))))
    assert pods.versions._resizing == {"uid-a": NOW + 12}
    raw = sized("3", "3", "3", version=9)
    pods.changed(pod_object(raw), NOW + 20)
    assert pods.versions._resizing == {}
