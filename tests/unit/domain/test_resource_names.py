"""[K1-K5] keys: which exist, which are charged, which are refused and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from bizrq.domain.resource_names import (
    DEFAULT_GPU_RESOURCES,
    NO_MODELS,
    GpuResources,
    Models,
    cash_base,
    count_key,
    is_cash,
    key_problem,
    keys_of_limit,
    keys_of_request,
)
from tests.support.strategies import MODELS, key_like_texts

EVERY_MODEL = Models(cpu="A4", gpu="A30", memory="M1")

# --- what a workload is charged on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "keys"),
    [
        pytest.param("cpu", {"cpu", "requests.cpu"}, id="a cpu request"),
        pytest.param("memory", {"memory", "requests.memory"}, id="a memory request"),
        pytest.param(
            "ephemeral-storage", {"ephemeral-storage", "requests.ephemeral-storage"}, id="an ephemeral-storage request"
        ),
        pytest.param("hugepages-2Mi", {"hugepages-2Mi", "requests.hugepages-2Mi"}, id="a hugepages request"),
        pytest.param("nvidia.com/gpu", {"requests.nvidia.com/gpu"}, id="an extended resource: behind requests. only"),
        pytest.param("example.com/fpga", {"requests.example.com/fpga"}, id="an extended resource that is no GPU"),
        pytest.param(
            "kubernetes.io.example.com/nic",
            {"requests.kubernetes.io.example.com/nic"},
            id="a domain that only begins like Kubernetes' own",
        ),
        pytest.param("kubernetes.io/batch", set(), id="Kubernetes' own domain is not counted"),
        pytest.param("x.kubernetes.io/batch", set(), id="nor what is below it"),
        pytest.param("requests.nvidia.com/gpu", set(), id="nor a domain that begins with requests."),
        pytest.param("storage", set(), id="nor a name without a domain"),
        pytest.param("pods", set(), id="nor pods, which are counted by replicas"),
        pytest.param("/gpu", set(), id="nor an empty domain"),
        pytest.param("nvidia.com/", set(), id="nor an empty name"),
    ],
)
def test_keys_of_a_request(resource: str, keys: set[str]) -> None:  # [K1]
    assert set(keys_of_request(resource, NO_MODELS, DEFAULT_GPU_RESOURCES)) == keys


@pytest.mark.parametrize(
    ("resource", "keys"),
    [
        pytest.param("cpu", {"limits.cpu"}, id="a cpu limit"),
        pytest.param("memory", {"limits.memory"}, id="a memory limit"),
        pytest.param("ephemeral-storage", {"limits.ephemeral-storage"}, id="an ephemeral-storage limit"),
        pytest.param("hugepages-2Mi", set(), id="hugepages are counted by their requests"),
        pytest.param("nvidia.com/gpu", set(), id="extended resources too"),
    ],
)
def test_keys_of_a_limit(resource: str, keys: set[str]) -> None:  # [K1]
    assert set(keys_of_limit(resource, NO_MODELS)) == keys


@pytest.mark.parametrize(
    ("resource", "more"),
    [
        pytest.param("cpu", {"cpu.A4", "requests.cpu.A4"}, id="cpu-type: the cpu keys"),
        pytest.param("memory", {"memory.M1", "requests.memory.M1"}, id="memory-type: the memory keys"),
        pytest.param("nvidia.com/gpu", {"requests.nvidia.com/gpu.A30"}, id="gpu-type: GPUs"),
        pytest.param("amd.com/gpu", {"requests.amd.com/gpu.A30"}, id="gpu-type: GPUs of any domain"),
        pytest.param(
            "nvidia.com/mig-1g.5gb", {"requests.nvidia.com/mig-1g.5gb.A30"}, id="gpu-type: slices, dots of their own"
        ),
        pytest.param("example.com/fpga", set(), id="other extended resources have no model"),
        pytest.param("gpu.example.com/card", set(), id="the domain does not make a GPU"),
        pytest.param("nvidia.com/gpu.A30", set(), id="a resource that only looks like a key with a model is no GPU"),
        pytest.param("ephemeral-storage", set(), id="storage has no model"),
        pytest.param("hugepages-2Mi", set(), id="hugepages have no model"),
    ],
)
def test_a_model_adds_the_same_keys_once_more(resource: str, more: set[str]) -> None:  # [K2]
    plain = keys_of_request(resource, NO_MODELS, DEFAULT_GPU_RESOURCES)
    assert set(keys_of_request(resource, EVERY_MODEL, DEFAULT_GPU_RESOURCES)) == {*plain, *more}


@pytest.mark.parametrize(
    ("resource", "keys"),
    [
        pytest.param("cpu", {"limits.cpu", "limits.cpu.A4"}, id="cpu-type"),
        pytest.param("memory", {"limits.memory", "limits.memory.M1"}, id="memory-type"),
        pytest.param("ephemeral-storage", {"limits.ephemeral-storage"}, id="storage has none"),
    ],
)
def test_models_of_limits(resource: str, keys: set[str]) -> None:  # [K2]
    assert set(keys_of_limit(resource, EVERY_MODEL)) == keys


def test_an_empty_model_counts_as_none() -> None:  # [K2]
    assert keys_of_request("cpu", Models(cpu=""), DEFAULT_GPU_RESOURCES) == ("cpu", "requests.cpu")
    assert keys_of_limit("memory", Models(memory="")) == ("limits.memory",)


@pytest.mark.parametrize(
    ("patterns", "resource", "is_gpu"),
    [
        pytest.param(("gpu", "mig-*"), "nvidia.com/gpu", True, id="the default names"),
        pytest.param(("gpu", "mig-*"), "nvidia.com/mig-3g.20gb", True, id="the default slices"),
        pytest.param(("gpu", "mig-*"), "nvidia.com/gpu-shared", False, id="a name must match whole"),
        pytest.param(("gpu", "mig-*"), "gpu", False, id="a resource without a domain is none"),
        pytest.param(("dcu",), "hygon.com/dcu", True, id="another name of any domain"),
        pytest.param(("dcu",), "nvidia.com/gpu", False, id="the given names replace the default"),
        pytest.param(("hygon.com/dcu*",), "hygon.com/dcu-half", True, id="a name of one domain"),
        pytest.param(("hygon.com/dcu*",), "example.com/dcu", False, id="and of no other"),
        pytest.param((), "nvidia.com/gpu", False, id="no names at all"),
    ],
)
def test_which_resources_are_gpus(patterns: tuple[str, ...], resource: str, is_gpu: bool) -> None:  # noqa: FBT001  # [K2]
    assert (resource in GpuResources(patterns)) is is_gpu


def test_keys_that_count_workloads() -> None:  # [K1]
    assert count_key("deployments", "apps") == "count/deployments.apps"
    assert count_key("tfjobs", "kubeflow.org") == "count/tfjobs.kubeflow.org"
    assert count_key("pods", "") == "count/pods"


def test_cash_keys() -> None:  # [K3]
    assert is_cash("cash/limits.cpu")
    assert not is_cash("limits.cpu")
    assert cash_base("cash/requests.nvidia.com/gpu.A30") == "requests.nvidia.com/gpu.A30"


# --- what may stand in hard ------------------------------------------------------------------------------------------

ACCEPTED = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "hugepages-2Mi",
    "hugepages-1Gi",
    "hugepages-64Ki",
    "requests.hugepages-2Mi",
    "requests.nvidia.com/gpu",
    "requests.amd.com/gpu",
    "requests.nvidia.com/mig-1g.5gb",
    "requests.example.com/fpga",
    "requests.a/b",
    "requests.kubernetes.io.example.com/nic",
    "pods",
    "count/pods",
    "count/replicationcontrollers",
    "count/deployments.apps",
    "count/jobs.batch",
    "count/rollouts.argoproj.io",
    "count/tfjobs.kubeflow.org",
    "count/my-things.example.com",
    "cpu.A4",
    "memory.A4",
    "requests.cpu.A4",
    "requests.memory.A4",
    "limits.cpu.A4",
    "limits.memory.A4",
    "limits.cpu.Xeon-6338_v3.1",
    "requests.nvidia.com/gpu.A30",
    "requests.nvidia.com/mig-1g.5gb.A30",
    "cash/cpu",
    "cash/limits.cpu",
    "cash/requests.memory",
    "cash/limits.cpu.A4",
    "cash/limits.ephemeral-storage",
    "cash/hugepages-2Mi",
    "cash/requests.nvidia.com/gpu",
    "cash/requests.nvidia.com/gpu.A30",
    "cash/requests.nvidia.com/mig-1g.5gb.A30",
]


@pytest.mark.parametrize("key", ACCEPTED)
def test_keys_that_can_be_measured_are_accepted(key: str) -> None:  # [K1, K2, K3]
    assert key_problem(key) is None


REFUSED = {
    # key: what was probably meant
    "nvidia.com/gpu": "requests.nvidia.com/gpu",
    "limits.nvidia.com/gpu": "requests.nvidia.com/gpu",
    "nvidia.com/gpu.A30": "requests.nvidia.com/gpu.A30",
    "replicas": "pods",
    "replica": "pods",
    "pod": "pods",
    "requests.pods": "pods",
    "limits.pods": "pods",
    "gpu": "requests.nvidia.com/gpu",
    "gpus": "requests.nvidia.com/gpu",
    "requests.gpu": "requests.nvidia.com/gpu",
    "limits.gpu": "requests.nvidia.com/gpu",
    "gpu.A30": "requests.nvidia.com/gpu.A30",
    "limits.hugepages-2Mi": "requests.hugepages-2Mi",
    "CPU": "cpu",
    "limits.CPU": "limits.cpu",
    "limit.cpu": "limits.cpu",
    "request.memory": "requests.memory",
    "requests.mem": "requests.memory",
    "cpu ": "cpu",
    "limits.cpu.": "limits.cpu",
    "ephemeral-storage.A4": "ephemeral-storage",
    "limits.ephemeral-storage.A4": "limits.ephemeral-storage",
    "cash/nvidia.com/gpu": "cash/requests.nvidia.com/gpu",
    "cash/limits.nvidia.com/gpu": "cash/requests.nvidia.com/gpu",
    "cash/gpu": "cash/requests.nvidia.com/gpu",
    "cash/CPU": "cash/cpu",
    "cash/limits.hugepages-2Mi": "cash/requests.hugepages-2Mi",
}


@pytest.mark.parametrize(("key", "meant"), REFUSED.items())
def test_a_key_that_could_never_be_measured_is_refused_with_the_one_that_was_meant(key: str, meant: str) -> None:
    """[K4]."""
    problem = key_problem(key)
    assert problem is not None
    assert problem.meant == meant
    assert str(problem).startswith(f"{key}: ")
    assert str(problem).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="nothing"),
        pytest.param("services", id="an object that is no workload"),
        pytest.param("persistentvolumeclaims", id="storage of claims"),
        pytest.param("requests.kubernetes.io/batch", id="Kubernetes' own domain is never counted"),
        pytest.param("requests.requests.nvidia.com/gpu", id="requests. twice: such a resource is never counted"),
        pytest.param("requests.nvidia.com/", id="no name"),
        pytest.param("requests./gpu", id="no domain"),
        pytest.param("requests.nvidia.com/a/b", id="two slashes"),
        pytest.param("requests.NVIDIA.com/gpu", id="a domain in capitals"),
        pytest.param("requests/cpu", id="a slash for a dot"),
        pytest.param("hugepages-", id="no size"),
        pytest.param("hugepages-0Mi", id="a page of no size"),
        pytest.param("hugepages-2M", id="a size that no node has"),
        pytest.param("hugepages-2Mi.A4", id="hugepages have no model"),
        pytest.param("pods.A4", id="pods have no model"),
        pytest.param("limits.cpu.-A4", id="a model that can be no label value"),
        pytest.param("limits.cpu." + "a" * 64, id="a model longer than a label value"),
        pytest.param("limits.cpu.A4\n", id="a line's end"),
        pytest.param("count/", id="nothing is counted"),
        pytest.param("count/deployments", id="a count without its group"),
        pytest.param("count/services", id="a core kind without pods"),
        pytest.param("count/Deployments.apps", id="a count in capitals"),
        pytest.param("count/deployments..apps", id="two dots"),
        pytest.param("cash/", id="a budget of nothing"),
        pytest.param("cash/pods", id="pods have no hours"),
        pytest.param("cash/count/pods", id="counts have no hours"),
        pytest.param("cash/cash/limits.cpu", id="hours of hours"),
        pytest.param("cash/replicas", id="hours of replicas"),
        pytest.param("requests.example.com/" + "x" * 400, id="longer than any key"),
    ],
)
def test_keys_that_are_refused_without_a_guess_being_right(key: str) -> None:  # [K4]
    problem = key_problem(key)
    assert problem is not None
    assert problem.why
    assert len(str(problem)) < 400


@given(key_like_texts())
@example("requests./gpu")
@example("hugepages-2MiB")
@example("requests/cpu")
@example("limits.cpu.a/b")
def test_what_was_probably_meant_is_always_a_key_that_is_accepted(key: str) -> None:  # [K4]
    problem = key_problem(key)
    if problem is not None and problem.meant is not None:
        assert key_problem(problem.meant) is None


@given(
    resource=st.sampled_from(
        ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "a.b/c"]
    ),
    models=st.builds(Models, cpu=MODELS, gpu=MODELS, memory=MODELS),
)
def test_every_key_that_is_charged_may_stand_in_hard_and_have_a_budget(resource: str, models: Models) -> None:
    """[K1-K3] a workload is charged on no key that nobody can limit."""
    for key in (*keys_of_request(resource, models, DEFAULT_GPU_RESOURCES), *keys_of_limit(resource, models)):
        assert key_problem(key) is None
        assert key_problem(f"cash/{key}") is None


# --- the CRD draws the same line -------------------------------------------------------------------------------------

CRD = Path(__file__).parents[3] / "crds" / "quota.bizrq.io_bizgroupresourcequotas.yaml"


def _rules(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [rule["rule"] for rule in node.get("x-kubernetes-validations", ())]
        return own + [found for value in node.values() for found in _rules(value)]
    return [found for value in node for found in _rules(value)] if isinstance(node, list) else []


@pytest.fixture(scope="module")
def crd_accepts() -> Callable[[str], bool]:
    """The CRD's rule about keys, read from its CEL: a choice of size, pattern and texts that are not contained."""
    text = CRD.read_text(encoding="utf-8")
    (rule,) = [rule for rule in _rules(yaml.safe_load(text)) if rule.startswith("self.all(k,") and "matches" in rule]
    choices = []
    for choice in re.split(r"\s*\|\|\s+(?=k\.size)", rule.removeprefix("self.all(k,").strip().removesuffix(")")):
        size, pattern, rest = re.fullmatch(
            r"k\.size\(\) <= (\d+) && k\.matches\('\^(.*)\$'\)(.*)", choice, re.DOTALL
        ).groups()  # type: ignore[union-attr]
        excluded = re.findall(r"&& !k\.contains\('([^']*)'\)", rest)
        assert not re.sub(r"\s*&& !k\.contains\('[^']*'\)", "", rest).strip(), rest
        choices.append((int(size), re.compile(pattern), excluded))
    assert len(choices) == 3

    def accepts(key: str) -> bool:
        return any(
            len(key) <= size and pattern.fullmatch(key) is not None and not any(text in key for text in excluded)
            for size, pattern, excluded in choices
        )

    return accepts


def test_the_crd_accepts_and_refuses_the_same_keys(crd_accepts: Callable[[str], bool]) -> None:  # [K4]
    keys = [*ACCEPTED, *REFUSED, "limits.cpu." + "a" * 63, "limits.cpu." + "a" * 64, "requests.a/" + "g" * 127]
    keys += ["requests.a/" + "g" * 128, "cash/requests." + "a" * 240 + "/b", "count/x.y", "count/9.y", "hugepages-2M"]
    keys += [
        "hugepages-0Mi",
        "count/deployments",
        "count/services",
        "requests.requests.a/b",
        "count/" + "a" * 400 + ".b",
    ]
    assert {key: key_problem(key) is None for key in keys} == {key: crd_accepts(key) for key in keys}


@given(key=key_like_texts())
def test_the_crd_draws_the_same_line_for_any_text(crd_accepts: Callable[[str], bool], key: str) -> None:  # [K4]
    assert crd_accepts(key) == (key_problem(key) is None)
