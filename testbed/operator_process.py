"""How does the bizrq operator get into a test bed: its CRDs, its accounts and rights, its process?"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testbed import chart, identities, metrics, servers
from testbed.control import ROOT
from testbed.errors import BedError, NotAvailable
from testbed.identities import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.kubectl import Kubectl

CONTROLLER: Final = "bizrq-controller"  # its identity
GRACE_SECONDS: Final = 15.0  # it lets go of its lease and finishes open requests
_TOKEN_HOURS: Final = 365 * 24  # nobody renews it
_CRDS: Final = "crds/*.yaml"
_ENTRY: Final = ROOT / "operator" / "bizrq" / "__main__.py"


@dataclass(frozen=True, slots=True)
class Operator(servers.Server):
    """A controller process of this checkout."""

    metrics_url: str


def install(kubectl: Kubectl, workloads: Sequence[Mapping[str, Any]] = ()) -> None:
    """Apply the CRDs, the accounts and the rights that the chart gives them, as administrator; again is fine.

    The API server gives each account a token, as it gives one to a pod; what runs keeps the one that it has.

    ``workloads`` are descriptions of kinds, as the chart's value of that name.

    Raises NotAvailable if the checkout has none, HelmFailed, KubectlFailed.
    """
    crds = [f"--filename={file}" for file in sorted(ROOT.glob(_CRDS))]
    if not crds:
        raise NotAvailable(f"this checkout has no {_CRDS}: the operator cannot be installed")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    accounts = [_account(each.name) for each in identities.ACCOUNTS]
    objects = {"apiVersion": "v1", "kind": "List", "items": [namespace, *accounts, *chart.rights(workloads)]}
    kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(objects))
    kubectl("apply", "--server-side", *crds)
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *crds)
    for each in identities.ACCOUNTS:
        token = kubectl("create", "token", each.name, f"--namespace={NAMESPACE}", f"--duration={_TOKEN_HOURS}h")
        identities.write_account(kubectl.kubeconfigs, each.name, token.strip())


def _account(name: str) -> dict[str, Any]:
    """A service account, in case that the chart makes none for processes that run outside of the cluster."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}


def command() -> list[str]:
    """How ``bizrq`` of this checkout is run. Raises NotAvailable if there is none."""
    if not _ENTRY.exists():
        raise NotAvailable(f"this checkout has no {_ENTRY.relative_to(ROOT)}: there is no operator to start")
    return [sys.executable, "-m", "bizrq"]


def environment(kubeconfig: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What ``bizrq`` finds in its environment: ours, and ``env`` in place of it."""
    paths = [str(ROOT / "operator"), os.environ.get("PYTHONPATH", "")]
    return {
        "BIZRQ_DRAIN_SECONDS": "0",  # in a test bed nobody goes on sending to a webhook that is told to end
        **os.environ,  # it is the checkout's code that is tried, and BIZRQ_ variables may be part of the trial
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "KUBECONFIG": str(kubeconfig),
        **(env or {}),
    }


def start(
    state: Path, kubeconfig: Path, name: str, arguments: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Operator:
    """Start a controller under its own identity and wait until it says that it is ready.

    Raises NotAvailable if the checkout has no operator, ProcessDied, NotReady; and BedError for the kubeconfig of
    anybody but bizrq: whoever tries it as administrator learns nothing of rights.
    """
    if (user := identities.user_of(kubeconfig)) not in {each.name for each in identities.ACCOUNTS}:
        raise BedError(f"{kubeconfig} is that of {user}: bizrq runs under its own accounts in a test bed")
    bizrq = command()
    server, port = servers.start_listening(
        state,
        name,
        lambda port: [*bizrq, "controller", f"--metrics-port={port}", *arguments],
        count=1,
        ready=lambda port: servers.answers(port, "/readyz"),
        env=environment(kubeconfig, env),
        grace=GRACE_SECONDS,
    )
    metrics.add_target(state, name, port)
    return Operator(server.state, server.name, server.pid, server.log, f"http://127.0.0.1:{port}/metrics")
