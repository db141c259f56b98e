"""[P1-P4] what one pod holds at its peak, and what it must state: ResourceQuota's own figures, tables, and laws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bizrq.domain import pod_resources as pod_resources_module
from bizrq.domain.demand import PodGroup, demand
from bizrq.domain.pod_resources import Container, PodResources, held, unstated, with_overhead
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, NO_MODELS, count_key
from tests.support.build import container, held_by, pod_resources, pod_spec, texts
from tests.support.strategies import RESOURCES, pods_resources, resource_lists, small_amounts

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "pods.json").read_text())["pods"]


# --- agreement with ResourceQuota ------------------------------------------------------------------------------------


def ids(vector: Mapping[str, Any]) -> str:
    spec = vector["spec"]
    sidecars = sum("restartPolicy" in each for each in spec.get("initContainers", ()))
    parts = {
        "containers": len(spec["containers"]),
        "init": len(spec.get("initContainers", ())) - sidecars,
        "sidecars": sidecars,
        "whole": len(spec.get("resources", ())),
        "overhead": len(spec.get("overhead", ())),
    }
    return " ".join(f"{name}={number}" for name, number in parts.items() if number)


@pytest.mark.parametrize("vector", VECTORS, ids=ids)
def test_a_template_demands_what_resource_quota_charges_for_its_pod(vector: Mapping[str, Any]) -> None:
    """[P1-P3] every key that ResourceQuota counts, to the letter; [P4] and what it wants to be stated."""
    pods = [PodGroup(1, held_by(vector["spec"]))]
    assert texts(demand(pods, NO_MODELS, DEFAULT_GPU_RESOURCES, count=count_key("pods", ""))) == vector["usage"]
    missing = unstated(pod_resources(vector["spec"]), vector["limited"])
    words = "; ".join(f"{key} for: {','.join(names)}" for key, names in missing.items())
    assert words == vector.get("refusal", "").removeprefix("must specify ")


def test_the_vectors_have_every_kind_of_pod_in_them() -> None:
    kinds = [kind.split("=")[0] for vector in VECTORS for kind in ids(vector).split()]
    assert len(VECTORS) == 300
    assert all(kinds.count(kind) > 50 for kind in ("containers", "init", "sidecars", "whole", "overhead"))
    assert sum("refusal" in vector for vector in VECTORS) > 50


# --- the walk over containers [P1] -----------------------------------------------------------------------------------


def needs(name: str, cpu: str, *, sidecar: bool = False) -> dict[str, Any]:
    return container(name, requests={"cpu": cpu}, sidecar=sidecar)


def sidecar(name: str, cpu: str) -> dict[str, Any]:
    return needs(name, cpu, sidecar=True)


@pytest.mark.parametrize(
    ("app", "init", "cpu"),
    [
        pytest.param(["1"], [], "1", id="one container"),
        pytest.param(["1", "2"], [], "3", id="containers run together"),
        pytest.param(["1"], [needs("i", "5")], "5", id="a plain init container needs only its own peak"),
        pytest.param(["3"], [needs("i", "2")], "3", id="which may be below the containers"),
        pytest.param(["1"], [needs("i", "5"), needs("j", "4")], "5", id="plain init containers run one after another"),
        pytest.param(["1"], [sidecar("s", "2")], "3", id="a sidecar runs beside the containers"),
        pytest.param(["1"], [sidecar("s", "2"), needs("i", "5")], "7", id="a sidecar listed before an init is added"),
        pytest.param(["1"], [needs("i", "5"), sidecar("s", "2")], "5", id="a sidecar listed after it is not"),
        pytest.param(
            ["1"],
            [sidecar("s", "1"), needs("i", "5"), sidecar("t", "2"), needs("j", "4")],
            "7",
            id="the peak is over all steps: 1+2+4",
        ),
        pytest.param(["4"], [sidecar("s", "1"), needs("i", "5"), sidecar("t", "2")], "7", id="or over the end: 4+1+2"),
    ],
)
def test_the_most_that_a_pod_holds_at_a_time(app: list[str], init: list[Any], cpu: str) -> None:
    """[P1]."""
    plain = [needs(f"c{index}", each) for index, each in enumerate(app)]
    assert texts(held_by(pod_spec(*plain, init=init)).requests) == {"cpu": cpu}


def test_the_peak_is_taken_resource_by_resource() -> None:
    """[P1]."""
    spec = pod_spec(
        container(requests={"cpu": "1", "memory": "8Gi"}), init=[container("i", requests={"cpu": "4", "memory": "1Gi"})]
    )
    assert texts(held_by(spec).requests) == {"cpu": "4", "memory": "8Gi"}


def test_the_walk_is_as_long_as_what_the_containers_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar of 8,000 resources before 8,000 init containers, half a megabyte, took eleven seconds."""
    looked_at: list[int] = []
    raise_to = pod_resources_module._raise_to

    def counted(total: dict[str, Quantity], least: Mapping[str, Quantity]) -> None:
        looked_at.append(len(least))
        raise_to(total, least)

    monkeypatch.setattr(pod_resources_module, "_raise_to", counted)
    many = {f"example.com/r{index}": Quantity.of(1) for index in range(100)}
    steps = [Container(name="s", limits=many, sidecar=True)]
    steps += [Container(name=f"i{index}", limits={"cpu": Quantity.of(1)}) for index in range(100)]
    assert len(held(PodResources(containers=[], init_containers=steps)).limits) == 101
    assert sum(looked_at) <= 2 * (100 + 1)


