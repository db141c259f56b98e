"""Which TCP port is free, and was a server refused because its port was taken meanwhile?

A port is only known to be free until somebody else takes it. So a server that ends with "address already in use" is
started again on another port.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TRIES = 5


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def was_taken(log: Path) -> bool:
    """Whether the log of an ended server says that its port belonged to somebody else."""
    return log.exists() and b"address already in use" in log.read_bytes()
