"""How do Services reach the agent's pods?

All pods share the machine's address and differ by port, which the cluster's own controller cannot express: it is kept
away, for these pods have no IP in their status. In its place each pod has an EndpointSlice of its own for each Service
that selects it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from testbed.agent.kube import APPLY, JSON, Kube, Refused
from testbed.agent.pods import Pod
from testbed.agent.status import ENDED, is_ready

_MANAGER: Final = "agent.testbed.bizrq.io"
_RETRY_SECONDS: Final = 1.0


class Endpoints:
    """Keeps the slices of all pods; told of changes, it works in the background."""

    def __init__(self, kube: Kube, address: str) -> None:
        self._kube, self._address = kube, address
        self._pods: dict[str, Pod] = {}
        self._services: dict[tuple[str, str], JSON] = {}
        self._stored: dict[str, JSON] = {}  # by path
        self._known = False
        self._news = asyncio.Event()

    def pod(self, pod: Pod) -> None:
        """A pod is reached in another way than before, or may be."""
        self._pods[pod.obj["metadata"]["uid"]] = pod
        self._news.set()

    def no_pod(self, pod: Pod) -> None:
        """A pod is gone."""
        self._pods.pop(pod.obj["metadata"]["uid"], None)
        self._news.set()

    def services(self, services: dict[tuple[str, str], JSON]) -> None:
        """These are the Services, by namespace and name; the same mapping is changed later."""
        self._services = services
        self._news.set()

    async def run(self) -> None:
        """Store what is new, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._know()
                await self._sync()
            except Refused as error:
                print(f"endpoints: {error}", flush=True)
                await asyncio.sleep(_RETRY_SECONDS)
                self._news.set()

    async def _know(self) -> None:
        """What an agent before this one has stored, for its pods may be gone."""
        if self._known:
            return
        selector = {"labelSelector": f"endpointslice.kubernetes.io/managed-by={_MANAGER}"}
        listed = await self._kube.get("/apis/discovery.k8s.io/v1/endpointslices", selector) or {}
        self._stored = {_path(each): each for each in listed["items"]}
        self._known = True

    async def _sync(self) -> None:
        wanted = {}
        for pod in self._pods.values():
            for service in self._services.values():
                if selects(service, pod.obj) and pod.status.get("phase") not in ENDED and pod.ports:
                    made = slice_of(service, pod, self._address)
                    wanted[_path(made)] = made
        for path in self._stored.keys() - wanted.keys():
            await self._kube.delete(path)
            del self._stored[path]
        for path, made in wanted.items():
            if self._stored.get(path) != made:
                await self._kube.patch(path, made, APPLY)
                self._stored[path] = made


def _path(made: JSON) -> str:
    meta = made["metadata"]
    return f"/apis/discovery.k8s.io/v1/namespaces/{meta['namespace']}/endpointslices/{meta['name']}"


def selects(service: JSON, pod: JSON) -> bool:
    """Whether a Service selects a pod by its labels."""
    labels = pod["metadata"].get("labels") or {}
    selector = service["spec"].get("selector") or {}
    here = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return here and bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def slice_of(service: JSON, pod: Pod, address: str) -> JSON:
    """The EndpointSlice of one pod for one Service."""
    meta, owner = pod.obj["metadata"], service["metadata"]
    ready = is_ready(pod.status)
    ports = []
    for port in service["spec"]["ports"]:
        target = port.get("targetPort", port["port"])
        if target in pod.ports:
            named = {"name": port.get("name", ""), "port": pod.ports[target]}
            ports.append({**named, "protocol": port.get("protocol", "TCP")})
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{owner['name']}-{meta['name']}",
            "namespace": meta["namespace"],
            "labels": {
                "kubernetes.io/service-name": owner["name"],
                "endpointslice.kubernetes.io/managed-by": _MANAGER,
            },
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Service", "name": owner["name"], "uid": owner["uid"]},
            ],
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {
                    "ready": (ready and not pod.terminating) or service["spec"].get("publishNotReadyAddresses", False),
                    "serving": ready,
                    "terminating": pod.terminating,
                },
                "nodeName": pod.obj["spec"]["nodeName"],
                "targetRef": {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            }
        ],
    }
