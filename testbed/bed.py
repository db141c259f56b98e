"""In which order is a test bed brought up, taken down, and asked how it is?"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import (
    audit,
    build,
    control,
    controlplane,
    identities,
    image,
    metrics,
    node_agent,
    nodes,
    operator_process,
    ports,
    servers,
    statefolder,
    webhooks,
    workload_controllers,
)
from testbed.api import Api
from testbed.errors import BedError, NotRunning, ProcessDied
from testbed.kubectl import Kubectl
from testbed.parts import BASE, PARTS
from testbed.processes import Proc
from testbed.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
_DOWN_SECONDS = 60.0
_POLL_SECONDS = 0.05
_PIECES_PARTS = {
    "rollouts": "rollouts",
    "tfjob": "training",
    "prometheus": "prometheus",
    "agent": None,
    "operator": None,
}
PIECES = tuple(_PIECES_PARTS)
_STAGE_CRD = "stages.kwok.x-k8s.io"


@dataclass(slots=True)
class Bed:
    """A test bed while it is brought up, and what is known of it then."""

    state: Path
    folders: Mapping[str, Path]
    progress: Progress
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    kubeconfigs: dict[str, Path] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)  # what further pieces add to the description

    def program(self, part: str, name: str) -> Path:
        """The path of a program."""
        return self.folders[part] / name

    def api(self) -> Api:
        """A connection as administrator; the caller closes it."""
        return Api(self.port, self.state / controlplane.AUTHORITY, self.tokens[identities.ADMIN])

    def kubectl(self) -> Kubectl:
        """Its kubectl."""
        return Kubectl(self.program("kubernetes", "kubectl"), self.kubeconfigs, self.state / "kubectl-cache")

    def describe(self) -> dict[str, Any]:
        """What ``up`` prints."""
        shown = control.ask(self.state, do="show")
        processes = shown["processes"]
        return {
            "state": str(self.state),
            "server": f"https://127.0.0.1:{self.port}",
            "kubeconfig": str(self.kubeconfigs[identities.ADMIN]),
            "kubectl": str(self.program("kubernetes", "kubectl")),
            "kubeconfigs": {name: str(path) for name, path in self.kubeconfigs.items()},
            "pids": {"supervisor": shown["supervisor"]["pid"]} | {name: one["pid"] for name, one in processes.items()},
            "logs": {"supervisor": str(self.state / statefolder.LOGS / "supervisor.log")}
            | {name: one["log"] for name, one in processes.items()},
            **self.more,
        }


def up(
    state: Path,
    *,
    count: int = nodes.DEFAULT_NODES,
    pieces: Sequence[str] = (),
    operator_args: Sequence[str] = (),
    webhook_args: Sequence[str] = (),
    images: Mapping[str, Path] | None = None,
    owner: int | None = None,
    durable: bool = False,
    audited: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring up a test bed and return its description, the line that the command prints.

    ``pieces`` is what runs beside the control plane, of PIECES; ``owner`` is the process that it must not outlive;
    ``durable`` makes etcd sync to disk; ``audited`` writes down what bizrq asks for: see `audit`. ``images`` is for the
    agent: the folder of each image; None: an image of this checkout. Raises BedError; nothing runs then.
    """
    progress = progress or Progress()
    start = time.monotonic()
    for piece in pieces:
        if piece not in PIECES:
            raise BedError(f"no such piece: {piece}; there are {', '.join(PIECES)}")
    if owner is not None and Proc.of(owner) is None:
        raise BedError(f"the owner, process {owner}, does not run")
    more = [PARTS[part] for piece in pieces if (part := _PIECES_PARTS[piece])]
    folders = build.ensure([*BASE, *more], progress)
    state = state.absolute()
    control.start_supervisor(state, os.getpid())
    try:
        bed = Bed(state, folders, progress)
        _start_api_server(bed, durable=durable, audited=audited)
        _start_controllers(bed, count)
        _start_agent(bed, pieces, images)
        _start_pieces(bed, pieces, operator_args, webhook_args)
        description = bed.describe()
        statefolder.write_json(state / statefolder.DESCRIPTION, description)
        control.ask(state, do="own", pid=owner)
    except BaseException:
        down(state, keep_logs=True)
        raise
    progress.say(f"test bed on {state} up in {time.monotonic() - start:.1f} s: {description['server']}")
    return description


