"""[A4] a line on a version later than the review: forged, edited or raced, it lets nobody by. A live read decides."""

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.domain.tree import claimant_name
from tests.support.build import container, pod_spec, workload
from tests.support.quotas import counted, line
from tests.support.webhook import Webhook

HUGE = 9 * 10**18
ONE_CORE = pod_spec(container("main", limits={"cpu": "1"}))
HARD = {"limits.cpu": "10", "pods": "10"}


def web(replicas, **fields):
    return workload("web", replicas=replicas, template=ONE_CORE, version=fields.pop("version", 70), **fields)


def team(version=HUGE, pods="3"):
    """What the webhook granted on the word of a review with that version: 3 of 10."""
    demand = {"limits.cpu": pods, "pods": pods}
    claims = [line("uid-web", version, demand, {"limits.cpu": "1", "pods": "1"})]
    return counted(HARD, used=demand, claims=claims)


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(team(), web(2))
    return webhook


def used(webhook, name="team"):
    return webhook.store.status(name)["used"]["pods"]


def lines(webhook, name="team"):
    return webhook.store.status(name)["claims"]


# --- workloads -------------------------------------------------------------------------------------------------------


async def test_a_review_on_the_version_that_is_there_is_decided_with_the_larger_amounts(webhook):
    """What the line covers is granted already; the line keeps its version, which decides when it closes."""
    assert (await webhook.update(web(2), web(5))).allowed
    (claim,) = webhook.store.claims("team")
    assert (claim.version, str(claim.demand["pods"]), used(webhook)) == (HUGE, "5", "5")
    assert webhook.reads.reads == 1, "of the workload"


async def test_what_the_line_covers_already_is_claimed_anew_and_raises_nothing(webhook):
    before = lines(webhook)
    assert (await webhook.update(web(2), web(3))).allowed
    (claim,) = webhook.store.claims("team")
    assert (claim.version, str(claim.demand["pods"]), used(webhook)) == (HUGE, "3", "3")
    assert lines(webhook) != before, "another text: it waits anew"


async def test_what_does_not_fit_is_refused_although_a_line_is_later(webhook):
    """[A1] with the count that would fit."""
    verdict = await webhook.update(web(2), web(11))
    assert (verdict.code, verdict.reason) == (403, "Forbidden")
    assert verdict.message == (
        "exceeded quota: team, requested: limits.cpu=8,pods=8, used: limits.cpu=3,pods=3, "
        "limited: limits.cpu=10,pods=10; the largest replica count that fits is 10"
    )
    assert webhook.store.writes == 0
    assert (await webhook.update(web(2), web(10))).allowed


async def test_all_of_the_quota_can_be_granted_beside_such_a_line_and_not_one_more(webhook):
    """[A3] step by step, as its object grows."""
    granted = 0
    for replicas in range(3, 14):
        webhook.have(web(replicas - 1, version=70 + replicas))
        old = web(replicas - 1, version=70 + replicas)
        granted += (await webhook.update(old, web(replicas))).allowed
    assert (granted, used(webhook)) == (8, "10")
    assert [claim.version for claim in webhook.store.claims("team")] == [HUGE]


async def test_a_scale_is_let_by_no_more_than_an_update(webhook):
    """[A9]."""
    assert not (await webhook.scale(web(2), 2, 11)).allowed
    assert (await webhook.scale(web(2), 2, 10)).allowed
    assert used(webhook) == "10"


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "live",
    [
        pytest.param(web(2, version=71), id="it is at a later version"),
        pytest.param(None, id="it is gone"),
        pytest.param(web(2, uid="uid-new"), id="it was made anew"),
    ],
)
async def test_a_review_older_than_what_is_there_is_allowed_and_claims_nothing(webhook, live, dry_run):
    """Its write must fail, and is reviewed again on what is there then."""
    webhook.reads.workloads.clear()
    if live is not None:
        webhook.have(live)
    before = lines(webhook)
    assert (await webhook.update(web(2), web(99), dry_run=dry_run)).allowed
    assert (webhook.store.writes, lines(webhook), used(webhook)) == (0, before, "3")


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_object_that_is_read_at_an_earlier_version_says_try_again(webhook, dry_run):
    """[A13] an API server that lags behind proves nothing."""
    webhook.have(web(2, version=69))
    verdict = await webhook.update(web(2), web(3), dry_run=dry_run)
    assert (verdict.allowed, verdict.code, verdict.retry_after) == (False, 429, 1)
    assert verdict.message == "deployments.apps/shop/web was read from an API server that lags behind"
    assert webhook.store.writes == 0


