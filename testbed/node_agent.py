"""How does the node whose pods really run come into a test bed, and which programs do its images have?"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from testbed import certificates, controlplane, nodes, servers, statefolder
from testbed.agent import node, settings
from testbed.agent.__main__ import READY
from testbed.agent.running import pid_file, plan_file
from testbed.api import Api
from testbed.control import ROOT
from testbed.errors import BedError

IDENTITY: Final = "node-agent"
TOLERATION: Final[Mapping[str, str]] = {"key": node.TAINT, "operator": "Exists", "effect": "NoSchedule"}
"""What a pod must have to come to the node."""
SELECTOR: Final[Mapping[str, str]] = {"kubernetes.io/hostname": node.NAME}
"""What a pod must select to come to no other node."""
_ELSEWHERE: Final = ("192.0.2.1", 9)  # a test network [RFC 5737]: nothing is sent, the kernel only looks for the way
_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class NodeAgent:
    """A started agent."""

    server: servers.Server
    folder: Path

    @property
    def settings(self) -> settings.Settings:
        """What it goes by now."""
        return settings.read(self.folder)

    def tell(self, **changes: Any) -> None:
        """Have it go by other settings from now on, named as in `settings.Settings`."""
        replace(self.settings, **changes).write(self.folder)

    def add_image(self, reference: str, folder: Path) -> None:
        """Have an image's programs be those of a folder: what is started from now on is started from there."""
        self.tell(images={reference: str(folder), **self.settings.images})

    def kill9(self, uid: str, container: str) -> None:
        """End a container of the pod with this UID as a machine would that runs out of memory: at once."""
        path = pid_file(plan_file(self.folder, uid, container))
        os.kill(int(path.read_text(encoding="ascii")), signal.SIGKILL)


def start(state: Path, server: str, token: str, api: Api, images: Mapping[str, Path]) -> NodeAgent:
    """Start it and wait until its node can be given pods. Raises BedError where the machine has no network."""
    for value in nodes.documents(ROOT / "testbed" / "manifests" / "agent-rbac.yaml"):
        api.create(value)
    folder = state / statefolder.AGENT
    certificates.make(folder)
    statefolder.write_private(folder / "token", token)
    settings.Settings(images={reference: str(at) for reference, at in images.items()}).write(folder)
    arguments = (str(folder), server, str(state / controlplane.AUTHORITY), str(folder / "token"), own_address())
    started = servers.start(
        state,
        "node-agent",
        [sys.executable, "-m", "testbed.agent", *arguments],
        {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        grace=_GRACE_SECONDS,
    )
    servers.wait(state, "the agent's node", (folder / READY).exists, "node-agent")
    return NodeAgent(started, folder)


def described(state: Path, server: servers.Server) -> NodeAgent:
    """The one that runs in a test bed."""
    return NodeAgent(server, state / statefolder.AGENT)


def own_address() -> str:
    """An address of this machine that is not loopback, since EndpointSlices refuse those. Raises BedError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError as error:
            raise BedError(f"the node agent needs an address other than loopback: {error}") from error
        found = str(probe.getsockname()[0])
    if ipaddress.ip_address(found).is_loopback:
        raise BedError("the node agent needs an address other than loopback, and this machine has none")
    return found
