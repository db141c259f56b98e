"""How does the bizrq operator get into a test bed: its CRDs, its rights, its process?"""

from __future__ import annotations

import http.client
import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from testbed import ports, servers
from testbed.control import ROOT
from testbed.errors import NotAvailable, ProcessDied
from testbed.identities import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.kubectl import Kubectl

_CRDS = "crds/*.yaml"
_RIGHTS = "charts/bizrq/templates/*controller-rbac*.yaml"
_ENTRY = ROOT / "operator" / "bizrq" / "__main__.py"
_GRACE_SECONDS = 15.0  # it lets go of its lease and finishes open requests
_HTTP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Operator(servers.Server):
    """A controller process of this checkout."""

    metrics_url: str


def install(kubectl: Kubectl) -> None:
    """Apply the CRDs and the controller's rights as administrator; again is fine.

    Raises NotAvailable if the checkout has none.
    """
    crds, rights = _files(_CRDS), _files(_RIGHTS)
    kubectl(
        "apply",
        "--server-side",
        "-f",
        "-",
        stdin=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}",
    )
    kubectl("apply", "--server-side", *(f"--filename={file}" for file in (*crds, *rights)))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"--filename={file}" for file in crds))


def _files(pattern: str) -> list[Path]:
    files = sorted(ROOT.glob(pattern))
    if not files:
        raise NotAvailable(f"this checkout has no {pattern}: the operator cannot be installed")
    for file in files:
        if "{{" in file.read_text(encoding="utf-8"):
            raise NotAvailable(f"{file.relative_to(ROOT)} has template directives, and can only be applied by helm")
    return files


def start(
    state: Path, kubeconfig: Path, name: str, arguments: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Operator:
    """Start a controller under its own identity and wait until it says that it is ready.

    Raises NotAvailable if the checkout has no operator, ProcessDied, NotReady.
    """
    if not _ENTRY.exists():
        raise NotAvailable(f"this checkout has no {_ENTRY.relative_to(ROOT)}: there is no operator to start")
    paths = [str(ROOT / "operator"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,  # it is the checkout's code that is tried, and BIZRQ_ variables may be part of the trial
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "KUBECONFIG": str(kubeconfig),
        **(env or {}),
    }
    attempt = 1
    while True:
        port = ports.free_port()
        argv = [sys.executable, "-m", "bizrq", "controller", f"--metrics-port={port}", *arguments]
        server = servers.start(state, name, argv, environment, grace=_GRACE_SECONDS)
        try:
            servers.wait(state, f"{name} to be ready", partial(_ready, port), name)
        except ProcessDied:
            if attempt == ports.TRIES or not ports.was_taken(server.log):
                raise
            attempt += 1
            continue
        return Operator(server.state, server.name, server.pid, server.log, f"http://127.0.0.1:{port}/metrics")


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
