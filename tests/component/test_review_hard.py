"""[K1-K4, K6, T2, T5] which keys and values a hard may have, and which a parent may gain."""

import pytest

from bizrq.domain.tree import claimant_name
from tests.support.build import bizrq
from tests.support.quotas import counted
from tests.support.webhook import Webhook

HARD = {"limits.cpu": "10", "pods": "10"}


def kid(hard=None, **fields):
    return counted(hard or {"limits.cpu": "4", "pods": "4"}, name="kid", parent="dept", **fields)


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(counted(HARD, name="dept", used={"limits.cpu": "2", "pods": "2"}))
    return webhook


async def update(webhook, new, old=None):
    """An update of the stored object."""
    return await webhook.update(old or webhook.store.raw(new["metadata"]["name"]), new)


def used(webhook, name="dept"):
    return webhook.store.status(name)["used"]


# --- keys and values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("nvidia.com/gpu", "did you mean requests.nvidia.com/gpu?"),
        ("limits.nvidia.com/gpu", "did you mean requests.nvidia.com/gpu?"),
        ("replicas", "did you mean pods?"),
        ("limit.cpu", "did you mean limits.cpu?"),
        ("cash/nvidia.com/gpu", "did you mean cash/requests.nvidia.com/gpu?"),
        ("cash/pods", "cash is a budget in hours of a compute key"),
        ("count/deployment.apps", "no such kind of workload is counted; did you mean count/deployments.apps?"),
        ("count/daemonsets.apps", "no such kind of workload is counted"),
    ],
)
async def test_a_key_that_could_never_be_measured_is_refused_with_the_one_that_was_meant(webhook, key, words):
    """[K4]."""
    for verdict in (
        await webhook.create(bizrq("new", hard={key: "1"})),
        await webhook.update(bizrq("new", hard={}), bizrq("new", hard={key: "1"})),
    ):
        assert (verdict.allowed, verdict.code, verdict.reason) == (False, 422, "Invalid")
        assert verdict.message.startswith(f"spec.hard.{key}: ")
        assert words in verdict.message


@pytest.mark.parametrize(
    "key",
    [
        *("cpu", "requests.memory", "limits.ephemeral-storage", "hugepages-2Mi", "requests.nvidia.com/mig-1g.5gb"),
        *("pods", "count/deployments.apps", "count/jobs.batch", "limits.cpu.A4", "requests.nvidia.com/gpu.A30"),
        "cash/limits.cpu.A4",
    ],
)
async def test_keys_that_can_be_measured_are_accepted(webhook, key):
    """[K1, K2, K3]."""
    assert (await webhook.create(bizrq("new", hard={key: "0"}))).allowed


@pytest.mark.parametrize("value", ["abc", "1e1000000000", "9" * 33, None, "1 Gi"])
async def test_a_value_that_is_no_quantity_is_refused_with_its_key(webhook, value):
    """[K1, K6] values below 0 are refused by the CRD."""
    verdict = await webhook.create(bizrq("new", hard={"limits.cpu": value}))
    assert (verdict.allowed, verdict.code) == (False, 422)
    assert verdict.message.startswith("spec.hard.limits.cpu: ")


async def test_a_key_that_is_there_already_holds_nothing_up(webhook):
    """[A5] what is new or changed is looked at."""
    odd = {"replicas": "1", "limits.cpu": "abc"}
    assert (await webhook.update(bizrq("new", hard=odd), bizrq("new", hard={**odd, "pods": "1"}))).allowed
    assert not (await webhook.update(bizrq("new", hard=odd), bizrq("new", hard={**odd, "limits.cpu": "abd"}))).allowed


# --- a parent gains a key --------------------------------------------------------------------------------------------

GAINED = {**HARD, "limits.memory": "1Ti"}


async def test_a_parent_may_not_gain_a_key_that_one_of_its_children_lacks(webhook):
    """[T5] the refusal names these children."""
    webhook.have(kid(), counted({**HARD, "limits.memory": "1Gi"}, name="good", parent="dept"))
    verdict = await update(webhook, counted(GAINED, name="dept"))
    assert (verdict.code, verdict.message) == (
        403,
        "dept cannot limit what its children do not limit yet; add the key to them first: kid (limits.memory)",
    )


async def test_a_child_that_is_being_granted_counts_as_one(webhook):
    """[T5] it is in a claim only."""
    webhook.have(counted(HARD, name="dept"))
    await webhook.create(kid())
    verdict = await update(webhook, counted(GAINED, name="dept"))
    assert (verdict.code, verdict.message.endswith(": kid (limits.memory)")) == (403, True)


async def test_a_child_that_is_dropping_the_key_counts_as_one_that_lacks_it(webhook):
    """[T2, T5]."""
    webhook.have(kid({**HARD, "limits.memory": "1Gi", "limits.cpu": "1", "pods": "1"}))
    await update(webhook, kid({"limits.cpu": "1", "pods": "1"}))
    assert not (await update(webhook, counted(GAINED, name="dept"))).allowed


async def test_a_key_that_all_children_have_may_be_gained(webhook):
    """[T5]."""
    webhook.have(kid({**HARD, "limits.memory": "1Gi"}))
    assert (await update(webhook, counted(GAINED, name="dept"))).allowed


async def test_a_child_that_a_later_version_is_granting_holds_a_new_key_up(webhook):
    """[T5] whether it has the key, only that version knows."""
    webhook.have(counted(HARD, name="dept", claims=[f"2 u 0 {claimant_name('kid')} in another form"]))
    assert not (await update(webhook, counted(GAINED, name="dept"))).allowed


async def test_children_that_cannot_be_listed_say_try_again(webhook):
    """[A13]."""
    webhook.store.away = True
    assert (await update(webhook, counted(GAINED, name="dept"))).code == 429


# --- what is unknown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(
            {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}}, id="another resource"
        ),
        pytest.param(
            {"resource": {"group": "quota.bizrq.io", "version": "v2", "resource": "bizgroupresourcequotas"}},
            id="another version",
        ),
        pytest.param({"subResource": "status"}, id="a subresource"),
    ],
)
async def test_what_is_no_bizrq_is_refused_and_never_allowed(webhook, changed):
    verdict = await webhook.ask("bizrqs", operation="DELETE", object=None, oldObject=kid(), **changed)
    assert (verdict.allowed, verdict.code) == (False, 403)


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE", "CONNECT"])
async def test_a_review_without_its_objects_is_refused(webhook, operation):
    of = {"group": "quota.bizrq.io", "version": "v1", "resource": "bizgroupresourcequotas"}
    verdict = await webhook.ask("bizrqs", operation=operation, object=None, oldObject=None, resource=of)
    assert (verdict.allowed, verdict.code) == (False, 422)
