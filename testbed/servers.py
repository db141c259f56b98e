"""How is one server of a test bed started, waited for, and ended by itself?"""

from __future__ import annotations

import http.client
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import control, ports, statefolder
from testbed.errors import NotReady, ProcessDied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READY_SECONDS = 120.0  # the whole takes 5 s on 2 idle cores; a busy CI machine may need many times that
# An API server takes 1 s, but waits a minute for every watch that somebody still has open. Its data is thrown away.
_GRACE_SECONDS = 3.0
_POLL_SECONDS = 0.05
_END_SECONDS = 30.0
_HTTP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Server:
    """A started server."""

    state: Path
    name: str
    pid: int
    log: Path

    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        code: int | None = control.ask(self.state, do="show")["processes"][self.name]["exit"]
        return code

    def terminate(self, seconds: float = _END_SECONDS) -> int:
        """Send SIGTERM and wait; returns the exit code. Raises NotReady if it still runs after ``seconds``."""
        return self._end(signal.SIGTERM, seconds)

    def kill9(self) -> None:
        """End it as the machine would: at once, without a chance to clean up."""
        self._end(signal.SIGKILL, _END_SECONDS)

    def start_again(self) -> Server:
        """Start it anew, with the same command, after it has ended."""
        answer = control.ask(self.state, do="again", name=self.name)
        return Server(self.state, self.name, answer["pid"], self.log)

    def pause(self) -> None:
        """Stop it where it stands, as a machine does that swaps or moves."""
        control.ask(self.state, do="signal", name=self.name, number=int(signal.SIGSTOP))

    def resume(self) -> None:
        """Have a paused one go on."""
        control.ask(self.state, do="signal", name=self.name, number=int(signal.SIGCONT))

    def _end(self, number: signal.Signals, seconds: float) -> int:
        control.ask(self.state, do="signal", name=self.name, number=int(number))
        deadline = time.monotonic() + seconds
        while (code := self.exit_code()) is None:
            if time.monotonic() > deadline:
                raise NotReady(f"{self.name} runs {seconds:.0f} s after {number.name}; log: {self.log}")
            time.sleep(_POLL_SECONDS)
        return code


def start(
    state: Path,
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    grace: float = _GRACE_SECONDS,
) -> Server:
    """Have the supervisor start a server; it has ``grace`` seconds to end when the test bed does.

    It sees little of our environment, so that it does the same everywhere; ``env`` is what it gets beside that.
    """
    clean = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(state / "home"), "TMPDIR": str(state / "tmp")}
    answer = control.ask(state, do="start", name=name, argv=list(argv), env={**clean, **(env or {})}, grace=grace)
    return Server(state, name, answer["pid"], Path(answer["log"]))


def wait(state: Path, what: str, ready: Callable[[], bool], *servers: str, seconds: float = READY_SECONDS) -> None:
    """Poll until ``ready``; raises ProcessDied if one of the servers ends before, NotReady in the end."""
    deadline = time.monotonic() + seconds
    while not ready():
        shown = control.ask(state, do="show")["processes"]
        for name in servers:
            if shown[name]["exit"] is not None:
                log = Path(shown[name]["log"])
                raise ProcessDied(
                    f"{name} ended ({shown[name]['exit']}) while waiting for {what}:\n"
                    f"{statefolder.last_lines(log)}\nlog: {log}"
                )
        if time.monotonic() > deadline:
            raise NotReady(f"{what}: not within {seconds:.0f} s; logs: {state / statefolder.LOGS}")
        time.sleep(_POLL_SECONDS)


def start_listening(
    state: Path,
    name: str,
    command: Callable[..., Sequence[str]],
    *,
    count: int,
    ready: Callable[[int], bool],
    env: Mapping[str, str] | None = None,
    grace: float = _GRACE_SECONDS,
) -> tuple[Server, int]:
    """Start a server on ``count`` free ports and wait until it is ready; returns it and the first of the ports.

    ``command`` makes the command line of the ports, ``ready`` is asked with the first one. Where a port was taken
    meanwhile, it is started again on others. Raises ProcessDied, NotReady.
    """
    attempt = 1
    while True:
        chosen = [ports.free_port() for _ in range(count)]
        server = start(state, name, command(*chosen), env, grace=grace)
        try:
            wait(state, f"{name} to be ready", partial(ready, chosen[0]), name)
        except ProcessDied:
            if attempt == ports.TRIES or not ports.was_taken(server.log):
                raise
            attempt += 1
        else:
            return server, chosen[0]


def answers(port: int, path: str) -> bool:
    """Whether an HTTP server on 127.0.0.1 answers a GET of this path with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
