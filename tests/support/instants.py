"""What must hold of every instant that was stored, not only of those that somebody happened to look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

from bizrq.domain.bizrq import LABEL
from bizrq.domain.quantity import parse_own
from tests.support.load import Event, History, timeline

__all__ = ["CPU", "DemandUnder", "TakenByChildren", "deployment"]

CPU = "limits.cpu"

JSON = Mapping[str, Any]


def deployment(name: str, group: str, *, namespace: str, cores: int = 1, replicas: int = 1) -> dict[str, Any]:
    """A Deployment of one container with so many cores, under a group."""
    container = {"name": "main", "image": "none", "resources": {"limits": {"cpu": str(cores)}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: group}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def _cores(raw: JSON) -> Fraction:
    containers = raw["spec"]["template"]["spec"]["containers"]
    each = sum(parse_own(one["resources"]["limits"]["cpu"]).nano for one in containers)
    return Fraction(raw["spec"]["replicas"] * each, 10**9)


def _amount(amounts: JSON | None) -> Fraction:
    return Fraction(parse_own((amounts or {}).get(CPU, "0")).nano, 10**9)


def _used(raw: JSON) -> Fraction:
    return _amount((raw.get("status") or {}).get("used"))


class DemandUnder:
    """Live demand of the workloads of some groups: never above what ``root`` may hand out, nor above its ``used``."""

    def __init__(self, root: str, limit: int, *, groups: Collection[str] = ()) -> None:
        self.root, self.limit, self.groups = root, limit, set(groups or {root})
        self.most = Fraction(0)
        """The most that was ever demanded at a time."""
        self.checked = 0
        self._live: dict[str, Fraction] = {}
        self._used = Fraction(0)

    def walk(self, bizrqs: History, workloads: History) -> None:
        """Check every instant of two histories."""
        for raw in bizrqs.first:
            self._take_bizrq(raw)
        for raw in workloads.first:
            self._take_workload(raw, gone=False)
        for index, event in timeline(bizrqs, workloads):
            if index:
                self._take_workload(event.object, gone=event.type == "DELETED")
            else:
                self._take_bizrq(event.object)
            self._check(event)

    def _take_bizrq(self, raw: JSON) -> None:
        if raw["metadata"]["name"] == self.root:
            self._used = _used(raw)

    def _take_workload(self, raw: JSON, *, gone: bool) -> None:
        uid = raw["metadata"]["uid"]
        self._live.pop(uid, None)
        if not gone and (raw["metadata"].get("labels") or {}).get(LABEL) in self.groups:
            self._live[uid] = _cores(raw)

    def _check(self, event: Event) -> None:
        live = sum(self._live.values(), Fraction(0))
        self.most = max(self.most, live)
        self.checked += 1
        assert live <= self._used, f"{self.root} at {event.version}: {live} cores exist, used says {self._used}"
        assert self._used <= self.limit, f"{self.root} at {event.version}: used {self._used} of {self.limit}"


class TakenByChildren:
    """What the children of ``parent`` take: never above its hard, nor above its ``used``."""

    def __init__(self, parent: str, limit: int) -> None:
        self.parent, self.limit = parent, limit
        self.most = Fraction(0)
        self.checked = 0
        self._takes: dict[str, Fraction] = {}
        self._used = Fraction(0)

    def walk(self, bizrqs: History) -> None:
        """Check every instant of a history."""
        for raw in bizrqs.first:
            self._take(raw, gone=False)
        for event in bizrqs.events:
            self._take(event.object, gone=event.type == "DELETED")
            taken = sum(self._takes.values(), Fraction(0))
            self.most = max(self.most, taken)
            self.checked += 1
            assert taken <= self._used, f"{self.parent} at {event.version}: {taken} are taken, used says {self._used}"
            assert self._used <= self.limit, f"{self.parent} at {event.version}: used {self._used} of {self.limit}"

    def _take(self, raw: JSON, *, gone: bool) -> None:
        name = raw["metadata"]["name"]
        if name == self.parent:
            self._used = _used(raw)
        elif raw["spec"].get("parentBizGroup") == self.parent:
            self._takes.pop(name, None)
            if not gone:
                self._takes[name] = max(_amount(raw["spec"].get("hard")), _used(raw))
