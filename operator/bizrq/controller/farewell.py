"""How does a bizrq go without its hours? [T7].

A finalizer is put on each bizrq before its first status, and so before anything is admitted under it. When it is
deleted, its hours move into its parent's ledger exactly once: its books are closed; the parent, then the child are read
live; one write of the parent adds the hours and the child's UID; then the finalizer goes. The UID leaves the parent's
status after a live read has shown the child gone.
"""

from __future__ import annotations

import logging
from typing import Final

from bizrq.cluster.errors import Conflict, NotFound
from bizrq.cluster.store import Store
from bizrq.domain.bizrq import GROUP, Bizrq, read_bizrq

__all__ = ["FINALIZER", "Farewell", "is_leaving"]

FINALIZER: Final = f"{GROUP}/books"

log = logging.getLogger(__name__)


def is_leaving(bizrq: Bizrq) -> bool:
    """Whether ``bizrq`` is deleted and waits for its hours to be moved."""
    return bizrq.deleting and FINALIZER in bizrq.finalizers


class Farewell:
    """Reads and writes what a bizrq that comes or goes needs. Everything raises ``ClusterError``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def greet(self, bizrq: Bizrq) -> Bizrq:
        """``bizrq`` with the finalizer on it. Raises ``Conflict`` if it is not the newest version."""
        return read_bizrq(await self._store.set_finalizers(bizrq.raw, [*bizrq.finalizers, FINALIZER]))

    async def live(self, name: str, uid: str) -> Bizrq | None:
        """The bizrq with this UID as it is stored now; None once it is gone."""
        try:
            found = read_bizrq(await self._store.read(name))
        except NotFound:
            return None
        return found if found.uid == uid else None

    async def let_go(self, bizrq: Bizrq) -> None:
        """Take the finalizer off: the last thing that happens to ``bizrq``."""
        while (found := await self.live(bizrq.name, bizrq.uid)) is not None and is_leaving(found):
            rest = [each for each in found.finalizers if each != FINALIZER]
            try:
                await self._store.set_finalizers(found.raw, rest)
            except Conflict:
                continue
            except NotFound:
                return
            log.info("%s: deleted; its hours are with %s", bizrq.name, bizrq.parent or "nobody, for it was a root")
            return
