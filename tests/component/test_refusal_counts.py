"""Refusals are counted by bizrq and key: of whom, on what, and which are none."""

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.domain.probe import PROBE_KEY
from bizrq.settings import Autoscalers, Mode
from bizrq.webhook import refusal_counts
from bizrq.webhook.modes import MODE_LABEL
from tests.support.build import NOW, bizrq, container, metadata, pod_spec, workload
from tests.support.policy import PolicyWebhook
from tests.support.quotas import HOUR_OF_A_CORE, budget, counted

CPU = "limits.cpu"
HARD = {CPU: "10", "pods": "10"}
ONE_CORE = pod_spec(container("main", limits={"cpu": "1", "memory": "1Gi"}))


def web(replicas=1, template=None, **fields):
    return workload("web", replicas=replicas, template=template or ONE_CORE, version=70, **fields)


def kid(hard=None, **fields):
    return counted(hard or HARD, name="kid", parent="dept", **fields)


def make(clock, **options):
    webhook = PolicyWebhook(clock, authorize=False, **options)
    webhook.have(counted(HARD), counted(HARD, name="dept", used={CPU: "8", "pods": "2"}), bizrq("new", hard=HARD))
    return webhook


@pytest.fixture
def webhook(clock):
    return make(clock)


def shown(webhook):
    """Refusals by bizrq and key."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in webhook.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "bizrq_refusals_total"
    }


async def test_each_key_that_is_exceeded_is_to_blame(webhook):
    """[A2]"""
    for _ in range(2):
        assert not (await webhook.create(web(12))).allowed
    assert shown(webhook) == {("team", CPU): 2, ("team", "pods"): 2}


async def test_a_budget_that_is_used_up_is_to_blame_under_its_own_key(webhook):
    """[A6]"""
    webhook.have(budget("1", booked=HOUR_OF_A_CORE))
    await webhook.create(web())
    assert shown(webhook) == {("team", f"cash/{CPU}"): 1}


async def test_what_is_not_stated_is_to_blame(webhook):
    """[P4]"""
    await webhook.create(web(template=pod_spec(container("main"))))
    assert shown(webhook) == {("team", CPU): 1}


async def test_a_child_that_does_not_fit_is_refused_by_its_parent(webhook):
    """[T3] it is the parent's quota that did not suffice; the child is not even there."""
    await webhook.create(kid({CPU: "3", "pods": "1"}))
    assert shown(webhook) == {("dept", CPU): 1}


async def test_a_child_that_lacks_keys_is_refused_by_its_parent(webhook):
    """[T2]"""
    await webhook.create(kid({CPU: "1"}))
    assert shown(webhook) == {("dept", "pods"): 1}


async def test_a_scaling_that_does_not_fit_counts(webhook):
    """[A9]"""
    webhook.have(web(2))
    await webhook.scale(web(2), 2, 13)
    assert set(shown(webhook)) == {("team", CPU), ("team", "pods")}


async def test_an_autoscaler_that_is_refused_is_so_by_the_quota_of_its_target(clock):
    """[A10]"""
    webhook = make(clock, autoscalers=Autoscalers.REFUSE)
    webhook.have(web(2))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler = {"metadata": metadata("s", namespace="shop"), "spec": {"maxReplicas": 13, "scaleTargetRef": target}}
    at = {"group": "autoscaling", "version": "v2", "resource": "horizontalpodautoscalers"}
    asked = {"resource": at, "operation": "CREATE", "namespace": "shop", "object": scaler}
    assert not (await webhook.ask("autoscalers", **asked)).allowed
    assert set(shown(webhook)) == {("team", CPU), ("team", "pods")}
    await webhook.ask("autoscalers", **asked, dryRun=True)
    assert set(shown(webhook).values()) == {1}


async def test_where_the_bizrq_grants_nothing_no_key_is_to_blame(webhook):
    """[T7]"""
    webhook.have(counted(HARD, deletion=NOW))
    await webhook.create(web())
    assert shown(webhook) == {("team", ""): 1}


async def test_what_is_wrong_with_a_bizrq_counts_for_itself_once_it_is_known(webhook):
    """[K4] the key is anybody's word, and no label."""
    old = webhook.store.raw("team")
    changed = {**old, "spec": {"hard": {**HARD, "nvidia.com/gpu": "1"}}}
    await webhook.update(old, changed)
    assert shown(webhook) == {}
    await webhook.refusals.keep_up(webhook.reads)
    await webhook.update(old, changed)
    assert shown(webhook) == {("team", ""): 1}


async def test_names_that_are_no_bizrqs_get_no_series(webhook):
    """[A7] whoever may make workloads chooses what they name."""
    await webhook.refusals.keep_up(webhook.reads)
    assert not (await webhook.create(web(bizrq="made-up"))).allowed
    assert not (await webhook.create(bizrq("invented", parent="made-up", hard=HARD))).allowed
    assert not (await webhook.create(bizrq("invented", hard={"nvidia.com/gpu": "1"}))).allowed
    assert shown(webhook) == {}


async def test_a_right_that_is_missing_counts_without_a_key(clock):
    """[A12]"""
    webhook = PolicyWebhook(clock)
    webhook.have(counted(HARD))
    await webhook.refusals.keep_up(webhook.reads)
    assert not (await webhook.create(web())).allowed
    assert shown(webhook) == {("team", ""): 1}


