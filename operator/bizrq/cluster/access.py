"""May this user do that? The API server knows, whatever it goes by: roles, or a webhook of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from bizrq.cluster.client import Client, decoded
from bizrq.domain.bizrq import GROUP, PLURAL, VERSION

__all__ = ["Access", "Answer", "ApiAccess", "Question"]

_URL: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Question:
    """May ``user`` do ``verb`` to the bizrq ``name``?"""

    verb: str
    name: str
    """"" asks for all: a role that is limited to names does not have it."""
    user: str
    namespace: str = ""
    """Roles of this namespace count too, although bizrqs have none; "" asks for roles of the cluster alone."""
    uid: str = ""
    groups: Sequence[str] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    allowed: bool
    complete: bool = True
    """It could go by everything that it should: no role that is bound was missing, say."""


class Access(Protocol):
    """Who may do what to bizrqs."""

    async def allowed(self, question: Question) -> Answer:
        """The answer of this moment. Raises ``ClusterError``."""


class _Status(msgspec.Struct, rename="camel"):
    allowed: bool
    evaluation_error: str = ""


class _Review(msgspec.Struct):
    status: _Status


_decoder: Final = msgspec.json.Decoder(_Review)


class ApiAccess:
    """The API server's SubjectAccessReview."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def allowed(self, question: Question) -> Answer:
        """The answer of this moment. Raises ``ClusterError``."""
        spec = {
            "resourceAttributes": {
                "group": GROUP,
                "version": VERSION,
                "resource": PLURAL,
                "verb": question.verb,
                "name": question.name,
                "namespace": question.namespace,
            },
            "user": question.user,
            "uid": question.uid,
            "groups": list(question.groups),
            "extra": {key: list(values) for key, values in question.extra.items()},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = decoded(_decoder, await self._client.post(_URL, body)).status
        return Answer(status.allowed, complete=not status.evaluation_error)
