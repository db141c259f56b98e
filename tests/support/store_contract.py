"""What every store of bizrqs must do, the API server as well as the one in memory."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import pytest

from bizrq.cluster.errors import Conflict, NotFound
from bizrq.cluster.store import Store
from tests.support.build import bizrq

__all__ = ["CONTRACT", "Admin"]

JSON = dict[str, Any]


class Admin(Protocol):
    """Somebody who may do everything, beside the store under test."""

    async def create(self, raw: Mapping[str, Any]) -> JSON:
        """Store a new object."""

    async def update_spec(self, name: str, spec: Mapping[str, Any]) -> JSON:
        """Replace the spec of an object."""

    async def delete(self, name: str) -> None:
        """Remove an object."""


def _new() -> JSON:
    raw = bizrq(f"contract-{uuid.uuid4().hex[:8]}", hard={"limits.cpu": "4"})
    raw["metadata"] = {"name": raw["metadata"]["name"]}
    return raw


async def a_status_is_written_over_the_version_that_was_read(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    stored = await store.replace_status({**raw, "status": {"writer": "a.1"}})
    assert stored["status"] == {"writer": "a.1"}
    assert stored["metadata"]["resourceVersion"] != raw["metadata"]["resourceVersion"]
    assert await store.read(raw["metadata"]["name"]) == stored


async def the_spec_of_a_status_write_is_ignored(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    stored = await store.replace_status({**raw, "spec": {"hard": {"limits.cpu": "99"}}, "status": {"writer": "a.1"}})
    assert stored["spec"]["hard"] == {"limits.cpu": "4"}


async def whoever_read_before_another_status_write_conflicts(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    await store.replace_status({**raw, "status": {"writer": "a.1"}})
    with pytest.raises(Conflict):
        await store.replace_status({**raw, "status": {"writer": "b.1"}})
    assert (await store.read(raw["metadata"]["name"]))["status"] == {"writer": "a.1"}


async def whoever_read_before_a_change_of_the_spec_conflicts(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    await admin.update_spec(raw["metadata"]["name"], {"hard": {"limits.cpu": "5"}})
    with pytest.raises(Conflict):
        await store.replace_status({**raw, "status": {"writer": "b.1"}})


async def an_object_made_anew_conflicts(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    await admin.delete(raw["metadata"]["name"])
    await admin.create({"apiVersion": raw["apiVersion"], "kind": raw["kind"], "spec": raw["spec"],
                        "metadata": {"name": raw["metadata"]["name"]}})  # fmt: skip
    with pytest.raises(Conflict):
        await store.replace_status({**raw, "status": {"writer": "b.1"}})


async def what_is_not_there_is_not_found(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    await admin.delete(raw["metadata"]["name"])
    with pytest.raises(NotFound):
        await store.read(raw["metadata"]["name"])
    with pytest.raises(NotFound):
        await store.replace_status({**raw, "status": {"writer": "b.1"}})


async def finalizers_are_set_over_the_version_that_was_read(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    stored = await store.set_finalizers(raw, ["quota.bizrq.io/contract"])
    assert stored["metadata"]["finalizers"] == ["quota.bizrq.io/contract"]
    with pytest.raises(Conflict):
        await store.set_finalizers(raw, [])
    assert await store.read(raw["metadata"]["name"]) == stored
    assert not (await store.set_finalizers(stored, []))["metadata"].get("finalizers")


async def an_object_with_a_finalizer_is_deleted_when_the_last_one_goes(store: Store, admin: Admin) -> None:
    raw = await store.read((await admin.create(_new()))["metadata"]["name"])
    name = raw["metadata"]["name"]
    await store.set_finalizers(raw, ["quota.bizrq.io/contract"])
    await admin.delete(name)
    going = await store.read(name)
    assert going["metadata"]["deletionTimestamp"]
    stored = await store.replace_status({**going, "status": {"writer": "a.1"}})
    await store.set_finalizers(stored, [])
    with pytest.raises(NotFound):
        await store.read(name)


CONTRACT: list[Callable[[Store, Admin], Awaitable[None]]] = [
    a_status_is_written_over_the_version_that_was_read,
    the_spec_of_a_status_write_is_ignored,
    whoever_read_before_another_status_write_conflicts,
    whoever_read_before_a_change_of_the_spec_conflicts,
    an_object_made_anew_conflicts,
    what_is_not_there_is_not_found,
    finalizers_are_set_over_the_version_that_was_read,
    an_object_with_a_finalizer_is_deleted_when_the_last_one_goes,
]
