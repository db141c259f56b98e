"""What must have been charged? Worked out from the events of pods alone, without any code of bizrq.

A thread watches all pods as the administrator and keeps every object it was shown, with its time of arrival. The rules
are those of docs/cash.md, written down a second time on purpose.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pykube
import requests

from tests.support.kube import parse_time

__all__ = ["Cost", "Life", "Recorder", "start_of"]

JSON = dict[str, Any]
FORCED_AT_ONCE = 2.0


def start_of(pod: JSON) -> int | None:
    """When it was given a node."""
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "True":
            return parse_time(condition["lastTransitionTime"])
    return None


def end_of(pod: JSON) -> int | None:
    """When the last of its containers ended, if it is over."""
    if pod["status"].get("phase") not in ("Succeeded", "Failed"):
        return None
    statuses = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
    ends = [each["state"]["terminated"]["finishedAt"] for each in statuses if "terminated" in each["state"]]
    return max(parse_time(each) for each in ends)


@dataclass
class Life:
    """Everything that was seen of one pod."""

    versions: list[tuple[float, str, JSON]] = field(default_factory=list)
    gone_by: float | None = None
    """When it was found gone, where the record has a hole that its end fell into."""

    @property
    def last(self) -> JSON:
        """Its newest object."""
        return self.versions[-1][2]

    @property
    def is_over(self) -> bool:
        """Whether it is known to be gone."""
        return self.gone_by is not None or self.versions[-1][1] == "DELETED"

    def seconds(self) -> tuple[int, int]:
        """Its charged time, and by how many seconds that may be off, because the arrival of an event decided."""
        start = next((at for _, _, pod in self.versions if (at := start_of(pod)) is not None), None)
        if start is None:
            return 0, 0
        end = next((at for _, _, pod in reversed(self.versions) if (at := end_of(pod)) is not None), None)
        if end is not None:
            return max(0, end - start), 0
        arrived, kind, pod = self.versions[-1]
        if self.gone_by is not None:
            return max(0, int(arrived) - start), int(self.gone_by - arrived) + 1
        assert kind == "DELETED", f"{pod['metadata']['name']} still runs"
        requested = parse_time(pod["metadata"]["deletionTimestamp"])  # moved back to the request at grace 0
        had_grace = any(each["metadata"].get("deletionGracePeriodSeconds") for _, _, each in self.versions)
        late = arrived - requested
        if not had_grace or late <= FORCED_AT_ONCE:
            return max(0, requested - start), int(had_grace and late > FORCED_AT_ONCE - 1)
        return max(0, int(arrived) - start), 1


@dataclass
class Cost:
    """What pods must have been charged, in milli-units x seconds by key."""

    exact: Counter[str] = field(default_factory=Counter)
    slack: Counter[str] = field(default_factory=Counter)
    """The seconds by which the end of each pod is not known, where only the arrival of an event tells it."""
    pods: int = 0
    decided_by_arrival: int = 0

    def wrong(self, ledger: Mapping[str, str]) -> dict[str, int]:
        """By how much a ledger is off, by key; nothing where it says the same to the second."""
        off = {key: int(ledger.get(key, "0")) - amount for key, amount in self.exact.items()}
        return {key: difference for key, difference in off.items() if abs(difference) > self.slack[key]}


class Recorder:
    """Watches all pods from its start to its end."""

    def __init__(self, api: pykube.HTTPClient) -> None:
        self._api = api
        self.lives: dict[str, Life] = {}
        self.parents: dict[str, str] = {}
        """UID of each ReplicaSet seen, with the UID of its controller."""
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=watched, name=f"recorder of {watched[1]}", daemon=True)
            for watched in (("v1", "pods", self._pod), ("apps/v1", "replicasets", self._replica_set))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def cost(self, workloads: Mapping[str, Mapping[str, int]]) -> Cost:
        """What the pods of some workloads must have been charged by now; all of these pods must be over.

        ``workloads`` are the milli-units a pod holds, by key, by UID of the workload.
        """
        cost = Cost()
        for life in list(self.lives.values()):
            controller = next((owner["uid"] for owner in life.last["metadata"].get("ownerReferences", ())
                               if owner.get("controller")), "")  # fmt: skip
            amounts = workloads.get(self.parents.get(controller, controller))
            if amounts is None:
                continue
            seconds, off = life.seconds()
            cost.pods += 1
            cost.decided_by_arrival += off > 0
            for key, milli in amounts.items():
                cost.exact[key] += milli * seconds
                cost.slack[key] += milli * off
        return cost

    def saw_all_go(self, namespace: str) -> bool:
        """Whether the last thing seen of every pod of a namespace is that it is gone."""
        return all(
            life.is_over for life in list(self.lives.values()) if life.last["metadata"]["namespace"] == namespace
        )

    def _pod(self, kind: str, pod: JSON) -> None:
        self.lives.setdefault(pod["metadata"]["uid"], Life()).versions.append((time.time(), kind, pod))

    def _replica_set(self, _: str, replica_set: JSON) -> None:
        for owner in replica_set["metadata"].get("ownerReferences", ()):
            if owner.get("controller"):
                self.parents[replica_set["metadata"]["uid"]] = owner["uid"]

    def _watch(self, version: str, resource: str, tell: Callable[[str, JSON], None]) -> None:
        at = ""
        while not self._stop.is_set():
            try:
                if not at:
                    at = self._list(version, resource, tell)
                parameters = {"watch": "true", "resourceVersion": at, "timeoutSeconds": "5"}
                with self._api.get(version=version, url=resource, params=parameters, stream=True, timeout=15) as answer:
                    for line in answer.iter_lines(chunk_size=None):
                        event = json.loads(line)
                        if event["type"] == "ERROR":  # the API server was started anew, and knows no older versions
                            at = ""
                            break
                        at = event["object"]["metadata"]["resourceVersion"]
                        tell(event["type"], event["object"])
            except requests.RequestException:  # it was killed
                time.sleep(0.2)

    def _list(self, version: str, resource: str, tell: Callable[[str, JSON], None]) -> str:
        """Take over a list; pods that it lacks went unseen. Its resourceVersion."""
        answer = self._api.get(version=version, url=resource, timeout=15)
        answer.raise_for_status()
        listed = answer.json()
        for each in listed["items"]:
            tell("LISTED", each)
        if resource == "pods":
            there = {each["metadata"]["uid"] for each in listed["items"]}
            for uid, life in list(self.lives.items()):
                if uid not in there and not life.is_over:
                    life.gone_by = time.time()
        return str(listed["metadata"]["resourceVersion"])
