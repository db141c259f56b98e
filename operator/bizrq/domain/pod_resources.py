"""What does one pod hold at its peak, and what must it state? [P1-P4].

The walk is ResourceQuota's own (k8s.io/component-helpers, PodRequests and PodLimits), on a pod or on the template of
one: what the API server fills in on a pod only, a request missing beside a limit, is filled in here first [P2].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from bizrq.domain.amounts import add_into, key_by_key_max
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, NO_MODELS, keys_of_limit, keys_of_request

__all__ = [
    "NO_OVERHEADS",
    "Container",
    "Held",
    "Overheads",
    "PodResources",
    "ResourceList",
    "held",
    "the_most_of",
    "unstated",
    "with_overhead",
]

ResourceList = Mapping[str, Quantity]
"""Amount by container resource name, such as ``cpu`` or ``nvidia.com/gpu``."""

Overheads = Mapping[str, ResourceList]
"""What each RuntimeClass adds to a pod, by the name of the class; one that is not there adds nothing [P3]."""

NO_OVERHEADS: Final[Overheads] = {}

_MILLI: Final = 10**6  # nano-units in a milli-unit


class Container(msgspec.Struct, frozen=True, gc=False):
    """What one container states."""

    name: str
    requests: ResourceList = msgspec.field(default_factory=dict)
    limits: ResourceList = msgspec.field(default_factory=dict)
    sidecar: bool = False
    """An init container with ``restartPolicy: Always``: it runs on beside the others."""

    def requests_with_defaults(self) -> ResourceList:
        """Its requests, a missing one copied from the limit as the API server does on pods [P2]."""
        return {**self.limits, **self.requests} if self.limits else self.requests


class PodResources(msgspec.Struct, frozen=True, gc=False):
    """What a pod or a pod template states about its resources."""

    containers: Sequence[Container]
    init_containers: Sequence[Container] = ()
    """In start order."""
    requests: ResourceList = msgspec.field(default_factory=dict)
    """``spec.resources.requests`` of the pod as a whole."""
    limits: ResourceList = msgspec.field(default_factory=dict)
    overhead: ResourceList = msgspec.field(default_factory=dict)
    """Of the pod's RuntimeClass, which the API server writes here; a template seldom states it [P3]."""
    runtime_class: str = ""
    """The name of its RuntimeClass; "" where it has none."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """The most that one pod holds at a time, by container resource name, every value in whole milli-units [P3]."""

    requests: ResourceList
    limits: ResourceList


def held(pod: PodResources) -> Held:
    """The most that ``pod`` holds at a time [P1-P3]."""
    requests = _peak(
        [container.requests_with_defaults() for container in pod.containers],
        [(container.requests_with_defaults(), container.sidecar) for container in pod.init_containers],
    )
    limits = _peak(
        [container.limits for container in pod.containers],
        [(container.limits, container.sidecar) for container in pod.init_containers],
    )
    if pod.requests or pod.limits:
        requests |= _pod_level_requests(pod, requests)
        limits |= {name: amount for name, amount in pod.limits.items() if _is_pod_level(name)}
    if pod.overhead:
        _add_overhead(requests, limits, pod.overhead)
    return Held(_in_milli(requests), _in_milli(limits))


def with_overhead(pod: Held, overhead: ResourceList) -> Held:
    """What ``pod`` holds once the overhead of its RuntimeClass has been added [P3]."""
    if not overhead:
        return pod
    requests, limits = dict(pod.requests), dict(pod.limits)
    _add_overhead(requests, limits, overhead)
    return Held(_in_milli(requests), _in_milli(limits))


def _add_overhead(requests: dict[str, Quantity], limits: dict[str, Quantity], overhead: ResourceList) -> None:
    """Added last: to requests always, to limits only where that limit is there and not zero [P3]."""
    add_into(requests, overhead)
    add_into(limits, {name: amount for name, amount in overhead.items() if limits.get(name)})


def the_most_of(left: Held, right: Held) -> Held:
    """What a pod holds that held both, one after the other: by resource the larger amount."""
    return Held(key_by_key_max(left.requests, right.requests), key_by_key_max(left.limits, right.limits))


def _peak(
    containers: Iterable[ResourceList], init_containers: Iterable[tuple[ResourceList, bool]]
) -> dict[str, Quantity]:
    """max(containers and sidecars together, the peak over the init containers in order) [P1]."""
    together: dict[str, Quantity] = {}
    for amounts in containers:
        add_into(together, amounts)
    sidecars: dict[str, Quantity] = {}
    starting: dict[str, Quantity] = {}
    for amounts, sidecar in init_containers:
        if sidecar:
            add_into(sidecars, amounts)
            continue
        # A plain one runs beside the sidecars started so far, and before all containers. What it does not ask for is no
        # peak: these sidecars, and more, run beside the containers, too.
        _raise_to(starting, {name: sidecars.get(name, ZERO) + amount for name, amount in amounts.items()})
    add_into(together, sidecars)
    _raise_to(together, starting)
    return together


def _pod_level_requests(pod: PodResources, from_containers: ResourceList) -> dict[str, Quantity]:
    """Requests that the pod as a whole states, completed as the API server does [P2, P3].

    Where it has limits of its own, a request it lacks is what the containers ask for together (not for hugepages,
    which cannot be overcommitted), else its limit (apis/core/v1 defaultPodRequests).
    """
    stated = {name: amount for name, amount in pod.requests.items() if _is_pod_level(name)}
    if pod.limits:
        for name, amount in from_containers.items():
            if _is_pod_level(name) and not name.startswith("hugepages-"):
                stated.setdefault(name, amount)
        for name, amount in pod.limits.items():
            if _is_pod_level(name):
                stated.setdefault(name, amount)
    return stated


def _is_pod_level(resource: str) -> bool:
    """Whether ``spec.resources`` of a pod decides about ``resource``; the others stay with the containers."""
    return resource in {"cpu", "memory"} or resource.startswith("hugepages-")


def _raise_to(total: dict[str, Quantity], least: ResourceList) -> None:
    for name, amount in least.items():
        known = total.get(name)
        if known is None or known.nano < amount.nano:
            total[name] = amount


def _in_milli(amounts: ResourceList) -> ResourceList:
    if any(amount.nano % _MILLI for amount in amounts.values()):  # what came through read_pod_spec is rounded already
        return {name: amount.rounded_up_to_milli() for name, amount in amounts.items()}
    return amounts


# --- what must be stated [P4] ----------------------------------------------------------------------------------------

_MUST_BE_STATED: Final = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def unstated(pod: PodResources, limited: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The keys of ``limited`` that some container must state and does not, with these containers' names [P4].

    Both in alphabetical order; 0 is a statement. Empty where the pod as a whole states its resources.
    """
    if any(_is_pod_level(name) for amounts in (pod.requests, pod.limits) for name in amounts):
        return {}
    required = _MUST_BE_STATED.intersection(limited)
    missing: dict[str, set[str]] = {}
    for container in (*pod.containers, *pod.init_containers):
        for key in required - _stated_keys(container):
            missing.setdefault(key, set()).add(container.name)
    return {key: tuple(sorted(missing[key])) for key in sorted(missing)}


def _stated_keys(container: Container) -> set[str]:
    stated: set[str] = set()
    for name in container.requests_with_defaults():
        stated.update(keys_of_request(name, NO_MODELS, DEFAULT_GPU_RESOURCES))
    for name in container.limits:
        stated.update(keys_of_limit(name, NO_MODELS))
    return stated
