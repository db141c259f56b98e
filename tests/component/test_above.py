"""[P3, A15] the metrics of pods that hold more than their template: right, quiet during rollouts, gone with a bizrq."""

import pytest

from bizrq.controller.above import above, show_above
from tests.support.build import NOW, amounts, container, metadata, pod, pod_spec, runtime_class, texts, workload
from tests.support.build import bizrq as made
from tests.support.cas_store import CasStore
from tests.support.controller import started

CPU = "limits.cpu"


@pytest.fixture
def controller(clock):
    store = CasStore()
    store.put(made("team", hard={CPU: "10", "requests.cpu": "10", "limits.cpu.A4": "10"}))
    return started(store, clock)


def cores(amount, *more, **fields):
    """The spec of a pod or a template of one container, and ``more`` containers."""
    return {**pod_spec(container(limits={"cpu": amount}), *more), **fields}


def web(controller, amount, version, **fields):
    """The Deployment says this now."""
    controller.workload(workload("web", template=cores(amount), version=version, **fields))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
    for revision in ("old", "new"):
        controller.replica_set({"metadata": metadata(f"web-{revision}", controller=owner)})


def holds(controller, name, spec, *, revision="new", version=60, **fields):
    """A pod of the Deployment says this now."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"web-{revision}", "uid": f"uid-web-{revision}"}
    raw = pod(name, spec=spec, node="n1", scheduled=NOW, version=version, controller=owner,
              **{"phase": "Running", **fields})  # fmt: skip
    controller.pod(raw)
    return raw


def found(controller):
    """Pods above their template, and how much more they hold."""
    result = above(controller.inventory.bizrqs.get("team"), controller.inventory, controller.inventory.gpus)
    return result.pods, texts(result.amounts)


def test_pods_that_hold_what_their_template_says_are_not_counted(controller):
    web(controller, "1", 1)
    for name in ("a", "b"):
        holds(controller, name, cores("1"))
    assert found(controller) == (0, {})


def test_an_injected_container_and_a_resize_are_counted_on_limited_keys(controller):
    """[A15] memory is not limited here: nobody asks for it."""
    web(controller, "1", 1)
    holds(controller, "plain", cores("1"))
    holds(controller, "meshed", cores("1", container("proxy", requests={"cpu": "100m", "memory": "1Gi"})))
    holds(controller, "resized", cores("1"))
    assert found(controller) == (1, {"requests.cpu": "100m"})
    holds(controller, "resized", cores("3"), version=61)
    assert found(controller) == (2, {"requests.cpu": "2100m", CPU: "2"})
    holds(controller, "resized", cores("1"), version=62)
    assert found(controller) == (1, {"requests.cpu": "100m"}), "what it holds now counts, not what it once held"


def test_a_default_for_containers_that_state_nothing_is_counted(controller):
    """A LimitRange fills in what the template leaves out."""
    controller.workload(workload("job", kind="Job", template=pod_spec(container())))
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "uid-job"}
    controller.pod(pod("job-1", spec=cores("500m"), phase="Running", node="n1", version=60, controller=owner))
    assert found(controller) == (1, {"requests.cpu": "500m", CPU: "500m"})


def test_models_are_told_as_well(controller):
    """[K2]."""
    web(controller, "1", 1, cpu_type="A4")
    holds(controller, "a", cores("2"))
    assert found(controller) == (1, {"requests.cpu": "1", CPU: "1", "limits.cpu.A4": "1"})


@pytest.mark.parametrize("end", ["succeeded", "deleted"])
def test_a_pod_that_has_ended_holds_nothing(controller, end):
    web(controller, "1", 1)
    raw = holds(controller, "a", cores("2"))
    if end == "deleted":
        controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": "70"}})
    else:
        holds(controller, "a", cores("2"), version=70, phase="Succeeded", finished=[NOW])
    assert found(controller) == (0, {})


def test_pods_without_a_workload_have_no_template_to_be_above_of(controller):
    web(controller, "1", 1)
    holds(controller, "a", cores("2"))
    controller.workload_deleted(workload("web"), 90)
    assert found(controller) == (0, {})


def test_a_rollout_to_less_is_no_news_until_it_ends_and_hides_nothing_after_it(controller):
    web(controller, "4", 1)
    old = [holds(controller, name, cores("4"), revision="old") for name in ("a", "b")]
    web(controller, "2", 2)
    holds(controller, "c", cores("2"))
    assert found(controller) == (0, {}), "old pods are what their template said"
    holds(controller, "d", cores("5"))
    assert found(controller) == (1, {"requests.cpu": "1", CPU: "1"}), "this one is above both"
    holds(controller, "d", cores("2"), version=61)
    for raw in old:
        controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": "70"}})
    assert found(controller) == (0, {})
    holds(controller, "c", cores("4"), version=71)
    assert found(controller) == (1, {"requests.cpu": "2", CPU: "2"}), "the old template is forgotten"


def test_a_rollout_to_more_is_no_news(controller):
    web(controller, "1", 1)
    holds(controller, "a", cores("1"), revision="old")
    web(controller, "2", 2)
    holds(controller, "b", cores("2"))
    assert found(controller) == (0, {})


def test_scaling_and_a_changed_status_replace_no_template(controller):
    web(controller, "1", 1)
    web(controller, "1", 2, replicas=5, status={"replicas": 1})
    assert not controller.inventory.reach.remembers("uid-web")


def test_overhead_of_the_runtime_class_is_part_of_the_template(controller):
    """[P3] and pods made before it was lowered are what it said then."""
    controller.inventory.runtime_classes.put(runtime_class("kata", "250m", version=1))
    spec = cores("1", runtimeClassName="kata")
    controller.workload(workload("job", kind="Job", template=spec))
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "uid-job"}
    raw = pod("job-1", spec={**spec, "overhead": {"cpu": "250m"}}, phase="Running", node="n1", version=60,
              controller=owner)  # fmt: skip
    controller.pod(raw)
    assert found(controller) == (0, {})
    controller.inventory.runtime_classes.put(runtime_class("kata", "100m", version=2))
    assert found(controller) == (0, {})


def test_a_pod_is_compared_with_the_largest_template_of_several(controller):
    """A TFJob: which template a pod is of, its owner does not say."""
    from bizrq.domain.demand import PodGroup
    from bizrq.domain.pod_resources import Held

    web(controller, "1", 1)
    known = controller.inventory.workloads.get("uid-web")
    one, three = (Held(amounts({"cpu": each}), amounts({"cpu": each})) for each in ("1", "3"))
    object.__setattr__(known, "groups", (PodGroup(1, one), PodGroup(2, three)))
    holds(controller, "worker", cores("3"))
    assert found(controller) == (0, {})
    holds(controller, "worker", cores("4"), version=61)
    assert found(controller) == (1, {"requests.cpu": "1", CPU: "1"})


async def test_the_series_of_a_bizrq_go_away_with_it(controller):
    def series(name):
        controller.show()
        return {
            tuple(sample.labels.values()): sample.value
            for family in controller.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name
        }

    web(controller, "1", 1)
    holds(controller, "a", cores("2500m"))
    await show_above(controller.inventory, controller.metrics)
    assert series("bizrq_pods_above_template") == {("team",): 1}
    assert series("bizrq_pods_above_template_amount") == {("team", CPU): 1.5, ("team", "requests.cpu"): 1.5}
    holds(controller, "a", cores("1"), version=61)
    await show_above(controller.inventory, controller.metrics)
    assert series("bizrq_pods_above_template") == {("team",): 0}
    assert series("bizrq_pods_above_template_amount") == {}
    controller.inventory.remove_bizrq(controller.store.raw("team")["metadata"]["uid"], "team", 900)
    await show_above(controller.inventory, controller.metrics)
    assert series("bizrq_pods_above_template") == {}
