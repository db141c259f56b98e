"""The rules of what a controller may write with, broken one at a time.

Each function breaks one rule of the protocol in the real code, for the length of a test: what it does instead is what
somebody might have written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bizrq.cluster import lists
from bizrq.controller import feed
from bizrq.controller.resync import Resync
from bizrq.controller.sync import Sync
from bizrq.domain.bizrq import Bizrq
from bizrq.inventory.workloads import Workloads


def every_view_is_trusted(patch: pytest.MonkeyPatch) -> None:
    """A controller writes with whatever view it has."""
    patch.setattr(Sync, "_is_trusted", lambda *_: True)


def any_list_is_good_enough(patch: pytest.MonkeyPatch) -> None:
    """A list that began before the other controller's write will do."""
    is_trusted = Sync._is_trusted

    def trusting(self: Sync, bizrq: Bizrq) -> bool:
        listed_once = self._trusted.get(bizrq.name) or self._trusted.get(bizrq.uid)
        return bool(listed_once) or is_trusted(self, bizrq)

    patch.setattr(Sync, "_is_trusted", trusting)


def lists_on_their_way_are_joined(patch: pytest.MonkeyPatch) -> None:
    """Who needs a list waits for the one that has begun already."""

    async def joined(self: Resync) -> None:
        async with self._listing:
            listing = await self._feed.list_all()
            feed.take_over(listing, self._inventory)
            self._sync.trust(listing.writers)
        self._next_list = None

    patch.setattr(Resync, "_list_next", joined)


def writers_are_read_last(patch: pytest.MonkeyPatch) -> None:
    """Whose write a list is later than is read from its last answer."""
    list_all = feed.Feed.list_all

    async def late(self: feed.Feed) -> feed.Listing:
        listing = await list_all(self)
        return feed.Listing(
            listing.bizrqs, listing.bizrqs_version, listing.workloads, listing.unreadable,
            {key: each.writer for each in listing.bizrqs for key in (each.name, each.uid)},
        )  # fmt: skip

    patch.setattr(feed.Feed, "list_all", late)


def lists_come_from_a_cache(patch: pytest.MonkeyPatch) -> None:
    """Lists are asked for with a resourceVersion, so that a cache may answer."""
    list_all = lists.list_all
    patch.setattr(
        feed, "list_all", lambda client, url, params: list_all(client, url, {**params, "resourceVersion": "0"})
    )


def lists_replace_what_is_newer(patch: pytest.MonkeyPatch) -> None:
    """A list replaces newer state by older."""
    put = Workloads.put

    def backwards(self: Workloads, workload: Any, **more: Any) -> Any:
        known = self._by_uid.get(workload.uid)
        if known is not None and workload.version < known.version:
            self._by_uid[workload.uid] = replace(known, version=-1)
        return put(self, workload, **more)

    patch.setattr(Workloads, "put", backwards)


def lists_remove_what_is_newer(patch: pytest.MonkeyPatch) -> None:
    """What a list lacks is removed, also where what is held is newer than the list."""
    remove = Workloads.remove
    patch.setattr(
        Workloads,
        "missing",
        lambda self, _, present, __: [known for known in self if known.uid not in present],
    )
    patch.setattr(Workloads, "remove", lambda self, uid, version, seen=None: remove(self, uid, seen or version, seen))