def _start_api_server(bed: Bed, *, durable: bool, audited: bool) -> None:
    state = bed.state
    bed.tokens = identities.make_tokens(state)
    servers.start(state, "etcd", controlplane.etcd(bed.program("etcd", "etcd"), durable=durable))
    program = bed.program("kubernetes", "kube-apiserver")
    more = audit.switch_on(state) if audited else []
    attempt = 1
    while True:
        bed.port = ports.free_port()
        server = servers.start(state, "apiserver", controlplane.apiserver(program, bed.port, identities.TOKENS, more))
        try:
            _wait_for_api_server(bed)
            break
        except ProcessDied:
            if attempt == ports.TRIES or not ports.was_taken(server.log):
                raise
        bed.progress.say(f"port {bed.port} was taken meanwhile: trying another one")
        attempt += 1
    authority = state / controlplane.AUTHORITY
    bed.kubeconfigs = identities.write_kubeconfigs(state, f"https://127.0.0.1:{bed.port}", authority, bed.tokens)


def _wait_for_api_server(bed: Bed) -> None:
    both = ("etcd", "apiserver")
    servers.wait(
        bed.state, "the API server's certificate", partial(_is_written, bed.state / controlplane.AUTHORITY), *both
    )
    api = bed.api()
    try:
        servers.wait(bed.state, "the API server", api.ready, *both)
    finally:
        api.close()


def _is_written(certificate: Path) -> bool:
    """Whether it is there to its end: the API server creates the file, and writes it then."""
    return certificate.exists() and certificate.read_text(encoding="ascii").rstrip().endswith(
        "-----END CERTIFICATE-----"
    )


def _start_controllers(bed: Bed, count: int) -> None:
    state, files, kubernetes, kwok = bed.state, bed.kubeconfigs, bed.folders["kubernetes"], bed.folders["kwok"]
    manager = controlplane.controller_manager(kubernetes / "kube-controller-manager", files["controller-manager"])
    servers.start(state, "controller-manager", manager)
    servers.start(state, "scheduler", controlplane.scheduler(kubernetes / "kube-scheduler", files["scheduler"]))
    api = bed.api()
    try:
        for value in nodes.documents(*_yaml(kwok / "kwok-crds"), HERE / "manifests" / "kwok-rbac.yaml"):
            api.create(value)
        servers.wait(state, "kwok's CRD", lambda: nodes.established(api, _STAGE_CRD), "apiserver")
        for value in nodes.documents(*_yaml(kwok / "kwok-stages"), *_yaml(HERE / "stages")):
            api.create(value)
        servers.start(state, "kwok", controlplane.kwok(kwok / "kwok", files["kwok"]))
        for number in range(count):
            api.create(nodes.node(number))
        everyone = ("etcd", "apiserver", "controller-manager", "scheduler", "kwok")
        servers.wait(state, f"{count} nodes", lambda: nodes.usable(api, count), *everyone)
    finally:
        api.close()


def _start_agent(bed: Bed, pieces: Sequence[str], images: Mapping[str, Path] | None) -> None:
    """Before what runs on its node."""
    if "agent" not in pieces:
        return
    known = {image.REFERENCES: image.ensure(bed.progress)} if images is None else images
    api = bed.api()
    try:
        node_agent.start(bed.state, f"https://127.0.0.1:{bed.port}", bed.tokens[node_agent.IDENTITY], api, known)
    finally:
        api.close()


