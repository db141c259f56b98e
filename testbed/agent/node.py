"""How does the agent's node stand in the cluster, and stay alive there?"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from testbed.agent.kube import APPLY, JSON, STRATEGIC, Kube, Refused
from testbed.agent.running import now

NAME: Final = "agent"
TAINT: Final = "testbed.bizrq.io/agent"
"""Only pods that tolerate it come here: the others are for kwok's nodes, where nothing runs."""
_LEASE_SECONDS: Final = 40
_RENEW_SECONDS: Final = 10.0
_SIZE: Final = {"cpu": "64", "memory": "256Gi", "pods": "250"}
_LEASE: Final = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NAME}"


async def register(kube: Kube, log_port: int) -> None:
    """Make the node, ready from the first moment; again is fine. Raises Refused."""
    labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    await kube.post(
        "/api/v1/nodes",
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NAME, "labels": labels},
            "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]},
        },
    )
    await _renew(kube)
    await kube.patch(f"/api/v1/nodes/{NAME}/status", {"status": _status(log_port)}, STRATEGIC)


async def keep(kube: Kube) -> None:
    """Renew its lease, for ever."""
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        try:
            await _renew(kube)
        except Refused as error:
            print(f"lease: {error}", flush=True)


async def _renew(kube: Kube) -> None:
    spec = {
        "holderIdentity": NAME,
        "leaseDurationSeconds": _LEASE_SECONDS,
        "renewTime": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.000000Z",
    }
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}, "spec": spec}
    await kube.patch(_LEASE, lease, APPLY)


def _status(log_port: int) -> JSON:
    moment = now()
    good = {
        "MemoryPressure": "KubeletHasSufficientMemory",
        "DiskPressure": "KubeletHasNoDiskPressure",
        "PIDPressure": "KubeletHasSufficientPID",
    }
    conditions = [{"type": kind, "status": "False", "reason": reason} for kind, reason in good.items()]
    conditions.append({"type": "Ready", "status": "True", "reason": "KubeletReady"})
    return {
        "capacity": _SIZE,
        "allocatable": _SIZE,
        "conditions": [{**one, "lastHeartbeatTime": moment, "lastTransitionTime": moment} for one in conditions],
        # The API server asks here for logs. Pods have another address.
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": log_port}},
    }
