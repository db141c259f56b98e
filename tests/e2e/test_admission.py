"""Admission on the real API server: two webhook replicas, a controller, ordinary clients."""

import asyncio
import base64
import contextlib
import json
import ssl
import time
import urllib.error
import urllib.request

import pytest

from bizrq.domain.bizrq import GROUP, LABEL, PLURAL
from testbed import operator_process
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.admission_review import make_review
from tests.support.bizrqs import ONE_CORE, bizrq, labels_for
from tests.support.instants import CPU, deployment
from tests.support.kube import client, job, wait_until
from tests.support.load import Answers, People, in_parallel
from tests.support.reviews import recording_webhook

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

GONE_WITHIN = 120
"""Seconds in which the claim of a request that failed must be gone."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A cluster of its own, since the configuration asks about every bizrq in it."""
    with Cluster(tmp_path_factory.mktemp("admission")) as started:
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
    """A root with ten cores, counted once."""
    made = bizrq(api, f"g-{time.time_ns():x}", {CPU: "10", "pods": "100"})
    made.create()
    wait_until(lambda: made.used(CPU) == "0", "the first status", 30)
    return made


def apply(cluster, *objects):
    """What kubectl says to it, or the refusal."""
    try:
        return cluster.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        )
    except KubectlFailed as refusal:
        return str(refusal)


def told(cluster, *arguments, stdin=""):
    """What kubectl says, whether it did it or not."""
    try:
        return cluster.kubectl(*arguments, stdin=stdin)
    except KubectlFailed as refusal:
        return str(refusal)


def is_free_of_claims(team):
    return lambda: not team.status().get("claims") and team.used(CPU) == "0"


# --- what people see -------------------------------------------------------------------------------------------------


def test_a_deployment_that_does_not_fit_is_refused_with_the_count_that_fits(guarded, team, namespace):
    """[A2] ResourceQuota's words, then the largest replica count; and that count is admitted."""
    refusal = apply(guarded, deployment("web", team.name, namespace=namespace, replicas=12))
    assert refusal.endswith(
        f"exceeded quota: {team.name}, requested: limits.cpu=12, used: limits.cpu=0, limited: limits.cpu=10; "
        "the largest replica count that fits is 10"
    )
    assert "Error from server (Forbidden)" in refusal
    assert "created" in apply(guarded, deployment("web", team.name, namespace=namespace, replicas=10))
    assert team.used(CPU) == "10", "claimed before the answer [A3]"


def test_scale_is_checked_as_an_update_of_its_parent(guarded, team, namespace):
    """[A9]"""
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=4))
    guarded.kubectl("scale", "deployment/web", "--replicas=10", f"--namespace={namespace}")
    assert team.used(CPU) == "10"
    with pytest.raises(KubectlFailed, match=r"requested: limits.cpu=1, used: limits.cpu=10.*that fits is 10"):
        guarded.kubectl("scale", "deployment/web", "--replicas=11", f"--namespace={namespace}")
    guarded.kubectl("scale", "deployment/web", "--replicas=0", f"--namespace={namespace}")
    wait_until(lambda: team.used(CPU) == "0", "scaled down", 10)
    guarded.kubectl("scale", "deployment/web", "--replicas=3", f"--namespace={namespace}")
    assert team.used(CPU) == "3", "a Scale from 0 leaves replicas out"


def test_a_job_is_admitted_whole_or_refused_whole(guarded, team, namespace, api):
    """Every kind in the registry [A1]."""
    made = job(api, "train", namespace=namespace, labels=labels_for(team.name), spec=ONE_CORE).obj
    made["spec"] |= {"parallelism": 11, "completions": 11}
    assert "requested: limits.cpu=11, used: limits.cpu=0, limited: limits.cpu=10" in apply(guarded, made)
    made["spec"] |= {"parallelism": 10}
    assert "created" in apply(guarded, made)


