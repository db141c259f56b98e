"""What would an API server send for a cluster of N pods?

Written to a folder, page by page, before anything is measured. The pods are modelled on what kube-apiserver 1.36 sends
for a Deployment of the test bed, with the identifiers that a real kubelet adds; always the same bytes for the same N.

    pods/0000.json ...          pages of a PodList, in the order of etcd: by namespace and name
    replicasets/0000.json ...   the same of a PartialObjectMetadataList
    events.jsonl                lines of a watch of pods
    cluster.json                a ``Cluster``: what is in it, and what must come out
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.pod_bytes import NOW, Owner, PodLife, begin_life, change, new_uid, pod_json
from benchmarks.template_bytes import JSON, Template, compact, make_template
from bizrq.domain.times import timestamp

__all__ = ["PAGE", "Cluster", "write_cluster"]

PAGE: Final = 500
"""Items a page; what the reflector asks for."""

_PODS_PER_OWNER: Final = 10
_TEMPLATES: Final = 200
_BIZRQS: Final = 100
_OLD_REPLICA_SETS: Final = 2
"""Left behind by earlier rollouts beside each ReplicaSet with pods; the default limit is 10."""

_BOOKMARK_EVERY: Final = 2_000
_MONTH: Final = 30 * 86_400


class Cluster(msgspec.Struct):
    """What was written, and what the inventory must say about it."""

    pods: int
    replica_sets: int
    events: int
    pod_bytes: int
    """Of all pages of pods together."""
    last_version: int
    """resourceVersion of the last event."""
    workloads: list[tuple[str, str, str, str | None]] = msgspec.field(default_factory=list)
    """UID, namespace, bizrq and CPU model of each labelled workload: every second of all."""
    attributed: int = 0
    """Pods of labelled workloads."""
    milli_cpu: int = 0
    """What these request together."""


def write_cluster(folder: Path, pods: int, events: int) -> Cluster:
    """Write everything for a cluster of ``pods`` pods and a watch of ``events`` events."""
    dice = random.Random(pods)
    templates = [make_template(dice, number) for number in range(_TEMPLATES)]
    cluster = Cluster(pods=pods, replica_sets=0, events=events, pod_bytes=0, last_version=0)
    owners = [_owner(dice, templates, number) for number in range(max(1, pods // _PODS_PER_OWNER))]
    owners.sort(key=lambda owner: (owner.namespace, owner.name))
    labelled = set()
    for number, owner in enumerate(owners):
        if number % 2 == 0:
            labelled.add(owner.workload)
            model = "A4" if number % 8 == 0 else None
            cluster.workloads.append((owner.workload, owner.namespace, f"team-{number % _BIZRQS}", model))

    version = 1_000_000
    drawn = [begin_life(dice, owners[number * len(owners) // pods]) for number in range(pods)]
    for pod in drawn:
        version += dice.randint(1, 40)
        pod.version = version
        if pod.owner.workload in labelled:
            cluster.attributed += 1
            cluster.milli_cpu += pod.owner.template.requested_milli
    list_version = version + 1_000

    cluster.pod_bytes = _write_pages(folder / "pods", "PodList", "v1", list_version, map(pod_json, drawn))
    replica_sets = [text for owner in owners for text in _replica_sets(dice, owner)]
    cluster.replica_sets = len(replica_sets)
    _write_pages(
        folder / "replicasets", "PartialObjectMetadataList", "meta.k8s.io/v1", list_version, iter(replica_sets)
    )

    version = list_version
    with (folder / "events.jsonl").open("w", encoding="ascii") as lines:
        for number in range(1, events + 1):
            version += dice.randint(1, 3)
            lines.write(_event(change(dice, dice.choice(drawn), version)))
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
        head = f'{{"kind":"{kind}","apiVersion":"{api}","metadata":{compact(metadata)},"items":['
        body = f"{head}{','.join(page)}]}}\n"
        total += (folder / f"{number:04}.json").write_text(body, encoding="ascii")
    return total


def _owner(dice: random.Random, templates: list[Template], number: int) -> Owner:
    kind = dice.choices(("ReplicaSet", "StatefulSet", "Job"), (8, 1, 1))[0]
    base = f"service-{number:05}"
    return Owner(
        kind=kind,
        api="batch/v1" if kind == "Job" else "apps/v1",
        namespace=f"team-{number % _BIZRQS}",
        name=f"{base}-{dice.getrandbits(40):010x}" if kind == "ReplicaSet" else base,
        uid=(uid := new_uid(dice)),
        began=NOW - dice.randrange(600, _MONTH),
        template=dice.choice(templates),
        workload=new_uid(dice) if kind == "ReplicaSet" else uid,
    )


def _replica_sets(dice: random.Random, owner: Owner) -> Iterator[str]:
    if owner.kind != "ReplicaSet":
        return
    for old in range(_OLD_REPLICA_SETS + 1):
        name, uid = (owner.name, owner.uid) if old == 0 else (f"{owner.name[:-4]}{old:04}", new_uid(dice))
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


def _event(pod: PodLife) -> str:
    return f'{{"type":"MODIFIED","object":{{"kind":"Pod","apiVersion":"v1",{pod_json(pod)[1:]}}}\n'


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
