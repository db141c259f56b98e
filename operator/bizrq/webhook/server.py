"""Who is let in, and how long may an answer take: TLS, tokens, size and time limits?

Whoever may not ask gets 404 before the body is read. Whoever may gets a verdict, whatever goes wrong behind it: what
cannot be decided is denied, to be tried again [A13]; never HTTP 500, never allowed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from bizrq.observability.listening import bound_to
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.connection import Connection
from bizrq.webhook.review import BadReview, Request, Verdict, answer, read_review

__all__ = ["AdmissionServer", "Handler", "Soften", "seconds_of"]

Handler = Callable[[Request, float], Awaitable[Verdict]]
"""Decides one review; the second argument is the instant, of the loop's clock, at which the answer is too late."""

Soften = Callable[[str, Request, Verdict], Verdict]
"""What is answered in place of a verdict, by the route and the request."""

_LARGEST_BODY: Final = 8 * 2**20
"""Bytes. A review holds an object twice, and etcd's limit for one is 1.5 MiB; in JSON it may be somewhat longer."""

_LONGEST_SECONDS: Final = 10.0
"""What a webhook configuration should ask for at most; a longer wait only keeps the user waiting."""

_MARGIN_SECONDS: Final = 0.5
"""Kept for the way back: an answer that comes too late is an HTTP 500 for the user."""

_IDLE_SECONDS: Final = 120.0
"""An idle connection is closed. Later than the API server does it itself (90 s, the default of its HTTP transport):
a request that meets a closing connection is an HTTP 500 for the user."""

_LINGER_SECONDS: Final = 1.0
"""How long the rest of an unwanted body is thrown away, so that the client reads the answer before the end."""

_HANDSHAKE_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 2.0
_FINISH_SECONDS: Final = 10.0
"""For open requests at the end; each has its own deadline within this."""

_BACKLOG: Final = 1024
"""The API server opens a connection for each of its parallel requests."""

