"""Live? Ready?

A small HTTP server with /healthz, /readyz and /metrics. Each check is a named function that returns None when all is
well, else a sentence that says what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bizrq.observability.listening import bound_to

__all__ = ["HealthServer"]

Check = Callable[[], str | None]


class HealthServer:
    """Serves the state of a process to the kubelet and to Prometheus."""

    def __init__(
        self,
        port: int,
        registry: CollectorRegistry,
        *,
        live: Mapping[str, Check],
        ready: Mapping[str, Check],
        collect: Callable[[], None] = lambda: None,
    ) -> None:
        """``collect`` brings the metrics up to date before each scrape."""
        self.port = port
        """The port it listens on; once started, the real one."""
        self._registry, self._live, self._ready, self._collect = registry, live, ready, collect
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises ``OSError`` if the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        listener = bound_to(self.port)
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._live)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer({**self._live, **self._ready})

    async def _metrics(self, _: web.Request) -> web.Response:
        self._collect()
        # A thousand bizrqs have tens of thousands of series: everything else goes on while they are written down.
        body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(checks: Mapping[str, Check]) -> web.Response:
    results = {name: check() for name, check in checks.items()}
    lines = [f"[{'-' if why else '+'}] {name}: {why or 'ok'}\n" for name, why in results.items()]
    return web.Response(text="".join(lines), status=503 if any(results.values()) else 200)
