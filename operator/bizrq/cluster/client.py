"""How is one request sent: address, token, time-out, decoding?"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec

from bizrq.cluster.credentials import Credentials
from bizrq.cluster.errors import ClusterError, Unavailable, error_of

__all__ = ["Client", "decoded"]

_REQUEST_SECONDS: Final = 30.0
"""The API server gives up a mutating request after 34 s; a read that takes longer than this is better asked again."""

_LIST_SECONDS: Final = 60.0

_SILENCE_SECONDS: Final = 90.0
"""A watch that sends no event and no bookmark for so long is dead: bookmarks come about once a minute."""

_LONGEST_RETRY: Final = 30.0
"""Seconds of Retry-After that are believed."""

_LONGEST_MESSAGE: Final = 2000
"""Characters of what the server says of an error."""

_UNAUTHORIZED: Final = 401


T = TypeVar("T")

_any: Final = msgspec.json.Decoder(dict[str, Any])


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """What an answer says. Raises ``Unavailable`` where it is no JSON of that form, or nested without an end."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        msg = f"an answer that cannot be read: {type(error).__name__}: {error}"
        raise Unavailable(msg) from error


class Client:
    """A connection to one API server. Every failure is a ``ClusterError``."""

    def __init__(self, credentials: Credentials, *, user_agent: str) -> None:
        self._credentials = credentials
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            ssl=self._credentials.ssl_context() if self._credentials.server.startswith("https") else True,
            limit=0,  # each watch holds a connection; a limit would let them starve the writes
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            read_bufsize=2**20,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_object(self, path: str, *, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One object. Raises ``NotFound`` where there is none."""
        return decoded(_any, await self.get(path, params=params))

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, accept: str = "application/json"
    ) -> bytes:
        """The body of a GET, undecoded: lists are decoded straight into the structs of their kind."""
        timeout = aiohttp.ClientTimeout(total=_LIST_SECONDS)
        async with self._sent("GET", path, params=params, accept=accept, timeout=timeout) as answer:
            return await answer.read()

    async def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object, or its status; the object as stored. Raises ``Conflict`` if somebody wrote first."""
        return await self._write("PUT", path, body, "application/json")

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of the answer, undecoded: of a question, as a review of somebody's access is one."""
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        async with self._sent(
            "POST", path, body=msgspec.json.encode(body), content_type="application/json", timeout=timeout
        ) as answer:
            return await answer.read()

    async def try_post(self, path: str, body: Mapping[str, Any]) -> list[str]:
        """Have everybody look at a new object, and store nothing; the warnings that come with a yes."""
        return await self._tried("POST", path, body, "application/json")

    async def patch(self, path: str, change: Mapping[str, Any], *, by_name: bool = False) -> dict[str, Any]:
        """Merge ``change`` into an object; the object as stored. Lists are replaced.

        With a resourceVersion in it, raises ``Conflict`` if somebody wrote first. ``by_name`` merges items of lists by
        their names, or whatever else their kind goes by; only kinds that Kubernetes itself brings know that.
        """
        how = "strategic-merge-patch" if by_name else "merge-patch"
        return await self._write("PATCH", path, change, f"application/{how}+json")

    async def try_patch(self, path: str, change: Mapping[str, Any]) -> list[str]:
        """The same of a merge of ``change`` into an object."""
        return await self._tried("PATCH", path, change, "application/merge-patch+json")

    async def _tried(self, method: str, path: str, body: Mapping[str, Any], content_type: str) -> list[str]:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        async with self._sent(
            method,
            path,
            params={"dryRun": "All"},
            body=msgspec.json.encode(body),
            content_type=content_type,
            timeout=timeout,
        ) as answer:
            await answer.read()
            return [_warning(text) for text in answer.headers.getall("Warning", [])]

    async def _write(self, method: str, path: str, body: Mapping[str, Any], content_type: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        async with self._sent(
            method, path, body=msgspec.json.encode(body), content_type=content_type, timeout=timeout
        ) as answer:
            return decoded(_any, await answer.read())

    async def watch(
        self, path: str, *, params: Mapping[str, str], accept: str = "application/json"
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, one event each, until the server ends it.

        Raises ``Unavailable`` where the stream breaks off, also in the middle of a line.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS)
        async with self._sent(
            "GET", path, params={**params, "watch": "true"}, accept=accept, timeout=timeout
        ) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                lines = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if line:
                        yield line
            if rest:
                msg = f"watch {path}: the stream ended in the middle of an event"
                raise Unavailable(msg)

    @contextlib.asynccontextmanager
    async def _sent(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's own, not a bare number
        params: Mapping[str, str] | None = None,
        accept: str = "application/json",
        body: bytes | None = None,
        content_type: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            headers = {"Accept": accept, "Content-Type": content_type} if body is not None else {"Accept": accept}
            answer = await self._send(method, path, timeout, params, body, headers)
            if answer.status == _UNAUTHORIZED:  # the token may have been replaced under us
                answer.release()
                await self._credentials.authorization(renew=True)
                answer = await self._send(method, path, timeout, params, body, headers)
            async with answer:
                try:
                    if answer.status >= 400:  # noqa: PLR2004
                        raise await _error(answer, f"{method} {path}")
                    yield answer
                finally:
                    _hang_up(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            msg = f"{method} {path}: {type(error).__name__}: {error}"
            raise Unavailable(msg) from error

    async def _send(  # noqa: PLR0917  # one caller, right above
        self,
        method: str,
        path: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            msg = "the client is not open"
            raise RuntimeError(msg)
        authorization = await self._credentials.authorization()
        return await self._session.request(
            method,
            self._credentials.server + path,
            params=params,
            data=body,
            headers={**headers, "Authorization": authorization} if authorization else headers,
            timeout=timeout,
            proxy=self._credentials.proxy,
            server_hostname=self._credentials.server_name,
        )


def _warning(header: str) -> str:
    """The text of a header as the API server writes it: 299, a dash, and the text in quotes."""
    text = header.partition('"')[2].rpartition('"')[0]
    return re.sub(r"\\(.)", r"\1", text)


def _hang_up(answer: aiohttp.ClientResponse) -> None:
    """Cut the connection of an answer that was not read to its end, such as a watch that is given up.

    Closed politely it would wait for the server's farewell, behind all that is still being sent, and nobody waits for
    it: the socket would outlive the client.
    """
    connection = answer.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


async def _error(answer: aiohttp.ClientResponse, request: str) -> ClusterError:
    text = await answer.text(errors="replace")
    message, retry_after = text, 0.0
    with contextlib.suppress(ValueError, AttributeError):  # a proxy on the way answers HTML
        status = json.loads(text)
        message = status.get("message") or text
        retry_after = float((status.get("details") or {}).get("retryAfterSeconds") or 0)
    with contextlib.suppress(ValueError):
        retry_after = float(answer.headers.get("Retry-After", retry_after))
    retry_after = min(max(retry_after, 0.0), _LONGEST_RETRY) if math.isfinite(retry_after) else 0.0
    return error_of(answer.status, f"{request}: {answer.status} {message[:_LONGEST_MESSAGE]}", retry_after)
