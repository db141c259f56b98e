"""The webhook's Secret and its configuration in memory, with compare-and-swap.

They pass the same contract test as those of the API server (tests/support/webhook_objects_contract.py).
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bizrq.cluster.errors import Conflict, NotFound, Unavailable

__all__ = ["CasWebhookObjects", "configuration", "entry", "secret"]

JSON = dict[str, Any]


def entry(
    name: str, *, service: str = "bizrq-webhook", path: str = "", bundle: str = "", namespace: str = "bizrq-system"
) -> JSON:
    """An entry of a configuration that calls a service, without what says when it is called."""
    config: JSON = {"service": {"name": service, "namespace": namespace, "port": 443}}
    if path:
        config["service"]["path"] = path
    if bundle:
        config["caBundle"] = base64.b64encode(bundle.encode()).decode()
    return {"name": name, "clientConfig": config}


def configuration(*entries: JSON) -> JSON:
    """A configuration as helm makes it."""
    return {"metadata": {"name": "bizrq"}, "webhooks": list(entries)}


def secret(texts: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None) -> JSON:
    """A Secret with these texts; without them as helm makes it."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in (texts or {}).items()}
    return {"metadata": {"name": "bizrq-webhook", "annotations": dict(annotations or {})}, "data": data}


class CasWebhookObjects:
    """Both objects; every write makes a new version of one history."""

    def __init__(self, secret_: JSON | None = None, configuration_: JSON | None = None) -> None:
        self.version = 100
        self.secret: JSON | None = None
        self.configuration: JSON | None = None
        self.writes: list[str] = []
        """Which object was written, in order."""
        self.lost_answers = 0
        """So many of the next writes are stored, and their answer is lost."""
        self.before_write: Callable[[], Awaitable[object]] | None = None
        """Called once, right before the next write is compared: somebody else is faster."""
        if secret_ is not None:
            self.put_secret(secret_)
        if configuration_ is not None:
            self.put_configuration(configuration_)

    def put_secret(self, raw: JSON) -> None:
        """Somebody else's write of any content."""
        self.secret = self._next(raw)

    def put_configuration(self, raw: JSON) -> None:
        """Somebody else's write of any content."""
        self.configuration = self._next(raw)

    async def read_configuration(self) -> JSON:
        """The newest version."""
        return self._there(self.configuration, "configuration")

    async def read_secret(self) -> JSON:
        """The newest version."""
        return self._there(self.secret, "secret")

    async def replace_secret(self, raw: Mapping[str, Any]) -> JSON:
        """Write over the version that ``raw`` was made of."""
        await self._before()
        there = self._there(self.secret, "secret")
        self._compare(there, raw["metadata"]["resourceVersion"])
        self.put_secret(dict(raw))
        return self._written("secret", self.secret)

    async def patch_entries(self, version: str, client_configs: Mapping[str, Mapping[str, Any]]) -> JSON:
        """Merge into each entry what is to change."""
        await self._before()
        there = self._there(self.configuration, "configuration")
        self._compare(there, version)
        for each in there["webhooks"]:
            if change := client_configs.get(each["name"]):
                config = each["clientConfig"]
                service = {**config["service"], **change.get("service", {})}
                each["clientConfig"] = {**config, **change, "service": service}
        self.put_configuration(there)
        return self._written("configuration", self.configuration)

    def _next(self, raw: JSON) -> JSON:
        self.version += 1
        raw = copy.deepcopy(raw)
        return {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}

    def _there(self, raw: JSON | None, what: str) -> JSON:
        if raw is None:
            msg = f"no {what}"
            raise NotFound(msg)
        return copy.deepcopy(raw)

    def _compare(self, there: JSON, version: str) -> None:
        if there["metadata"]["resourceVersion"] != version:
            msg = f"{version} is not the newest version"
            raise Conflict(msg)

    async def _before(self) -> None:
        before, self.before_write = self.before_write, None
        if before is not None:
            await before()

    def _written(self, what: str, raw: JSON | None) -> JSON:
        self.writes.append(what)
        if self.lost_answers:
            self.lost_answers -= 1
            msg = "the answer is lost"
            raise Unavailable(msg)
        return self._there(raw, what)
