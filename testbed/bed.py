"""In which order is a test bed brought up, taken down, and asked how it is?"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import build, control, controlplane, identities, kubectl, nodes, ports, statefolder
from testbed.api import Api
from testbed.errors import BedError, NotReady, NotRunning, ProcessDied
from testbed.parts import BASE
from testbed.processes import Proc
from testbed.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).resolve().parent
_POLL_SECONDS = 0.05
READY_SECONDS = 120.0  # 5 s on 2 idle cores; a busy CI machine may need many times that
_DOWN_SECONDS = 60.0
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

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Have the supervisor start a server. It sees little of our environment, so that it behaves alike everywhere."""
        clean = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.state / "home"),
            "TMPDIR": str(self.state / "tmp"),
        }
        control.ask(self.state, do="start", name=name, argv=list(argv), env={**clean, **(env or {})})

    def wait(self, what: str, ready: Callable[[], bool], *servers: str, seconds: float = READY_SECONDS) -> None:
        """Poll until ``ready``; raises ProcessDied if one of the servers ends before, NotReady in the end."""
        deadline = time.monotonic() + seconds
        while not ready():
            shown = control.ask(self.state, do="show")["processes"]
            for server in servers:
                if shown[server]["exit"] is not None:
                    log = Path(shown[server]["log"])
                    raise ProcessDied(f"{server} ended ({shown[server]['exit']}) while waiting for {what}:\n"
                                      f"{statefolder.last_lines(log)}\nlog: {log}")  # fmt: skip
            if time.monotonic() > deadline:
                raise NotReady(f"{what}: not within {seconds:.0f} s; logs: {self.state / statefolder.LOGS}")
            time.sleep(_POLL_SECONDS)

    def api(self) -> Api:
        """A connection as administrator; the caller closes it."""
        return Api(self.port, self.state / controlplane.AUTHORITY, self.tokens[identities.ADMIN])

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator."""
        return kubectl.run(
            self.program("kubernetes", "kubectl"), self.kubeconfigs[identities.ADMIN], self.state / "kubectl-cache",
            *arguments, stdin=stdin,
        )  # fmt: skip

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
            "logs": {name: one["log"] for name, one in processes.items()},
            **self.more,
        }


def up(
    state: Path,
    *,
    count: int = nodes.DEFAULT_NODES,
    owner: int | None = None,
    durable: bool = False,
    more: Sequence[Callable[[Bed], None]] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring up a test bed and return its description, the line that the command prints.

    ``owner`` is the process that it must not outlive; ``durable`` makes etcd sync to disk; ``more`` brings up further
    pieces. Raises BedError; nothing runs then.
    """
    progress = progress or Progress()
    start = time.monotonic()
    if owner is not None and Proc.of(owner) is None:
        raise BedError(f"the owner, process {owner}, does not run")
    folders = build.ensure(BASE, progress)
    state = state.absolute()
    control.start_supervisor(state, os.getpid())
    try:
        bed = Bed(state, folders, progress)
        _start_api_server(bed, durable=durable)
        _start_controllers(bed, count)
        for bring_up in more:
            bring_up(bed)
        description = bed.describe()
        statefolder.write_json(state / statefolder.DESCRIPTION, description)
        control.ask(state, do="own", pid=owner)
    except BaseException:
        down(state, keep_logs=True)
        raise
    progress.say(f"test bed on {state} up in {time.monotonic() - start:.1f} s: {description['server']}")
    return description


def _start_api_server(bed: Bed, *, durable: bool) -> None:
    bed.tokens = identities.make_tokens(bed.state)
    bed.start("etcd", controlplane.etcd(bed.program("etcd", "etcd"), durable=durable))
    program = bed.program("kubernetes", "kube-apiserver")
    for attempt in range(1, ports.TRIES + 1):
        bed.port = ports.free_port()
        bed.start("apiserver", controlplane.apiserver(program, bed.port, identities.TOKENS))
        try:
            bed.wait("the API server's certificate", (bed.state / controlplane.AUTHORITY).exists, "etcd", "apiserver")
            api = bed.api()
            try:
                bed.wait("the API server", api.ready, "etcd", "apiserver")
            finally:
                api.close()
            break
        except ProcessDied:
            if attempt == ports.TRIES or not ports.was_taken(bed.state / statefolder.LOGS / "apiserver.log"):
                raise
            bed.progress.say(f"port {bed.port} was taken meanwhile: trying another one")
    bed.kubeconfigs = identities.write_kubeconfigs(
        bed.state, f"https://127.0.0.1:{bed.port}", bed.state / controlplane.AUTHORITY, bed.tokens
    )


def _start_controllers(bed: Bed, count: int) -> None:
    kubernetes = bed.folders["kubernetes"]
    files = bed.kubeconfigs
    bed.start("controller-manager",
              controlplane.controller_manager(kubernetes / "kube-controller-manager", files["controller-manager"]))  # fmt: skip
    bed.start("scheduler", controlplane.scheduler(kubernetes / "kube-scheduler", files["scheduler"]))
    api = bed.api()
    try:
        kwok = bed.folders["kwok"]
        for value in nodes.documents(*sorted((kwok / "kwok-crds").glob("*.yaml")), HERE / "manifests" / "kwok-rbac.yaml"):
            api.create(value)
        bed.wait("kwok's custom resource", lambda: nodes.established(api, _STAGE_CRD), "apiserver")
        stages = (*sorted((kwok / "kwok-stages").glob("*.yaml")), *sorted((HERE / "stages").glob("*.yaml")))
        for value in nodes.documents(*stages):
            api.create(value)
        bed.start("kwok", controlplane.kwok(kwok / "kwok", files["kwok"]))
        for number in range(count):
            api.create(nodes.node(number))
        bed.wait(f"{count} nodes", lambda: nodes.usable(api, count), "apiserver", "controller-manager", "scheduler", "kwok")
    finally:
        api.close()


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
    lock = statefolder.take_lock(state)
    if lock is None:
        raise BedError(f"{state}: its supervisor is gone, but something holds its lock")
    try:
        statefolder.clean(state, keep=frozenset({statefolder.LOGS}) if keep_logs else frozenset())
    finally:
        os.close(lock)
    return True


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
    rows = [{"name": "supervisor", **known["supervisor"], "log": str(logs / "supervisor.log"), "note": known["stopped"]}]
    for name, process in known["processes"].items():
        note = "" if process["exit"] is None else f"ended with {process['exit']}"
        rows.append({"name": name, **process, "note": note + (", unexpectedly" if process["unexpected"] else "")})
    now = time.time()
    for row in rows:
        row["alive"] = _proc(row).alive()
        row["uptime"] = now - row["since"] if row["alive"] and "since" in row else None
    return rows
