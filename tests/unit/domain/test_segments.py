"""[C1] what a pod holds that is resized in place, and from when to when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.pod_resources import Held, PodResources, held
from bizrq.domain.segments import MOST_SEGMENTS, Past, closed, closes_at, resized
from tests.support.build import NOW, amounts, container, pod_resources, pod_spec, texts
from tests.support.segments import segments

NOTHING = pod_resources(pod_spec())


def cores(cpu: str) -> Held:
    return Held(amounts({"cpu": cpu}), amounts({"cpu": cpu}))


ONE, TWO, THREE = cores("1"), cores("2"), cores("3")


# --- what it holds ---------------------------------------------------------------------------------------------------


def node_gives(cpu: str, **fields: Any) -> PodResources:
    return pod_resources(pod_spec(container(requests={"cpu": cpu}, limits={"cpu": cpu}), **fields))


def seen(spec: str, actual: str, allocated: str | None = None, *, infeasible: bool = False) -> tuple[str, str]:
    """Requests and limits of a pod of one container with a card."""
    stated = pod_spec(
        container(requests={"cpu": spec, "nvidia.com/gpu": "1"}, limits={"cpu": spec, "nvidia.com/gpu": "1"})
    )
    given_ = NOTHING if allocated is None else pod_resources(pod_spec(container(requests={"cpu": allocated})))
    got = held(resized(pod_resources(stated), node_gives(actual), given_, infeasible=infeasible))
    assert (str(got.requests["nvidia.com/gpu"]), str(got.limits["nvidia.com/gpu"])) == ("1", "1")
    return str(got.requests["cpu"]), str(got.limits["cpu"])


@pytest.mark.parametrize(
    ("spec", "allocated", "actual", "holds"),
    [
        pytest.param("1", "1", "1", ("1", "1"), id="at rest"),
        pytest.param("3", "1", "1", ("3", "3"), id="asked for: what a deferred resize waits for nobody else gets"),
        pytest.param("3", "3", "1", ("3", "3"), id="allocated"),
        pytest.param("1", "3", "3", ("3", "3"), id="less is asked for"),
        pytest.param("1", "3", "1", ("3", "1"), id="no limit is allocated: only what is enacted"),
        pytest.param("1", "1", "3", ("3", "3"), id="less is allocated, and its container has it all the same"),
        pytest.param("1", None, "3", ("3", "3"), id="a node that says nothing of what it allocated"),
    ],
)
def test_it_holds_the_most_of_spec_allocated_and_actual(
    spec: str, allocated: str | None, actual: str, holds: tuple[str, str]
) -> None:
    assert seen(spec, actual, allocated) == holds


def test_an_infeasible_resize_leaves_the_spec_out() -> None:
    """And only what could have been resized: a card is held as the spec says."""
    assert seen("64", "1", "2", infeasible=True) == ("2", "1")


def test_a_container_of_which_the_node_says_nothing_holds_what_its_spec_says() -> None:
    spec = pod_resources(pod_spec(container("a", limits={"cpu": "1"}), container("b", limits={"cpu": "4"})))
    told = pod_resources(pod_spec(container("b", limits={"cpu": "5"})))
    assert texts(held(resized(spec, told, NOTHING, infeasible=False)).limits) == {"cpu": "6"}
    told = pod_resources(pod_spec(container("b", limits={"cpu": "2"})))
    assert texts(held(resized(spec, told, NOTHING, infeasible=True)).limits) == {"cpu": "3"}


def test_a_sidecar_is_resized_and_a_plain_init_container_is_not() -> None:
    """As k8s.io/component-helpers does it: the amounts of the latter stay at their maximum [P1]."""
    spec = pod_resources(
        pod_spec(
            container(requests={"cpu": "1"}),
            init=[container("side", requests={"cpu": "1"}, sidecar=True), container("init", requests={"cpu": "5"})],
        )
    )
    told = pod_resources(pod_spec(container("side", requests={"cpu": "2"}), container("init", requests={"cpu": "9"})))
    assert texts(held(resized(spec, told, NOTHING, infeasible=False)).requests) == {"cpu": "7"}


def test_the_pod_as_a_whole_is_resized_too() -> None:
    """Pod-level resources, since Kubernetes 1.36; what the spec does not state of the whole stays with containers."""
    spec = pod_resources(pod_spec(container(requests={"cpu": "1", "memory": "1Gi"}), requests={"cpu": "2"}))
    actual = pod_resources(pod_spec(requests={"cpu": "3", "memory": "9Gi"}, limits={"cpu": "8", "memory": "9Gi"}))
    allocated = pod_resources(pod_spec(requests={"cpu": "4"}))
    got = held(resized(spec, actual, allocated, infeasible=False))
    assert (texts(got.requests), texts(got.limits)) == ({"cpu": "4", "memory": "1Gi"}, {})
    unspecified = pod_resources(pod_spec(container(requests={"cpu": "1"})))
    assert texts(held(resized(unspecified, actual, allocated, infeasible=False)).requests) == {"cpu": "1"}


def test_overhead_is_added_to_what_is_held_and_a_limit_without_a_request_is_one() -> None:
    """[P2, P3]"""
    spec = pod_resources(pod_spec(container(limits={"cpu": "1"}), overhead={"cpu": "250m"}))
    got = held(resized(spec, node_gives("2"), NOTHING, infeasible=False))
    assert (texts(got.requests), texts(got.limits)) == ({"cpu": "2250m"}, {"cpu": "2250m"})
    lower = held(resized(spec, node_gives("500m"), NOTHING, infeasible=False))
    assert texts(lower.requests) == {"cpu": "1250m"}


# --- from when to when -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resizing", "known", "at"),
    [
        pytest.param(None, None, NOW, id="observed"),
        pytest.param(NOW - 9, None, NOW - 9, id="PodResizeInProgress says when"),
        pytest.param(NOW - 9, NOW - 50, NOW - 9, id="a new one"),
        pytest.param(NOW - 9, NOW - 9, NOW, id="the version before said so already, and still held the old amounts"),
        pytest.param(NOW + 9, None, NOW, id="never after now"),
    ],
)
def test_a_segment_closes_when_the_resize_is_observed(resizing: int | None, known: int | None, at: int) -> None:
    assert closes_at(resizing, known, NOW) == at


def test_a_pod_that_was_never_resized_has_one_segment() -> None:
    assert list(segments(ONE, ())) == [(None, None, ONE)]


def test_each_resize_closes_a_segment_and_opens_the_next() -> None:
    past = closed(closed((), ONE, NOW, NOW + 10), TWO, NOW, NOW + 30)
    assert list(segments(THREE, past)) == [
        (None, NOW + 10, ONE), (NOW + 10, NOW + 30, TWO), (NOW + 30, None, THREE),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "at"),
    [
        pytest.param(None, NOW, id="not scheduled yet"),
        pytest.param(NOW, NOW, id="at its start"),
        pytest.param(NOW, NOW - 5, id="before its start"),
    ],
)
def test_nothing_is_closed_before_the_start(start: int | None, at: int) -> None:
    assert closed((), ONE, start, at) == ()


@pytest.mark.parametrize("at", [NOW + 10, NOW + 5])
def test_nothing_is_closed_before_the_last_segment(at: int) -> None:
    """What was held for no second at all leaves no segment."""
    past = closed((), ONE, NOW, NOW + 10)
    assert closed(past, TWO, NOW, at) is past


@pytest.mark.parametrize("first_two", [(ONE, TWO), (TWO, ONE)])
def test_resizes_without_end_do_not_fill_the_memory(first_two: tuple[Held, Held]) -> None:
    """The two oldest segments become one, with the most of both."""
    past: Past = ()
    for number, each in enumerate([*first_two, *[THREE] * (MOST_SEGMENTS - 1)]):
        past = closed(past, each, NOW, NOW + number + 1)
    assert len(past) == MOST_SEGMENTS
    (until, most), last = past[0], past[-1][0]
    assert (until, texts(most.requests), last) == (NOW + 2, {"cpu": "2"}, NOW + MOST_SEGMENTS + 1)


@given(st.lists(st.tuples(st.integers(-20, 200), st.sampled_from([ONE, TWO, THREE])), max_size=20))
def test_segments_lie_one_behind_the_other_and_leave_nothing_out(resizes: list[tuple[int, Held]]) -> None:
    past: Past = ()
    holds = ONE
    for at, then in resizes:
        past, holds = closed(past, holds, NOW, NOW + at), then
    got = list(segments(holds, past))
    assert (got[0][0], got[-1][1], got[-1][2]) == (None, None, holds)
    borders = [until for _, until, _ in got[:-1]]
    assert borders == [since for since, _, _ in got[1:]]
    assert all(border is not None and border > NOW for border in borders)
    assert borders == sorted(set(borders), key=lambda border: border or 0)
