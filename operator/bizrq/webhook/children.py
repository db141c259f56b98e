"""Is this object counted with its owner, or is it a workload of its own? [A8].

A child is believed only if a trusted controller asks for it, and if its owner is there under the UID that it names, is
of a counted kind and is labelled for the same bizrq: then it is counted there. In between may stand, without a label,
what the description of the owner's kind names, and pods. From anyone else an ownerReference proves nothing. A kind with
``children: counted`` leaves the counting to its children, whoever made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.cluster.reads import Reads
from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import owned_by_itself
from bizrq.webhook.requesters import TrustedControllers
from bizrq.webhook.review import Request
from bizrq.workloads.kind import PODS_ID, Kind, Resource
from bizrq.workloads.owner import LONGEST_CHAIN, Owner, controller_of
from bizrq.workloads.registry import between

__all__ = ["Children", "Parentage"]

JSON = Mapping[str, Any]


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
    needs_use: bool
    """Whoever asks needs the right to use the bizrq that it names [A12].

    Where its owner leaves the counting to its children, that was asked for when their label was written there.
    """


class Children:
    """Looks owners up, live."""

    def __init__(self, kinds: Iterable[Kind], reads: Reads, trusted: TrustedControllers) -> None:
        kinds = tuple(kinds)
        self._counted = {kind.of_kind: kind for kind in kinds if not kind.children_counted}
        self._leaving = {kind.of_kind for kind in kinds if kind.children_counted}
        self._owners: Mapping[tuple[str, str], Resource] = {
            each.of_kind: each for each in (*between(kinds), *self._counted.values())
        }
        """What may stand between, too."""
        self._reads, self._trusted = reads, trusted

    async def parentage(self, request: Request, raw: JSON) -> Parentage | None:
        """That of ``raw``, the object of a request; None where it names no controlling owner.

        Raises ``ClusterError``.
        """
        owner = controller_of(raw)
        if owner is None:
            return None
        trusted = self._trusted.owner_of_child(request, raw) is not None
        counted_kind = owner.of_kind in self._owners
        label, namespace = (raw["metadata"].get("labels") or {}).get(LABEL), request.namespace
        believed = trusted and counted_kind and await self._bizrq_of(owner, namespace) == label
        return Parentage(
            owner,
            believed=believed,
            own=counted_kind and not believed,
            trusted=trusted,
            needs_use=not (trusted and owner.of_kind in self._leaving),
        )

    async def was_counted(self, raw: JSON, namespace: str) -> bool:
        """Whether ``raw``, a stored object with a label, is charged to the bizrq that it names by itself.

        What is marked in the claims of that bizrq is. Raises ``ClusterError``.
        """
        owner = controller_of(raw)
        if owner is None or owner.of_kind not in self._owners or await self.is_own(raw):
            return True
        return not await self._bizrq_of(owner, namespace)

    async def is_own(self, raw: JSON) -> bool:
        """Whether the claims of the bizrq that ``raw`` names mark it as a workload of its own.

        Raises ``ClusterError``.
        """
        bizrq = await self._reads.bizrq(raw["metadata"]["labels"][LABEL])
        return bizrq is not None and raw["metadata"]["uid"] in owned_by_itself(bizrq.claims)

    async def _bizrq_of(self, owner: Owner, namespace: str) -> str:
        """The bizrq that an owner is charged to, itself or over what controls it; "" where it is to none.

        A pod stands for nothing but itself. Where something without a label stands between, the description of the
        kind above must say so: what else may be put there by hand, for a trusted controller to make children of it.
        """
        passed: list[str] = []
        above: Owner | None = owner
        for _ in range(LONGEST_CHAIN):
            resource = None if above is None else self._owners.get(above.of_kind)
            if above is None or resource is None:
                return ""
            raw = await self._reads.workload(resource, namespace, above.name)
            if raw is None or raw["metadata"]["uid"] != above.uid:
                return ""
            label = (raw["metadata"].get("labels") or {}).get(LABEL)
            kind = self._counted.get(above.of_kind)
            if label and kind is not None and kind.id != PODS_ID:
                return str(label) if {PODS_ID, *(each.id for each in kind.between)}.issuperset(passed) else ""
            if passed[-1:] == [resource.id]:
                return ""  # no ReplicaSet makes ReplicaSets
            passed.append(resource.id)
            above = controller_of(raw)
        return ""
