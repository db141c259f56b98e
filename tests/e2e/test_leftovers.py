"""[P5] on the real API server: pods that outlive their workload hold its quota, and give it back as they go."""

import json
import time

import pytest

from bizrq.domain.bizrq import LABEL
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

TERMINATES = 12
"""Seconds that a pod of most of these tests takes to end."""

TERMINATES_SLOWLY = 60
"""In one of them, with other ends of time in between: resyncs, and watches that are opened anew."""

WITHIN = 3.0
"""Seconds within which the last pod's end is in the status: [R1], and a poll of the test."""

KIND = """
kinds:
  - group: test.bizrq.io
    version: v1
    resource: crews
    kind: Crew
    podGroups:
      - template: spec.template
        replicas: object.spec.?replicas.orValue(1)
    nothingWhen:
      - "'Done' in conditions"
"""

CREW = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "crews.test.bizrq.io"},
    "spec": {
        "group": "test.bizrq.io",
        "names": {"plural": "crews", "singular": "crew", "kind": "Crew"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            field: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for field in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}

RIGHTS = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "crews"},
        "rules": [{"apiGroups": ["test.bizrq.io"], "resources": ["crews"], "verbs": ["get", "list", "watch"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "crews"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "crews"},
        "subjects": [{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}],
    },
]


class Bed:
    """A cluster with webhooks, and a controller that may be killed."""

    def __init__(self, cluster, folder):
        self.cluster, self.kinds = cluster, folder / "kinds.yaml"
        self.kinds.write_text(KIND, encoding="utf-8")
        self.kubectl = cluster.kubectl
        self.start_controller()

    def start_controller(self):
        self.controller = self.cluster.start_operator(["--resync-seconds=300", f"--workloads={self.kinds}"])

    def kill_controller(self):
        self.controller.kill9()


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    """A cluster of its own, since the configuration asks about every workload in it."""
    folder = tmp_path_factory.mktemp("leftovers")
    with Cluster(folder) as cluster:
        apply(cluster, CREW, *RIGHTS)
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/crews.test.bizrq.io")
        bed = Bed(cluster, folder)
        with cluster.start_webhooks(arguments=[f"--workloads={bed.kinds}"]) as webhooks:
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
    """A root with four cores, counted once."""
    made = bizrq(api, f"g-{time.time_ns():x}", {CPU: "4", "pods": "100"})
    made.create()
    until_used(made, "0", 30)
    return made


@pytest.fixture
def seconds():
    """How long the pods take to end."""
    return TERMINATES


@pytest.fixture
def web(bed, team, namespace, seconds):
    """A Deployment that uses all of it, whose pods take their time to end."""
    raw = slow(deployment("web", team.name, namespace=namespace, replicas=4), seconds)
    apply(bed, raw)
    until_pods(bed, namespace, 4)
    until_used(team, "4")
    wait_until(lambda: not team.status().get("claims"), "it was seen")
    return raw


