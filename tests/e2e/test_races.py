"""However many people press the button at once, a group never gets more than it was given.

Two webhook replicas, a controller that resyncs every 2 s to provoke it, 64 clients. Every version of every object is
recorded and put in the order in which it was stored, so that what must hold is checked at every instant.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import pytest

from bizrq.domain.bizrq import GROUP, LABEL, PLURAL, VERSION
from bizrq.domain.quantity import parse_own
from testbed.cluster import Cluster
from testbed.webhooks import Webhooks
from tests.support.bizrqs import bizrq
from tests.support.kube import wait_until
from tests.support.load import Answers, Event, History, People, in_parallel, timeline

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CLIENTS = 64
BIZRQS = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
CPU = "limits.cpu"


@pytest.fixture(scope="module")
def busy_cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A cluster of its own: what the others are asked about must not depend on this load."""
    with Cluster(tmp_path_factory.mktemp("races"), nodes=2) as started:
        yield started


@pytest.fixture(scope="module")
def webhooks(busy_cluster) -> Iterator[Webhooks]:
    with busy_cluster.start_webhooks() as started:
        started.install()
        yield started


@pytest.fixture(scope="module")
def controller(busy_cluster):
    """In a list, for a test may kill it and put another one there."""
    started = [busy_cluster.start_operator(["--resync-seconds=2"])]
    yield started
    started[0].terminate()


def deployment(name: str, group: str, *, namespace: str, cores: int = 1, replicas: int = 1) -> Mapping[str, Any]:
    container = {"name": "main", "image": "none", "resources": {"limits": {"cpu": str(cores)}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: group}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def cores_of(raw: Mapping[str, Any]) -> Fraction:
    containers = raw["spec"]["template"]["spec"]["containers"]
    each = sum(parse_own(one["resources"]["limits"]["cpu"]).nano for one in containers)
    return Fraction(raw["spec"]["replicas"] * each, 10**9)


def amount(text: str | None) -> Fraction:
    return Fraction(parse_own(text or "0").nano, 10**9)


class Instants:
    """Walks through everything that was stored, and checks one group at each instant."""

    def __init__(self, group: str, limit: int) -> None:
        self.group, self.limit = group, limit
        self.live: dict[str, Fraction] = {}
        self.used = Fraction(0)
        self.most = Fraction(0)
        self.seen = 0

    def bizrq_stored(self, event: Event) -> None:
        if event.object["metadata"]["name"] == self.group:
            self.used = amount((event.object.get("status") or {}).get("used", {}).get(CPU))
            self.check(event)

    def workload_stored(self, event: Event) -> None:
        raw = event.object
        uid = raw["metadata"]["uid"]
        mine = event.type != "DELETED" and (raw["metadata"].get("labels") or {}).get(LABEL) == self.group
        self.live.pop(uid, None)
        if mine:
            self.live[uid] = cores_of(raw)
        self.check(event)

    def check(self, event: Event) -> None:
        live = sum(self.live.values(), Fraction(0))
        self.most = max(self.most, live)
        self.seen += 1
        assert live <= self.used, f"{self.group} at {event.version}: {live} cores exist, used says {self.used}"
        assert self.used <= self.limit, f"{self.group} at {event.version}: used {self.used} of {self.limit}"

    def walk(self, bizrqs: History, workloads: History) -> None:
        for raw in bizrqs.first:
            if raw["metadata"]["name"] == self.group:
                self.used = amount((raw.get("status") or {}).get("used", {}).get(CPU))
        for raw in workloads.first:
            if (raw["metadata"].get("labels") or {}).get(LABEL) == self.group:
                self.live[raw["metadata"]["uid"]] = cores_of(raw)
        for index, event in timeline(bizrqs, workloads):
            (self.workload_stored if index else self.bizrq_stored)(event)


@pytest.fixture
def namespace(busy_cluster):
    name = f"t-{time.time_ns():x}"
    busy_cluster.kubectl("create", "namespace", name)
    yield name
    busy_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def group(busy_cluster, controller, request):
    """A root, gone in the end."""
    hard = request.param
    from tests.support.kube import client

    with client(busy_cluster.kubeconfig) as api:
        root = bizrq(api, f"g-{time.time_ns():x}", {CPU: str(hard)})
        root.create()
        wait_until(lambda: root.used(CPU) == "0", "the first status", 30)
        yield root
        root.patch({"metadata": {"annotations": {"quota.bizrq.io/force-delete": "true"}}})
        root.delete()


def histories(cluster: Cluster, namespace: str) -> tuple[History, History]:
    return History(cluster.kubeconfig, BIZRQS), History(
        cluster.kubeconfig, f"/apis/apps/v1/namespaces/{namespace}/deployments"
    )


@pytest.mark.parametrize("group", [1000], indirect=True)
async def test_ten_thousand_creates_at_once_leave_exactly_what_fits(
    busy_cluster, webhooks, controller, group, namespace
):
    """10,000 creates of one core against limits.cpu 1000: exactly 1,000 exist."""
    answers = Answers()
    url = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    bizrqs, workloads = histories(busy_cluster, namespace)
    async with People(busy_cluster.kubeconfig) as people:

        async def create(number):
            body = deployment(f"d{number}", group.name, namespace=namespace)
            code = 429
            while code == 429:  # as client-go does
                code, answer = await people.send("POST", url, body)
                answers.add(code, answer.get("message", ""))
                if code == 429:
                    await asyncio.sleep(1)

        async with bizrqs.recording(), workloads.recording():
            began = time.monotonic()
            await in_parallel(CLIENTS, [lambda number=number: create(number) for number in range(10_000)])
            took = time.monotonic() - began
    instants = Instants(group.name, 1000)
    instants.walk(bizrqs, workloads)
    print(f"{took:.0f} s, {answers}, {instants.seen} instants")
    assert set(answers.counts) <= {201, 403, 429}, answers
    assert answers.counts[201] == 1000
    assert instants.most == 1000
    assert "exceeded quota" in answers.messages[403]
