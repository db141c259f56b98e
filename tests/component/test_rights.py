"""[A12] who may name a bizrq, and who may give away of one."""

import asyncio

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.webhook import rights
from tests.support.build import bizrq, container, pod_spec, workload
from tests.support.policy import PolicyWebhook, owned
from tests.support.quotas import counted
from tests.support.webhook import told

ONE_CORE = pod_spec(container("main", limits={"cpu": "1", "memory": "1Gi"}))
HARD = {"limits.cpu": "10", "pods": "10"}


def web(replicas=1, **fields):
    return workload("web", replicas=replicas, template=ONE_CORE, version=fields.pop("version", 70), **fields)


def kid(cpu="4", **fields):
    return counted({"limits.cpu": cpu, "pods": "4"}, name="kid", parent="dept", **fields)


@pytest.fixture
def webhook(clock):
    webhook = PolicyWebhook(clock)
    webhook.have(counted(HARD), counted(HARD, name="team-vision"), counted(HARD, name="dept"))
    return webhook


async def grown(webhook, new, old=None):
    return await webhook.update(old or webhook.store.raw(new["metadata"]["name"]), new)


def asked(webhook):
    return [(each.user, each.verb, each.name, each.namespace) for each in webhook.access.asked]


# --- use -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["team", "nobody", "team-visio"], ids=["is there", "is not", "nearly there"])
async def test_who_may_not_use_a_bizrq_is_told_nothing_of_it_not_even_that_it_is_there(webhook, name):
    """[A12] one refusal for all names, before anything is looked up: no figure, no other name, no warning."""
    verdict = await webhook.create(web(99, bizrq=name))
    assert told(verdict) == {
        "uid": "u",
        "allowed": False,
        "status": {
            "status": "Failure",
            "code": 403,
            "reason": "Forbidden",
            "message": f'label biz.group.resource.quota: alice may not use "{name}" in namespace shop, if there is a '
            "BizGroupResourceQuota of that name; whoever gives out rights can give the verb use on it, see: "
            f"kubectl auth can-i use bizgroupresourcequotas.quota.bizrq.io/{name} -n shop",
        },
    }
    assert webhook.store.asked == 0


async def test_who_may_use_it_is_reviewed_as_ever(webhook):
    """[A12]."""
    webhook.access.give("alice", "use", "team")
    assert (await webhook.create(web(3))).allowed
    assert (await webhook.create(web(30))).message.startswith("exceeded quota: team, ")


async def test_the_question_has_all_that_is_known_of_the_requester_and_the_namespace_of_the_workload(webhook):
    """[A12] so grants for the cluster and for a namespace both work."""
    webhook.access.give("alice", "use", "team", "shop")
    assert (await webhook.create(web())).allowed
    (question,) = webhook.access.asked
    assert (question.verb, question.name, question.namespace) == ("use", "team", "shop")
    assert (question.user, question.uid, list(question.groups)) == ("alice", "uid-alice", ["system:authenticated"])
    assert dict(question.extra) == {"scope": ["all"]}
    assert not (await webhook.create(web(namespace="other"))).allowed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(None, web(), id="a new workload"),
        pytest.param(None, web(0), id="a new workload that demands nothing yet"),
        pytest.param(web(bizrq=None), web(), id="a label that comes later"),
        pytest.param(web(bizrq="team-vision"), web(), id="a label that moves"),
        pytest.param(web(2, bizrq="team-vision"), web(0), id="a label that moves while it shrinks"),
        pytest.param(web(bizrq=""), web(), id="a label that was empty"),
    ],
)
async def test_setting_and_changing_the_label_needs_use_on_the_bizrq_it_names(webhook, old, new):
    """[A12]."""
    webhook.access.give("alice", "use", "team-vision")
    verdict = await (webhook.create(new) if old is None else webhook.update(old, new))
    assert 'alice may not use "team"' in verdict.message
    assert asked(webhook) == [("alice", "use", "team", "shop")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(web(1), web(3), id="growth"),
        pytest.param(web(3), web(1), id="shrinking"),
        pytest.param(web(), web(bizrq=None), id="a label that goes"),
        pytest.param(web(), web(cpu_type="A4"), id="a model"),
        pytest.param(web(bizrq=None), web(3, bizrq=None), id="no label"),
    ],
)
async def test_what_keeps_its_label_needs_no_right(webhook, old, new):
    """[A12] not asked for later growth, since the requester may be an autoscaler."""
    assert (await webhook.update(old, new)).allowed
    assert asked(webhook) == []