async def test_a_dry_run_is_decided_as_the_review_itself(webhook):
    """[A5]."""
    assert (await webhook.update(web(2), web(10), dry_run=True)).allowed
    assert not (await webhook.update(web(2), web(11), dry_run=True)).allowed
    assert (webhook.store.writes, used(webhook)) == (0, "3")


async def test_an_object_that_cannot_be_read_says_try_again(webhook):
    """[A13] never allowed."""
    webhook.reads.workload = _away
    verdict = await webhook.update(web(2), web(3))
    assert (verdict.allowed, verdict.code) == (False, 429)


async def _away(*_):
    raise Unavailable("no API server")


async def test_what_shrinks_is_allowed_whatever_line_there_is(webhook):
    """[A5] nothing is read for it."""
    assert (await webhook.update(web(9), web(8))).allowed
    assert webhook.store.asked == 0


async def test_a_line_of_the_same_version_needs_no_live_read(webhook):
    webhook.have(team(version=70))
    assert (await webhook.update(web(2), web(5))).allowed
    assert webhook.reads.reads == 0


# --- child bizrqs ----------------------------------------------------------------------------------------------------


def kid(pods="3"):
    return counted({"limits.cpu": "1", "pods": pods}, name="kid", parent="dept")


@pytest.fixture
def tree(webhook):
    """A child that takes 3 of 10 pods, and a line of it on a version that is not there yet, with 5."""
    webhook.have(kid())
    uid = webhook.store.raw("kid")["metadata"]["uid"]
    demand = {"limits.cpu": "1", "pods": "5"}
    claims = [line(uid, HUGE, demand, {"pods": "2"}, object_=claimant_name("kid"))]
    webhook.have(counted(HARD, name="dept", used={"limits.cpu": "1", "pods": "5"}, claims=claims))
    return webhook


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_raise_of_a_child_is_decided_with_the_larger_amounts(tree, dry_run):
    """[T3] 5 are granted to it already."""
    old = tree.store.raw("kid")
    assert not (await tree.update(old, kid("11"), dry_run=dry_run)).allowed
    assert (await tree.update(old, kid("10"), dry_run=dry_run)).allowed
    assert used(tree, "dept") == ("5" if dry_run else "10")
    assert [claim.version for claim in tree.store.claims("dept")] == [HUGE]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("change", ["later", "gone", "made anew"])
async def test_a_raise_older_than_the_child_that_is_there_is_allowed_and_claims_nothing(tree, change, dry_run):
    """[T3]."""
    old = tree.store.raw("kid")
    if change != "later":
        await tree.store.delete("kid")
        tree.store._objects.pop("kid", None)
    if change != "gone":
        tree.have(kid())
    writes, before = tree.store.writes, lines(tree, "dept")
    assert (await tree.update(old, kid("99"), dry_run=dry_run)).allowed
    assert (tree.store.writes, lines(tree, "dept"), used(tree, "dept")) == (writes, before, "5")


async def test_a_child_that_is_read_at_an_earlier_version_says_try_again(tree):
    """[A13]."""
    old = tree.store.raw("kid")
    old["metadata"]["resourceVersion"] = str(int(old["metadata"]["resourceVersion"]) + 1)
    verdict = await tree.update(old, kid("6"))
    assert (verdict.allowed, verdict.code) == (False, 429)
    assert verdict.message.endswith("//kid was read from an API server that lags behind")
