"""Which metrics exist: name, unit, labels?

One registry a process, made by its ``run.py``, so that two in one test do not meet.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from bizrq import __version__

__all__ = ["ControllerMetrics"]

_PREFIX: Final = "bizrq"


class ControllerMetrics:
    """The metrics of the controller."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = Info(f"{_PREFIX}_build", "Version of this process.", registry=self.registry)
        info.info({"version": __version__})
        self.status_writes = self._counter(
            "status_writes", "Statuses written, by outcome: stored, conflict, failed.", "outcome"
        )
        self.drift = self._counter(
            "drift_corrected",
            "Statuses or views that were wrong and were corrected, by what was wrong: status (edited by somebody "
            "else), workloads (a watch had missed something).",
            "of",
        )
        for what in ("status", "workloads"):
            self.drift.labels(what)  # shown as 0 from the start, so that an increase can be seen
        self.resyncs = self._counter("resyncs", "Full resyncs, by outcome: done, failed.", "outcome")
        self.last_resync = Gauge(
            f"{_PREFIX}_last_resync_timestamp_seconds", "When the last full resync ended.", registry=self.registry
        )
        self.relists = self._counter(
            "reflector_lists", "Lists taken over by a reflector; the first is the start, more are gaps.", "resource"
        )
        self.watch_failures = self._counter(
            "reflector_failures", "Requests of a reflector that failed and were tried again.", "resource"
        )
        self.kopf_restarts = self._counter("kopf_restarts", "How often kopf died and was started again.")
        self.objects = Gauge(f"{_PREFIX}_objects", "Objects held in memory.", ["resource"], registry=self.registry)
        self.unattributed = Gauge(
            f"{_PREFIX}_workloads_without_bizrq",
            "Labelled workloads whose bizrq does not exist: nobody is charged for them.",
            registry=self.registry,
        )
        self.vanished = Gauge(
            f"{_PREFIX}_pods_vanished",
            "Pods found gone by comparing lists since the start; their last hours may be missing.",
            registry=self.registry,
        )
        self.unreadable = Gauge(
            f"{_PREFIX}_pod_templates_unreadable",
            "Pod templates since the start with amounts that are no quantities.",
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