def test_limits_take_the_same_walk() -> None:
    """[P1]."""
    spec = pod_spec(
        container(limits={"cpu": "1"}),
        init=[container("s", limits={"cpu": "2"}, sidecar=True), container("i", limits={"cpu": "5"})],
    )
    assert texts(held_by(spec).limits) == {"cpu": "7"}


# --- defaults [P2] ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requests", "limits", "held_requests"),
    [
        pytest.param(None, {"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "2"}, id="a limit alone is a request too"),
        pytest.param({"cpu": "1"}, {"cpu": "4"}, {"cpu": "1"}, id="a request that is there stays"),
        pytest.param({"cpu": "0"}, {"cpu": "4"}, {"cpu": "0"}, id="also one of 0"),
        pytest.param({"cpu": "1"}, {"memory": "4"}, {"cpu": "1", "memory": "4"}, id="resource by resource"),
    ],
)
def test_a_limit_without_a_request_is_copied_to_the_request(
    requests: dict[str, str] | None, limits: dict[str, str], held_requests: dict[str, str]
) -> None:
    """[P2]."""
    of_containers = held_by(pod_spec(container(requests=requests, limits=limits)))
    of_init = held_by(pod_spec(init=[container(requests=requests, limits=limits)]))
    assert texts(of_containers.requests) == texts(of_init.requests) == held_requests
    assert texts(of_containers.limits) == limits


# --- the pod as a whole, overhead, rounding [P3] ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "whole", "requests", "limits"),
    [
        pytest.param(
            {"requests": {"cpu": "1"}}, {"requests": {"cpu": "4"}}, {"cpu": "4"}, {}, id="replaces what is lower"
        ),
        pytest.param({"requests": {"cpu": "4"}}, {"requests": {"cpu": "1"}}, {"cpu": "1"}, {}, id="and what is higher"),
        pytest.param(
            {"limits": {"memory": "4Gi"}},
            {"limits": {"memory": "1Gi"}},
            {"memory": "4Gi"},
            {"memory": "1Gi"},
            id="a limit of the pod leaves the request to its containers",
        ),
        pytest.param(
            {}, {"limits": {"cpu": "2"}}, {"cpu": "2"}, {"cpu": "2"}, id="where they have none it is its limit"
        ),
        pytest.param(
            {"limits": {"hugepages-2Mi": "4Mi"}},
            {"requests": {"hugepages-2Mi": "8Mi"}, "limits": {"hugepages-2Mi": "8Mi"}},
            {"hugepages-2Mi": "8Mi"},
            {"hugepages-2Mi": "8Mi"},
            id="hugepages too",
        ),
        pytest.param(
            {"limits": {"nvidia.com/gpu": "2"}},
            {"requests": {"cpu": "1"}},
            {"cpu": "1", "nvidia.com/gpu": "2"},
            {"nvidia.com/gpu": "2"},
            id="cards stay with the containers",
        ),
        pytest.param(
            {"requests": {"ephemeral-storage": "1Gi"}},
            {"requests": {"cpu": "1"}},
            {"cpu": "1", "ephemeral-storage": "1Gi"},
            {},
            id="storage too",
        ),
        pytest.param(
            {"requests": {"nvidia.com/gpu": "2"}},
            {"requests": {"nvidia.com/gpu": "0"}, "limits": {"nvidia.com/gpu": "0"}},
            {"nvidia.com/gpu": "2"},
            {},
            id="a pod cannot state its cards away",
        ),
    ],
)
def test_resources_of_the_pod_as_a_whole(
    stated: dict[str, Any], whole: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    """[P3]."""
    result = held_by(pod_spec(container(**stated), **whole))
    assert texts(result.requests) == requests
    assert texts(result.limits) == limits


@pytest.mark.parametrize(
    ("limits", "with_overhead"),
    [
        pytest.param({"cpu": "2"}, {"cpu": "2250m"}, id="to a limit that is there"),
        pytest.param({}, {}, id="not to one that is missing"),
        pytest.param({"cpu": "0"}, {"cpu": "0"}, id="not to one that is zero"),
    ],
)
def test_overhead_is_added_to_requests_always_and_to_limits_only(
    limits: dict[str, str], with_overhead: dict[str, str]
) -> None:
    """[P3]."""
    result = held_by(
        pod_spec(container(requests={"cpu": "1"}, limits=limits), overhead={"cpu": "250m", "memory": "1Mi"})
    )
    assert texts(result.requests) == {"cpu": "1250m", "memory": "1Mi"}
    assert texts(result.limits) == with_overhead


def test_overhead_comes_after_the_resources_of_the_pod_as_a_whole() -> None:
    """[P3] added last."""
    spec = pod_spec(container(requests={"cpu": "9"}), requests={"cpu": "1"}, limits={"cpu": "2"}, overhead={"cpu": "1"})
    result = held_by(spec)
    assert (texts(result.requests), texts(result.limits)) == ({"cpu": "2"}, {"cpu": "3"})


def test_every_value_is_rounded_up_to_milli_before_anything_is_added() -> None:
    """[P3] two containers of half a milli are charged two."""
    assert texts(held_by(pod_spec(needs("a", "0.5m"), needs("b", "1u"))).requests) == {"cpu": "2m"}


@given(pods_resources())
def test_what_is_held_is_whole_milli_units(pod: PodResources) -> None:
    """[P3]."""
    fine = replace(pod, requests={name: Quantity(amount.nano + 1) for name, amount in pod.requests.items()})
    result = held(fine)
    assert all(amount.nano % 10**6 == 0 for amount in (*result.requests.values(), *result.limits.values()))


# --- laws ------------------------------------------------------------------------------------------------------------


def peak_by_definition(steps: list[tuple[Quantity, bool]], app: list[Quantity]) -> int:
    """What runs at each moment of a pod's life, listed one by one: milli-units of one resource."""
    moments, sidecars = [], 0
    for amount, is_sidecar in steps:
        if is_sidecar:
            sidecars += amount.milli()
        else:
            moments.append(sidecars + amount.milli())
    return max([*moments, sidecars + sum(amount.milli() for amount in app)])


@given(
    st.lists(st.tuples(small_amounts(), st.booleans()), max_size=5), st.lists(small_amounts(), min_size=1, max_size=3)
)
def test_the_peak_is_that_of_the_moments_of_a_pods_life(
    steps: list[tuple[Quantity, bool]], app: list[Quantity]
) -> None:
    """[P1] requests and limits."""
    least = peak_by_definition(steps, app)
    requests = PodResources(
        containers=[Container("c", requests={"cpu": amount}) for amount in app],
        init_containers=[Container("i", requests={"cpu": amount}, sidecar=each) for amount, each in steps],
    )
    limits = PodResources(
        containers=[Container("c", limits={"cpu": amount}) for amount in app],
        init_containers=[Container("i", limits={"cpu": amount}, sidecar=each) for amount, each in steps],
    )
    assert held(requests).requests["cpu"].milli() == held(limits).limits["cpu"].milli() == least


@given(pods_resources(), st.data())
def test_the_order_of_plain_containers_does_not_matter(pod: PodResources, data: st.DataObject) -> None:
    """[P1]."""
    mixed = data.draw(st.permutations(list(pod.containers)))
    assert held(pod) == held(replace(pod, containers=mixed))


@given(pods_resources(whole=False), st.sampled_from(RESOURCES), small_amounts(), st.data())
def test_no_amount_of_a_container_that_grows_makes_the_pod_hold_less(
    pod: PodResources, resource: str, more: Quantity, data: st.DataObject
) -> None:
    """[P1] demand is monotone: nothing is saved by asking for more."""
    plain = len(pod.containers)
    index = data.draw(st.integers(0, plain + len(pod.init_containers) - 1))
    parts = [*pod.containers, *pod.init_containers]
    parts[index] = asking_for_more(parts[index], data.draw(st.booleans()), resource, more)
    before, after = held(pod), held(replace(pod, containers=parts[:plain], init_containers=parts[plain:]))
    for was, is_now in ((before.requests, after.requests), (before.limits, after.limits)):
        assert all(is_now[name] >= amount for name, amount in was.items())


def asking_for_more(each: Container, of_limits: bool, resource: str, more: Quantity) -> Container:  # noqa: FBT001
    stated = each.limits if of_limits else each.requests_with_defaults()  # a request replaces the limit copied to it
    grown = stated.get(resource, Quantity(0)) + more
    if of_limits:
        return replace(each, limits={**each.limits, resource: grown})
    return replace(each, requests={**each.requests, resource: grown})


@given(pods_resources(whole=False), resource_lists())
def test_one_more_container_never_makes_the_pod_hold_less(pod: PodResources, requests: dict[str, Quantity]) -> None:
    """[P1] wherever it is put."""
    before = held(pod).requests
    more = Container("more", requests=requests)
    for grown in (
        replace(pod, containers=[*pod.containers, more]),
        replace(pod, init_containers=[more, *pod.init_containers]),
        replace(pod, init_containers=[*pod.init_containers, replace(more, sidecar=True)]),
    ):
        after = held(grown).requests
        assert all(after[name] >= amount for name, amount in before.items())


def test_a_pod_that_states_nothing_holds_nothing() -> None:
    result = held_by(pod_spec(container()))
    assert (result.requests, result.limits) == ({}, {})


@given(pods_resources(), resource_lists())
def test_overhead_that_is_told_later_adds_the_same(pod: PodResources, overhead: dict[str, Quantity]) -> None:
    """[P3] a template is known before the overhead of its RuntimeClass."""
    bare = replace(pod, overhead={})
    assert with_overhead(held(bare), overhead) == held(replace(pod, overhead=overhead))


# --- what must be stated [P4] ----------------------------------------------------------------------------------------

COMPUTE = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]


