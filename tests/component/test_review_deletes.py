"""[T4] which bizrqs can be deleted: leaves, whose own workloads demand nothing any more."""

import pytest

from bizrq.domain.tree import claimant_name
from tests.support.build import NOW, container, pod_spec, workload
from tests.support.quotas import counted, line
from tests.support.webhook import Webhook

ONE_CORE = pod_spec(container("main", limits={"cpu": "1"}))
HARD = {"limits.cpu": "10", "pods": "10"}
KID = claimant_name("kid")


def dept(**fields):
    return counted(HARD, name="dept", **fields)


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(dept())
    return webhook


async def delete(webhook, raw=None, **request):
    return await webhook.delete(raw or webhook.store.raw("dept"), **request)


async def test_a_leaf_without_workloads_can_be_deleted(webhook):
    """[T4]."""
    assert (await delete(webhook)).allowed


async def test_a_bizrq_with_children_cannot(webhook):
    """[T4] no child exists; the refusal names them."""
    webhook.have(counted(HARD, name="b", parent="dept"), counted(HARD, name="a", parent="dept"))
    verdict = await delete(webhook)
    assert (verdict.code, verdict.message) == (403, "dept has children, and only leaves can be deleted: a, b")


async def test_a_bizrq_that_is_granting_a_child_cannot(webhook):
    """[T4] none is being granted."""
    webhook.have(dept(claims=[line("u", 0, {"pods": "1"}, {}, object_=KID)]))
    verdict = await delete(webhook)
    assert (verdict.code, verdict.message) == (
        403, "dept is granting quota to children that are being created: kid",
    )  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(workload(bizrq="dept", template=ONE_CORE), id="a deployment"),
        pytest.param(workload("web", kind="Rollout", api_version="argoproj.io/v1alpha1", bizrq="dept"), id="a rollout"),
    ],
)
async def test_one_whose_own_workloads_still_demand_something_cannot(webhook, raw):
    """[T4] their cash would be charged to nobody."""
    webhook.have(raw)
    verdict = await delete(webhook)
    assert verdict.code == 403
    assert verdict.message.startswith("workloads still demand something under dept: ")
    assert verdict.message.endswith(
        "/shop/web; delete these, scale them to 0 or label them for another bizrq; "
        "or annotate this one quota.bizrq.io/force-delete=true, and what they run is charged to nobody"
    )


async def test_a_workload_that_is_being_admitted_demands_something_too(webhook):
    """[T4] it is in a claim only."""
    webhook.have(dept(claims=[line("u", 0, {"pods": "1"}, {})]))
    assert (await delete(webhook)).message.startswith(
        "workloads still demand something under dept: deployments.apps/shop/web; "
    )


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(workload(bizrq="dept", template=ONE_CORE, replicas=0), id="scaled down"),
        pytest.param(workload(bizrq="another", template=ONE_CORE), id="under another bizrq"),
        pytest.param(workload(bizrq=None, template=ONE_CORE), id="without a label"),
    ],
)
async def test_workloads_that_demand_nothing_of_it_hold_nothing_up(webhook, raw):
    """[T4]."""
    webhook.have(raw)
    assert (await delete(webhook)).allowed


@pytest.mark.parametrize(("value", "allowed"), [("true", True), ("false", False), ("", False), ("yes", False)])
async def test_unless_annotated_force_delete_true(webhook, value, allowed):
    """[T4]."""
    raw = workload(bizrq="dept", template=ONE_CORE)
    webhook.have(
        raw, dept(annotations={"quota.bizrq.io/force-delete": value}, claims=[line("u", 0, {"pods": "1"}, {})])
    )
    assert (await delete(webhook)).allowed == allowed


async def test_children_cannot_be_left_behind_by_force(webhook):
    """[T4]."""
    force = {"quota.bizrq.io/force-delete": "true"}
    webhook.have(dept(annotations=force, claims=[line("u", 0, {"pods": "1"}, {}, object_=KID)]))
    assert not (await delete(webhook)).allowed
    webhook.have(dept(annotations=force), counted(HARD, name="kid", parent="dept"))
    assert not (await delete(webhook)).allowed


@pytest.mark.parametrize("object_", [KID, "deployments.apps/shop/web"], ids=["a child", "a workload"])
async def test_a_claim_of_a_later_format_holds_a_delete_up_until_it_closes(webhook, object_):
    """[T4] a replica of the next version is granting something: what, only that one knows."""
    webhook.have(dept(claims=[f"2 u 0 {object_} in another form"]))
    assert not (await delete(webhook)).allowed


async def test_a_delete_of_what_is_being_deleted_is_allowed(webhook):
    """[A5] nothing is asked."""
    assert (await delete(webhook, dept(deletion=NOW))).allowed
    assert webhook.store.asked == 0


async def test_a_deletecollection_names_no_object(webhook):
    """[T4] the name is that of the object."""
    webhook.have(counted(HARD, name="kid", parent="dept"))
    verdict = await delete(webhook, name="")
    assert (verdict.code, verdict.message) == (403, "dept has children, and only leaves can be deleted: kid")
    assert (await webhook.delete(webhook.store.raw("kid"), name="")).allowed


async def test_what_cannot_be_looked_for_says_try_again(webhook):
    """[A13]."""
    webhook.store.away = True
    verdict = await delete(webhook, dept())
    assert (verdict.allowed, verdict.code, verdict.retry_after) == (False, 429, 1)


async def test_a_dry_run_is_answered_as_it_would_be(webhook):
    """[A5]."""
    webhook.have(counted(HARD, name="kid", parent="dept"))
    assert not (await delete(webhook, dry_run=True)).allowed


async def test_one_with_leftovers_can_be_deleted_with_a_warning(webhook):
    """[T4, P5] nothing demands anything any more; whose pods are still there is told."""
    webhook.have(dept(leftovers=["1 u deployments.apps/shop/web rs // pods=2"]))
    verdict = await delete(webhook)
    assert verdict.allowed
    (warning,) = verdict.warnings
    assert warning == (
        "pods are still there under dept of deployments.apps/shop/web; what they hold, and their hours from here on, "
        "are charged to nobody"
    )
