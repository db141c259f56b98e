"""A watch may break in many ways; the figures are right again soon after, and the process never ends.

The faults are those that end kopf or leave it with stale data. They are put between the controller and the real API
server, on each of the watches it has.
"""

from __future__ import annotations

import re
import time

import pytest
import requests

from testbed import operator_process
from tests.support.bizrqs import ONE_CORE, bizrq, labels_for, tree
from tests.support.fault_proxy import FaultProxy, Rule
from tests.support.kube import deployment, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

RECOVERS_WITHIN = 40.0
"""Seconds: two failures of a reflector cost under 2 s, two deaths of kopf some 8 s."""


def error(code):
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "spoiled"}}


FAULTS = {
    "410 inside the stream": {"event": error(410)},
    "500 inside the stream": {"event": error(500)},
    "429 inside the stream": {"event": error(429)},
    "410 to the request": {"status": 410},
    "404 to the request": {"status": 404},
    "403 to the request": {"status": 403},
    "503 to the request": {"status": 503},
    "a line cut in the middle": {"cut": True},
    "a connection closed without an answer": {"abort": True},
}
WATCHES = ["/api/v1/pods", "/apis/apps/v1/replicasets", "/apis/apps/v1/deployments", "bizgroupresourcequotas"]


class Proxied:
    """A controller behind the proxy."""

    def __init__(self, proxy, operator):
        self.proxy, self.operator = proxy, operator

    def metric(self, name):
        text = requests.get(self.operator.metrics_url, timeout=10).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def is_up(self):
        return self.operator.exit_code() is None


@pytest.fixture(scope="module")
def proxied(cluster, tmp_path_factory):
    operator_process.install(cluster.kubectl)
    with FaultProxy(cluster.kubeconfigs["bizrq-controller"], tmp_path_factory.mktemp("proxy")) as proxy:
        operator = operator_process.start(cluster.state, proxy.kubeconfig, "operator-behind-faults",
                                          ["--resync-seconds", "600"])  # fmt: skip
        yield Proxied(proxy, operator)
        assert operator.terminate() == 0


def figures(group):
    status = group.status()
    return status.get("used", {}).get("limits.cpu"), status.get("cash", {}).get("rate", {}).get("limits.cpu")


def until_all_is(group, cores):
    wait_until(lambda: figures(group) == (cores, cores), f"{cores} cores used and charged", RECOVERS_WITHIN)


@pytest.mark.parametrize("watch", WATCHES, ids=lambda path: path.rsplit("/", 1)[-1])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_figures_are_right_again_after(proxied, admin, namespace, fault, watch):
    """[R1, C5] nothing is missed for good, whatever happens to a watch."""
    name = namespace.removeprefix("t-")
    with tree(bizrq(admin, f"watch-{name}", {"limits.cpu": "50", "cash/limits.cpu": "100"})) as (group,):
        made = deployment(admin, "web", namespace=namespace, replicas=3, labels=labels_for(group.name), spec=ONE_CORE)
        made.create()
        until_all_is(group, "3")
        with proxied.proxy.spoil(Rule(watch, times=2, watch=True, labelled="deployments" in watch, **fault)) as (rule,):
            proxied.proxy.break_streams()
            made.reload()
            made.patch({"spec": {"replicas": 5}})
            wait_until(lambda: rule.hits == 2, "the watch was opened twice, in vain", RECOVERS_WITHIN)
        until_all_is(group, "5")
        group.reload()
        group.patch({"spec": {"hard": {"limits.cpu": "40"}}})
        wait_until(lambda: group.status()["hard"].get("limits.cpu") == "40", "the new hard", RECOVERS_WITHIN)
        assert proxied.is_up()


def test_pods_deleted_while_the_watch_was_away_are_found_by_the_next_list(proxied, admin, namespace):
    """[C6] a list after a 410 is compared with what is held; nobody tells of what went between."""
    with tree(bizrq(admin, "watch-gap", {"limits.cpu": "50", "cash/limits.cpu": "100"})) as (group,):
        made = deployment(admin, "web", namespace=namespace, replicas=4, labels=labels_for(group.name), spec=ONE_CORE)
        made.create()
        until_all_is(group, "4")
        wait_until(lambda: proxied.metric('bizrq_objects{resource="pods"}') == 4, "no pods of other tests are left", 60)
        vanished = proxied.metric("bizrq_pods_vanished")
        away, gone = (
            Rule("/api/v1/pods", times=3, watch=True, labelled=False, status=503),
            Rule("/api/v1/pods", event=error(410), watch=True, labelled=False),
        )
        with proxied.proxy.spoil(away, gone):
            proxied.proxy.break_streams()
            wait_until(lambda: away.hits, "the watch is away", RECOVERS_WITHIN)
            made.reload()
            made.patch({"spec": {"replicas": 1}})
            wait_until(lambda: gone.hits, "the watch was answered 410", RECOVERS_WITHIN)
        until_all_is(group, "1")
        assert proxied.metric("bizrq_pods_vanished") == vanished + 3
        ledger = int(group.status()["cash"]["ledger"]["limits.cpu"])
        time.sleep(2)
        assert int(group.status()["cash"]["ledger"]["limits.cpu"]) >= ledger


def test_a_page_of_a_list_may_expire(proxied, admin, namespace):
    """410 to a continue token: begin anew."""
    lists = proxied.metric('bizrq_reflector_lists_total{resource="pods"}')
    with proxied.proxy.spoil(
        Rule("/api/v1/pods", event=error(410), watch=True, labelled=False),
        Rule("/api/v1/pods", watch=False, labelled=False, status=410),
    ):
        proxied.proxy.break_streams()
        wait_until(lambda: proxied.metric('bizrq_reflector_lists_total{resource="pods"}') == lists + 1, "a list", 40)
    assert proxied.is_up()


def test_kopf_was_started_again_and_the_process_is_the_same(proxied):
    """Several of the faults above end kopf."""
    assert proxied.metric("bizrq_kopf_restarts_total") > 0
    assert proxied.is_up()
