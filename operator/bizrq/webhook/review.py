"""How does an AdmissionReview become a value, and a verdict JSON?

The form is that of admission.k8s.io/v1. Fields that nobody here asks for are skipped without being built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, final

import msgspec

__all__ = ["BadReview", "GroupVersionKind", "GroupVersionResource", "Request", "UserInfo", "Verdict"]
__all__ += ["answer", "read_review"]

_VERSION: Final = "admission.k8s.io/v1"
_KIND: Final = "AdmissionReview"

_LONGEST_MESSAGE: Final = 3000
"""Characters. So long a message was seen to reach kubectl whole."""

_LONGEST_WARNING: Final = 250
"""Characters. The API server cuts each to 256 once all of them are over its limit."""

_MOST_WARNINGS: Final = 4000
"""Characters of all warnings of one answer. The API server drops what is over 4096."""

_TOO_MANY_REQUESTS: Final = 429


@final
class BadReview(ValueError):
    """A body that is no review; the message says what is wrong with it."""


class GroupVersionKind(msgspec.Struct, frozen=True, rename="camel"):
    """A kind of object, such as apps/v1 Deployment."""

    version: str
    kind: str
    group: str = ""


class GroupVersionResource(msgspec.Struct, frozen=True, rename="camel"):
    """A resource, such as apps/v1 deployments."""

    version: str
    resource: str
    group: str = ""


class UserInfo(msgspec.Struct, frozen=True, rename="camel"):
    """Who asked the API server."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = {}


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """What the API server asks: may this operation on this object be done?

    ``resource`` is what the webhook was registered for, ``request_resource`` what the client named; they differ where
    the API server converted between versions. ``name`` is empty where the API server is still to make it.
    """

    uid: str
    kind: GroupVersionKind
    resource: GroupVersionResource
    operation: str
    """CREATE, UPDATE, DELETE or CONNECT."""
    sub_resource: str = ""
    request_kind: GroupVersionKind | None = None
    request_resource: GroupVersionResource | None = None
    name: str = ""
    namespace: str = ""
    user_info: UserInfo = UserInfo()
    object: dict[str, Any] | None = None
    """The object as it would be stored; None on DELETE."""
    old_object: dict[str, Any] | None = None
    """The object as it is stored; None on CREATE."""
    dry_run: bool = False


class _Review(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    request: Request


_decoder: Final = msgspec.json.Decoder(_Review)


def read_review(body: bytes) -> Request:
    """The request in the body of a review. Raises ``BadReview``."""
    try:
        review = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        msg = f"this is no {_KIND} of {_VERSION}: {error}"
        raise BadReview(msg) from error
    if (review.api_version, review.kind) != (_VERSION, _KIND):
        msg = f"this is {_one_line(review.kind)!r} of {_one_line(review.api_version)!r}, not {_KIND} of {_VERSION}"
        raise BadReview(msg[:_LONGEST_MESSAGE])
    if not review.request.uid:
        msg = f"this {_KIND} has an empty request.uid: there is nothing to answer to"
        raise BadReview(msg)
    return review.request


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered. The API server passes ``code``, ``reason`` and ``message`` on to the client."""

    allowed: bool
    code: int = 0
    """The HTTP status that the client gets; 0 where it is allowed."""
    reason: str = ""
    """For programs, such as Forbidden."""
    message: str = ""
    """For people."""
    warnings: tuple[str, ...] = ()
    """Shown by kubectl whether allowed or not."""
    retry_after: int = 0
    """Seconds after which kubectl and client-go ask again by themselves; 0: they do not."""
    bizrq: str = field(default="", compare=False)
    """The bizrq whose quota was too small for it, which exists; "" where it is none. Not answered, only counted."""
    keys: tuple[str, ...] = field(default=(), compare=False)
    """Those of its keys that are to blame."""
    probe: bool = field(default=False, compare=False)
    """Nobody wanted this: the controller looks whether the webhook is asked."""

    @classmethod
    def allow(cls, *warnings: str) -> Self:
        """Let it happen."""
        return cls(allowed=True, warnings=warnings)

    @classmethod
    def deny(cls, code: int, reason: str, message: str, *, warnings: Sequence[str] = ()) -> Self:
        """Refuse it: asking again would not help."""
        return cls(allowed=False, code=code, reason=reason, message=message, warnings=tuple(warnings))

    @classmethod
    def try_again(cls, message: str, seconds: int = 1) -> Self:
        """Say that it cannot be decided now, and when to ask again [A13]."""
        return cls(
            allowed=False,
            code=_TOO_MANY_REQUESTS,
            reason="TooManyRequests",
            message=message,
            retry_after=max(1, seconds),
        )


def answer(uid: str, verdict: Verdict) -> bytes:
    """The body of the answer to the request with this ``uid``; its texts are one line each, and bounded."""
    response: dict[str, Any] = {"uid": uid, "allowed": verdict.allowed}
    status = _status(verdict)
    if status:
        response["status"] = status
    warnings = _warnings(verdict.warnings)
    if warnings:
        response["warnings"] = warnings
    return msgspec.json.encode({"apiVersion": _VERSION, "kind": _KIND, "response": response})


def _status(verdict: Verdict) -> dict[str, Any]:
    status: dict[str, Any] = {} if verdict.allowed else {"status": "Failure"}
    if verdict.message:
        status["message"] = _shortened(_one_line(verdict.message), _LONGEST_MESSAGE)
    if verdict.reason:
        status["reason"] = verdict.reason
    if verdict.code:
        status["code"] = verdict.code
    if verdict.retry_after > 0:
        status["details"] = {"retryAfterSeconds": verdict.retry_after}
    return status


def _warnings(texts: Sequence[str]) -> list[str]:
    """As many as the API server passes on; where some are left out, the last one says how many."""
    lines = [_shortened(line, _LONGEST_WARNING) for text in texts if (line := _one_line(text))]
    kept: list[str] = []
    room = _MOST_WARNINGS - _LONGEST_WARNING  # for the one that says how many were left out
    for line in lines:
        room -= len(line)
        if room < 0:
            return [*kept, f"and {len(lines) - len(kept)} more warnings"]
        kept.append(line)
    return kept


def _one_line(text: str) -> str:
    """Without line ends and control characters: parts of it may come from anybody's object, and it goes to terminals.

    An escape is the same text as Python's ``repr`` writes.
    """
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _shortened(line: str, longest: int) -> str:
    return line if len(line) <= longest else line[: longest - 3] + "..."
