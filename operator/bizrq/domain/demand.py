"""What does a whole workload ask for, key by key, with models? [K1, K2].

The demand of a workload is the sum over its pod groups of replicas x what one pod of the template asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bizrq.domain.pod_resources import Held
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import PODS, GpuResources, Models, keys_of_limit, keys_of_request

__all__ = ["PodGroup", "demand", "pod_amounts"]

_ONE: Final = Quantity.of(1)


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods of one template: a Deployment has one such group, a TFJob one a replica type."""

    replicas: int
    """At least 0."""
    pod: Held


def demand(groups: Iterable[PodGroup], models: Models, gpus: GpuResources, *, count: str) -> dict[str, Quantity]:
    """Every key that the workload is charged on and how much [K1, K2, A4], also keys that no ``hard`` limits.

    ``count`` is the key that counts workloads of its kind; a workload without any pod still exists and counts there.
    """
    result: dict[str, Quantity] = {count: _ONE}
    for group in groups:
        if group.replicas > 0:
            _charge(result, group.pod, models, gpus, group.replicas)
            pods = Quantity.of(group.replicas)
            result[PODS] = result[PODS] + pods if PODS in result else pods
    return result


def pod_amounts(pod: Held, models: Models, gpus: GpuResources) -> Mapping[str, Quantity]:
    """Every compute key that one such pod is charged on and how much [K1, K2]; ``pods`` is not among them."""
    result: dict[str, Quantity] = {}
    _charge(result, pod, models, gpus, 1)
    return result


def _charge(result: dict[str, Quantity], pod: Held, models: Models, gpus: GpuResources, times: int) -> None:
    """Add what ``times`` such pods are charged.

    Added, never replaced: a resource called nvidia.com/gpu.A30 stands on the key of the model A30 too, and a 0 of it
    must not wipe out the real cards.
    """
    for resource, amount in pod.requests.items():
        whole = amount * times
        for key in keys_of_request(resource, models, gpus):
            known = result.get(key)
            result[key] = whole if known is None else known + whole
    for resource, amount in pod.limits.items():
        whole = amount * times
        for key in keys_of_limit(resource, models):
            known = result.get(key)
            result[key] = whole if known is None else known + whole
