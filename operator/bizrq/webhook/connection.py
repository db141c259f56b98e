"""What is answered to what is no HTTP request?

aiohttp tells the client its version and the log the whole line: a request line that went wrong may have a token in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

__all__ = ["Connection"]

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """aiohttp's protocol of one connection, with quieter errors; ``broken`` is called for each."""

    __slots__ = ("_broken",)

    def __init__(self, server: web.Server, broken: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._broken = broken

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes the request
    ) -> web.StreamResponse:
        """A bare status, which also ends the connection."""
        if status == HTTPStatus.BAD_REQUEST:
            log.debug("%s sent no HTTP request", request.remote)
            self._broken()
        else:
            log.error("an error in serving %s", request.remote, exc_info=exc)
        response = web.Response(status=status, text=f"{HTTPStatus(status).phrase.lower()}\n")
        response.headers["Server"] = "bizrq"
        response.force_close()
        return response
