"""[A11, A12, A15] What ordinary users are answered, on the real API server; docs/security.md has the table of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bizrq.domain.bizrq import LABEL
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- attempts -->\n", "<!-- end of attempts -->\n"
QUOTAS = {"apiGroups": ["quota.bizrq.io"], "resources": ["bizgroupresourcequotas"]}
DEVELOPER = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale", "daemonsets"], "verbs": ["*"]},
    {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["pods", "pods/resize"], "verbs": ["*"]},
]
AUTOSCALER = [{"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "patch"]}]
CRON_JOB_CONTROLLER = "system:serviceaccount:kube-system:cronjob-controller"


# --- the cluster -----------------------------------------------------------------------------------------------------


def grant(kubectl, name, subject, rules, *, namespaces=()):
    """Give a subject rules, in the whole cluster or in some namespaces."""
    kind = "User" if not subject.startswith("system:serviceaccount:") else "ServiceAccount"
    who = {"kind": kind, "name": subject, "apiGroup": "rbac.authorization.k8s.io"}
    if kind == "ServiceAccount":
        _, _, namespace, account = subject.split(":")
        who = {"kind": kind, "name": account, "namespace": namespace}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    binding = {
        **role,
        "roleRef": {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [who],
    }
    bindings = [
        {**binding, "kind": "RoleBinding", "metadata": {"name": name, "namespace": each}} for each in namespaces
    ] or [{**binding, "kind": "ClusterRoleBinding"}]
    items = [{**role, "rules": rules}, *bindings]
    kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def until_used(made, cores):
    wait_until(lambda: made.used(CPU) == cores, f"{made.name} uses {cores} cores", 30)


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    """A cluster with groups, namespaces and people."""
    with Cluster(tmp_path_factory.mktemp("security")) as cluster:
        cluster.start_operator(["--resync-seconds=2"])
        kubectl = cluster.kubectl
        for name, *labels in (
            ("shop",),
            ("strict",),
            ("trial", "quota.bizrq.io/mode=warn", "quota.bizrq.io/require-label=true"),
        ):
            kubectl("create", "namespace", name)
            if labels:
                kubectl("label", "namespace", name, *labels)
        # What was there before the label was required.
        old = unlabelled(deployment("old", "", namespace="strict", replicas=2))
        kubectl("create", "--filename=-", stdin=json.dumps(old))
        kubectl("label", "namespace", "strict", "quota.bizrq.io/require-label=true")
        use = [{**QUOTAS, "resourceNames": ["vision"], "verbs": ["use"]}]
        grant(kubectl, "developers-alice", "alice", DEVELOPER)
        grant(kubectl, "developers-bob", "bob", DEVELOPER)
        grant(kubectl, "use-vision", "alice", use)
        grant(kubectl, "use-audio", "bob", [{**QUOTAS, "resourceNames": ["audio"], "verbs": ["use"]}],
              namespaces=["shop"])  # fmt: skip
        grant(kubectl, "editor-of-vision", "carol", [
            {**QUOTAS, "verbs": ["get", "create", "update", "patch", "delete"]},
            {**QUOTAS, "resourceNames": ["vision"], "verbs": ["grant"]},
        ])  # fmt: skip
        grant(kubectl, "autoscaler", "system:serviceaccount:argo-rollouts:argo-rollouts", AUTOSCALER)
        with client(cluster.kubeconfig) as api, cluster.start_webhooks() as webhooks:
            hard = {CPU: "10", "pods": "40"}
            groups = [bizrq(api, "acme", {CPU: "100", "pods": "400"})]
            groups += [bizrq(api, name, hard, parent="acme") for name in ("vision", "audio")]
            for each in groups:
                each.create()
            for each, cores in zip(groups, ("20", "0", "0"), strict=True):
                until_used(each, cores)
            webhooks.install()
            yield cluster, {each.name: each for each in groups}


# --- attempts --------------------------------------------------------------------------------------------------------


def unlabelled(raw):
    return {**raw, "metadata": {**raw["metadata"], "labels": {}}}


def dumped(kind, raw, api_version="v1"):
    return json.dumps({"apiVersion": api_version, "kind": kind, **raw})


POD = {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"cpu": "1"}}}]}
OWNED = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "a-guess", "controller": True}]
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": POD}


def job(name, namespace, labels=None, owner=None):
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}, "ownerReferences": owner or []}
    spec = {"template": {"spec": {**POD, "restartPolicy": "Never"}}, "suspend": True}
    return dumped("Job", {"metadata": metadata, "spec": spec}, "batch/v1")


def cron_job(name, namespace, labels=None):
    template = {"metadata": {"labels": labels or {}}, "spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}
    spec = {"schedule": "0 0 31 2 *", "jobTemplate": template}
    return dumped("CronJob", {"metadata": {"name": name, "namespace": namespace}, "spec": spec}, "batch/v1")


def pod(name, namespace, cores=1, **metadata):
    container = {**POD["containers"][0], "resources": {"limits": {"cpu": str(cores)}}}
    spec = {"containers": [container]}
    return dumped("Pod", {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec})


def waiting(raw):
    """A Deployment whose pods get no node: those of a test bed do not say that they can resize."""
    raw["spec"]["template"]["spec"]["nodeSelector"] = {"there-is": "none"}
    return raw


def daemon_set(name, namespace):
    metadata = {"name": name, "namespace": namespace}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}
    return dumped("DaemonSet", {"metadata": metadata, "spec": spec}, "apps/v1")


def group(name, parent, cores):
    return json.dumps(bizrq(None, name, {CPU: str(cores), "pods": "4"}, parent=parent).obj)


@dataclass(frozen=True)
class Attempt:
    """What somebody tries."""

    who: str
    what: str
    arguments: tuple[str, ...]
    stdin: str = ""
    once: str = ""
    """It waits until this is what `vision` uses, so that the figures in its answer are always the same."""


def create(who, what, raw, *arguments, once=""):
    stdin = raw if isinstance(raw, str) else json.dumps(raw)
    return Attempt(who, what, ("create", "--filename=-", *arguments), stdin, once)


def in_(namespace, who, what, *arguments):
    return Attempt(who, what, (*arguments, f"--namespace={namespace}"))


def set_hard(who, what, name, cores):
    patch = json.dumps({"spec": {"hard": {CPU: str(cores)}}})
    return Attempt(who, what, ("patch", "bizrq", name, "--type=merge", f"--patch={patch}"))


def resized(who, what, cores):
    limits = {"limits": {"cpu": cores}, "requests": {"cpu": cores}}
    patch = json.dumps({"spec": {"containers": [{"name": "main", "resources": limits}]}})
    return in_("strict", who, what, "patch", "pod", POD_OF_MINE, "--subresource=resize", f"--patch={patch}")


def web(name, group_, namespace, replicas=1):
    return deployment(name, group_, namespace=namespace, replicas=replicas)


POD_OF_MINE = "the name of a pod of the Deployment mine"
UID_OF_WEB = "the UID of the Deployment web"
OWNED_BY_WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": UID_OF_WEB, "controller": True}

ATTEMPTS = [
    # naming a group
    create("bob", "create a Deployment for `vision`, which he may not use", web("a", "vision", "shop")),
    create("bob", "the same of 1000 replicas, as a dry run", web("a", "vision", "shop", 1000), "--dry-run=server"),
    create("bob", "create one for `nobody`, which does not exist", web("a", "nobody", "shop")),
    Attempt("bob", "read the figures of `vision`", ("get", "bizrq", "vision")),
    create("bob", "create one for `audio`, in shop, where he may use it", web("b", "audio", "shop")),
    create("bob", "the same in strict, where he may not", web("b", "audio", "strict")),
    in_("shop", "bob", "move it to `vision`", "label", "deployment/b", f"{LABEL}=vision", "--overwrite"),
    in_("shop", "bob", "take its label away, where none is required", "label", "deployment/b", f"{LABEL}-"),
    in_("shop", "bob", "put it back for `vision`", "label", "deployment/b", f"{LABEL}=vision"),
    create("alice", "create a Deployment of 4 cores for `vision`", web("web", "vision", "shop", 4)),
    create("alice", "create one for `vison`, a typing error", web("c", "vison", "shop")),
    in_("shop", "rollouts", "scale it to 6 cores", "scale", "deployment/web", "--replicas=6"),
    in_("shop", "rollouts", "scale it to 60 cores", "scale", "deployment/web", "--replicas=60"),
    create("bob", "create a bare pod for `vision`, which he may not use", pod("a", "shop", labels={LABEL: "vision"})),
    create("alice", "create a bare pod of 100 cores for `vision`", pod("a", "shop", 100, labels={LABEL: "vision"})),
    create("alice", "the same, with the right UID of the Deployment web as its owner",
           pod("a", "shop", 100, labels={LABEL: "vision"}, ownerReferences=[OWNED_BY_WEB])),
    create("alice", "one of 1 core, with that owner", pod("a", "shop", labels={LABEL: "vision"},
                                                          ownerReferences=[OWNED_BY_WEB])),
    create("alice", "one more of 4 cores, which would fit if the first were not charged",
           pod("b", "shop", 4, labels={LABEL: "vision"}, ownerReferences=[OWNED_BY_WEB])),
    in_("shop", "alice", "delete the first", "delete", "pod", "a"),
    create("alice", "create a CronJob whose Jobs are for `audio`, which she may not use",
           cron_job("nightly", "shop", {LABEL: "audio"})),
    Attempt("alice", "set the mode of her namespace", ("label", "namespace", "shop", "quota.bizrq.io/mode=warn")),
    Attempt("alice", "write the status of `vision`",
            ("patch", "bizrq", "vision", "--subresource=status", "--type=merge", '--patch={"status":{"used":{}}}')),
    # granting
    create("carol", "create a child of `vision`", group("vision-kid", "vision", 1)),
    set_hard("carol", "raise it", "vision-kid", 2),
    create("carol", "create a child of `audio`", group("audio-kid", "audio", 1)),
    create("carol", "create a child of `nobody`, which does not exist", group("kid", "nobody", 1)),
    create("carol", "create a root", group("root", "", 1)),
    set_hard("carol", "raise `vision` itself", "vision", 11),
    set_hard("carol", "lower the child again", "vision-kid", 1),
    # where a label is required
    create("alice", "in strict: create a Deployment without a label", unlabelled(web("a", "", "strict"))),
    create("alice", "in strict: create a Job without a label", job("a", "strict")),
    create("alice", "in strict: create a bare pod without a label", pod("a", "strict")),
    create("alice", "in strict: create a pod with an ownerReference of her own",
           pod("a", "strict", ownerReferences=OWNED)),
    create("alice", "in strict: create a DaemonSet", daemon_set("agent", "strict")),
    create("alice", "in strict: create a CronJob whose Jobs have no label", cron_job("nightly", "strict")),
    create("cronjob-controller", "in strict: create such a Job of it", job("nightly-1", "strict", owner=[
        {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "a-guess", "controller": True},
    ])),
    create("alice", "in strict: create a Deployment for `vision`", waiting(web("mine", "vision", "strict", 1))),
    in_("strict", "alice", "in strict: take its label away", "label", "deployment/mine", f"{LABEL}-"),
    resized("alice", "in strict: resize its pod to 2 cores", "2"),
    resized("alice", "in strict: resize its pod to half a core", "500m"),
    resized("alice", "in strict: resize it back to 1 core", "1"),
    in_("strict", "alice", "in strict: scale up a Deployment that never had a label",
        "scale", "deployment/old", "--replicas=3"),
    in_("strict", "alice", "in strict: give it another image", "set", "image", "deployment/old", "main=another"),
    in_("strict", "alice", "in strict: scale it down", "scale", "deployment/old", "--replicas=1"),
    in_("strict", "alice", "in strict: delete it", "delete", "deployment", "old"),
    # where refusals are warnings
    create("alice", "in trial: create a Deployment of 1000 cores for `vision`", web("huge", "vision", "trial", 1000),
           once="8"),
    create("bob", "in trial: create one for `vision`, which he may not use", web("his", "vision", "trial")),
    create("alice", "in trial: create a Deployment without a label", unlabelled(web("a", "", "trial"))),
    create("alice", "in trial: create a bare pod without a label", pod("a", "trial")),
]  # fmt: skip


def answer(cluster, attempt):
    """What kubectl says to it: the answer of the API server without the words around it, and its warnings."""
    arguments = list(attempt.arguments)
    if POD_OF_MINE in arguments:
        arguments[arguments.index(POD_OF_MINE)] = wait_until(lambda: the_pod(cluster), "its pod is there")
    stdin = attempt.stdin
    if UID_OF_WEB in stdin:
        uid = cluster.kubectl("get", "deployment", "web", "--namespace=shop", "--output=jsonpath={.metadata.uid}")
        stdin = stdin.replace(UID_OF_WEB, uid)
    user = attempt.who
    if user == "cronjob-controller":
        user, arguments = "admin", [*arguments, f"--as={CRON_JOB_CONTROLLER}"]
    kubectl = cluster.kubectl
    done = subprocess.run(
        [kubectl.program, "--kubeconfig", kubectl.kubeconfigs[user], *arguments],
        env={**os.environ, "KUBECACHEDIR": str(kubectl.cache)},
        input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    lines = done.stderr.strip().splitlines()
    warnings = " ".join(line.removeprefix("Warning: ") for line in lines if line.startswith("Warning: "))
    if done.returncode == 0:
        return f"allowed, with the warning: {warnings}" if warnings else "allowed"
    refusal = " ".join(line for line in lines if not line.startswith("Warning: "))
    assert "failed calling webhook" not in refusal, refusal
    _, by_webhook, message = refusal.partition(" denied the request: ")
    if not by_webhook:
        assert "(Forbidden)" in refusal, refusal
        return "refused by the API server itself"
    return "refused: " + re.sub(r"\bmine-\w+-\w+", "mine-...", message)


def the_pod(cluster):
    return cluster.kubectl("get", "pods", "--namespace=strict", "--selector=app=mine",
                           "--output=jsonpath={.items[0:1].metadata.name}")  # fmt: skip


@pytest.fixture(scope="module")
def answers(bed):
    """Every attempt with its answer, in order."""
    cluster, groups = bed
    made = []
    for attempt in ATTEMPTS:
        if attempt.once:
            until_used(groups["vision"], attempt.once)
        made.append((attempt, answer(cluster, attempt)))
    return made


def told(answers, what, who=None):
    (found,) = [text for attempt, text in answers if attempt.what == what and who in {None, attempt.who}]
    return found


# --- the table -------------------------------------------------------------------------------------------------------


def shown(attempt):
    return {"rollouts": "an autoscaler without a right", "cronjob-controller": "the CronJob controller"}.get(
        attempt.who, attempt.who
    )


def table(answers):
    rows = [f"| {shown(attempt)} | {attempt.what} | {text.replace('|', chr(92) + '|')} |" for attempt, text in answers]
    return "\n".join(["| who | tries to | and is answered |", "|---|---|---|", *rows, ""])


def test_the_table_of_security_md_is_what_was_answered(answers):
    """Written anew by REWRITE_DOCS=1."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    written, _, after = rest.partition(END)
    made = table(answers)
    if os.environ.get("REWRITE_DOCS"):
        PAGE.write_text(before + BEGIN + made + END + after, encoding="utf-8")
        return
    assert made.splitlines() == written.splitlines(), "run it with REWRITE_DOCS=1, and read what has changed"


