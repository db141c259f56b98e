"""Is this object counted with its owner, or is it a workload of its own? [A8].

A child is believed only if a trusted controller asks for it, and if its owner is there under the UID that it names, is
of a counted kind and is labelled for the same bizrq: then it is counted there. In between may stand a ReplicaSet
without a label. From anyone else an ownerReference proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bizrq.cluster.reads import Reads
from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import owned_by_itself
from bizrq.webhook.requesters import TrustedControllers
from bizrq.webhook.review import Request
from bizrq.workloads.kind import Kind
from bizrq.workloads.owner import REPLICA_SET, Owner, controller_of

__all__ = ["CRON_JOB", "Children", "Parentage"]

JSON = Mapping[str, Any]

CRON_JOB: Final = ("batch", "CronJob")
"""Leaves the counting to its Jobs; the right to use their bizrq was asked for when it was labelled [A12]."""


@dataclass(frozen=True, slots=True)
class Parentage:
    """What becomes of an object that names a controlling owner."""

    owner: Owner
    believed: bool
    """It is counted with its owner."""
    own: bool
    """It is a workload of its own, and the controller would take it for a child if nothing marked it."""
    trusted: bool
    """A trusted controller asks for it."""

    @property
    def needs_use(self) -> bool:
        """Whether whoever asks needs the right to use the bizrq that it names."""
        return not (self.trusted and self.owner.of_kind == CRON_JOB)


class Children:
    """Looks owners up, live."""

    def __init__(self, kinds: Iterable[Kind], reads: Reads, trusted: TrustedControllers) -> None:
        self._kinds = {(kind.group, kind.kind): kind for kind in kinds}
        self._reads, self._trusted = reads, trusted

    async def parentage(self, request: Request, raw: JSON) -> Parentage | None:
        """That of ``raw``, the object of a request; None where it names no controlling owner.

        Raises ``ClusterError``.
        """
        owner = controller_of(raw)
        if owner is None:
            return None
        trusted = self._trusted.owner_of_child(request, raw) is not None
        counted_kind = owner.of_kind in self._kinds
        label, namespace = (raw["metadata"].get("labels") or {}).get(LABEL), request.namespace
        believed = trusted and counted_kind and await self._bizrq_of(owner, namespace) == label
        return Parentage(owner, believed=believed, own=counted_kind and not believed, trusted=trusted)

    async def was_counted(self, raw: JSON, namespace: str) -> bool:
        """Whether ``raw``, a stored object with a label, is charged to the bizrq that it names by itself.

        What is marked in the claims of that bizrq is. Raises ``ClusterError``.
        """
        owner = controller_of(raw)
        if owner is None or owner.of_kind not in self._kinds or await self.is_own(raw):
            return True
        return not await self._bizrq_of(owner, namespace)

    async def is_own(self, raw: JSON) -> bool:
        """Whether the claims of the bizrq that ``raw`` names mark it as a workload of its own.

        Raises ``ClusterError``.
        """
        bizrq = await self._reads.bizrq(raw["metadata"]["labels"][LABEL])
        return bizrq is not None and raw["metadata"]["uid"] in owned_by_itself(bizrq.claims)

    async def _bizrq_of(self, owner: Owner, namespace: str) -> str:
        """The bizrq that an owner is charged to, itself or over what controls it; "" where it is to none."""
        kind = self._kinds.get(owner.of_kind)
        if kind is None:
            return ""
        raw = await self._reads.workload(kind, namespace, owner.name)
        if raw is None or raw["metadata"]["uid"] != owner.uid:
            return ""
        label = (raw["metadata"].get("labels") or {}).get(LABEL)
        above = controller_of(raw)
        if label or owner.of_kind != REPLICA_SET or above is None or above.of_kind == REPLICA_SET:
            return label or ""
        return await self._bizrq_of(above, namespace)
