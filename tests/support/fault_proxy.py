"""A reverse proxy between bizrq and the real API server that makes chosen answers go wrong.

It imitates nothing: what it does not spoil is the API server's own answer, byte for byte. A rule spoils the next
``times`` requests that it matches; ``break_streams`` ends the watches that are open.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

__all__ = ["FaultProxy", "Rule"]

_LOOK_SECONDS = 0.02


@dataclass
class Rule:
    """What happens to the next ``times`` requests whose URL contains ``path``; ``watch`` None: lists and watches."""

    path: str
    times: int = 1
    watch: bool | None = None
    labelled: bool | None = None
    """Only requests that select by label, as kopf's of workloads do, or only others, as our reflectors' are."""
    page: bool = False
    """Only requests for a further page of a list."""
    status: int | None = None
    """Answer with this HTTP status."""
    event: dict[str, Any] | None = None
    """Send this event first on a watch, then end it."""
    cut: bool = False
    """End the stream in the middle of its first line."""
    abort: bool = False
    """Close the connection without an answer."""
    held: threading.Event | None = None
    """Pass the request on once this is set, whether somebody still waits for the answer or not."""
    answered: list[int] = field(default_factory=list)
    """What the API server answered to requests that were held: HTTP statuses."""
    hits: int = field(default=0)

    def matches(self, request: web.Request) -> bool:
        """Whether it spoils this request."""
        is_watch = request.query.get("watch") == "true"
        return (
            self.hits < self.times
            and self.path in request.path
            and (self.watch is None or self.watch == is_watch)
            and (self.labelled is None or self.labelled == ("labelSelector" in request.query))
            and (not self.page or "continue" in request.query)
        )


class FaultProxy:
    """Runs in a thread of its own. ``kubeconfig`` is one that goes through it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster = document["clusters"][0]["cluster"]
        self._upstream = cluster.pop("server")
        authority = base64.b64decode(cluster.pop("certificate-authority-data")).decode()
        self._ssl = ssl.create_default_context(cadata=authority)
        self._document, self.kubeconfig = document, folder / "through-proxy.yaml"
        self.rules: list[Rule] = []
        self._streams: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fault proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @contextlib.contextmanager
    def spoil(self, *rules: Rule) -> Iterator[tuple[Rule, ...]]:
        """Have these rules until the end of the block."""
        self.rules = list(rules)
        try:
            yield rules
        finally:
            self.rules = []

    def break_streams(self) -> None:
        """End all open watches without a last chunk."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._streams])

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self._document["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{port}"
        self.kubeconfig.write_text(yaml.safe_dump(self._document))
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as self._session:
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()
        await asyncio.sleep(0.25)  # aiohttp's own advice: closed TLS connections need a turn of the loop to go

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        rule = next((rule for rule in self.rules if rule.matches(request)), None)
        if rule is not None:
            rule.hits += 1
            if rule.abort:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            if rule.status is not None:
                body = {"kind": "Status", "code": rule.status, "message": "spoiled", "reason": "Spoiled"}
                return web.json_response(body, status=rule.status)
            if rule.event is not None:
                return web.Response(body=json.dumps(rule.event).encode() + b"\n", content_type="application/json")
            if rule.cut:
                return web.Response(body=b'{"type":"MODIFIED","object":{"kind":', content_type="application/json")
            if rule.held is not None:
                await request.read()  # the sender may be stopped before it is passed on
                while not rule.held.is_set():  # noqa: ASYNC110  # it is set by another thread
                    await asyncio.sleep(_LOOK_SECONDS)
        task = asyncio.current_task()
        assert task is not None
        if request.query.get("watch") == "true":
            self._streams.add(task)
        try:
            return await self._forward(request, rule)
        finally:
            self._streams.discard(task)

    async def _forward(self, request: web.Request, rule: Rule | None) -> web.StreamResponse:
        drop = {"host", "content-length", "transfer-encoding", "connection"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in drop}
        async with self._session.request(
            request.method,
            self._upstream + request.path_qs,
            headers=headers,
            data=await request.read() or None,
            ssl=self._ssl,
        ) as answer:
            shown = {name: value for name, value in answer.headers.items() if name.lower() not in drop}
            response = web.StreamResponse(status=answer.status, headers=shown)
            if rule is not None:
                rule.answered.append(answer.status)
            with contextlib.suppress(ConnectionResetError):  # the client went first
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response
