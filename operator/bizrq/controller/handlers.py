"""Which kopf events wake what? (The only decorators.)

``on.event`` and nothing else: every other decorator of kopf writes annotations or finalizers, also to objects that are
not ours [R3]. A handler hands the object on and decides nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import kopf

from bizrq.cluster.credentials import Credentials
from bizrq.domain.bizrq import GROUP, LABEL, PLURAL, VERSION
from bizrq.workloads.kind import Kind

__all__ = ["Deliver", "make_registry", "make_settings"]

Deliver = Callable[[Kind | None, str | None, Mapping[str, Any]], None]
"""Called with the kind (None: a bizrq), the type of event (None: from a list) and the object."""


def make_registry(kinds: Iterable[Kind], credentials: Credentials, deliver: Deliver) -> kopf.OperatorRegistry:
    """The handlers for bizrqs and for every kind of workload."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.ConnectionInfo:
        authorization = await credentials.authorization(renew=True)
        scheme, _blank, token = (authorization or "").partition(" ")
        authority, certificate, key = credentials.certificate_files
        return kopf.ConnectionInfo(
            server=credentials.server,
            ca_path=authority,
            insecure=not credentials.verified,
            scheme=scheme or None,
            token=token or None,
            certificate_path=certificate,
            private_key_path=key,
            proxy_url=credentials.proxy,
        )

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def bizrq_event(event: kopf.RawEvent, **_: object) -> None:
        deliver(None, event["type"], event["object"])

    for kind in kinds:

        @kopf.on.event(kind.group, kind.version, kind.resource, registry=registry, param=kind, id=f"workload/{kind.id}")
        async def workload_event(*, event: kopf.RawEvent, param: Any = None, **_: object) -> None:
            deliver(param, event["type"], event["object"])

    return registry


def make_settings(kinds: Iterable[Kind]) -> kopf.OperatorSettings:
    """Kopf as a watcher: no peering, no posting, no persistence, and it never gives up on an API server."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.watching.reconnect_backoff = 1.0
    settings.queueing.idle_timeout = 0.5  # its default keeps a task per object for 5 s
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Endless()
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = _NoProgress()
    for kind in kinds:
        settings.watching.label_selectors[kind.group, kind.version, kind.resource] = LABEL
    return settings


class _Endless:
    """Seconds between kopf's attempts, without an end: where they end, kopf dies."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1, 1, 2, 3, 5, 8, 13), itertools.repeat(15))


class _NoDiffs(kopf.AnnotationsDiffBaseStorage):
    """Only on.event is used: the copies of the object that kopf makes to find a difference serve nobody."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None


class _NoProgress(kopf.AnnotationsProgressStorage):
    """As above, for the progress of handlers."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
