"""How is a Lease read, and written by compare-and-swap, and what does it say? [R4].

The Lease is one of ``coordination.k8s.io/v1``, as every elector of Kubernetes uses it. Ours carries one thing more, an
annotation with the floor of the books.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from bizrq.cluster.client import Client, decoded
from bizrq.cluster.errors import Invalid, NotFound
from bizrq.domain.bizrq import GROUP
from bizrq.domain.floor import Floor, read_floor
from bizrq.domain.times import micro_timestamp

__all__ = ["FLOOR_ANNOTATION", "ApiLeases", "Lease", "Leases"]

FLOOR_ANNOTATION: Final = f"{GROUP}/floor"

_API: Final = "coordination.k8s.io/v1"

_object: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Lease:
    """A version of the Lease; what is not ours in it is kept."""

    raw: Mapping[str, Any]

    @staticmethod
    def new() -> Lease:
        """One that is not stored yet, and that nobody holds."""
        return Lease({})

    @property
    def is_stored(self) -> bool:
        """Whether this was read, or answered to a write."""
        return self.version > 0

    @property
    def version(self) -> int:
        """Its resourceVersion; 0 of one that is not stored yet."""
        return int(self._metadata.get("resourceVersion") or 0)

    @property
    def holder(self) -> str:
        """Who works; "" is nobody."""
        return str(self._spec.get("holderIdentity") or "")

    @property
    def transitions(self) -> int:
        """How often another holder followed one."""
        return int(self._spec.get("leaseTransitions") or 0)

    @property
    def floor(self) -> Floor | None:
        """The floor it carries; None where it has none, or one that cannot be read."""
        return read_floor((self._metadata.get("annotations") or {}).get(FLOOR_ANNOTATION))

    def held_by(self, holder: str, at: int, *, seconds: float, floor: Floor | None) -> Lease:
        """What ``holder`` writes to get it or to keep it; ``at`` is in epoch milliseconds, for people only.

        Without a ``floor`` the annotation stays as it is.
        """
        spec = {
            **self._spec,
            "holderIdentity": holder,
            "leaseDurationSeconds": round(seconds),
            "renewTime": micro_timestamp(at),
        }
        if self.holder != holder:
            spec |= {
                "acquireTime": micro_timestamp(at),
                "leaseTransitions": self.transitions + 1 if self.is_stored else 0,
            }
        return Lease({**self.raw, "metadata": self._with(floor), "spec": spec})

    def let_go(self, at: int, floor: Floor | None) -> Lease:
        """What its holder writes in the end, so that nobody waits."""
        spec = {**self._spec, "holderIdentity": "", "renewTime": micro_timestamp(at)}
        return Lease({**self.raw, "metadata": self._with(floor), "spec": spec})

    @property
    def _metadata(self) -> Mapping[str, Any]:
        return self.raw.get("metadata") or {}

    @property
    def _spec(self) -> Mapping[str, Any]:
        return self.raw.get("spec") or {}

    def _with(self, floor: Floor | None) -> dict[str, Any]:
        annotations = dict(self._metadata.get("annotations") or {})
        if floor is not None:
            annotations[FLOOR_ANNOTATION] = str(floor)
        return {**self._metadata, "annotations": annotations}


class Leases(Protocol):
    """Where the one Lease is kept."""

    async def read(self) -> Lease:
        """The newest version, from no cache. Raises ``NotFound``, ``Denied``, ``Unavailable``."""

    async def create(self, lease: Lease) -> Lease:
        """Store the first version; the Lease as stored.

        Raises ``Conflict`` if there is one, ``Invalid`` if there is no such namespace, ``Unavailable`` if nobody knows
        whether it was stored.
        """

    async def replace(self, lease: Lease) -> Lease:
        """Write over the very version that ``lease`` was made of; the Lease as stored.

        Raises ``Conflict`` if that is not the newest version, also if it was made anew; ``Conflict`` or ``NotFound`` if
        it is gone; ``Unavailable`` if nobody knows whether it was written.
        """


class ApiLeases:
    """The API server, and one Lease of it."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client, self._name = client, name
        self._url = f"/apis/{_API}/namespaces/{quote(namespace, safe='')}/leases"

    async def read(self) -> Lease:
        """The newest version; see ``Leases``."""
        return Lease(await self._client.get_object(f"{self._url}/{self._name}"))

    async def create(self, lease: Lease) -> Lease:
        """Store the first version; see ``Leases``."""
        try:
            answer = await self._client.post(self._url, self._body(lease))
        except NotFound as error:
            msg = f"there is no such namespace: {error}"
            raise Invalid(msg) from error
        stored: dict[str, Any] = decoded(_object, answer)
        return Lease(stored)

    async def replace(self, lease: Lease) -> Lease:
        """Write over the very version that ``lease`` was made of; see ``Leases``."""
        return Lease(await self._client.put(f"{self._url}/{self._name}", self._body(lease)))

    def _body(self, lease: Lease) -> dict[str, Any]:
        metadata = {**lease.raw["metadata"], "name": self._name}
        return {"apiVersion": _API, "kind": "Lease", **lease.raw, "metadata": metadata}
