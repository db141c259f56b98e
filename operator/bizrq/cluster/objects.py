"""Which fields of the API's JSON are read, and nothing else?

msgspec decodes straight into these; what they do not name is skipped without being built. The parts of a pod that say
what it holds stay raw bytes, since the pods of a cluster share few templates: equal bytes are worked out once.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

__all__ = [
    "Definition",
    "Listed",
    "Metadata",
    "Owned",
    "Page",
    "Pod",
    "RuntimeClass",
    "WatchEvent",
    "actual_of",
    "allocated_of",
    "node_says",
    "spec_of",
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


class Labels(msgspec.Struct, gc=False):
    """The one label that matters."""

    bizrq: str | None = msgspec.field(name="biz.group.resource.quota", default=None)


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
    labels: Labels | None = None
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

    name: str = ""
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


class ContainerStatus(msgspec.Struct, rename="camel", gc=False):
    """The state of a container; ``lastState`` never is an end."""

    name: str = ""
    state: ContainerState | None = None
    resources: msgspec.Raw = _NOTHING
    """What the container has, limits included; nodes that resize in place say it."""
    allocated_resources: msgspec.Raw = _NOTHING
    """The requests that the node has granted."""


class PodStatus(msgspec.Struct, rename="camel", gc=False):
    """When a pod began and ended."""

    phase: str = ""
    start_time: str | None = None
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resources: msgspec.Raw = _NOTHING
    """What the pod as a whole has, where its spec states that."""
    allocated_resources: msgspec.Raw = _NOTHING

    def statuses(self) -> tuple[ContainerStatus, ...]:
        """Of all containers."""
        return (*(self.container_statuses or ()), *(self.init_container_statuses or ()))


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


def node_says(pod: Pod) -> bytes:
    """The same of what its node says of its amounts; empty where it only repeats the spec, as it nearly always does."""
    status, spec = pod.status, pod.spec
    if status.resources is _NOTHING and _repeats(status.container_statuses, spec.containers):
        init = status.init_container_statuses
        if not init or _repeats(init, spec.init_containers):
            return b""
    parts: list[msgspec.Raw | bytes] = [status.resources, status.allocated_resources]
    for each in status.statuses():
        parts += (each.name.encode(), each.resources, each.allocated_resources)
    parts.append(b"of")
    parts += [each.name.encode() for each in (*spec.containers, *(spec.init_containers or ()))]
    return b" ".join(parts)


def _repeats(statuses: list[ContainerStatus] | None, containers: list[ContainerSpec] | None) -> bool:
    """Whether all statuses say the very bytes of the spec, requests last, as the API server writes them."""
    for index, told in enumerate(statuses or ()):
        if told.resources is _NOTHING:
            continue
        if containers is None or index >= len(containers) or containers[index].name != told.name:
            return False
        resources, allocated = bytes(containers[index].resources), told.allocated_resources
        if bytes(told.resources) != resources:
            return False
        if allocated is not _NOTHING and not resources.endswith(b'"requests":%b}' % bytes(allocated)):
            return False
    return True


def spec_of(spec: PodSpec) -> dict[str, object]:
    """The same as JSON that ``read_pod_spec`` understands."""
    decode = msgspec.json.decode
    return {
        "containers": [{"name": each.name, "resources": decode(each.resources)} for each in spec.containers],
        "initContainers": [
            {"name": each.name, "resources": decode(each.resources), "restartPolicy": each.restart_policy}
            for each in spec.init_containers or ()
        ],
        "resources": decode(spec.resources),
        "overhead": decode(spec.overhead),
    }


def actual_of(status: PodStatus) -> dict[str, object]:
    """What the containers, and the pod as a whole, really have, as JSON of a spec; only those of which it is said."""
    decode = msgspec.json.decode
    told = [each for each in status.statuses() if each.resources is not _NOTHING]
    return {
        "containers": [{"name": each.name, "resources": decode(each.resources)} for each in told],
        "resources": decode(status.resources),
    }


def allocated_of(status: PodStatus) -> dict[str, object]:
    """What the node has granted, in the same way: requests only."""
    decode = msgspec.json.decode
    return {
        "containers": [
            {"name": each.name, "resources": {"requests": decode(each.allocated_resources)}}
            for each in status.statuses()
        ],
        "resources": {"requests": decode(status.allocated_resources)},
    }
