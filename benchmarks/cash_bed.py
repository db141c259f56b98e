"""What do bizrqs, their workloads and the lives of pods look like to the inventory, where only cash is measured?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from benchmarks.pod_bytes import NOW
from bizrq.cluster.objects import Pod
from bizrq.domain.bizrq import GROUP, KIND, VERSION, Bizrq, read_bizrq
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.domain.times import timestamp
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import Workload
from bizrq.workloads.registry import built_in

__all__ = ["AMOUNTS", "BEGAN", "JOBS_EACH", "decode_pod", "inventory_of", "job_uid", "pod_bytes", "stored", "team"]

BEGAN: Final = NOW - 86_400
"""When all bizrqs were made."""

JOBS_EACH: Final = 10
"""Workloads of one bizrq."""

AMOUNTS: Final[Sequence[tuple[str, str, str | None]]] = tuple(
    (f"{250 * number}m", f"{number}Gi", "1" if number % 4 == 0 else None) for number in range(1, 21)
)
"""CPU, memory and cards of the templates: all that decides about what a pod costs."""

_TREE: Final = 10
"""Children of one bizrq: one root, 10 departments, 100 teams, ..."""

_HARD: Final = {
    "limits.cpu": "100000", "requests.nvidia.com/gpu": "10000",
    "cash/limits.cpu": "10000000", "cash/requests.nvidia.com/gpu": "1000000", "cash/limits.memory": "10Ei",
}  # fmt: skip

_decoder: Final = msgspec.json.Decoder(Pod)
decode_pod = _decoder.decode


def team(number: int) -> str:
    """The name of a bizrq."""
    return f"team-{number:04}"


def job_uid(bizrq: int, job: int) -> str:
    """The UID of a workload."""
    return f"{bizrq:08x}-0000-4000-8000-{job:012x}"


def inventory_of(bizrqs: int, now: int) -> Inventory:
    """An inventory of a tree of bizrqs that a week's hours are granted to, with their workloads; without pods."""
    inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: now)
    jobs = next(kind for kind in built_in() if kind.id == "jobs.batch")
    for number in range(bizrqs):
        inventory.put_bizrq(read_bizrq(_bizrq(number)))
        for job in range(JOBS_EACH):
            inventory.put_workload(
                Workload(job_uid(number, job), 1, jobs, "shop", f"j-{number}-{job}", team(number), Models(), {})
            )
    return inventory


def stored(inventory: Inventory, name: str) -> Bizrq:
    """A bizrq that is there."""
    bizrq = inventory.bizrqs.get(name)
    if bizrq is None:
        raise LookupError(name)
    return bizrq


def _bizrq(number: int) -> dict[str, Any]:
    spec: dict[str, Any] = {"hard": _HARD}
    if number:
        spec["parentBizGroup"] = team((number - 1) // _TREE)
    else:
        spec["cashPeriod"] = {"every": "Week", "timeZone": "Europe/Berlin"}
    metadata = {
        "name": team(number),
        "uid": f"uid-{team(number)}",
        "resourceVersion": "1",
        "creationTimestamp": timestamp(BEGAN),
        "generation": 1,
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": spec}


def pod_bytes(
    number: int, owner: str, version: int, *, created: int, scheduled: int | None = None, finished: int | None = None
) -> bytes:
    """One version of a pod, with what the inventory reads of it: some 900 bytes. Without managedFields and images."""
    cpu, memory, cards = AMOUNTS[number % len(AMOUNTS)]
    gpu = f',"nvidia.com/gpu":"{cards}"' if cards else ""
    conditions, node, state, phase = "", "", "", "Pending"
    if scheduled is not None:
        at = timestamp(scheduled)
        node = f'"nodeName":"node-{number % 2000}",'
        conditions = f'{{"type":"PodScheduled","status":"True","lastTransitionTime":"{at}"}}'
        state = f'{{"name":"main","ready":true,"state":{{"running":{{"startedAt":"{at}"}}}}}}'
        phase = "Running"
    if finished is not None:
        at = timestamp(finished)
        conditions += f',{{"type":"Ready","status":"False","reason":"PodCompleted","lastTransitionTime":"{at}"}}'
        state = f'{{"name":"main","state":{{"terminated":{{"exitCode":0,"reason":"Completed","finishedAt":"{at}"}}}}}}'
        phase = "Succeeded"
    uid = f"{number:08x}-1111-4000-8000-{number:012x}"
    return (
        f'{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"job-{number}","namespace":"shop","uid":"{uid}",'
        f'"resourceVersion":"{version}","creationTimestamp":"{timestamp(created)}","labels":{{"job-name":"job"}},'
        f'"ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"job","uid":"{owner}","controller":true,'
        f'"blockOwnerDeletion":true}}]}},"spec":{{"containers":[{{"name":"main","image":"registry/job:1","resources":'
        f'{{"limits":{{"cpu":"{cpu}","memory":"{memory}"{gpu}}},"requests":{{"cpu":"{cpu}","memory":"{memory}"{gpu}}}}}'
        f'}}],{node}"restartPolicy":"Never"}},"status":{{"phase":"{phase}","conditions":[{conditions}],'
        f'"containerStatuses":[{state}]}}}}'
    ).encode()
