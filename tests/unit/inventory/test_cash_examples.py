"""The examples of docs/cash.md, with its figures."""

from __future__ import annotations

from typing import Any

import pytest

from bizrq.domain.intervals import EndSource
from bizrq.domain.times import instant
from tests.support.build import container, pod_spec
from tests.support.pod_watch import Watch, asked_to_go, card


def at(text: str) -> int:
    moment = instant(f"2026-01-05T{text}Z")
    assert moment is not None
    return moment


EVENING = at("23:59:59")


@pytest.fixture
def watch() -> Watch:
    return Watch()


def ran(scheduled: str, phase: str = "Running", **fields: Any) -> dict[str, Any]:
    return card(phase, created=at(scheduled), scheduled=at(scheduled), **fields)


def test_an_image_is_pulled(watch: Watch) -> None:
    watch.shows(card("Pending", created=at("10:00:00"), scheduled=at("10:00:05")), at=at("10:00:05"))
    assert watch.seconds(at("10:04:00")) == 235
    ended = card("Succeeded", created=at("10:00:00"), scheduled=at("10:00:05"), finished=[at("11:04:00")])
    watch.shows(ended, at=at("11:04:01"))
    assert watch.seconds(EVENING) == 3835


def test_a_node_is_lost(watch: Watch) -> None:
    watch.shows(ran("13:00:00"), at=at("13:00:00"))
    lost = asked_to_go(created=at("13:00:00"), scheduled=at("13:00:00"), asked=at("14:05:50"), grace=30)
    watch.shows(lost, at=at("14:05:50"))
    assert watch.seconds(EVENING) == 4010


def test_a_lost_pod_is_deleted_by_force(watch: Watch) -> None:
    watch.shows(ran("13:00:00"), at=at("13:00:00"))
    forced = asked_to_go(created=at("13:00:00"), scheduled=at("13:00:00"), asked=at("14:03:00"), grace=0)
    watch.loses(forced, at=at("14:03:00"))
    assert watch.seconds(EVENING) == 3780


def test_a_job_is_tried_again(watch: Watch) -> None:
    watch.shows(ran("09:00:00", "Failed", name="first", finished=[at("09:20:00")]), at=at("09:20:01"))
    watch.shows(ran("09:20:12", "Succeeded", name="second", finished=[at("10:20:12")]), at=at("10:20:13"))
    assert watch.seconds(EVENING) == 4800


def test_a_container_of_a_job_is_started_again(watch: Watch) -> None:
    paused = ran("09:00:00")
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-05T09:20:00Z"}}
    paused["status"]["containerStatuses"] = [
        {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    ]
    watch.shows(ran("09:00:00"), paused, at=at("09:20:01"))
    watch.shows(ran("09:00:00", "Succeeded", finished=[at("10:20:12")]), at=at("10:20:13"))
    assert watch.seconds(EVENING) == 4812


def test_a_pod_is_resized(watch: Watch) -> None:
    def sized(spec: str, actual: str, phase: str = "Running", **fields: Any) -> dict[str, Any]:
        raw = ran("08:00:00", phase, **fields)
        raw["spec"] |= pod_spec(container(limits={"cpu": spec}))
        raw["status"].setdefault("containerStatuses", [{"name": "c"}])[0]["resources"] = {"limits": {"cpu": actual}}
        return raw

    watch.shows(sized("2", "2"), at=at("08:00:00"))
    watch.shows(sized("6", "2"), at=at("09:00:00"))
    watch.shows(sized("6", "6"), at=at("09:00:05"))
    watch.shows(sized("1", "6"), at=at("09:30:00"))
    watch.shows(sized("1", "1"), at=at("09:30:20"))
    watch.shows(sized("1", "1", "Succeeded", finished=[at("10:30:20")]), at=at("10:30:21"))
    assert watch.core_seconds(EVENING) == 21_720


def test_a_pod_is_evicted(watch: Watch) -> None:
    evicted = {"DisruptionTarget": ("True", "TerminationByKubelet", at("12:30:00"))}
    watch.shows(ran("12:00:00"), at=at("12:00:00"))
    watch.shows(ran("12:00:00", "Failed", conditions=evicted), at=at("12:30:04"))
    assert (watch.seconds(EVENING), watch.noted()) == (1800, {EndSource.DISRUPTED: 1})
