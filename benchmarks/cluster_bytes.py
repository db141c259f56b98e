"""What would an API server send for a cluster of N pods?

Written to a folder, page by page, before anything is measured. The pods are modelled on what kube-apiserver 1.36 sends
for a Deployment of the test bed, with the identifiers that a real kubelet adds; always the same bytes for the same N.

    pods/0000.json ...          pages of a PodList, in the order of etcd: by namespace and name
    replicasets/0000.json ...   the same of a PartialObjectMetadataList
    events.jsonl                lines of a watch of pods
    cluster.json                a ``Cluster``: what is in it, and what must come out
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bizrq.domain.times import instant, timestamp

__all__ = ["PAGE", "Cluster", "write_cluster"]

PAGE: Final = 500
"""Items a page; what the reflector asks for."""

_PODS_PER_OWNER: Final = 10
_TEMPLATES: Final = 200
_BIZRQS: Final = 100
_OLD_REPLICA_SETS: Final = 2
"""Left behind by earlier rollouts beside each ReplicaSet with pods; the default limit is 10."""

_WAITING: Final = 0.02
"""Share of the pods that have no node yet."""

_BOOKMARK_EVERY: Final = 2_000
_NOW: Final = instant("2026-01-05T10:00:00Z") or 0
_MONTH: Final = 30 * 86_400

JSON = dict[str, Any]


class Cluster(msgspec.Struct):
    """What was written, and what the inventory must say about it."""

    pods: int
    replica_sets: int
    events: int
    pod_bytes: int
    """Of all pages of pods together."""
    last_version: int
    """resourceVersion of the last event."""
    workloads: list[tuple[str, str, str | None]] = msgspec.field(default_factory=list)
    """UID, bizrq and CPU model of each labelled workload: every second of all."""
    attributed: int = 0
    """Pods of labelled workloads."""
    milli_cpu: int = 0
    """What these request together."""


@dataclass(frozen=True, slots=True)
class _Template:
    """The parts of a pod that it shares with its siblings."""

    requested_milli: int
    controller_fields: str
    """fieldsV1 of the controller manager's entry."""
    spec: str
    """JSON of the spec, with ``%(node)s`` in it."""
    names: tuple[str, ...]
    init_names: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(slots=True)
class _Owner:
    """A controller of pods."""

    kind: str
    api: str
    namespace: str
    name: str
    uid: str
    began: int
    template: _Template
    workload: str
    """UID of the Deployment above a ReplicaSet, else its own."""


@dataclass(slots=True)
class _Pod:
    """A pod; instants in seconds, None for what has not happened."""

    owner: _Owner
    name: str
    uid: str
    node: str
    address: str
    container_id: str
    created: int
    scheduled: int
    ready: int
    finished: int | None
    waiting: bool
    """For a node."""
    deletion: int | None = None
    touched: int | None = None
    version: int = 0


