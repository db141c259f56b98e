"""[T1-T5, K1-K4, K6] reviews of bizrqs: creates and updates."""

import asyncio

import pytest

from bizrq.cluster.errors import Conflict
from bizrq.domain.tree import claimant_name
from tests.support.build import NOW, bizrq
from tests.support.quotas import counted, line
from tests.support.webhook import Webhook, told

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


# --- creates ---------------------------------------------------------------------------------------------------------


async def test_a_root_may_have_any_hard(webhook):
    """[T1] nobody is asked."""
    assert told(await webhook.create(bizrq("new", hard={"limits.cpu": "1000"}))) == {"uid": "u", "allowed": True}
    assert webhook.store.asked == 0


async def test_what_a_child_takes_is_claimed_from_its_parent_before_it_is_created(webhook):
    """[T3] the parent's status is updated first."""
    assert (await webhook.create(kid())).allowed
    (claim,) = webhook.store.claims("dept")
    assert claim.line() == (f"1 uid-kid 0 {claimant_name('kid')} 2026-01-05T10:00:00.000Z limits.cpu=4:4,pods=4:4")
    assert used(webhook) == {"limits.cpu": "6", "pods": "6"}
    assert webhook.store.status("dept")["selfUsed"] == {"limits.cpu": "2", "pods": "2"}


async def test_a_child_that_does_not_fit_is_told_what_is_left(webhook):
    """[T3] parent.used + growth <= parent.hard, key by key."""
    verdict = await webhook.create(kid({"limits.cpu": "9", "pods": "4"}))
    assert (verdict.code, verdict.reason, verdict.message) == (
        403,
        "Forbidden",
        (
            "exceeded quota: dept, requested: limits.cpu=9, used: limits.cpu=2, limited: limits.cpu=10"
            "; a child's quota is taken from its parent's: dept has limits.cpu=8 left to grant"
        ),
    )
    assert webhook.store.writes == 0


async def test_a_dry_run_of_a_child_never_claims(webhook):
    """[A5]."""
    assert (await webhook.create(kid(), dry_run=True)).allowed
    assert not (await webhook.create(kid({"limits.cpu": "9", "pods": "4"}), dry_run=True)).allowed
    assert webhook.store.writes == 0


async def test_two_children_created_at_once_are_never_granted_the_same_remainder(webhook):
    """[T3]."""
    names = [f"kid{number}" for number in range(5)]
    raws = [counted({"limits.cpu": "4", "pods": "1"}, name=name, parent="dept") for name in names]
    verdicts = await asyncio.gather(*map(webhook.create, raws))
    assert sum(each.allowed for each in verdicts) == 2
    assert used(webhook)["limits.cpu"] == "10"


async def test_a_parent_must_exist_before_its_children(webhook):
    """[T1] refused with the nearest name."""
    verdict = await webhook.create({**kid(), "spec": {**kid()["spec"], "parentBizGroup": "dpt"}})
    assert (verdict.code, verdict.reason) == (403, "Forbidden")
    assert verdict.message == (
        'spec.parentBizGroup: there is no BizGroupResourceQuota "dpt" (did you mean "dept"?); '
        "parents are created before their children"
    )


async def test_a_parent_with_no_status_yet_says_try_again(webhook):
    """[A13]."""
    webhook.have(bizrq("dept", hard=HARD))
    verdict = await webhook.create(kid())
    assert (verdict.allowed, verdict.code, verdict.retry_after) == (False, 429, 1)


async def test_a_parent_that_is_being_deleted_admits_no_child(webhook):
    """[T7]."""
    webhook.have(counted(HARD, name="dept", deletion=NOW))
    verdict = await webhook.create(kid())
    assert (verdict.code, verdict.message) == (
        403,
        "dept is being deleted and grants nothing any more; name another bizrq",
    )


async def test_a_childs_hard_must_have_every_key_of_its_parents(webhook):
    """[T2]."""
    verdict = await webhook.create(kid({"pods": "1"}))
    assert (verdict.code, verdict.message) == (
        403,
        (
            "kid: spec.hard lacks keys that its parent dept limits: limits.cpu; "
            "add them, with no more than dept has left to grant: limits.cpu=8"
        ),
    )


async def test_a_child_may_have_keys_that_its_parent_lacks(webhook):
    """[T2]."""
    assert (await webhook.create(kid({**HARD, "limits.cpu": "1", "pods": "1", "limits.memory": "9Ti"}))).allowed


async def test_no_bizrq_is_its_own_parent(webhook):
    """[T1]."""
    verdict = await webhook.create(counted(HARD, name="me", parent="me"))
    assert (verdict.code, verdict.message) == (403, "me would be its own ancestor: me -> me")


