"""What does a whole workload ask for, key by key, with models? [K1, K2].

The demand of a workload is the sum over its pod groups of replicas x what one pod of the template asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bizrq.domain.pod_resources import NO_OVERHEADS, Held, Overheads, ResourceList, the_most_of, with_overhead
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import PODS, GpuResources, Models, keys_of_limit, keys_of_request

__all__ = ["PodGroup", "demand", "largest", "never_grows", "pod_amounts"]

_ONE: Final = Quantity.of(1)


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods of one template: a Deployment has one such group, a TFJob one a replica type."""

    replicas: int
    """At least 0."""
    pod: Held
    """Without what its RuntimeClass adds."""
    runtime_class: str = ""
    """The class that adds to each pod; "" where none does."""

    def held_under(self, overheads: Overheads) -> Held:
        """What one pod holds, with what its RuntimeClass adds [P3]."""
        overhead = overheads.get(self.runtime_class) if self.runtime_class else None
        return with_overhead(self.pod, overhead) if overhead else self.pod


def demand(
    groups: Iterable[PodGroup], models: Models, gpus: GpuResources, *, count: str, overheads: Overheads = NO_OVERHEADS
) -> dict[str, Quantity]:
    """Every key that the workload is charged on and how much [K1, K2, P3, A4], also keys that no ``hard`` limits.

    ``count`` is the key that counts workloads of its kind; a workload without any pod still exists and counts there.
    """
    result: dict[str, Quantity] = {count: _ONE}
    for group in groups:
        if group.replicas > 0:
            _charge(result, group.held_under(overheads), models, gpus, group.replicas)
            pods = Quantity.of(group.replicas)
            result[PODS] = result[PODS] + pods if PODS in result else pods
    return result


def largest(groups: Iterable[PodGroup], overheads: Overheads) -> Held | None:
    """The most that one pod of any of these groups holds, resource by resource; None where there is no group."""
    most: Held | None = None
    for group in groups:
        pod = group.held_under(overheads)
        most = pod if most is None else the_most_of(most, pod)
    return most


def never_grows(before: Sequence[PodGroup], after: Sequence[PodGroup]) -> bool:
    """Whether ``after`` demands no more than ``before`` whatever their RuntimeClasses add, group by group [A5].

    A limit that is not zero was not zero before either, so overhead goes to no more limits than it did.
    """
    if all(now.replicas <= 0 for now in after):
        return True
    return len(before) == len(after) and all(
        now.replicas <= 0
        or (
            now.replicas <= was.replicas
            and now.runtime_class == was.runtime_class
            and _fits(now.pod.requests, was.pod.requests)
            and _fits(now.pod.limits, was.pod.limits)
        )
        for was, now in zip(before, after, strict=True)
    )


def _fits(amounts: ResourceList, within: ResourceList) -> bool:
    return all(amount.nano <= 0 or amount <= within.get(name, ZERO) for name, amount in amounts.items())


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