def apply(bed, *objects):
    return bed.kubectl(
        "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    )


def slow(raw, seconds=TERMINATES):
    raw["spec"]["template"]["metadata"]["annotations"] = {"testbed.bizrq.io/terminate-seconds": str(seconds)}
    return raw


def pods(bed, namespace):
    """How many pods there are that are not terminal."""
    found = json.loads(bed.kubectl("get", "pods", f"--namespace={namespace}", "--output=json"))["items"]
    return sum(each["status"]["phase"] not in {"Succeeded", "Failed"} for each in found)


def until_pods(bed, namespace, count, seconds=60):
    wait_until(lambda: pods(bed, namespace) == count, f"{count} pods", seconds)


def until_used(team, cores, seconds=WITHIN):
    wait_until(lambda: team.used(CPU) == cores, f"used of {team.name} is {cores}", seconds)


def until_admitted(bed, team, raw, seconds):
    """Ask again and again, as somebody's pipeline; how long it took, and every use that a refusal told."""
    began, told = time.monotonic(), []

    def is_admitted():
        try:
            apply(bed, raw)
        except KubectlFailed as refusal:
            told.append(str(refusal))
            return False
        return True

    wait_until(is_admitted, "admitted", seconds)
    assert all("exceeded quota" in each for each in told)
    return time.monotonic() - began, told


def lines(team):
    return team.status().get("leftovers", [])


def refused_while_pods_are_there(bed, team, namespace, raw, terminates=TERMINATES):
    """Refused until the old pods are gone, then admitted at once; nothing is left of the old ones."""
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        apply(bed, raw)
    seconds, told = until_admitted(bed, team, raw, terminates + 20)
    assert told, f"admitted after {seconds:.1f} s, while pods were there"
    until_pods(bed, namespace, 4)
    wait_until(lambda: not lines(team), "no leftover", 10)
    assert team.used(CPU) == "4"


def killed_in_between(bed):
    bed.kill_controller()
    bed.start_controller()


@pytest.mark.parametrize(
    ("killed", "seconds"),
    [("no", TERMINATES), ("at once", TERMINATES), ("after", TERMINATES), ("after", TERMINATES_SLOWLY)],
)
def test_deleted_and_made_again(bed, team, web, namespace, killed, seconds, record_property):
    """Refused until the old pods are gone, whether a line names them yet or not."""
    bed.kubectl("delete", "deployment/web", f"--namespace={namespace}", "--wait=false")
    deleted = time.monotonic()
    if killed != "at once":
        wait_until(lambda: lines(team), "a leftover", 10)
    if killed != "no":
        killed_in_between(bed)
    refused_while_pods_are_there(bed, team, namespace, web, seconds)
    record_property("seconds until it was admitted again", round(time.monotonic() - deleted, 1))
    assert time.monotonic() - deleted >= seconds - 1


@pytest.mark.parametrize("killed", ["no", "after", "before"])
def test_orphaned_and_made_again(bed, team, web, namespace, killed):
    """Its ReplicaSet runs on without it, for as long as nobody deletes that."""
    if killed == "before":
        bed.kill_controller()
    bed.kubectl("delete", "deployment/web", f"--namespace={namespace}", "--cascade=orphan")
    if killed == "before":
        bed.start_controller()
    if killed == "after":
        wait_until(lambda: lines(team), "a leftover", 10)
        killed_in_between(bed)
    other = slow(deployment("again", team.name, namespace=namespace, replicas=4))
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        apply(bed, other)
    assert team.used(CPU) == "4"
    bed.kubectl("delete", "replicasets", "--all", f"--namespace={namespace}", "--wait=false")
    _, told = until_admitted(bed, team, other, TERMINATES + 25)
    assert told
    until_pods(bed, namespace, 4)
    wait_until(lambda: not lines(team), "no leftover", 10)


@pytest.mark.parametrize("killed", [False, True])
def test_scaled_down(bed, team, web, namespace, killed):
    """What one Deployment gives up, another one gets as its pods end."""
    bed.kubectl("scale", "deployment/web", "--replicas=1", f"--namespace={namespace}")
    if killed:
        killed_in_between(bed)
    other = slow(deployment("other", team.name, namespace=namespace, replicas=3))
    refused_while_pods_are_there(bed, team, namespace, other)


def test_growth_is_credited_with_what_is_held(bed, team, web, namespace):
    """Scaled down and up again: what its own pods hold is its own."""
    bed.kubectl("scale", "deployment/web", "--replicas=1", f"--namespace={namespace}")
    wait_until(lambda: lines(team), "a leftover", 10)
    bed.kubectl("scale", "deployment/web", "--replicas=4", f"--namespace={namespace}")
    assert team.used(CPU) == "4"
    until_pods(bed, namespace, 4 + 3)
    until_pods(bed, namespace, 4)
    until_used(team, "4")
    wait_until(lambda: not lines(team), "no leftover", 10)


@pytest.mark.parametrize("killed", [False, True])
def test_a_finished_object_of_a_made_up_kind_whose_pods_stay(bed, team, namespace, killed):
    """Its controller leaves the pods running, as some training operators do by default."""
    template = slow(deployment("x", team.name, namespace=namespace))["spec"]["template"]
    crew = {
        "apiVersion": "test.bizrq.io/v1",
        "kind": "Crew",
        "metadata": {"name": "crew", "namespace": namespace, "labels": {LABEL: team.name}},
        "spec": {"replicas": 4, "template": template},
    }
    apply(bed, crew)
    until_used(team, "4")
    crew = json.loads(bed.kubectl("get", "crew/crew", f"--namespace={namespace}", "--output=json"))
    owner = {"apiVersion": "test.bizrq.io/v1", "kind": "Crew", "name": "crew", "uid": crew["metadata"]["uid"]}
    members = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"crew-{number}",
                "namespace": namespace,
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [{**owner, "controller": True}],
            },
            "spec": template["spec"],
        }
        for number in range(4)
    ]
    apply(bed, *members)
    until_pods(bed, namespace, 4)
    bed.kubectl(
        "patch", "crew/crew", f"--namespace={namespace}", "--subresource=status", "--type=merge",
        "--patch", json.dumps({"status": {"conditions": [{"type": "Done", "status": "True"}]}}),
    )  # fmt: skip
    wait_until(lambda: lines(team), "a leftover", 10)
    if killed:
        killed_in_between(bed)
    other = slow(deployment("web", team.name, namespace=namespace, replicas=4))
    with pytest.raises(KubectlFailed, match="exceeded quota"):
        apply(bed, other)
    bed.kubectl("delete", "pods", "--all", f"--namespace={namespace}", "--wait=false")
    refused_while_pods_are_there(bed, team, namespace, other)


def test_an_idle_cluster_gives_back_within_seconds(bed, team, namespace):
    """No event of a pod tells that none is there: their namespace is compared."""
    raw = deployment("none", team.name, namespace=namespace, replicas=4)
    raw["spec"]["paused"] = True
    apply(bed, raw)
    until_used(team, "4")
    bed.kubectl("delete", "deployment/none", f"--namespace={namespace}")
    until_used(team, "0")
