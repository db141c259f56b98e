"""What is there right now?

Nothing here comes from a cache but names, for a hint: every other read is of what is stored after it was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterable
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from bizrq.cluster.client import Client, decoded
from bizrq.cluster.errors import NotFound, Unavailable
from bizrq.cluster.lists import METADATA_ONLY, first_page, list_all
from bizrq.cluster.objects import RuntimeClass
from bizrq.cluster.store import BIZRQS_URL
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.workloads.kind import Kind, Resource

__all__ = ["CLASSES_URL", "DEFINITIONS_URL", "ApiReads", "Reads"]

CLASSES_URL: Final = "/apis/node.k8s.io/v1/runtimeclasses"
DEFINITIONS_URL: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

JSON = dict[str, Any]

_NAMES_SECONDS: Final = 5.0

_ABSENT_SECONDS: Final = 5.0
"""How long a kind that the cluster does not have is not looked for again: each Deployment would cost a request more."""

_class = msgspec.json.Decoder(RuntimeClass)

_PODS: Final = "/api/v1/pods"
_POD_PAGE: Final = 1000

_TEMPLATE_HASHES: Final = ("pod-template-hash", "rollouts-pod-template-hash")
"""Labels that Deployments and Rollouts put on their ReplicaSets."""


class Reads(Protocol):
    """The cluster as it is now. Everything raises ``ClusterError``."""

    async def workload(self, kind: Resource, namespace: str, name: str) -> JSON | None:
        """One workload, or one object of what stands between; None where there is none."""

    async def workloads_of(self, kind: Kind, bizrq: str) -> list[JSON]:
        """The objects of a kind whose label names ``bizrq``."""

    async def workloads_in(self, kind: Kind, namespace: str) -> list[JSON] | None:
        """The labelled objects of a kind in a namespace; None where the cluster does not have the kind.

        That it does not have it may be some seconds old.
        """

    async def bizrq(self, name: str) -> Bizrq | None:
        """One bizrq; None where there is none."""

    async def children(self, bizrq: str) -> list[Bizrq]:
        """The bizrqs whose parent is ``bizrq``."""

    async def bizrq_names(self) -> list[str]:
        """The names of all bizrqs."""

    async def namespace_labels(self, name: str) -> dict[str, str]:
        """The labels of a namespace; none where there is no such namespace."""

    async def runtime_class(self, name: str) -> RuntimeClass | None:
        """One RuntimeClass; None where there is none."""

    async def runtime_classes(self) -> list[RuntimeClass]:
        """All RuntimeClasses."""

    async def pods_version(self) -> int:
        """A version that nothing that happened to pods until now is later than."""

    async def pods_in(self, namespace: str) -> dict[str, int] | None:
        """The versions of the pods of a namespace by UID, "": of all; None where they are more than a page."""

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has a resource."""

    async def is_defined(self, resource: Resource) -> bool:
        """Whether a CRD defines a resource in this version, so that it is served, or is about to be."""

    async def uids_of(self, resources: Iterable[Resource]) -> set[str]:
        """The UIDs of all objects of these resources, labelled or not; without orphans.

        An orphan is a ReplicaSet that nothing controls any more: its template hash tells that something did.
        """


