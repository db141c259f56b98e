"""What can the API server answer, as exceptions.

ClusterError
+-- Conflict      409       somebody wrote first: read again, decide again
+-- NotFound      404       the object, or its kind, is not there
+-- Gone          410       that version is too old: list again and compare with what is held
+-- Denied        401, 403  a right or a token is missing; names verb and resource
+-- Invalid       4xx       the request makes no sense to the server: a fault of ours, retrying is no use
+-- Unavailable   429, 5xx  or no connection; wait ``retry_after`` seconds
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ClusterError", "Conflict", "Denied", "Gone", "Invalid", "NotFound", "Unavailable", "error_of"]


class ClusterError(Exception):
    """The API server did not do what was asked; the message is for a log."""


class Conflict(ClusterError):
    """Somebody wrote first: read again, decide again."""


class NotFound(ClusterError):
    """The object, or its kind, is not there."""


class Gone(ClusterError):
    """The version asked for is too old: list again and compare with what is held."""


class Denied(ClusterError):
    """A right or a token is missing."""


class Invalid(ClusterError):
    """The request makes no sense to the server."""


class Unavailable(ClusterError):
    """Nothing was decided; the same request may go through later."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds the server asked to wait; 0 where it said nothing."""


_BY_CODE: dict[int, type[ClusterError]] = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 410: Gone}

_PATH: Final = re.compile(r'(https?://[^/\s"\\]+)/[^\s"\\]*', re.IGNORECASE)


def error_of(code: int, message: str, retry_after: float = 0.0) -> ClusterError:
    """The exception for an answer with this HTTP status, or for a Status object inside a watch.

    Of URLs in the message the host is kept: where a webhook does not answer, the API server tells its address, whose
    path is its secret, and messages are for logs and for people.
    """
    message = _PATH.sub(r"\1/...", message)
    if code == 429 or code >= 500 or code < 400:  # noqa: PLR2004
        return Unavailable(message, retry_after)
    return _BY_CODE.get(code, Invalid)(message)