async def test_scaling_needs_no_right(webhook):
    """[A12] an autoscaler without any right scales what is there."""
    webhook.user = "autoscaler"
    webhook.have(web(2))
    assert (await webhook.scale(web(2), 2, 9)).allowed
    assert asked(webhook) == []


JOB = workload("run", kind="Job", api_version="batch/v1", template=ONE_CORE, replicas=None)
CRON_JOB_CONTROLLER = "system:serviceaccount:kube-system:cronjob-controller"


@pytest.mark.parametrize(
    ("user", "raw", "allowed"),
    [
        pytest.param(CRON_JOB_CONTROLLER, owned(JOB, "batch/v1", "CronJob", "nightly"), True, id="a child"),
        pytest.param("system:kube-controller-manager", owned(JOB, "batch/v1", "CronJob", "nightly"), True,
                     id="by another"),
        pytest.param(CRON_JOB_CONTROLLER, JOB, False, id="made by a trusted controller, and nobody's child"),
        pytest.param("alice", owned(JOB, "batch/v1", "CronJob", "nightly"), False, id="an owner anybody can write"),
        pytest.param("system:serviceaccount:shop:cronjob-controller", owned(JOB, "batch/v1", "CronJob", "nightly"),
                     False, id="of another namespace"),
    ],
)  # fmt: skip
async def test_children_made_by_trusted_controllers_need_no_right(webhook, user, raw, allowed):
    """[A12]."""
    webhook.have(cron_job("team"))
    webhook.user = user
    assert (await webhook.create(raw)).allowed == allowed


def cron_job(label=None):
    labels = {} if label is None else {"biz.group.resource.quota": label}
    metadata = {"name": "nightly", "namespace": "shop", "uid": "uid-nightly"}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata,
            "spec": {"jobTemplate": {"metadata": {"labels": labels}, "spec": {}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "needed"),
    [
        (None, "team", True),
        (None, None, False),
        (None, "", False),
        ("team-vision", "team", True),
        ("team", "team", False),
        ("team", None, False),
    ],
)
async def test_whoever_writes_the_label_of_the_jobs_of_a_cron_job_needs_use(webhook, old, new, needed):
    """[A12] or else a trusted controller would set it for them."""
    at = {"group": "batch", "version": "v1", "resource": "cronjobs"}
    before = None if old is None and new is not None else cron_job(old)
    request = {"object": cron_job(new), "oldObject": before, "resource": at, "operation": "UPDATE"}
    verdict = await webhook.ask("children", **request)
    assert verdict.allowed == (not needed)
    if needed:
        assert verdict.message.startswith(
            'spec.jobTemplate.metadata.labels: label biz.group.resource.quota: alice may not use "team"'
        )
        webhook.access.give("bob", "use", "team", "shop")
        webhook.user = "bob"
        assert (await webhook.ask("children", **request)).allowed


async def test_only_kinds_whose_children_are_counted_are_reviewed_there(webhook):
    """[A12]"""
    assert "is not reviewed here" in (await webhook.ask("children", object=web())).message


async def test_a_dry_run_is_answered_as_it_would_be(webhook):
    """[A5, A12]."""
    assert "may not use" in (await webhook.create(web(), dry_run=True)).message


