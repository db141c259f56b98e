"""Which metrics exist: name, unit, labels?

One registry a process, made by its ``run.py``, so that two in one test do not meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from bizrq import __version__
from bizrq.domain.intervals import Clamp, EndSource
from bizrq.observability.bizrq_metrics import BizrqMetrics

__all__ = ["ControllerMetrics", "WebhookMetrics"]

_PREFIX: Final = "bizrq"

_SECONDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of a histogram of answers: an API server waits 10 s at most."""


class _Metrics:
    """What every process shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = Info(f"{_PREFIX}_build", "Version of this process.", registry=self.registry)
        info.info({"version": __version__})

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)


class ControllerMetrics(_Metrics):
    """The metrics of the controller."""

    def __init__(self) -> None:
        super().__init__()
        self.bizrqs = BizrqMetrics()
        """The series that each bizrq has."""
        self.registry.register(self.bizrqs)
        self.status_writes = self._counter(
            "status_writes", "Statuses written, by outcome: stored, conflict, failed.", "outcome"
        )
        self.claims_settled = self._counter(
            "claims_settled", "Claims closed by a live read: their requests had failed after they were granted."
        )
        self.events = self._counter(
            "events",
            "Events of Kubernetes, by outcome: written (new, or one more of a series), dropped (too many wait, or the "
            "API server did not take it: conditions and metrics say the same).",
            "outcome",
        )
        for outcome in ("written", "dropped"):
            self.events.labels(outcome)  # shown as 0 from the start, so that an increase can be seen
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
        self.resync_interval = Gauge(
            f"{_PREFIX}_resync_interval_seconds",
            "Every status is counted anew and written at least so often, by --resync-seconds.",
            registry=self.registry,
        )
        self.enforcement_looks = self._counter(
            "enforcement_looks",
            "Looks whether the webhook is asked and answers, by what was found: active, off, unknown.",
            "found",
        )
        for found in ("active", "off", "unknown"):
            self.enforcement_looks.labels(found)  # shown as 0 from the start, so that an increase can be seen
        self.relists = self._counter(
            "reflector_lists", "Lists taken over by a reflector; the first is the start, more are gaps.", "resource"
        )
        self.watch_failures = self._counter(
            "reflector_failures", "Requests of a reflector that failed and were tried again.", "resource"
        )
        self.reflector_age = Gauge(
            f"{_PREFIX}_reflector_age_seconds",
            "Seconds since a reflector heard anything, be it a sign of life; from its first list on.",
            ["resource"],
            registry=self.registry,
        )
        self.kopf_restarts = self._counter("kopf_restarts", "How often kopf died and was started again.")
        self.leader = Gauge(
            f"{_PREFIX}_leader", "1 while this controller works, 0 while it stands by.", registry=self.registry
        )
        self.floor_age = Gauge(
            f"{_PREFIX}_floor_age_seconds",
            "How old the newest event of pods is that the floor in the Lease covers; NaN where there is none.",
            registry=self.registry,
        )
        self.lease_failures = self._counter("lease_failures", "Requests for the Lease that failed.")
        self.objects = Gauge(f"{_PREFIX}_objects", "Objects held in memory.", ["resource"], registry=self.registry)
        self.unattributed = Gauge(
            f"{_PREFIX}_workloads_without_bizrq",
            "Labelled workloads whose bizrq does not exist: nobody is charged for them.",
            registry=self.registry,
        )
        self.uncounted = Gauge(
            f"{_PREFIX}_workloads_uncounted",
            "Labelled workloads that the description of their kind cannot count: their charge stays as it was.",
            registry=self.registry,
        )
        self.vanished = Gauge(
            f"{_PREFIX}_pods_vanished",
            "Pods found gone by comparing lists since the start; their last hours may be missing.",
            registry=self.registry,
        )
        self.homeless = Gauge(
            f"{_PREFIX}_pods_unattributed",
            "Pods that run and belong to no counted workload: their time is charged to nobody.",
            registry=self.registry,
        )
        self.unreadable = Gauge(
            f"{_PREFIX}_pod_templates_unreadable",
            "Pod templates since the start with amounts that are no quantities.",
            registry=self.registry,
        )
        self.clamps = self._counter(
            "cash_clamps", "Pods whose start or end was not charged as they said it, by why, each once a pod.", "reason"
        )
        for reason in Clamp:
            self.clamps.labels(reason.value)  # shown as 0 from the start, so that an increase can be seen
        self.inexact_ends = self._counter(
            "cash_inexact_ends",
            "Pods whose end was taken from something else than their containers' finishedAt, by what it was taken "
            "from, each once a pod; one that is corrected later stays counted.",
            "source",
        )
        for source in EndSource:
            if source > EndSource.FINISHED_AT:
                self.inexact_ends.labels(source.name.lower())

    def count_noted(self, noted: Mapping[Clamp | EndSource, int]) -> None:
        """Count what had to be moved or guessed in pods' times [C2]."""
        for what, pods in noted.items():
            if isinstance(what, Clamp):
                self.clamps.labels(what.value).inc(pods)
            else:
                self.inexact_ends.labels(what.name.lower()).inc(pods)


class WebhookMetrics(_Metrics):
    """The metrics of the webhook."""

    def __init__(self) -> None:
        super().__init__()
        self.reviews = self._counter(
            "reviews",
            "Reviews answered, by route and verdict: allowed, refused, again; probed by the controller.",
            "route",
            "verdict",
        )
        self.refusals = self._counter(
            "refusals",
            "Refusals by bizrq and by each of its keys that was to blame, an empty one where none was; without dry "
            "runs.",
            "bizrq",
            "key",
        )
        self.certificate_expiry = Gauge(
            f"{_PREFIX}_certificate_expiry_timestamp_seconds",
            "When the certificate ends that is shown to the API server.",
            registry=self.registry,
        )
        self.review_seconds = Histogram(
            f"{_PREFIX}_review_seconds",
            "Seconds from the head of a request to its verdict.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.review_failures = self._counter(
            "review_failures",
            "Reviews that could not be decided, by why: error (a traceback is logged), late (past the deadline).",
            "route",
            "why",
        )
        self.rejected = self._counter(
            "reviews_rejected",
            "Requests that were no reviews, by why: not_found (no right token or certificate, or no such route), "
            "method, too_large, unreadable, slow.",
            "why",
        )
        self.reviews_warned = self._counter(
            "reviews_warned",
            "Reviews that were allowed with a warning because of the mode warn, by route and by what they would have "
            "been: refused, again.",
            "route",
            "verdict",
        )
        self.autoscaler_refusals = self._counter(
            "autoscaler_refusals",
            "Scalings by a HorizontalPodAutoscaler that were refused, by the workload that it scales.",
            "bizrq",
            "resource",
            "namespace",
            "name",
        )
        self.access_reviews = self._counter(
            "access_reviews", "Questions to the API server for somebody's right, by answer: yes, no, failed.", "answer"
        )
        for answer in ("yes", "no", "failed"):
            self.access_reviews.labels(answer)  # shown as 0 from the start, so that an increase can be seen
        self.claims_writes = self._counter(
            "claims_writes", "Writes of claims into a status, by outcome: stored, conflict, failed.", "outcome"
        )
        self.claims_granted = self._counter("claims_granted", "Claims that were granted.")
