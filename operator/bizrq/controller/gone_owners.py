"""Who owned pods that are gone, if the owner is gone too? [C5, C7].

A workload may come and go while nobody watches: in a restart, or while kopf is away. Its pods are replayed, but they
carry no label. So what happened to workloads since is asked for as well: the event of an end has the label.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from bizrq.cluster.client import Client
from bizrq.cluster.errors import ClusterError, NotFound
from bizrq.cluster.objects import Owned, WatchEvent
from bizrq.domain.bizrq import LABEL
from bizrq.domain.resource_names import GpuResources
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import between

__all__ = ["GoneOwners"]

_PAUSE_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 3
"""A server tells at once what has happened, and ends the watch then."""

_events = msgspec.json.Decoder(WatchEvent)
_objects = msgspec.json.Decoder(dict[str, Any])
_owned = msgspec.json.Decoder(Owned)

log = logging.getLogger(__name__)


class GoneOwners:
    """Looks for them as long as pods wait for their owner.

    Versions of pods are used for other resources: they are of one etcd nearly everywhere. Where they are not, other
    events come, or none: an end that is told did happen.
    """

    def __init__(self, inventory: Inventory, client: Client, kinds: Iterable[Kind], gpus: GpuResources) -> None:
        self._inventory, self._client, self._gpus = inventory, client, gpus
        self._kinds = tuple(kinds)

    async def run(self) -> None:
        """Look every now and then, for ever; what fails is logged, and the pods stay nobody's."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            await self.look()

    async def begin(self) -> None:
        """Look before anything is written: pods that are replayed were charged, and must not be nobody's for a while.

        Where that cannot be told any more, it is as if their deletions had not been replayed [C6].
        """
        if not await self.look():
            self._inventory.pods.strays_stay_unknown()

    async def look(self) -> bool:
        """Look for the owners of the pods that wait and were not looked for yet; False if that cannot be told."""
        wanted = self._inventory.pods.strays.to_look_for()
        if wanted is None:
            return True
        names, versions = wanted
        kinds = [kind for kind in self._kinds if not names.isdisjoint(_names(kind))]
        labelled = {"labelSelector": LABEL}
        looks = [self._look(kind.url, labelled, versions, self._workload_gone(kind)) for kind in kinds]
        looks += [self._look(each.url, {}, versions, self._between_gone) for each in between(kinds)]
        return all(await asyncio.gather(*looks))

    async def _look(
        self, url: str, params: dict[str, str], versions: Iterable[int], gone: Callable[[bytes], None]
    ) -> bool:
        try:
            for version in versions:
                if await self._told(url, params, version, gone):
                    return True
            log.info("%s: which owners of pods are gone is not told any more", url)
        except NotFound:
            return True  # the cluster does not have this kind, so it has no such owners
        except ClusterError as error:
            log.warning("%s: it cannot be told which owners of pods are gone: %s", url, error)
        return False

    async def _told(self, url: str, params: dict[str, str], since: int, gone: Callable[[bytes], None]) -> bool:
        """Whether what went since that version was told."""
        params = {**params, "resourceVersion": str(since), "timeoutSeconds": str(_WATCH_SECONDS)}
        async with contextlib.aclosing(self._client.watch(url, params=params)) as lines:
            async for line in lines:
                event = _events.decode(line)
                if event.type == "ERROR":
                    return False
                if event.type == "DELETED":
                    gone(event.object)
        return True

    def _workload_gone(self, kind: Kind) -> Callable[[bytes], None]:
        def gone(raw: bytes) -> None:
            self._inventory.workload_was(read_workload(_objects.decode(raw), kind, self._gpus))

        return gone

    def _between_gone(self, raw: bytes) -> None:
        item = _owned.decode(raw)
        self._inventory.owners.put(item)
        self._inventory.owners.bury(item.metadata.uid)


def _names(kind: Kind) -> set[str]:
    """Kinds that pods of such a workload may name as their owner."""
    return {kind.kind, *(each.kind for each in kind.between)}
