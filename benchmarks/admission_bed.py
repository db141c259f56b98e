"""On what do creates run, with bizrq, with references, all at the same time?

A namespace each. The webhook configuration of the chart is there twice: in one namespace the two webhook replicas of
bizrq answer, in another two servers that allow everything. A third has a ResourceQuota, a fourth nothing. So no
configuration changes between two measurements, and they can take turns as often as one likes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from bizrq.domain.bizrq import GROUP, KIND, VERSION
from testbed import build, certificates, chart, control, controlplane, servers
from testbed.cluster import Cluster
from testbed.parts import PARTS
from testbed.progress import Progress
from testbed.webhooks import Webhooks

__all__ = ["ALLOW", "BIZRQ", "NONE", "QUOTA", "Bed", "bizrq", "running"]

JSON = dict[str, Any]

NONE, QUOTA, ALLOW, BIZRQ = "nothing", "native", "allow", "bizrq"
"""The namespaces."""

_REPLICAS: Final = 2
_ENOUGH: Final = 10**6


@dataclass(frozen=True)
class Bed:
    """A cluster with everything in it."""

    cluster: Cluster
    webhooks: Webhooks

    def webhook_counters(self) -> list[dict[str, float]]:
        """Counters of each replica, by name and labels: ``claims_writes stored``."""
        return [_counters(_scraped(each.metrics_port)) for each in self.webhooks.replicas]

    def processor_seconds(self) -> dict[str, float]:
        """What each process has used by now, this one included."""
        pids = {**self.cluster.pids, "clients": os.getpid()}
        return {name: _processor_seconds(pid) for name, pid in pids.items()}

    def apply(self, *objects: JSON) -> None:
        """Create objects, or change them."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.cluster.kubectl("apply", "--server-side", "--filename=-", stdin=text)


def bizrq(name: str, cores: int) -> JSON:
    """A root with so many cores."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"hard": {"limits.cpu": str(cores)}},
    }


@contextlib.contextmanager
def running() -> Iterator[Bed]:
    """A cluster, bizrq with one controller and two webhook replicas, and the references."""
    with Cluster(nodes=1) as cluster:
        _quiet(cluster)
        operator = cluster.start_operator()
        try:
            with cluster.start_webhooks(_REPLICAS) as webhooks:
                bed = Bed(cluster, webhooks)
                bed.apply(*(_namespace(name) for name in (NONE, QUOTA, ALLOW, BIZRQ)))
                bed.apply(_quota())
                bed.apply(_allowing(_start_allowing(cluster, webhooks), webhooks.authority))
                only_bizrq = _only(BIZRQ)
                # The last: it returns when it is in force, and so is what was written before.
                webhooks.install(namespace_selector=only_bizrq, scale_namespace_selector=only_bizrq)
                yield bed
        finally:
            operator.terminate()


def _quiet(cluster: Cluster) -> None:
    """Have nobody act on Deployments: pods that are made and scheduled beside the creates would be measured too.

    What stays of the controller manager keeps native quotas true, as in every cluster.
    """
    state = cluster.state
    shown = control.ask(state, do="show")["processes"]
    for name in ("kwok", "scheduler", "controller-manager"):
        servers.Server(state, name, shown[name]["pid"], Path(shown[name]["log"])).terminate()
    program = build.ensure([PARTS["kubernetes"]], Progress())["kubernetes"] / "kube-controller-manager"
    argv = controlplane.controller_manager(program, cluster.kubeconfigs["controller-manager"])
    servers.start(state, "controller-manager", [*argv, "--controllers=resourcequota-controller"])


def _namespace(name: str) -> JSON:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _quota() -> JSON:
    """The most that native quotas say of Deployments: their number. Cores they count when pods are made."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota", "namespace": QUOTA},
        "spec": {"hard": {"count/deployments.apps": str(_ENOUGH)}},
    }


def _only(namespace: str) -> JSON:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def _start_allowing(cluster: Cluster, webhooks: Webhooks) -> str:
    """Two servers that allow everything, with the certificate of the webhooks, behind a balancer; its address."""
    state, folder = cluster.state, webhooks.folder
    files = [str(folder / certificates.CERTIFICATE), str(folder / certificates.KEY)]
    names = [f"allow-{number}" for number in range(1, _REPLICAS + 1)]
    targets = [_listening(state, name, "benchmarks.allow_all", files) for name in names]
    port = _listening(state, "allow-balancer", "testbed.balancer", [str(each) for each in targets])
    return f"https://127.0.0.1:{port}"


def _listening(state: Path, name: str, module: str, arguments: list[str]) -> int:
    _, port = servers.start_listening(
        state,
        name,
        lambda port: [sys.executable, "-m", module, str(port), *arguments],
        count=1,
        ready=_listens,
        env={"PYTHONPATH": str(control.ROOT)},
    )
    return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _allowing(address: str, authority: Path) -> JSON:
    """The chart's configuration once more, for the servers that allow everything; bizrqs have no namespace."""
    bundle = base64.b64encode(authority.read_bytes()).decode()
    selector = _only(ALLOW)
    values = {"url": f"{address}/all", "caBundle": bundle, "namespaceSelector": selector}
    made = chart.configuration({"webhook": {**values, "scale": {"namespaceSelector": selector}}})
    made["metadata"]["name"] = "allow-all"
    made["webhooks"] = [each for each in made["webhooks"] if not each["name"].startswith("bizrqs.")]
    return made


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _scraped(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with connection.makefile("rb") as file:
            return file.read().partition(b"\r\n\r\n")[2].decode()


def _counters(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_total"):
                found[" ".join((family.name.removeprefix("bizrq_"), *sample.labels.values()))] = sample.value
    return found
