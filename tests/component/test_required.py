"""[A11, A15] namespaces that require a label: the route of their own entry in the webhook configuration."""

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.webhook.required import RequiredReviews
from bizrq.workloads.registry import read_kinds
from tests.support.build import container, pod, pod_spec, workload
from tests.support.policy import REPLICA_SET_CONTROLLER, PolicyWebhook, owned
from tests.support.quotas import counted

ONE_CORE = pod_spec(container("main", requests={"cpu": "1"}, limits={"cpu": "1", "memory": "1Gi"}))
CRON_JOB_CONTROLLER = "system:serviceaccount:kube-system:cronjob-controller"
JOB = workload("run", kind="Job", api_version="batch/v1", template=ONE_CORE, replicas=None, bizrq=None)
REQUIRES = "namespace shop requires the label biz.group.resource.quota: "


def web(replicas=1, bizrq=None, **fields):
    return workload("web", replicas=replicas, template=ONE_CORE, bizrq=bizrq, version=70, **fields)


def with_class(raw):
    raw["spec"]["template"]["spec"] = {**raw["spec"]["template"]["spec"], "runtimeClassName": "sandbox"}
    return raw


@pytest.fixture
def webhook(clock):
    return PolicyWebhook(clock)


async def ask(webhook, operation, new, old=None, *, resource=None, sub=""):
    """What the entry asks of the namespace shop."""
    group, _, version = new["apiVersion"].rpartition("/")
    at = {"group": group, "version": version, "resource": resource or new["kind"].lower() + "s"}
    return await webhook.ask(
        "required", operation=operation, resource=at, subResource=sub, object=new, oldObject=old,
        name=new["metadata"]["name"],
    )  # fmt: skip


# --- a label is required ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "raw", "message"),
    [
        pytest.param("alice", web(), f"deployments.apps web: {REQUIRES}", id="a workload"),
        pytest.param("alice", web(0), f"deployments.apps web: {REQUIRES}", id="one that demands nothing yet"),
        pytest.param("alice", web(bizrq=""), f"deployments.apps web: {REQUIRES}", id="an empty label"),
        pytest.param("alice", pod(), f"pods pod: {REQUIRES}", id="a bare pod"),
        pytest.param("alice", workload("rs", kind="ReplicaSet", bizrq=None), f"replicasets.apps rs: {REQUIRES}",
                     id="a ReplicaSet"),
        pytest.param("alice", owned(workload("rs", kind="ReplicaSet", bizrq=None), "apps/v1", "Deployment", "web"),
                     "alice is none of the controllers", id="a ReplicaSet with an owner that anybody can write"),
        pytest.param("alice", owned(pod(), "apps/v1", "ReplicaSet", "web-1"), "alice is none of the controllers",
                     id="a pod with an owner that anybody can write"),
        pytest.param(REPLICA_SET_CONTROLLER, pod(), f"pods pod: {REQUIRES}", id="a pod without an owner"),
        pytest.param(REPLICA_SET_CONTROLLER, owned(pod(), "v1", "ConfigMap", "x", controller=False),
                     f"pods pod: {REQUIRES}", id="a pod with an owner that does not control it"),
        pytest.param(CRON_JOB_CONTROLLER, owned(JOB, "batch/v1", "CronJob", "nightly"),
                     "its owner, a CronJob, is not counted, so it needs one itself",
                     id="a workload that is the child of one that is not counted"),
    ],
)  # fmt: skip
async def test_what_has_no_label_is_refused(webhook, user, raw, message):
    """[A11] a workload of a counted kind; a pod without a controller owner or from an untrusted requester."""
    webhook.user = user
    verdict = await ask(webhook, "CREATE", raw)
    assert (verdict.allowed, verdict.code, verdict.reason) == (False, 403, "Forbidden")
    assert message in verdict.message
    assert webhook.store.asked == 0