@pytest.mark.parametrize(
    ("spec", "limited", "missing"),
    [
        pytest.param(
            pod_spec(container("b"), container("a")), ["limits.cpu"], {"limits.cpu": ("a", "b")}, id="names, sorted"
        ),
        pytest.param(
            pod_spec(container("a", requests={"cpu": "1"})),
            COMPUTE,
            dict.fromkeys(("limits.cpu", "limits.memory", "memory", "requests.memory"), ("a",)),
            id="a request states cpu and requests.cpu",
        ),
        pytest.param(pod_spec(container("a", requests={"cpu": "0"})), ["cpu"], {}, id="0 is a statement"),
        pytest.param(
            pod_spec(container("a", limits={"cpu": "1", "memory": "1"})),
            COMPUTE,
            {},
            id="a limit states the request too",
        ),
        pytest.param(
            pod_spec(container("a", limits={"cpu": "1"}), init=[container("i")]),
            ["limits.cpu"],
            {"limits.cpu": ("i",)},
            id="init containers must state it too",
        ),
        pytest.param(
            pod_spec(container("a", limits={"cpu": "1"}), init=[container("s", sidecar=True)]),
            ["requests.cpu"],
            {"requests.cpu": ("s",)},
            id="and sidecars",
        ),
        pytest.param(
            pod_spec(container("a")), ["pods", "requests.nvidia.com/gpu"], {}, id="other keys ask for nothing"
        ),
        pytest.param(
            pod_spec(container("a")),
            ["limits.ephemeral-storage", "ephemeral-storage", "hugepages-2Mi"],
            {},
            id="nor does storage",
        ),
        pytest.param(pod_spec(container("a")), ["limits.cpu.A4", "cash/limits.cpu"], {}, id="nor models, nor budgets"),
        pytest.param(pod_spec(container("a"), requests={"cpu": "1"}), COMPUTE, {}, id="resources of the pod suffice"),
        pytest.param(pod_spec(container("a"), limits={"memory": "1"}), COMPUTE, {}, id="of any pod-level resource"),
        pytest.param(
            pod_spec(container("a"), requests={"nvidia.com/gpu": "1"}),
            ["cpu"],
            {"cpu": ("a",)},
            id="cards are no pod-level resource",
        ),
        pytest.param(pod_spec(container("a")), [], {}, id="nothing is limited"),
    ],
)
def test_what_containers_must_state(
    spec: dict[str, Any], limited: list[str], missing: dict[str, tuple[str, ...]]
) -> None:
    """[P4]."""
    result = unstated(pod_resources(spec), limited)
    assert result == missing
    assert list(result) == sorted(result)
