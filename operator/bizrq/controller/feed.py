"""How does an object that the API server sent get into the inventory?

From kopf's watches, and from our own lists: one at the start, before anything is written, and one at each resync.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar

import msgspec

from bizrq.cluster.client import Client
from bizrq.cluster.errors import Gone, NotFound
from bizrq.cluster.objects import Page
from bizrq.cluster.store import BIZRQS_URL
from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.domain.resource_names import GpuResources
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import Workload, read_workload

__all__ = ["Feed", "Listing", "take_over"]

_PAGE: Final = 500
_ATTEMPTS: Final = 3
"""A list whose continue token expires is begun anew; a server that expires every one is not listed."""

log = logging.getLogger(__name__)

T = TypeVar("T")


_pages = msgspec.json.Decoder(Page[dict[str, Any]])


class Listing(msgspec.Struct, frozen=True):
    """A consistent list of everything that counts: bizrqs, and the labelled objects of each kind."""

    bizrqs: Sequence[Bizrq]
    bizrqs_version: int
    workloads: Sequence[tuple[Kind, Sequence[Workload], int]]
    unreadable: AbstractSet[str] = frozenset()
    """UIDs of objects that are there and could not be read: they are not gone."""


class Feed:
    """Reads objects into an inventory."""

    def __init__(self, client: Client, inventory: Inventory, kinds: Sequence[Kind], gpus: GpuResources) -> None:
        self._client, self._inventory, self._kinds, self._gpus = client, inventory, kinds, gpus

    def event(self, kind: Kind | None, type_: str | None, raw: Mapping[str, Any]) -> None:
        """Take over an event of a watch; ``kind`` None: of a bizrq. An object that cannot be read is logged."""
        try:
            metadata = raw["metadata"]
            if type_ == "DELETED":
                uid, version = metadata["uid"], int(metadata["resourceVersion"])
                if kind is None:
                    self._inventory.remove_bizrq(uid, metadata["name"], version)
                else:
                    self._inventory.remove_workload(uid, version)
            elif kind is None:
                self._inventory.put_bizrq(read_bizrq(raw))
            else:
                self._inventory.put_workload(read_workload(raw, kind, self._gpus))
        except Exception:
            log.exception("an event of %s could not be read", kind.id if kind else "bizrqs")

    async def list_all(self) -> Listing:
        """List bizrqs, then the labelled objects of every kind, from etcd and not from a cache.

        Raises ``ClusterError``. A kind that the cluster does not have is left out.
        """
        unreadable: set[str] = set()
        bizrqs, version = await self._list(BIZRQS_URL, {})
        workloads = []
        for kind in self._kinds:
            try:
                items, at = await self._list(kind.url, {"labelSelector": LABEL})
            except NotFound:
                continue
            workloads.append((kind, list(_readable(items, functools.partial(self._workload, kind), unreadable)), at))
        return Listing(list(_readable(bizrqs, read_bizrq, unreadable)), version, workloads, unreadable)

    def _workload(self, kind: Kind, raw: Mapping[str, Any]) -> Workload:
        return read_workload(raw, kind, self._gpus)

    async def _list(self, url: str, params: Mapping[str, str]) -> tuple[list[dict[str, Any]], int]:
        for last in (False,) * (_ATTEMPTS - 1) + (True,):
            items: list[dict[str, Any]] = []
            version, token = 0, ""
            try:
                while True:
                    query = {**params, "limit": str(_PAGE), **({"continue": token} if token else {})}
                    page = _pages.decode(await self._client.get(url, params=query))
                    items += page.items or ()
                    version = version or int(page.metadata.resource_version)
                    token = page.metadata.continue_
                    if not token:
                        return items, version
            except Gone:
                if last:
                    raise
        raise AssertionError


def take_over(listing: Listing, inventory: Inventory) -> list[tuple[Kind, str, Amounts, Amounts]]:
    """Put a list into an inventory; for each kind and bizrq whose total that changed, the totals before and after."""
    inventory.bizrqs_listed(listing.bizrqs, listing.bizrqs_version, listing.unreadable)
    return [
        (kind, bizrq, before, after)
        for kind, workloads, version in listing.workloads
        for bizrq, (before, after) in inventory.workloads_listed(kind, workloads, version, listing.unreadable).items()
    ]


def _readable(
    items: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T], unreadable: set[str]
) -> Iterator[T]:
    """What can be read; one object that cannot must not keep everything else from being counted."""
    for item in items:
        try:
            yield read(item)
        except Exception:
            metadata = item.get("metadata", {})
            unreadable.add(metadata.get("uid", ""))
            log.exception("left out of a list: %s could not be read", metadata.get("name"))
