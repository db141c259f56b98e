"""How is an event written, and what does the API want of one?

Events are ``events.k8s.io/v1``. Those of a namespaced object lie in its namespace, those of others in ``default``: the
API server takes no other. All of an event but its series stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

from bizrq.cluster.client import Client
from bizrq.domain.bizrq import GROUP, KIND, VERSION, Bizrq
from bizrq.domain.times import micro_timestamp
from bizrq.workloads.read import Workload

__all__ = ["REPORTER", "ApiEvents", "Event", "Events", "Ref"]

REPORTER: Final = f"{GROUP}/controller"
"""Who reports, as all controllers of bizrq call themselves."""

_API: Final = "events.k8s.io/v1"
_INSTANCE: Final = 128
"""Characters of the name of a process that the API server takes."""


@dataclass(frozen=True, slots=True)
class Ref:
    """An object that an event is about."""

    api_version: str
    kind: str
    name: str
    uid: str
    namespace: str = ""

    @staticmethod
    def of_bizrq(bizrq: Bizrq) -> Ref:
        """A bizrq."""
        return Ref(f"{GROUP}/{VERSION}", KIND, bizrq.name, bizrq.uid)

    @staticmethod
    def of_workload(workload: Workload) -> Ref:
        """A workload."""
        kind = workload.kind
        api_version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        return Ref(api_version, kind.kind, workload.name, workload.uid, workload.namespace)

    @property
    def events_lie_in(self) -> str:
        """The namespace of its events."""
        return self.namespace or "default"

    def as_json(self) -> dict[str, str]:
        """As in ``regarding`` and ``related``."""
        fields = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return {**fields, "namespace": self.namespace} if self.namespace else fields


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``note`` is at most ``NOTE_BYTES`` long."""

    name: str
    regarding: Ref
    reason: str
    action: str
    note: str
    warning: bool
    at: int
    """In epoch milliseconds."""
    related: Ref | None = None

    def as_json(self, instance: str) -> dict[str, Any]:
        """What is sent; ``instance`` is the process that reports."""
        related = {} if self.related is None else {"related": self.related.as_json()}
        return {
            "apiVersion": _API,
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.regarding.events_lie_in},
            "eventTime": micro_timestamp(self.at),
            "type": "Warning" if self.warning else "Normal",
            "reason": self.reason,
            "action": self.action,
            "note": self.note,
            "regarding": self.regarding.as_json(),
            **related,
            "reportingController": REPORTER,
            "reportingInstance": instance[:_INSTANCE],
        }


class Events(Protocol):
    """Where events are told."""

    async def create(self, event: Event) -> None:
        """Tell it. Raises ``Conflict`` if there is an event of that name, and ``ClusterError``."""

    async def repeat(self, event: Event, count: int, at: int) -> None:
        """It has happened ``count`` times by now, at ``at`` the last time. Raises ``NotFound``, ``ClusterError``."""


class ApiEvents:
    """The API server."""

    def __init__(self, client: Client, instance: str) -> None:
        """``instance`` is this process and no other."""
        self._client, self._instance = client, instance

    async def create(self, event: Event) -> None:
        """Tell it; see ``Events``."""
        await self._client.post(_url(event), event.as_json(self._instance))

    async def repeat(self, event: Event, count: int, at: int) -> None:
        """It has happened again; see ``Events``."""
        series: Mapping[str, Any] = {"count": count, "lastObservedTime": micro_timestamp(at)}
        await self._client.patch(f"{_url(event)}/{event.name}", {"series": series})


def _url(event: Event) -> str:
    return f"/apis/{_API}/namespaces/{quote(event.regarding.events_lie_in, safe='')}/events"