# --- what must hold, whatever the words -------------------------------------------------------------------------------


def test_a_user_without_use_can_neither_name_a_group_nor_learn_its_figures(answers):
    """[A12]"""
    texts = [text for attempt, text in answers if attempt.who == "bob"]
    assert all("limited" not in text and ", used" not in text and "did you mean" not in text for text in texts)
    ours = told(answers, "create a Deployment for `vision`, which he may not use")
    other = told(answers, "create one for `nobody`, which does not exist")
    assert ours.startswith('refused: label biz.group.resource.quota: bob may not use "vision"')
    assert other == ours.replace("vision", "nobody"), "the same whether there is such a group or not"


def test_the_command_in_the_refusal_says_whether_somebody_may(bed, answers):
    """[A12]"""
    cluster, _ = bed
    refusal = told(answers, "create a Deployment for `vision`, which he may not use")
    command = refusal.rpartition("see: kubectl ")[2].split()
    assert cluster.kubectl(*command, user="alice").strip() == "yes"
    with pytest.raises(KubectlFailed):
        cluster.kubectl(*command, user="bob")


def test_an_autoscaler_without_any_right_scales_what_is_there(answers):
    """[A12]"""
    assert told(answers, "scale it to 6 cores").startswith("allowed")
    assert "exceeded quota: vision" in told(answers, "scale it to 60 cores")


