"""What do objects of each known kind ask for? The manifests are such as people write; real CRDs check them in e2e."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.workloads import expression
from bizrq.workloads.read import child_label, read_workload
from bizrq.workloads.references import TemplateRef
from bizrq.workloads.registry import load_kinds, read_kinds
from tests.support.build import texts

ROOT = Path(__file__).resolve().parents[3]
KINDS = {
    (kind.group, kind.version, kind.kind): kind
    for kind in load_kinds(ROOT / "examples" / "kinds" / "mpi-spark-volcano.yaml")
}


def manifest(name, **metadata):
    raw = yaml.safe_load((ROOT / "tests" / "manifests" / f"{name}.yaml").read_text(encoding="utf-8"))
    raw["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "7", **metadata}
    return raw


def kind_of(raw):
    group, _, version = raw["apiVersion"].rpartition("/")
    return KINDS[group, version, raw["kind"]]


def read(raw, **more):
    return read_workload(raw, kind_of(raw), DEFAULT_GPU_RESOURCES, **more)


def asks(raw):
    """Pods, and cores that they request."""
    workload = read(raw)
    assert workload.counted, workload.problems
    assert not workload.problems
    counted = texts(workload.demand)
    assert counted.pop(kind_of(raw).count_key) == "1"  # [K1]
    return int(counted.get("pods", 0)), counted.get("requests.cpu", "0")


def with_(raw, path, value):
    """A copy with the field at ``path`` set, or taken away where ``value`` is ``...``."""
    raw = copy.deepcopy(raw)
    *way, last = path.split(".")
    at = raw
    for name in way:
        at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return raw


def finished(*types):
    return [{"type": each, "status": "True"} for each in types]


@pytest.mark.parametrize(
    ("name", "pods", "cores"),
    [
        ("statefulset", 3, "6"),
        ("replicationcontroller", 2, "2"),
        ("cronjob", 0, "0"),
        ("rollout", 4, "4"),
        ("tfjob", 4, "14"),
        ("pytorchjob", 5, "9"),
        ("trainjob", 0, "0"),
        ("jobset", 7, "13"),
        ("leaderworkerset", 8, "50"),
        ("raycluster", 12, "37"),
        ("rayjob", 13, "37500m"),
        ("rayservice", 12, "37"),
        ("mpijob", 3, "9"),
        ("sparkapplication", 3, "5"),
        ("volcanojob", 3, "7"),
    ],
)
def test_every_pod_of_every_group_counts(name, pods, cores):  # [K1, A1]
    assert asks(manifest(name)) == (pods, cores)


@pytest.mark.parametrize(
    ("name", "path", "value", "pods"),
    [
        ("statefulset", "spec.replicas", ..., 1),
        ("statefulset", "spec.replicas", 0, 0),
        ("replicationcontroller", "spec.replicas", ..., 1),
        ("rollout", "spec.replicas", ..., 1),
        ("rollout", "spec.paused", True, 4),
        ("tfjob", "spec.tfReplicaSpecs.Worker.replicas", ..., 2),
        ("tfjob", "spec.tfReplicaSpecs.Worker.replicas", 0, 1),
        ("tfjob", "spec.tfReplicaSpecs", {}, 0),
        ("tfjob", "spec.tfReplicaSpecs", ..., 0),
        ("tfjob", "spec.runPolicy", ..., 4),
        ("tfjob", "spec.runPolicy.suspend", True, 0),
        ("tfjob", "spec.runPolicy.suspend", False, 4),
        ("tfjob", "status.conditions", finished("Created", "Running"), 4),
        ("tfjob", "status.conditions", finished("Created", "Succeeded"), 0),
        ("tfjob", "status.conditions", finished("Failed"), 0),
        ("tfjob", "status.conditions", [{"type": "Failed", "status": "False"}], 4),
        ("pytorchjob", "spec.pytorchReplicaSpecs.Worker.replicas", 1, 2),
        ("pytorchjob", "spec.runPolicy.suspend", True, 0),
        ("pytorchjob", "status.conditions", finished("Succeeded"), 0),
        ("jobset", "spec.suspend", True, 0),
        ("jobset", "spec.replicatedJobs.1.replicas", 1, 4),
        ("jobset", "spec.replicatedJobs.1.replicas", 0, 1),
        ("jobset", "spec.replicatedJobs.1.template.spec.completions", ..., 9),
        ("jobset", "spec.replicatedJobs.1.template.spec.parallelism", ..., 3),
        ("jobset", "spec.replicatedJobs", ..., 0),
        ("jobset", "status.conditions", finished("Completed"), 0),
        ("jobset", "status.conditions", finished("StartupPolicyCompleted"), 7),
        ("jobset", "status.conditions", finished("Failed"), 0),
        ("leaderworkerset", "spec.replicas", ..., 4),
        ("leaderworkerset", "spec.replicas", 0, 0),
        ("leaderworkerset", "spec.leaderWorkerTemplate.size", ..., 2),
        ("leaderworkerset", "spec.leaderWorkerTemplate.size", 1, 2),
        ("leaderworkerset", "spec.leaderWorkerTemplate.leaderTemplate", ..., 8),
        ("raycluster", "spec.suspend", True, 0),
        ("raycluster", "spec.workerGroupSpecs", ..., 1),
        ("raycluster", "spec.workerGroupSpecs.0.replicas", ..., 10),
        ("raycluster", "spec.workerGroupSpecs.0.replicas", 0, 10),
        ("raycluster", "spec.workerGroupSpecs.0.replicas", 99, 19),
        ("raycluster", "spec.workerGroupSpecs.0.minReplicas", 20, 29),
        ("raycluster", "spec.workerGroupSpecs.0.suspend", True, 9),
        ("raycluster", "spec.workerGroupSpecs.1.numOfHosts", ..., 6),
        ("rayjob", "spec.suspend", True, 0),
        ("rayjob", "spec.submissionMode", "HTTPMode", 12),
        ("rayjob", "spec.submissionMode", "K8sJobMode", 13),
        ("rayjob", "spec.rayClusterSpec", ..., 1),
        ("rayjob", "spec.submitterPodTemplate", {"spec": {"containers": [{"name": "s"}]}}, 13),
        ("rayjob", "status.jobDeploymentStatus", "Running", 13),
        ("rayjob", "status.jobDeploymentStatus", "Complete", 0),
        ("rayjob", "status.jobDeploymentStatus", "Failed", 0),
        ("rayservice", "spec.rayClusterConfig.workerGroupSpecs", [], 1),
        ("mpijob", "spec.mpiReplicaSpecs.Worker", ..., 1),
        ("mpijob", "spec.runPolicy.suspend", True, 0),
        ("mpijob", "status.conditions", finished("Succeeded"), 0),
        ("sparkapplication", "spec.executor.instances", ..., 2),
        ("sparkapplication", "spec.dynamicAllocation", {"enabled": True, "maxExecutors": 9}, 10),
        ("sparkapplication", "spec.dynamicAllocation", {"enabled": False}, 3),
        ("sparkapplication", "status.applicationState.state", "RUNNING", 3),
        ("sparkapplication", "status.applicationState.state", "COMPLETED", 0),
        ("volcanojob", "status.state.phase", "Completed", 0),
        ("volcanojob", "spec.tasks.1.replicas", 0, 1),
    ],
)
def test_what_else_an_object_may_say(name, path, value, pods):  # [A1, P5]
    assert asks(with_(manifest(name), path, value))[0] == pods


def test_a_ray_job_whose_cluster_lives_on_asks_for_it_still():  # [P5]
    done = with_(manifest("rayjob"), "status.jobDeploymentStatus", "Complete")
    assert asks(with_(done, "spec.shutdownAfterJobFinishes", ...))[0] == 13


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("statefulset", "spec.replicas", None),
        ("statefulset", "spec.replicas", "3"),
        ("rollout", "spec.replicas", 1.5),
        ("tfjob", "spec.tfReplicaSpecs.Worker.replicas", True),
        ("tfjob", "spec.tfReplicaSpecs", "many"),
        ("tfjob", "spec.runPolicy", "none"),
        ("tfjob", "spec.runPolicy.suspend", "yes"),
        ("leaderworkerset", "spec.leaderWorkerTemplate.size", 2**31),
        ("raycluster", "spec.workerGroupSpecs.0.numOfHosts", 2**31),
        ("raycluster", "spec.workerGroupSpecs.0.numOfHosts", {"a": 1}),
        ("sparkapplication", "spec.driver.memory", "a lot"),
        ("sparkapplication", "spec.driver.cores", -1),
        ("sparkapplication", "spec.driver.coreRequest", "many"),
        ("sparkapplication", "spec.dynamicAllocation", {"enabled": True}),
    ],
)
def test_what_cannot_be_told_is_not_counted_and_named(name, path, value):  # [A14]
    workload = read(with_(manifest(name), path, value))
    assert not workload.counted
    assert workload.problems
    assert all(len(str(each)) < 700 for each in workload.problems)


def test_a_reason_that_cannot_be_told_does_not_matter_where_another_holds():
    raw = with_(manifest("tfjob"), "spec.runPolicy.suspend", "yes")
    workload = read(raw)
    assert (workload.counted, texts(workload.demand)["pods"]) == (False, "4")
    assert asks(with_(raw, "status.conditions", finished("Failed"))) == (0, "0")


@pytest.mark.parametrize(
    "replicas",
    [
        "size(object.spec.?template.spec.containers.orValue([]))",
        "size(object.spec.template.spec.containers)",
        "has(object.spec.template.spec.containers) ? 1 : 7",
        "has(object.spec.template) && has(object.spec.template.spec) ? 1 : 7",
        "cel.bind(t, object.spec.template, has(t.spec) ? 1 : 7)",
        "cel.bind(s, object.spec, size(s.template.spec.containers))",
        'size(object["spec"]["template"].spec.containers)',
        "size(object.spec[?'template'].?spec.containers.orValue([]))",
        "object.?spec.orValue({}).template == {} ? 7 : 1",
        "[object].map(o, size(o.spec.template.spec.containers))[0]",
    ],
)
def test_an_expression_may_look_into_a_template_in_whatever_way(replicas):
    kind, raw = widget(f"[{{template: spec.template, replicas: {replicas!r}}}]")
    assert texts(read_workload(raw, kind, DEFAULT_GPU_RESOURCES).demand)["pods"] == "1"


@pytest.mark.parametrize(
    "replicas",
    [
        "size(item.template.spec.containers)",
        "cel.bind(i, item, size(i.template.spec.containers))",
        "size(object.spec.groups.map(name, object.spec.groups[name].template.spec.containers))",
        "object.spec.groups.all(name, has(object.spec.groups[name].template.spec)) ? 1 : 7",
    ],
)
def test_so_may_one_of_an_item(replicas):
    kind, raw = widget(f"[{{each: spec.groups, template: template, replicas: {replicas!r}}}]")
    assert texts(read_workload(raw, kind, DEFAULT_GPU_RESOURCES).demand)["pods"] == "1"


def test_what_no_expression_looks_into_is_not_translated_for_them():
    """It takes most of the time."""
    unseen = {
        kind.kind: len(kind.unseen) for kind in KINDS.values() if kind.pod_groups and kind.kind != "SparkApplication"
    }
    assert all(unseen.values()), unseen


def widget(groups):
    """A kind with these groups of pods, and an object whose templates have one container."""
    text = "kinds: [{group: example.com, version: v1, resource: widgets, kind: Widget, podGroups: " + groups + "}]"
    template = manifest("statefulset")["spec"]["template"]
    spec = {"template": template, "groups": {"a": {"template": template}}}
    return read_kinds(text, "f")[0], {"metadata": {"uid": "u", "name": "w"}, "spec": spec}


def test_a_group_without_a_template_has_no_pods():
    assert asks(with_(manifest("tfjob"), "spec.tfReplicaSpecs.Worker", "many"))[0] == 1


@pytest.mark.parametrize(("groups", "counted"), [(1000, True), (1001, False)])
@pytest.mark.parametrize(
    ("name", "path"), [("tfjob", "spec.tfReplicaSpecs"), ("raycluster", "spec.workerGroupSpecs")], ids=["map", "list"]
)
def test_more_groups_than_can_be_read_in_time_are_not_counted(name, path, groups, counted):  # [A14]
    """One process reads for all: an object of 75,000 groups would hold up everybody's requests for seconds."""
    items = [{"replicas": 1, "template": {}} for _ in range(groups)]
    value = {f"g{index}": item for index, item in enumerate(items)} if name == "tfjob" else items
    workload = read(with_(manifest(name), path, value))
    assert workload.counted == counted
    if not counted:
        assert list(map(str, workload.problems)) == [f"{path}: has 1001 groups of pods, and at most 1000 are counted"]


