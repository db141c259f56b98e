"""What does the first list of all pods cost, and their watch, beside decoding the same bytes?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.cluster_bytes import Cluster, write_cluster
from benchmarks.harness import Table, child, median
from benchmarks.pod_server import running

__all__ = ["measure"]

_FULL: Final = ((1_000, 9), (10_000, 7), (100_000, 5))
_QUICK: Final = ((1_000, 3), (10_000, 3))
"""Pods, and rounds of reference, bare connection and ours, one after the other."""

_EVENTS: Final = 20_000
_MODES: Final = ("reference", "transport", "ours")


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and all figures of all rounds."""
    figures = [_size(pods, rounds) for pods, rounds in (_QUICK if quick else _FULL)]
    return _table(figures), {"sizes": figures}


def _size(pods: int, rounds: int) -> dict[str, Any]:
    measured: dict[str, list[dict[str, Any]]] = {mode: [] for mode in _MODES}
    with tempfile.TemporaryDirectory(prefix="bizrq-b2-") as name:
        folder = Path(name)
        cluster = write_cluster(folder, pods, min(_EVENTS, 2 * pods))
        for number in range(rounds):
            for mode in _MODES:
                with running(folder) as port:
                    measured[mode].append(child("benchmarks.b2_process", mode, name, str(port)))
            print(f"  {pods:>7,} pods: round {number + 1} of {rounds}", flush=True)
    return {"pods": pods, "rounds": rounds, "medians": _medians(cluster, measured), "measured": measured}


def _medians(cluster: Cluster, measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    def middle(mode: str, figure: str) -> float:
        return median(each[figure] for each in measured[mode])

    micro = 1e6 / cluster.pods
    reference, ours = middle("reference", "cpu"), middle("ours", "cpu")
    return {
        "bytes a pod": round(cluster.pod_bytes / cluster.pods),
        "reference: us a pod": round(reference * micro, 2),
        "bare connection: us a pod": round(middle("transport", "cpu") * micro, 2),
        "ours: us a pod": round(ours * micro, 2),
        "ratio": round(median(
            mine["cpu"] / theirs["cpu"] for mine, theirs in zip(measured["ours"], measured["reference"], strict=True)
        ), 2),
        "ours: seconds": round(middle("ours", "wall"), 2),
        "bytes kept a pod": round(middle("ours", "resident") / cluster.pods),
        "longest stall: ms": round(middle("ours", "stall") * 1e3, 1),
        "longest stall in processor time: ms": round(middle("ours", "stall_busy") * 1e3, 1),
        "ReplicaSets: us each": round(middle("ours", "owners_cpu") / cluster.replica_sets * 1e6, 1),
        "events a second": round(median(cluster.events / each["events_wall"] for each in measured["ours"])),
        "us an event": round(middle("ours", "events_cpu") / cluster.events * 1e6, 1),
    }  # fmt: skip


def _table(figures: Sequence[Mapping[str, Any]]) -> Table:
    headings = [
        "pods", "reference CPU", "connection CPU", "our CPU", "ratio", "kept a pod", "longest stall", "until synced",
        "an event", "events/s",
    ]  # fmt: skip
    rows = []
    for each in figures:
        got = each["medians"]
        rows.append([
            f"{each['pods']:,}",
            f"{got['reference: us a pod']} us",
            f"{got['bare connection: us a pod']} us",
            f"{got['ours: us a pod']} us",
            f"{got['ratio']}",
            f"{got['bytes kept a pod']:,} B",
            f"{got['longest stall: ms']} ms ({got['longest stall in processor time: ms']})",
            f"{got['ours: seconds']} s",
            f"{got['us an event']} us",
            f"{got['events a second']:,}",
        ])  # fmt: skip
    return headings, rows
