"""What does a scrape show of the controller right now?"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.clock import Clock
from bizrq.cluster.reflector import Reflector
from bizrq.controller.enforcement import Enforcement
from bizrq.controller.leader import Leadership
from bizrq.inventory.inventory import Inventory
from bizrq.observability.bizrq_metrics import Shown
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["Showing", "show_bizrqs"]


@dataclass(frozen=True, slots=True)
class Showing:
    """Brings the metrics up to date before each scrape."""

    metrics: ControllerMetrics
    inventory: Inventory
    leadership: Leadership
    reflectors: Mapping[str, Reflector[Any]]
    """By the name of their resource."""
    enforcement: Enforcement
    clock: Clock

    def __call__(self) -> None:
        """Set what has no event of its own."""
        inventory, metrics, now, leading = self.inventory, self.metrics, self.clock.now(), self.leadership.leading
        objects = metrics.objects
        objects.labels("bizrqs").set(len(inventory.bizrqs))
        objects.labels("workloads").set(len(inventory.workloads))
        objects.labels("pods").set(len(inventory.pods))
        objects.labels("owners").set(len(inventory.owners))
        objects.labels("runtimeclasses").set(len(inventory.runtime_classes))
        metrics.leader.set(leading)
        floor = self.leadership.floor
        metrics.floor_age.set(max(0, now - floor.time) if floor else math.nan)
        metrics.vanished.set(inventory.pods.vanished)
        metrics.homeless.set(inventory.pods.unattributed(now))
        metrics.unreadable.set(inventory.pods.holdings.unreadable)
        metrics.uncounted.set(inventory.workloads.uncounted)
        metrics.count_noted(inventory.pods.versions.take_noted())
        metrics.unattributed.set(
            sum(1 for workload in inventory.workloads if inventory.bizrqs.get(workload.bizrq) is None)
        )
        self._show_reflectors()
        show_bizrqs(inventory, metrics, now, leading=leading, enforcement=self.enforcement.active)

    def _show_reflectors(self) -> None:
        now = asyncio.get_running_loop().time()
        for name, reflector in self.reflectors.items():
            if reflector.heard > -math.inf:
                self.metrics.reflector_age.labels(name).set(max(0.0, now - reflector.heard))


def show_bizrqs(
    inventory: Inventory, metrics: ControllerMetrics, now: int, *, leading: bool, enforcement: bool | None = None
) -> None:
    """Have the next scrape show every bizrq as it is known now; none of them while another controller leads."""
    metrics.bizrqs.shown = Shown(tuple(inventory.bizrqs), now, enforcement) if leading else Shown()