_VERDICTS: Final = ("allowed", "refused", "again")
_PROBED: Final = "probed"
"""Whatever the verdict was: nobody wanted anything."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

log = logging.getLogger(__name__)


class _Rejected(Exception):
    """An answer without a verdict: a status; ``why`` is the label of the metric."""

    def __init__(self, status: HTTPStatus, why: str, message: str = "") -> None:
        super().__init__(message or status.phrase.lower())
        self.status, self.why = status, why


class AdmissionServer:
    """Serves POST ``/<token>/<route>``, and ``/<route>`` to clients whose certificate was verified."""

    def __init__(
        self,
        port: int,
        routes: Mapping[str, Handler],
        accepts: Callable[[str], bool],
        ssl_context: ssl.SSLContext,
        metrics: WebhookMetrics,
        *,
        finish_seconds: float = _FINISH_SECONDS,
        soften: Soften = lambda _route, _request, verdict: verdict,
    ) -> None:
        """``accepts`` says of a text whether it is a token; ``soften`` has the last word on what was not decided."""
        self.port = port
        """The port it listens on; once started, the real one."""
        self._routes, self._accepts, self._ssl_context, self._metrics = routes, accepts, ssl_context, metrics
        self._finish_seconds, self._soften = finish_seconds, soften
        for route in routes:
            for verdict in _VERDICTS:
                metrics.reviews.labels(route, verdict)  # shown as 0 from the start, so that an increase can be seen
        self._listener: asyncio.Server | None = None
        self._draining = False
        self._deciding: set[asyncio.Task[Verdict]] = set()

    # --- start and end ---

    async def start(self) -> None:
        """Listen, on all addresses. Raises ``OSError`` if the port is taken."""
        loop = asyncio.get_running_loop()
        self._web = web.Server(self._serve)
        self._listener = await loop.create_server(
            lambda: Connection(
                self._web,
                self._broken,
                loop=loop,
                access_log=None,
                keepalive_timeout=_IDLE_SECONDS,
                lingering_time=_LINGER_SECONDS,
                auto_decompress=False,
            ),
            sock=bound_to(self.port),
            backlog=_BACKLOG,
            ssl=self._ssl_context,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def ready(self) -> str | None:
        """None while new requests are welcome, else why not."""
        if self._draining:
            return "draining: it is about to end"
        return None if self._listener is not None else "not listening yet"

    async def drain(self, seconds: float) -> None:
        """End without a lost request.

        Not ready at once, so that nobody new is sent here; for ``seconds`` more it serves who still comes, and asks
        each to come over another connection next time. Then it stops listening and finishes open requests.
        """
        self._draining = True
        if self._listener is None:
            return
        await asyncio.sleep(seconds)
        self._listener.close()
        await asyncio.sleep(0)  # what was accepted already gets to its request
        self._web.pre_shutdown()
        await self._web.shutdown(self._finish_seconds)
        if self._deciding:  # decisions whose answer was too late: their writes are finished
            await asyncio.wait(self._deciding, timeout=self._finish_seconds)
        for task in self._deciding:
            task.cancel()
        await asyncio.gather(*self._deciding, return_exceptions=True)

    # --- one request ---

    def _broken(self) -> None:
        self._metrics.rejected.labels("unreadable").inc()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        start = asyncio.get_running_loop().time()
        try:
            response = await self._answered(request, start)
        except _Rejected as rejected:
            self._metrics.rejected.labels(rejected.why).inc()
            response = web.Response(status=rejected.status, text=f"{rejected}\n")
            if rejected.status == HTTPStatus.METHOD_NOT_ALLOWED:
                response.headers["Allow"] = "POST"
            response.force_close()
        if self._draining:
            response.force_close()
        response.headers["Server"] = "bizrq"
        return response

    async def _answered(self, request: web.BaseRequest, start: float) -> web.Response:
        route = self._route(request)
        if request.method != "POST":
            raise _Rejected(HTTPStatus.METHOD_NOT_ALLOWED, "method")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise _Rejected(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unreadable", "a review is not compressed")
        seconds = min(seconds_of(request.query.get("timeout", "")) or _LONGEST_SECONDS, _LONGEST_SECONDS)
        deadline = start + seconds - min(_MARGIN_SECONDS, seconds / 2)
        body = await _body(request, deadline)
        try:
            review = read_review(body)
        except BadReview as error:
            raise _Rejected(HTTPStatus.BAD_REQUEST, "unreadable", str(error)) from error
        verdict = await self._verdict(route, review, deadline)
        self._metrics.reviews.labels(route, _label(verdict)).inc()
        self._metrics.review_seconds.labels(route).observe(asyncio.get_running_loop().time() - start)
        return web.Response(body=answer(review.uid, verdict), content_type="application/json")

    def _route(self, request: web.BaseRequest) -> str:
        """The route that somebody who may ask asked for; everything else looks as if there were nothing here."""
        match request.path.split("/"):
            case ["", token, route] if self._accepts(token) and route in self._routes:
                return route
            case ["", route] if _verified(request) and route in self._routes:
                return route
        raise _Rejected(HTTPStatus.NOT_FOUND, "not_found")

    async def _verdict(self, route: str, review: Request, deadline: float) -> Verdict:
        """The handler's verdict, or "try again" at the deadline.

        The handler is a task of its own: neither a client that went away nor the deadline ends it in the middle of a
        write.
        """
        task = asyncio.create_task(self._decide(route, review, deadline), name=f"review {review.uid}")
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)
        await asyncio.wait((task,), timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if task.done():
            return task.result()
        self._metrics.review_failures.labels(route, "late").inc()
        log.warning("%s: not decided in time: %s", route, _described(review))
        return self._soften(route, review, Verdict.try_again("this could not be decided in time; try again"))

    async def _decide(self, route: str, review: Request, deadline: float) -> Verdict:
        try:
            return await self._routes[route](review, deadline)
        except (Exception, asyncio.CancelledError):  # it may have waited for something that was cancelled
            self._metrics.review_failures.labels(route, "error").inc()
            log.exception("%s: an error in deciding %s", route, _described(review))
            verdict = Verdict.try_again("this could not be decided because of an internal error; try again")
            return self._soften(route, review, verdict)


def seconds_of(duration: str) -> float:
    """The seconds in a duration as Go writes it (5s, 1500ms, 1m0s); 0 if it is none."""
    parts = list(_DURATION.finditer(duration[:50]))
    if "".join(part[0] for part in parts) != duration:
        return 0.0
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)


def _verified(request: web.BaseRequest) -> bool:
    """Whether the client showed a certificate of the authority; TLS ended already where it showed another one."""
    return bool(request.transport and request.transport.get_extra_info("peercert"))


async def _body(request: web.BaseRequest, deadline: float) -> bytes:
    too_large = _Rejected(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a review has at most {_LARGEST_BODY} bytes"
    )
    if (request.content_length or 0) > _LARGEST_BODY:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > _LARGEST_BODY:
                    raise too_large
    except TimeoutError as error:
        raise _Rejected(HTTPStatus.REQUEST_TIMEOUT, "slow", "the body did not come in time") from error
    except web.RequestPayloadError as error:
        raise _Rejected(HTTPStatus.BAD_REQUEST, "unreadable", "the body broke off") from error
    return bytes(body)


def _label(verdict: Verdict) -> str:
    allowed, refused, again = _VERDICTS
    if verdict.probe:
        return _PROBED
    if verdict.allowed:
        return allowed
    return again if verdict.retry_after else refused


def _described(review: Request) -> str:
    return f"{review.operation} {review.resource.resource} {review.namespace}/{review.name} ({review.uid})"
