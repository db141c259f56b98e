"""How do Argo Rollouts and TFJobs come into a test bed?"""

from __future__ import annotations

import base64
import contextlib
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import build, servers
from testbed.errors import ProcessDied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.api import Api
    from testbed.kubectl import Kubectl

_ROLLOUTS_SPACE, _TRAINING_SPACE = "argo-rollouts", "kubeflow"
_SECRET = "training-operator-webhook-cert"  # noqa: S105  # its name
_SECRET_PATH = f"/api/v1/namespaces/{_TRAINING_SPACE}/secrets/{_SECRET}"
# The training operator does not begin before a file of this name is there; only its webhook server, which looks in
# TMPDIR, reads certificates.
_MARK = Path("/tmp/k8s-webhook-server/serving-certs/tls.crt")  # noqa: S108
_CERTS = "tmp/k8s-webhook-server/serving-certs"


def start_rollouts(state: Path, folder: Path, kubeconfig: Path, api: Api, kubectl: Kubectl) -> None:
    """Install the CRDs of Argo Rollouts and start its controller."""
    _make_administrator(api, _ROLLOUTS_SPACE, "argo-rollouts")
    _install(kubectl, folder / "rollouts-crds")
    servers.start_listening(
        state,
        "rollouts",
        lambda health, metrics: [
            str(folder / "rollouts-controller"),
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            f"--healthzPort={health}",
            f"--metricsPort={metrics}",
        ],
        count=2,
        ready=lambda health: servers.answers(health, "/healthz"),
    )


def start_tfjob(state: Path, folder: Path, kubeconfig: Path, api: Api, kubectl: Kubectl) -> None:
    """Install the CRDs of the Kubeflow training operator and start it for TFJobs.

    It insists on a webhook and makes the certificate for it. The API server does not know a service to reach it by, so
    the webhook here matches nothing: TFJobs are checked by their CRD alone.
    """
    _make_administrator(api, _TRAINING_SPACE, "training-operator")
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET}}, _TRAINING_SPACE)
    api.create(_idle_webhook())
    _install(kubectl, folder / "training-crds")

    def command(health: int, webhook: int) -> list[str]:
        return [
            str(folder / "training-operator"),
            "--enable-scheme=tfjob",
            "--metrics-bind-address=0",
            f"--health-probe-bind-address=127.0.0.1:{health}",
            f"--webhook-server-port={webhook}",
        ]

    def ready(health: int) -> bool:
        if _copy_certificate(api, state / _CERTS):
            mark()
        return servers.answers(health, "/readyz")

    def start() -> None:
        env = {"KUBECONFIG": str(kubeconfig), "MY_POD_NAMESPACE": _TRAINING_SPACE}
        servers.start_listening(state, "training-operator", command, count=2, ready=ready, env=env)

    with _mark() as mark:
        try:
            start()
        except ProcessDied:
            # Somebody else's mark was there, and it looked for its certificate before we had it; now we have.
            if not (state / _CERTS / "tls.key").exists():
                raise
            start()


def _make_administrator(api: Api, namespace: str, account: str) -> None:
    """A namespace, and all rights for a service account of it: what it may do is not what is tried here."""
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    rbac = "rbac.authorization.k8s.io"
    api.create(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"testbed:{account}"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }
    )


def _install(kubectl: Kubectl, crds: Path) -> None:
    kubectl("apply", "--server-side", f"--filename={crds}")
    kubectl("wait", "--for=condition=Established", "--timeout=60s", f"--filename={crds}")


def _idle_webhook() -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "validator.training-operator.kubeflow.org"},
        "webhooks": [
            {
                "name": "validator.tfjob.training-operator.kubeflow.org",
                "clientConfig": {"service": {"name": "training-operator", "namespace": _TRAINING_SPACE}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "rules": [],
            }
        ],
    }


def _copy_certificate(api: Api, folder: Path) -> bool:
    """Write what the operator put into its Secret to where it reads it; whether it is there."""
    data: Mapping[str, str] = api.get(_SECRET_PATH).get("data") or {}
    if "tls.key" not in data or "tls.crt" not in data:
        return False
    if not (folder / "tls.key").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in data.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(base64.b64decode(text))
    return True


class _Mark:
    """The file that lets a training operator begin; it is deleted if it was made here."""

    def __init__(self) -> None:
        self._made = False

    def __call__(self) -> None:
        if not _MARK.exists():
            _MARK.parent.mkdir(parents=True, exist_ok=True)
            _MARK.touch()
            self._made = True

    def remove(self) -> None:
        """Take it away, and the folders if they are empty then."""
        if self._made:
            _MARK.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                _MARK.parent.rmdir()
                _MARK.parent.parent.rmdir()


@contextlib.contextmanager
def _mark() -> Iterator[_Mark]:
    """Only one test bed at a time plays with the mark: its path is the same for the whole machine."""
    build.cache_folder().mkdir(parents=True, exist_ok=True)
    with (build.cache_folder() / "tfjob.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = _Mark()
        try:
            yield mark
        finally:
            mark.remove()
