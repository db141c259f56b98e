"""How is the supervisor of a state folder started, and asked to do something?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from testbed import statefolder
from testbed.errors import BedError, FolderInUse, NotRunning
from testbed.supervise import REFUSED

ROOT = Path(__file__).resolve().parents[1]
_ANSWER_SECONDS = 30.0  # the supervisor answers in milliseconds; a machine that swaps may not


def start_supervisor(folder: Path, starter: int) -> None:
    """Have a supervisor listen on the folder; it ends when the process ``starter`` does, until it is told otherwise.

    Raises FolderInUse where the folder is taken or not ours.
    """
    done = subprocess.run(
        [sys.executable, "-m", "testbed.supervise", str(folder), str(starter)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == REFUSED:
        raise FolderInUse(done.stderr.strip())
    if done.returncode:
        log = folder / statefolder.LOGS / "supervisor.log"
        raise BedError(f"the supervisor did not start:\n{done.stderr}{statefolder.last_lines(log)}")


def ask(folder: Path, **request: Any) -> dict[str, Any]:
    """Send one request to the supervisor and return its answer.

    Raises NotRunning if nobody listens there, BedError with its words if it could not do it.
    """
    try:
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise NotRunning(f"no test bed on {folder}") from None
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            # By way of /proc, because a socket's path may have 108 bytes only.
            connection.connect(f"/proc/self/fd/{directory}/{statefolder.SOCKET}")
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as file:
                answer = json.loads(file.readline() or b"{}")
    except (FileNotFoundError, ConnectionError):
        raise NotRunning(f"no test bed on {folder}") from None
    finally:
        os.close(directory)
    if "error" in answer:
        raise BedError(f"supervisor: {answer['error']}")
    return dict(answer)
