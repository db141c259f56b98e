"""What does one fresh process need for N pods: the reference, the bare connection, or ours?

``python -m benchmarks.b2_process reference|transport|ours FOLDER PORT`` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import kubernetes.client
import msgspec

from benchmarks.cluster_bytes import PAGE, Cluster
from benchmarks.pod_server import RELEASE
from bizrq.clock import SystemClock
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import Credentials
from bizrq.cluster.objects import Owned, Page, Pod
from bizrq.cluster.reflector import Reflector
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import Resource
from bizrq.workloads.read import Workload
from bizrq.workloads.registry import load_kinds

PODS: Final = "/api/v1/pods"
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")


def reference(folder: Path) -> dict[str, Any]:
    """Decode the bytes of every page into the structs that the reflector uses, and drop them; nothing else."""
    decoder = msgspec.json.Decoder(Page[Pod])
    spent, pods = 0.0, 0
    for path in sorted((folder / "pods").iterdir()):
        body = path.read_bytes()
        began = time.process_time()
        page = decoder.decode(body)
        spent += time.process_time() - began
        pods += len(page.items or ())
    return {"cpu": spent, "pods": pods}


async def transport(client: Client) -> dict[str, Any]:
    """Fetch the bytes of every page and drop them: what aiohttp and the kernel cost."""
    pages = msgspec.json.Decoder(Page[msgspec.Raw])
    spent, token, size = 0.0, "", 0
    while True:
        began = time.process_time()
        body = await client.get(PODS, params={"limit": str(PAGE), **({"continue": token} if token else {})})
        spent += time.process_time() - began
        size += len(body)
        token = pages.decode(body).metadata.continue_
        if not token:
            return {"cpu": spent, "bytes": size}


class Stalls:
    """How long did the event loop not get to a task that is due every millisecond?"""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds from one turn of the task to the next, neighbours on the processor included."""
        self.longest_busy = 0.0
        """Seconds of processor time of this process between two turns."""

    async def watch(self) -> None:
        """Look, until cancelled."""
        wall, busy = time.perf_counter(), time.process_time()
        while True:
            await asyncio.sleep(0.001)
            wall_now, busy_now = time.perf_counter(), time.process_time()
            self.longest = max(self.longest, wall_now - wall)
            self.longest_busy = max(self.longest_busy, busy_now - busy)
            wall, busy = wall_now, busy_now


async def ours(client: Client, cluster: Cluster) -> dict[str, Any]:
    """Sync ReplicaSets, then pods, then take the events of the watch; through the controller's own parts."""
    woken: set[str] = set()
    inventory = Inventory(woken.add, DEFAULT_GPU_RESOURCES, SystemClock().now)
    _put_workloads(inventory, cluster)
    clock = SystemClock()
    sink = inventory.owners.sink(REPLICA_SETS)
    owners = Reflector(client, REPLICA_SETS.url, Owned, sink, clock, metadata_only=True)
    pods = Reflector(client, PODS, Pod, inventory.pods, clock)
    tasks = []
    try:
        began = time.process_time()
        tasks.append(asyncio.create_task(owners.run()))
        await owners.synced.wait()
        owners_cpu = time.process_time() - began

        before, stalls = _resident(), Stalls()
        looking = asyncio.create_task(stalls.watch())
        await asyncio.sleep(0.01)
        began, wall = time.process_time(), time.perf_counter()
        tasks.append(asyncio.create_task(pods.run()))
        await pods.synced.wait()
        cpu, wall = time.process_time() - began, time.perf_counter() - wall
        looking.cancel()
        after = _resident()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        _check(inventory, cluster)

        await asyncio.sleep(0.1)  # the watch connects
        began, events_wall = time.process_time(), time.perf_counter()
        await client.get(RELEASE)
        await _until(lambda: inventory.pods.view(0).version >= cluster.last_version)
        events_cpu, events_wall = time.process_time() - began, time.perf_counter() - events_wall
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "cpu": cpu,
        "wall": wall,
        "owners_cpu": owners_cpu,
        "resident": after - before,
        "resident_peak": peak - before,
        "resident_before": before,
        "stall": stalls.longest,
        "stall_busy": stalls.longest_busy,
        "events_cpu": events_cpu,
        "events_wall": events_wall,
        "woken": len(woken),
    }


def _put_workloads(inventory: Inventory, cluster: Cluster) -> None:
    deployments = next(kind for kind in load_kinds(None) if kind.id == "deployments.apps")
    for number, (uid, namespace, bizrq, model) in enumerate(cluster.workloads):
        models = Models(cpu=model)
        inventory.put_workload(Workload(uid, 1, deployments, namespace, f"service-{number}", bizrq, models, {}))


def _resident() -> int:
    """Bytes of this process in memory, after everything that can be freed has been."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _check(inventory: Inventory, cluster: Cluster) -> None:
    """Stop where the figures would be those of a wrong result."""
    names = {bizrq for _, _, bizrq, _ in cluster.workloads}
    found = [pod for name in names for pod in inventory.pods.of(name)]
    milli = sum(pod.amounts["requests.cpu"] for pod in found)
    got = (len(inventory.pods), len(found), milli, len(inventory.owners))
    wanted = (cluster.pods, cluster.attributed, cluster.milli_cpu, cluster.replica_sets)
    if got != wanted:
        sys.exit(f"pods, attributed pods, their milli-cores, ReplicaSets: got {got}, not {wanted}")


async def _until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not reached():  # noqa: ASYNC110  # the sink is the real one, which tells nobody
            await asyncio.sleep(0.005)


async def _with_client(mode: str, folder: Path, port: str) -> Mapping[str, Any]:
    cluster = msgspec.json.decode((folder / "cluster.json").read_bytes(), type=Cluster)
    credentials = Credentials(kubernetes.client.Configuration(host=f"http://127.0.0.1:{port}"))
    async with Client(credentials, user_agent="bizrq-benchmark") as client:
        return await (transport(client) if mode == "transport" else ours(client, cluster))


def main() -> None:
    """Measure what the command line names."""
    mode, folder, port = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    gc.set_threshold(100_000, 50, 1000)  # as the controller
    result = reference(folder) if mode == "reference" else asyncio.run(_with_client(mode, folder, port))
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