def test_the_editor_of_a_group_creates_and_raises_children_of_that_group_only(answers):
    """[A12]"""
    carols = {
        attempt.what: text.partition(":")[0].partition(",")[0] for attempt, text in answers if attempt.who == "carol"
    }
    assert {what for what, text in carols.items() if text == "allowed"} == {
        "create a child of `vision`", "raise it", "lower the child again",
    }  # fmt: skip
    assert all("may not grant" in text for attempt, text in answers
               if attempt.who == "carol" and text.startswith("refused"))  # fmt: skip


def test_where_a_label_is_required_nothing_runs_without_one(answers):
    """[A11, A15]"""
    strict = {
        attempt.what.removeprefix("in strict: "): text for attempt, text in answers if "in strict: " in attempt.what
    }
    refused = {what for what, text in strict.items() if text.startswith("refused: ")}
    assert refused == {
        "create a Deployment without a label",
        "create a Job without a label",
        "create a bare pod without a label",
        "create a pod with an ownerReference of her own",
        "create a CronJob whose Jobs have no label",
        "create such a Job of it",
        "take its label away",
        "resize its pod to 2 cores",
        "scale up a Deployment that never had a label",
    }
    assert strict.keys() - refused == {what for what, text in strict.items() if text.startswith("allowed")}
    assert "not counted" in strict["create a DaemonSet"]


