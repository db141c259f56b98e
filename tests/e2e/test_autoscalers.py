"""[A10] HorizontalPodAutoscalers and their real controller. There are no metrics: ``minReplicas`` makes it scale up."""

import asyncio
import json
import re
import time

import pytest
import requests
import yaml

from testbed import definitions
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until
from tests.support.load import People

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOOKS_WITHIN = 120
"""Seconds: the controller looks at each autoscaler every 15 s, and may first have to hear of a new kind."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A cluster of its own, with the CRD of Rollouts; its objects are scaled without their controller."""
    with Cluster(tmp_path_factory.mktemp("autoscalers")) as started:
        for file in definitions.files("rollouts"):
            started.kubectl("apply", "--server-side", f"--filename={file}")
        started.start_operator(["--resync-seconds=2"])
        yield started


@pytest.fixture(scope="module")
def webhooks(guarded):
    with guarded.start_webhooks() as started:
        started.install()
        yield started


@pytest.fixture(scope="module")
def api(guarded):
    with client(guarded.kubeconfig) as made:
        yield made


@pytest.fixture
def namespace(guarded):
    name = f"t-{time.time_ns():x}"
    guarded.kubectl("create", "namespace", name)
    yield name
    guarded.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def team(api, webhooks):
    """A root with three cores, counted once."""
    made = bizrq(api, f"g-{time.time_ns():x}", {CPU: "3"})
    made.create()
    wait_until(lambda: made.used(CPU) == "0", "the first status", 30)
    return made


def hpa(namespace, *, most, least=1, api_version="apps/v1", kind="Deployment"):
    """In autoscaling/v1: the configuration asks for v2, and the API server converts."""
    target = {"apiVersion": api_version, "kind": kind, "name": "web"}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaler", "namespace": namespace},
        "spec": {"maxReplicas": most, "minReplicas": least, "scaleTargetRef": target},
    }


def workload(namespace, team, kind):
    made = deployment("web", team.name, namespace=namespace)
    return made if kind == "Deployment" else {**made, "apiVersion": "argoproj.io/v1alpha1", "kind": kind}


def create(cluster, *objects):
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    return cluster.kubectl("create", "--filename=-", stdin=items)


def warned(cluster, *requests):
    """What each request is warned of, as one text; all must be done."""

    async def send():
        texts = []
        async with People(cluster.kubeconfig) as people:
            for method, path, body in requests:
                people.warnings.clear()
                kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
                status, answer = await people.send(method, path, body, kind)
                assert status in {200, 201}, answer
                texts.append(" ".join(re.sub(r'^299 - "(.*)"$', r"\1", each) for each in people.warnings))
        return texts

    return asyncio.run(send())


def test_a_maximum_that_does_not_fit_is_answered_with_the_largest_that_does(guarded, team, namespace):
    """[A10] whatever version of the API it comes in, and only where it asks for more."""
    create(guarded, deployment("web", team.name, namespace=namespace))
    wait_until(lambda: not team.status().get("claims"), "the Deployment was seen", 10)
    url = f"/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers"
    v2 = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/scaler"
    created, lowered, annotated, raised = warned(
        guarded,
        ("POST", url, hpa(namespace, most=10)),
        ("PATCH", v2, {"spec": {"maxReplicas": 3}}),
        ("PATCH", v2, {"metadata": {"annotations": {"note": "x"}}}),
        ("PATCH", v2, {"spec": {"maxReplicas": 4}}),
    )
    assert created == (
        f"maxReplicas 10: deployments.apps/{namespace}/web could not be scaled so far now: exceeded quota: "
        f"{team.name}, requested: limits.cpu=9, used: limits.cpu=1, limited: limits.cpu=3; the largest replica "
        "count that fits is 3: set the autoscaler's maxReplicas to at most 3"
    )
    assert (lowered, annotated) == ("", "")
    assert "requested: limits.cpu=3" in raised
    assert (team.used(CPU), team.status().get("claims") or []) == ("1", []), "nothing is claimed"


