"""``python -m testbed.agent FOLDER SERVER AUTHORITY TOKEN_FILE ADDRESS``: which pods are to run, and which are over?"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from testbed import certificates, statefolder
from testbed.agent import node
from testbed.agent.endpoints import Endpoints
from testbed.agent.kube import JSON, Expired, Kube, Refused
from testbed.agent.logs import Logs
from testbed.agent.pods import Pod
from testbed.agent.running import PLANS, Machine

_RETRY_SECONDS: Final = 1.0
READY: Final = "ready"
"""A file of this name is in its folder once the node is there."""


class Agent:
    """Follows the pods of the node, and the Services."""

    def __init__(self, kube: Kube, machine: Machine, endpoints: Endpoints) -> None:
        self._kube, self._machine, self._endpoints = kube, machine, endpoints
        self._pods: dict[str, Pod] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._services: dict[tuple[str, str], JSON] = {}

    async def pods(self) -> None:
        """Run what the scheduler gave to the node, for ever."""
        selector = {"fieldSelector": f"spec.nodeName={node.NAME}"}
        while True:
            try:
                listed = await self._kube.get("/api/v1/pods", selector) or {}
                for obj in listed["items"]:
                    self._pod(obj)
                here = {obj["metadata"]["uid"] for obj in listed["items"]}
                for uid in self._pods.keys() - here:
                    self._pods[uid].vanished()
                version = listed["metadata"]["resourceVersion"]
                while True:
                    async for kind, obj in self._kube.watch("/api/v1/pods", selector, version):
                        version = obj["metadata"]["resourceVersion"]
                        if kind == "DELETED" and (pod := self._pods.get(obj["metadata"]["uid"])):
                            pod.vanished()
                        elif kind in {"ADDED", "MODIFIED"}:
                            self._pod(obj)
            except (Refused, Expired) as error:
                print(f"pods: {error}", flush=True)
                await asyncio.sleep(_RETRY_SECONDS)

    async def services(self) -> None:
        """Know them all, for ever."""
        while True:
            try:
                listed = await self._kube.get("/api/v1/services") or {}
                self._services = {_name(obj): obj for obj in listed["items"]}
                self._endpoints.services(self._services)
                version = listed["metadata"]["resourceVersion"]
                while True:
                    async for kind, obj in self._kube.watch("/api/v1/services", {}, version):
                        version = obj["metadata"]["resourceVersion"]
                        if kind == "DELETED":
                            self._services.pop(_name(obj), None)
                        elif kind != "BOOKMARK":
                            self._services[_name(obj)] = obj
                        self._endpoints.services(self._services)
            except (Refused, Expired) as error:
                print(f"services: {error}", flush=True)
                await asyncio.sleep(_RETRY_SECONDS)

    def _pod(self, obj: JSON) -> None:
        uid = obj["metadata"]["uid"]
        if uid not in self._pods:
            self._pods[uid] = Pod(self._kube, self._machine, obj, self._endpoints.pod)
            task = asyncio.create_task(self._live(self._pods[uid]))
            self._lives.add(task)
            task.add_done_callback(self._lives.discard)
        self._pods[uid].seen(obj)

    async def _live(self, pod: Pod) -> None:
        try:
            await pod.live()
        finally:
            self._endpoints.no_pod(pod)
            del self._pods[pod.obj["metadata"]["uid"]]


def _name(obj: JSON) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


async def main(folder: Path, server: str, authority: str, token: str, address: str) -> None:
    """Run until SIGTERM; the containers end with this process."""
    for name in ("pods", PLANS):
        (folder / name).mkdir(exist_ok=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    at = urlsplit(server)
    env = {"KUBERNETES_SERVICE_HOST": str(at.hostname), "KUBERNETES_SERVICE_PORT": str(at.port)}
    containers = folder.parent / statefolder.LOGS
    logs = Logs(containers, folder / certificates.CERTIFICATE, folder / certificates.KEY)
    async with Kube(server, authority, token) as kube:
        endpoints = Endpoints(kube, address)
        agent = Agent(kube, Machine(folder, containers, address, env), endpoints)
        await node.register(kube, await logs.start())
        (folder / READY).touch()
        jobs = [agent.pods(), agent.services(), endpoints.run(), node.keep(kube)]
        tasks = [asyncio.create_task(job) for job in [*jobs, stop.wait()]]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await logs.stop()
        for task in done:
            task.result()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]).read_text("ascii"), sys.argv[5]))
