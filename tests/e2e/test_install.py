"""Does the chart install, upgrade and leave a cluster in which what it installs really runs?

One cluster and one release for all, in the order of this file; the node agent runs the pods out of the image's content.
"""

from __future__ import annotations

import contextlib
import json
import re
from functools import partial

import pytest

from bizrq.controller.webhook_forms import ROTATE_ANNOTATION
from bizrq.domain.bizrq import GROUP, KIND
from testbed.cluster import Cluster
from testbed.errors import HelmFailed, KubectlFailed
from testbed.identities import NAMESPACE
from tests.support.bizrqs import bizrq
from tests.support.kube import client, wait_until
from tests.support.release import Load, Release, paused

pytestmark = [pytest.mark.e2e, pytest.mark.parts("image"), pytest.mark.timeout(240)]

SPACE = "shop"
ROOM, FULL = "room", "full"
"""A group that is never used up, and one that is at once."""
FEW = 20
TAKEOVER_SECONDS = 20.0
CREATED, REFUSED = 201, 403


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("install"), nodes=1, pieces=["agent"]) as started:
        # A container that was killed is away for so long that it is another one that takes over.
        started.agent.tell(refresh_seconds=3.0, back_off_seconds=10.0)
        yield started


@pytest.fixture(scope="module")
def admin(cluster):
    with client(cluster.kubeconfig) as api:
        yield api


def apply(cluster, *objects, user="admin"):
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(listed), user=user)


@pytest.fixture(scope="module")
def release(cluster):
    """Installed in a namespace of the restricted Pod Security Standard, and ready."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
    )
    made = Release(cluster)
    made.helm(
        "install",
        values={
            "image": {"repository": "registry.example.com/bizrq", "tag": "one"},
            # A webhook looks every 5 s at files that the agent replaces every 3 s.
            "controller": {"extraArgs": ["--webhook-propagation-seconds=10"]},
            "webhook": {"drainSeconds": 5},
            "test": {"waitSeconds": 5},
        },
    )
    return made


@pytest.fixture(scope="module")
def people(cluster, release):
    """The roles of the chart: alice may make groups, bob may use them, carol neither."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}

    def binding(kind, name, user, of, namespace=None):
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
            "roleRef": {**role, "name": of},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }

    apply(
        cluster,
        binding("ClusterRoleBinding", "alice", "alice", "bizrq-editor"),
        binding("ClusterRoleBinding", "bob", "bob", "bizrq-user"),
        *(binding("RoleBinding", user, user, "edit", SPACE) for user in ("bob", "carol")),
    )
    return cluster.kubeconfigs


@pytest.fixture(scope="module")
def groups(people, release):
    """A tree of three, made by alice."""
    with client(people["alice"]) as alice:
        made = (
            bizrq(alice, "acme", {"limits.cpu": "10000"}),
            bizrq(alice, ROOM, {"limits.cpu": "9000"}, parent="acme"),
            bizrq(alice, FULL, {"limits.cpu": str(FEW)}, parent="acme"),
        )
        for each in made:
            each.create()
            wait_until(partial(each.used, "limits.cpu"), f"{each.name} is counted")
        yield {each.name: each for each in made}


def create(cluster, made, user):
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(made), user=user)


def settled(release):
    """Whether certificate and token are made, and no rotation is under way."""
    kept = release.secret()
    return {"tls.crt", "tokens"} <= kept.keys() and not any(key.startswith("next-") for key in kept) and (
        len(kept["tokens"].split()), kept["ca.crt"].count("BEGIN CERTIFICATE")
    ) == (1, 1)  # fmt: skip


def test_all_pods_of_the_chart_are_ready_under_the_restricted_standard_and_helm_test_passes(release):
    for component in ("controller", "webhook"):
        pods = release.pods(component)
        assert [each["status"]["phase"] for each in pods] == ["Running", "Running"]
        assert {each["spec"]["nodeName"] for each in pods} == {"agent"}
        assert [status["restartCount"] for each in pods for status in each["status"]["containerStatuses"]] == [0, 0]
    assert "Phase:          Succeeded" in release.helm("test")


def test_people_with_the_roles_of_the_chart_make_a_tree_and_workloads(cluster, admin, groups):
    create(cluster, paused("fits", SPACE, FULL, 2), "bob")
    wait_until(lambda: groups[FULL].used("limits.cpu") == "2", "it is counted")
    assert groups["acme"].used("limits.cpu") == str(9000 + FEW)
    with pytest.raises(KubectlFailed, match=f"exceeded quota: {FULL}, requested: limits.cpu={FEW}, used: limits.cpu=2"):
        create(cluster, paused("too-large", SPACE, FULL, FEW), "bob")
    with pytest.raises(KubectlFailed, match=f'carol may not use "{FULL}" in namespace {SPACE}'):
        create(cluster, paused("not-hers", SPACE, FULL), "carol")
    own = {"apiVersion": f"{GROUP}/v1", "kind": KIND, "metadata": {"name": "own"}, "spec": {"hard": {"pods": "1"}}}
    with pytest.raises(KubectlFailed, match='User "bob" cannot create resource "bizgroupresourcequotas"'):
        create(cluster, own, "bob")
    cluster.kubectl("delete", "deployment", "fits", f"--namespace={SPACE}")
    wait_until(lambda: groups[FULL].used("limits.cpu") == "0", "it is counted no more")


