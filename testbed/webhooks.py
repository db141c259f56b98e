"""How do webhook replicas of bizrq get into a test bed, and how does the API server reach them at one address?

Each replica is a process with ports of its own, which it keeps when it is started again. In front of them stands a
balancer, as a Service would in a cluster; its address is what the webhook configuration names.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from testbed import admission, certificates, control, metrics, operator_process, ports, servers, statefolder
from testbed.errors import ProcessDied
from testbed.kubectl import Kubectl

JSON = dict[str, Any]
_IDENTITY: Final = "bizrq-webhook"
_TOKEN: Final = "token"  # noqa: S105  # a file
_TOKEN_BYTES: Final = 32
_CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Webhook(servers.Server):
    """One webhook process of this checkout."""

    port: int
    metrics_port: int

    @property
    def metrics_url(self) -> str:
        """Where its metrics are."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"


@dataclass(slots=True)
class Webhooks:
    """Replicas, and the balancer before them. As a context manager it is stopped in the end."""

    state: Path
    kubectl: Kubectl
    folder: Path
    """Holds the token and the certificates."""
    arguments: tuple[str, ...]
    env: Mapping[str, str] | None
    replicas: list[Webhook]
    """In the order of their names; a replica that is started again takes the place of the old one."""
    balancer: servers.Server
    address: str
    """That of the balancer, https://127.0.0.1:PORT."""

    @property
    def token(self) -> str:
        """What every path begins with."""
        return (self.folder / _TOKEN).read_text(encoding="ascii")

    @property
    def url(self) -> str:
        """Their address with the token; behind it comes a route, such as ``/workloads``."""
        return f"{self.address}/{self.token}"

    @property
    def authority(self) -> Path:
        """The certificate of who signed theirs, as PEM."""
        return self.folder / certificates.AUTHORITY

    def install(
        self,
        *,
        namespace_selector: Mapping[str, Any] | None = None,
        scale_namespace_selector: Mapping[str, Any] | None = None,
        workloads: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Have the API server ask them, by the chart's configuration, and return when it does; again is fine.

        The selectors limit workloads and scaling to some namespaces; bizrqs have none and are always reviewed. There is
        one configuration in a cluster: it replaces that of other webhooks. Raises HelmFailed, KubectlFailed, NotReady.
        """
        admission.install(
            self.kubectl,
            self.url,
            self.authority,
            namespace_selector=namespace_selector,
            scale_namespace_selector=scale_namespace_selector,
            workloads=workloads,
        )

    def uninstall(self) -> None:
        """Have nobody asked any more; again is fine. Raises KubectlFailed, NotReady."""
        admission.uninstall(self.kubectl)

    def restart(self, index: int) -> Webhook:
        """Start a replica that has ended once more, on the ports it had, and wait until it is ready.

        Raises BedError if it still runs, ProcessDied, NotReady.
        """
        old = self.replicas[index]
        argv = _argv(self.folder, self.arguments, old.metrics_port, old.port)
        attempt = 1
        while True:
            server = servers.start(
                self.state, old.name, argv, self._environment(), grace=operator_process.GRACE_SECONDS
            )
            try:
                servers.wait(self.state, f"{old.name} to be ready", partial(_is_ready, old.metrics_port), old.name)
                break
            except ProcessDied:
                # Somebody's connection may have got the port as its own end; it will not have it for long.
                if attempt == ports.TRIES or not ports.was_taken(server.log):
                    raise
                attempt += 1
        self.replicas[index] = _webhook(server, old.metrics_port, old.port)
        return self.replicas[index]

    def stop(self) -> None:
        """Have nobody asked any more, and end all of them; again is fine."""
        try:
            self.uninstall()
        finally:
            for server in (*self.replicas, self.balancer):
                server.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        return operator_process.environment(self.kubectl.kubeconfigs[_IDENTITY], self.env)

    def describe(self) -> JSON:
        """What ``up`` prints of them. The token is a secret, so only its file is named."""
        return {
            "address": self.address,
            "token_file": str(self.folder / _TOKEN),
            "authority": str(self.authority),
            "arguments": list(self.arguments),
            "balancer": self.balancer.name,
            "replicas": [
                {"name": one.name, "pid": one.pid, "port": one.port, "metrics_port": one.metrics_port}
                | {"metrics_url": one.metrics_url}
                for one in self.replicas
            ],
        }


def start(
    state: Path,
    kubectl: Kubectl,
    *,
    count: int = 2,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Webhooks:
    """Start so many replicas under their own identity, and a balancer, and wait until all are ready.

    CRDs and rights must be there. Nobody is asked yet: see `Webhooks.install`. Raises NotAvailable, ProcessDied,
    NotReady; nothing of it runs then.
    """
    used = len(list((state / statefolder.WEBHOOKS).iterdir()))
    folder = state / statefolder.WEBHOOKS / str(used + 1)
    folder.mkdir()
    certificates.make(folder)
    statefolder.write_private(folder / _TOKEN, secrets.token_urlsafe(_TOKEN_BYTES))
    environment = operator_process.environment(kubectl.kubeconfigs[_IDENTITY], env)
    with contextlib.ExitStack() as failed:
        replicas = []
        for name in _names(state, "webhook", count):
            replica = _start_replica(state, name, folder, arguments, environment)
            failed.callback(replica.kill9)
            metrics.add_target(state, name, replica.metrics_port)
            replicas.append(replica)
        (name,) = _names(state, "balancer", 1)
        targets = [str(one.port) for one in replicas]
        balancer, port = servers.start_listening(
            state,
            name,
            lambda port: [sys.executable, "-m", "testbed.balancer", str(port), *targets],
            count=1,
            ready=_listens,
            env={"PYTHONPATH": str(control.ROOT)},
        )
        failed.pop_all()
    address = f"https://127.0.0.1:{port}"
    return Webhooks(state, kubectl, folder, tuple(arguments), env, replicas, balancer, address)


def described(state: Path, kubectl: Kubectl, description: Mapping[str, Any]) -> Webhooks:
    """The webhooks that were described so."""
    shown = control.ask(state, do="show")["processes"]

    def server(name: str) -> servers.Server:
        return servers.Server(state, name, shown[name]["pid"], Path(shown[name]["log"]))

    replicas = [_webhook(server(one["name"]), one["metrics_port"], one["port"]) for one in description["replicas"]]
    folder = Path(description["token_file"]).parent
    arguments = tuple(description["arguments"])
    balancer = server(description["balancer"])
    return Webhooks(state, kubectl, folder, arguments, None, replicas, balancer, description["address"])


def _names(state: Path, what: str, count: int) -> list[str]:
    """So many names that no process of the test bed has or had: what has ended is still shown, and has its log."""
    known = control.ask(state, do="show")["processes"]
    used = sum(name.startswith(f"{what}-") for name in known)
    return [f"{what}-{used + number}" for number in range(1, count + 1)]


def _start_replica(
    state: Path, name: str, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Webhook:
    chosen = (0, 0)

    def argv(metrics_port: int, port: int) -> list[str]:
        nonlocal chosen
        chosen = (metrics_port, port)
        return _argv(folder, arguments, metrics_port, port)

    server, _ = servers.start_listening(
        state, name, argv, count=2, ready=_is_ready, env=environment, grace=operator_process.GRACE_SECONDS
    )
    return _webhook(server, *chosen)


def _argv(folder: Path, arguments: Sequence[str], metrics_port: int, port: int) -> list[str]:
    return [
        *operator_process.command(),
        "webhook",
        f"--port={port}",
        f"--cert-file={folder / certificates.CERTIFICATE}",
        f"--key-file={folder / certificates.KEY}",
        f"--path-token-file={folder / _TOKEN}",
        f"--metrics-port={metrics_port}",
        *arguments,
    ]


def _webhook(server: servers.Server, metrics_port: int, port: int) -> Webhook:
    return Webhook(server.state, server.name, server.pid, server.log, port, metrics_port)


def _is_ready(metrics_port: int) -> bool:
    return servers.answers(metrics_port, "/readyz")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
