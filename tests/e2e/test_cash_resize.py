"""A pod that is resized in place on the real API server is charged in segments [C1]."""

from __future__ import annotations

import time
from itertools import pairwise

import pykube
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bizrq.domain.times import timestamp
from tests.support.bizrqs import ONE_CORE, bizrq, labels_for, tree
from tests.support.kube import deployment, wait_until
from tests.support.recorder import Recorder, start_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CPU = "limits.cpu"
STEP = 4.0


class Resizable:
    """The one pod of a Deployment, with the test in the kubelet's place: kwok's nodes enact no resize."""

    def __init__(self, api: pykube.HTTPClient, namespace: str) -> None:
        self.pod = wait_until(lambda: self._running(api, namespace), "the pod runs")
        self.node_says("1", allocated="1")  # a pod whose node says nothing of it cannot be resized

    def _running(self, api, namespace):
        found = list(pykube.Pod.objects(api).filter(namespace=namespace))
        return found[0] if len(found) == 1 and found[0].obj["status"].get("phase") == "Running" else None

    def asks(self, cores: str) -> None:
        """As its owner may, at ``pods/resize``."""
        self.pod.reload()
        (container,) = self.pod.obj["spec"]["containers"]
        resources = {kind: {**amounts, "cpu": cores} for kind, amounts in container["resources"].items()}
        self.pod.patch({"spec": {"containers": [{**container, "resources": resources}]}}, subresource="resize")

    def node_says(self, actual: str, *, allocated: str, resizing: bool = False, refused: bool = False) -> None:
        """As the kubelet reports what it does."""
        self.pod.reload()
        (container,) = self.pod.obj["spec"]["containers"]
        status = self.pod.obj["status"]
        resources = {kind: {**amounts, "cpu": actual} for kind, amounts in container["resources"].items()}
        told = {**status["containerStatuses"][0], "resources": resources,
                "allocatedResources": {**container["resources"]["requests"], "cpu": allocated}}  # fmt: skip
        conditions = [each for each in status["conditions"] if not each["type"].startswith("PodResize")]
        now = timestamp(int(time.time()))
        if resizing:
            conditions.append({"type": "PodResizeInProgress", "status": "True", "lastTransitionTime": now})
        if refused:
            conditions.append(
                {"type": "PodResizePending", "status": "True", "reason": "Infeasible", "lastTransitionTime": now}
            )
        self.pod.patch({"status": {"containerStatuses": [told], "conditions": conditions}}, subresource="status")


def milli_held(pod):
    """What it holds, worked out a second time: the most of the three, without the spec where that was refused."""
    milli = {"1": 1000, "3": 3000, "4": 4000, "500m": 500}
    asked = milli[pod["spec"]["containers"][0]["resources"]["limits"]["cpu"]]
    (told,) = pod["status"].get("containerStatuses") or [{}]
    actual = milli[told["resources"]["limits"]["cpu"]] if "resources" in told else asked
    refused = any(each.get("reason") == "Infeasible" for each in pod["status"].get("conditions", ()))
    return actual if refused else max(asked, actual)


def expected(life):
    """What its limits cost, and by how much that may be off: each change was observed twice, a second apart at most."""
    seconds, by_arrival = life.seconds()
    start = next(at for at in (start_of(each) for _, _, each in life.versions) if at is not None)
    changes = [(start, milli_held(life.versions[0][2]))]
    for arrived, _, pod in life.versions:
        if milli_held(pod) != changes[-1][1]:
            changes.append((int(arrived), milli_held(pod)))
    end = start + seconds
    cost = sum(milli * (min(until, end) - since) for (since, milli), (until, _) in pairwise([*changes, (end, 0)]))
    slack = sum(abs(then - before) for (_, before), (_, then) in pairwise(changes))
    return cost, slack + by_arrival * changes[-1][1], [milli for _, milli in changes]


def inexact_ends(operator):
    text = requests.get(operator.metrics_url, timeout=5).text
    return {
        sample.labels["source"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "bizrq_cash_inexact_ends_total"
    }


def test_a_pod_that_is_resized_in_place_costs_what_it_held_when(cluster, admin, namespace):
    """Up, down, and a resize that its node refuses; the limit is that of its containers, not what they ask for."""
    operator = cluster.start_operator(["--resync-seconds", "5"])
    with tree(bizrq(admin, f"resize-{namespace}", {f"cash/{CPU}": "1000"})) as (group,), Recorder(admin) as recorder:
        made = deployment(admin, "web", namespace=namespace, labels=labels_for(group.name), spec=ONE_CORE)
        made.create()
        resizable = Resizable(admin, namespace)
        time.sleep(STEP)
        resizable.asks("3")  # from here on it holds 3
        resizable.node_says("1", allocated="3", resizing=True)
        resizable.node_says("3", allocated="3")
        time.sleep(STEP)
        resizable.asks("500m")
        resizable.node_says("3", allocated="500m", resizing=True)
        time.sleep(STEP)
        resizable.node_says("500m", allocated="500m")  # and only from here on half a core
        time.sleep(STEP)
        resizable.asks("4")
        time.sleep(STEP / 2)
        resizable.node_says("500m", allocated="500m", refused=True)
        time.sleep(STEP)
        wait_until(lambda: group.status()["cash"]["rate"].get(CPU) == "500m", "half a core is charged")
        before = inexact_ends(operator)["deletion_request"]
        made.delete()
        wait_until(lambda: recorder.saw_all_go(namespace), "the recorder saw the pod go")
        wait_until(lambda: group.status()["cash"]["rate"].get(CPU) == "0", "nothing is charged any more")
        (life,) = [each for each in recorder.lives.values() if each.last["metadata"]["namespace"] == namespace]
        cost, slack, held = expected(life)
        assert held == [1000, 3000, 500, 4000, 500]
        ledger = int(group.status()["cash"]["ledger"][CPU])
        assert abs(ledger - cost) <= slack, f"{ledger} instead of {cost}; two observers may differ by {slack}"
        wait_until(lambda: inexact_ends(operator)["deletion_request"] == before + 1, "a forced end is counted")
    assert operator.terminate() == 0