def write_cluster(folder: Path, pods: int, events: int) -> Cluster:
    """Write everything for a cluster of ``pods`` pods and a watch of ``events`` events."""
    dice = random.Random(pods)
    templates = [_template(dice, number) for number in range(_TEMPLATES)]
    cluster = Cluster(pods=pods, replica_sets=0, events=events, pod_bytes=0, last_version=0)
    owners = [_owner(dice, templates, number) for number in range(max(1, pods // _PODS_PER_OWNER))]
    owners.sort(key=lambda owner: (owner.namespace, owner.name))
    labelled = set()
    for number, owner in enumerate(owners):
        if number % 2 == 0:
            labelled.add(owner.workload)
            model = "A4" if number % 8 == 0 else None
            cluster.workloads.append((owner.workload, f"team-{number % _BIZRQS}", model))

    version = 1_000_000
    drawn = [_pod(dice, owners[number * len(owners) // pods]) for number in range(pods)]
    for pod in drawn:
        version += dice.randint(1, 40)
        pod.version = version
        if pod.owner.workload in labelled:
            cluster.attributed += 1
            cluster.milli_cpu += pod.owner.template.requested_milli
    list_version = version + 1_000

    cluster.pod_bytes = _write_pages(folder / "pods", "PodList", "v1", list_version, map(_pod_json, drawn))
    replica_sets = [text for owner in owners for text in _replica_sets(dice, owner)]
    cluster.replica_sets = len(replica_sets)
    _write_pages(
        folder / "replicasets", "PartialObjectMetadataList", "meta.k8s.io/v1", list_version, iter(replica_sets)
    )

    version = list_version
    with (folder / "events.jsonl").open("w", encoding="ascii") as lines:
        for number in range(1, events + 1):
            version += dice.randint(1, 3)
            lines.write(_event(_changed(dice, dice.choice(drawn), version)))
            if number % _BOOKMARK_EVERY == 0 or number == events:
                version += 1
                lines.write(_BOOKMARK % version)
    cluster.last_version = version
    (folder / "cluster.json").write_bytes(msgspec.json.encode(cluster))
    return cluster


def _write_pages(folder: Path, kind: str, api: str, version: int, items: Iterator[str]) -> int:
    """Pages of ``PAGE`` items, each naming the next in its token; returns their bytes together."""
    folder.mkdir()
    texts = list(items)
    pages = [texts[begin : begin + PAGE] for begin in range(0, len(texts), PAGE)] or [[]]
    total = 0
    for number, page in enumerate(pages):
        metadata: JSON = {"resourceVersion": str(version)}
        left = len(texts) - (number + 1) * PAGE
        if left > 0:
            metadata |= {"continue": str(number + 1), "remainingItemCount": left}
        head = f'{{"kind":"{kind}","apiVersion":"{api}","metadata":{_compact(metadata)},"items":['
        body = f"{head}{','.join(page)}]}}\n"
        total += (folder / f"{number:04}.json").write_text(body, encoding="ascii")
    return total


# --- templates and owners --------------------------------------------------------------------------------------------


def _template(dice: random.Random, number: int) -> _Template:
    count = dice.choices((1, 2, 3), (70, 22, 8))[0]
    containers = [_container(dice, f"app-{number}" if index == 0 else f"side-{index}", number) for index in range(count)]
    init = [_container(dice, "prepare", number)] if count == 3 else []  # noqa: PLR2004
    spec: JSON = {
        "volumes": [{"name": "config", "configMap": {"name": f"config-{number}", "defaultMode": 420}}],
        **({"initContainers": init} if init else {}),
        "containers": containers,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "nodeName": "%(node)s",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for key in ("not-ready", "unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    fields = {
        "f:metadata": {
            "f:generateName": {},
            "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"%(owner)s"}': {}},
        },
        "f:spec": {
            "f:containers": {_key("name", each["name"]): _container_fields(each) for each in containers},
            **({"f:initContainers": {_key("name", each["name"]): _container_fields(each) for each in init}} if init else {}),
            **{f"f:{name}": {} for name in ("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName")},
            "f:securityContext": {},
            "f:terminationGracePeriodSeconds": {},
        },
    }
    return _Template(
        requested_milli=_requested(containers, init),
        controller_fields=_compact(fields),
        spec=_compact(spec),
        names=tuple(each["name"] for each in containers),
        init_names=tuple(each["name"] for each in init),
        images=tuple(each["image"] for each in containers),
    )


def _container(dice: random.Random, name: str, number: int) -> JSON:
    cpu, memory = dice.choice((50, 100, 150, 250, 500, 1000, 2000)), dice.choice((64, 128, 192, 256, 512, 1024, 4096))
    return {
        "name": name,
        "image": f"images.example/team/{name}:1.{number}.{dice.randrange(20)}",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}],
        "resources": {
            "limits": {"cpu": f"{cpu * 2}m", "memory": f"{memory * 2}Mi"},
            "requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def _requested(containers: list[JSON], init: list[JSON]) -> int:
    def milli(container: JSON) -> int:
        return int(container["resources"]["requests"]["cpu"].removesuffix("m"))

    return max(sum(map(milli, containers)), max(map(milli, init), default=0))


def _container_fields(container: JSON) -> JSON:
    amounts = {".": {}, "f:cpu": {}, "f:memory": {}}
    return {
        ".": {},
        "f:env": {".": {}, _key("name", "LOG_LEVEL"): {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {},
        "f:imagePullPolicy": {},
        "f:name": {},
        "f:resources": {".": {}, "f:limits": amounts, "f:requests": amounts},
        "f:terminationMessagePath": {},
        "f:terminationMessagePolicy": {},
        "f:volumeMounts": {".": {}, _key("mountPath", "/etc/app"): {".": {}, "f:mountPath": {}, "f:name": {}}},
    }


def _key(name: str, value: str) -> str:
    return f"k:{_compact({name: value})}"


def _owner(dice: random.Random, templates: list[_Template], number: int) -> _Owner:
    kind = dice.choices(("ReplicaSet", "StatefulSet", "Job"), (8, 1, 1))[0]
    base = f"service-{number:05}"
    return _Owner(
        kind=kind,
        api="batch/v1" if kind == "Job" else "apps/v1",
        namespace=f"team-{number % _BIZRQS}",
        name=f"{base}-{dice.getrandbits(40):010x}" if kind == "ReplicaSet" else base,
        uid=(uid := _uid(dice)),
        began=_NOW - dice.randrange(600, _MONTH),
        template=dice.choice(templates),
        workload=_uid(dice) if kind == "ReplicaSet" else uid,
    )


def _replica_sets(dice: random.Random, owner: _Owner) -> Iterator[str]:
    if owner.kind != "ReplicaSet":
        return
    for old in range(_OLD_REPLICA_SETS + 1):
        name, uid = (owner.name, owner.uid) if old == 0 else (f"{owner.name[:-4]}{old:04}", _uid(dice))
        yield _REPLICA_SET % {
            "name": name,
            "namespace": owner.namespace,
            "uid": uid,
            "version": owner.began,
            "created": timestamp(owner.began - old * 86_400),
            "above": owner.workload,
            "above_name": owner.name[:-11],
            "fields": owner.template.controller_fields % {"owner": owner.workload},
        }


def _uid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


# --- pods ------------------------------------------------------------------------------------------------------------


def _pod(dice: random.Random, owner: _Owner) -> _Pod:
    created = owner.began + dice.randrange(20)
    scheduled = created + dice.randrange(2)
    job = owner.kind == "Job"
    return _Pod(
        owner=owner,
        name=f"{owner.name}-{dice.getrandbits(24):06x}",
        uid=_uid(dice),
        node=f"node-{dice.randrange(2_000)}",
        address=f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}",
        container_id=f"{dice.getrandbits(256):064x}",
        created=created,
        scheduled=scheduled,
        ready=scheduled + dice.randrange(3, 30),
        finished=scheduled + dice.randrange(60, 500) if job else None,
        waiting=not job and dice.random() < _WAITING,
    )


def _changed(dice: random.Random, pod: _Pod, version: int) -> _Pod:
    """The same pod as its next event shows it: mostly readiness, sometimes a schedule, an end or a deletion."""
    pod.version = version
    pod.touched = now = _NOW + version % 3_600
    happens = dice.choices(("readiness", "deletion", "end"), (8, 1, 1))[0]
    if pod.waiting:
        pod.waiting, pod.scheduled, pod.ready = False, now, now + 5
    elif happens == "deletion":
        pod.deletion = now + 30
    elif happens == "end" and pod.finished is None:
        pod.finished = now
    else:
        pod.ready = now
    return pod


def _pod_json(pod: _Pod) -> str:
    owner = pod.owner
    template = owner.template
    created = timestamp(pod.created)
    conditions, statuses, phase = _status(pod)
    deletion = pod.deletion
    gone = f'"deletionTimestamp":"{timestamp(deletion)}","deletionGracePeriodSeconds":30,' if deletion else ""
    return _POD % {
        "name": pod.name,
        "generate": owner.name,
        "namespace": owner.namespace,
        "uid": pod.uid,
        "version": pod.version,
        "created": created,
        "gone": gone,
        "api": owner.api,
        "kind": owner.kind,
        "owner": owner.uid,
        "fields": template.controller_fields % {"owner": owner.uid},
        "touched": timestamp(pod.touched or pod.ready),
        "spec": (template.spec if not pod.waiting else template.spec.replace('"nodeName":"%(node)s",', ""))
        % {"node": pod.node},
        "phase": phase,
        "conditions": conditions,
        "address": pod.address,
        "started": timestamp(pod.scheduled),
        "statuses": statuses,
    }


def _status(pod: _Pod) -> tuple[str, str, str]:
    """Conditions, container statuses and phase of a pod."""
    template = pod.owner.template
    if pod.waiting:
        return _condition("PodScheduled", "False", pod.created, "Unschedulable"), "", "Pending"
    finished = pod.finished
    ready = ("False", finished, "PodCompleted") if finished else ("True", pod.ready, None)
    conditions = [
        _condition("PodReadyToStartContainers", "False" if finished else "True", finished or pod.scheduled + 2),
        _condition("Initialized", "True", pod.scheduled + 1, "PodCompleted" if finished else None),
        _condition("Ready", *ready),
        _condition("ContainersReady", *ready),
        _condition("PodScheduled", "True", pod.scheduled),
    ]
    containers = ",".join(
        _container_status(pod, name, image, finished)
        for name, image in zip(template.names, template.images, strict=True)
    )
    statuses = f'"containerStatuses":[{containers}],'
    if template.init_names:
        init = ",".join(
            _container_status(pod, name, template.images[0], pod.scheduled + 2) for name in template.init_names
        )
        statuses = f'"initContainerStatuses":[{init}],{statuses}'
    return ",".join(conditions), statuses, "Succeeded" if finished else "Running"


def _condition(kind: str, status: str, at: int, reason: str | None = None) -> str:
    why = f',"reason":"{reason}"' if reason else ""
    return (
        f'{{"type":"{kind}","observedGeneration":1,"status":"{status}","lastProbeTime":null,'
        f'"lastTransitionTime":"{timestamp(at)}"{why}}}'
    )


def _container_status(pod: _Pod, name: str, image: str, finished: int | None) -> str:
    identity = f"containerd://{pod.container_id}"
    started = timestamp(pod.scheduled + 2)
    if finished:
        state = (
            f'"terminated":{{"exitCode":0,"reason":"Completed","startedAt":"{started}",'
            f'"finishedAt":"{timestamp(finished)}","containerID":"{identity}"}}'
        )
    else:
        state = f'"running":{{"startedAt":"{started}"}}'
    running = "false" if finished else "true"
    return (
        f'{{"name":"{name}","state":{{{state}}},"lastState":{{}},"ready":{running},"restartCount":0,"image":"{image}",'
        f'"imageID":"{image}@sha256:{pod.container_id}","containerID":"{identity}","started":{running}}}'
    )


def _event(pod: _Pod) -> str:
    return f'{{"type":"MODIFIED","object":{{"kind":"Pod","apiVersion":"v1",{_pod_json(pod)[1:]}}}\n'


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_POD: Final = (
    '{"metadata":{"name":"%(name)s","generateName":"%(generate)s-","namespace":"%(namespace)s","uid":"%(uid)s",'
    '"resourceVersion":"%(version)s","generation":1,"creationTimestamp":"%(created)s",%(gone)s'
    '"labels":{"app":"%(generate)s","pod-template-hash":"7d8fc5d6d5"},'
    '"ownerReferences":[{"apiVersion":"%(api)s","kind":"%(kind)s","name":"%(generate)s","uid":"%(owner)s",'
    '"controller":true,"blockOwnerDeletion":true}],'
    '"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1",'
    '"time":"%(created)s","fieldsType":"FieldsV1","fieldsV1":%(fields)s},'
    '{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"%(touched)s","fieldsType":"FieldsV1",'
    '"fieldsV1":{"f:status":{"f:conditions":{"k:{\\"type\\":\\"ContainersReady\\"}":{".":{},"f:lastProbeTime":{},'
    '"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\\"type\\":\\"Ready\\"}":{".":{},"f:lastProbeTime":{},'
    '"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:phase":{},'
    '"f:podIP":{},"f:podIPs":{".":{},"k:{\\"ip\\":\\"%(address)s\\"}":{".":{},"f:ip":{}}},"f:startTime":{}}},'
    '"subresource":"status"}]},"spec":%(spec)s,"status":{"phase":"%(phase)s","conditions":[%(conditions)s],'
    '"hostIP":"%(address)s","hostIPs":[{"ip":"%(address)s"}],"podIP":"%(address)s","podIPs":[{"ip":"%(address)s"}],'
    '"startTime":"%(started)s",%(statuses)s"qosClass":"Burstable"}}'
)

_REPLICA_SET: Final = (
    '{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"%(name)s",'
    '"namespace":"%(namespace)s","uid":"%(uid)s","resourceVersion":"%(version)s","generation":1,'
    '"creationTimestamp":"%(created)s","labels":{"app":"%(above_name)s","pod-template-hash":"7d8fc5d6d5"},'
    '"annotations":{"deployment.kubernetes.io/desired-replicas":"10","deployment.kubernetes.io/revision":"7"},'
    '"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"%(above_name)s","uid":"%(above)s",'
    '"controller":true,"blockOwnerDeletion":true}],"managedFields":[{"manager":"kube-controller-manager",'
    '"operation":"Update","apiVersion":"apps/v1","time":"%(created)s","fieldsType":"FieldsV1",'
    '"fieldsV1":{"f:spec":{"f:replicas":{},"f:selector":{},"f:template":%(fields)s}}}]}}'
)

_BOOKMARK: Final = (
    '{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"%s"},'
    '"spec":{"containers":null},"status":{}}}\n'
)