@pytest.mark.parametrize(
    ("user", "raw"),
    [
        pytest.param("alice", web(bizrq="team"), id="a workload with a label, whatever it names: others look at that"),
        pytest.param("alice", pod(labels={"biz.group.resource.quota": "team"}), id="a pod with a label"),
        pytest.param(REPLICA_SET_CONTROLLER, owned(pod(), "apps/v1", "ReplicaSet", "web-1"), id="a child"),
        pytest.param("system:kube-controller-manager",
                     owned(workload("rs", kind="ReplicaSet", bizrq=None), "argoproj.io/v1", "Thing", "x"),
                     id="a ReplicaSet of what is not counted: it only stands in between"),
        pytest.param("system:kube-controller-manager",
                     owned(pod(), "apps/v1", "DaemonSet", "agent"), id="a child of what is not counted"),
        pytest.param("system:serviceaccount:kube-system:deployment-controller",
                     owned(web(), "argoproj.io/v1alpha1", "Rollout", "web"), id="a workload that a counted one owns"),
    ],
)  # fmt: skip
async def test_what_has_one_and_children_pass(webhook, user, raw):
    """[A11] and nothing is claimed here: another entry does that."""
    webhook.have(counted({"pods": "1"}))
    webhook.user = user
    assert (await ask(webhook, "CREATE", raw)).allowed
    assert webhook.store.asked == 0
    assert webhook.store.claims("team") == []


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        pytest.param(web(bizrq="team"), web(), False, id="removed"),
        pytest.param(web(bizrq="team"), web(bizrq=""), False, id="emptied"),
        pytest.param(web(3, bizrq="team"), web(0), False, id="removed while it shrinks"),
        pytest.param(web(bizrq="team"), web(bizrq="other"), True, id="moved"),
        pytest.param(web(), web(bizrq="team"), True, id="added"),
    ],
)
async def test_a_label_once_set_may_not_be_removed(webhook, old, new, allowed):
    """[A11]."""
    verdict = await ask(webhook, "UPDATE", new, old)
    assert verdict.allowed == allowed
    if not allowed:
        assert verdict.message == f"deployments.apps web: {REQUIRES}it may name another bizrq, but not be removed"


async def test_that_of_a_pod_neither(webhook):
    """[A11]."""
    assert not (await ask(webhook, "UPDATE", pod(), pod(labels={"biz.group.resource.quota": "team"}))).allowed
    assert (await ask(webhook, "UPDATE", pod(labels={"note": "x"}), pod())).allowed


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        pytest.param(web(3), web(4), False, id="growth"),
        pytest.param(web(3), web(3), True, id="another change"),
        pytest.param(web(3), web(2), True, id="shrinking"),
        pytest.param(web(3), with_class(web(3)), False, id="a RuntimeClass, which may add to each pod"),
        pytest.param(web("x"), web("x"), True, id="what could not be counted before"),
        pytest.param(web(3), web("x"), False, id="what cannot be counted any more"),
    ],
)
async def test_what_was_there_before_a_label_was_required_may_change_and_not_grow(webhook, old, new, allowed):
    """[A5, A11]."""
    assert (await ask(webhook, "UPDATE", new, old)).allowed == allowed


@pytest.mark.parametrize(
    ("user", "raw", "allowed"),
    [
        pytest.param("alice", web(2), False, id="without a label"),
        pytest.param("alice", web(2, bizrq="team"), True, id="with a label"),
        pytest.param("alice", owned(web(2), "argoproj.io/v1alpha1", "Rollout", "web"), False, id="an owned one"),
        pytest.param("system:kube-controller-manager", owned(web(2), "argoproj.io/v1alpha1", "Rollout", "web"), True,
                     id="an owned one, by a trusted controller"),
    ],
)  # fmt: skip
async def test_scaling_up_needs_the_label_of_the_workload(webhook, user, raw, allowed):
    """[A9, A11] which is read live: a Scale has none."""
    webhook.user = user
    webhook.have(raw)
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 3},
             "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web", "resourceVersion": "70"}}  # fmt: skip
    at = {"group": "apps", "version": "v1", "resource": "deployments"}
    old = {**scale, "spec": {"replicas": 2}}
    verdict = await webhook.ask(
        "required", operation="UPDATE", resource=at, subResource="scale", object=scale, oldObject=old
    )
    assert verdict.allowed == allowed
    assert verdict.allowed or REQUIRES in verdict.message


@pytest.mark.parametrize(("api_version", "kind"), [("apps/v1", "DaemonSet"), ("example.com/v1", "Cluster")])
@pytest.mark.parametrize("bizrq", [None, "team"])
async def test_kinds_that_cannot_be_counted_pass_with_a_warning(webhook, api_version, kind, bizrq):
    """[A11]."""
    raw = workload("agent", kind=kind, api_version=api_version, bizrq=bizrq, replicas=None)
    for operation, old in (("CREATE", None), ("UPDATE", raw)):
        verdict = await ask(webhook, operation, raw, old)
        assert verdict.allowed
        (warning,) = verdict.warnings
        assert "this kind is not counted" in warning
        assert ("with the label" in warning) == (bizrq is not None)
        assert len(warning) <= 250


@pytest.mark.parametrize("label", ["team", None])
async def test_a_cron_job_whose_jobs_have_no_label_is_refused_with_the_line_to_add(webhook, label):
    """[A8, A11] its Jobs are counted, and none of them would be made."""
    raw = workload("nightly", kind="CronJob", api_version="batch/v1", bizrq=None)
    labels = {} if label is None else {"biz.group.resource.quota": label}
    raw["spec"] = {"jobTemplate": {"metadata": {"labels": labels}, "spec": {}}}
    verdict = await ask(webhook, "CREATE", raw)
    assert verdict.allowed == (label is not None)
    assert verdict.allowed or verdict.message.endswith(
        "add to spec.jobTemplate.metadata.labels: biz.group.resource.quota: NAME"
    )
    assert (await ask(webhook, "UPDATE", raw, raw)).allowed, "it was here before the label was required [A5]"


