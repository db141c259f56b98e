"""[A8, P5] surge on the real API server: a rollout at a full quota goes through, and pays for what really ran."""

import json
import time

import pytest

from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until
from tests.support.load import History
from tests.support.recorder import Recorder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BIZRQS = "/apis/quota.bizrq.io/v1/bizgroupresourcequotas"
REPLICAS = 4
HARD = {CPU: str(REPLICAS), "pods": str(REPLICAS), "count/deployments.apps": "1", "cash/limits.cpu": "1000"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A cluster of its own, since the configuration asks about every bizrq in it."""
    with Cluster(tmp_path_factory.mktemp("surge")) as started:
        yield started


@pytest.fixture(scope="module")
def api(guarded):
    guarded.start_operator()
    with guarded.start_webhooks() as webhooks, client(guarded.kubeconfig) as made:
        webhooks.install()
        yield made


@pytest.fixture
def namespace(guarded):
    name = f"t-{time.time_ns():x}"
    guarded.kubectl("create", "namespace", name)
    yield name
    guarded.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def team(api):
    """A root with four cores for four pods, counted once."""
    made = bizrq(api, f"g-{time.time_ns():x}", HARD)
    made.create()
    wait_until(lambda: made.used(CPU) == "0", "the first status", 30)
    return made


def web(team, namespace):
    """A Deployment that is all of the quota, and that rolls out all of its pods before an old one goes."""
    made = deployment("web", team.name, namespace=namespace, replicas=REPLICAS)
    made["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    made["spec"]["minReadySeconds"] = 5
    return made


def run(cluster, namespace, *arguments, stdin=None):
    return cluster.kubectl(*arguments, f"--namespace={namespace}", stdin=stdin)


def running(cluster, namespace):
    """How many pods run, by ReplicaSet."""
    found: dict[str, int] = {}
    for each in json.loads(run(cluster, namespace, "get", "pods", "--output=json"))["items"]:
        if each["status"].get("phase") == "Running" and "deletionTimestamp" not in each["metadata"]:
            owner = each["metadata"]["ownerReferences"][0]["name"]
            found[owner] = found.get(owner, 0) + 1
    return found


def of_team(history, team):
    """Every status that was stored meanwhile."""
    return [
        event.object["status"] for event in history.events if event.object["metadata"]["uid"] == team.metadata["uid"]
    ]


def condition(status, kind):
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found["status"]


async def test_a_rollout_at_a_full_quota_completes_and_pays_for_both_its_replica_sets(guarded, api, team, namespace):
    """No version of the status ever says more than is demanded, and the hours are those of eight pods."""
    with Recorder(api) as recorder:
        run(guarded, namespace, "create", "-f", "-", stdin=json.dumps(web(team, namespace)))
        wait_until(lambda: sum(running(guarded, namespace).values()) == REPLICAS, "all pods run")
        wait_until(lambda: not team.status().get("claims"), "the claim is closed")
        wait_until(lambda: team.status()["cash"]["rate"] == {CPU: "4"}, "four pods are charged")
        with pytest.raises(KubectlFailed, match="exceeded quota"):
            run(guarded, namespace, "scale", "deployment/web", f"--replicas={REPLICAS + 1}")
        async with History(guarded.kubeconfig, BIZRQS).recording() as history:
            run(guarded, namespace, "set", "image", "deployment/web", "main=other")
            wait_until(lambda: sorted(running(guarded, namespace).values()) == [REPLICAS] * 2, "both ReplicaSets run")
            wait_until(lambda: team.status()["cash"]["rate"] == {CPU: "8"}, "eight pods are charged", 5)
            run(guarded, namespace, "rollout", "status", "deployment/web", "--timeout=60s")
            wait_until(lambda: list(running(guarded, namespace).values()) == [REPLICAS], "the old pods are gone")
            wait_until(lambda: team.status()["cash"]["rate"] == {CPU: "4"}, "four pods are charged again", 5)
        statuses = of_team(history, team)
        assert {status["cash"]["rate"][CPU] for status in statuses} >= {"4", "8"}
        for key, limit in {CPU: "4", "pods": "4", "count/deployments.apps": "1"}.items():
            assert {status["used"][key] for status in statuses} == {limit}, key
        assert {condition(status, "OverQuota") for status in statuses} == {"False"}
        assert {condition(status, "SurgeStanding") for status in statuses} == {"False"}, "it did not stand for an hour"
        uid = json.loads(run(guarded, namespace, "get", "deployment/web", "--output=json"))["metadata"]["uid"]
        run(guarded, namespace, "delete", "deployment/web")
        wait_until(lambda: recorder.saw_all_go(namespace), "all pods are gone")
        cost = recorder.cost({uid: {CPU: 1000}})
        assert cost.pods == 2 * REPLICAS
        team.until_ledger_says(cost)