def test_moving_to_another_group_is_charged_there_in_full(guarded, team, namespace, api):
    """[A1] A label move: the new group has room for all of it, or refuses."""
    small = bizrq(api, f"{team.name}-small", {CPU: "5"})
    small.create()
    wait_until(lambda: small.used(CPU) == "0", "the first status", 30)
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=6))
    move = ("label", "deployment/web", f"{LABEL}={small.name}", "--overwrite", f"--namespace={namespace}")
    with pytest.raises(KubectlFailed, match=f"exceeded quota: {small.name}, requested: limits.cpu=6"):
        guarded.kubectl(*move)
    guarded.kubectl("scale", "deployment/web", "--replicas=5", f"--namespace={namespace}")
    guarded.kubectl(*move)
    assert small.used(CPU) == "5"
    wait_until(lambda: team.used(CPU) == "0", "the old group is free", 10)


def test_a_dry_run_is_answered_as_it_would_be_and_claims_nothing(guarded, team, namespace):
    """[A5]"""
    for replicas, answer in ((10, "created (server dry run)"), (11, "exceeded quota")):
        made = json.dumps(deployment("web", team.name, namespace=namespace, replicas=replicas))
        try:
            told = guarded.kubectl("create", "--dry-run=server", "-f", "-", stdin=made)
        except KubectlFailed as refusal:
            told = str(refusal)
        assert answer in told
    assert team.used(CPU) == "0"
    assert not team.status().get("claims")


def test_a_warning_is_shown_at_ninety_per_cent(guarded, team, namespace):
    answers = []

    async def create():
        async with People(guarded.kubeconfig) as people:
            body = deployment("web", team.name, namespace=namespace, replicas=9)
            answers.append(await people.send("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", body))
            return people.warnings

    assert any("90 % of limits.cpu is used (9 of 10)" in each for each in asyncio.run(create()))
    assert answers[0][0] == 201


# --- requests that fail after they were granted ----------------------------------------------------------------------


def test_the_claim_of_a_request_that_native_quota_refuses_is_gone_within_two_minutes(guarded, team, namespace):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace}}
    apply(guarded, {**quota, "spec": {"hard": {"count/deployments.apps": "0"}}})

    def refused():
        return "exceeded quota: none" in apply(guarded, deployment("web", team.name, namespace=namespace))

    wait_until(refused, "the native quota is in force", 10)
    wait_until(is_free_of_claims(team), "the claim is gone", GONE_WITHIN)


def test_the_claim_of_a_request_that_another_webhook_denies_is_gone_within_two_minutes(
    guarded, team, namespace, tmp_path
):
    with recording_webhook(tmp_path, allows=False) as other, denying(guarded, namespace, other):
        wait_until(
            lambda: "denied the request" in apply(guarded, deployment("web", team.name, namespace=namespace)),
            "the other webhook is asked", 10,
        )  # fmt: skip
        assert team.status()["claims"], "it was granted, and then denied by another"
    wait_until(is_free_of_claims(team), "the claim is gone", GONE_WITHIN)


