"""What is there right now?

Nothing here comes from a cache but names, for a hint: every other read is of what is stored after it was asked for.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from bizrq.cluster.client import Client, decoded
from bizrq.cluster.errors import NotFound, Unavailable
from bizrq.cluster.lists import METADATA_ONLY, list_all
from bizrq.cluster.objects import RuntimeClass
from bizrq.cluster.store import BIZRQS_URL
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.workloads.kind import Kind

__all__ = ["CLASSES_URL", "ApiReads", "Reads"]

CLASSES_URL: Final = "/apis/node.k8s.io/v1/runtimeclasses"

JSON = dict[str, Any]

_NAMES_SECONDS: Final = 5.0

_class = msgspec.json.Decoder(RuntimeClass)


class Reads(Protocol):
    """The cluster as it is now. Everything raises ``ClusterError``."""

    async def workload(self, kind: Kind, namespace: str, name: str) -> JSON | None:
        """One object of a counted kind; None where there is none."""

    async def workloads_of(self, kind: Kind, bizrq: str) -> list[JSON]:
        """The objects of a kind whose label names ``bizrq``."""

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


class ApiReads:
    """The API server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._naming = asyncio.Lock()
        self._names: list[str] = []
        self._named = -math.inf

    async def workload(self, kind: Kind, namespace: str, name: str) -> JSON | None:
        """One object of a counted kind; None where there is none."""
        return await self._get(kind.object_url(namespace, name))

    async def workloads_of(self, kind: Kind, bizrq: str) -> list[JSON]:
        """The objects of a kind whose label names ``bizrq``; none where the cluster does not have the kind."""
        try:
            return (await list_all(self._client, kind.url, {"labelSelector": f"{LABEL}={bizrq}"}))[0]
        except NotFound:
            return []

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

    async def _get(self, url: str) -> JSON | None:
        try:
            return await self._client.get_object(url)
        except NotFound:
            return None
