"""Where are the workloads of a bizrq, and which of them uses most?"""

from __future__ import annotations

from collections.abc import Sequence

from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import cash_base, is_cash
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import Workload

__all__ = ["largest_users"]


def largest_users(inventory: Inventory, bizrq: str, keys: Sequence[str], most: int) -> list[Workload]:
    """The largest user in each namespace that has workloads of ``bizrq``, those of the largest namespaces first.

    At most so many. Large is who demands much of the first of ``keys``, then of the next; behind a cash key that is
    what it is paid for. Workloads that are counted with their owner are none. A walk over all workloads.
    """
    counted = [cash_base(key) if is_cash(key) else key for key in keys]
    largest: dict[str, tuple[Sequence[Quantity], Workload]] = {}
    together: dict[str, list[Quantity]] = {}
    for workload in inventory.workloads:
        if workload.bizrq != bizrq or inventory.workloads.is_child(workload.uid):
            continue
        amounts = [workload.demand.get(key, ZERO) for key in counted]
        known = largest.get(workload.namespace)
        if known is None or (amounts, str(known[1])) > (known[0], str(workload)):
            largest[workload.namespace] = amounts, workload
        before = together.get(workload.namespace)
        together[workload.namespace] = (
            amounts if before is None else [one + other for one, other in zip(before, amounts, strict=True)]
        )
    # Sorted twice, since amounts go down and names go up.
    namespaces = sorted(sorted(together), key=together.__getitem__, reverse=True)
    return [largest[namespace][1] for namespace in namespaces[:most]]
