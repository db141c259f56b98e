"""What does it cost to bring the books of a quiet cluster up to date, beside a walk over all of its pods?"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from benchmarks.cash_bed import JOBS_EACH, decode_pod, inventory_of, job_uid, pod_bytes, stored, team
from benchmarks.harness import Table, median
from benchmarks.pod_bytes import NOW
from bizrq.controller.books import Quiet, books_now, period_now
from bizrq.controller.count import count
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.cash import Books
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.domain.status import new_status
from bizrq.inventory.inventory import Inventory

__all__ = ["measure"]

_FULL: Final = ((1_000, 10_000), (1_000, 100_000))
_QUICK: Final = ((100, 10_000),)
"""bizrqs and pods."""
_ROUNDS: Final = 15

_TICK: Final = 300
"""Seconds between two writes of a quiet bizrq; any number will do, for it is multiplied by."""

_SHARE: Final = 100
"""One in so many is changed."""


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and the figures behind it."""
    figures = [_size(bizrqs, pods) for bizrqs, pods in (_QUICK if quick else _FULL)]
    headings = ["bizrqs", "pods", "what", "full walk", "tick", "times as fast"]
    rows = [
        [f"{each['bizrqs']:,}", f"{each['pods']:,}", what, f"{got['walk: ms']} ms", f"{got['tick: ms']} ms",
         f"{got['times as fast']:.3g}"]
        for each in figures for what, got in each["cases"].items()
    ]  # fmt: skip
    return (headings, rows), {"rounds": _ROUNDS, "sizes": figures}


class _Cluster:
    """Bizrqs whose statuses say what their pods have cost, and pods that all run."""

    def __init__(self, bizrqs: int, pods: int) -> None:
        self.names = [team(number) for number in range(bizrqs)]
        self.inventory = inventory_of(bizrqs, NOW)
        self.events = 0
        sink = self.inventory.pods
        sink.list_began()
        for number in range(pods):
            sink.listed(decode_pod(self._pod(number, bizrqs, 2 + number)), NOW)
        self.version = 2 + pods
        sink.list_ended(self.version, NOW)
        self.bizrqs, self.pods = bizrqs, pods
        self.quiet = {name: self._written(name) for name in self.names}
        sink.stirred.clear()

    def _pod(self, number: int, bizrqs: int, version: int, **more: int) -> bytes:
        owner = job_uid(number % bizrqs, number // bizrqs % JOBS_EACH)
        scheduled = NOW - 60 - number % 3600
        return pod_bytes(number, owner, version, created=scheduled - 1, scheduled=scheduled, **more)

    def _written(self, name: str) -> Quiet:
        """The status is counted and stored, as the controller does it."""
        bizrq = stored(self.inventory, name)
        counted = count(bizrq, self.inventory, now=NOW, writer=f"bench.{name}", gpus=DEFAULT_GPU_RESOURCES)
        metadata = {**bizrq.raw["metadata"], "resourceVersion": str(self.version)}
        written = read_bizrq({**bizrq.raw, "metadata": metadata, "status": new_status(bizrq, counted)})
        self.inventory.put_bizrq(written, ours=True)
        return Quiet(written.writer, written.books, counted.books.steady_until)

    def change(self, numbers: Iterable[int]) -> None:
        """These pods end."""
        for number in numbers:
            self.version += 1
            raw = self._pod(number, self.bizrqs, self.version, finished=NOW + 1)
            self.inventory.pods.changed(decode_pod(raw), NOW + 1)


def _size(bizrqs: int, pods: int) -> dict[str, Any]:
    cluster = _Cluster(bizrqs, pods)
    cases = {"nothing changed": _timed(cluster), "nothing changed, the whole status": _timed(cluster, whole=True)}
    few = bizrqs // _SHARE
    cluster.change(number for number in range(pods) if number % bizrqs < few)
    cases["pods of 1 % of the bizrqs changed"] = _timed(cluster)
    # The same share of all pods, as evenly as can be: no bizrq is quiet any more.
    cluster.change(number for number in range(pods) if number // bizrqs % _SHARE == 0)
    cases["1 % of the pods changed, of all bizrqs"] = _timed(cluster)
    print(f"  {bizrqs:,} bizrqs, {pods:,} pods: done", flush=True)
    return {"bizrqs": bizrqs, "pods": pods, "cases": cases}


def _timed(cluster: _Cluster, *, whole: bool = False) -> dict[str, float]:
    tick = _tick_of_statuses if whole else _tick
    walks, ticks = [], []
    for number in range(_ROUNDS):
        now = NOW + _TICK + number
        spent, walked = _pass(tick, cluster, now, {})
        walks.append(spent)
        spent, carried = _pass(tick, cluster, now, cluster.quiet)
        ticks.append(spent)
        for one, other in zip(walked, carried, strict=True):
            if (one.ledger, one.settled, one.rate, one.seen) != (other.ledger, other.settled, other.rate, other.seen):
                sys.exit(f"the walk says {one}, rate x time {other}")
    return {
        "walk: ms": round(median(walks) * 1e3, 1),
        "tick: ms": round(median(ticks) * 1e3, 1),
        "times as fast": round(median(one / other for one, other in zip(walks, ticks, strict=True)), 2),
    }


def _pass(tick: Any, cluster: _Cluster, now: int, quiet: Mapping[str, Quiet]) -> tuple[float, list[Books]]:
    began = time.process_time()
    books = tick(cluster.inventory, cluster.names, now, quiet)
    return time.process_time() - began, books


def _tick(inventory: Inventory, names: Iterable[str], now: int, quiet: Mapping[str, Quiet]) -> list[Books]:
    find = inventory.bizrqs.get
    result = []
    for name in names:
        bizrq = stored(inventory, name)
        state, closed = period_now(bizrq, find, now)
        result.append(books_now(bizrq, inventory, now=now, closed=closed, state=state, quiet=quiet.get(name)))
    return result


def _tick_of_statuses(inventory: Inventory, names: Iterable[str], now: int, quiet: Mapping[str, Quiet]) -> list[Books]:
    """All that a status says, its text included, as at a resync."""
    result = []
    for name in names:
        bizrq = stored(inventory, name)
        counted = count(bizrq, inventory, now=now, writer="bench.1", gpus=DEFAULT_GPU_RESOURCES, quiet=quiet.get(name))
        new_status(bizrq, counted)
        result.append(counted.books)
    return result
