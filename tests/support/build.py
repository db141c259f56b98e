"""Objects for tests, made by keyword.

Functions with plain names (``pod_spec``, ``bizrq``) make the JSON of the API server: what is not named is absent.
Those with a noun of the domain (``amounts``, ``held_by``, ``read``) make its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bizrq.cluster.objects import RuntimeClass
from bizrq.domain.bizrq import GROUP, KIND, LABEL, VERSION, Bizrq, read_bizrq
from bizrq.domain.intervals import NOT_STARTED, Interval, PodFacts, deleted, follow
from bizrq.domain.pod_resources import Held, PodResources, held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.quantity import Quantity, parse
from bizrq.domain.times import timestamp

__all__ = [
    "NOW",
    "amounts",
    "bizrq",
    "container",
    "held_by",
    "life",
    "metadata",
    "pod",
    "pod_resources",
    "pod_spec",
    "read",
    "runtime_class",
    "texts",
    "workload",
]

JSON = dict[str, Any]

NOW = 1_767_607_200
"""2026-01-05T10:00:00Z, the instant at which most tests happen."""


def _present(**fields: Any) -> JSON:
    return {name: value for name, value in fields.items() if value is not None}


# --- values of the domain --------------------------------------------------------------------------------------------


def amounts(stated: Mapping[str, str]) -> dict[str, Quantity]:
    """Quantities by key, from their texts."""
    return {key: parse(text) for key, text in stated.items()}


def texts(counted: Mapping[str, Quantity]) -> dict[str, str]:
    """What ``counted`` prints, by key: easier to compare and to read."""
    return {key: str(amount) for key, amount in counted.items()}


def pod_resources(spec: JSON) -> PodResources:
    """What ``spec`` states; it must have no broken field."""
    pod_, problems = read_pod_spec(spec)
    assert not problems, problems
    return pod_


def held_by(spec: JSON) -> Held:
    """The most that a pod of ``spec`` holds at a time."""
    return held(pod_resources(spec))


def life(*versions: PodFacts, observed: int = NOW, deleted_at: int | None = None, replayed: bool = False) -> Interval:
    """The interval after all ``versions`` of a pod, in order, and its DELETED event where ``deleted_at`` is given."""
    interval = NOT_STARTED
    for facts in versions:
        interval = follow(facts, interval, observed)
    return interval if deleted_at is None else deleted(interval, deleted_at, replayed=replayed)


def read(raw: JSON) -> Bizrq:
    """``raw`` as a value."""
    return read_bizrq(raw)


def runtime_class(name: str, cpu: str | None, *, version: int = 1, uid: str | None = None) -> RuntimeClass:
    """A RuntimeClass that adds so much cpu to each pod; None: nothing."""
    overhead = None if cpu is None else {"podFixed": {"cpu": cpu}}
    raw = _present(metadata=metadata(name, version=version, uid=uid), handler="none", overhead=overhead)
    return msgspec.convert(raw, RuntimeClass)


# --- pods and templates ----------------------------------------------------------------------------------------------


def _resources(requests: Mapping[str, Any] | None, limits: Mapping[str, Any] | None) -> JSON | None:
    stated = _present(limits=limits and dict(limits), requests=requests and dict(requests))  # as the API server writes
    return stated or None


def container(
    name: str = "c",
    *,
    requests: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    sidecar: bool = False,
) -> JSON:
    """One container; ``sidecar`` is for init containers."""
    return _present(
        name=name,
        image="example",
        resources=_resources(requests, limits),
        restartPolicy="Always" if sidecar else None,
    )


def pod_spec(
    *containers: JSON,
    init: Sequence[JSON] = (),
    requests: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    overhead: Mapping[str, Any] | None = None,
) -> JSON:
    """The spec of a pod or of a template; ``requests`` and ``limits`` are those of the pod as a whole."""
    return _present(
        containers=list(containers),
        initContainers=list(init) or None,
        resources=_resources(requests, limits),
        overhead=overhead and dict(overhead),
    )


def metadata(
    name: str,
    *,
    uid: str | None = None,
    version: int = 1,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: int = NOW,
    generation: int | None = None,
    controller: Mapping[str, str] | None = None,
    deletion: int | None = None,
    grace: int | None = None,
) -> JSON:
    """The metadata of any object; ``controller`` is its controlling owner: apiVersion, kind, name, uid."""
    return _present(
        name=name,
        uid=uid or f"uid-{name}",
        resourceVersion=str(version),
        namespace=namespace,
        labels=labels and dict(labels),
        annotations=annotations and dict(annotations),
        creationTimestamp=timestamp(created),
        generation=generation,
        ownerReferences=[{**controller, "controller": True}] if controller else None,
        deletionTimestamp=None if deletion is None else timestamp(deletion),
        deletionGracePeriodSeconds=grace,
    )


def pod(
    name: str = "pod",
    *,
    spec: JSON | None = None,
    phase: str = "Pending",
    node: str | None = None,
    scheduled: int | None = None,
    started: int | None = None,
    finished: Sequence[int | None] = (),
    namespace: str = "shop",
    **of_metadata: Any,
) -> JSON:
    """A pod; ``scheduled`` and ``finished`` are instants, None among the latter a missing finishedAt."""
    conditions = []
    if scheduled is not None:
        conditions.append({"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp(scheduled)})
    statuses = [
        {
            "name": f"c{index}",
            "state": {"terminated": {"exitCode": 0, "finishedAt": None if moment is None else timestamp(moment)}},
        }
        for index, moment in enumerate(finished)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(name, namespace=namespace, **of_metadata),
        "spec": {**(spec or pod_spec(container())), **_present(nodeName=node)},
        "status": _present(
            phase=phase,
            conditions=conditions or None,
            startTime=None if started is None else timestamp(started),
            containerStatuses=statuses or None,
        ),
    }


def workload(
    name: str = "web",
    *,
    kind: str = "Deployment",
    api_version: str = "apps/v1",
    bizrq: str | None = "team",
    cpu_type: str | None = None,
    gpu_type: str | None = None,
    memory_type: str | None = None,
    replicas: int | None = 1,
    template: JSON | None = None,
    status: JSON | None = None,
    namespace: str = "shop",
    **of_metadata: Any,
) -> JSON:
    """A workload with one pod group at ``spec.template``; ``template`` is a pod spec."""
    labels = _present(
        **{
            LABEL: bizrq,
            f"{LABEL}/cpu-type": cpu_type,
            f"{LABEL}/gpu-type": gpu_type,
            f"{LABEL}/memory-type": memory_type,
        }
    )
    return _present(
        apiVersion=api_version,
        kind=kind,
        metadata=metadata(name, namespace=namespace, labels=labels or None, **of_metadata),
        spec=_present(replicas=replicas, template={"spec": template or pod_spec(container())}),
        status=status,
    )


# --- bizrqs ----------------------------------------------------------------------------------------------------------


def bizrq(
    name: str = "team",
    *,
    parent: str | None = None,
    hard: Mapping[str, Any] | None = None,
    status: JSON | None = None,
    used: Mapping[str, str] | None = None,
    reconciled: int | None = None,
    cash: JSON | None = None,
    generation: int = 1,
    **of_metadata: Any,
) -> JSON:
    """A bizrq; ``used``, ``reconciled`` and ``cash`` are put into its status."""
    stated = {
        **(status or {}),
        **_present(
            used=used and dict(used),
            lastReconcileTime=None if reconciled is None else timestamp(reconciled),
            cash=cash,
        ),
    }
    return _present(
        apiVersion=f"{GROUP}/{VERSION}",
        kind=KIND,
        metadata=metadata(name, generation=generation, **of_metadata),
        spec=_present(parentBizGroup=parent, hard=hard and dict(hard)),
        status=stated or None,
    )
