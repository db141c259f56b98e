"""How does the agent talk to the API server?"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

JSON = dict[str, Any]
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_MANAGER: Final = "testbed-agent"
_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 300
_NOT_FOUND, _CONFLICT, _GONE = 404, 409, 410
_FIRST_ERROR: Final = 400


class Refused(Exception):
    """The API server answered with an error, or not at all; its words are the message."""


class Expired(Exception):
    """A watch cannot go on from where it was: list again."""


class Kube:
    """A session with one token."""

    def __init__(self, server: str, authority: str, token: str) -> None:
        self._server, self._authority, self._token = server, authority, token
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=self._authority)
        self._session = aiohttp.ClientSession(
            self._server,
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": _MANAGER},
            read_bufsize=2**20,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> JSON | None:
        """An object or a list; None where there is none. Raises Refused."""
        return await self._send("GET", path, params=params)

    async def post(self, path: str, value: JSON) -> JSON | None:
        """Create an object; None where it is there already. Raises Refused."""
        return await self._send("POST", path, value)

    async def patch(self, path: str, value: JSON, form: str = MERGE) -> JSON | None:
        """Change an object in one of the forms above; None where there is none, or another one. Raises Refused."""
        params = {"fieldManager": _MANAGER, "force": "true"} if form == APPLY else {"fieldManager": _MANAGER}
        return await self._send("PATCH", path, value, form=form, params=params)

    async def delete(self, path: str, options: JSON | None = None) -> None:
        """Delete an object; one that is not there, or is another one by now, is fine. Raises Refused."""
        await self._send("DELETE", path, options or {})

    async def _send(
        self,
        method: str,
        path: str,
        value: JSON | None = None,
        *,
        form: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> JSON | None:
        try:
            async with self._session.request(
                method,
                path,
                params=params,
                data=None if value is None else json.dumps(value),
                headers={"Content-Type": form},
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
            ) as answer:
                if answer.status in {_NOT_FOUND, _CONFLICT}:
                    return None
                if answer.status >= _FIRST_ERROR:
                    raise Refused(f"{method} {path}: {answer.status} {(await answer.text())[:500]}")
                return dict(await answer.json())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused(f"{method} {path}: {type(error).__name__} {error}") from error

    async def watch(self, path: str, params: Mapping[str, str], version: str) -> AsyncIterator[tuple[str, JSON]]:
        """The changes since a version, as (type, object), bookmarks among them; ends when the server ends it.

        Raises Expired, Refused.
        """
        more = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
        try:
            async with self._session.get(
                path,
                params={**params, **more, "resourceVersion": version},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=_WATCH_SECONDS),
            ) as answer:
                if answer.status >= _FIRST_ERROR:
                    raise (Expired if answer.status == _GONE else Refused)(f"watch {path}: {answer.status}")
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Expired(str(event["object"].get("message")))
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # also where it breaks off within a line
            raise Refused(f"watch {path}: {type(error).__name__} {error}") from error