@contextlib.contextmanager
def denying(cluster, namespace, other):
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["CREATE"]}
    config = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "other"},
        "webhooks": [
            {
                "name": "other.example.com",
                "clientConfig": {
                    "url": other.url,
                    "caBundle": base64.b64encode(other.authority.read_bytes()).decode(),
                },
                "rules": [rule],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    apply(cluster, config)
    try:
        yield
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", "other")


def test_a_thousand_creates_of_a_name_that_is_there_leave_at_most_one_claim(guarded, team, namespace):
    """[A4] And that one is gone within two minutes."""
    apply(guarded, deployment("web", team.name, namespace=namespace))
    wait_until(lambda: not team.status().get("claims"), "the first one is seen", 10)
    answers = Answers()
    most = 0

    async def main():
        nonlocal most
        async with People(guarded.kubeconfig) as people:

            async def create():
                body = deployment("web", team.name, namespace=namespace)
                code, answer = await people.send("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", body)
                answers.add(code, answer.get("message", ""))

            async def look():
                nonlocal most
                while True:
                    claims = await asyncio.to_thread(lambda: team.status().get("claims") or [])
                    most = max(most, len(claims))
                    await asyncio.sleep(0.05)

            looking = asyncio.create_task(look())
            await in_parallel(64, [create] * 1000)
            looking.cancel()

    asyncio.run(main())
    assert answers.counts == {409: 1000}, answers
    assert most <= 1
    assert len(team.status().get("claims") or []) <= 1
    wait_until(lambda: not team.status().get("claims"), "the claim is gone", GONE_WITHIN)
    wait_until(lambda: team.used(CPU) == "1", "what no pod holds is given back [P5]", 5)


# --- who may ask -----------------------------------------------------------------------------------------------------


def send(webhooks, url, review):
    """A review straight to the webhook: the code, and the answer if there is one."""
    context = ssl.create_default_context(cafile=webhooks.authority)
    request = urllib.request.Request(url, review, {"Content-Type": "application/json"})  # noqa: S310  # the test's own
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def test_a_forged_review_writes_nothing(webhooks, team, namespace):
    """Sent straight to the webhook, without the token or with a wrong one."""
    made = deployment("web", team.name, namespace=namespace, replicas=5)
    made["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    whoever = {"username": "admin", "groups": ["system:masters"]}  # a forger may say that it is anybody
    review = make_review(namespace=namespace, object=made, userInfo=whoever)
    before = team.status()
    for path in ("/workloads", "/x/workloads", f"/{'a' * 43}/workloads"):
        assert send(webhooks, webhooks.address + path, review) == (404, None)
    after = team.status()
    assert (after["used"], after.get("claims")) == (before["used"], before.get("claims"))
    # The same review with the token is answered and claimed: the forgery was refused for want of the token alone.
    assert send(webhooks, f"{webhooks.url}/workloads", review)[1]["response"]["allowed"]
    assert team.used(CPU) == "5"


def test_whoever_learnt_the_token_lets_nobody_by_with_a_version_that_is_not_there_yet(
    guarded, webhooks, team, namespace
):
    """[A4] The line it leaves is later than every review to come: a live read decides, and the quota holds."""
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=4))
    wait_until(lambda: not team.status().get("claims"), "it is seen", 10)
    here = f"--namespace={namespace}"
    old = json.loads(guarded.kubectl("get", "deployment", "web", "-o=json", here))
    old["metadata"]["resourceVersion"] = "9000000000000000000"
    new = {**old, "spec": {**old["spec"], "replicas": 5}}
    review = make_review(operation="UPDATE", namespace=namespace, object=new, oldObject=old)
    assert send(webhooks, f"{webhooks.url}/workloads", review)[1]["response"]["allowed"]
    assert team.status()["claims"][0].split()[2] == "9000000000000000000"
    beyond = r"exceeded quota: .* used: limits.cpu=5, limited: limits.cpu=10"
    with pytest.raises(KubectlFailed, match=beyond):
        guarded.kubectl("scale", "deployment/web", "--replicas=50", here)
    with pytest.raises(KubectlFailed, match=beyond):
        guarded.kubectl("patch", "deployment", "web", '--patch={"spec":{"replicas":50}}', here)
    guarded.kubectl("scale", "deployment/web", "--replicas=10", here)
    assert team.used(CPU) == "10"
    assert [line.split()[2] for line in team.status()["claims"]] == ["9000000000000000000"]
    wait_until(lambda: not team.status().get("claims"), "the claim is gone", GONE_WITHIN)
    assert team.used(CPU) == "10"


# --- failure, chosen -------------------------------------------------------------------------------------------------


def test_what_grows_nothing_passes_over_quota_and_while_no_bizrq_can_be_read(guarded, team, namespace):
    """[A5] Image change, annotation, scale down and delete."""
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=8))
    wait_until(lambda: not team.status().get("claims"), "it is seen", 10)
    team.patch({"spec": {"hard": {CPU: "2", "pods": "100"}}})
    wait_until(lambda: team.status()["hard"][CPU] == "2", "over quota", 10)
    here = f"--namespace={namespace}"
    guarded.kubectl("delete", "clusterrolebinding", "bizrq-webhook")
    try:
        with pytest.raises(KubectlFailed, match="could not be read or written"):
            wait_for_refusal(guarded, here)
        guarded.kubectl("set", "image", "deployment/web", "main=other", here)
        guarded.kubectl("annotate", "deployment/web", "note=1", here)
        guarded.kubectl("scale", "deployment/web", "--replicas=7", here)
        guarded.kubectl("patch", "deployment", "web", "--patch", '{"spec":{"replicas":6}}', here)
        guarded.kubectl("label", "deployment/web", "team-", here)
        guarded.kubectl("delete", "deployment", "web", here)
    finally:
        operator_process.install(guarded.kubectl)


