"""Whom does the API server ask, by its configuration and in fact?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from bizrq.cluster.client import Client
from bizrq.cluster.errors import NotFound
from bizrq.cluster.store import BIZRQS_URL

__all__ = ["CONFIGURATIONS_URL", "Admission", "ApiAdmission"]

CONFIGURATIONS_URL: Final = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

JSON = dict[str, Any]


class Admission(Protocol):
    """Admission as it is now. Everything raises ``ClusterError``."""

    async def configuration(self, name: str) -> JSON | None:
        """The ValidatingWebhookConfiguration of this name; None where there is none."""

    async def try_out(self, bizrq: str, change: Mapping[str, Any]) -> list[str]:
        """Have a change of a bizrq reviewed and not stored; the warnings with which it was accepted.

        The error says who refused it.
        """


class ApiAdmission:
    """The API server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def configuration(self, name: str) -> JSON | None:
        """The ValidatingWebhookConfiguration of this name; None where there is none."""
        try:
            return await self._client.get_object(f"{CONFIGURATIONS_URL}/{quote(name, safe='')}")
        except NotFound:
            return None

    async def try_out(self, bizrq: str, change: Mapping[str, Any]) -> list[str]:
        """Have a change of a bizrq reviewed and not stored; see ``Admission``."""
        return await self._client.try_patch(f"{BIZRQS_URL}/{quote(bizrq, safe='')}", change)
