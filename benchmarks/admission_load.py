"""How long do creates take for many clients at once, and was ever more admitted than there is?"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import msgspec

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import Credentials
from bizrq.cluster.store import BIZRQS_URL
from bizrq.domain.bizrq import LABEL
from bizrq.domain.quantity import parse_own

__all__ = ["Clients", "Created", "Instants", "body", "url"]

JSON = dict[str, Any]

_REPLAY_SECONDS: Final = "3"


def url(namespace: str) -> str:
    """Of the Deployments of a namespace."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def body(name: str, group: str) -> bytes:
    """A Deployment of one pod with one core."""
    container = {"name": "main", "image": "none", "resources": {"limits": {"cpu": "1"}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    return json.dumps({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {LABEL: group}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }).encode()  # fmt: skip


@dataclass
class Created:
    """What became of creates."""

    seconds: list[float] = field(default_factory=list)
    """How long each admitted one took, waits before further attempts included."""
    codes: dict[int, int] = field(default_factory=dict)
    """How often each HTTP status was answered."""
    wall: float = 0.0

    @property
    def rate(self) -> float:
        """Admitted creates a second."""
        return len(self.seconds) / self.wall

    def percentile(self, share: float) -> float:
        """So large a share took at most so many seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Clients:
    """People at one API server; as lean as Python allows, for they share the processor with what is measured."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._session: aiohttp.ClientSession
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context(), limit=0)
        self._headers = {
            "Authorization": await self._credentials.authorization() or "",
            "Content-Type": "application/json",
        }
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, method: str, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        """One request: its status and the body of the answer."""
        where = self._credentials.server + path
        async with self._session.request(method, where, data=data, headers=self._headers) as answer:
            return answer.status, await answer.read()

    async def create(self, path: str, data: bytes, created: Created) -> bool:
        """One create, again after a second where the answer says so; whether it was admitted in the end."""
        began = time.perf_counter()
        while True:
            code, _ = await self.send("POST", path, data)
            created.codes[code] = created.codes.get(code, 0) + 1
            if code != HTTPStatus.TOO_MANY_REQUESTS:
                break
            await asyncio.sleep(1)
        if code == HTTPStatus.CREATED:
            created.seconds.append(time.perf_counter() - began)
        return code == HTTPStatus.CREATED

    async def create_all(self, clients: int, path: str, bodies: Iterable[bytes]) -> Created:
        """Create all of them, so many at a time."""
        created, left = Created(), iter(bodies)

        async def client() -> None:
            for data in left:
                await self.create(path, data, created)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        created.wall = time.perf_counter() - began
        return created

    async def rush(self, clients: int, path: str, names: Sequence[str], group: str) -> Created:
        """Create more than there is room for; every second one that is admitted is deleted at once."""
        created, left = Created(), iter(names)

        async def client() -> None:
            for number, name in enumerate(left):
                if await self.create(path, body(name, group), created) and number % 2:
                    await self.send("DELETE", f"{path}/{name}")

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        created.wall = time.perf_counter() - began
        return created

    async def replaced(self, name: str, times: int) -> list[float]:
        """Seconds of each of so many writes of a bizrq's status over the version that the last one returned."""
        where, seconds = f"{BIZRQS_URL}/{name}/status", list[float]()
        _, text = await self.send("GET", f"{BIZRQS_URL}/{name}")
        raw: JSON = msgspec.json.decode(text)
        while len(seconds) < times:
            shown = f"{raw['metadata']['resourceVersion']}/1"  # another text each time: else nothing is stored
            raw["status"]["summary"] = {**raw["status"]["summary"], "cpu": shown}
            began = time.perf_counter()
            code, text = await self.send("PUT", where, msgspec.json.encode(raw))
            took = time.perf_counter() - began
            if code == HTTPStatus.OK:
                seconds.append(took)
            else:  # the controller wrote too
                _, text = await self.send("GET", f"{BIZRQS_URL}/{name}")
            raw = msgspec.json.decode(text)
        return seconds


@dataclass
class Instants:
    """What the recorded history of one bizrq and its workloads says; all kinds share one etcd, so versions compare."""

    most: int = 0
    """The most cores that existed at a time."""
    most_used: int = 0
    """The most that ``used`` ever said."""
    uncovered: int = 0
    """By how many cores ``used`` was ever below what existed."""
    checked: int = 0

    @classmethod
    async def of(cls, client: Client, group: str, path: str, since: int) -> Instants:
        """Every instant since a version of the API server, read from its own memory afterwards."""
        workloads = await _events(client, path, {"labelSelector": f"{LABEL}={group}"}, since)
        bizrqs = await _events(client, BIZRQS_URL, {"fieldSelector": f"metadata.name={group}"}, since)
        found, live, now, used = cls(), dict[str, int](), 0, 0
        merged = sorted([*workloads, *bizrqs], key=lambda event: int(event["object"]["metadata"]["resourceVersion"]))
        for event in merged:
            raw = event["object"]
            if raw["kind"] != "Deployment":
                used = _whole((raw.get("status") or {}).get("used", {}).get("limits.cpu", "0"))
            else:
                now -= live.pop(raw["metadata"]["uid"], 0)
                if event["type"] != "DELETED":
                    now += live.setdefault(raw["metadata"]["uid"], _cores(raw))
            found.most, found.most_used = max(found.most, now), max(found.most_used, used)
            found.uncovered = max(found.uncovered, now - used)
            found.checked += 1
        return found


async def _events(client: Client, path: str, params: dict[str, str], since: int) -> list[JSON]:
    listed = msgspec.json.decode(await client.get(path, params=params))
    there = {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in listed["items"]}
    params = {**params, "resourceVersion": str(since), "timeoutSeconds": _REPLAY_SECONDS}
    events, last = [], dict[str, str]()
    async for line in client.watch(path, params=params):
        event = msgspec.json.decode(line)
        if event["type"] not in {"ADDED", "MODIFIED", "DELETED"}:
            msg = f"the history of {path} has a hole: {event['object']}"
            raise RuntimeError(msg)
        events.append(event)
        metadata = event["object"]["metadata"]
        last[metadata["uid"]] = "" if event["type"] == "DELETED" else metadata["resourceVersion"]
    if {uid: version for uid, version in last.items() if version} != there and path != BIZRQS_URL:
        msg = f"the history of {path} is not whole"
        raise RuntimeError(msg)
    return events


def _cores(raw: JSON) -> int:
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    return int(raw["spec"]["replicas"] * _whole(container["resources"]["limits"]["cpu"]))


def _whole(text: str) -> int:
    return int(parse_own(text).nano // 10**9)
