"""What does a pod that is resized in place hold, and from when to when? [C1, C7].

A resize goes through three stages: the spec asks (``pods/resize``), the node allocates, the containers get it. At every
stage a pod holds the most of all three, as the scheduler and ResourceQuota count it. Each change of what it holds
closes a segment of its charged time and opens the next.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from bizrq.domain.amounts import key_by_key_max
from bizrq.domain.pod_resources import Container, Held, PodResources, ResourceList, the_most_of

__all__ = ["Past", "closed", "closes_at", "resized"]

Past = tuple[tuple[int, Held], ...]
"""The closed segments of a pod, oldest first: until when it held what. The first began with the pod's start."""

MOST_SEGMENTS: Final = 100
"""Closed segments that are kept of one pod. Resizes are cheap to ask for, and each would be charged at every write."""

_RESIZABLE: Final = frozenset({"cpu", "memory"})
"""What can be resized in place; of anything else the spec never changes (validation of ``pods/resize``)."""


def resized(spec: PodResources, actual: PodResources, allocated: PodResources, *, infeasible: bool) -> PodResources:
    """What a pod states, and what its node says of it, as one.

    ``actual`` are the ``resources`` of the statuses, by the names of their containers, ``allocated`` their
    ``allocatedResources``, as requests. Per container and key the most of all counts. Where the resize is
    ``infeasible`` the node has refused what the spec asks for, and only what the node says counts; one that is
    deferred waits for its room, which nobody else gets, and counts in full. A container of which the node says
    nothing holds what its spec says, and so does a plain init container.

    Source: k8s.io/component-helpers/resource, ``determineEffectiveRequests`` and ``...Limits``.
    """
    enacted = {each.name: each for each in actual.containers}
    given = {each.name: each.requests for each in allocated.containers}

    def seen(container: Container) -> Container:
        told = enacted.get(container.name)
        if told is None:
            return container
        requests = _kept(container.requests_with_defaults(), infeasible=infeasible)
        requests = key_by_key_max(key_by_key_max(requests, told.requests), given.get(container.name, {}))
        limits = key_by_key_max(_kept(container.limits, infeasible=infeasible), told.limits)
        return replace(container, requests=requests, limits=limits)

    changed = replace(
        spec,
        containers=[seen(each) for each in spec.containers],
        init_containers=[seen(each) if each.sidecar else each for each in spec.init_containers],
    )
    if not (actual.requests or actual.limits):
        return changed
    # Of the pod as a whole only what its spec states replaces the sum of its containers.
    requests = key_by_key_max(_kept(spec.requests, infeasible=infeasible), actual.requests)
    requests = key_by_key_max(requests, allocated.requests)
    limits = key_by_key_max(_kept(spec.limits, infeasible=infeasible), actual.limits)
    return replace(
        changed,
        requests={name: amount for name, amount in requests.items() if name in spec.requests},
        limits={name: amount for name, amount in limits.items() if name in spec.limits},
    )


def _kept(stated: ResourceList, *, infeasible: bool) -> ResourceList:
    """What the spec states and nobody has refused."""
    return {name: amount for name, amount in stated.items() if name not in _RESIZABLE} if infeasible else stated


def closes_at(resizing: int | None, known: int | None, observed: int) -> int:
    """When the segment closes at whose end a pod was ``observed`` to hold something else.

    ``resizing`` is lastTransitionTime of PodResizeInProgress, and ``known`` what it was in the version before: that
    one still held the old amounts, so a time which it had already is not that of the change.
    """
    return observed if resizing is None or resizing == known or resizing > observed else resizing


def closed(past: Past, held: Held, start: int | None, at: int) -> Past:
    """``past`` after the segment in which ``held`` was held closed at ``at``.

    Nothing is closed before ``start``, nor before the last segment: what lasted no time at all leaves none. Of a pod
    that is resized without end the two oldest segments become one, with the most of both.
    """
    since = past[-1][0] if past else start
    if start is None or since is None or at <= max(since, start):
        return past
    past = (*past, (at, held))
    if len(past) > MOST_SEGMENTS:
        (_, first), (until, second), *rest = past
        past = ((until, the_most_of(first, second)), *rest)
    return past
