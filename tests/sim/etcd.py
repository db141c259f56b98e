"""Everything that is stored, in one history, and what a watch would tell of it."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bizrq.domain.bizrq import LABEL
from bizrq.workloads.kind import Resource
from tests.support.cas_store import CasStore, StoreReads
from tests.support.clocks import HandClock

__all__ = ["Etcd", "Event", "LiveReads", "Log", "Type"]

JSON = dict[str, Any]

Type = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object."""

    version: int
    time: int
    type: Type
    raw: JSON
    matters: bool = True
    """Of a pod: whether it changes what it costs."""

    @property
    def line(self) -> bytes:
        """As a watch sends it."""
        return msgspec.json.encode({"type": self.type, "object": self.raw})


class Log:
    """The events of one kind, oldest first, and what exists."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.there: dict[str, JSON] = {}
        """By UID."""
        self.compacted = -1
        """A watch from a lower version is answered 410."""
        self.gaps: list[tuple[int, int]] = []
        """Where watches were answered so: the instant up to which all was known, and the version of the list then."""

    def append(self, event: Event) -> None:
        """One more event."""
        self.events.append(event)
        uid = event.raw["metadata"]["uid"]
        if event.type == "DELETED":
            self.there.pop(uid, None)
        else:
            self.there[uid] = event.raw

    def time_of(self, version: int) -> int:
        """When the last event up to ``version`` was; 0 if there was none."""
        index = bisect.bisect_right(self.events, version, key=lambda event: event.version)
        return self.events[index - 1].time if index else 0

    def after(self, version: int) -> Sequence[Event]:
        """What happened after ``version``."""
        return self.events[bisect.bisect_right(self.events, version, key=lambda event: event.version) :]


class Etcd(CasStore):
    """The bizrqs of a ``CasStore``, and pods, workloads and ReplicaSets beside them."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._clock = clock
        self.bizrqs, self.pods, self.workloads, self.replica_sets = Log(), Log(), Log(), Log()

    def put(self, raw: Mapping[str, Any]) -> JSON:
        """Store a bizrq as somebody with all rights would."""
        is_new = raw["metadata"]["name"] not in self._objects
        stored = super().put(raw)
        self.bizrqs.append(Event(self.version, self._clock.now(), "ADDED" if is_new else "MODIFIED", stored))
        return stored

    async def delete(self, name: str) -> None:
        """Remove a bizrq; one with finalizers gets a deletionTimestamp and stays."""
        raw = self.raw(name)
        await super().delete(name)
        if name not in self._objects:
            self._bizrq_gone(raw)

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> JSON:
        """Replace the finalizers over the very version that ``raw`` is; without any a deleted one goes."""
        stored = await super().set_finalizers(raw, finalizers)
        if raw["metadata"]["name"] not in self._objects:
            self._bizrq_gone(stored)
        return stored

    def _bizrq_gone(self, raw: JSON) -> None:
        final = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        self.bizrqs.append(Event(self.version, self._clock.now(), "DELETED", final))

    def happen(self, log: Log, type_: Type, raw: JSON, *, matters: bool = True) -> Event:
        """An object of another kind is stored, or gone with this last state."""
        self.version += 1
        stored = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        event = Event(self.version, self._clock.now(), type_, stored, matters)
        log.append(event)
        return event


class LiveReads(StoreReads):
    """Live reads of all that is stored."""

    def __init__(self, etcd: Etcd) -> None:
        super().__init__(etcd)
        self._etcd = etcd

    async def pods_version(self) -> int:
        """The newest version."""
        return self._etcd.version

    async def pods_in(self, namespace: str) -> dict[str, int]:
        """The versions of the pods of a namespace, by UID."""
        there = self._etcd.pods.there.items()
        return {
            uid: int(raw["metadata"]["resourceVersion"])
            for uid, raw in there
            if raw["metadata"]["namespace"] == namespace
        }

    async def workload(self, kind: Resource, namespace: str, name: str) -> JSON | None:
        """One object of a counted kind."""
        for raw in self._etcd.workloads.there.values():
            if (raw["kind"], raw["metadata"]["namespace"], raw["metadata"]["name"]) == (kind.kind, namespace, name):
                return raw
        return None

    @staticmethod
    def labelled(there: Mapping[str, JSON]) -> list[JSON]:
        """Of workloads those that a watch by label shows."""
        return [raw for raw in there.values() if LABEL in (raw["metadata"].get("labels") or {})]
