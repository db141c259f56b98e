"""At which moment did a workload move, and is it gone or has it lost its label? [C7].

The claim of a move tells the moment; a live read of the new bizrq has it, since it was written before the workload was.
A watch that selects by label tells the end of a workload and the loss of its label in the same way: a live read of the
object tells which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bizrq.cluster.errors import NotFound
from bizrq.cluster.reads import Reads
from bizrq.cluster.store import Store
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.domain.charges import claims_of_workloads
from bizrq.domain.claims import Claim
from bizrq.domain.quantity import ZERO
from bizrq.domain.times import instant
from bizrq.inventory.homes import Pending
from bizrq.inventory.inventory import Inventory

__all__ = ["Moves"]


class Moves:
    """Finds out about the moves of the inventory that are not settled yet."""

    def __init__(self, inventory: Callable[[], Inventory], store: Store, reads: Reads) -> None:
        self._inventory, self._store, self._reads = inventory, store, reads

    async def settle(self, bizrq: Bizrq) -> None:
        """Settle all moves from and to a bizrq, before its figures are counted. Raises ``ClusterError``."""
        homes = self._inventory().homes
        for each in (bizrq, *self._inventory().bizrqs.arrived_from(bizrq.name)):
            for claim in claims_of_workloads(each.claims).values():
                self._unseen(each, claim)
        for pending in homes.pending_for(bizrq.name):
            uid = pending.workload.uid
            moment = await (self._moved(pending) if pending.went_to else self._unlabelled(pending))
            if homes.pending.get(uid) is pending:  # else it has moved on meanwhile
                homes.settle(uid, moment)

    def _unseen(self, bizrq: Bizrq, claim: Claim) -> None:
        """A claim of a workload that came here before this process knew it."""
        homes = self._inventory().homes
        workload = self._inventory().workloads.get(claim.uid)
        moment = instant(claim.since)
        if (
            workload is not None
            and workload.bizrq == bizrq.name
            and workload.version > claim.version
            and claim.uid not in homes.pending
            and moment is not None
            and _is_newcomer(claim)
        ):
            homes.claimed(claim.uid, claim.moved_from, moment)

    async def _moved(self, pending: Pending) -> int:
        """When it came to its new bizrq: the time of its claim, never after it was seen there."""
        try:
            bizrq = read_bizrq(await self._store.read(pending.went_to))
        except NotFound:
            return pending.observed
        self._inventory().put_bizrq(bizrq)
        moments = [
            moment
            for claim in claims_of_workloads(bizrq.claims).values()
            if claim.uid == pending.workload.uid
            and _is_newcomer(claim)
            and claim.moved_from in {"", pending.came_from}  # a child had no label of its own to come from
            and (moment := instant(claim.since)) is not None
        ]
        return min([pending.observed, *moments[-1:]])

    async def _unlabelled(self, pending: Pending) -> int | None:
        """When it lost its label: when that was seen; None if it is gone."""
        workload = pending.workload
        raw = await self._reads.workload(workload.kind, workload.namespace, workload.name)
        if raw is None or raw["metadata"]["uid"] != workload.uid:
            return None
        return None if (raw["metadata"].get("labels") or {}).get(LABEL) else pending.observed


def _is_newcomer(claim: Claim) -> bool:
    """Whether a claim is of a workload that was there before, and not under this bizrq."""
    counts: Iterable[str] = (key for key in claim.demand if key.startswith("count/"))
    return claim.version > 0 and not claim.by_lender and any(claim.raised.get(key, ZERO) > ZERO for key in counts)