async def test_pods_are_children_of_any_owner_also_where_pods_themselves_are_counted(clock):
    """[A8, A11]"""
    counted_pods = read_kinds(
        "kinds: [{group: '', version: v1, resource: pods, kind: Pod, podGroups: [{template: ., replicas: '1'}]}]",
        "pods.yaml",
    )
    webhook = PolicyWebhook(clock)
    reviews = RequiredReviews(counted_pods, webhook.reads, DEFAULT_GPU_RESOURCES, webhook.policy.trusted)
    webhook.routes = {"required": reviews.review}
    webhook.user = "system:kube-controller-manager"
    assert (await ask(webhook, "CREATE", owned(pod(), "apps/v1", "DaemonSet", "agent"))).allowed
    webhook.user = "alice"
    assert not (await ask(webhook, "CREATE", pod())).allowed


async def test_nobody_needs_a_right_here(webhook):
    """[A12] naming a bizrq is reviewed by another entry."""
    assert (await ask(webhook, "CREATE", web(bizrq="team"))).allowed
    assert webhook.access.asked == []


# --- resized pods ----------------------------------------------------------------------------------------------------


def sized(cpu, memory="1Gi", owner=None, overhead=None):
    main = container("main", requests={"cpu": cpu}, limits={"cpu": cpu, "memory": memory})
    raw = pod(spec=pod_spec(main, overhead=overhead))
    return raw if owner is None else owned(raw, *owner)


REPLICA_SET = ("apps/v1", "ReplicaSet", "web-1", "uid-web-1")


async def resize(webhook, old, new):
    return await ask(webhook, "UPDATE", new, old, sub="resize")


@pytest.fixture
def replica_set(webhook):
    """The owner of the pods, of one core each."""
    raw = workload("web-1", kind="ReplicaSet", bizrq=None, template=ONE_CORE)
    webhook.reads.workloads["replicasets.apps", "shop", "web-1"] = raw
    return raw


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [("1", "2", False), ("500m", "2", False), ("500m", "1", True), ("2", "1500m", True), ("1", "1", True),
     ("2", "2500m", False)],
)  # fmt: skip
async def test_a_pod_is_not_resized_above_its_template(webhook, replica_set, before, after, allowed):
    """[A15] down and back up again is fine."""
    verdict = await resize(webhook, sized(before, owner=REPLICA_SET), sized(after, owner=REPLICA_SET))
    assert verdict.allowed == allowed


@pytest.mark.parametrize(("after", "allowed"), [("1", True), ("1001m", False)])
async def test_overhead_is_no_part_of_a_resize(webhook, replica_set, after, allowed):
    """[A15, P3] the API server wrote it on the pod, and it is not in the template."""
    pods = [sized(cpu, owner=REPLICA_SET, overhead={"cpu": "250m"}) for cpu in ("500m", after)]
    assert (await resize(webhook, *pods)).allowed == allowed


async def test_the_refusal_of_a_resize_names_what_is_over(webhook, replica_set):
    """[A15]."""
    verdict = await resize(webhook, sized("1", owner=REPLICA_SET), sized("1500m", owner=REPLICA_SET))
    assert verdict.message == (
        "pod pod: in namespace shop a pod may not be resized above its template: cpu=1500m (at most 1), "
        "limits.cpu=1500m (at most 1), requests.cpu=1500m (at most 1); change the template instead"
    )


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(None, id="none"),
        pytest.param((*REPLICA_SET[:3], "uid-of-another"), id="another of that name"),
        pytest.param(("apps/v1", "ReplicaSet", "gone"), id="one that is gone"),
        pytest.param(("example.com/v1", "Thing", "x"), id="of a kind that is not known"),
    ],
)
async def test_a_pod_without_a_known_template_is_not_resized_upwards_at_all(webhook, replica_set, owner):
    """[A15]."""
    assert not (await resize(webhook, sized("500m", owner=owner), sized("1", owner=owner))).allowed
    assert (await resize(webhook, sized("1", owner=owner), sized("500m", owner=owner))).allowed


async def test_a_resize_whose_template_cannot_be_read_is_tried_again(webhook, replica_set):
    """[A13, A15]; one that shrinks needs none."""
    webhook.store.away = True
    old, new = sized("500m", owner=REPLICA_SET), sized("1", owner=REPLICA_SET)
    assert (await resize(webhook, old, new)).code == 429
    assert (await resize(webhook, new, old)).allowed


async def test_a_review_that_cannot_be_read_live_is_tried_again(webhook):
    """[A13]."""
    webhook.store.read_errors = [Unavailable("x")]
    webhook.store.away = True
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 3}}
    at = {"group": "apps", "version": "v1", "resource": "deployments"}
    verdict = await webhook.ask(
        "required", operation="UPDATE", resource=at, subResource="scale", object=scale, oldObject=scale
    )
    assert verdict.code == 429
