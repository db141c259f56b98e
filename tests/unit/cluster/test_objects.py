"""Which fields of the API's JSON are read?"""

import msgspec
import pytest

from bizrq.cluster.objects import Owned, Page, spec_of, template_of
from bizrq.cluster.pod_facts import facts_of
from bizrq.domain.pod_resources import held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.times import timestamp
from tests.support.build import NOW, container, held_by, pod, pod_spec
from tests.support.controller import pod_object


def facts(raw):
    return facts_of(pod_object(raw))


def with_conditions(raw, *conditions):
    raw["status"]["conditions"] = [
        {"type": kind, "status": status, "reason": reason, "lastTransitionTime": None if at is None else timestamp(at)}
        for kind, status, reason, at in conditions
    ]
    return raw


def test_the_instants_of_a_running_pod():  # [C1]
    got = facts(pod(phase="Running", node="n1", scheduled=NOW + 1, started=NOW + 2))
    assert (got.created, got.scheduled, got.started, got.assigned, got.terminal) == (NOW, NOW + 1, NOW + 2, True, False)


def test_a_pod_that_waits_for_a_node():  # [C1]
    got = facts(with_conditions(pod(), ("PodScheduled", "False", "Unschedulable", NOW)))
    assert (got.scheduled, got.unscheduled, got.assigned) == (None, True, False)


def test_a_mirror_pod_is_known_by_its_annotation_and_its_node():
    mirror = {"kubernetes.io/config.mirror": "x"}
    node = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1"}
    assert facts(pod(annotations=mirror, controller=node)).mirror
    assert not facts(pod(annotations={"else": "x"}, controller=node)).mirror
    assert not facts(pod(annotations=mirror)).mirror, "anybody may write an annotation"


def test_year_one_and_null_say_nothing():  # [C2]
    raw = pod(phase="Failed", finished=[NOW, None])
    raw["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = "0001-01-01T00:00:00Z"
    assert facts(raw).finished == (None, None)


def test_the_end_of_a_container_in_last_state_is_none():  # [C1]
    raw = pod(phase="Running", node="n1")
    raw["status"]["containerStatuses"] = [
        {"name": "c", "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": timestamp(NOW)}}}
    ]
    assert facts(raw).finished == ()


def test_init_containers_end_too():
    raw = pod(phase="Succeeded", finished=[NOW + 5])
    raw["status"]["initContainerStatuses"] = [{"state": {"terminated": {"finishedAt": timestamp(NOW + 9)}}}]
    assert facts(raw).finished == (NOW + 5, NOW + 9)


def test_conditions_that_tell_an_end():
    raw = with_conditions(
        pod(phase="Failed"),
        ("DisruptionTarget", "True", "EvictionByEvictionAPI", NOW + 3),
        ("Ready", "False", "PodFailed", NOW + 5),
        ("ContainersReady", "False", "PodFailed", NOW + 4),
    )
    got = facts(raw)
    assert (got.disrupted, got.completed) == (NOW + 3, NOW + 4)


def test_ready_false_for_another_reason_is_no_end():
    assert facts(with_conditions(pod(), ("Ready", "False", "ContainersNotReady", NOW))).completed is None


@pytest.mark.parametrize(("kind", "status"), [("Ready", "True"), ("DisruptionTarget", "False")])
def test_a_condition_that_is_not_so_is_no_end(kind, status):
    got = facts(with_conditions(pod(phase="Failed"), (kind, status, "PodFailed", NOW)))
    assert (got.completed, got.disrupted) == (None, None)


def test_conditions_of_a_resize():  # [C1]
    got = facts(with_conditions(pod(), ("PodResizeInProgress", "True", None, NOW + 3)))
    assert (got.resizing, got.infeasible) == (NOW + 3, False)
    got = facts(with_conditions(pod(), ("PodResizeInProgress", "False", None, NOW + 3)))
    assert got.resizing is None
    for reason in ("Infeasible", "Deferred"):
        got = facts(with_conditions(pod(), ("PodResizePending", "True", reason, NOW)))
        assert (got.resizing, got.infeasible) == (None, reason == "Infeasible")


def test_the_last_write_of_the_status_is_looked_up_only_where_nothing_better_is_known():
    raw = pod(phase="Failed", finished=[None])
    raw["metadata"]["managedFields"] = [
        {"time": timestamp(NOW + 9), "fieldsV1": {"f:x": {}}},
        {"time": timestamp(NOW + 4), "subresource": "status", "fieldsV1": {}},
        {"time": timestamp(NOW + 6), "subresource": "status"},
    ]
    assert facts(raw).touched == NOW + 6
    raw["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = timestamp(NOW)
    assert facts(raw).touched is None


SPECS = {
    "limits only": pod_spec(container(limits={"cpu": "1", "nvidia.com/gpu": "2"})),
    "init and sidecar": pod_spec(
        container(requests={"cpu": "1"}),
        init=[container(requests={"cpu": "2"}, sidecar=True), container(requests={"cpu": "3"})],
    ),
    "of the pod as a whole": pod_spec(container(requests={"cpu": "1"}), requests={"cpu": "9"}, limits={"cpu": "10"}),
    "overhead": pod_spec(container(requests={"cpu": "1"}), overhead={"cpu": "250m"}),
    "nothing": pod_spec(container()),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_raw_parts_of_a_pod_say_the_same_as_its_spec(spec):  # [P1-P3]
    """The pod's amounts are read from the bytes that also serve as the key of the cache."""
    wire = pod_object(pod(spec=spec)).spec
    got, problems = read_pod_spec(spec_of(wire))
    assert (held(got), problems) == (held_by(spec), [])


def test_equal_templates_have_equal_keys_and_others_have_not():
    keys = [template_of(pod_object(pod(spec=spec)).spec) for spec in SPECS.values()]
    assert len(set(keys)) == len(SPECS)
    assert template_of(pod_object(pod("other", spec=SPECS["overhead"])).spec) in keys


def test_an_init_container_and_a_sidecar_are_different_templates():
    one, two = (
        template_of(
            pod_object(pod(spec=pod_spec(container(), init=[container(requests={"cpu": "1"}, sidecar=sidecar)]))).spec
        )
        for sidecar in (True, False)
    )
    assert one != two


def test_an_empty_list_of_metadata_says_null():
    """Seen on a real API server: PartialObjectMetadataList with items null."""
    page = msgspec.json.decode(b'{"metadata":{"resourceVersion":"7"},"items":null}', type=Page[Owned])
    assert (page.items, page.metadata.resource_version) == (None, "7")