async def test_a_hint_names_others_only_to_who_may_use_them_all(webhook):
    """[A7, A12]."""
    webhook.access.give("alice", "use", "team-visio")
    assert "did you mean" not in (await webhook.create(web(bizrq="team-visio"))).message
    webhook.access.give("bob", "use")
    webhook.user = "bob"
    assert '(did you mean "team-vision"?)' in (await webhook.create(web(bizrq="team-visio"))).message


async def test_without_authorization_nobody_is_asked(clock):
    """[A12] --authorize=false."""
    webhook = PolicyWebhook(clock, authorize=False)
    webhook.have(counted(HARD), counted(HARD, name="dept"))
    assert (await webhook.create(web())).allowed
    assert (await webhook.create(kid())).allowed
    assert (await webhook.create(bizrq("new", hard=HARD))).allowed
    assert asked(webhook) == []


# --- grant -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent", ["dept", "nobody"])
async def test_creating_a_child_needs_grant_on_its_parent_and_nothing_is_told_of_it(webhook, parent):
    """[A12] whether there is such a parent or not; not even what is wrong with the keys."""
    raw = counted({"limits.cpu": "99", "count/nothing": "1"}, name="kid", parent=parent)
    verdict = await webhook.create(raw)
    assert (verdict.code, verdict.reason) == (403, "Forbidden")
    assert verdict.message == (
        f'spec.parentBizGroup: alice may not grant anything of "{parent}", if there is a BizGroupResourceQuota of that '
        "name; to make or raise a child of it needs the verb grant on it"
    )
    assert verdict.warnings == ()
    assert webhook.store.asked == 0
    assert asked(webhook) == [("alice", "grant", parent, "")]


async def test_who_may_grant_creates_and_raises_children_of_that_parent_only(webhook):
    """[A12]."""
    webhook.access.give("alice", "grant", "dept")
    assert (await webhook.create(kid())).allowed
    webhook.have(kid())
    assert (await grown(webhook, kid("5"))).allowed
    assert not (await webhook.create(counted(HARD, name="other", parent="team"))).allowed
    assert not (await webhook.create(bizrq("new", hard=HARD))).allowed


@pytest.mark.parametrize(
    ("old", "new", "needed"),
    [
        pytest.param(kid("4"), kid("5"), True, id="a raise"),
        pytest.param(kid("4", used={"limits.cpu": "9"}), kid("6", used={"limits.cpu": "9"}), True,
                     id="a raise within its use"),
        pytest.param(counted(HARD, name="kid", parent="dept"),
                     counted({"limits.cpu": "10"}, name="kid", parent="dept"), True, id="a dropped key"),
        pytest.param(kid("4"), counted({"limits.cpu": "4", "pods": "4", "cpu": "9"}, name="kid", parent="dept"), True,
                     id="a key that is new, and takes something"),
        pytest.param(kid("4"), kid("2"), False, id="lowering"),
        pytest.param(kid("4"), kid("4", annotations={"a": "b"}), False, id="nothing that counts"),
    ],
)  # fmt: skip
async def test_growth_of_a_child_needs_grant_and_lowering_does_not(webhook, old, new, needed):
    """[A12]."""
    webhook.have(old)
    verdict = await grown(webhook, new, webhook.store.raw("kid"))
    assert verdict.allowed == (not needed)
    assert asked(webhook) == ([("alice", "grant", "dept", "")] if needed else [])


async def test_deleting_needs_no_right_but_that_of_the_api_server(webhook):
    """[A12]."""
    webhook.have(kid())
    assert (await webhook.delete(webhook.store.raw("kid"))).allowed
    assert asked(webhook) == []


ROOT = bizrq("root", hard=HARD)


