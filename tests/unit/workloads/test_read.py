"""What does an object ask for, read by the description of its kind?"""

import pytest

from bizrq.domain.bizrq import LABEL
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in
from tests.support.build import amounts, container, pod, pod_spec, texts, workload

KINDS = {each.kind: each for each in built_in()}
DEPLOYMENT, JOB, REPLICA_SET, POD = (KINDS[name] for name in ("Deployment", "Job", "ReplicaSet", "Pod"))
CORE = pod_spec(container(limits={"cpu": "1"}))


def read(raw, kind=DEPLOYMENT):
    return read_workload(raw, kind, DEFAULT_GPU_RESOURCES)


def pods(raw, kind):
    return texts(read(raw, kind).demand).get("pods", "0")


def job(status=None, **spec):
    raw = workload(kind="Job", api_version="batch/v1", replicas=None, template=CORE, status=status)
    raw["spec"].update(spec)
    return raw


def test_a_deployment_demands_its_replicas_with_models():  # [K1, K2]
    got = read(workload(replicas=3, template=CORE, cpu_type="A4"))
    assert texts(got.demand) == {
        "count/deployments.apps": "1",
        "pods": "3",
        "cpu": "3",
        "requests.cpu": "3",
        "limits.cpu": "3",
        "cpu.A4": "3",
        "requests.cpu.A4": "3",
        "limits.cpu.A4": "3",
    }
    assert (str(got), got.bizrq, got.models) == ("deployments.apps/shop/web", "team", Models(cpu="A4"))


def test_a_deployment_without_replicas_has_one():
    assert pods(workload(replicas=None, template=CORE), DEPLOYMENT) == "1"


@pytest.mark.parametrize(
    ("phase", "expected"), [("Pending", "1"), ("Running", "1"), ("Unknown", "1"), ("Succeeded", "0"), ("Failed", "0")]
)
def test_a_pod_is_its_own_template_and_demands_nothing_once_it_is_terminal(phase, expected):  # [A8]
    got = read(pod(spec=CORE, phase=phase, labels={LABEL: "team"}), POD)
    assert (texts(got.demand).get("pods", "0"), texts(got.demand)["count/pods"]) == (expected, "1")
    assert (str(got), got.bizrq) == ("pods/shop/pod", "team")


def test_what_a_pod_holds_is_told_by_itself_whatever_its_runtime_class_says_later():  # [P3]
    raw = pod(
        spec={**pod_spec(container(limits={"cpu": "1"}), overhead={"cpu": "250m"}), "runtimeClassName": "sandbox"}
    )
    before_its_class = pod(spec={**CORE, "runtimeClassName": "sandbox"})
    assert read(raw, POD).runtime_classes == read(before_its_class, POD).runtime_classes == frozenset()
    assert texts(read(raw, POD).demand)["requests.cpu"] == "1250m"


def test_an_amount_of_a_pod_that_is_none_is_named_by_its_path():  # [A14]
    (problem,) = read(pod(spec=pod_spec(container(limits={"cpu": "abc"}))), POD).problems
    assert str(problem).startswith("spec.containers[0].resources.limits.cpu: ")


def test_a_replica_set_demands_its_replicas():  # [A8]
    assert pods(workload(kind="ReplicaSet", replicas=3, template=CORE), REPLICA_SET) == "3"


@pytest.mark.parametrize(
    ("stated", "surge"),
    [(None, 0), (3, 3), ("25%", 1), ("150%", 6), ("x%", 0), ("9" * 9 + "%", 0), (10**12, 2**31 - 1), ("3", 0), ([], 0)],
)
def test_the_pods_of_a_rollout_are_told_by_its_max_surge(stated, surge):  # [A8]
    raw = workload(replicas=4, template=CORE)
    raw["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": stated}}
    assert read(raw).surge == surge


def test_an_empty_model_label_counts_as_none():  # [K2]
    assert read(workload(cpu_type="", gpu_type="", memory_type="")).models == Models()