def none_failed_and_none_slipped_past(load, groups, before):
    """Each create got a verdict; what was admitted is what is counted, and no more than there is room for."""
    admitted = {}
    for group, answers in load.answers.items():
        assert answers.counts.keys() <= {CREATED, REFUSED}, answers
        assert REFUSED not in answers.counts or "exceeded quota" in answers.messages[REFUSED]
        admitted[group] = answers.counts.get(CREATED, 0)
    assert sum(load.answers[FULL].counts.values()) > FEW, "more was asked for than there is room"
    assert admitted[FULL] + before[FULL] == FEW
    assert admitted[ROOM]
    for group, number in admitted.items():
        wait_until(partial(says, groups[group], before[group] + number), f"all of {group} are counted")


def says(group, cores):
    return group.used("limits.cpu") == str(cores)


def counted(groups):
    return {name: int(groups[name].used("limits.cpu")) for name in (ROOM, FULL)}


def test_an_upgrade_under_load_fails_no_create_and_lets_none_slip_past(cluster, release, people, groups):
    before = counted(groups)
    load = Load(people["bob"], SPACE, (ROOM, FULL), "upgrade")
    with load.going_on():
        values = {"image": {"tag": "two"}, "autoscalers": "refuse", "controller": {"resyncSeconds": 100}}
        release.helm("upgrade", values=values)
        wait_until(lambda: len(release.get("pods")["items"]) == 4, "the old pods are gone", 60)
    for component, flag in (("controller", "--resync-seconds=100"), ("webhook", "--autoscalers=refuse")):
        for each in release.pods(component):
            (container,) = each["spec"]["containers"]
            assert container["image"] == "registry.example.com/bizrq:two"
            assert flag in container["args"]
    none_failed_and_none_slipped_past(load, groups, before)


def test_a_rotation_of_certificate_and_token_under_load_fails_no_create(cluster, release, people, groups):
    before = counted(groups)
    wait_until(lambda: settled(release), "what was made first is in use", 60)
    old = release.secret()
    load = Load(people["bob"], SPACE, (ROOM, FULL), "rotation")
    with load.going_on():
        cluster.kubectl("annotate", "secret", "bizrq-webhook", f"{ROTATE_ANNOTATION}=now", f"--namespace={NAMESPACE}")
        wait_until(lambda: release.secret()["tls.crt"] != old["tls.crt"] and settled(release), "it is rotated", 120)
    new = release.secret()
    assert not {old[key] for key in ("tls.key", "ca.crt", "tokens")} & set(new.values())
    assert [each["status"]["containerStatuses"][0]["restartCount"] for each in release.pods("webhook")] == [0, 0]
    none_failed_and_none_slipped_past(load, groups, before)


def test_another_controller_works_soon_after_the_leader_was_killed(cluster, release, groups):
    old = release.leader()
    before = counted(groups)[ROOM]
    (uid,) = (each["metadata"]["uid"] for each in release.pods("controller") if each["metadata"]["name"] == old)
    cluster.agent.kill9(uid, "controller")
    create(cluster, paused("after", SPACE, ROOM, 3), "bob")
    wait_until(lambda: release.leader() not in {"", old}, "another one leads", TAKEOVER_SECONDS)
    wait_until(partial(says, groups[ROOM], before + 3), "it counts")
    wait_until(lambda: release.metric("controller", "bizrq_enforcement_active") == [1], "it knows that all are asked")


def test_helm_test_fails_and_says_why_where_no_webhook_answers(cluster, release):
    cluster.kubectl("scale", "deployment/bizrq-webhook", "--replicas=0", f"--namespace={NAMESPACE}")
    wait_until(lambda: not release.get("pods", "--selector=app.kubernetes.io/component=webhook")["items"], "none", 60)
    with pytest.raises(HelmFailed, match=r"no pod of the webhook is ready"):
        release.helm("test")
    wait_until(lambda: release.metric("controller", "bizrq_enforcement_active") == [0], "the metric says so, too")
    cluster.kubectl("scale", "deployment/bizrq-webhook", "--replicas=2", f"--namespace={NAMESPACE}")
    cluster.kubectl("rollout", "status", "deployment/bizrq-webhook", f"--namespace={NAMESPACE}", "--timeout=60s")
    release.helm("test")


def test_nothing_but_the_crd_the_groups_and_the_lease_is_left_by_an_uninstall(cluster, release, groups):
    release.helm("uninstall", "--wait")
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    left = set()

    def ours():
        nonlocal left
        text = cluster.kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json", "--ignore-not-found")
        left = {(each["kind"], each["metadata"]["name"]) for each in json.loads(text)["items"] if _of_release(each)}
        return left == {
            ("CustomResourceDefinition", "bizgroupresourcequotas.quota.bizrq.io"),
            ("APIService", "v1.quota.bizrq.io"),  # the API server's own, for the CRD
            ("Namespace", NAMESPACE),
            ("Lease", "bizrq-controller"),
            *(("BizGroupResourceQuota", name) for name in ("acme", ROOM, FULL)),
        }

    with contextlib.suppress(AssertionError):
        wait_until(ours, "all else is gone")
    assert ours(), left
    create(cluster, paused("free", SPACE, FULL, 10 * FEW), "bob")


def _of_release(value):
    meta = value["metadata"]
    named = re.match(r"bizrq|sh\.helm", meta["name"]) or meta["name"].endswith("bizrq.io")
    labelled = (meta.get("labels") or {}).get("app.kubernetes.io/instance") == "bizrq"
    return value["kind"] != "Event" and bool(named or labelled or value["kind"] == "BizGroupResourceQuota")