async def test_no_cycle(webhook):
    """[T1] an orphan, whose parent is made anew below itself."""
    webhook.have(counted(HARD, name="b", parent="a"), counted(HARD, name="c", parent="b"))
    verdict = await webhook.create(counted(HARD, name="a", parent="c"))
    assert (verdict.code, verdict.message) == (403, "a would be its own ancestor: a -> c -> b -> a")


async def test_a_cycle_further_up_ends_the_way(webhook):
    """[T1] never with a hang [A13]."""
    webhook.have(counted(HARD, name="b", parent="a"), counted(HARD, name="a", parent="b"))
    assert (await webhook.create(counted(HARD, name="new", parent="b"))).message == (
        "new would be its own ancestor: new -> b -> a -> b"
    )


async def test_a_child_of_that_name_that_is_there_already_is_answered_already_exists(webhook):
    """[A4]."""
    claims = [line("other", 0, {"pods": "1"}, {}, object_=claimant_name("kid"))]
    webhook.have(counted(HARD, name="dept", claims=claims), kid())
    verdict = await webhook.create(kid())
    assert (verdict.code, verdict.reason, verdict.message) == (
        409, "AlreadyExists", 'bizgroupresourcequotas.quota.bizrq.io "kid" already exists',
    )  # fmt: skip


async def test_a_store_that_is_away_says_try_again(webhook):
    """[A13]."""
    webhook.store.away = True
    verdict = await webhook.create(kid())
    assert (verdict.allowed, verdict.code, verdict.retry_after) == (False, 429, 1)


# --- raises and cuts -------------------------------------------------------------------------------------------------


async def test_a_raise_is_claimed_at_the_version_under_review(webhook):
    """[T3] the claim is on the child's whole take."""
    webhook.have(kid())
    assert (await update(webhook, kid({"limits.cpu": "7", "pods": "4"}))).allowed
    (claim,) = webhook.store.claims("dept")
    child = webhook.store.raw("kid")["metadata"]
    assert (claim.uid, claim.version) == (child["uid"], int(child["resourceVersion"]))
    assert {key: str(amount) for key, amount in claim.demand.items()} == {"limits.cpu": "7", "pods": "4"}
    assert used(webhook) == {"limits.cpu": "5", "pods": "2"}


async def test_a_raise_that_does_not_fit_is_refused(webhook):
    """[T3]."""
    webhook.have(kid())
    verdict = await update(webhook, kid({"limits.cpu": "13", "pods": "4"}))
    assert verdict.message.startswith("exceeded quota: dept, requested: limits.cpu=9, used: limits.cpu=2")


async def test_a_raise_within_its_own_use_claims_nothing(webhook):
    """[T3] it takes that already."""
    webhook.have(kid({"limits.cpu": "4", "pods": "4"}, used={"limits.cpu": "8"}))
    verdict = await update(webhook, kid({"limits.cpu": "8", "pods": "4"}))
    assert verdict.allowed
    assert webhook.store.asked == 0


async def test_a_raise_beyond_its_own_use_counts_from_what_it_takes(webhook):
    """[T3] at the version under review."""
    webhook.have(kid({"limits.cpu": "4", "pods": "4"}, used={"limits.cpu": "8"}))
    assert (await update(webhook, kid({"limits.cpu": "9", "pods": "4"}))).allowed
    assert used(webhook)["limits.cpu"] == "3"


async def test_what_it_overruns_a_budget_by_it_takes_from_its_parent_too(webhook):
    """[T6] so a budget raised to what is spent claims nothing."""
    cash = {"ledger": {"limits.cpu": str(12 * 3_600_000)}}
    webhook.have(
        counted({"cash/limits.cpu": "20"}, name="dept", used={"cash/limits.cpu": "20"}),
        kid({"cash/limits.cpu": "10"}, used={"cash/limits.cpu": "12"}, cash=cash),
    )
    assert (await update(webhook, kid({"cash/limits.cpu": "12"}))).allowed
    verdict = await update(webhook, kid({"cash/limits.cpu": "13"}))
    assert verdict.message.startswith("exceeded quota: dept, requested: cash/limits.cpu=1, used: cash/limits.cpu=20")


async def test_dropping_a_key_is_growth_and_is_claimed(webhook):
    """[T2] that its parent does not limit."""
    webhook.have(kid({**HARD, "limits.memory": "1Gi"}))
    assert (await update(webhook, kid(HARD))).allowed
    (claim,) = webhook.store.claims("dept")
    assert set(claim.demand) == {"limits.cpu", "pods"}


async def test_a_key_that_its_parent_limits_cannot_be_dropped(webhook):
    """[T2]."""
    webhook.have(kid())
    verdict = await update(webhook, kid({"limits.cpu": "4"}))
    assert (verdict.code, "lacks keys that its parent dept limits: pods" in verdict.message) == (403, True)


