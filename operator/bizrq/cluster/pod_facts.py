"""What does one version of a pod say about its times? [C1, C2]."""

from __future__ import annotations

from typing import Final

import msgspec

from bizrq.cluster.objects import Condition, Pod, PodStatus
from bizrq.domain.intervals import PodFacts
from bizrq.domain.times import instant

__all__ = ["facts_of"]

_READY: Final = frozenset({"Ready", "ContainersReady"})
_ENDED: Final = frozenset({"PodCompleted", "PodFailed"})
_RARE: Final = frozenset({"DisruptionTarget", "PodResizeInProgress", "PodResizePending"})


def facts_of(pod: Pod) -> PodFacts:
    """The instants of one version of a pod [C1, C2]."""
    metadata, status = pod.metadata, pod.status
    facts = PodFacts(instant(metadata.creation_timestamp) or 0, bool(pod.spec.node_name))
    for condition in status.conditions or ():
        kind = condition.type
        if kind == "PodScheduled":
            if condition.status == "True":
                facts.scheduled = instant(condition.last_transition_time)
            else:
                facts.unscheduled = True
        elif kind in _READY:
            if condition.reason in _ENDED and condition.status == "False":
                moment = instant(condition.last_transition_time)
                if moment is not None:
                    facts.completed = moment if facts.completed is None else min(facts.completed, moment)
        elif kind in _RARE:
            _read_rare(facts, condition)
    facts.started = instant(status.start_time)
    if metadata.annotations is not None and metadata.annotations.mirror is not None:
        # The kubelet's own; the annotation alone could be written by anybody.
        facts.mirror = any(owner.kind == "Node" for owner in metadata.owner_references or ())
    if metadata.deletion_timestamp is not None:
        facts.deletion = instant(metadata.deletion_timestamp)
        facts.grace = metadata.deletion_grace_period_seconds
    if status.phase in {"Succeeded", "Failed"}:
        facts.terminal = True
        facts.finished = finished = _finished(status)
        if not finished or None in finished:
            facts.touched = _status_touched(metadata.managed_fields)
    return facts


def _read_rare(facts: PodFacts, condition: Condition) -> None:
    if condition.type == "PodResizePending":
        facts.infeasible = condition.reason == "Infeasible"
    elif condition.status == "True":
        moment = instant(condition.last_transition_time)
        if condition.type == "DisruptionTarget":
            facts.disrupted = moment
        else:
            facts.resizing = moment


def _finished(status: PodStatus) -> tuple[int | None, ...]:
    return tuple(
        instant(each.state.terminated.finished_at)
        for each in status.statuses()
        if each.state is not None and each.state.terminated is not None
    )


class _ManagedField(msgspec.Struct, gc=False):
    time: str | None = None
    subresource: str = ""


_managed_fields = msgspec.json.Decoder(list[_ManagedField] | None)


def _status_touched(raw: msgspec.Raw) -> int | None:
    """When anything in the status was written last."""
    moments = [instant(each.time) for each in _managed_fields.decode(raw) or () if each.subresource == "status"]
    return max((moment for moment in moments if moment is not None), default=None)