def wait_for_refusal(cluster, here):
    """Until the API server knows that the right is gone."""
    for _ in range(50):
        cluster.kubectl("patch", "deployment", "web", "--patch", '{"spec":{"replicas":20}}', here)
        time.sleep(0.2)


def test_while_no_webhook_answers_just_what_must_be_reviewed_waits(guarded, webhooks, team, namespace):
    """The row "webhook down" of the failures that were chosen."""
    here = f"--namespace={namespace}"
    plain = deployment("plain", team.name, namespace=namespace, replicas=2)
    del plain["metadata"]["labels"]
    apply(guarded, deployment("web", team.name, namespace=namespace, replicas=2), plain)
    other = bizrq(None, f"{team.name}-other", {CPU: "1"}).obj
    for index in range(2):
        webhooks.replicas[index].kill9()
    try:
        waits = {
            "create a labelled workload": ("create", "-f", "-"),
            "change its spec": ("set", "image", "deployment/web", "main=other", here),
            "change its labels": ("label", "deployment/web", "note=1", here),
            "raise by scale": ("scale", "deployment/web", "--replicas=3", here),
            "raise an unlabelled one by scale": ("scale", "deployment/plain", "--replicas=3", here),
            "change the spec of a bizrq": (
                "patch",
                "bizrq",
                team.name,
                "--type=merge",
                '--patch={"spec":{"hard":{"pods":"9"}}}',
            ),
            "delete a bizrq": ("delete", "bizrq", team.name),
        }
        new = json.dumps(deployment("new", team.name, namespace=namespace))
        for what, arguments in waits.items():
            assert "failed calling webhook" in told(guarded, *arguments, stdin=new), what
        with pytest.raises(KubectlFailed, match="failed calling webhook"):
            guarded.kubectl("create", "-f", "-", stdin=json.dumps(other))
        for passes in (
            ("annotate", "deployment/web", "note=1", here),
            (
                "patch",
                "deployment",
                "web",
                "--type=merge",
                '--patch={"metadata":{"finalizers":["example.com/x"]}}',
                here,
            ),
            ("patch", "deployment", "web", "--type=merge", '--patch={"metadata":{"finalizers":[]}}', here),
            ("scale", "deployment/web", "--replicas=1", here),
            ("set", "image", "deployment/plain", "main=other", here),
            ("label", "deployment/plain", "note=1", here),
            ("autoscale", "deployment/web", "--max=50", here),
            ("annotate", "bizrq", team.name, "note=1"),
            ("label", "bizrq", team.name, "note=1"),
            ("create", "configmap", "free", here),
            ("delete", "deployment", "web", here),
        ):
            guarded.kubectl(*passes)
        # Children made by controllers: what plain lost comes back.
        guarded.kubectl("delete", "pod", "--selector=app=plain", here)
        wait_until(
            lambda: guarded.kubectl("get", "pods", "--selector=app=plain", "-o=name", here).count("pod/") >= 2,
            "the pods are made anew", 30,
        )  # fmt: skip
    finally:
        for index in range(2):
            webhooks.restart(index)
    wait_until(lambda: "created" in apply(guarded, json.loads(new)), "it is back", 30)


def test_every_entry_of_the_configuration_is_in_force(guarded, webhooks):
    """What the tests above rely on: the chart's template as it stands."""
    config = json.loads(guarded.kubectl("get", "validatingwebhookconfiguration", "bizrq", "-o=json"))
    entries = {each["name"]: each for each in config["webhooks"] if each["name"].endswith(GROUP)}
    assert set(entries) == {
        f"{entry}.{GROUP}"
        for entry in ("bizrqs", "workloads", "children", "scale", "autoscalers", "required", "uncounted")
    }
    assert {name for name, each in entries.items() if each["failurePolicy"] != "Fail"} == {
        f"autoscalers.{GROUP}",
        f"uncounted.{GROUP}",
    }
    assert entries[f"bizrqs.{GROUP}"]["rules"][0]["resources"] == [PLURAL]
