"""[A8] on the real API server: whose children are believed, and what becomes of those that are not."""

import contextlib
import json
import re
import time

import pytest
import requests

from bizrq.domain.bizrq import LABEL
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

KEYS = {CPU: "10", "pods": "20", "count/pods": "10", "count/replicasets.apps": "10", "count/deployments.apps": "10"}

WITHIN = 4.0
"""Seconds within which a change is in the status: [R1], and a poll of the test."""

RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets", "replicasets/scale"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["pods", "pods/resize"], "verbs": ["*"]},
    {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["*"]},
    {"apiGroups": ["quota.bizrq.io"], "resources": ["bizgroupresourcequotas"], "verbs": ["use"]},
]


class Bed:
    """A cluster with webhooks, an ordinary user, and a controller that may be killed."""

    def __init__(self, cluster):
        self.cluster, self.kubectl = cluster, cluster.kubectl
        self.start_controller()

    def start_controller(self):
        self.controller = self.cluster.start_operator(["--resync-seconds=5"])

    def kill_controller(self):
        self.controller.kill9()

    def restart_controller(self):
        self.kill_controller()
        self.start_controller()

    def create(self, raw, user="alice"):
        """Create an object as somebody; as it was stored."""
        return json.loads(self.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(raw), user=user))

    def get(self, *arguments):
        """Read objects."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("owners")) as cluster:
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "alice"}}
        binding = {
            **role,
            "kind": "ClusterRoleBinding",
            "roleRef": {"kind": "ClusterRole", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}],
        }
        listed = {"apiVersion": "v1", "kind": "List", "items": [{**role, "rules": RULES}, binding]}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(listed))
        bed = Bed(cluster)
        with cluster.start_webhooks() as webhooks:
            webhooks.install()
            yield bed


@pytest.fixture(scope="module")
def api(bed):
    with client(bed.cluster.kubeconfig) as made:
        yield made


@pytest.fixture
def namespace(bed):
    name = f"t-{time.time_ns():x}"
    bed.kubectl("create", "namespace", name)
    yield name
    bed.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def team(api, bed):
    """A root of ten cores, counted once."""
    made = bizrq(api, f"g-{time.time_ns():x}", KEYS)
    made.create()
    until(made, {CPU: "0"}, 30)
    return made


def until(team, figures, seconds=WITHIN):
    """Wait until ``used`` is this."""
    seen = {}

    def is_so():
        used = team.status().get("used") or {}
        seen.update({key: used.get(key) for key in figures})
        return seen == figures

    with contextlib.suppress(AssertionError):
        wait_until(is_so, "used", seconds)
    assert seen == figures


def stays(team, figures, seconds=3.0):
    """``used`` is this, and still after some writes."""
    until(team, figures)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        used = team.status()["used"]
        assert {key: used[key] for key in figures} == figures
        time.sleep(0.1)


def until_settled(team):
    """Wait until of every claim no more than a mark is left."""
    wait_until(lambda: all(line.endswith("  own") for line in lines(team)), "all is seen", 10)


def lines(team):
    return team.status().get("claims") or []


def spec(cores="1", **fields):
    return {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"cpu": cores}}}], **fields}


def pod(name, team, namespace, *, cores="1", owner=None, annotations=None, **fields):
    """A pod as somebody makes it by hand."""
    metadata = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    metadata |= {"labels": {LABEL: team.name}} if team else {}
    metadata |= {"ownerReferences": [owner]} if owner else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec(cores, **fields)}


def replica_set(name, team, namespace, *, cores="1", replicas=1, owner=None, labelled_pods=False):
    labels = {LABEL: team.name} if team else {}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    metadata |= {"ownerReferences": [owner]} if owner else {}
    template = {"metadata": {"labels": {"app": name, **(labels if labelled_pods else {})}}, "spec": spec(cores)}
    of = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": of}


def owned_by(raw, **changes):
    """A reference to ``raw`` as its controller writes one."""
    reference = {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "name": raw["metadata"]["name"],
                 "uid": raw["metadata"]["uid"], "controller": True}  # fmt: skip
    return reference | changes


def web(team, namespace, replicas=0, *, labelled_pods=False, name="web"):
    raw = deployment(name, team.name if team else "", namespace=namespace, replicas=replicas)
    if not team:
        raw["metadata"]["labels"] = {}
    if labelled_pods:
        group = labelled_pods if isinstance(labelled_pods, str) else team.name
        raw["spec"]["template"]["metadata"]["labels"][LABEL] = group
    return raw


def running(bed, namespace, count):
    def are():
        pods = bed.get("pods", f"--namespace={namespace}")["items"]
        return sum(each["status"].get("phase") == "Running" for each in pods) == count

    wait_until(are, f"{count} pods run")


# --- workloads of their own ------------------------------------------------------------------------------------------


def test_a_bare_pod_with_a_label_is_admitted_refused_whole_and_released(bed, team, namespace):
    """[A8]"""
    bed.create(pod("one", team, namespace, cores="4"))
    until(team, {CPU: "4", "pods": "1", "count/pods": "1"})
    with pytest.raises(KubectlFailed, match=r"exceeded quota: \S+, requested: limits.cpu=7, used: limits.cpu=4"):
        bed.create(pod("two", team, namespace, cores="7"))
    until_settled(team)
    assert lines(team) == []
    bed.kubectl("delete", "pod", "one", f"--namespace={namespace}")
    until(team, {CPU: "0", "pods": "0", "count/pods": "0"})


def test_a_bare_pod_stays_charged_until_it_is_terminal(bed, team, namespace):
    """[A8, P5] while it terminates; and a finished one holds nothing."""
    slow = {"testbed.bizrq.io/terminate-seconds": "8"}
    bed.create(pod("slow", team, namespace, cores="4", annotations=slow))
    running(bed, namespace, 1)
    bed.kubectl("delete", "pod", "slow", f"--namespace={namespace}", "--wait=false")
    stays(team, {CPU: "4", "pods": "1"})
    until(team, {CPU: "0", "pods": "0"}, 20)
    ends = {"testbed.bizrq.io/run-seconds": "3"}
    bed.create(pod("ends", team, namespace, cores="4", annotations=ends, restartPolicy="Never"))
    until(team, {CPU: "4", "pods": "1"})
    until(team, {CPU: "0", "pods": "0", "count/pods": "1"}, 20)


def test_a_bare_pod_that_loses_its_label_stays_charged_while_it_runs(bed, team, namespace):
    """[A8, P5]"""
    bed.create(pod("one", team, namespace, cores="4"))
    running(bed, namespace, 1)
    until_settled(team)
    bed.kubectl("label", "pod", "one", f"--namespace={namespace}", f"{LABEL}-")
    until(team, {"count/pods": "0"})
    stays(team, {CPU: "4", "pods": "1"})
    bed.restart_controller()
    stays(team, {CPU: "4", "pods": "1"})
    bed.kubectl("delete", "pod", "one", f"--namespace={namespace}")
    until(team, {CPU: "0", "pods": "0"})


def test_an_unowned_replica_set_is_admitted_refused_whole_scaled_and_released(bed, team, namespace):
    """[A8] also by scale [A9]; its pods, labelled like it, are its children."""
    bed.create(replica_set("rs", team, namespace, cores="2", replicas=3, labelled_pods=True))
    running(bed, namespace, 3)
    stays(team, {CPU: "6", "pods": "3", "count/replicasets.apps": "1", "count/pods": "0"})
    with pytest.raises(KubectlFailed, match=r"exceeded quota: .*the largest replica count that fits is 5"):
        bed.kubectl("scale", "replicaset/rs", "--replicas=6", f"--namespace={namespace}", user="alice")
    bed.kubectl("scale", "replicaset/rs", "--replicas=5", f"--namespace={namespace}", user="alice")
    until(team, {CPU: "10", "pods": "5"})
    bed.kubectl("delete", "replicaset", "rs", f"--namespace={namespace}")
    until(team, {CPU: "0", "pods": "0", "count/replicasets.apps": "0", "count/pods": "0"}, 10)


def test_a_bare_pod_is_resized_as_a_workload_grows(bed, team, namespace):
    """[A8, A15] It waits for a node, since those of a test bed do not say that they can resize."""
    bed.create(pod("one", team, namespace, cores="4", nodeSelector={"there-is": "none"}))
    until(team, {CPU: "4"})

    def resize(cores):
        both = {"limits": {"cpu": cores}, "requests": {"cpu": cores}}
        patch = json.dumps({"spec": {"containers": [{"name": "main", "resources": both}]}})
        bed.kubectl("patch", "pod", "one", f"--namespace={namespace}", "--subresource=resize", f"--patch={patch}",
                    user="alice")  # fmt: skip

    with pytest.raises(KubectlFailed, match=r"exceeded quota: .*requested: limits.cpu=7, used: limits.cpu=4"):
        resize("11")
    resize("6")
    stays(team, {CPU: "6"})
    resize("3")
    stays(team, {CPU: "6"})  # the most that it was seen to hold, until it ends


# --- children that are believed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled_pods", [False, True], ids=["its own label only", "also in the template"])
def test_what_the_real_controllers_make_is_not_charged_twice(bed, team, namespace, labelled_pods):
    """[A8] a ReplicaSet and its pods, over a rollout, and over a restart of the controller."""
    figures = {CPU: "4", "pods": "4", "count/deployments.apps": "1", "count/replicasets.apps": "0", "count/pods": "0"}
    bed.create(web(team, namespace, 4, labelled_pods=labelled_pods))
    running(bed, namespace, 4)
    stays(team, figures)
    patch = json.dumps({"spec": {"template": {"metadata": {"annotations": {"made": "anew"}}}}})
    bed.kubectl("patch", "deployment", "web", f"--namespace={namespace}", f"--patch={patch}", user="alice")
    bed.kubectl("rollout", "status", "deployment/web", f"--namespace={namespace}", "--timeout=60s")
    stays(team, figures)
    bed.restart_controller()
    stays(team, figures)
    assert lines(team) == []
    bed.kubectl("delete", "deployment", "web", f"--namespace={namespace}")
    until(team, dict.fromkeys(figures, "0"), 15)


def test_an_orphaned_replica_set_with_a_label_is_charged_once(bed, team, namespace):
    """[A8, P5] by itself, and not as what is left of its Deployment too."""
    bed.create(web(team, namespace, 4, labelled_pods=True))
    running(bed, namespace, 4)
    until(team, {CPU: "4"})
    bed.kubectl("delete", "deployment", "web", f"--namespace={namespace}", "--cascade=orphan")
    until(team, {"count/deployments.apps": "0"})
    stays(team, {CPU: "4", "pods": "4", "count/replicasets.apps": "1", "count/pods": "0"})
    bed.kubectl("delete", "replicasets", "--all", f"--namespace={namespace}")
    until(team, {CPU: "0", "pods": "0", "count/replicasets.apps": "0", "count/pods": "0"}, 15)


def test_a_job_of_a_cron_job_is_counted_whoever_made_it(bed, team, namespace):
    """[A8, A12] with a label in the template of its pods too."""
    template = {"metadata": {"labels": {LABEL: team.name}}, "spec": spec("3", restartPolicy="Never")}
    jobs = {"metadata": {"labels": {LABEL: team.name}}, "spec": {"template": template}}
    bed.create({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often", "namespace": namespace},
        "spec": {"schedule": "* * * * *", "jobTemplate": jobs, "concurrencyPolicy": "Forbid"},
    })  # fmt: skip
    running_for = time.monotonic()
    until(team, {CPU: "3", "pods": "1", "count/pods": "0"}, 90)
    stays(team, {CPU: "3", "pods": "1", "count/pods": "0"})
    assert all(" own" not in line for line in lines(team)), running_for


def test_a_label_on_the_template_alone_makes_no_pods_and_says_why(bed, team, namespace):
    """[A8, A12] a controller that is trusted has no right of its own, and the Deployment names no group."""
    bed.create(web(None, namespace, 1, labelled_pods=team.name))

    def told():
        made = bed.get("deployment", "web", f"--namespace={namespace}").get("status", {})
        return [each["message"] for each in made.get("conditions", []) if "may not use" in each["message"]]

    (message,) = wait_until(told, "it says why", 30)
    assert f'may not use "{team.name}" in namespace' in message
    assert f'its owner, Deployment web, is not counted for "{team.name}"' in message
    assert team.used(CPU) == "0"


# --- children that are not -------------------------------------------------------------------------------------------


@pytest.fixture
def harmless(bed, team, namespace):
    """A counted Deployment without replicas."""
    made = bed.create(web(team, namespace))
    until(team, {"count/deployments.apps": "1"})
    until_settled(team)
    return made


def test_the_right_uid_of_a_counted_owner_hides_nothing(bed, team, namespace, harmless):
    """[A8] A pod of 100 cores is refused; one that fits is charged as a workload of its own, as long as it is there."""
    with pytest.raises(KubectlFailed, match=r"exceeded quota: \S+, requested: limits.cpu=100, "):
        bed.create(pod("huge", team, namespace, cores="100", owner=owned_by(harmless)))
    bed.create(pod("large", team, namespace, cores="6", owner=owned_by(harmless)))
    stays(team, {CPU: "6", "pods": "1", "count/pods": "1"})
    wait_until(lambda: lines(team), "its mark")
    until_settled(team)
    (line,) = lines(team)
    assert re.fullmatch(rf"1 \S+ 0 pods/{namespace}/large \S+  own", line)
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        bed.create(pod("more", team, namespace, cores="6", owner=owned_by(harmless)))
    bed.restart_controller()
    stays(team, {CPU: "6", "pods": "1", "count/pods": "1"})
    assert lines(team) == [line]
    bed.kubectl("delete", "pod", "large", f"--namespace={namespace}")
    until(team, {CPU: "0", "pods": "0", "count/pods": "0"}, 10)
    wait_until(lambda: not lines(team), "the mark is gone", 10)


def test_one_that_goes_while_no_controller_runs_is_released(bed, team, namespace, harmless):
    """[A8] its mark too."""
    bed.create(pod("large", team, namespace, cores="6", owner=owned_by(harmless)))
    running(bed, namespace, 1)
    until_settled(team)
    assert lines(team)  # its mark
    bed.kill_controller()
    bed.kubectl("delete", "pod", "large", f"--namespace={namespace}")
    bed.start_controller()
    until(team, {CPU: "0", "pods": "0", "count/pods": "0"}, 15)
    wait_until(lambda: not lines(team), "the mark is gone", 90)


def test_the_right_uid_hides_no_replica_set_and_none_of_its_pods(bed, team, namespace, harmless):
    """[A8] whose pods real controllers make; the Deployment's own controller scales it down as one of its own."""
    raw = replica_set("forged", team, namespace, cores="3", replicas=2, owner=owned_by(harmless), labelled_pods=True)
    bed.create(raw)
    until(team, {CPU: "6", "count/replicasets.apps": "1", "count/pods": "0"})
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        bed.kubectl("scale", "replicaset/forged", "--replicas=9", f"--namespace={namespace}", user="alice")
    bed.kubectl("delete", "replicaset", "forged", f"--namespace={namespace}")
    until(team, {CPU: "0", "pods": "0", "count/replicasets.apps": "0"}, 15)
    wait_until(lambda: not lines(team), "the mark is gone", 10)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"uid": "8c1f2f34-0000-4000-8000-000000000000"}, id="the right name with another UID"),
        pytest.param({"kind": "ConfigMap", "apiVersion": "v1"}, id="the right UID under another kind"),
        pytest.param({"kind": "ReplicaSet"}, id="the right UID as one of a ReplicaSet"),
    ],
)
def test_references_to_what_is_no_counted_owner_hide_nothing(bed, team, namespace, harmless, forged):
    """[A8] What names an owner that is not there, the garbage collector deletes."""
    owner = owned_by(harmless, **forged)
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        bed.create(pod("huge", team, namespace, cores="100", owner=owner))
    bed.create(pod("large", team, namespace, cores="6", owner=owner))


