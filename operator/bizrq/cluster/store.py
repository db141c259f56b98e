"""How is a bizrq read, and its status or finalizers written by compare-and-swap?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

from bizrq.cluster.client import Client
from bizrq.domain.bizrq import GROUP, KIND, PLURAL, VERSION

__all__ = ["BIZRQS_URL", "ApiStore", "Store"]

BIZRQS_URL: Final = f"/apis/{GROUP}/{VERSION}/{PLURAL}"


class Store(Protocol):
    """Where bizrqs are kept. A status is replaced only if nobody wrote since it was read."""

    async def read(self, name: str, *, recent: bool = False) -> dict[str, Any]:
        """The newest object, or a ``recent`` one, which is cheaper. Raises ``NotFound``, ``Unavailable``."""

    async def replace_status(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Write the status of ``raw`` over the very version that ``raw`` is; the object as stored.

        Raises ``Conflict`` if that is not the newest version (also if the object was made anew), ``NotFound`` if it
        is gone, ``Unavailable`` if nobody knows whether it was written.
        """

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> dict[str, Any]:
        """Replace the finalizers over the very version that ``raw`` is; the object as stored, or as it was last.

        Raises as ``replace_status``.
        """


class ApiStore:
    """The API server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, name: str, *, recent: bool = False) -> dict[str, Any]:
        """The newest object, or one of the API server's cache; see ``Store``."""
        params = {"resourceVersion": "0"} if recent else None
        return await self._client.get_object(f"{BIZRQS_URL}/{quote(name, safe='')}", params=params)

    async def replace_status(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Write the status of ``raw`` over the very version that ``raw`` is; see ``Store``."""
        name = raw["metadata"]["name"]
        # The items of a list say neither kind nor apiVersion; a PUT must.
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, **raw}
        return await self._client.put(f"{BIZRQS_URL}/{name}/status", body)

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> dict[str, Any]:
        """Replace the finalizers over the very version that ``raw`` is; see ``Store``."""
        metadata = raw["metadata"]
        change = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": list(finalizers)}}
        return await self._client.patch(f"{BIZRQS_URL}/{metadata['name']}", change)
