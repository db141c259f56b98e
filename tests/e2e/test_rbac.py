"""Which request needs each right of the two processes? What the API server wrote down while they did all they do.

The rights are those of the rendered chart. A right that no request used fails here, and so does a request that was
forbidden. docs/security.md has the table of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bizrq.workloads.registry import load_kinds
from testbed import admission, chart, definitions, identities
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from testbed.identities import NAMESPACE
from tests.support.bizrqs import Bizrq, bizrq
from tests.support.instants import CPU
from tests.support.kube import client, wait_until
from tests.support.rights import forbidden, request_of, rights_of, used

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- rights -->\n", "<!-- end of rights -->\n"
WITHIN = 120.0

KINDS = load_kinds()
COUNTED = {each.id for each in KINDS}
BIZRQS, LEASES = "bizgroupresourcequotas.quota.bizrq.io", "leases.coordination.k8s.io"
DEFINITIONS, CLASSES = "customresourcedefinitions.apiextensions.k8s.io", "runtimeclasses.node.k8s.io"
CONFIGURATIONS = "validatingwebhookconfigurations.admissionregistration.k8s.io"
EVENTS, SECRETS = "events.events.k8s.io", "secrets"
REVIEWS = "subjectaccessreviews.authorization.k8s.io"
ANY = "each counted kind"
TRUSTED = "system:serviceaccount:kube-system:job-controller"

WHY = {
    "bizrq-controller": {
        ("get", BIZRQS): "to read the version that a status is written over, and what has become of a child",
        ("list", BIZRQS): "to know all at the start, and to find at each resync what watches have missed",
        ("watch", BIZRQS): "to hear of changes",
        ("patch", BIZRQS): "to set the finalizer that keeps the hours of what is deleted, and to take it away",
        ("update", f"{BIZRQS}/status"): "to write the figures",
        ("list", DEFINITIONS): "to watch them",
        ("watch", DEFINITIONS): "to count a kind that is installed later",
        ("get", DEFINITIONS): "to tell a kind that is not installed from one that is not served yet",
        ("list", CLASSES): "to know the overhead of pods",
        ("watch", CLASSES): "to hear of a new overhead",
        ("create", EVENTS): "to tell of what has happened to a group, there and where its workloads are",
        ("patch", EVENTS): "to tell that it has happened again",
        ("get", CONFIGURATIONS): "to see whether the API server asks the webhook, and how",
        ("patch", CONFIGURATIONS): "to tell the API server of a new certificate and of a new token",
        ("get", SECRETS): "to see which certificate and which token the webhook has",
        ("update", SECRETS): "to give it new ones",
        ("create", LEASES): "to make the Lease; no right to create can be limited to a name",
        ("get", LEASES): "to see which controller leads, and from where pods were counted",
        ("update", LEASES): "to lead, and to let go",
        ("get", ANY): "to see what became of what was granted, and whether a workload is gone or has lost its label",
        ("list", ANY): "to know all at the start, and to find at each resync what watches have missed",
        ("watch", ANY): "to hear of changes",
    },
    "bizrq-webhook": {
        ("get", BIZRQS): "to read the figures that a review goes by",
        ("list", BIZRQS): "to find the children of one that is changed or deleted, and the name that was meant",
        ("update", f"{BIZRQS}/status"): "to claim what is granted",
        ("create", REVIEWS): "to ask whether somebody may use a group, or grant from it",
        ("get", "namespaces"): "to see whether one requires a label, or only warns",
        ("get", CLASSES): "to know the overhead of pods",
        ("get", ANY): "to see whose child something is, and what is scaled",
        ("list", ANY): "to see that nothing demands anything of a group that is deleted, and which Rollouts refer to a "
        "Deployment",
    },
}  # fmt: skip
"""What each right is needed for: a right that is added is explained here."""


# --- the chart -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rights():
    return rights_of(chart.rights())


def test_no_right_is_given_twice_or_to_whatever_there_is(rights):
    """A wildcard is refused where rights are read."""
    assert {right.account for right in rights} == set(WHY)
    without_names = Counter((right.account, right.resource, right.verb) for right in rights)
    assert [right for right, count in without_names.items() if count > 1] == []


def called(right):
    """A right as `WHY` knows it."""
    return right.verb, ANY if right.resource in COUNTED else right.resource


def test_it_is_said_of_each_right_what_it_is_needed_for(rights):
    for account, reasons in WHY.items():
        assert {called(right) for right in rights if right.account == account} == reasons.keys()


def test_each_counted_kind_has_the_same_rights(rights):
    for account, reasons in WHY.items():
        given = {(right.verb, right.resource) for right in rights if right.account == account}
        for verb, what in reasons:
            if what == ANY:
                assert {resource for verb_, resource in given if verb_ == verb} >= COUNTED


@pytest.mark.parametrize(
    "rule",
    [
        {"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["*"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ],
)
def test_a_rule_that_gives_whatever_there_is_would_be_found(rule):
    role = {"kind": "ClusterRole", "metadata": {"name": "one"}, "rules": [rule]}
    subject = {"kind": "ServiceAccount", "name": "bizrq-webhook", "namespace": NAMESPACE}
    binding = {"kind": "ClusterRoleBinding", "metadata": {"name": "one"}, "subjects": [subject],
               "roleRef": {"kind": "ClusterRole", "name": "one"}}  # fmt: skip
    with pytest.raises(ValueError, match="whatever there is"):
        rights_of([role, binding])


# --- what the processes do -------------------------------------------------------------------------------------------


def manifests():
    """One object of each counted kind, by the id of its kind."""
    documents = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "tests/manifests").glob("*.yaml"))
    ]
    known = {(each["apiVersion"], each["kind"]): each for each in documents if "workloadRef" not in each["spec"]}
    template = known["apps/v1", "StatefulSet"]["spec"]["template"]
    selected = {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template, "replicas": 1}
    ending = {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}
    specs = {
        ("apps/v1", "Deployment"): selected,
        ("apps/v1", "ReplicaSet"): selected,
        ("batch/v1", "Job"): {"template": {"spec": ending["spec"]}},
        ("v1", "Pod"): template["spec"],
    }
    metadata = known["apps/v1", "StatefulSet"]["metadata"]
    for (version, kind), spec in specs.items():
        known[version, kind] = {
            "apiVersion": version, "kind": kind, "metadata": {**metadata, "name": kind.lower()}, "spec": spec,
        }  # fmt: skip
    return {each.id: known[f"{each.group}/{each.version}" if each.group else each.version, each.kind] for each in KINDS}


class Doing:
    """The steps that have the two processes do all they do."""

    def __init__(self, cluster, api):
        self.cluster, self.api, self.kubectl = cluster, api, cluster.kubectl

    def create(self, *objects, **options):
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        told = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        text = self.kubectl("create", "--filename=-", "--output=yaml", *told, stdin=json.dumps(listed))
        return list(yaml.safe_load_all(text))

    def install_the_kinds_of_other_projects(self):
        """After the controller was started, which has to look for them."""
        files = [file for name in definitions.SOURCES for file in definitions.files(name)]
        self.kubectl("apply", "--server-side", "--force-conflicts", *(f"--filename={file}" for file in files))

    def asked(self, verb, resource):
        """Whether this was asked of the API server already."""
        return any(
            each["verb"] == verb and (each.get("objectRef") or {}).get("resource") == resource
            for each in self.cluster.audit()
        )

    def have_a_certificate_made(self):
        """In the Secret that the chart makes, for the configuration that it makes; nobody is asked by it yet."""
        configuration = chart.configuration({"webhook": {"pathToken": "t" * 32}})
        for each in configuration["webhooks"]:
            del each["clientConfig"]["service"]["path"]
        metadata = {"name": "bizrq-webhook", "namespace": NAMESPACE}
        self.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}, configuration)
        resource = CONFIGURATIONS.partition(".")[0]
        wait_until(lambda: self.asked("patch", resource), "the configuration is patched", WITHIN)
        admission.uninstall(self.kubectl)

    def make_groups(self):
        for name, parent, cores in (
            ("corp", "", 900),
            ("team", "corp", 300),
            ("other", "corp", 300),
            ("empty", "corp", 9),
        ):
            made = bizrq(self.api, name, {CPU: str(cores), "cash/limits.cpu": str(cores)}, parent=parent)
            made.create()
            wait_until(functools.partial(made.used, CPU), f"{name} is counted", WITHIN)

    def make_workloads(self):
        """One of each kind, and a Deployment whose pods have an overhead; what the API server made of each."""
        self.kubectl("create", "namespace", "shop")
        self.create({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"},
                     "handler": "kata", "overhead": {"podFixed": {"cpu": "100m"}}})  # fmt: skip
        every = manifests()
        over = json.loads(json.dumps(every["deployments.apps"]))
        over["metadata"]["name"] = "over"
        over["spec"]["template"]["spec"]["runtimeClassName"] = "kata"
        return self.create(over, *every.values())[1:]

    def have_a_controller_make_children(self, owners):
        """Whose child it is must be seen; as a dry run, in the name of a controller that is trusted."""
        pod = manifests()["pods"]
        for number, owner in enumerate(owners):
            ref = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
            ref |= {key: owner["metadata"][key] for key in ("name", "uid")}
            metadata = {**pod["metadata"], "name": f"child-{number}", "ownerReferences": [ref]}
            with contextlib.suppress(KubectlFailed):  # that of a pod is refused: it would be one of its own
                self.create({**pod, "metadata": metadata}, **{"dry_run": "server", "as": TRUSTED})

    def move_workloads_in_vain(self, stored):
        """Grant what is then refused by somebody else: the controller has to look what became of it."""
        refuses = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": chart.CONFIGURATION,
            "metadata": {"name": "refuses"},
            "webhooks": [
                {
                    "name": "refuses.example.com",
                    "clientConfig": {"url": "https://127.0.0.1:1/"},
                    "rules": [
                        {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["UPDATE"]},
                    ],
                    "objectSelector": {"matchLabels": {"biz.group.resource.quota": "other"}},
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }  # fmt: skip
        self.create(refuses)

        def is_refused(kind, name):
            with contextlib.suppress(KubectlFailed):
                self.kubectl("label", "--overwrite", kind, name, "biz.group.resource.quota=other", "--namespace=shop")
                return False
            return True

        wait_until(lambda: is_refused("deployment", "over"), "moves are refused", WITHIN)
        for kind, each in zip(KINDS, stored, strict=True):
            assert is_refused(kind.id, each["metadata"]["name"])

    def lower_and_raise_a_group(self):
        """It is over quota, and then it is not: both is told of."""
        team = Bizrq.objects(self.api).get(name="team")
        for cores, over in (("1", "True"), ("300", "False")):
            team.reload()
            team.patch({"spec": {"hard": {CPU: cores}}})
            wait_until(functools.partial(_says, team, cores, over), f"{cores} cores are told of", WITHIN)

    def lower_and_raise_it_until_it_is_told_again(self):
        """Not sooner than half a minute after the first time."""

        def is_told_again():
            self.lower_and_raise_a_group()
            return self.asked("patch", "events")

        wait_until(is_told_again, "it is told again", WITHIN)

    def delete_a_group(self):
        """One that nothing demands anything of: that must be found out, of each kind."""
        self.kubectl("delete", "bizrq", "empty", "--wait=true")


def _says(team, cores, over):
    """Whether its status is of so many cores, and says so of OverQuota."""
    status = team.status()
    told = {each["type"]: each["status"] for each in status["conditions"]}
    return status["hard"][CPU] == cores and told["OverQuota"] == over


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with (
        Cluster(tmp_path_factory.mktemp("rbac"), audited=True) as cluster,
        client(cluster.kubeconfig) as api,
    ):
        controller = cluster.start_operator(
            ["--resync-seconds=5", f"--webhook-secret={NAMESPACE}/bizrq-webhook"], lease_namespace=NAMESPACE
        )
        with cluster.start_webhooks(count=1) as webhooks:
            doing = Doing(cluster, api)
            doing.install_the_kinds_of_other_projects()
            doing.have_a_certificate_made()
            webhooks.install()
            doing.make_groups()
            stored = doing.make_workloads()
            doing.lower_and_raise_a_group()
            doing.have_a_controller_make_children(stored)
            doing.move_workloads_in_vain(stored)
            doing.delete_a_group()
            doing.lower_and_raise_it_until_it_is_told_again()
            yield cluster, [controller, *webhooks.replicas]


@pytest.fixture(scope="module")
def heard(bed, rights):
    """All requests, and those that used each right, once each right has been used, or should have been."""
    cluster, _ = bed

    def unused():
        return [right for right, found in used(rights, cluster.audit()).items() if not found]

    with contextlib.suppress(AssertionError):
        wait_until(lambda: not unused(), "each right is used", WITHIN)
    events = cluster.audit()
    return events, used(rights, events)


@pytest.fixture(scope="module")
def requests(heard):
    """The requests that used each right."""
    return heard[1]


def test_a_right_that_nobody_needs_would_be_found(heard):
    events, requests = heard
    (one,) = (right for right in requests if right.resource == f"{BIZRQS}/status" and right.account == "bizrq-webhook")
    others = [
        dataclasses.replace(one, **field)
        for field in ({"verb": "patch"}, {"resource": BIZRQS}, {"name": "nobody"}, {"role": "Role bizrq-webhook"},
                      {"account": "bizrq-controller"})
    ]  # fmt: skip
    assert set(map(len, used(others, events).values())) == {0}


def test_each_right_is_used_by_a_request(requests):
    for right, events in requests.items():
        print(f"{right}: {request_of(events[0]) if events else 'NO REQUEST'}")  # noqa: T201  # the list is asked for
    assert [str(right) for right, events in requests.items() if not events] == []


def test_no_request_is_forbidden(heard):
    events, _ = heard
    assert forbidden(events) == []


def test_what_is_given_to_everybody_is_discovery_alone(heard):
    """Whatever else was allowed, a role of the chart allowed it."""
    all_events, requests = heard
    ours = {event["auditID"] for events in requests.values() for event in events}
    others = {request_of(event) for event in all_events if event["auditID"] not in ours}
    assert {each for each in others if not each.startswith(("get /api", "get /version"))} == set()


def test_the_processes_run_under_accounts_of_their_own(bed):
    """The API server knows the token of each as that of its account."""
    cluster, processes = bed
    for process in processes:
        environment = dict(
            each.split("=", 1) for each in Path(f"/proc/{process.pid}/environ").read_text().split("\0") if each
        )
        account = "bizrq-controller" if process.name == "operator" else "bizrq-webhook"
        assert identities.user_of(Path(environment["KUBECONFIG"])) == account
        said = cluster.kubectl("auth", "whoami", "--output=json", user=account)
        info = json.loads(said)["status"]["userInfo"]
        assert info["username"] == f"system:serviceaccount:{NAMESPACE}:{account}"
        assert info["uid"], "it is a ServiceAccount that is stored"


def test_a_request_that_is_forbidden_would_be_found(bed, heard):
    """The last one here: it is in the log from now on."""
    cluster, _ = bed
    with pytest.raises(KubectlFailed, match="forbidden"):
        cluster.kubectl("get", "--raw=/api/v1/secrets", user="bizrq-webhook")
    assert forbidden(cluster.audit()) == ["list /api/v1/secrets"]


# --- the page --------------------------------------------------------------------------------------------------------


def table(requests):
    """A row for each right, those on counted kinds in one; the request is the shortest of those that used it."""
    rows = ["| process | may | of | by the request | needs it |", "|---|---|---|---|---|"]
    for account, reasons in WHY.items():
        for (verb, what), why in reasons.items():
            found = {
                right: events
                for right, events in requests.items()
                if right.account == account and called(right) == (verb, what)
            }
            asked = {request_of(event, anonymous=True) for events in found.values() for event in events}
            shortest = min(asked, key=lambda text: (len(text), text), default="none")
            names = ", ".join(f"`{right.name}`" for right in sorted(found) if right.name)
            only = f", only {names}" if names else ""
            rows.append(f"| {account.removeprefix('bizrq-')} | {verb} | {what}{only} | `{shortest}` | {why} |")
    return "".join(f"{row}\n" for row in rows)


def test_the_page_has_the_table(requests):
    """Written anew by REWRITE_DOCS=1."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    written, after = rest.split(END)
    made = table(requests)
    if os.environ.get("REWRITE_DOCS"):
        PAGE.write_text(f"{before}{BEGIN}{made}{END}{after}", encoding="utf-8")
        return
    assert made.splitlines() == written.splitlines(), "run it with REWRITE_DOCS=1, and read what has changed"