def test_the_conditions_of_an_object_are_looked_through_once_whatever_its_groups(monkeypatch):
    looks = []

    def true_ones(raw):
        looks.append(raw)
        return []

    monkeypatch.setattr(expression, "_true", true_ones)
    read(with_(manifest("tfjob"), "spec.tfReplicaSpecs", {f"g{index}": {"template": {}} for index in range(9)}))
    assert len(looks) == 1


def test_the_memory_of_spark_has_its_overhead():
    assert texts(read(manifest("sparkapplication")).demand)["requests.memory"] == f"{512 + 384 + 2 * (8192 + 819)}Mi"
    assert texts(read(manifest("sparkapplication")).demand)["limits.cpu"] == "6"


# --- children ---


@pytest.mark.parametrize(
    ("name", "path"), [("cronjob", "spec.jobTemplate.metadata.labels"), ("trainjob", "spec.labels")]
)
def test_kinds_whose_children_count_say_which_bizrq_these_name(name, path):  # [A8]
    raw = manifest(name)
    assert child_label(raw, kind_of(raw)) == "team"
    for value in ({}, {"biz.group.resource.quota": 3}, None, "odd", ...):
        assert child_label(with_(raw, path, value), kind_of(raw)) == ""


# --- a template elsewhere ---

WEB = TemplateRef("apps", "v1", "deployments", "Deployment", "web")


