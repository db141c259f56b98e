"""How is a whole collection listed, page by page, from etcd and not from a cache?

A list without a resourceVersion is answered with what is stored at some moment after it was asked for (a quorum read).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bizrq.cluster.client import Client, decoded
from bizrq.cluster.errors import Gone
from bizrq.cluster.objects import Page

__all__ = ["METADATA_ONLY", "first_page", "list_all"]

_PAGE: Final = 500
_ATTEMPTS: Final = 3
"""A list whose continue token expires is begun anew; a server that expires every one is not listed."""

_pages = msgspec.json.Decoder(Page[dict[str, Any]])


METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""What to accept where only the metadata of objects matters."""


async def list_all(
    client: Client, url: str, params: Mapping[str, str], *, accept: str = "application/json"
) -> tuple[list[dict[str, Any]], int]:
    """All objects at ``url``, and the version of the list. Raises ``ClusterError``."""
    for last in (False,) * (_ATTEMPTS - 1) + (True,):
        items: list[dict[str, Any]] = []
        version, token = 0, ""
        try:
            while True:
                query = {**params, "limit": str(_PAGE), **({"continue": token} if token else {})}
                page = decoded(_pages, await client.get(url, params=query, accept=accept))
                items += page.items or ()
                version = version or int(page.metadata.resource_version)
                token = page.metadata.continue_
                if not token:
                    return items, version
        except Gone:
            if last:
                raise
    raise AssertionError


async def first_page(client: Client, url: str, *, limit: int) -> tuple[list[dict[str, Any]], int, bool]:
    """The metadata of the first objects at ``url``, the version of the list, and whether these are all.

    Raises ``ClusterError``.
    """
    body = await client.get(url, params={"limit": str(limit)}, accept=METADATA_ONLY)
    page = decoded(_pages, body)
    return page.items or [], int(page.metadata.resource_version), not page.metadata.continue_
