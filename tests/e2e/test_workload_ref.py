"""A Rollout whose template is that of a Deployment, under the real controller of Argo Rollouts [A1, A4]."""

import json

import pytest

from bizrq.domain.bizrq import LABEL
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.parts("rollouts")]

CPU = "limits.cpu"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of its own with Argo Rollouts."""
    with Cluster(tmp_path_factory.mktemp("workload-ref"), nodes=2, pieces=("rollouts",)) as started:
        started.start_operator([])
        with started.start_webhooks() as webhooks:
            webhooks.install()
            yield started


@pytest.fixture
def api(cluster):
    with client(cluster.kubeconfig) as api:
        yield api


def deployment(cpu, replicas=0, name="web"):
    container = {"name": "main", "image": "none", "resources": {"limits": {"cpu": cpu}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {LABEL: "team"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def rollout(replicas, of="web"):
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "labels": {LABEL: "team"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": of}},
            "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": 1}}]}},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of},
        },
    }


def test_growth_of_the_deployment_behind_a_workload_ref_beyond_quota_is_refused(cluster, api):
    team = bizrq(api, "team", hard={CPU: "10"})
    team.create()

    def status():
        team.reload()
        return team.obj.get("status") or {}

    def settled(used):
        return status().get("used") == {CPU: used} and not status().get("claims")

    def apply(raw):
        return cluster.kubectl("apply", "--filename=-", stdin=json.dumps(raw))

    wait_until(lambda: status().get("used"), "the bizrq is counted")
    with pytest.raises(KubectlFailed, match="its template is that of Deployment web, which is not there"):
        apply(rollout(3))
    apply(deployment("1"))
    apply(rollout(3))
    wait_until(lambda: settled("3"), "the Rollout is charged with the template of the Deployment")

    def ready():
        found = json.loads(cluster.kubectl("get", "rollout", "web", "--output=json"))
        return found.get("status", {}).get("readyReplicas") == 3 and found["status"].get("phase") == "Healthy"

    wait_until(ready, "Argo Rollouts runs its pods", 90)

    with pytest.raises(KubectlFailed, match=r"exceeded quota: team, requested: limits.cpu=9, used: limits.cpu=3"):
        apply(deployment("4"))
    assert settled("3")

    apply(deployment("3"))  # at 9 of 10: to the brim but for one
    wait_until(lambda: settled("9"), "growth of the template is growth of the Rollout")
    with pytest.raises(KubectlFailed, match=r"exceeded quota: team, requested: limits.cpu=3, used: limits.cpu=9"):
        cluster.kubectl("scale", "rollout", "web", "--replicas=4")
    with pytest.raises(KubectlFailed, match=r"may not leave team while its template is that of rollouts.argoproj.io"):
        cluster.kubectl("label", "deployment", "web", "--overwrite", f"{LABEL}=other")

    def pods():
        found = json.loads(cluster.kubectl("get", "pods", "--output=json"))["items"]
        return [each["spec"]["containers"][0]["resources"]["limits"]["cpu"] for each in found]

    wait_until(lambda: pods() == ["3"] * 3 and ready(), "the canary goes through at a full quota", 90)
    wait_until(lambda: settled("9"), "and nothing else is charged")
    cluster.kubectl("scale", "rollout", "web", "--replicas=0")
    wait_until(lambda: settled("0"), "a Rollout without pods demands nothing", 60)
