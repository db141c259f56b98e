"""Which fields of the API's JSON are read, and nothing else?

msgspec decodes straight into these; what they do not name is skipped without being built. The parts of a pod that say
what it holds stay raw bytes, since the pods of a cluster share few templates: equal bytes are worked out once.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

from bizrq.domain.intervals import PodFacts
from bizrq.domain.times import instant

__all__ = [
    "Definition",
    "Listed",
    "Metadata",
    "Owned",
    "Page",
    "Pod",
    "RuntimeClass",
    "WatchEvent",
    "facts_of",
    "template_of",
]

_NOTHING: Final = msgspec.Raw(b"null")


class OwnerReference(msgspec.Struct, gc=False):
    """One owner; at most one is the controller."""

    uid: str
    kind: str = ""
    controller: bool | None = None


class Annotations(msgspec.Struct, gc=False):
    """The one annotation that matters: a mirror pod is the kubelet's own."""

    mirror: str | None = msgspec.field(name="kubernetes.io/config.mirror", default=None)


class Metadata(msgspec.Struct, rename="camel", gc=False):
    """What every object has."""

    uid: str
    resource_version: str
    namespace: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[OwnerReference] | None = None
    annotations: Annotations | None = None
    managed_fields: msgspec.Raw = _NOTHING

    @property
    def version(self) -> int:
        """The resourceVersion as the number that it is by contract since Kubernetes 1.35."""
        return int(self.resource_version)

    @property
    def controller(self) -> str | None:
        """UID of the owner that controls this object."""
        for owner in self.owner_references or ():
            if owner.controller:
                return owner.uid
        return None

    @property
    def controller_kind(self) -> str:
        """Kind of that owner; "" where there is none."""
        for owner in self.owner_references or ():
            if owner.controller:
                return owner.kind
        return ""


class Listed(msgspec.Struct, rename="camel", gc=False):
    """The metadata of a list or a bookmark."""

    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item]):
    """One page of a list."""

    metadata: Listed
    items: list[Item] | None = None
    """null where a list of PartialObjectMetadata is empty."""


class WatchEvent(msgspec.Struct, gc=False):
    """One line of a watch; what its object is depends on the type."""

    type: str
    object: msgspec.Raw


class Owned(msgspec.Struct, gc=False):
    """An object of which only the metadata matters: a ReplicaSet between a pod and its workload."""

    metadata: Metadata


class Named(Metadata, rename="camel", gc=False):
    """The metadata of an object that others refer to by its name."""

    name: str = ""


class Definition(msgspec.Struct, gc=False):
    """A CRD, of which only the name matters."""

    metadata: Named


class RuntimeClass(msgspec.Struct, gc=False):
    """What is added to each pod that names this class."""

    metadata: Named
    overhead: Any = None
    """As JSON: ``{"podFixed": {...}}``."""


# --- pods ------------------------------------------------------------------------------------------------------------


class ContainerSpec(msgspec.Struct, rename="camel", gc=False):
    """What a container holds."""

    resources: msgspec.Raw = _NOTHING
    restart_policy: str | None = None


class PodSpec(msgspec.Struct, rename="camel", gc=False):
    """What a pod holds and where."""

    containers: list[ContainerSpec]
    init_containers: list[ContainerSpec] | None = None
    node_name: str = ""
    overhead: msgspec.Raw = _NOTHING
    resources: msgspec.Raw = _NOTHING


class Condition(msgspec.Struct, rename="camel", gc=False):
    """A condition of a pod."""

    type: str
    status: str
    reason: str | None = None
    last_transition_time: str | None = None


class Terminated(msgspec.Struct, rename="camel", gc=False):
    """The end of a container."""

    finished_at: str | None = None


class ContainerState(msgspec.Struct, gc=False):
    """Only the end matters."""

    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, gc=False):
    """The state of a container; ``lastState`` never is an end."""

    state: ContainerState | None = None


class PodStatus(msgspec.Struct, rename="camel", gc=False):
    """When a pod began and ended."""

    phase: str = ""
    start_time: str | None = None
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(msgspec.Struct, gc=False):
    """One version of a pod."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus


def template_of(spec: PodSpec) -> bytes:
    """What decides about the amounts of a pod, as bytes: equal for all pods of a template, and for no others.

    JSON values one after the other, with words between that no JSON value begins with.
    """
    parts: list[msgspec.Raw | bytes] = [container.resources for container in spec.containers]
    for init in spec.init_containers or ():
        parts.append(b"sidecar" if init.restart_policy == "Always" else b"init")
        parts.append(init.resources)
    if spec.resources is not _NOTHING:
        parts += (b"whole", spec.resources)
    if spec.overhead is not _NOTHING:
        parts += (b"overhead", spec.overhead)
    return b" ".join(parts)


def spec_of(spec: PodSpec) -> dict[str, object]:
    """The same as JSON that ``read_pod_spec`` understands."""
    decode = msgspec.json.decode
    return {
        "containers": [{"resources": decode(each.resources)} for each in spec.containers],
        "initContainers": [
            {"resources": decode(each.resources), "restartPolicy": each.restart_policy}
            for each in spec.init_containers or ()
        ],
        "resources": decode(spec.resources),
        "overhead": decode(spec.overhead),
    }


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
        elif kind == "DisruptionTarget":
            if condition.status == "True":
                facts.disrupted = instant(condition.last_transition_time)
        elif condition.reason in {"PodCompleted", "PodFailed"} and kind in {"Ready", "ContainersReady"}:
            moment = instant(condition.last_transition_time)
            if condition.status == "False" and moment is not None:
                facts.completed = moment if facts.completed is None else min(facts.completed, moment)
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


def _finished(status: PodStatus) -> tuple[int | None, ...]:
    return tuple(
        instant(each.state.terminated.finished_at)
        for each in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
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
