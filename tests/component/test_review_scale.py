"""[A9] reviews of the scale subresource: the Scale object has no labels and no template."""

import pytest

from tests.support.build import container, pod_spec, workload
from tests.support.quotas import counted
from tests.support.webhook import Webhook

ONE_CORE = pod_spec(container("main", limits={"cpu": "1"}))


def web(replicas, **fields):
    return workload("web", replicas=replicas, template=ONE_CORE, version=fields.pop("version", 70), **fields)


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(counted({"limits.cpu": "10", "pods": "10"}, used={"limits.cpu": "2", "pods": "2"}), web(2))
    return webhook


async def test_a_scale_is_checked_as_an_update_of_its_parent(webhook):
    """[A9] the parent is read live, and claimed at the Scale's resourceVersion."""
    assert (await webhook.scale(web(2), 2, 5)).allowed
    (claim,) = webhook.store.claims("team")
    assert (claim.uid, claim.version, claim.object) == ("uid-web", 70, "deployments.apps/shop/web")
    assert (str(claim.demand["limits.cpu"]), str(claim.raised["limits.cpu"])) == ("5", "3")
    assert webhook.store.status("team")["used"] == {"limits.cpu": "5", "pods": "5"}
    assert webhook.reads.reads == 1


async def test_a_scale_from_0_which_the_scale_leaves_out(webhook):
    """[A9]."""
    webhook.have(web(0, version=71))
    assert (await webhook.scale(web(0, version=71), 0, 3)).allowed
    (claim,) = webhook.store.claims("team")
    assert str(claim.raised["pods"]) == "3"


async def test_a_scale_that_does_not_fit_is_refused_with_what_does(webhook):
    """[A2, A9]."""
    verdict = await webhook.scale(web(2), 2, 11)
    assert (verdict.code, verdict.message) == (
        403,
        (
            "exceeded quota: team, requested: limits.cpu=9,pods=9, used: limits.cpu=2,pods=2, "
            "limited: limits.cpu=10,pods=10; the largest replica count that fits is 10"
        ),
    )


async def test_a_dry_run_of_a_scale_never_claims(webhook):
    """[A5]."""
    assert (await webhook.scale(web(2), 2, 5, dryRun=True)).allowed
    assert not (await webhook.scale(web(2), 2, 11, dryRun=True)).allowed
    assert webhook.store.writes == 0


async def test_a_parent_already_later_than_the_scale_is_allowed_without_a_claim(webhook):
    """[A9] its write must fail, and is reviewed again."""
    webhook.have(web(2, version=71))
    assert (await webhook.scale(web(2, version=70), 2, 99)).allowed
    assert webhook.store.asked == 1
    assert webhook.store.writes == 0


@pytest.mark.parametrize(
    ("live", "words"),
    [
        pytest.param(web(2, uid="another"), "was deleted or made anew while it was scaled", id="another UID"),
        pytest.param(web(2, version=69), "was read from an API server that lags behind", id="an older version"),
    ],
)
async def test_another_uid_or_an_older_version_cannot_be_decided(webhook, live, words):
    """[A9, A13]."""
    webhook.have(live)
    verdict = await webhook.scale(web(2), 2, 5)
    assert (verdict.allowed, verdict.code, verdict.retry_after) == (False, 429, 1)
    assert words in verdict.message
    assert webhook.store.writes == 0


async def test_a_parent_that_is_gone_cannot_be_decided(webhook):
    """[A9, A13]."""
    webhook.reads.workloads.clear()
    assert (await webhook.scale(web(2), 2, 5)).code == 429


async def test_a_parent_that_is_not_labelled_is_not_counted(webhook):
    """[A5, A9]."""
    webhook.have(web(2, bizrq=None))
    assert (await webhook.scale(web(2, bizrq=None), 2, 99)).allowed
    assert webhook.store.writes == 0


async def test_a_parent_that_cannot_be_read_says_try_again(webhook):
    """[A13]."""
    webhook.store.away = True
    verdict = await webhook.scale(web(2), 2, 5)
    assert (verdict.allowed, verdict.code, verdict.retry_after) == (False, 429, 1)


async def test_a_custom_resource_is_scaled_at_the_field_that_its_kind_names(webhook):
    """[A9]."""
    rollout = {**web(2), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    webhook.have(rollout)
    assert (await webhook.scale(rollout, 2, 5)).allowed
    (claim,) = webhook.store.claims("team")
    assert claim.object == "rollouts.argoproj.io/shop/web"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"resource": {"group": "apps", "version": "v1", "resource": "daemonsets"}}, id="an unknown kind"),
        pytest.param(
            {"resource": {"group": "batch", "version": "v1", "resource": "jobs"}}, id="a kind without a scale"
        ),
        pytest.param({"subResource": "status"}, id="another subresource"),
        pytest.param({"subResource": None}, id="no subresource"),
    ],
)
async def test_what_has_no_scale_is_refused_and_never_allowed(webhook, changed):
    verdict = await webhook.scale(web(2), 2, 1, **changed)
    assert (verdict.allowed, verdict.code) == (False, 403)


@pytest.mark.parametrize("missing", ["object", "oldObject"])
async def test_a_review_without_its_scales_is_refused(webhook, missing):
    fields = {"object": {"spec": {}}, "oldObject": {"spec": {}}, "subResource": "scale", "operation": "UPDATE"}
    verdict = await webhook.ask("scale", **{**fields, missing: None})
    assert (verdict.allowed, verdict.code) == (False, 422)
