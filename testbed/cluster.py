"""How does a test get a cluster?

with Cluster(nodes=2) as cluster:
    cluster.kubectl("get", "nodes")
    operator = cluster.start_operator(["--resync-seconds=5"])
    operator.kill9()
    with cluster.start_webhooks(count=2) as webhooks:
        webhooks.install()
        webhooks.replicas[0].kill9()
        webhooks.restart(0)
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from testbed import audit, bed, control, metrics, node_agent, operator_process, servers, webhooks
from testbed.errors import KubectlFailed
from testbed.kubectl import Kubectl
from testbed.nodes import DEFAULT_NODES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from testbed.node_agent import NodeAgent
    from testbed.operator_process import Operator
    from testbed.webhooks import Webhooks

_OPERATOR, _API_SERVER, _AGENT = "operator", "apiserver", "node-agent"


class Cluster:
    """A test bed that ends with this process at the latest. Start it by ``start`` or as a context manager."""

    def __init__(
        self,
        state: Path | None = None,
        *,
        nodes: int = DEFAULT_NODES,
        pieces: Sequence[str] = (),
        operator_args: Sequence[str] = (),
        webhook_args: Sequence[str] = (),
        images: Mapping[str, Path] | None = None,
        durable: bool = False,
        audited: bool = False,
        owner: int | None = None,
    ) -> None:
        """``state`` is a folder of its own, a temporary one by default; ``pieces`` is what ``--with`` takes.

        ``images`` is for the piece ``agent``: the folder of each image; by default every tag is this checkout's own.
        ``owner`` is the process that it must not outlive, this one by default.
        """
        self._state = state
        self._nodes = nodes
        self._pieces = pieces
        self._operator_args = operator_args
        self._webhook_args = webhook_args
        self._images = images
        self._durable, self._audited = durable, audited
        self._owner = owner or os.getpid()
        self._operators = 0
        self.description: dict[str, Any] = {}
        """The JSON that ``python -m testbed up`` prints; empty while it does not run."""

    def start(self) -> Self:
        """Bring it up; raises BedError."""
        state = self._state or Path(tempfile.mkdtemp(prefix="bizrq-testbed-"))
        self.description = bed.up(
            state,
            count=self._nodes,
            owner=self._owner,
            durable=self._durable,
            audited=self._audited,
            pieces=self._pieces,
            operator_args=self._operator_args,
            webhook_args=self._webhook_args,
            images=self._images,
        )
        self._operators = int(_OPERATOR in self._pieces)
        return self

    def stop(self, *, keep_logs: bool = False) -> None:
        """End everything and delete its files; again is fine."""
        if self.description:
            bed.down(self.state, keep_logs=keep_logs)
            self.description = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def state(self) -> Path:
        """Its folder."""
        return Path(self.description["state"])

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self.description["server"])

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return Path(self.description["kubeconfig"])

    @property
    def kubeconfigs(self) -> dict[str, Path]:
        """The kubeconfig of each identity: admin, alice, bob, carol, bizrq-controller, ..."""
        return {name: Path(path) for name, path in self.description["kubeconfigs"].items()}

    def audit(self) -> list[dict[str, Any]]:
        """What bizrq has asked the API server for until now, where the test bed is ``audited``: see `testbed.audit`."""
        return list(audit.read(self.state))

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each server that runs now, and of the supervisor."""
        shown = control.ask(self.state, do="show")
        running = {name: one["pid"] for name, one in shown["processes"].items() if one["exit"] is None}
        return {"supervisor": shown["supervisor"]["pid"], **running}

    @property
    def kubectl(self) -> Kubectl:
        """Its kubectl: ``cluster.kubectl("get", "nodes", user="alice")``, or the path of the program."""
        return Kubectl(Path(self.description["kubectl"]), self.kubeconfigs, self.state / "kubectl-cache")

    def kill_api_server(self) -> None:
        """End the API server at once, start it anew on its old data, and wait until it answers."""
        shown = control.ask(self.state, do="show")["processes"][_API_SERVER]
        server = servers.Server(self.state, _API_SERVER, shown["pid"], Path(shown["log"]))
        server.kill9()
        server.start_again()
        servers.wait(self.state, "the API server", self._answers, "etcd", _API_SERVER)

    def _answers(self) -> bool:
        try:
            self.kubectl("get", "--raw=/readyz")
        except KubectlFailed:
            return False
        return True

    def start_operator(
        self,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        install: bool = True,
        lease_namespace: str = "",
    ) -> Operator:
        """Start one more controller process of this checkout and wait until it is ready.

        ``install`` applies CRDs and rights before. With a ``lease_namespace``, those that have the same one share a
        Lease, and one of them works; the chart gives a right on it in `identities.NAMESPACE`. Raises BedError.
        """
        if install:
            operator_process.install(self.kubectl)
        self._operators += 1
        name = _OPERATOR if self._operators == 1 else f"{_OPERATOR}-{self._operators}"
        lease = [f"--lease-namespace={lease_namespace}"] if lease_namespace else []
        identity = self.kubeconfigs[operator_process.CONTROLLER]
        return operator_process.start(self.state, identity, name, [*lease, *arguments], env)

    def start_webhooks(
        self,
        count: int = 2,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        install: bool = True,
    ) -> Webhooks:
        """Start so many webhook replicas of this checkout behind one address, and wait until they are ready.

        ``install`` applies CRDs and rights before. Nobody is asked before `Webhooks.install`; use the result as a
        context manager, or call its ``stop``, where the cluster goes on. Raises BedError.
        """
        if install:
            operator_process.install(self.kubectl)
        return webhooks.start(self.state, self.kubectl, count=count, arguments=arguments, env=env)

    def load_rules(self, text: str) -> None:
        """Have the Prometheus of the piece ``prometheus`` take these rules in place of those that are shipped."""
        metrics.load_rules(self.state, self.pids[metrics.PROMETHEUS], text)

    @property
    def agent(self) -> NodeAgent:
        """The node agent that the piece ``agent`` started."""
        shown = control.ask(self.state, do="show")["processes"][_AGENT]
        return node_agent.described(self.state, servers.Server(self.state, _AGENT, shown["pid"], Path(shown["log"])))

    @property
    def webhooks(self) -> Webhooks:
        """Those that the piece ``operator`` started."""
        return webhooks.described(self.state, self.kubectl, self.description["webhooks"])
