"""How does the bizrq operator get into a test bed: its CRDs, its rights, its process?"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import metrics, servers
from testbed.control import ROOT
from testbed.errors import NotAvailable
from testbed.identities import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.kubectl import Kubectl

_CRDS = "crds/*.yaml"
_RIGHTS = "charts/bizrq/templates/*controller-rbac*.yaml"
_ENTRY = ROOT / "operator" / "bizrq" / "__main__.py"
_GRACE_SECONDS = 15.0  # it lets go of its lease and finishes open requests


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
    command = (sys.executable, "-m", "bizrq", "controller")
    server, port = servers.start_listening(
        state,
        name,
        lambda port: [*command, f"--metrics-port={port}", *arguments],
        count=1,
        ready=lambda port: servers.answers(port, "/readyz"),
        env=environment,
        grace=_GRACE_SECONDS,
    )
    metrics.add_target(state, name, port)
    return Operator(server.state, server.name, server.pid, server.log, f"http://127.0.0.1:{port}/metrics")
