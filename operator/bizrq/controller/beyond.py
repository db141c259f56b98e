"""Which pods are more than their workload can have? [A8].

A pod that names an owner is charged in cash to it, and in quota not at all: the owner's demand stands for it. Where
nobody had to ask, anybody can name an owner, or a controller may err. So pods that are more than the demand and a
rollout explain are for people to see.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from bizrq.domain.bizrq import Bizrq
from bizrq.inventory.inventory import Inventory
from bizrq.observability.metrics import ControllerMetrics
from bizrq.workloads.read import Workload

__all__ = ["beyond_demand", "show_beyond", "staying_pods"]


def beyond_demand(bizrq: Bizrq, inventory: Inventory) -> int:
    """How many pods of ``bizrq`` are more than their workloads may have. A walk over its pods.

    Pods that are being deleted, or have ended, make room for others and are not among them. Those of a workload that is
    gone, or whose controller has yet to act on its spec, are leftovers [P5].
    """
    count = 0
    for uid, number in staying_pods(bizrq, inventory).items():
        workload = inventory.workloads.get(uid)
        if workload is not None and workload.settled:
            count += max(0, number - _at_most(workload))
    return count


def staying_pods(bizrq: Bizrq, inventory: Inventory) -> Counter[str]:
    """How many pods of ``bizrq`` are there to stay, by UID of the workload that they are counted with. A walk."""
    pods: Counter[str] = Counter()
    for pod in inventory.pods.of(bizrq.name):
        if pod.stays_on:
            uid = inventory.workload_of(pod)
            if uid is not None:
                pods[uid] += 1
    return pods


async def show_beyond(inventory: Inventory, metrics: ControllerMetrics) -> None:
    """Set the metric of every bizrq; those of bizrqs that are gone go away. Other tasks run between two bizrqs."""
    found: dict[str, int] = {}
    for bizrq in inventory.bizrqs:
        found[bizrq.name] = beyond_demand(bizrq, inventory)
        await asyncio.sleep(0)
    metrics.bizrqs.beyond = found


def _at_most(workload: Workload) -> int:
    """As many as it demands, and as many again in a rollout, or its maxSurge where that is more."""
    demanded = sum(group.replicas for group in workload.groups)
    return demanded + max(demanded, workload.surge if demanded else 0)
