"""[K1, K2, A4] what a whole workload asks for, key by key, with models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.amounts import key_by_key_max
from bizrq.domain.demand import PodGroup, demand, largest, never_grows, pod_amounts
from bizrq.domain.pod_resources import Held
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, NO_MODELS, Models, key_problem
from tests.support.build import amounts, container, held_by, pod_spec, texts
from tests.support.strategies import MODELS, resource_lists

COUNT = "count/deployments.apps"


def ask(*groups: PodGroup, models: Models = NO_MODELS) -> dict[str, str]:
    return texts(demand(groups, models, DEFAULT_GPU_RESOURCES, count=COUNT))


def group(replicas: int, *, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> PodGroup:
    return PodGroup(replicas, held_by(pod_spec(container(requests=requests, limits=limits))))


def test_a_deployment_is_counted_as_a_whole_and_on_every_key() -> None:
    """[K1, A4] the example line of spec section 2, before it was claimed; also keys that nobody limits."""
    assert ask(group(8, limits={"cpu": "1", "memory": "2Gi"})) == {
        "count/deployments.apps": "1",
        "pods": "8",
        "cpu": "8",
        "requests.cpu": "8",
        "limits.cpu": "8",
        "memory": "16Gi",
        "requests.memory": "16Gi",
        "limits.memory": "16Gi",
    }


def test_a_workload_with_models_is_charged_on_the_plain_keys_and_once_more_on_the_models() -> None:
    """[K2]."""
    limits = {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "2", "example.com/fpga": "1"}
    assert ask(group(2, limits=limits), models=Models(cpu="A4", gpu="A30", memory="M1")) == {
        COUNT: "1",
        "pods": "2",
        **{key + model: "2" for key in ("cpu", "requests.cpu", "limits.cpu") for model in ("", ".A4")},
        **{key + model: "2Gi" for key in ("memory", "requests.memory", "limits.memory") for model in ("", ".M1")},
        "requests.nvidia.com/gpu": "4",
        "requests.nvidia.com/gpu.A30": "4",
        "requests.example.com/fpga": "2",
    }


def test_pod_groups_are_added_up() -> None:
    """[A1] a TFJob: a chief, two parameter servers without cards, four workers."""
    worker = group(4, limits={"cpu": "2", "nvidia.com/gpu": "1"})
    assert ask(group(1, limits={"cpu": "1"}), group(2, limits={"memory": "1Gi"}), worker) == {
        COUNT: "1",
        "pods": "7",
        "cpu": "9",
        "requests.cpu": "9",
        "limits.cpu": "9",
        "memory": "2Gi",
        "requests.memory": "2Gi",
        "limits.memory": "2Gi",
        "requests.nvidia.com/gpu": "4",
    }


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([], id="no pod groups"),
        pytest.param([group(0, limits={"cpu": "1"})], id="no replicas"),
        pytest.param([group(-1, limits={"cpu": "1"})], id="replicas that no API server takes from others"),
    ],
)
def test_a_workload_without_pods_still_exists(groups: list[PodGroup]) -> None:
    """[K1] count/ is 1 a workload."""
    assert ask(*groups) == {COUNT: "1"}


def test_a_pod_of_its_own_is_counted_once_as_a_workload_and_once_as_a_replica() -> None:
    """[K1] count/pods and pods are two keys."""
    result = demand([group(1)], NO_MODELS, DEFAULT_GPU_RESOURCES, count="count/pods")
    assert texts(result) == {"count/pods": "1", "pods": "1"}


def test_a_resource_that_looks_like_a_model_of_another_does_not_take_its_place() -> None:
    """[K2] else stating ``nvidia.com/gpu.A30: 0`` would evade the limit of A30 cards."""
    for other, together in (("0", "8"), ("3", "11")):
        for stated in (
            {"nvidia.com/gpu": "8", "nvidia.com/gpu.A30": other},
            {"nvidia.com/gpu.A30": other, "nvidia.com/gpu": "8"},
        ):
            result = ask(group(1, limits=stated), models=Models(gpu="A30"))
            assert result["requests.nvidia.com/gpu"] == "8"
            assert result["requests.nvidia.com/gpu.A30"] == together


def test_the_amounts_of_one_pod_are_its_compute_keys() -> None:
    """[C7] what cash is charged on; pods and counts have no hours."""
    held = held_by(pod_spec(container(requests={"cpu": "1"}, limits={"cpu": "2", "nvidia.com/gpu": "1"})))
    assert texts(pod_amounts(held, Models(cpu="A4"), DEFAULT_GPU_RESOURCES)) == {
        "cpu": "1",
        "cpu.A4": "1",
        "requests.cpu": "1",
        "requests.cpu.A4": "1",
        "limits.cpu": "2",
        "limits.cpu.A4": "2",
        "requests.nvidia.com/gpu": "1",
    }


# --- laws ------------------------------------------------------------------------------------------------------------

MODEL = st.none() | MODELS
EVERY_MODEL = st.builds(Models, cpu=MODEL, gpu=MODEL, memory=MODEL)
GROUPS = st.builds(PodGroup, st.integers(0, 50), st.builds(Held, resource_lists(), resource_lists()))


def total(groups: list[PodGroup], models: Models) -> dict[str, Quantity]:
    return demand(groups, models, DEFAULT_GPU_RESOURCES, count=COUNT)


@given(st.lists(GROUPS, max_size=3), GROUPS, st.integers(1, 10), EVERY_MODEL)
def test_more_replicas_never_demand_less(rest: list[PodGroup], one: PodGroup, more: int, models: Models) -> None:
    before = total([*rest, one], models)
    after = total([*rest, PodGroup(one.replicas + more, one.pod)], models)
    assert key_by_key_max(before, after) == after
    assert after["pods"] == before.get("pods", Quantity(0)) + Quantity.of(more)


@given(GROUPS, EVERY_MODEL)
def test_a_group_demands_replicas_times_one_pod(each: PodGroup, models: Models) -> None:
    one = total([PodGroup(1, each.pod)], models)
    whole = total([each], models)
    assert whole == {
        COUNT: one[COUNT],
        **{key: one[key] * each.replicas for key in one if key != COUNT and each.replicas},
    }


@given(st.lists(GROUPS, max_size=4), EVERY_MODEL, st.data())
def test_the_order_of_groups_does_not_matter(groups: list[PodGroup], models: Models, data: st.DataObject) -> None:
    assert total(groups, models) == total(data.draw(st.permutations(groups)), models)


@given(st.lists(GROUPS, max_size=3), EVERY_MODEL)
def test_a_model_changes_no_plain_key_and_its_keys_hold_the_same(groups: list[PodGroup], models: Models) -> None:
    """[K2]."""
    plain, modelled = total(groups, NO_MODELS), total(groups, models)
    assert {key: modelled[key] for key in plain} == plain
    for key in modelled.keys() - plain.keys():
        (of,) = {
            base for base in plain for model in (models.cpu, models.gpu, models.memory) if f"{base}.{model}" == key
        }
        assert modelled[key] == plain[of]


@given(st.lists(GROUPS, max_size=3), EVERY_MODEL)
def test_every_key_of_a_demand_may_stand_in_hard(groups: list[PodGroup], models: Models) -> None:
    """[K4]."""
    assert [key for key in total(groups, models) if key_problem(key)] == []


def test_amounts_are_exact_beyond_64_bits() -> None:
    """[K6] replicas of 2**31 - 1 with a lot of memory: nothing overflows."""
    whole = total([PodGroup(2**31 - 1, Held(amounts({"memory": "8000000000G"}), {}))], NO_MODELS)
    assert whole["memory"].nano == (2**31 - 1) * 8 * 10**18 * 10**9


# --- what RuntimeClasses add [P3] ------------------------------------------------------------------------------------

KATA = {"kata": amounts({"cpu": "250m", "memory": "128Mi"})}


def test_each_pod_is_charged_the_overhead_of_its_runtime_class() -> None:
    """[P3] on requests always, on limits where they are there."""
    plain = group(4, limits={"cpu": "1"})
    kata = PodGroup(plain.replicas, plain.pod, "kata")
    result = texts(demand([kata, plain], NO_MODELS, DEFAULT_GPU_RESOURCES, count=COUNT, overheads=KATA))
    assert result == {
        COUNT: "1", "pods": "8", "cpu": "9", "requests.cpu": "9", "limits.cpu": "9",
        "memory": "512Mi", "requests.memory": "512Mi",
    }  # fmt: skip


def test_a_runtime_class_that_is_not_there_adds_nothing() -> None:
    """[P3] the API server refuses pods that name it."""
    one = group(1, limits={"cpu": "1"})
    kata = PodGroup(1, one.pod, "gone")
    assert demand([kata], NO_MODELS, DEFAULT_GPU_RESOURCES, count=COUNT, overheads=KATA) == demand(
        [one], NO_MODELS, DEFAULT_GPU_RESOURCES, count=COUNT
    )


def test_the_largest_pod_of_several_groups_is_taken_resource_by_resource() -> None:
    """[P3]."""
    groups = [
        group(0, limits={"cpu": "1", "memory": "4Gi"}),
        PodGroup(3, held_by(pod_spec(container(limits={"cpu": "2"}))), "kata"),
    ]
    most = largest(groups, KATA)
    assert most is not None
    assert texts(most.limits) == {"cpu": "2250m", "memory": "4Gi"}
    assert largest([], KATA) is None


def pod_groups() -> st.SearchStrategy[PodGroup]:
    return st.builds(
        PodGroup,
        st.integers(0, 3),
        st.builds(Held, resource_lists(), resource_lists()),
        st.sampled_from(["", "kata", "gvisor"]),
    )


@given(
    st.lists(st.tuples(pod_groups(), pod_groups()), max_size=2),
    st.dictionaries(st.sampled_from(["kata", "gvisor"]), resource_lists()),
)
def test_what_never_grows_grows_under_no_overhead(
    pairs: list[tuple[PodGroup, PodGroup]], overheads: dict[str, dict[str, Quantity]]
) -> None:
    """[A5, P3] such a change is allowed without a look at any RuntimeClass."""
    before, after = [was for was, _ in pairs], [now for _, now in pairs]
    if never_grows(before, after):
        had, has = (
            demand(each, NO_MODELS, DEFAULT_GPU_RESOURCES, count=COUNT, overheads=overheads) for each in (before, after)
        )
        assert all(amount <= had.get(key, amount * 0) for key, amount in has.items())


@pytest.mark.parametrize(
    ("after", "never"),
    [
        pytest.param(group(2, limits={"cpu": "1"}), True, id="the same"),
        pytest.param(group(1, limits={"cpu": "1"}), True, id="fewer"),
        pytest.param(group(2, limits={"cpu": "500m"}), True, id="smaller"),
        pytest.param(group(2, limits={"cpu": "0"}), True, id="none"),
        pytest.param(group(0, limits={"cpu": "9"}), True, id="larger, and no pod of it"),
        pytest.param(group(3, limits={"cpu": "1m"}), False, id="more, though smaller"),
        pytest.param(group(1, limits={"cpu": "1001m"}), False, id="larger, though fewer"),
        pytest.param(group(1, limits={"cpu": "1", "memory": "1"}), False, id="one resource more"),
    ],
)
def test_a_change_that_never_grows_is_known_without_overheads(after: PodGroup, *, never: bool) -> None:
    """[A5]."""
    before = group(2, limits={"cpu": "1"})
    assert never_grows([before], [after]) is never
    assert never_grows([before], [PodGroup(after.replicas, after.pod, "kata")]) is (after.replicas == 0)
    assert never_grows([before], [after, after]) is (after.replicas == 0)
    assert never_grows([before], []) is True, "suspended, or finished"
