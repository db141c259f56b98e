"""A release of the chart whose pods really run, and people who create workloads without a pause meanwhile."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from testbed import chart, node_agent, statefolder
from testbed.cluster import Cluster
from testbed.errors import HelmFailed
from testbed.identities import NAMESPACE
from tests.support.bizrqs import ONE_CORE, labels_for
from tests.support.load import Answers, People

__all__ = ["Load", "Release", "paused"]

JSON = dict[str, Any]
NAME: Final = "bizrq"
_HERE: Final = {"nodeSelector": dict(node_agent.SELECTOR), "tolerations": [dict(node_agent.TOLERATION)]}
_SECONDS: Final = 120


@dataclass
class Release:
    """The release ``bizrq``, by the real helm, on the node of the agent."""

    cluster: Cluster
    values: JSON = field(default_factory=dict)

    def helm(self, verb: str, *flags: str, values: Mapping[str, Any] | None = None) -> str:
        """What helm prints; ``values`` are kept for what comes later. Raises HelmFailed."""
        arguments = [verb, NAME, f"--namespace={NAMESPACE}", f"--timeout={_SECONDS}s", *flags]
        text = ""
        if verb in {"install", "upgrade"}:
            self.values = _merged(self.values, values or {})
            arguments[2:2] = [str(chart.CHART), "--values=-", "--wait"]
            text = json.dumps(_merged(self.values, {"controller": _HERE, "webhook": _HERE}))
        try:
            return chart.helm(*arguments, stdin=text, kubeconfig=self.cluster.kubeconfig)
        except HelmFailed as error:
            for log in sorted((self.cluster.state / statefolder.LOGS).glob(f"{NAMESPACE}.*.log")):
                error.add_note(f"{log.name}:\n{statefolder.last_lines(log)}")
            raise

    def get(self, *what: str) -> JSON:
        """Objects of the release's namespace."""
        return dict(json.loads(self.cluster.kubectl("get", *what, f"--namespace={NAMESPACE}", "--output=json")))

    def pods(self, component: str) -> list[JSON]:
        """The pods of one process that are not about to end."""
        found = self.get("pods", f"--selector=app.kubernetes.io/component={component}")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def secret(self) -> dict[str, str]:
        """What the controller keeps for the webhook."""
        data = self.get("secret", "bizrq-webhook").get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def metric(self, component: str, name: str) -> list[float]:
        """The values that the pods of one process show of a metric without labels, asked by its Service."""
        slices = self.get("endpointslices", f"--selector=kubernetes.io/service-name=bizrq-{component}-metrics")["items"]
        found = []
        for each in slices:
            for end in each.get("endpoints") or ():
                text = requests.get(f"http://{end['addresses'][0]}:{each['ports'][0]['port']}/metrics", timeout=5).text
                found += [float(value) for value in re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)]
        return found

    def leader(self) -> str:
        """The pod of the controller that works."""
        holder = str(self.get("lease", "bizrq-controller")["spec"].get("holderIdentity") or "")
        return holder.partition("_")[0]


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> JSON:
    """As helm puts values over values."""
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def paused(name: str, namespace: str, group: str, replicas: int = 1) -> JSON:
    """A Deployment that is counted and has no pods: what is tried with many is not how pods are made."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels_for(group)},
        "spec": {
            "paused": True,
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": ONE_CORE},
        },
    }


@dataclass
class Load:
    """Some people who create one Deployment after the other, in these groups by turns."""

    kubeconfig: Path
    namespace: str
    groups: tuple[str, ...]
    prefix: str
    answers: dict[str, Answers] = field(default_factory=dict)
    """Of each group."""

    @contextlib.contextmanager
    def going_on(self, clients: int = 4) -> Iterator[None]:
        """As long as the block runs."""
        stop = threading.Event()
        failed: list[BaseException] = []
        self.answers = {group: Answers() for group in self.groups}

        def run() -> None:
            try:
                asyncio.run(self._create(clients, stop.is_set))
            except BaseException as error:  # noqa: BLE001  # it is raised below
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]

    async def _create(self, clients: int, stopped: Callable[[], bool]) -> None:
        numbers = itertools.count()
        async with People(self.kubeconfig) as people:

            async def client() -> None:
                while not stopped():
                    number = next(numbers)
                    group = self.groups[number % len(self.groups)]
                    body = paused(f"{self.prefix}-{number}", self.namespace, group)
                    path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
                    code, answer = await people.send("POST", path, body)
                    self.answers[group].add(code, answer.get("message", ""))
                    await asyncio.sleep(0.05)  # so that what is loaded is the webhook, not the machine

            async with asyncio.TaskGroup() as tasks:
                for _ in range(clients):
                    tasks.create_task(client())
