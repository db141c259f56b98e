"""What does one fresh process need for N pods that come and go, so many of them side by side?

``python -m benchmarks.b6_process PODS TOGETHER`` prints one line of JSON. Each pod is created, gets its node, ends and
is deleted: five events, as a watch brings them. Statuses are written meanwhile, and in the end their ledgers must be
what all pods have cost, to the second.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.cash_bed import AMOUNTS, BEGAN, JOBS_EACH, decode_pod, inventory_of, job_uid, pod_bytes, stored, team
from benchmarks.pod_bytes import NOW
from bizrq.cluster.objects import Pod, WatchEvent
from bizrq.controller.books import books_now, period_now
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.periods import as_json
from bizrq.domain.quantity import parse
from bizrq.domain.status import put_books
from bizrq.domain.times import timestamp

_BIZRQS: Final = 1_000

_BATCH: Final = 5_000
"""Events between two looks at what is to be written. Their bytes are part of the memory."""

_WRITES: Final = 50
"""Statuses written after each batch, as many as the API server stores in the time that the inventory takes for it."""

_RUNS: Final = 30
"""Seconds of the shortest pod; they differ by up to a minute."""

_events: Final = msgspec.json.Decoder(WatchEvent)

Event = tuple[str, bytes, int]
"""Its type, its line, and when it comes."""


def _life(number: int) -> tuple[int, int]:
    """When a pod gets its node, and when it ends."""
    began = NOW + number % 600
    return began, began + _RUNS + number % 61


def _events_of(pods: int, together: int) -> Iterator[Event]:
    """``together`` pods come, and go before the next ones do."""
    version = 10
    for first in range(0, pods, together):
        numbers = range(first, min(first + together, pods))
        for step in ("created", "scheduled", "running", "ended", "deleted"):
            for number in numbers:
                version += 1
                scheduled, finished = _life(number)
                owner = job_uid(number % _BIZRQS, number // _BIZRQS % JOBS_EACH)
                raw = pod_bytes(
                    number,
                    owner,
                    version,
                    created=scheduled - 1,
                    scheduled=None if step == "created" else scheduled,
                    finished=finished if step in {"ended", "deleted"} else None,
                )
                kind = {"created": "ADDED", "deleted": "DELETED"}.get(step, "MODIFIED")
                at = finished if step in {"ended", "deleted"} else scheduled
                yield kind, b'{"type":"%s","object":%s}' % (kind.encode(), raw), at


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class Stream:
    """Takes events in, and has statuses written."""

    def __init__(self) -> None:
        self.inventory = inventory_of(_BIZRQS, NOW)
        pods = self.inventory.pods
        pods.list_began()
        pods.list_ended(10, BEGAN)
        self.waiting: dict[str, None] = {}
        """Bizrqs whose status is to be written, the longest waiting first."""
        self.decoding = self.ours = self.statuses = 0.0
        self.events = self.written = 0

    def take(self, batch: list[Event]) -> None:
        """One batch: decoded alone, for reference; then decoded and taken in."""
        began = time.process_time()
        for _, line, _ in batch:
            decode_pod(_events.decode(line).object)
        decoded = time.process_time()
        pods = self.inventory.pods
        for kind, line, at in batch:
            item: Pod = decode_pod(_events.decode(line).object)
            if kind == "DELETED":
                pods.deleted(item, at)
            else:
                pods.changed(item, at)
        self.decoding += decoded - began
        self.ours += time.process_time() - decoded
        self.events += len(batch)

    def write(self, most: int) -> None:
        """Write the statuses of those bizrqs that wait longest."""
        stirred = self.inventory.pods.stirred
        self.waiting |= dict.fromkeys(sorted(stirred))
        stirred.clear()
        began = time.process_time()
        for name in list(self.waiting)[:most]:
            del self.waiting[name]
            self._write(name)
            self.written += 1
        self.statuses += time.process_time() - began

    def _write(self, name: str) -> None:
        now = NOW + 3600
        bizrq = stored(self.inventory, name)
        state, closed = period_now(bizrq, self.inventory.bizrqs.get, now)
        books = books_now(bizrq, self.inventory, now=now, closed=closed, state=state)
        seen = self.inventory.pods.view(now)
        cash: dict[str, Any] = {"period": as_json(state), "seen": f"{seen.version} {timestamp(seen.time)}"}
        put_books(cash, books)
        metadata = {**bizrq.raw["metadata"], "resourceVersion": str(bizrq.version + 1)}
        status = {"lastReconcileTime": timestamp(now), "writer": "bench.1", "cash": cash}
        self.inventory.put_bizrq(read_bizrq({**bizrq.raw, "metadata": metadata, "status": status}), ours=True)

    def check(self, pods: int) -> None:
        """Stop where the figures would be those of a wrong result."""
        held = self.inventory.pods
        if len(held) or any(True for number in range(_BIZRQS) for _ in held.of(team(number))):
            sys.exit("pods are left over")
        wanted = [0] * _BIZRQS
        for number in range(pods):
            scheduled, finished = _life(number)
            wanted[number % _BIZRQS] += _MILLI[number % len(_MILLI)] * (finished - scheduled)
        for number, cost in enumerate(wanted):
            booked = stored(self.inventory, team(number)).books.ledger["limits.cpu"]
            if booked != cost:
                sys.exit(f"{team(number)}: {booked} is booked, {cost} was used")


_MILLI: Final = [parse(cpu).milli() for cpu, _, _ in AMOUNTS]


def _resident() -> int:
    """Bytes of this process in memory, after everything that can be freed has been."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure what the command line says."""
    pods, together = int(sys.argv[1]), int(sys.argv[2])
    gc.set_threshold(100_000, 50, 1000)  # as the controller
    stream = Stream()
    before = _resident()
    for batch in _batches(_events_of(pods, together)):
        stream.take(batch)
        stream.write(_WRITES)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    while stream.waiting or stream.inventory.pods.stirred:
        stream.write(_BIZRQS)
    stream.check(pods)
    result = {
        "events": stream.events,
        "written": stream.written,
        "decoding": stream.decoding,
        "ours": stream.ours,
        "statuses": stream.statuses,
        "resident before": before,
        "resident peak": peak,
        "resident after": _resident(),
    }
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