def test_a_rollout_by_reference_asks_for_the_template_of_its_deployment():
    raw = manifest("rollout-by-reference")
    deployment = {"spec": {"template": manifest("rollout")["spec"]["template"]}}
    workload = read(raw, referred={WEB: deployment})
    assert (workload.counted, workload.needs) == (True, (WEB,))
    assert texts(workload.demand)["requests.cpu"] == "4"


def test_without_that_deployment_it_is_not_counted_and_says_what_it_needs():  # [A14]
    for referred in (None, {}, {WEB: {"spec": None}}):
        workload = read(manifest("rollout-by-reference"), referred=referred)
        assert (workload.counted, workload.needs) == (False, (WEB,))
        (problem,) = workload.problems
        assert str(problem) == "spec.workloadRef: the template of Deployment web is not known"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}, "must refer to a Deployment of apps"),
        ({"apiVersion": "v1", "kind": "PodTemplate", "name": "web"}, "must refer to a Deployment of apps"),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, "must name an object"),
        ("web", "must name an object"),
    ],
)
def test_a_rollout_that_refers_to_anything_else_is_not_counted(reference, why):  # [A14]
    workload = read(with_(manifest("rollout-by-reference"), "spec.workloadRef", reference))
    assert not workload.counted
    assert why in str(workload.problems[0])


