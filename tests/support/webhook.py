"""The reviews of one webhook without a server: its routes over a store in memory, asked as the API server asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from bizrq.domain.bizrq import GROUP, PLURAL, Bizrq
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.refusal_counts import RefusalCounts
from bizrq.webhook.review import Verdict, answer, read_review
from bizrq.webhook.routes import routes_over
from bizrq.workloads.kind import Kind, Resource
from bizrq.workloads.registry import built_in, read_kinds
from tests.support.admission_review import make_review
from tests.support.cas_store import StoreReads
from tests.support.clocks import HandClock
from tests.support.faulty_store import FaultyStore

__all__ = ["FaultyReads", "Webhook", "told"]

JSON = dict[str, Any]

_CUSTOM = """
kinds:
  - group: example.com
    version: v1
    resource: widgets
    kind: Widget
    podGroups:
      - each: spec.groups
        template: template
        replicas: item.?replicas.orValue(1)
    between: [{group: example.com, version: v1, resource: parts, kind: Part}]
"""

KINDS: Sequence[Kind] = (*built_in(), *read_kinds(_CUSTOM, "custom.yaml"))
"""The built-in kinds, and a custom one: of these the API server checks hardly anything."""


class FaultyReads(StoreReads):
    """Live reads that are away when the store is."""

    def __init__(self, store: FaultyStore) -> None:
        super().__init__(store)
        self.faulty = store

    async def workload(self, kind: Resource, namespace: str, name: str) -> JSON | None:
        """One object of a counted kind."""
        self.faulty.ask()
        return await super().workload(kind, namespace, name)

    async def workloads_of(self, kind: Kind, bizrq: str) -> list[JSON]:
        """The objects of a kind whose label names ``bizrq``."""
        self.faulty.ask()
        return await super().workloads_of(kind, bizrq)

    async def workloads_in(self, kind: Kind, namespace: str) -> list[JSON] | None:
        """The labelled objects of a kind in a namespace."""
        self.faulty.ask()
        return await super().workloads_in(kind, namespace)

    async def bizrq(self, name: str) -> Bizrq | None:
        """One bizrq."""
        self.faulty.ask()
        return await super().bizrq(name)

    async def children(self, bizrq: str) -> list[Bizrq]:
        """The bizrqs whose parent is ``bizrq``."""
        self.faulty.ask()
        return await super().children(bizrq)

    async def bizrq_names(self) -> list[str]:
        """The names of all bizrqs."""
        self.faulty.ask()
        return await super().bizrq_names()


class Webhook:
    """One replica. The methods ask as the API server does, and give the verdict."""

    def __init__(self, clock: HandClock, store: FaultyStore | None = None) -> None:
        self.store = store or FaultyStore()
        self.reads = FaultyReads(self.store)
        self.metrics = WebhookMetrics()
        self.refusals = RefusalCounts(self.metrics)
        self.routes = routes_over(
            self.store, self.reads, KINDS, DEFAULT_GPU_RESOURCES, clock, self.metrics, refusals=self.refusals
        )

    def have(self, *raws: JSON) -> None:
        """Store bizrqs, and workloads for live reads."""
        for raw in raws:
            kind = _kind_of(raw)
            if kind is None:
                self.store.put(raw)
            else:
                metadata = raw["metadata"]
                self.reads.workloads[kind.id, metadata["namespace"], metadata["name"]] = raw

    async def ask(self, route: str, **request: Any) -> Verdict:
        """One review; ``request`` are its fields."""
        deadline = asyncio.get_running_loop().time() + 5.0
        return await self.routes[route](read_review(make_review(**request)), deadline)

    async def create(self, raw: JSON, *, dry_run: bool = False) -> Verdict:
        """A create of ``raw``: it has a UID already, and no version yet."""
        metadata = {name: value for name, value in raw["metadata"].items() if name != "resourceVersion"}
        return await self._review("CREATE", {**raw, "metadata": metadata}, None, dry_run=dry_run)

    async def update(self, old: JSON, new: JSON, *, dry_run: bool = False) -> Verdict:
        """An update of ``old`` to ``new``; metadata that the API server keeps are those of ``old``."""
        kept = {name: old["metadata"][name] for name in ("uid", "resourceVersion")}
        return await self._review("UPDATE", {**new, "metadata": {**new["metadata"], **kept}}, old, dry_run=dry_run)

    async def delete(self, raw: JSON, **request: Any) -> Verdict:
        """A delete of ``raw``."""
        return await self._review("DELETE", None, raw, **request)

    async def scale(self, raw: JSON, before: int, after: int, **request: Any) -> Verdict:
        """A change of the scale of ``raw``, which is the object as the API server read it."""
        names = ("name", "namespace", "uid", "resourceVersion")
        metadata = {name: raw["metadata"][name] for name in names}

        def scale(replicas: int) -> JSON:  # 0 is left out
            spec = {"replicas": replicas} if replicas else {}
            return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec}

        fields = {**_fields(raw), "operation": "UPDATE", "subResource": "scale"} | request
        fields["kind"] = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        return await self.ask("scale", object=scale(after), oldObject=scale(before), **fields)

    async def _review(
        self, operation: str, new: JSON | None, old: JSON | None, *, dry_run: bool = False, **request: Any
    ) -> Verdict:
        raw: JSON = old or new or {}
        route = "bizrqs" if _kind_of(raw) is None else "workloads"
        fields = {**_fields(raw), "operation": operation, "dryRun": dry_run} | request
        return await self.ask(route, object=new, oldObject=old, **fields)


def told(verdict: Verdict) -> JSON:
    """What the API server reads of a verdict."""
    response: JSON = json.loads(answer("u", verdict))["response"]
    return response


def _kind_of(raw: JSON) -> Kind | None:
    group, _, version = raw["apiVersion"].rpartition("/")
    return next(
        (each for each in KINDS if (each.group, each.version, each.kind) == (group, version, raw["kind"])), None
    )


def _fields(raw: JSON) -> JSON:
    kind, (group, _, version) = _kind_of(raw), raw["apiVersion"].rpartition("/")
    resource = kind.resource if kind else PLURAL if group == GROUP else raw["kind"].lower() + "s"
    metadata = raw["metadata"]
    of = {"group": group, "version": version, "kind": raw["kind"]}
    at = {"group": group, "version": version, "resource": resource}
    return {
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "kind": of,
        "requestKind": of,
        "resource": at,
        "requestResource": at,
    }