class ApiReads:
    """The API server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._naming = asyncio.Lock()
        self._names: list[str] = []
        self._named = -math.inf
        self._absent: dict[str, float] = {}
        """Until when a kind is taken as one that the cluster does not have."""

    async def workload(self, kind: Resource, namespace: str, name: str) -> JSON | None:
        """One workload, or one object of what stands between; None where there is none."""
        return await self._get(kind.object_url(namespace, name))

    async def workloads_of(self, kind: Kind, bizrq: str) -> list[JSON]:
        """The objects of a kind whose label names ``bizrq``; none where the cluster does not have the kind."""
        try:
            return (await list_all(self._client, kind.url, {"labelSelector": f"{LABEL}={bizrq}"}))[0]
        except NotFound:
            return []

    async def workloads_in(self, kind: Kind, namespace: str) -> list[JSON] | None:
        """The labelled objects of a kind in a namespace; None where the cluster does not have the kind."""
        now = asyncio.get_running_loop().time()
        if now < self._absent.get(kind.id, 0.0):
            return None
        try:
            return (await list_all(self._client, kind.url_in(namespace), {"labelSelector": LABEL}))[0]
        except NotFound:
            self._absent[kind.id] = now + _ABSENT_SECONDS
            return None

    async def bizrq(self, name: str) -> Bizrq | None:
        """One bizrq; None where there is none."""
        raw = await self._get(f"{BIZRQS_URL}/{quote(name, safe='')}")
        return None if raw is None else read_bizrq(raw)

    async def children(self, bizrq: str) -> list[Bizrq]:
        """The bizrqs whose parent is ``bizrq``."""
        items, _ = await list_all(self._client, BIZRQS_URL, {"fieldSelector": f"spec.parentBizGroup={bizrq}"})
        return [read_bizrq(item) for item in items]

    async def bizrq_names(self) -> list[str]:
        """The names of all bizrqs, some seconds old at most: a wrong label must not cost a list each time."""
        async with self._naming:
            now = asyncio.get_running_loop().time()
            if now - self._named > _NAMES_SECONDS:
                items, _ = await list_all(self._client, BIZRQS_URL, {}, accept=METADATA_ONLY)
                self._names, self._named = [item["metadata"]["name"] for item in items], now
        return self._names

    async def namespace_labels(self, name: str) -> dict[str, str]:
        """The labels of a namespace; none where there is no such namespace."""
        raw = await self._get(f"/api/v1/namespaces/{quote(name, safe='')}")
        return {} if raw is None else raw["metadata"].get("labels") or {}

    async def runtime_class(self, name: str) -> RuntimeClass | None:
        """One RuntimeClass; None where there is none."""
        try:
            return decoded(_class, await self._client.get(f"{CLASSES_URL}/{quote(name, safe='')}"))
        except NotFound:
            return None

    async def runtime_classes(self) -> list[RuntimeClass]:
        """All RuntimeClasses."""
        items, _ = await list_all(self._client, CLASSES_URL, {})
        try:
            return [msgspec.convert(item, RuntimeClass) for item in items]
        except msgspec.ValidationError as error:
            msg = f"RuntimeClasses that cannot be read: {error}"
            raise Unavailable(msg) from error

    async def pods_version(self) -> int:
        """A version that nothing that happened to pods until now is later than."""
        return (await first_page(self._client, _PODS, limit=1))[1]

    async def pods_in(self, namespace: str) -> dict[str, int] | None:
        """The versions of the pods of a namespace by UID, "": of all; None where they are more than a page."""
        url = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods" if namespace else _PODS
        items, _, complete = await first_page(self._client, url, limit=_POD_PAGE)
        if not complete:
            return None
        return {each["metadata"]["uid"]: int(each["metadata"]["resourceVersion"]) for each in items}

    async def uids_of(self, resources: Iterable[Resource]) -> set[str]:
        """The UIDs of all objects of these resources, labelled or not; without orphans."""
        uids = set()
        for url in {each.url for each in resources}:
            with contextlib.suppress(NotFound):
                items, _ = await list_all(self._client, url, {}, accept=METADATA_ONLY)
                uids |= {each["metadata"]["uid"] for each in items if not _is_orphan(each["metadata"])}
        return uids

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has a resource."""
        try:
            await first_page(self._client, resource.url, limit=1)
        except NotFound:
            return False
        return True

    async def is_published(self, resource: Resource) -> bool:
        """Whether discovery tells of a resource: its group in the list of all, and itself in that of its group."""
        if resource.group:
            groups = (await self._client.get_object("/apis")).get("groups") or ()
            versions = [each for group in groups if group["name"] == resource.group for each in group["versions"]]
            if not any(each["version"] == resource.version for each in versions):
                return False
        listed = await self._get(resource.url.removesuffix(f"/{resource.resource}"))
        return listed is not None and any(each["name"] == resource.resource for each in listed.get("resources") or ())

    async def is_defined(self, resource: Resource) -> bool:
        """Whether a CRD defines a resource in this version, so that it is served, or is about to be."""
        raw = await self._get(f"{DEFINITIONS_URL}/{resource.id}")
        if raw is None or not _is_established(raw):
            return False  # one whose names are taken by another never is
        return any(each.get("served") and each.get("name") == resource.version for each in raw["spec"]["versions"])

    async def _get(self, url: str) -> JSON | None:
        try:
            return await self._client.get_object(url)
        except NotFound:
            return None


def _is_established(definition: JSON) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Established" and each.get("status") == "True" for each in conditions)


def _is_orphan(metadata: JSON) -> bool:
    labels = metadata.get("labels") or {}
    controlled = any(owner.get("controller") for owner in metadata.get("ownerReferences") or ())
    return not controlled and any(label in labels for label in _TEMPLATE_HASHES)
