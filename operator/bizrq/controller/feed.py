"""How does an object that the API server sent get into the inventory?

From kopf's watches, and from our own lists: one at the start, before anything is written, and one at each resync.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

import msgspec

from bizrq.cluster.client import Client
from bizrq.cluster.errors import NotFound, Unavailable
from bizrq.cluster.lists import list_all
from bizrq.cluster.reads import Reads
from bizrq.cluster.store import BIZRQS_URL
from bizrq.controller.arrivals import Arrivals, know_classes
from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.domain.resource_names import GpuResources
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import Workload, read_workload

__all__ = ["Feed", "Listing", "RestoredError", "take_over"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class RestoredError(Exception):
    """The store went back in time, as etcd does when it is restored: nothing that is held is of any use [R2]."""


class Listing(msgspec.Struct, frozen=True):
    """A list of everything that counts: bizrqs, and the labelled objects of each kind."""

    bizrqs: Sequence[Bizrq]
    bizrqs_version: int
    workloads: Sequence[tuple[Kind, Sequence[Workload], int]]
    unreadable: AbstractSet[str] = frozenset()
    """UIDs of objects that are there and could not be read: they are not gone."""
    writers: Mapping[str, str] = {}
    """Who had written the status of each bizrq last, by its UID, before anything here was listed [R4]."""
    held_before: int = -1
    """The highest version of a bizrq that was seen before the list was asked for."""


class Feed:
    """Reads objects into an inventory."""

    def __init__(
        self, client: Client, reads: Reads, inventory: Inventory, kinds: Sequence[Kind], gpus: GpuResources
    ) -> None:
        self._client, self._reads, self._inventory = client, reads, inventory
        self._kinds, self._gpus = kinds, gpus
        self.arrivals = Arrivals(inventory, reads)
        """To be run beside: it puts the workloads that must wait for a RuntimeClass."""

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
                self.arrivals.put(read_workload(raw, kind, self._gpus))
        except Exception:
            log.exception("an event of %s could not be read", kind.id if kind else "bizrqs")

    async def list_all(self) -> Listing:
        """List the labelled objects of every kind, then bizrqs, from etcd and not from a cache.

        Bizrqs are listed before too, to know which statuses these lists are newer than [R4]. A kind that the cluster
        does not have is an empty list, of the version of the list of bizrqs that follows. Raises ``ClusterError``, also
        where a kind is defined and not served yet.
        """
        unreadable: set[str] = set()
        held = self._inventory.bizrqs.newest
        before, _ = await list_all(self._client, BIZRQS_URL, {})
        writers = {raw["metadata"]["uid"]: (raw.get("status") or {}).get("writer") or "" for raw in before}
        workloads: list[tuple[Kind, Sequence[Workload], int]] = []
        absent = []
        for kind in self._kinds:
            try:
                items, at = await list_all(self._client, kind.url, {"labelSelector": LABEL})
            except NotFound as error:
                if await self._reads.is_defined(kind):
                    msg = f"{kind.id} are defined and not served yet"
                    raise Unavailable(msg) from error
                absent.append(kind)
                continue
            workloads.append((kind, list(_readable(items, functools.partial(self._workload, kind), unreadable)), at))
        await know_classes(self._inventory, self._reads, (each for _, listed, _ in workloads for each in listed))
        bizrqs, version = await list_all(self._client, BIZRQS_URL, {})
        workloads += [(kind, (), version) for kind in absent]
        return Listing(list(_readable(bizrqs, read_bizrq, unreadable)), version, workloads, unreadable, writers, held)

    def _workload(self, kind: Kind, raw: Mapping[str, Any]) -> Workload:
        return read_workload(raw, kind, self._gpus)


def take_over(listing: Listing, inventory: Inventory) -> list[tuple[Kind, str, Amounts, Amounts]]:
    """Put a list into an inventory; for each kind and bizrq whose total that changed, the totals before and after.

    Raises ``RestoredError`` where the list is of a time before what is held [R2].
    """
    if listing.bizrqs_version < listing.held_before:
        msg = f"bizrqs are listed at version {listing.bizrqs_version}, and were seen at {listing.held_before} before"
        raise RestoredError(msg)
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