def test_in_warn_nothing_is_refused_all_is_warned_about_and_what_runs_is_counted(bed, answers):
    """[A11, A12] Nothing is claimed either."""
    cluster, groups = bed
    trial = [text for attempt, text in answers if attempt.what.startswith("in trial: ")]
    assert all(text.startswith("allowed, with the warning: not enforced, would be refused: ") for text in trial), trial
    # vision: web 6, mine 1, huge 1000, his 1, and the child's 1.
    until_used(groups["vision"], "1009")
    claims = groups["vision"].status().get("claims") or []
    assert not [line for line in claims if "/trial/" in line]
    wait_until(lambda: is_true(groups["vision"], "OverQuota"), "OverQuota", 10)
    with contextlib.suppress(Exception):
        cluster.kubectl("delete", "deployment", "huge", "--namespace=trial")


def is_true(made, condition):
    return any(each["type"] == condition and each["status"] == "True" for each in made.status()["conditions"])


def test_a_label_of_a_namespace_holds_within_some_seconds(bed, answers):
    """The mode, and that a label is required."""
    cluster, _ = bed
    raw = unlabelled(web("later", "", "trial"))
    cluster.kubectl("label", "namespace", "trial", "quota.bizrq.io/mode-")
    attempt = create("alice", "later", raw)
    deadline = time.monotonic() + 10
    while not (text := answer(cluster, attempt)).startswith("refused: "):
        assert time.monotonic() < deadline, text
        cluster.kubectl("delete", "deployment", "later", "--namespace=trial")
    cluster.kubectl("label", "namespace", "trial", "quota.bizrq.io/require-label-")
    wait_until(lambda: answer(cluster, attempt).startswith("allowed"), "a label is not required any more", 10)


@pytest.mark.parametrize(
    ("flag", "child", "huge"),
    [
        (
            "--mode=warn",
            "not enforced, would be refused: spec.parentBizGroup",
            "not enforced, would be refused: exceeded",
        ),
        ("--authorize=false", "allowed", "refused: exceeded quota: audio"),
    ],
)
def test_the_flags_reach_the_process(bed, answers, flag, child, huge):
    """[A12] The last ones here: the configuration goes with these webhooks."""
    cluster, _ = bed

    # Of no size: pods of the tests before may still hold what their workloads demanded [P5].
    kid = group("flag-kid", "audio", 0).replace('"pods": "4"', '"pods": "0"')
    with cluster.start_webhooks(1, [flag]) as others:
        others.install()
        try:
            assert child in answer(cluster, create("carol", "a child", kid))
            cluster.kubectl("delete", "bizrq", "flag-kid")
            assert huge in answer(cluster, create("bob", "too much", web("huge", "audio", "shop", 1000)))
        finally:
            cluster.kubectl("delete", "deployment", "huge", "--namespace=shop", "--ignore-not-found")
