"""What does one pod look like in the API server's JSON, from its creation to its end?"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import Final

from benchmarks.template_bytes import Template
from bizrq.domain.times import instant, timestamp

__all__ = ["NOW", "Owner", "PodLife", "begin_life", "change", "new_uid", "pod_json"]

NOW: Final = instant("2026-01-05T10:00:00Z") or 0

_WAITING: Final = 0.02
"""Share of the pods that have no node yet."""


@dataclass(slots=True)
class Owner:
    """A controller of pods."""

    kind: str
    api: str
    namespace: str
    name: str
    uid: str
    began: int
    template: Template
    workload: str
    """UID of the Deployment above a ReplicaSet, else its own."""


@dataclass(slots=True)
class PodLife:
    """A pod; instants in seconds, None for what has not happened."""

    owner: Owner
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


def begin_life(dice: random.Random, owner: Owner) -> PodLife:
    """A pod of ``owner``: most run, those of Jobs have ended, a few wait for a node."""
    created = owner.began + dice.randrange(20)
    scheduled = created + dice.randrange(2)
    job = owner.kind == "Job"
    return PodLife(
        owner=owner,
        name=f"{owner.name}-{dice.getrandbits(24):06x}",
        uid=new_uid(dice),
        node=f"node-{dice.randrange(2_000)}",
        address=f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}",
        container_id=f"{dice.getrandbits(256):064x}",
        created=created,
        scheduled=scheduled,
        ready=scheduled + dice.randrange(3, 30),
        finished=scheduled + dice.randrange(60, 500) if job else None,
        waiting=not job and dice.random() < _WAITING,
    )


def change(dice: random.Random, pod: PodLife, version: int) -> PodLife:
    """The same pod as its next event shows it: mostly readiness, sometimes a schedule, an end or a deletion."""
    pod.version = version
    pod.touched = now = NOW + version % 3_600
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


def pod_json(pod: PodLife) -> str:
    """The pod as an item of a list."""
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


def _status(pod: PodLife) -> tuple[str, str, str]:
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
        _container_status(pod, name, image, finished, f",{told}")
        for name, image, told in zip(template.names, template.images, template.told, strict=True)
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


def _container_status(pod: PodLife, name: str, image: str, finished: int | None, told: str = "") -> str:
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
        f'"imageID":"{image}@sha256:{pod.container_id}","containerID":"{identity}","started":{running}{told}}}'
    )


def new_uid(dice: random.Random) -> str:
    """A UID as the API server draws them."""
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


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
