"""How are the webhook's Secret and its configuration read, and written by compare-and-swap?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from bizrq.cluster.client import Client

__all__ = ["ApiWebhookObjects", "WebhookObjects"]

_CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

JSON = dict[str, Any]


class WebhookObjects(Protocol):
    """Where one Secret and one ValidatingWebhookConfiguration are kept. Everything raises ``ClusterError``."""

    async def read_configuration(self) -> JSON:
        """The newest version, from no cache. Raises ``NotFound``."""

    async def read_secret(self) -> JSON:
        """The newest version, from no cache. Raises ``NotFound``."""

    async def replace_secret(self, raw: Mapping[str, Any]) -> JSON:
        """Write over the very version that ``raw`` was made of; the Secret as stored.

        Raises ``Conflict`` if that is not the newest version, ``NotFound`` if it is gone, ``Unavailable`` if nobody
        knows whether it was written.
        """

    async def patch_entries(self, version: str, client_configs: Mapping[str, Mapping[str, Any]]) -> JSON:
        """Merge into each entry, by its name, what is to change of its clientConfig; the configuration as stored.

        Raises as ``replace_secret`` where ``version``, a resourceVersion, is not the newest.
        """


class ApiWebhookObjects:
    """The API server."""

    def __init__(self, client: Client, *, namespace: str, secret: str, configuration: str) -> None:
        self._client = client
        self._secret = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(secret, safe='')}"
        self._configuration = f"{_CONFIGURATIONS}/{quote(configuration, safe='')}"

    async def read_configuration(self) -> JSON:
        """The newest version; see ``WebhookObjects``."""
        return await self._client.get_object(self._configuration)

    async def read_secret(self) -> JSON:
        """The newest version; see ``WebhookObjects``."""
        return await self._client.get_object(self._secret)

    async def replace_secret(self, raw: Mapping[str, Any]) -> JSON:
        """Write over the very version that ``raw`` was made of; see ``WebhookObjects``."""
        return await self._client.put(self._secret, raw)

    async def patch_entries(self, version: str, client_configs: Mapping[str, Mapping[str, Any]]) -> JSON:
        """Merge into each entry what is to change; see ``WebhookObjects``."""
        entries = [{"name": name, "clientConfig": config} for name, config in client_configs.items()]
        change = {"metadata": {"resourceVersion": version}, "webhooks": entries}
        return await self._client.patch(self._configuration, change, by_name=True)
