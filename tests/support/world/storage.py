"""What the API server keeps: bizrqs in the store with compare-and-swap, workloads beside them under the same counter.

Of each object every version is kept, and what a watch tells of it: a watch of workloads selects by label, so that an
object which loses its label is told as DELETED.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from bizrq.cluster.store import BIZRQS_URL
from bizrq.domain.bizrq import KIND, LABEL
from bizrq.workloads.kind import Kind
from tests.support.cas_store import CasStore
from tests.support.controller import DEPLOYMENT
from tests.support.world.loop import Gate

__all__ = ["NAMESPACE", "STAGES", "Event", "Lists", "Storage", "is_bizrq"]

JSON = dict[str, Any]

NAMESPACE = "shop"

STAGES = ("writers", "workloads", "bizrqs")
"""What the answers to the requests of a list of everything bring, in order."""


class Event(NamedTuple):
    """What a watch tells."""

    type: str
    raw: JSON


def is_bizrq(raw: Mapping[str, Any]) -> bool:
    """Whether an object is a bizrq, and no workload."""
    return bool(raw["kind"] == KIND)


class Storage(CasStore):
    """All objects by name; no two are called the same."""

    kinds: Sequence[Kind] = (DEPLOYMENT,)
    """Those that there are."""

    def __init__(self) -> None:
        super().__init__()
        self.workloads: dict[tuple[str, str, str], JSON] = {}
        """As ``StoreReads`` has them."""
        self.versions: dict[str, list[JSON | None]] = {}
        """Every version of each object; None: it was gone."""
        self.events: dict[str, list[Event]] = {}
        self.makers: dict[str, str] = {}
        """Who made an object, by its UID."""
        self.is_observed_late = False
        """Whether status.observedGeneration waits for ``observe``; else it is always that of the spec."""
        self.cached: dict[str, bytes] = {}
        """What lists with a resourceVersion are answered with, by URL: as old as a cache may be."""

    def current(self, name: str) -> JSON | None:
        """The object as it is stored; None where there is none."""
        versions = self.versions.get(name)
        return copy.deepcopy(versions[-1]) if versions else None

    def store(self, raw: Mapping[str, Any]) -> JSON:
        """Store a new object, or a new version of one, whoever was faster."""
        name = raw["metadata"]["name"]
        if is_bizrq(raw):
            is_new = name not in self._objects
            stored = super().put(raw)
            if is_new:
                stored["metadata"]["uid"] = self._objects[name]["metadata"]["uid"] = raw["metadata"]["uid"]
        else:
            self.version += 1
            stored = copy.deepcopy(dict(raw))
            stored["metadata"]["resourceVersion"] = str(self.version)
            if not self.is_observed_late:
                stored["status"] = {"observedGeneration": stored["metadata"].get("generation", 1)}
            self.workloads[self.kind_of(raw).id, NAMESPACE, name] = stored
        self._tell(name, stored)
        return copy.deepcopy(stored)

    def put(self, raw: Mapping[str, Any]) -> JSON:
        """Store a version of a bizrq."""
        stored = super().put(raw)
        self._tell(stored["metadata"]["name"], stored)
        return stored

    def kind_of(self, raw: Mapping[str, Any]) -> Kind:
        """The kind of a workload."""
        return next(each for each in self.kinds if each.kind == raw["kind"])

    async def delete(self, name: str) -> None:
        """Remove an object; a bizrq with finalizers stays for a while."""
        if name in self._objects:
            await super().delete(name)
            if name not in self._objects:
                self._tell(name, None)
            return
        self.version += 1
        gone = self.current(name)
        assert gone is not None
        del self.workloads[self.kind_of(gone).id, NAMESPACE, name]
        self._tell(name, None)

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> JSON:
        """Replace the finalizers over the very version that ``raw`` is."""
        stored = await super().set_finalizers(raw, finalizers)
        if raw["metadata"]["name"] not in self._objects:
            self._tell(raw["metadata"]["name"], None)
        return stored

    def _tell(self, name: str, stored: JSON | None) -> None:
        versions = self.versions.setdefault(name, [])
        before = versions[-1] if versions else None
        versions.append(copy.deepcopy(stored))
        events = self.events.setdefault(name, [])
        if _is_watched(stored):
            assert stored is not None
            events.append(Event("MODIFIED" if _is_watched(before) else "ADDED", copy.deepcopy(stored)))
        elif _is_watched(before):
            assert before is not None
            gone = copy.deepcopy(before)
            gone["metadata"]["resourceVersion"] = str(self.version)
            events.append(Event("DELETED", gone))


def _is_watched(raw: JSON | None) -> bool:
    return raw is not None and (is_bizrq(raw) or LABEL in (raw["metadata"].get("labels") or {}))


class Lists:
    """Answers lists as the API server does; stands in for the client of a feed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.gates = {stage: Gate() for stage in STAGES}
        """Answers are made before them, and arrive behind them."""
        self._is_first = True

    async def get(self, url: str, *, params: Mapping[str, str], **_: object) -> bytes:
        """The only page of a list."""
        answer = self.now(url)
        if "resourceVersion" in params:
            answer = self._storage.cached.get(url, answer)
        stage = "workloads"
        if url == BIZRQS_URL:  # they are listed before and after the workloads
            stage, self._is_first = "writers" if self._is_first else "bizrqs", not self._is_first
        await self.gates[stage].passed()
        return answer

    def now(self, url: str) -> bytes:
        """A list of what is stored now."""
        storage = self._storage
        if url == BIZRQS_URL:
            items = [storage.raw(name) for name in storage.names()]
        else:
            items = [raw for raw in storage.workloads.values() if _is_watched(raw) and storage.kind_of(raw).url == url]
        return msgspec.json.encode({"metadata": {"resourceVersion": str(storage.version)}, "items": items})