async def test_in_a_merged_claim_an_absent_key_stays_absent(webhook):
    """[T2] two writers on the same version, one of which drops it."""
    webhook.have(kid({**HARD, "limits.memory": "1Gi", "limits.cpu": "1"}))
    await update(webhook, kid({**HARD, "limits.cpu": "1"}))
    await update(webhook, kid({**HARD, "limits.cpu": "2", "limits.memory": "1Gi"}))
    (claim,) = webhook.store.claims("dept")
    assert set(claim.demand) == {"limits.cpu", "pods"}
    assert str(claim.demand["limits.cpu"]) == "2"


async def test_hard_may_be_lowered_below_what_is_used_with_a_warning(webhook):
    """[T5] what runs is not stopped."""
    webhook.have(kid(used={"limits.cpu": "3"}))
    verdict = await update(webhook, kid({"limits.cpu": "2", "pods": "4"}))
    assert told(verdict) == {
        "uid": "u",
        "allowed": True,
        "warnings": [
            (
                "kid: limits.cpu is lowered to 2, and 3 are used: "
                "what runs is not stopped, only growth is refused until it fits"
            )
        ],
    }
    assert webhook.store.asked == 0


async def test_a_key_lowered_to_what_is_used_or_over_it_before_warns_of_nothing(webhook):
    """[T5]."""
    webhook.have(kid({"limits.cpu": "2", "pods": "4"}, used={"limits.cpu": "3", "pods": "3"}))
    assert (await update(webhook, kid({"limits.cpu": "2", "pods": "3"}))).warnings == ()


async def test_a_raise_that_lowers_another_key_below_its_use_warns_too(webhook):
    """[T5]."""
    webhook.have(kid(used={"limits.cpu": "3"}))
    verdict = await update(webhook, kid({"limits.cpu": "2", "pods": "5"}))
    assert verdict.allowed
    assert len(verdict.warnings) == 1
    assert used(webhook) == {"limits.cpu": "2", "pods": "3"}


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw, id="nothing"),
        pytest.param(lambda raw: {**raw, "spec": {**raw["spec"], "hard": {"limits.cpu": "1", "pods": "4"}}}, id="less"),
        pytest.param(lambda raw: {**raw, "metadata": {**raw["metadata"], "annotations": {"a": "b"}}}, id="annotations"),
        pytest.param(lambda raw: {**raw, "metadata": {**raw["metadata"], "finalizers": []}}, id="finalizers"),
        pytest.param(lambda raw: {**raw, "status": {}}, id="status"),
    ],
)
async def test_what_grows_nothing_reads_and_writes_nothing(webhook, change, away):
    """[A5] even while bizrq cannot be read."""
    webhook.have(kid(deletion=NOW))
    webhook.store.away = away
    assert (await update(webhook, change(kid(deletion=NOW)))).allowed
    assert (webhook.store.asked, webhook.store.writes) == (0, 0)


@pytest.mark.parametrize("parent", ["dept", None])
async def test_a_bizrq_that_is_being_deleted_grows_no_more(webhook, parent):
    """[T7] a root neither."""
    old = counted({"pods": "4"}, name="going", parent=parent, deletion=NOW)
    verdict = await webhook.update(old, counted({"pods": "5"}, name="going", parent=parent, deletion=NOW))
    assert (verdict.code, verdict.message) == (403, "going is being deleted: its quota grows no more")


async def test_the_parent_of_a_raise_that_is_gone_is_named(webhook):
    """[T1]."""
    webhook.have(kid(), bizrq("dept"))
    await webhook.store.delete("dept")
    verdict = await update(webhook, kid({"limits.cpu": "7", "pods": "4"}))
    assert (verdict.code, 'there is no BizGroupResourceQuota "dept"' in verdict.message) == (403, True)


async def test_a_root_may_be_raised_and_lowered(webhook):
    """[T3] it takes from nobody."""
    for cpu in ("1000", "1"):
        assert (await update(webhook, counted({"limits.cpu": cpu, "pods": "10"}, name="dept"))).allowed
    assert webhook.store.writes == 0


async def test_a_review_older_than_an_open_claim_is_allowed_and_changes_nothing(webhook):
    """[A4] its write must fail."""
    webhook.have(kid())
    old = webhook.store.raw("kid")
    webhook.have(kid())
    await update(webhook, kid({"limits.cpu": "5", "pods": "4"}))
    writes = webhook.store.writes
    assert (await webhook.update(old, kid({"limits.cpu": "99", "pods": "4"}))).allowed
    assert webhook.store.writes == writes


async def test_a_conflict_is_decided_again_on_the_fresh_parent(webhook):
    """[A3, T3] a check that passed on a stale object is never written."""
    webhook.store.write_errors = [Conflict("dept")]
    webhook.have(kid())
    assert (await update(webhook, kid({"limits.cpu": "5", "pods": "4"}))).allowed
    assert webhook.store.writes == 1
