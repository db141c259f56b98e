"""An in-memory store of bizrqs with compare-and-swap.

It passes the same contract test as the API server (tests/support/store_contract.py). Faults are asked for by number:
answers that get lost after the write, and writes of somebody else that come in between.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from bizrq.cluster.errors import Conflict, NotFound, Unavailable

__all__ = ["CasStore"]

JSON = dict[str, Any]


class CasStore:
    """Bizrqs by name; every write makes a new version of one history."""

    def __init__(self, first_version: int = 100) -> None:
        self.version = first_version
        self.writes = 0
        self.lost_answers = 0
        """So many of the next writes are stored, and their answer is lost."""
        self.refused_writes = 0
        """So many of the next writes fail before anything is stored."""
        self.before_write: Callable[[], None] | None = None
        """Called once, right before the next write is compared: somebody else is faster."""
        self._objects: dict[str, JSON] = {}

    async def create(self, raw: Mapping[str, Any]) -> JSON:
        """Store a new object under a new version and UID."""
        return self.put(raw)

    async def update_spec(self, name: str, spec: Mapping[str, Any]) -> JSON:
        """Store a new spec, whatever the version."""
        return self.put({**self._objects[name], "spec": dict(spec)})

    async def delete(self, name: str) -> None:
        """Remove an object."""
        self.version += 1
        del self._objects[name]

    def put(self, raw: Mapping[str, Any]) -> JSON:
        """Store an object as somebody with all rights would."""
        self.version += 1
        stored = copy.deepcopy(dict(raw))
        name = stored["metadata"]["name"]
        uid = self._objects[name]["metadata"]["uid"] if name in self._objects else f"{name}-{self.version}"
        stored["metadata"] |= {"resourceVersion": str(self.version), "uid": uid}
        self._objects[name] = stored
        return copy.deepcopy(stored)

    def status(self, name: str) -> JSON:
        """The stored status."""
        return copy.deepcopy(self._objects[name].get("status") or {})

    def raw(self, name: str) -> JSON:
        """The stored object."""
        return copy.deepcopy(self._objects[name])

    # --- what bizrq.cluster.store.Store is ---

    async def read(self, name: str) -> JSON:
        """The newest object."""
        if name not in self._objects:
            raise NotFound(name)
        return copy.deepcopy(self._objects[name])

    async def replace_status(self, raw: Mapping[str, Any]) -> JSON:
        """Write the status of ``raw`` over the very version that ``raw`` is."""
        if self.before_write is not None:
            hook, self.before_write = self.before_write, None
            hook()
        if self.refused_writes:
            self.refused_writes -= 1
            raise Unavailable("nothing was written")
        metadata = raw["metadata"]
        known = self._objects.get(metadata["name"])
        if known is None:
            raise NotFound(metadata["name"])
        ours = (metadata["uid"], metadata["resourceVersion"])
        if ours != (known["metadata"]["uid"], known["metadata"]["resourceVersion"]):
            raise Conflict(metadata["name"])
        stored = self.put({**known, "status": raw["status"]})
        self.writes += 1
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the answer was lost")
        return stored
