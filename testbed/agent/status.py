"""How does a kubelet put into words what became of a pod? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from testbed.agent.kube import JSON

ENDED: Final = frozenset({"Succeeded", "Failed"})
_OURS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def phase(states: Sequence[JSON], policy: str) -> str:
    """Of a pod whose containers are in these states, with this restart policy."""
    if any("running" in state for state in states):
        return "Running"
    if all("terminated" in state for state in states):
        good = all(not state["terminated"]["exitCode"] for state in states)
        if policy == "Never" or (good and policy == "OnFailure"):
            return "Succeeded" if good else "Failed"
        return "Running"
    return "Pending" if not any("terminated" in state for state in states) else "Running"


def conditions(before: Iterable[JSON], containers: Sequence[JSON], phase: str, now: str) -> list[JSON]:
    """The kubelet's conditions; those of others stay theirs. A transition keeps its time until the next one."""
    known = {one["type"]: one for one in before}
    bad = sorted(one["name"] for one in containers if not one["ready"])
    why = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "ContainersNotReady")
    made = []
    for kind in _OURS:
        one: JSON = {"type": kind, "status": "True", "reason": None, "message": None}  # null: what was said goes
        if kind in {"Ready", "ContainersReady"} and bad:
            one |= {"status": "False", "reason": why, "message": f"containers with unready status: {bad}"}
        old = known.get(kind, {})
        changed = old.get("status") != one["status"]
        made.append({**one, "lastTransitionTime": now if changed else old["lastTransitionTime"]})
    return made


def is_ready(status: JSON) -> bool:
    """Whether the pod may be sent requests."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))