@pytest.mark.parametrize("template", [{}, {"spec": {"containers": []}}, {"spec": {"containers": [{"name": "tiny"}]}}])
def test_a_reference_comes_before_a_template_of_its_own(template):
    """Argo Rollouts goes by it where the template has no labels and annotations, and else makes no pods at all."""
    raw = with_(manifest("rollout-by-reference"), "spec.template", template)
    assert not read(raw).counted
    deployment = {"spec": {"template": manifest("rollout")["spec"]["template"]}}
    assert texts(read(raw, referred={WEB: deployment}).demand)["requests.cpu"] == "4"


# --- a pod is its own template ---


def test_a_kind_may_be_its_own_template():
    (kind,) = read_kinds(
        """
        kinds:
          - group: ""
            version: v1
            resource: pods
            kind: Pod
            podGroups: [{template: ., replicas: "1"}]
            nothingWhen: ["object.?status.phase.orValue('') in ['Succeeded', 'Failed']"]
        """,
        "pods.yaml",
    )
    raw = {"metadata": {"uid": "u", "name": "p"}, "spec": manifest("statefulset")["spec"]["template"]["spec"]}
    assert texts(read_workload(raw, kind, DEFAULT_GPU_RESOURCES).demand)["requests.cpu"] == "2"
    over = {**raw, "status": {"phase": "Failed"}}
    assert texts(read_workload(over, kind, DEFAULT_GPU_RESOURCES).demand) == {"count/pods": "1"}


