"""[P3, A15] RuntimeClasses with overhead, and pods above their template, on the real API server."""

import functools
import json
import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A cluster of its own, since the configuration asks about every bizrq in it."""
    with Cluster(tmp_path_factory.mktemp("overhead")) as started:
        yield started


@pytest.fixture(scope="module")
def operator(guarded):
    return guarded.start_operator(["--resync-seconds=2"])


@pytest.fixture(scope="module")
def api(guarded, operator):
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
    """A root with ten cores, counted once."""
    hard = {CPU: "10", "requests.ephemeral-storage": "100Gi", "cash/limits.cpu": "1000"}
    made = bizrq(api, f"g-{time.time_ns():x}", hard)
    made.create()
    wait_until(lambda: made.used(CPU) == "0", "the first status", 30)
    return made


@pytest.fixture
def kata(guarded):
    """A RuntimeClass that adds a quarter of a core to each pod."""
    name = f"kata-{time.time_ns():x}"
    made = {
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m"}},
    }  # fmt: skip
    apply(guarded, made)
    yield name
    guarded.kubectl("delete", "runtimeclass", name, "--ignore-not-found")


def apply(cluster, *objects):
    return cluster.kubectl(
        "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    )


def of_class(name, team, namespace, kata, replicas):
    made = deployment(name, team.name, namespace=namespace, replicas=replicas)
    made["spec"]["template"]["spec"]["runtimeClassName"] = kata
    return made


def pods_of(cluster, namespace):
    return json.loads(cluster.kubectl("get", "pods", f"--namespace={namespace}", "--output=json"))["items"]


def series(operator, name, team):
    """Values of a metric for a bizrq, by key where it has one; nothing while it is not shown."""
    families = text_string_to_metric_families(requests.get(operator.metrics_url, timeout=10).text)
    return {
        sample.labels.get("key", ""): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels["bizrq"] == team.name
    }


def until_above(operator, team, pods, amounts):
    """Wait for both metrics of a bizrq; they follow a resync."""
    wait_until(lambda: series(operator, "bizrq_pods_above_template", team) == {"": pods}, f"{pods} pods are above")
    wait_until(lambda: series(operator, "bizrq_pods_above_template_amount", team) == amounts, f"by {amounts}")


def patch(cluster, what, change, *arguments):
    cluster.kubectl("patch", what, "--type=merge", f"--patch={json.dumps(change)}", *arguments)


# --- RuntimeClasses --------------------------------------------------------------------------------------------------


def test_overhead_is_claimed_counted_and_charged(guarded, operator, team, namespace, kata):
    """[P3] by the webhook, by the controller, and in cash: the same figure."""
    with pytest.raises(KubectlFailed, match=r"requested: limits.cpu=11250m.*the largest replica count that fits is 8"):
        apply(guarded, of_class("web", team, namespace, kata, 9))
    apply(guarded, of_class("web", team, namespace, kata, 4))
    assert team.used(CPU) == "5", "claimed before the answer [A3]"
    wait_until(lambda: not team.status().get("claims"), "the claim is closed")
    assert team.used(CPU) == "5"
    wait_until(lambda: team.status()["cash"].get("rate") == {CPU: "5"}, "four pods are charged with overhead")
    assert [each["spec"]["overhead"] for each in pods_of(guarded, namespace)] == [{"cpu": "250m"}] * 4
    guarded.kubectl("scale", "deployment/web", "--replicas=8", f"--namespace={namespace}")
    assert team.used(CPU) == "10"
    with pytest.raises(KubectlFailed, match=r"requested: limits.cpu=1250m, used: limits.cpu=10"):
        guarded.kubectl("scale", "deployment/web", "--replicas=9", f"--namespace={namespace}")
    wait_until(lambda: series(operator, "bizrq_pods_above_template", team) == {"": 0}, "overhead is in the template")


def test_a_class_whose_overhead_changes_changes_what_is_used(guarded, team, namespace, kata):
    """[P3, R1] only its handler is immutable; what grows nothing is not refused then [A5]."""
    apply(guarded, of_class("web", team, namespace, kata, 8))
    wait_until(lambda: not team.status().get("claims"), "the claim is closed")
    patch(guarded, f"runtimeclass/{kata}", {"overhead": {"podFixed": {"cpu": "500m"}}})
    wait_until(lambda: team.used(CPU) == "12", "eight pods of one and a half", 5)
    patch(guarded, "deployment/web", {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}},
          f"--namespace={namespace}")  # fmt: skip
    with pytest.raises(KubectlFailed, match="handler"):
        patch(guarded, f"runtimeclass/{kata}", {"handler": "other"})
    guarded.kubectl("delete", "runtimeclass", kata)
    # A class that is not there adds nothing to the demand; the pods that were made with it hold it still [P5].
    wait_until(lambda: team.status().get("leftovers"), "the demand fell, and the charge stays", 5)
    assert team.used(CPU) == "12"
    guarded.kubectl("scale", "deployment/web", "--replicas=0", f"--namespace={namespace}")
    wait_until(lambda: team.used(CPU) == "0", "the pods are gone")


def test_a_template_that_states_another_overhead_gets_no_pods(guarded, team, namespace, kata):
    """[P3] so that what it states is right for all of its pods."""
    made = of_class("web", team, namespace, kata, 2)
    made["spec"]["template"]["spec"]["overhead"] = {"cpu": "1m"}
    apply(guarded, made)
    assert team.used(CPU) == "2002m"

    def events():
        return guarded.kubectl("get", "events", f"--namespace={namespace}", "--output=jsonpath={.items[*].message}")

    wait_until(lambda: "Overhead doesn't match RuntimeClass's defined Overhead" in events(), "pods are refused")
    assert pods_of(guarded, namespace) == []


# --- pods above their template ---------------------------------------------------------------------------------------


def test_the_default_of_a_limit_range_is_seen_in_the_metric(guarded, operator, team, namespace):
    """[P3] it is on the pods, and in no template."""
    apply(guarded, {
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults", "namespace": namespace},
        "spec": {"limits": [{"type": "Container", "default": {"ephemeral-storage": "2Gi"},
                             "defaultRequest": {"ephemeral-storage": "1Gi"}}]},
    })  # fmt: skip
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=3))
    until_above(operator, team, 3, {"requests.ephemeral-storage": 3 * 2**30})
    guarded.kubectl("delete", "deployment/web", f"--namespace={namespace}")
    until_above(operator, team, 0, {})


def test_a_pod_that_is_resized_upwards_is_seen_in_the_metric(guarded, operator, team, namespace):
    """[A15] and it is not seen any more when it is resized back."""
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=2))
    pods = wait_until(lambda: running(guarded, namespace, 2), "two pods run")
    until_above(operator, team, 0, {})
    resize = functools.partial(resized, guarded, namespace, pods[0]["metadata"]["name"])
    resize("3500m")
    until_above(operator, team, 1, {CPU: 2.5})
    assert team.used(CPU) == "2", "the charge stays that of the template"
    resize("1")
    until_above(operator, team, 0, {})


def test_a_rollout_to_smaller_pods_is_no_news(guarded, operator, team, namespace):
    """[P3] while old pods are there, they are what their own template said."""
    made = deployment("web", team.name, namespace=namespace, replicas=3, cores=2)
    made["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    made["spec"]["minReadySeconds"] = 2
    apply(guarded, made)
    wait_until(lambda: running(guarded, namespace, 3), "three pods run")
    until_above(operator, team, 0, {})
    template = made["spec"]["template"]
    template["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "1"
    patch(guarded, "deployment/web", {"spec": {"template": template}}, f"--namespace={namespace}")
    shown = set()

    def is_done():
        shown.add(series(operator, "bizrq_pods_above_template", team).get(""))
        cores = [pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] for pod in pods_of(guarded, namespace)]
        return cores == ["1"] * 3

    wait_until(is_done, "the rollout is done", 60)
    assert shown == {0.0}


def running(cluster, namespace, count):
    pods = [each for each in pods_of(cluster, namespace) if each["status"].get("phase") == "Running"]
    return pods if len(pods) == count else None


def resized(cluster, namespace, name, cpu):
    """Resize a pod in place, as its owner may: the kubelet must have said that it can, which a kwok node does not."""
    resources = {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}
    for sub_resource, change in (
        ("status", {"status": {"containerStatuses": [{"name": "main", "resources": resources}]}}),
        ("resize", {"spec": {"containers": [{"name": "main", "resources": resources}]}}),
    ):
        cluster.kubectl("patch", f"pod/{name}", f"--subresource={sub_resource}", "--type=strategic",
                        f"--patch={json.dumps(change)}", f"--namespace={namespace}")  # fmt: skip