@pytest.mark.parametrize(
    ("old", "new", "needed"),
    [
        pytest.param(None, ROOT, True, id="a new one"),
        pytest.param(ROOT, bizrq("root", hard={**HARD, "pods": "11"}), True, id="a raise"),
        pytest.param(ROOT, bizrq("root", hard={"pods": "10"}), True, id="a dropped key"),
        pytest.param(ROOT, bizrq("root", hard={**HARD, "pods": "9"}), False, id="lowering"),
        pytest.param(ROOT, bizrq("root", hard={**HARD, "limits.memory": "9"}), False, id="one more limit"),
    ],
)
async def test_a_root_needs_grant_on_all(webhook, old, new, needed):
    """[A12] the empty name; a right on one name is not enough."""
    webhook.access.give("alice", "grant", "root")
    verdict = await (webhook.create(new) if old is None else webhook.update(old, new))
    assert verdict.allowed == (not needed)
    if needed:
        assert "alice may not grant a BizGroupResourceQuota without a parent" in verdict.message
        assert asked(webhook) == [("alice", "grant", "", "")]
    webhook.access.give("bob", "grant")
    webhook.user = "bob"
    assert (await (webhook.create(new) if old is None else webhook.update(old, new))).allowed


async def test_a_missing_parent_is_hinted_at_only_to_who_may_grant_of_all(webhook):
    """[A12, T1]."""
    webhook.access.give("alice", "grant", "dep")
    raw = counted(HARD, name="kid", parent="dep")
    assert "did you mean" not in (await webhook.create(raw)).message
    webhook.access.give("bob", "grant")
    webhook.user = "bob"
    assert '(did you mean "dept"?)' in (await webhook.create(raw)).message


# --- answers are kept a moment, failures never -----------------------------------------------------------------------


async def test_a_burst_asks_once_for_each_user_verb_name_and_namespace(webhook):
    """[A12] short cache."""
    for user in ("alice", "bob"):
        webhook.user = user
        webhook.access.give(user, "use")
        for namespace in ("shop", "other"):
            for _ in range(3):
                for name in ("team", "team-vision"):
                    assert (await webhook.create(web(bizrq=name, namespace=namespace), dry_run=True)).allowed
    assert len(webhook.access.asked) == len(set(asked(webhook))) == 8


async def test_groups_are_part_of_who_asks(webhook):
    """[A12] a right that comes with a group."""
    await webhook.create(web(), dry_run=True)
    webhook.groups = ["system:authenticated", "vision"]
    await webhook.create(web(), dry_run=True)
    assert len(webhook.access.asked) == 2


async def test_answers_are_forgotten_after_some_seconds(webhook, monkeypatch):
    """[A12]."""
    monkeypatch.setattr(rights, "_YES_SECONDS", 0.02)
    monkeypatch.setattr(rights, "_NO_SECONDS", 0.02)
    webhook.access.give("alice", "use")
    assert (await webhook.create(web(), dry_run=True)).allowed
    await asyncio.sleep(0.03)
    webhook.access.given.clear()
    assert not (await webhook.create(web(), dry_run=True)).allowed
    await asyncio.sleep(0.03)
    webhook.access.give("alice", "use")
    assert (await webhook.create(web(), dry_run=True)).allowed


async def test_a_right_that_cannot_be_asked_for_is_tried_again_and_not_remembered(webhook):
    """[A12, A13] 429, never allowed, never a refusal."""
    webhook.access.error = Unavailable("no API server")
    for raw in (web(), kid(), bizrq("new", hard=HARD)):
        verdict = await webhook.create(raw)
        assert (verdict.allowed, verdict.code) == (False, 429)
    webhook.access.error = None
    webhook.access.give("alice", "use")
    assert (await webhook.create(web())).allowed


async def test_an_answer_that_could_not_go_by_all_roles_is_not_remembered(webhook):
    """[A12] such as while a role that is bound is missing."""
    webhook.access.complete = False
    assert not (await webhook.create(web())).allowed
    webhook.access.give("alice", "use")
    assert (await webhook.create(web())).allowed


async def test_so_many_answers_are_kept_and_no_more(webhook, monkeypatch):
    """[A12] bounded: names and users are what people write."""
    monkeypatch.setattr(webhook.policy.rights._answers, "_most", 5)
    for number in range(20):
        await webhook.create(web(bizrq=f"team-{number}"))
    assert len(webhook.policy.rights._answers._answers) == 5
