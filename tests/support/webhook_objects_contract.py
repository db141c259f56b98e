"""What every keeper of the webhook's Secret and configuration must do, the API server as well as the one in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from bizrq.cluster.errors import Conflict
from bizrq.cluster.webhook_objects import WebhookObjects

__all__ = ["ENTRIES", "WEBHOOK_OBJECTS_CONTRACT"]

ENTRIES = ("bizrqs.quota.bizrq.io", "scale.quota.bizrq.io")
"""The entries of the configuration; each calls a service."""


async def a_secret_is_written_over_the_version_that_was_read(objects: WebhookObjects) -> None:
    read = await objects.read_secret()
    stored = await objects.replace_secret({**read, "data": {"tokens": "b25l"}})
    assert stored["metadata"]["resourceVersion"] != read["metadata"]["resourceVersion"]
    assert (await objects.read_secret())["data"] == {"tokens": "b25l"}
    with pytest.raises(Conflict):
        await objects.replace_secret({**read, "data": {"tokens": "dHdv"}})
    assert await objects.read_secret() == stored


async def of_an_entry_that_changes_only_is_merged(objects: WebhookObjects) -> None:
    read = await objects.read_configuration()
    version = read["metadata"]["resourceVersion"]
    stored = await objects.patch_entries(version, {ENTRIES[0]: {"caBundle": "Y2E=", "service": {"path": "/t/bizrqs"}}})
    config, other = (each["clientConfig"] for each in stored["webhooks"])
    before, other_before = (each["clientConfig"] for each in read["webhooks"])
    assert config == {"caBundle": "Y2E=", "service": {**before["service"], "path": "/t/bizrqs"}}
    assert other == other_before
    assert [{**each, "clientConfig": None} for each in stored["webhooks"]] == [
        {**each, "clientConfig": None} for each in read["webhooks"]
    ]
    again = await objects.patch_entries(
        stored["metadata"]["resourceVersion"], {ENTRIES[0]: {"service": {"path": "/u"}}}
    )
    assert again["webhooks"][0]["clientConfig"]["caBundle"] == "Y2E="


async def a_configuration_is_patched_over_the_version_that_was_read(objects: WebhookObjects) -> None:
    version = (await objects.read_configuration())["metadata"]["resourceVersion"]
    stored = await objects.patch_entries(version, {ENTRIES[0]: {"service": {"path": "/first"}}})
    with pytest.raises(Conflict):
        await objects.patch_entries(version, {ENTRIES[0]: {"service": {"path": "/second"}}})
    assert await objects.read_configuration() == stored


WEBHOOK_OBJECTS_CONTRACT: list[Callable[[WebhookObjects], Awaitable[None]]] = [
    a_secret_is_written_over_the_version_that_was_read,
    of_an_entry_that_changes_only_is_merged,
    a_configuration_is_patched_over_the_version_that_was_read,
]
