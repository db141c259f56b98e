"""[A14] reading a pod spec: what is broken is named by its path, and nothing raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from bizrq.domain.pod_resources import Container, PodResources
from bizrq.domain.pod_template import read_overhead, read_pod_spec
from tests.support.build import container, pod_spec, texts
from tests.support.strategies import json_values


def test_everything_that_counts_is_read() -> None:
    """[P1-P3]."""
    spec = pod_spec(
        container("a", requests={"cpu": 1, "memory": "1Gi"}, limits={"cpu": "1500m"}),
        init=[container("s", requests={"cpu": "2"}, sidecar=True), container("i")],
        requests={"cpu": "3"},
        limits={"memory": "4Gi"},
        overhead={"cpu": "250m"},
    )
    pod, problems = read_pod_spec(spec)
    assert problems == []
    (app,) = pod.containers
    assert (app.name, texts(app.requests), texts(app.limits)) == ("a", {"cpu": "1", "memory": "1Gi"}, {"cpu": "1500m"})
    assert [(each.name, each.sidecar, texts(each.requests)) for each in pod.init_containers] == [
        ("s", True, {"cpu": "2"}),
        ("i", False, {}),
    ]
    assert (texts(pod.requests), texts(pod.limits), texts(pod.overhead)) == (
        {"cpu": "3"},
        {"memory": "4Gi"},
        {"cpu": "250m"},
    )


@pytest.mark.parametrize(
    ("amount", "why"),
    [
        pytest.param("abc", "'abc' is not a quantity", id="a text that is none"),
        pytest.param(1.5, "1.5 is not a quantity: a number with a fraction", id="a number with a fraction"),
        pytest.param(None, "null is not a quantity", id="null"),
        pytest.param(True, "true is not a quantity", id="true"),
        pytest.param({}, "an object is not a quantity", id="an object"),
        pytest.param("-1", "must be at least 0, not -1", id="negative"),
        pytest.param(-1, "must be at least 0, not -1", id="a negative number"),
        pytest.param("-1n", "must be at least 0, not -1n", id="the least below 0"),
        pytest.param("1e1000000", "an exponent has at most two digits", id="a costly exponent"),
        pytest.param("1" * 33, "longer than 32 characters", id="33 characters"),
    ],
)
@pytest.mark.parametrize(
    ("spec", "path"),
    [
        pytest.param(lambda x: pod_spec(container(requests=x)), "containers[0].resources.requests", id="requests"),
        pytest.param(
            lambda x: pod_spec(container(), container(limits=x)), "containers[1].resources.limits", id="limits"
        ),
        pytest.param(lambda x: pod_spec(init=[container(limits=x)]), "initContainers[0].resources.limits", id="init"),
        pytest.param(lambda x: pod_spec(requests=x), "resources.requests", id="requests of the pod"),
        pytest.param(lambda x: pod_spec(limits=x), "resources.limits", id="limits of the pod"),
        pytest.param(lambda x: pod_spec(overhead=x), "overhead", id="overhead"),
    ],
)
def test_an_amount_that_is_no_quantity_is_named_by_its_path_and_left_out(
    spec: Any, path: str, amount: object, why: str
) -> None:
    """[A14] and what stands beside it is read."""
    where = "spec.tfReplicaSpecs.Worker.template.spec"
    pod, problems = read_pod_spec(spec({"nvidia.com/gpu": amount, "cpu": "2"}), where)
    assert [problem.path for problem in problems] == [f"{where}.{path}.nvidia.com/gpu"]
    assert why in problems[0].why
    assert str(problems[0]) == f"{problems[0].path}: {problems[0].why}"
    lists = [pod.requests, pod.limits, pod.overhead]
    for each in (*pod.containers, *pod.init_containers):
        lists += [each.requests, each.limits]
    assert [texts(each) for each in lists if each] == [{"cpu": "2"}]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param([], "spec: must be an object", id="a spec that is a list"),
        pytest.param("x", "spec: must be an object", id="a spec that is a text"),
        pytest.param({"containers": {}}, "spec.containers: must be a list of containers", id="containers: an object"),
        pytest.param({"containers": ["x"]}, "spec.containers[0]: must be an object", id="a container that is a text"),
        pytest.param(
            {"containers": [{"resources": [1]}]},
            "spec.containers[0].resources: must be an object",
            id="resources: a list",
        ),
        pytest.param(
            {"containers": [{"resources": {"limits": "x"}}]},
            "spec.containers[0].resources.limits: must be an object",
            id="limits: a text",
        ),
        pytest.param({"overhead": 1}, "spec.overhead: must be an object", id="overhead: a number"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_by_its_path(spec: object, problem: str) -> None:
    """[A14]."""
    assert [str(each) for each in read_pod_spec(spec)[1]] == [problem]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(None, id="no spec"),
        pytest.param({}, id="an empty spec"),
        pytest.param({"containers": None, "initContainers": None, "resources": None, "overhead": None}, id="nulls"),
        pytest.param({"containers": []}, id="no containers"),
    ],
)
def test_what_is_absent_or_null_is_no_problem(spec: object) -> None:
    assert read_pod_spec(spec) == (PodResources(containers=[], init_containers=[]), [])


def test_a_container_without_a_name_is_named_by_its_place() -> None:
    pod, _ = read_pod_spec({"containers": [{}, {"name": "b"}]})
    assert pod.containers == [Container("0"), Container("b")]


@given(json_values())
def test_nothing_that_json_can_say_raises(value: object) -> None:
    """[A14] templates of custom resources are hardly checked by the API server."""
    for spec in (
        value,
        {"containers": value, "initContainers": value, "resources": value, "overhead": value},
        {"containers": [{"name": value, "resources": {"requests": value, "limits": {"cpu": value}}}]},
    ):
        pod, problems = read_pod_spec(spec)
        assert isinstance(pod, PodResources)
        assert all(problem.path.startswith("spec") for problem in problems)


# --- RuntimeClasses [P3] ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [
        pytest.param("kata-qemu.v2", "kata-qemu.v2", id="a name"),
        pytest.param(None, "", id="null"),
        pytest.param("", "", id="empty"),
        pytest.param(7, "", id="a number"),
        pytest.param({"a": 1}, "", id="an object"),
        pytest.param("..", "", id="dots, which would lead elsewhere in a URL"),
        pytest.param("a" * 254, "", id="too long"),
        pytest.param("Kata", "", id="capitals"),
    ],
)
def test_the_runtime_class_of_a_pod_is_one_that_can_exist_or_none(value, name):
    pod, problems = read_pod_spec({"containers": [], "runtimeClassName": value})
    assert (pod.runtime_class, problems) == (name, [])


def test_the_overhead_of_a_runtime_class_is_read_as_amounts_are():
    assert texts(read_overhead({"podFixed": {"cpu": "0.1234", "memory": "64Mi"}})) == {"cpu": "124m", "memory": "64Mi"}
    assert [read_overhead(each) for each in (None, {}, {"podFixed": None}, "x", {"podFixed": {"cpu": "x"}})] == [{}] * 5
