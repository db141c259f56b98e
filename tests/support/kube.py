"""Objects of a real cluster for tests: clients, makers by keyword, and waiting."""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pykube

__all__ = ["client", "deployment", "job", "parse_time", "pod", "wait_until", "watch"]

JSON = dict[str, Any]
_T = TypeVar("_T")
_POLL_SECONDS = 0.05


def wait_until(probe: Callable[[], _T | None], what: str, seconds: float = 30.0) -> _T:
    """Poll until ``probe`` gives something true, and return that; fails after ``seconds``, saying ``what``."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(_POLL_SECONDS)
    return found


@contextlib.contextmanager
def client(kubeconfig: Path) -> Iterator[pykube.HTTPClient]:
    """A client with this kubeconfig; in the end its connections are closed and no file of it is left."""
    config = pykube.KubeConfig.from_file(str(kubeconfig))
    with tempfile.TemporaryDirectory(prefix="bizrq-client-") as folder:
        for number, each in enumerate(config.doc["clusters"]):
            authority = each["cluster"].pop("certificate-authority-data", None)
            if authority:  # pykube would put it into a file of its own, and leave that behind
                path = Path(folder) / f"{number}.crt"
                path.write_bytes(base64.b64decode(authority))
                each["cluster"]["certificate-authority"] = str(path)
        made = pykube.HTTPClient(config)
        try:
            yield made
        finally:
            made.session.close()


def watch(
    api: pykube.HTTPClient, obj: pykube.objects.NamespacedAPIObject, seconds: int = 30
) -> Iterator[tuple[str, JSON]]:
    """The changes of one object behind the version held, as (type, object), for at most ``seconds``."""
    response = api.get(
        version=obj.version,
        namespace=obj.namespace,
        url=obj.endpoint,
        params={
            "watch": "true",
            "fieldSelector": f"metadata.name={obj.name}",
            "resourceVersion": obj.metadata["resourceVersion"],
            "timeoutSeconds": str(seconds),
        },
        stream=True,
        timeout=seconds + 5,
    )
    with contextlib.closing(response):
        response.raise_for_status()
        for line in response.iter_lines():
            event = json.loads(line)
            yield event["type"], event["object"]


def parse_time(text: str) -> int:
    """Epoch seconds of a time as Kubernetes writes it."""
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def pod(
    api: pykube.HTTPClient,
    name: str,
    *,
    namespace: str,
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> pykube.Pod:
    """A pod of one container; ``spec`` adds to its spec or replaces parts of it."""
    metadata = {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}
    return pykube.Pod(api, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod_spec(spec)})


def deployment(
    api: pykube.HTTPClient,
    name: str,
    *,
    namespace: str,
    replicas: int = 1,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> pykube.Deployment:
    """A Deployment; ``labels`` go on itself, ``annotations`` and ``spec`` on its pods."""
    return pykube.Deployment(
        api,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}, "annotations": dict(annotations or {})},
                    "spec": _pod_spec(spec),
                },
            },
        },
    )


def job(
    api: pykube.HTTPClient,
    name: str,
    *,
    namespace: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> pykube.Job:
    """A Job of one pod that is not tried again; ``labels`` go on itself, ``annotations`` and ``spec`` on its pods."""
    return pykube.Job(
        api,
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"labels": {"app": name}, "annotations": dict(annotations or {})},
                    "spec": {"restartPolicy": "Never", **_pod_spec(spec)},
                },
            },
        },
    )


def _pod_spec(more: Mapping[str, Any] | None) -> JSON:
    return {"containers": [{"name": "main", "image": "none"}], **(more or {})}
