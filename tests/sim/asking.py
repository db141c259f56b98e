"""What a process asks of the API server: each request is done, and its answer comes, when the world says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from bizrq.cluster.errors import ClusterError, Unavailable
from tests.sim.etcd import Etcd, Event

__all__ = ["PodsClient", "Request", "Store", "at_once"]

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


class Request:
    """Something that the process asked of the API server and waits for."""

    def __init__(self, what: str, act: Callable[[], Any]) -> None:
        self.what, self._act = what, act
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.done = False
        """Whether the server has done it; the answer is then on its way."""
        self._result: Any = None
        self._error: ClusterError | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.what.startswith(("status", "finalizers"))

    def do(self) -> None:
        """The server does it."""
        self.done = True
        try:
            self._result = self._act()
        except ClusterError as error:
            self._error = error

    def tell(self, *, lost: bool = False) -> None:
        """The answer comes, or gets lost; of what was not done yet nothing will be."""
        if self.answer.done():
            return  # the process is dead
        if lost or not self.done:
            self.answer.set_exception(Unavailable("no answer"))
        elif self._error is not None:
            self.answer.set_exception(self._error)
        else:
            self.answer.set_result(self._result)


class Store:
    """The process' way to the bizrqs."""

    def __init__(self, etcd: Etcd, ask: Callable[[str, Callable[[], Any]], Coroutine[Any, Any, Any]]) -> None:
        self._etcd, self._ask = etcd, ask

    async def read(self, name: str, *, recent: bool = False) -> Any:  # noqa: ARG002
        return await self._ask(f"read {name}", lambda: at_once(self._etcd.read(name)))

    async def replace_status(self, raw: Mapping[str, Any]) -> Any:
        name = raw["metadata"]["name"]
        return await self._ask(f"status {name}", lambda: at_once(self._etcd.replace_status(raw)))

    async def set_finalizers(self, raw: Mapping[str, Any], finalizers: Sequence[str]) -> Any:
        name = raw["metadata"]["name"]
        return await self._ask(f"finalizers {name}", lambda: at_once(self._etcd.set_finalizers(raw, finalizers)))


class PodsClient:
    """The process' way to the pods: what its reflector calls a client."""

    def __init__(self, etcd: Etcd, gate: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        self._etcd, self._gate = etcd, gate
        self.most: int | None = None
        """So many events are sent by the next watch; None: all of them, and a bookmark."""
        self.before_deletions: Callable[[], None] = lambda: None
        """Called before pods are told gone."""
        self._gap: int | None = None

    async def get(self, url: str, *, params: Mapping[str, str], accept: str = "") -> bytes:  # noqa: ARG002
        if "fieldSelector" in params:  # how far the server is, and nothing else
            return msgspec.json.encode({"metadata": {"resourceVersion": str(self._etcd.version)}, "items": []})
        await self._gate("list pods")
        self.before_deletions()
        if self._gap is not None:
            self._etcd.pods.gaps.append((self._etcd.pods.time_of(self._gap), self._etcd.version))
            self._gap = None
        items = list(self._etcd.pods.there.values())
        return msgspec.json.encode({"metadata": {"resourceVersion": str(self._etcd.version)}, "items": items})

    async def watch(self, url: str, *, params: Mapping[str, str], accept: str) -> AsyncIterator[bytes]:  # noqa: ARG002
        log, version = self._etcd.pods, int(params["resourceVersion"])
        if version < log.compacted:
            self._gap = version
            yield msgspec.json.encode({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
            return
        for event in log.after(version)[: self.most]:
            version = event.version
            yield self._line(event)
        if self.most is None:
            await self._gate("bookmark")
            for event in log.after(version):  # whatever came meanwhile comes before it
                yield self._line(event)
            last = {"metadata": {"resourceVersion": str(self._etcd.version)}}
            yield msgspec.json.encode({"type": "BOOKMARK", "object": last})

    def _line(self, event: Event) -> bytes:
        if event.type == "DELETED":
            self.before_deletions()
        return event.line
