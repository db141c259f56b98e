"""Many clients at once on a real API server, and every instant of what they made.

``History`` watches one resource from a version on and keeps every event; ``timeline`` merges several by
resourceVersion. All kinds of one test bed share one etcd, whose revision their versions are, so that the merged order
is the order in which everything was stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import load_credentials
from bizrq.cluster.errors import ClusterError

__all__ = ["Answers", "Event", "History", "People", "in_parallel", "timeline"]

JSON = dict[str, Any]

_SECONDS = 60


@dataclass
class Answers:
    """How often each HTTP status was answered, and the first message of each."""

    counts: dict[int, int] = field(default_factory=dict)
    messages: dict[int, str] = field(default_factory=dict)

    def add(self, code: int, message: str) -> None:
        """Count one answer."""
        self.counts[code] = self.counts.get(code, 0) + 1
        self.messages.setdefault(code, message)


class People:
    """Clients of the API server that send what a test wants, without a retry."""

    def __init__(self, kubeconfig: Path) -> None:
        self._credentials = load_credentials(kubeconfig)
        self._session: aiohttp.ClientSession | None = None
        self.warnings: list[str] = []
        """The warnings of all answers."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context(), limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content_type: str = "application/json"
    ) -> tuple[int, JSON]:
        """One request; its HTTP status and the JSON of the answer. 0 where there was no answer."""
        assert self._session is not None
        headers = {"Content-Type": content_type, "Authorization": await self._credentials.authorization() or ""}
        data = None if body is None else json.dumps(body)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with self._session.request(
                method, self._credentials.server + path, data=data, headers=headers, timeout=timeout
            ) as answer:
                self.warnings += answer.headers.getall("Warning", [])
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, {"message": repr(error)}


async def in_parallel(clients: int, jobs: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Work off the jobs with so many clients, each taking the next job when it is done with one."""
    left: Iterator[Callable[[], Coroutine[Any, Any, None]]] = iter(jobs)

    async def client() -> None:
        for job in left:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())


@dataclass(frozen=True)
class Event:
    """One version of one object, or its end."""

    version: int
    type: str
    object: JSON


class History:
    """Every event of one resource from now on."""

    def __init__(self, kubeconfig: Path, url: str, params: Mapping[str, str] | None = None) -> None:
        self._kubeconfig, self._url, self._params = kubeconfig, url, dict(params or {})
        self.first: list[JSON] = []
        """What there was at the start."""
        self.start_version = 0
        self.events: list[Event] = []
        self._last = 0

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[Self]:
        """Record as long as the block runs, and until the watch has brought what was stored by its end."""
        async with Client(load_credentials(self._kubeconfig), user_agent="bizrq-test") as client:
            await self._list(client)
            task = asyncio.create_task(self._watch(client))
            try:
                yield self
                async with asyncio.timeout(_SECONDS):
                    while await self._stored(client) != self._held():  # noqa: ASYNC110  # the server has no event
                        await asyncio.sleep(0.1)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _list(self, client: Client) -> None:
        listed = json.loads(await client.get(self._url, params=self._params))
        self.first = listed["items"] or []
        self.start_version = self._last = int(listed["metadata"]["resourceVersion"])

    async def _stored(self, client: Client) -> dict[str, str]:
        listed = json.loads(await client.get(self._url, params=self._params))
        return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in listed["items"] or []}

    def _held(self) -> dict[str, str]:
        """What is there by our events: version by UID."""
        held = {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in self.first}
        for event in self.events:
            metadata = event.object["metadata"]
            if event.type == "DELETED":
                held.pop(metadata["uid"], None)
            else:
                held[metadata["uid"]] = metadata["resourceVersion"]
        return held

    async def _watch(self, client: Client) -> None:
        while True:
            params = {**self._params, "resourceVersion": str(self._last), "allowWatchBookmarks": "true"}
            with contextlib.suppress(ClusterError):
                async for line in client.watch(self._url, params=params):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        msg = f"the history of {self._url} has a hole: {event['object']}"
                        raise AssertionError(msg)
                    self._last = int(event["object"]["metadata"]["resourceVersion"])
                    if event["type"] != "BOOKMARK":
                        self.events.append(Event(self._last, event["type"], event["object"]))
            await asyncio.sleep(0.1)


def timeline(*histories: History) -> list[tuple[int, Event]]:
    """All events in the order in which they were stored, each with the index of its history."""
    merged = [(index, event) for index, history in enumerate(histories) for event in history.events]
    return sorted(merged, key=lambda each: each[1].version)
