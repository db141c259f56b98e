"""Which kinds does the cluster have now, and what if one comes or goes?

Kinds may be described before they are installed. CRDs are watched; when that of a described kind comes or goes, it is
waited for until the API server serves it, or does no more. Then kopf is started anew, since it looks for its resources
only then, and everything is listed: the list of a new kind is taken over before anybody believes the figures [R4].

Kopf finds resources by discovery, which may tell of a kind a moment later than the kind is served, on a busy API server
some seconds. So a kind is not there before discovery tells of it: kopf would never watch it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

from bizrq.cluster.errors import ClusterError
from bizrq.cluster.objects import Definition
from bizrq.workloads.kind import Resource

__all__ = ["Appearance", "Definitions"]

_POLL_SECONDS: Final = 0.5
"""Between two looks while a CRD is there whose objects are not served yet, or the other way round."""

_PATIENCE: Final = 60
"""Looks, after which the next event is waited for: something is wrong with an API server that takes so long."""

log = logging.getLogger(__name__)


class _Reads(Protocol):
    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has a resource."""

    async def is_published(self, resource: Resource) -> bool:
        """Whether discovery tells of a resource."""

    async def is_defined(self, resource: Resource) -> bool:
        """Whether a CRD defines a resource in this version, so that it is served, or is about to be."""


class Definitions:
    """The names of the CRDs that are there. It is the sink of their reflector."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        """``changed`` is told the name of each CRD that came, went, or is another one now."""
        self._names: set[str] = set()
        self._listing: set[str] = set()
        self._changed = changed

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def list_began(self) -> None:
        """A list begins."""
        self._listing = set()

    def listed(self, item: Definition, at: int) -> None:
        """An item of a list."""
        self._listing.add(item.metadata.name)
        self.changed(item, at)

    def list_ended(self, version: int, began: int) -> None:  # noqa: ARG002  # as the reflector's Sink has it
        """What was not listed is gone."""
        gone, self._names = self._names - self._listing, self._listing
        for name in gone:
            self._changed(name)

    def changed(self, item: Definition, at: int) -> None:  # noqa: ARG002
        """A CRD was added or changed."""
        self._names.add(item.metadata.name)
        self._changed(item.metadata.name)

    def deleted(self, item: Definition, at: int) -> None:  # noqa: ARG002
        """A CRD is gone."""
        self._names.discard(item.metadata.name)
        self._changed(item.metadata.name)

    def passed(self, version: int, at: int) -> None:
        """Nothing to do: no version of a CRD counts."""


class Appearance:
    """Tells the others when described kinds come and go."""

    def __init__(
        self, resources: Collection[Resource], reads: _Reads, changed: Callable[[], Awaitable[None]], *, seconds: float
    ) -> None:
        """``changed`` is called when the cluster has other resources than before.

        Every ``seconds`` it is looked without an event, too: not all resources are defined by CRDs.
        """
        self._resources, self._reads, self._tell, self._seconds = tuple(resources), reads, changed, seconds
        self._watched = {each.id for each in self._resources}
        self._some = asyncio.Event()
        self._there: frozenset[Resource] | None = None
        self.looked = asyncio.Event()
        """Set once it is known what there is: what comes later will be told of."""
        self.definitions = Definitions(self._defined)
        """The sink of the CRDs."""

    def _defined(self, name: str) -> None:
        if name in self._watched:  # a CRD is called as its resource is
            self._some.set()

    async def run(self) -> None:
        """Look for ever; what fails is looked at again."""
        while True:
            try:
                await self._look()
            except ClusterError as error:
                log.warning("which kinds there are cannot be told, looking again: %s", error)
                await asyncio.sleep(_POLL_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._some.wait(), self._seconds)

    async def _look(self) -> None:
        """Until what is served is what is defined."""
        for _ in range(_PATIENCE):
            self._some.clear()
            there = frozenset([each for each in self._resources if await self._is_there(each)])
            before = self._there
            if before is not None and before != there:
                come, gone = sorted(each.id for each in there - before), sorted(each.id for each in before - there)
                log.info(
                    "kinds have come or gone: here now: %s; gone: %s", ", ".join(come) or "-", ", ".join(gone) or "-"
                )
                await self._tell()
            self._there = there
            self.looked.set()
            absent = [each for each in self._resources if each.id in self.definitions and each not in there]
            waiting = [each for each in absent if await self._reads.is_defined(each)]
            if not waiting and not self._some.is_set():
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _is_there(self, resource: Resource) -> bool:
        """Whether it can be listed, and watched by kopf; discovery is asked of a newcomer only."""
        known = resource in (self._there or ())
        return await self._reads.serves(resource) and (known or await self._reads.is_published(resource))
