"""How is the webhook configuration of the chart put in force, so that the next request is reviewed, and taken away?

The API server learns of a configuration by a watch, a moment after it was written. So one more entry is added to it
that refuses one object, which nobody else makes; as long as that object is accepted, the configuration does not hold
yet. A configuration is taken over as a whole.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from testbed import chart
from testbed.errors import KubectlFailed, NotReady
from testbed.kubectl import Kubectl

JSON = dict[str, Any]
NAME: Final = "bizrq"
_PROBE: Final = "testbed.bizrq.io/probe"
_NOWHERE: Final = "https://127.0.0.1:1/"  # nobody listens there, and what cannot be asked is refused
_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


def install(
    kubectl: Kubectl,
    url: str,
    authority: Path,
    *,
    namespace_selector: Mapping[str, Any] | None = None,
    scale_namespace_selector: Mapping[str, Any] | None = None,
    workloads: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Have the webhooks at ``url`` asked, and return when they are; again, with other values, is fine.

    The selectors are the chart's two, None for its own defaults; ``workloads`` are descriptions of kinds beside those
    that it knows. Raises HelmFailed, KubectlFailed, NotReady.
    """
    values = {
        "url": url,
        "caBundle": base64.b64encode(authority.read_bytes()).decode(),
        "namespaceSelector": dict(namespace_selector or {}),
        "scale": {"namespaceSelector": dict(scale_namespace_selector or {})},
    }
    made = chart.configuration({"webhook": values, "workloads": [*workloads]})
    nonce = secrets.token_hex(8)
    made["webhooks"].append(_entry(nonce))
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(made))
    _wait(kubectl, nonce, refused=True)


def uninstall(kubectl: Kubectl) -> None:
    """Have nobody asked any more, and return when it is so; again is fine. Raises KubectlFailed, NotReady."""
    text = kubectl("get", "validatingwebhookconfigurations", "--output=json")
    found = next((item for item in json.loads(text)["items"] if item["metadata"]["name"] == NAME), None)
    if not found:
        return
    kubectl("delete", "validatingwebhookconfigurations", NAME, "--ignore-not-found")
    for entry in found["webhooks"]:
        if nonce := (entry.get("objectSelector") or {}).get("matchLabels", {}).get(_PROBE):
            _wait(kubectl, nonce, refused=False)


def _entry(nonce: str) -> JSON:
    return {
        "name": "probe.testbed.bizrq.io",
        "clientConfig": {"url": _NOWHERE},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}],
        "objectSelector": {"matchLabels": {_PROBE: nonce}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }


def _wait(kubectl: Kubectl, nonce: str, *, refused: bool) -> None:
    """Raises NotReady where the probe is not ``refused``, or still is, after a while."""
    deadline = time.monotonic() + _SECONDS
    while _is_refused(kubectl, nonce) != refused:
        if time.monotonic() > deadline:
            raise NotReady(
                f"the webhook configuration is not {'in force' if refused else 'gone'} after {_SECONDS:.0f} s"
            )
        time.sleep(_POLL_SECONDS)


def _is_refused(kubectl: Kubectl, nonce: str) -> bool:
    metadata = {"generateName": "probe-", "namespace": "default", "labels": {_PROBE: nonce}}
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    try:
        kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(probe))
    except KubectlFailed as error:
        if "probe.testbed.bizrq.io" not in str(error):
            raise
        return True
    return False
