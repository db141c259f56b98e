"""Who owns the servers of one test bed, and ends them when nobody wants them any more?

``python -m testbed.supervise FOLDER STARTER`` puts itself into the background and returns when it listens. It starts
what `testbed.control` asks for, writes what became of it to state.json, and stops everything, the last started first,
on SIGTERM and when its owner ends: first the process STARTER, then the one named by ``own``. If it is killed itself,
the kernel ends its children (PR_SET_PDEATHSIG). Exit codes of the start: 0 listens, 3 refused; stderr says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import statefolder
from testbed.errors import BedError
from testbed.processes import Proc, die_with

REFUSED = 3
_ASK_SECONDS = 2.0  # a client that connects and says nothing must not stop the loop
_NO_END = frozenset({signal.SIGSTOP, signal.SIGCONT})


@dataclass(slots=True)
class Child:
    """One started process and what became of it."""

    process: subprocess.Popen[bytes]
    proc: Proc
    since: float
    log: str
    argv: list[str]
    env: dict[str, str]
    grace: float  # seconds that it has to end by itself when everything is stopped
    exit: int | None = None
    ended: float | None = None
    wanted: bool = False  # whether it was told to end

    def as_json(self) -> dict[str, Any]:
        """As it stands in state.json; times are epoch seconds, ``exit`` is negative for a signal."""
        return {
            "pid": self.proc.pid,
            "started": self.proc.started,
            "since": self.since,
            "log": self.log,
            "exit": self.exit,
            "ended": self.ended,
            "unexpected": self.exit is not None and not self.wanted,
        }


class Supervisor:
    """The loop: a socket, the signals, and the owner's pidfd."""

    def __init__(self, folder: Path, listener: socket.socket, starter: int) -> None:
        self.folder = folder
        self.children: dict[str, Child] = {}
        self.reason = ""  # why everything is to be stopped
        self._me = Proc.of(os.getpid())
        self._since = time.time()
        self._owner: int | None = None
        self._selector = selectors.DefaultSelector()
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._answer)
        self._wake_read, wake_write = socket.socketpair()
        for end in (self._wake_read, wake_write):
            end.setblocking(False)
        signal.set_wakeup_fd(wake_write.detach())
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only the wake-up counts
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self.own(starter)

    def run(self) -> None:
        """Serve until somebody asks for the end or the owner is gone, then stop everything."""
        while not self.reason:
            for key, _ in self._selector.select():
                key.data()
        print(f"stopping: {self.reason}", flush=True)
        self._selector.unregister(self._listener)
        for name in reversed(self.children):
            start = time.monotonic()
            self._stop(self.children[name])
            print(f"stopped {name} in {time.monotonic() - start:.1f} s", flush=True)
        self.write()

    def own(self, pid: int | None) -> None:
        """From now on live no longer than the process ``pid``; None: until told."""
        if self._owner is not None:
            self._selector.unregister(self._owner)
            os.close(self._owner)
            self._owner = None
        if pid is None:
            return
        try:
            self._owner = os.pidfd_open(pid)
        except ProcessLookupError:
            self._owner_gone()
            return
        self._selector.register(self._owner, selectors.EVENT_READ, self._owner_gone)

    def _owner_gone(self) -> None:
        self.reason = "the owner ended"

    def _asked(self, number: int, _frame: object) -> None:
        self.reason = f"told by {signal.Signals(number).name}"

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        self._reap()

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(_ASK_SECONDS)
        with connection, contextlib.suppress(OSError):
            with connection.makefile("rb") as file:
                request = file.readline()
            try:
                answer = self._do(json.loads(request))
            except (OSError, ValueError, KeyError, TypeError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "start":
                return self._start(request["name"], request["argv"], request["env"], request["grace"])
            case "again":
                child = self.children[request["name"]]
                return self._start(request["name"], child.argv, child.env, child.grace)
            case "signal":
                child = self.children[request["name"]]
                child.wanted |= request["number"] not in _NO_END
                self._reap()
                if child.exit is None:  # not reaped yet, so the id is still its own
                    os.kill(child.proc.pid, request["number"])
                return child.as_json()
            case "own":
                self.own(request["pid"])
                return {}
            case "show":
                self._reap()
                return self._as_json()
            case other:
                return {"error": f"no such request: {other}"}

    def _start(self, name: str, argv: list[str], env: dict[str, str], grace: float) -> dict[str, Any]:
        if name in self.children and self.children[name].exit is None:
            return {"error": f"{name} runs already"}
        log = self.folder / statefolder.LOGS / f"{name}.log"
        with log.open("ab") as output:
            # This process has one thread, which makes preexec_fn safe; no other way sets the death signal.
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509
            )
        proc = Proc.of(process.pid) or Proc(process.pid, "ended at once")
        self.children.pop(name, None)  # started anew, it is stopped before what was started before
        self.children[name] = Child(process, proc, time.time(), str(log), argv, env, grace)
        self.write()
        return self.children[name].as_json()

    def _reap(self) -> None:
        changed = False
        for name, child in self.children.items():
            if child.exit is None and child.process.poll() is not None:
                child.exit, child.ended, changed = child.process.returncode, time.time(), True
                print(f"{name} ended with {child.exit}{'' if child.wanted else ', unexpectedly'}", flush=True)
        if changed:
            self.write()

    def _stop(self, child: Child) -> None:
        if child.process.poll() is not None:
            return
        child.wanted = True
        child.process.terminate()
        try:
            child.process.wait(child.grace)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.exit, child.ended = child.process.returncode, time.time()

    def _as_json(self) -> dict[str, Any]:
        return {
            "supervisor": {"pid": os.getpid(), "started": self._me.started if self._me else "", "since": self._since},
            "processes": {name: child.as_json() for name, child in self.children.items()},
            "stopped": self.reason,
        }

    def write(self) -> None:
        """Say in state.json what runs."""
        statefolder.write_json(self.folder / statefolder.STATE, self._as_json())


def main(folder: Path, starter: int) -> int:
    """Lock and prepare the folder, listen, and go on in the background."""
    folder = folder.absolute()
    try:
        lock = statefolder.prepare(folder)
    except BedError as error:
        print(error, file=sys.stderr)
        return REFUSED
    os.chdir(folder)  # a socket's path may have 108 bytes only: relative to the folder it always fits
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(statefolder.SOCKET)
    listener.listen()
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(told, 1) else 1)  # the starter's wait ends here, with everything in place
    os.setsid()
    log = os.open(folder / statefolder.LOGS / "supervisor.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    supervisor = Supervisor(folder, listener, starter)
    supervisor.write()  # before anybody is told: ``down`` goes by it
    os.write(tell, b"!")
    os.close(tell)
    os.close(told)
    supervisor.run()
    if supervisor.reason == "the owner ended":  # nobody is left who would call down; logs and state tell what happened
        statefolder.clean(folder, keep=frozenset({statefolder.LOGS, statefolder.STATE}))
    os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