KINDS = {
    "Pod": "v1", "ReplicationController": "v1", "ReplicaSet": "apps/v1", "Deployment": "apps/v1",
    "StatefulSet": "apps/v1", "Job": "batch/v1",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_has_a_free_ride_behind_an_owner(bed, team, namespace, harmless, kind):
    """[A8] neither by the right UID, nor by a wrong one, nor by that of an object that nobody counts."""
    configured = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": namespace}}
    owners = {
        "the right UID": owned_by(harmless),
        "the right name with another UID": owned_by(harmless, uid="8c1f2f34-0000-4000-8000-000000000000"),
        "a ConfigMap": owned_by(bed.create(configured, "admin")),
        "a Deployment without a label": owned_by(bed.create(web(None, namespace, name="plain"))),
    }
    labels = {"app": "huge"}
    template = {"metadata": {"labels": labels}, "spec": spec("100")}
    specs = {
        "Pod": spec("100"),
        "Job": {"template": {"spec": spec("100", restartPolicy="Never")}},
        "ReplicationController": {"template": template, "selector": labels},
        "StatefulSet": {"template": template, "selector": {"matchLabels": labels}, "serviceName": "huge"},
    }
    of = specs.get(kind, {"template": template, "selector": {"matchLabels": labels}})
    for said, owner in owners.items():
        metadata = {"name": "huge", "namespace": namespace, "labels": {LABEL: team.name}, "ownerReferences": [owner]}
        with pytest.raises(KubectlFailed) as refused:
            bed.create({"apiVersion": KINDS[kind], "kind": kind, "metadata": metadata, "spec": of}, "admin")
        assert "exceeded quota" in str(refused.value), said
        assert "requested: limits.cpu=100, used: limits.cpu=0" in str(refused.value), said


def test_a_child_of_what_is_not_counted_is_a_workload_of_its_own(bed, team, namespace):
    """[A8] here of a Deployment without a label, also once that gets one."""
    owner = bed.create(web(None, namespace))
    bed.create(pod("large", team, namespace, cores="6", owner=owned_by(owner)))
    stays(team, {CPU: "6", "pods": "1", "count/pods": "1"})
    bed.kubectl("label", "deployment", "web", f"--namespace={namespace}", f"{LABEL}={team.name}", user="alice")
    until(team, {"count/deployments.apps": "1"})
    stays(team, {CPU: "6", "pods": "1", "count/pods": "1"})


def test_a_pod_that_runs_hides_behind_no_owner_later(bed, team, namespace, harmless):
    """[A8] An ownerReference that comes later is asked about."""
    bed.create(pod("large", team, namespace, cores="6"))
    until(team, {CPU: "6"})
    patch = json.dumps({"metadata": {"ownerReferences": [owned_by(harmless)]}})
    bed.kubectl("patch", "pod", "large", f"--namespace={namespace}", f"--patch={patch}", user="alice")
    stays(team, {CPU: "6", "pods": "1", "count/pods": "1"})


def test_a_child_that_names_another_group_is_a_workload_of_that(bed, team, api, namespace, harmless):
    """[A8] and its hours are that group's, not its owner's [C7]."""
    other = bizrq(api, f"{team.name}-other", {**KEYS, "cash/limits.cpu": "100"})
    other.create()
    until(other, {CPU: "0"}, 30)
    bed.create(pod("large", other, namespace, cores="6", owner=owned_by(harmless)))
    running(bed, namespace, 1)
    stays(other, {CPU: "6", "pods": "1", "count/pods": "1"})
    assert team.used(CPU) == "0"
    wait_until(lambda: int(other.status()["cash"]["ledger"].get("limits.cpu", "0")) > 0, "its hours", 15)
    bed.kubectl("delete", "pod", "large", f"--namespace={namespace}")
    until(other, {CPU: "0"}, 10)


# --- where a label is required ---------------------------------------------------------------------------------------


def test_where_a_label_is_required_a_forged_child_needs_one_and_is_charged(bed, team, namespace, harmless):
    """[A8, A11]"""
    bed.kubectl("label", "namespace", namespace, "quota.bizrq.io/require-label=true")
    for raw in (
        pod("huge", None, namespace, cores="100", owner=owned_by(harmless)),
        replica_set("huge", None, namespace, cores="100", owner=owned_by(harmless)),
    ):
        with pytest.raises(KubectlFailed, match=r"requires the label .*alice is none of the controllers"):
            bed.create(raw)
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        bed.create(pod("huge", team, namespace, cores="100", owner=owned_by(harmless)))
    bed.create(pod("bare", team, namespace, cores="4"))
    until(team, {CPU: "4", "pods": "1", "count/pods": "1"})


# --- seen from outside -----------------------------------------------------------------------------------------------


def test_pods_that_their_owner_cannot_have_are_counted_in_a_metric(bed, team, namespace, harmless):
    """[A8] Without a label nobody asked; they are charged nothing but hours."""
    for name in ("a", "b"):
        bed.create(pod(name, None, namespace, owner=owned_by(harmless, kind="Deployment")))
    running(bed, namespace, 2)
    line = f'bizrq_pods_beyond_demand{{bizrq="{team.name}"}} 2.0'
    wait_until(lambda: line in requests.get(bed.controller.metrics_url, timeout=10).text, "the metric says it", 20)
