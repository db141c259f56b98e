"""An in-memory store of bizrqs with compare-and-swap.

It passes the same contract test as the API server (tests/support/store_contract.py). Faults are asked for by number:
answers that get lost after the write, and writes of somebody else that come in between.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bizrq.cluster.errors import Conflict, NotFound, Unavailable
from bizrq.cluster.objects import RuntimeClass
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.workloads.kind import Kind, Resource

__all__ = ["CasStore", "StoreReads"]

JSON = dict[str, Any]


class CasStore:
    """Bizrqs by name; every write makes a new version of one history."""

    def __init__(self, first_version: int = 100) -> None:
        self.version = first_version
        self.writes = 0
        self.lost_answers = 0
        """So many of the next writes are stored, and their answer is lost."""
        self.refused_writes = 0
        """So many of the next writes fail before anything is stored."""
        self.before_write: Callable[[], None] | None = None
        """Called once, right before the next write is compared: somebody else is faster."""
        self._objects: dict[str, JSON] = {}

    async def create(self, raw: Mapping[str, Any]) -> JSON:
        """Store a new object under a new version and UID."""
        return self.put(raw)

    async def update_spec(self, name: str, spec: Mapping[str, Any]) -> JSON:
        """Store a new spec, whatever the version."""
        return self.put({**self._objects[name], "spec": dict(spec)})

    async def delete(self, name: str) -> None:
        """Remove an object; one with finalizers gets a deletionTimestamp and stays."""
        known = self._objects[name]
        if known["metadata"].get("finalizers"):
            self.put({**known, "metadata": {**known["metadata"], "deletionTimestamp": "2026-01-05T10:00:00Z"}})
            return
        self.version += 1
        del self._objects[name]

    def put(self, raw: Mapping[str, Any]) -> JSON:
        """Store an object as somebody with all rights would."""
        self.version += 1
        stored = copy.deepcopy(dict(raw))
        name = stored["metadata"]["name"]
        uid = self._objects[name]["metadata"]["uid"] if name in self._objects else f"{name}-{self.version}"
        stored["metadata"] |= {"resourceVersion": str(self.version), "uid": uid}
        self._objects[name] = stored
        return copy.deepcopy(stored)

    def status(self, name: str) -> JSON:
        """The stored status."""
        return copy.deepcopy(self._objects[name].get("status") or {})

    def names(self) -> list[str]:
        """The names of all bizrqs."""
        return sorted(self._objects)

    def raw(self, name: str) -> JSON:
        """The stored object."""
        return copy.deepcopy(self._objects[name])

    # --- what bizrq.cluster.store.Store is ---

    async def read(self, name: str, *, recent: bool = False) -> JSON:  # noqa: ARG002  # all of it is
        """The newest object, which is recent too."""
        if name not in self._objects:
            raise NotFound(name)
        return copy.deepcopy(self._objects[name])

    async def replace_status(self, raw: Mapping[str, Any]) -> JSON:
        """Write the status of ``raw`` over the very version that ``raw`` is."""
        if self.before_write is not None:
            hook, self.before_write = self.before_write, None
            hook()
        if self.refused_writes:
            self.refused_writes -= 1
            raise Unavailable("nothing was written")
        metadata = raw["metadata"]
        known = self._objects.get(metadata["name"])
        if known is None:
            raise NotFound(metadata["name"])
        ours = (metadata["uid"], metadata["resourceVersion"])
        if ours != (known["metadata"]["uid"], known["metadata"]["resourceVersion"]):
            raise Conflict(metadata["name"])
        stored = self.put({**known, "status": raw["status"]})
        self.writes += 1
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the answer was lost")
        return stored

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> JSON:
        """Replace the finalizers over the very version that ``raw`` is."""
        metadata = raw["metadata"]
        known = self._objects.get(metadata["name"])
        if known is None:
            raise NotFound(metadata["name"])
        ours = (metadata["uid"], metadata["resourceVersion"])
        if ours != (known["metadata"]["uid"], known["metadata"]["resourceVersion"]):
            raise Conflict(metadata["name"])
        changed = {**known, "metadata": {**known["metadata"], "finalizers": list(finalizers)}}
        if known["metadata"].get("deletionTimestamp") and not finalizers:
            self.version += 1
            return self._objects.pop(metadata["name"])
        return self.put(changed)


class StoreReads:
    """Live reads beside such a store: its bizrqs, and the workloads that a test puts here."""

    def __init__(self, store: CasStore) -> None:
        self.store = store
        self.workloads: dict[tuple[str, str, str], JSON] = {}
        """Workload objects by id of the kind, namespace and name."""
        self.namespaces: dict[str, dict[str, str]] = {}
        """Labels of namespaces by name."""
        self.classes: dict[str, RuntimeClass] = {}
        """RuntimeClasses by name."""
        self.reads = 0
        self.pods_at = -1
        """The version of pods that the API server tells."""
        self.pods: dict[str, dict[str, int]] = {}
        """The versions of pods by namespace and UID, as a list tells them."""
        self.absent: set[str] = set()
        """Ids of resources that the API server does not serve."""
        self.defined: set[str] = set()
        """Ids of resources that a CRD defines."""
        self.owners: set[str] = set()
        """UIDs of unlabelled objects that are there."""

    async def runtime_class(self, name: str) -> RuntimeClass | None:
        """One RuntimeClass."""
        self.reads += 1
        return self.classes.get(name)

    async def runtime_classes(self) -> list[RuntimeClass]:
        """All RuntimeClasses."""
        self.reads += 1
        return list(self.classes.values())

    async def workload(self, kind: Resource, namespace: str, name: str) -> JSON | None:
        """One object of a counted kind."""
        self.reads += 1
        return copy.deepcopy(self.workloads.get((kind.id, namespace, name)))

    async def workloads_of(self, kind: Kind, bizrq: str) -> list[JSON]:
        """The objects of a kind whose label names ``bizrq``."""
        self.reads += 1
        return [
            copy.deepcopy(raw)
            for (of, _, _), raw in self.workloads.items()
            if of == kind.id and (raw["metadata"].get("labels") or {}).get(LABEL) == bizrq
        ]

    async def workloads_in(self, kind: Kind, namespace: str) -> list[JSON] | None:
        """The labelled objects of a kind in a namespace; None where the kind is ``absent``."""
        self.reads += 1
        if kind.id in self.absent:
            return None
        return [
            copy.deepcopy(raw)
            for (of, where, _), raw in self.workloads.items()
            if (of, where) == (kind.id, namespace) and LABEL in (raw["metadata"].get("labels") or {})
        ]

    async def bizrq(self, name: str) -> Bizrq | None:
        """One bizrq."""
        self.reads += 1
        return read_bizrq(self.store.raw(name)) if name in self.store.names() else None

    async def children(self, bizrq: str) -> list[Bizrq]:
        """The bizrqs whose parent is ``bizrq``."""
        self.reads += 1
        every = [read_bizrq(self.store.raw(name)) for name in self.store.names()]
        return [each for each in every if each.parent == bizrq]

    async def bizrq_names(self) -> list[str]:
        """The names of all bizrqs."""
        self.reads += 1
        return self.store.names()

    async def namespace_labels(self, name: str) -> dict[str, str]:
        """The labels of a namespace; none where nobody said any."""
        return dict(self.namespaces.get(name, {}))

    async def pods_version(self) -> int:
        """Below every version: here pods are always in view as late as workloads, unless a test says otherwise."""
        return self.pods_at

    async def pods_in(self, namespace: str) -> dict[str, int] | None:
        """The versions of the pods of a namespace, by UID."""
        return dict(self.pods.get(namespace, {}))

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has a resource."""
        return resource.id not in self.absent

    async def is_defined(self, resource: Resource) -> bool:
        """Whether a CRD defines a resource."""
        return resource.id in self.defined

    async def uids_of(self, resources: Iterable[Resource]) -> set[str]:  # noqa: ARG002  # as Reads has it
        """The UIDs of everything that may own pods, labelled or not."""
        return {raw["metadata"]["uid"] for raw in self.workloads.values()} | self.owners
