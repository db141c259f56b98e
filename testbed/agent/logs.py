"""How does ``kubectl logs`` get at what the agent's containers wrote?"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from aiohttp import web

_HOST: Final = "127.0.0.1"


class Logs:
    """The one route of a kubelet that is served: the log of a container, as far as it goes now."""

    def __init__(self, folder: Path, certificate: Path, key: Path) -> None:
        self._folder = folder
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._runner: web.AppRunner

    async def start(self) -> int:
        """Listen; returns the port."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._log)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0, ssl_context=self._context).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _log(self, request: web.Request) -> web.Response:
        names = request.match_info
        path = self._folder / f"{names['namespace']}.{names['pod']}.{names['container']}.log"
        if not path.exists():
            raise web.HTTPNotFound(text=f"{path.name}: nothing was written")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if tail := request.query.get("tailLines"):
            lines = lines[max(len(lines) - int(tail), 0) :]
        return web.Response(text="".join(lines))
