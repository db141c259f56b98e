"""How does the test bed itself talk to its API server? Only as far as starting needs it."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any

from testbed.errors import BedError

if TYPE_CHECKING:
    from pathlib import Path

_CORE_V1 = "v1"
_SECONDS = 30.0
_CONFLICT, _FIRST_ERROR = 409, 400


class Api:
    """One connection with one token. Not for several threads at once."""

    def __init__(self, port: int, authority: Path, token: str) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=context)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def ready(self) -> bool:
        """Whether the API server says that it is ready; False also while nobody listens."""
        try:
            return self._request("GET", "/readyz")[0] == http.client.OK
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """The object or list at a path such as ``/api/v1/nodes``; None if there is none."""
        status, body = self._request("GET", path)
        if status == http.client.NOT_FOUND:
            return None
        return self._checked(status, body, path)

    def create(self, value: dict[str, Any], namespace: str = "") -> None:
        """Create an object; one that is there already stays as it is."""
        path = collection(value, namespace)
        status, body = self._request("POST", path, json.dumps(value))
        if status != _CONFLICT:
            self._checked(status, body, path)

    def _checked(self, status: int, body: bytes, path: str) -> Any:
        if status >= _FIRST_ERROR:
            raise BedError(f"the API server answered {status} on {path}: {body.decode(errors='replace')[:500]}")
        return json.loads(body)

    def _request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens a new one
            if isinstance(error, OSError):
                raise
            raise OSError(str(error)) from error


def collection(value: dict[str, Any], namespace: str = "") -> str:
    """The path to POST an object to. Its kind's plural must end in a plain "s": true for all that we create."""
    version = value["apiVersion"]
    prefix = "/api/v1" if version == _CORE_V1 else f"/apis/{version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{scope}/{value['kind'].lower()}s"