# --- what has been seen [P5] ---


@pytest.mark.parametrize("observed", [3, "3"])
def test_an_observed_generation_may_be_a_number_or_its_text(observed):
    """Argo Rollouts write a text."""
    raw = manifest("rollout", generation=3)
    assert read(with_(raw, "status.observedGeneration", observed)).settled
    assert not read(with_(raw, "status.observedGeneration", type(observed)(2))).settled
    assert not read(raw).settled


@pytest.mark.parametrize("observed", ["9" * 5000, "-1", "", "\u0663", 1.5, None, [3]])
def test_an_observed_generation_that_is_none_keeps_nothing_from_being_counted(observed):
    """Whoever may write the status may write anything: the object must not become one that nobody can read."""
    workload = read(with_(manifest("rollout", generation=3), "status.observedGeneration", observed))
    assert (workload.settled, workload.counted, texts(workload.demand)["requests.cpu"]) == (False, True, "4")


# --- what a rollout may make besides ---


@pytest.mark.parametrize(("stated", "surge"), [(..., 0), (3, 3), ("200%", 10)])
def test_the_surge_of_a_rollout_is_that_of_its_canary(stated, surge):
    """[A8]"""
    raw = with_(manifest("rollout"), "spec.replicas", 5)
    raw = with_(raw, "spec.strategy", {"canary": {}})
    assert read(raw if stated is ... else with_(raw, "spec.strategy.canary.maxSurge", stated)).surge == surge


def test_a_kind_that_does_not_say_where_it_states_a_surge_has_none():
    """[A8] whatever stands where others have it."""
    raw = with_(manifest("statefulset"), "spec.strategy", {"rollingUpdate": {"maxSurge": 9}})
    assert read(raw).surge == 0


def test_what_lacks_only_a_template_is_counted_once_that_is_known():
    """[P3] with the RuntimeClass of that template."""
    unlent = read(manifest("rollout-by-reference"))
    (borrowed,) = unlent.borrowed
    assert (borrowed.ref, borrowed.template, borrowed.replicas) == (WEB, ("spec", "template"), 4)
    (group,) = read(manifest("rollout")).groups
    lent = unlent.lent(lambda _: replace(group, replicas=99, runtime_class="kata"), DEFAULT_GPU_RESOURCES)
    assert (lent.counted, lent.problems, lent.borrowed, lent.runtime_classes) == (True, (), (), {"kata"})
    assert texts(lent.demand)["requests.cpu"] == "4"
    assert unlent.lent(lambda _: None, DEFAULT_GPU_RESOURCES) is unlent


def test_no_pods_need_no_template():
    workload = read(with_(manifest("rollout-by-reference"), "spec.replicas", 0))
    assert (workload.counted, workload.needs, texts(workload.demand)) == (
        True, (WEB,), {"count/rollouts.argoproj.io": "1"},
    )  # fmt: skip


def test_what_lacks_more_than_a_template_is_not_counted_with_one():
    """[A14]"""
    workload = read(with_(manifest("rollout-by-reference"), "spec.replicas", "many"))
    assert (workload.counted, workload.borrowed) == (False, ())
