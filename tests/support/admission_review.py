"""Reviews as the API server sends them."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["make_review"]


def make_review(**changed: Any) -> bytes:
    """The body of the review of a new Deployment; ``changed`` are fields of its request, None to leave one out."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "web",
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "alice", "groups": ["system:authenticated"], "extra": {"scopes": ["a", "b"]}},
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}},
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    } | changed
    request = {name: value for name, value in request.items() if value is not None or name == "oldObject"}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