def test_it_is_refused_where_so_configured_and_quiet_before_its_target_is_there(guarded, webhooks, team, namespace):
    """[A10]"""
    try:
        with guarded.start_webhooks(1, ["--autoscalers=refuse"], install=False) as strict:
            strict.install()
            create(guarded, hpa(namespace, most=10))
            guarded.kubectl("delete", "hpa", "scaler", "-n", namespace)
            create(guarded, deployment("web", team.name, namespace=namespace))
            with pytest.raises(KubectlFailed, match=r"autoscalers\.quota\.bizrq\.io.*maxReplicas to at most 3"):
                create(guarded, hpa(namespace, most=10))
            create(guarded, hpa(namespace, most=3))
    finally:
        webhooks.install()  # in place of the configuration that went with the others


@pytest.mark.parametrize("kind", ["Deployment", "Rollout"])
def test_an_autoscaler_gets_all_or_nothing_and_says_which_maximum_would_fit(guarded, webhooks, team, namespace, kind):
    """[A9, A10] Five replicas are wanted, and three fit: it stays at one, until three are wanted."""
    made = workload(namespace, team, kind)
    resource = {"Deployment": "deployments.apps", "Rollout": "rollouts.argoproj.io"}[kind]
    create(guarded, made, hpa(namespace, most=5, least=5, api_version=made["apiVersion"], kind=kind))

    def able():
        found = json.loads(guarded.kubectl("get", "hpa.v2.autoscaling", "scaler", "-n", namespace, "-o=json"))
        conditions = found["status"].get("conditions") or []
        return next((each for each in conditions if each["type"] == "AbleToScale"), {"reason": "", "message": ""})

    def count():
        return guarded.kubectl("get", resource, "web", "-n", namespace, "-o=jsonpath={.spec.replicas}")

    wait_until(lambda: able()["reason"] == "FailedUpdateScale", "the autoscaler was refused", LOOKS_WITHIN)
    refusal = (
        f"exceeded quota: {team.name}, requested: limits.cpu=4, used: limits.cpu=1, limited: limits.cpu=3; the largest "
        "replica count that fits is 3: set the autoscaler's maxReplicas to at most 3"
    )
    assert refusal in able()["message"]
    assert (count(), team.used(CPU)) == ("1", "1"), "not a part of it"
    events = guarded.kubectl("get", "events", "-n", namespace, "--field-selector=reason=FailedRescale", "-o=yaml")
    assert any(refusal in each["message"] for each in yaml.safe_load(events)["items"])
    assert refusals(webhooks, team, resource, namespace) >= 1

    patch = '--patch={"spec":{"minReplicas":3,"maxReplicas":3}}'
    guarded.kubectl("patch", "hpa", "scaler", "-n", namespace, "--type=merge", patch)
    wait_until(lambda: count() == "3", "it has what fits", LOOKS_WITHIN)
    assert team.used(CPU) == "3"


def refusals(webhooks, team, resource, namespace):
    """So many were counted of the one workload there."""
    labels = f'bizrq="{team.name}",name="web",namespace="{namespace}",resource="{resource}"'
    shown = [
        line for each in webhooks.replicas for line in requests.get(each.metrics_url, timeout=10).text.splitlines()
    ]
    return sum(
        float(line.split()[-1]) for line in shown if line.startswith(f"bizrq_autoscaler_refusals_total{{{labels}}}")
    )


def test_while_no_webhook_answers_autoscalers_are_stored(guarded, webhooks, team, namespace):
    """[A10] its entry ignores failures, unlike all others."""
    create(guarded, deployment("web", team.name, namespace=namespace))
    for replica in webhooks.replicas:
        replica.kill9()
    try:
        create(guarded, hpa(namespace, most=10))
        with pytest.raises(KubectlFailed, match="failed calling webhook"):
            create(guarded, deployment("more", team.name, namespace=namespace))
    finally:
        for index in range(len(webhooks.replicas)):
            webhooks.restart(index)