def _start_pieces(bed: Bed, pieces: Sequence[str], operator_args: Sequence[str], webhook_args: Sequence[str]) -> None:
    """The operator last, so that it is stopped first and finds the kinds that it counts."""
    state, files, kubectl = bed.state, bed.kubeconfigs, bed.kubectl()
    api = bed.api()
    try:
        if "rollouts" in pieces:
            workload_controllers.start_rollouts(state, bed.folders["rollouts"], files["rollouts"], api, kubectl)
        if "tfjob" in pieces:
            workload_controllers.start_tfjob(state, bed.folders["training"], files["training-operator"], api, kubectl)
        if "prometheus" in pieces:
            bed.more["prometheus_url"] = metrics.start_prometheus(state, bed.program("prometheus", "prometheus"))
        if "operator" in pieces:
            operator_process.install(kubectl)
            replicas = webhooks.start(state, kubectl, arguments=webhook_args)
            replicas.install()
            bed.more["webhooks"] = replicas.describe()
            operator = operator_process.start(state, files[operator_process.CONTROLLER], "operator", operator_args)
            bed.more["metrics_url"] = operator.metrics_url
    finally:
        api.close()


def _yaml(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def down(state: Path, *, keep_logs: bool = False) -> bool:
    """End what the test bed on this folder started, and nothing else, and delete its files; whether there was one."""
    state = state.absolute()
    known = statefolder.read_json(state / statefolder.STATE)
    if known is None:
        return False
    supervisor = _proc(known["supervisor"])
    if not supervisor.end(signal.SIGTERM, _DOWN_SECONDS):
        supervisor.end(signal.SIGKILL, _DOWN_SECONDS)
    known = statefolder.read_json(state / statefolder.STATE) or known  # it may have started more meanwhile
    for process in known["processes"].values():  # gone already, unless the supervisor was killed in a bad moment
        _proc(process).end(signal.SIGKILL, _DOWN_SECONDS)
    try:
        lock = _wait_for_lock(state)
    except FileNotFoundError:  # somebody else's ``down`` was faster
        return True
    try:
        statefolder.clean(state, keep=frozenset({statefolder.LOGS}) if keep_logs else frozenset())
    finally:
        os.close(lock)
    return True


def _wait_for_lock(state: Path) -> int:
    deadline = time.monotonic() + _DOWN_SECONDS
    while (lock := statefolder.take_lock(state)) is None:
        if time.monotonic() > deadline:
            raise BedError(f"{state}: its supervisor is gone, but something holds its lock")
        time.sleep(_POLL_SECONDS)
    return lock


def _proc(value: Mapping[str, Any]) -> Proc:
    return Proc(value["pid"], value["started"])


def describe(state: Path) -> dict[str, Any]:
    """The description of the test bed on this folder; raises NotRunning if there is none that came up."""
    description = statefolder.read_json(state.absolute() / statefolder.DESCRIPTION)
    if description is None:
        raise NotRunning(f"no test bed on {state}")
    return description


def status(state: Path) -> list[dict[str, Any]]:
    """Each process: name, pid, whether alive, uptime in seconds, log, and a note on how it ended.

    Works on what is written down, so also when the supervisor is gone. Raises NotRunning if nothing is.
    """
    known = statefolder.read_json(state.absolute() / statefolder.STATE)
    if known is None:
        raise NotRunning(f"no test bed on {state}")
    logs = state.absolute() / statefolder.LOGS
    rows = [
        {"name": "supervisor", **known["supervisor"], "log": str(logs / "supervisor.log"), "note": known["stopped"]}
    ]
    for name, process in known["processes"].items():
        note = "" if process["exit"] is None else f"ended with {process['exit']}"
        rows.append({"name": name, **process, "note": note + (", unexpectedly" if process["unexpected"] else "")})
    now = time.time()
    for row in rows:
        row["alive"] = _proc(row).alive()
        row["uptime"] = now - row["since"] if row["alive"] and "since" in row else None
    return rows