def test_an_object_without_label_names_no_bizrq():
    assert read(workload(bizrq=None)).bizrq == ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(job(), "1", id="parallelism is 1 where nothing is said"),
        pytest.param(job(parallelism=4), "4", id="a work queue runs parallelism pods"),
        pytest.param(job(parallelism=4, completions=2), "2", id="never more than completions"),
        pytest.param(job({"succeeded": 8}, parallelism=4, completions=10), "2", id="completions left"),
        pytest.param(job({"succeeded": 12}, parallelism=4, completions=10), "0", id="never below zero"),
        pytest.param(job(parallelism=0, completions=10), "0", id="parallelism 0"),
        pytest.param(job(parallelism=4, suspend=True), "0", id="suspended"),
        pytest.param(job({"conditions": [{"type": "Complete", "status": "True"}]}), "0", id="finished"),
        pytest.param(job({"conditions": [{"type": "Failed", "status": "True"}]}), "0", id="failed"),
        pytest.param(job({"conditions": [{"type": "Failed", "status": "False"}]}), "1", id="not failed"),
        pytest.param(job({"conditions": [{"type": "FailureTarget", "status": "True"}]}), "0", id="to fail"),
        pytest.param(job({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}), "0", id="to succeed"),
    ],
)
def test_a_job_demands_what_it_may_still_run(raw, expected):
    assert pods(raw, JOB) == expected


def test_a_finished_job_still_counts_as_a_job():  # [K1]
    raw = job({"conditions": [{"type": "Complete", "status": "True"}]})
    assert texts(read(raw, JOB).demand) == {"count/jobs.batch": "1"}


def deployment(**spec):
    raw = workload(template=CORE)
    raw["spec"].update(spec)
    return raw


@pytest.mark.parametrize(
    ("raw", "path", "why"),
    [
        pytest.param(deployment(replicas="3"), "podGroups[0].replicas", "whole number of pods, not '3'", id="a text"),
        pytest.param(workload(replicas=True), "podGroups[0].replicas", "not True", id="a bool"),
        pytest.param(workload(replicas=10**12), "podGroups[0].replicas", "not 1000000000000", id="more than an int32"),
        pytest.param(
            workload(template=pod_spec(container(limits={"cpu": "abc"}))),
            "spec.template.spec.containers[0].resources.limits.cpu",
            "'abc' is not a quantity",
            id="a broken quantity",
        ),
    ],
)
def test_what_cannot_be_read_is_named_by_its_path(raw, path, why):  # [A14]
    (problem,) = read(raw).problems
    assert problem.path == path
    assert why in problem.why


@pytest.mark.parametrize("spec", [None, 3, [], {"template": 7}, {"template": {"spec": []}}, {"template": None}])
def test_a_spec_of_nonsense_is_no_error(spec):
    raw = workload()
    raw["spec"] = spec
    assert "pods" not in read(raw).demand or read(raw).demand["pods"].nano >= 0


# --- RuntimeClasses [P3] ---


def of_class(name="kata", **more):
    return workload(replicas=2, template={**CORE, "runtimeClassName": name, **more})


def cores(raw, overheads):
    return str(read_workload(raw, DEPLOYMENT, DEFAULT_GPU_RESOURCES, overheads).demand["limits.cpu"])


KATA = {"kata": amounts({"cpu": "250m"})}


def test_a_template_demands_the_overhead_of_its_runtime_class():  # [P3]
    assert cores(of_class(), KATA) == "2500m"
    assert read(of_class()).runtime_classes == {"kata"}


def test_a_runtime_class_that_is_not_there_adds_nothing():  # [P3]
    assert cores(of_class("gone"), KATA) == "2"


def test_an_overhead_that_a_template_states_itself_is_that_of_its_pods():  # [P3]
    """Pods with another overhead than their RuntimeClass are refused: either they hold this much, or there are none."""
    raw = of_class(overhead={"cpu": "10m"})
    assert cores(raw, KATA) == "2020m"
    assert read(raw).runtime_classes == frozenset()


def test_an_empty_overhead_is_filled_in_from_the_runtime_class():  # [P3]
    assert cores(of_class(overhead={}), KATA) == "2500m"


def test_a_workload_that_was_read_is_counted_anew_under_other_overheads():  # [P3]
    first = read(of_class())
    later = first.under(KATA, DEFAULT_GPU_RESOURCES)
    assert [str(each.demand["limits.cpu"]) for each in (first, later)] == ["2", "2500m"]
    assert later == read_workload(of_class(), DEPLOYMENT, DEFAULT_GPU_RESOURCES, KATA)
    plain = read(workload(template=CORE))
    assert plain.under(KATA, DEFAULT_GPU_RESOURCES) is plain
