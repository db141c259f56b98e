"""How does one container come to life, stay alive, and end?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from testbed import ports, statefolder
from testbed.agent import probes, settings
from testbed.agent.container import Plan
from testbed.agent.fields import Unknown, environment, expanded
from testbed.agent.kube import JSON
from testbed.agent.probes import Target
from testbed.agent.volumes import Unavailable, Volumes

PLANS: Final = "plans"
_ENTRY_POINT: Final = "bizrq"
_MOVED: Final = {"https": "BIZRQ_PORT", "metrics": "BIZRQ_METRICS_PORT"}
_LONGEST_BACK_OFF: Final = 10.0
_MESSAGE_LINES: Final = 20
_MESSAGE: Final = "FallbackToLogsOnError"


@dataclass(frozen=True, slots=True)
class Machine:
    """What containers of one node have in common."""

    folder: Path
    """The agent's own."""
    logs: Path
    address: str
    """The machine's, at which all pods are reached."""
    env: Mapping[str, str]


class Container:
    """One container of a pod. ``changed`` is called whenever its status is another one."""

    def __init__(self, machine: Machine, pod: JSON, spec: JSON, volumes: Volumes, changed: Callable[[], None]) -> None:
        self._machine, self._pod, self._spec, self._volumes = machine, pod, spec, volumes
        self._changed = changed
        self.state: JSON = {"waiting": {"reason": "ContainerCreating"}}
        self._last: JSON = {}
        self._restarts = 0
        self._ready = self._started = False
        self._process: asyncio.subprocess.Process | None = None
        self._plan: Plan
        self._stopping = asyncio.Event()
        self.ports: dict[str | int, int] = {}
        """The real port by name and by number."""
        meta = pod["metadata"]
        self.log = machine.logs / f"{meta['namespace']}.{meta['name']}.{spec['name']}.log"

    def status(self) -> JSON:
        """As it stands in the pod's status."""
        return {
            "name": self._spec["name"],
            "image": self._spec["image"],
            "imageID": str(settings.read(self._machine.folder).folder(self._spec["image"]) or ""),
            "ready": self._ready,
            "started": self._started,
            "restartCount": self._restarts,
            "state": self.state,
            "lastState": self._last,
        }

    async def run(self) -> None:
        """Keep it running as the pod's restart policy says; returns when it ended for good."""
        policy = self._pod["spec"].get("restartPolicy", "Always")
        while not self._stopping.is_set():
            process = await self._start()
            if process is None:
                await self._pause(settings.read(self._machine.folder).back_off_seconds)
                continue
            code = await self._attend(process)
            if self._stopping.is_set() or policy == "Never" or (policy == "OnFailure" and not code):
                return
            self._last = self.state
            wait = min(settings.read(self._machine.folder).back_off_seconds * 2**self._restarts, _LONGEST_BACK_OFF)
            self._wait("CrashLoopBackOff", f"back-off {wait:g} s restarting failed container")
            await self._pause(wait)
            self._restarts += 1

    async def stop(self, seconds: float) -> None:
        """End it: the hook, SIGTERM, and SIGKILL when these seconds are over. Returns when it has ended."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        deadline = time.monotonic() + seconds
        if hook := (self._spec.get("lifecycle") or {}).get("preStop"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._target(process).ask(hook)
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 1)):
                await process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _start(self) -> asyncio.subprocess.Process | None:
        """Start it; None where that cannot be, which its state then says."""
        image = self._spec["image"]
        folder = settings.read(self._machine.folder).folder(image)
        if folder is None:
            self._wait("ImagePullBackOff", f"no folder for {image} in the agent's settings")
            return None
        try:
            self._plan = self._planned(folder)
        except (Unknown, Unavailable) as error:
            self._wait("CreateContainerConfigError", str(error))
            return None
        path = plan_file(self._machine.folder, self._pod["metadata"]["uid"], self._spec["name"])
        self._plan.write(path)
        self._process = await _launched([str(path)], self.log)
        pid_file(path).write_text(str(self._process.pid), encoding="ascii")
        self.state = {"running": {"startedAt": now()}}
        self._started = "startupProbe" not in self._spec
        self._ready = self._started and "readinessProbe" not in self._spec
        self._changed()
        return self._process

    def _planned(self, image: Path) -> Plan:
        pod, spec, machine = self._pod, self._spec, self._machine
        if pod["spec"].get("initContainers"):
            raise Unknown("the agent does not know initContainers")
        given = {"PATH": f"{image / 'bin'}:{os.defpath}", "HOME": "/", **machine.env}
        self.ports = {}
        for port in spec.get("ports", ()):
            if variable := _MOVED.get(port.get("name", "")):
                chosen = ports.free_port()
                given[variable] = str(chosen)
                self.ports |= {port["name"]: chosen, port["containerPort"]: chosen}
        env = environment(pod, spec, given, machine.address)
        argv = [*spec.get("command", [_ENTRY_POINT]), *spec.get("args", ())]
        return Plan(
            argv=[expanded(word, env) for word in argv],
            env=env,
            hostname=pod["metadata"]["name"],
            parent=os.getpid(),
            mounts=self._volumes.mounts(pod, spec),
            user=_security(pod, spec, "runAsUser"),
            group=_security(pod, spec, "runAsGroup"),
        )

    async def _attend(self, process: asyncio.subprocess.Process) -> int:
        """Probe it until it ends, by itself or because a probe says so; returns its exit code."""
        async with self._probed(process):
            code = await process.wait()
        started = self.state["running"]["startedAt"]
        self._ready = self._started = False
        ended = {"exitCode": code if code >= 0 else 128 - code, "startedAt": started, "finishedAt": now()}
        ended["reason"] = "Error" if code else "Completed"
        if code and self._spec.get("terminationMessagePolicy") == _MESSAGE:
            ended["message"] = statefolder.last_lines(self.log, _MESSAGE_LINES)
        self.state = {"terminated": ended}
        self._changed()
        return code

    @contextlib.asynccontextmanager
    async def _probed(self, process: asyncio.subprocess.Process) -> AsyncIterator[None]:
        task = asyncio.create_task(self._probe(self._target(process)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _probe(self, target: Target) -> None:
        """The start-up probe first; then the other two side by side."""
        if "startupProbe" in self._spec:
            done = asyncio.Event()

            def started(well: bool, wrong: str) -> None:  # noqa: FBT001
                if well:
                    done.set()
                else:
                    self._unwell("startup", wrong)

            watching = asyncio.create_task(probes.watch(self._spec["startupProbe"], target, started))
            try:
                await done.wait()
            finally:
                watching.cancel()
            self._started, self._ready = True, "readinessProbe" not in self._spec
            self._changed()
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self._spec:
                group.create_task(probes.watch(self._spec["readinessProbe"], target, self._told_ready))
            if "livenessProbe" in self._spec:
                group.create_task(probes.watch(self._spec["livenessProbe"], target, self._told_alive))

    def _told_ready(self, well: bool, wrong: str) -> None:  # noqa: FBT001
        if well != self._ready:
            self._note(f"{'ready' if well else f'not ready: {wrong}'}")
            self._ready = well
            self._changed()

    def _told_alive(self, well: bool, wrong: str) -> None:  # noqa: FBT001
        if not well:
            self._unwell("liveness", wrong)

    def _unwell(self, probe: str, wrong: str) -> None:
        """End it, so that it is started anew; while it ends anyway, nobody asks."""
        process = self._process
        if not self._stopping.is_set() and process is not None:
            self._note(f"{probe} probe failed: {wrong}")
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(grace(self._pod), _send, process, signal.SIGKILL)

    def _target(self, process: asyncio.subprocess.Process) -> Target:
        return Target(self._machine.address, self.ports, partial(self._exec, process.pid))

    async def _exec(self, pid: int, command: list[str]) -> int:
        """Run a command within it, in the same environment; its exit code."""
        path = plan_file(self._machine.folder, self._pod["metadata"]["uid"], f"{self._spec['name']}.exec")
        replace(self._plan, argv=command).write(path)
        process = await _launched(["--enter", str(pid), str(path)], self.log)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                _send(process, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            _send(self._process, number)

    def _wait(self, reason: str, message: str) -> None:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self._changed()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until it is told to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _note(self, text: str) -> None:
        meta = self._pod["metadata"]
        print(f"{meta['namespace']}/{meta['name']} {self._spec['name']}: {text}", flush=True)


async def _launched(arguments: list[str], log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "testbed.agent.container",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _security(pod: JSON, spec: JSON, name: str) -> int:
    """What a container is told, or else its pod; root, or the group of root, if neither is."""
    contexts = (spec.get("securityContext") or {}, pod["spec"].get("securityContext") or {})
    return int(next((context[name] for context in contexts if name in context), 0))


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """A signal to it and all that it started; it has a session of its own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def plan_file(folder: Path, uid: str, container: str) -> Path:
    """Where the plan of a container is, in the agent's folder; beside it is its process id."""
    return folder / PLANS / f"{uid}.{container}.json"


def pid_file(plan: Path) -> Path:
    """Where the id of the newest process of a plan is."""
    return plan.with_suffix(".pid")


def grace(pod: JSON) -> float:
    """Seconds that the containers have to end by themselves."""
    meta, spec = pod["metadata"], pod["spec"]
    return float(meta.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30)))


def now() -> str:
    """As the API server writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