@pytest.mark.parametrize("replicas", [1, 12])
async def test_a_dry_run_is_none(webhook, replicas):
    """[A5]"""
    await webhook.create(web(replicas), dry_run=True)
    assert shown(webhook) == {}


async def test_what_is_to_be_tried_again_is_none(webhook):
    """[A13]"""
    await webhook.refusals.keep_up(webhook.reads)
    assert (await webhook.create(web(bizrq="new"))).retry_after
    assert shown(webhook) == {}


async def test_what_is_let_by_with_a_warning_is_none(clock):
    webhook = make(clock)
    webhook.reads.namespaces["shop"] = {MODE_LABEL: "warn"}
    assert (await webhook.create(web(12))).allowed
    assert shown(webhook) == {}


# --- as bizrqs go ----------------------------------------------------------------------------------------------------


async def test_the_series_of_a_bizrq_go_away_with_it(webhook):
    await webhook.create(web(12))
    await webhook.create(kid({CPU: "3", "pods": "1"}))
    await webhook.refusals.keep_up(webhook.reads)
    assert {bizrq for bizrq, _ in shown(webhook)} == {"team", "dept"}
    raw = webhook.store.raw("team")
    webhook.store.put({**raw, "metadata": {**raw["metadata"], "finalizers": []}})
    await webhook.store.delete("team")
    await webhook.refusals.keep_up(webhook.reads)
    assert {bizrq for bizrq, _ in shown(webhook)} == {"dept"}


async def test_keys_that_come_and_go_in_one_hard_do_not_pile_up(webhook, monkeypatch):
    """Whoever may change a bizrq could have as many series as names come to mind."""
    monkeypatch.setattr(refusal_counts, "_MOST_SERIES", 3)
    for number in range(5):
        gpu = f"requests.example.com/gpu-{number}"
        webhook.have(counted({"pods": "10", gpu: "0"}))
        limits = {"cpu": "1", "memory": "1Gi", gpu.removeprefix("requests."): "1"}
        assert not (await webhook.create(web(template=pod_spec(container("main", limits=limits))))).allowed
        assert not (await webhook.create(web(11, template=ONE_CORE))).allowed
    assert shown(webhook) == {
        ("team", "pods"): 5,
        ("team", "requests.example.com/gpu-3"): 1,
        ("team", "requests.example.com/gpu-4"): 1,
    }


async def test_a_bizrq_that_is_younger_than_the_list_keeps_its_series(webhook):
    class Slow:
        async def bizrq_names(self):
            names = await webhook.reads.bizrq_names()
            webhook.have(counted(HARD, name="young"))
            await webhook.create(web(12, bizrq="young"))
            return names

    await webhook.refusals.keep_up(Slow())
    assert {bizrq for bizrq, _ in shown(webhook)} == {"young"}
    await webhook.refusals.keep_up(webhook.reads)
    assert {bizrq for bizrq, _ in shown(webhook)} == {"young"}


async def test_a_list_that_fails_changes_nothing(webhook):
    await webhook.create(web(12))
    webhook.store.away = True
    with pytest.raises(Unavailable):
        await webhook.refusals.keep_up(webhook.reads)
    assert len(shown(webhook)) == 2


# --- the controller's probe ------------------------------------------------------------------------------------------


def probed(webhook):
    old = webhook.store.raw("team")
    return old, {**old, "spec": {"hard": {**HARD, PROBE_KEY: "0"}}}


async def test_the_controllers_probe_is_refused_without_a_right_or_a_read_and_not_counted(clock):
    """[K4] nothing but the webhook itself is needed for the answer."""
    webhook = PolicyWebhook(clock)
    webhook.have(counted(HARD), bizrq("root", hard=HARD))
    await webhook.refusals.keep_up(webhook.reads)
    asked = webhook.store.asked
    verdict = await webhook.update(*probed(webhook), dry_run=True)
    assert (verdict.allowed, verdict.code, verdict.probe) == (False, 422, True)
    assert PROBE_KEY in verdict.message
    assert (webhook.store.asked, webhook.access.asked) == (asked, [])
    assert shown(webhook) == {}


async def test_a_probe_is_a_dry_run_whoever_means_it_is_refused_as_anybody(webhook):
    await webhook.refusals.keep_up(webhook.reads)
    verdict = await webhook.update(*probed(webhook))
    assert (verdict.allowed, verdict.probe) == (False, False)
    assert shown(webhook) == {("team", ""): 1}


async def test_in_mode_warn_a_probe_is_let_by_with_the_warning_and_not_counted_as_warned(clock):
    webhook = make(clock, mode=Mode.WARN)
    verdict = await webhook.update(*probed(webhook), dry_run=True)
    assert (verdict.allowed, verdict.probe) == (True, True)
    assert verdict.warnings[0].startswith("not enforced, would be refused: spec.hard.count/enforcement-probes")
    assert (
        webhook.metrics.registry.get_sample_value(
            "bizrq_reviews_warned_total", {"route": "bizrqs", "verdict": "refused"}
        )
        is None
    )
