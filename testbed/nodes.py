"""Which nodes are there, what do they do with pods, and when can they be used?"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.api import Api

DEFAULT_NODES = 4
_FIRST_ADDRESS = IPv4Address("10.32.0.1")
_SIZE = {"cpu": "64", "memory": "256Gi", "pods": "250", "nvidia.com/gpu": "8"}


def node(number: int) -> dict[str, Any]:
    """A node as kwok wants it."""
    name = f"node-{number}"
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {
            "capacity": _SIZE,
            "allocatable": _SIZE,
            "addresses": [
                {"type": "InternalIP", "address": str(_FIRST_ADDRESS + number)},
                {"type": "Hostname", "address": name},
            ],
        },
    }


def documents(*files: Path) -> Iterator[dict[str, Any]]:
    """The objects in YAML files, in order."""
    for file in files:
        for document in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader):
            if document:
                yield document


def established(api: Api, name: str) -> bool:
    """Whether a custom resource is served."""
    crd = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    return bool(crd) and _condition(crd, "Established")


def usable(api: Api, count: int) -> bool:
    """Whether ``count`` nodes are ready and open to pods, and pods can be made in the default namespace."""
    nodes = (api.get("/api/v1/nodes") or {}).get("items", ())
    open_nodes = [one for one in nodes if _condition(one, "Ready") and not one["spec"].get("taints")]
    return len(open_nodes) >= count and bool(api.get("/api/v1/namespaces/default/serviceaccounts/default"))


def _condition(value: dict[str, Any], kind: str) -> bool:
    conditions = value.get("status", {}).get("conditions") or ()  # null in the first moment
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)
