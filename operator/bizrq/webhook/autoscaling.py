"""Who scales by itself, what is answered to it, and what is remembered of its refusals? [A10]."""

from __future__ import annotations

from typing import Final

from bizrq.observability.metrics import WebhookMetrics
from bizrq.settings import Autoscalers
from bizrq.webhook.modes import Modes
from bizrq.webhook.review import Request, Verdict
from bizrq.workloads.read import Workload

__all__ = ["AUTOSCALER", "MOST_SERIES", "ROUTE", "Autoscaling", "is_by_autoscaler", "let_by"]

ROUTE: Final = "autoscalers"
"""The path at which autoscalers' objects are reviewed."""

AUTOSCALER: Final = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
"""The user name of the controller of HorizontalPodAutoscalers."""

_AUTOSCALERS: Final = frozenset({AUTOSCALER, "system:kube-controller-manager"})
"""The other one is its name where controllers have no identity each; none of the others there scales anything."""

MOST_SERIES: Final = 1000
"""Workloads of which refusals are counted; whoever may make workloads chooses their names."""


def is_by_autoscaler(request: Request) -> bool:
    """Whether a HorizontalPodAutoscaler scales."""
    return request.sub_resource == "scale" and request.user_info.username in _AUTOSCALERS


def let_by(route: str, verdict: Verdict) -> Verdict:
    """The verdict, unless it holds up an autoscaler's object: what cannot be decided of that is allowed."""
    return Verdict.allow() if route == ROUTE and verdict.retry_after else verdict


class Autoscaling:
    """How autoscalers are answered, and how often they were refused."""

    def __init__(self, too_high: Autoscalers, modes: Modes, metrics: WebhookMetrics) -> None:
        self.too_high = too_high
        """What becomes of an object whose maximum does not fit."""
        self._modes, self._metrics = modes, metrics
        self._series: dict[tuple[str, str, str, str], None] = {}

    async def note(self, request: Request, workload: Workload, verdict: Verdict) -> None:
        """Count a scaling that an autoscaler is refused; it asks again some times a minute."""
        if verdict.allowed or verdict.retry_after or request.dry_run or not is_by_autoscaler(request):
            return
        if await self._modes.warns(request.namespace):
            return
        labels = (workload.bizrq, workload.kind.id, workload.namespace, workload.name)
        self._series.pop(labels, None)
        if len(self._series) >= MOST_SERIES:
            oldest = next(iter(self._series))
            del self._series[oldest]
            self._metrics.autoscaler_refusals.remove(*oldest)
        self._series[labels] = None
        self._metrics.autoscaler_refusals.labels(*labels).inc()
