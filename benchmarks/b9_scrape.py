"""What does a scrape of the controller cost, beside plain gauges, and how long does everything else wait for it?"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest

from benchmarks.harness import Table, median
from benchmarks.pod_bytes import NOW
from bizrq.domain.bizrq import GROUP, KIND, VERSION, Bizrq, read_bizrq
from bizrq.domain.times import timestamp
from bizrq.observability.bizrq_metrics import Shown
from bizrq.observability.health import HealthServer
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["measure"]

_ROUNDS, _QUICK_ROUNDS = 9, 3
_FULL, _QUICK = (100, 1_000, 5_000), (100, 1_000)
"""bizrqs."""

_DEPTS, _TEAMS = 10, 9
"""A tree has a root, so many departments, and so many teams in each: 101 bizrqs."""

_HARD: Final = {
    "limits.cpu": "400",
    "requests.cpu": "400",
    "limits.cpu.A4": "100",
    "limits.memory": "2Ti",
    "requests.memory": "2Ti",
    "requests.nvidia.com/gpu": "64",
    "requests.nvidia.com/gpu.A30": "16",
    "pods": "1000",
    "cash/limits.cpu": "10000",
    "cash/requests.nvidia.com/gpu": "1000",
    "cash/requests.nvidia.com/gpu.A30": "200",
}
"""As in the example of an object, with memory of both kinds."""

_RATE: Final = {"limits.cpu": "400", "requests.nvidia.com/gpu": "64", "requests.nvidia.com/gpu.A30": "16"}
"""All that is allowed runs: each budget is used up before the week ends, so each has a time to be found."""

_WEEK: Final = 7 * 86_400


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and the figures behind it."""
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    gc.set_threshold(100_000, 50, 1000)  # as the controller does
    figures = [asyncio.run(_size(bizrqs, rounds)) for bizrqs in (_QUICK if quick else _FULL)]
    headings = ["bizrqs", "series", "KB", "processor time", "plain gauges", "times as long", "loop waits", "made in it"]
    rows = [
        [f"{each['bizrqs']:,}", f"{each['series']:,}", f"{each['bytes'] / 1000:,.0f}", f"{each['ms']:.0f} ms",
         f"{each['gauges: ms']:.0f} ms", f"{each['times']:.2g}", f"{each['loop waits: ms']:.0f} ms",
         f"{each['made in it: ms']:.0f} ms"]
        for each in figures
    ]  # fmt: skip
    return (headings, rows), {"rounds": rounds, "sizes": figures}


async def _size(bizrqs: int, rounds: int) -> dict[str, Any]:
    metrics, shown = ControllerMetrics(), Shown(tuple(_bizrq(number) for number in range(bizrqs)), NOW + 60, True)
    server = HealthServer(0, metrics.registry, live={}, ready={}, collect=lambda: _set(metrics, shown))
    _set(metrics, shown)
    text = generate_latest(metrics.registry)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    gauges = _plain_gauges(series)
    ours, plain, beside, within = [], [], [], []
    for _ in range(rounds):
        plain.append(_processor_time(lambda: generate_latest(gauges)))
        ours.append(_processor_time(lambda: generate_latest(metrics.registry)))
        beside.append(await _longest_wait(lambda: server._metrics(cast("web.Request", None))))  # noqa: SLF001
        within.append(await _longest_wait(lambda: _at_once(metrics)))
    print(f"  {bizrqs:,} bizrqs: done", flush=True)
    return {
        "bizrqs": bizrqs,
        "series": series,
        "bytes": len(text),
        "ms": round(median(ours) * 1e3, 1),
        "gauges: ms": round(median(plain) * 1e3, 1),
        "times": round(median(one / other for one, other in zip(ours, plain, strict=True)), 2),
        "loop waits: ms": round(median(beside) * 1e3, 1),
        "made in it: ms": round(median(within) * 1e3, 1),
    }


def _set(metrics: ControllerMetrics, shown: Shown) -> None:
    metrics.bizrqs.shown = shown


async def _at_once(metrics: ControllerMetrics) -> None:
    generate_latest(metrics.registry)


def _processor_time(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


async def _longest_wait(work: Callable[[], Awaitable[object]]) -> float:
    """The longest that a task was kept from going on while ``work`` was done, beyond the moment it asked for."""
    longest = 0.0

    async def go_on() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    task = asyncio.create_task(go_on())
    await asyncio.sleep(0.01)
    longest = 0.0
    await work()
    await asyncio.sleep(0.01)
    task.cancel()
    return longest


def _plain_gauges(series: int) -> CollectorRegistry:
    """As many series as that, of a gauge that was set before."""
    registry = CollectorRegistry()
    gauge = Gauge("reference", "As little as can be shown.", ["bizrq", "key"], registry=registry)
    for number in range(series):
        gauge.labels(f"team-{number // 50}", f"key-{number % 50}").set(number)
    return registry


def _bizrq(number: int) -> Bizrq:
    """One of a tree of three levels, as a controller has counted it."""
    tree, place = divmod(number, 1 + _DEPTS + _DEPTS * _TEAMS)
    parent = "" if not place else f"t{tree}-0" if place <= _DEPTS else f"t{tree}-{1 + (place - 1) % _DEPTS}"
    day = NOW - NOW % 86_400
    period = {"start": timestamp(day), "end": timestamp(day + _WEEK), "every": "Week", "timeZone": "UTC"}
    used = dict.fromkeys(_HARD, "1")
    status = {
        "hard": _HARD, "used": used, "selfUsed": used, "lastReconcileTime": timestamp(NOW),
        "conditions": [
            {"type": each, "status": "False", "lastTransitionTime": timestamp(NOW)}
            for each in ("Ready", "OverQuota", "CashExhausted", "SurgeStanding")
        ],
        "cash": {"ledger": dict.fromkeys(_RATE, "3600000"), "rate": _RATE, "period": period},
    }  # fmt: skip
    metadata = {"name": f"t{tree}-{place}", "uid": f"u{number}", "resourceVersion": "7", "generation": 1}
    spec = {"hard": _HARD, **({"parentBizGroup": parent} if parent else {})}
    return read_bizrq(
        {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": spec, "status": status}
    )
