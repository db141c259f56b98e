"""[A10] autoscalers: what is said of a maximum that does not fit, and to a scaling that is refused."""

import pytest

from bizrq.domain.refusals import NOT_ENFORCED
from bizrq.settings import Autoscalers, Mode
from bizrq.webhook import autoscaling
from bizrq.webhook.autoscaling import AUTOSCALER
from bizrq.webhook.modes import MODE_LABEL
from bizrq.webhook.review import Verdict, read_review
from tests.support.admission_review import make_review
from tests.support.build import NOW, bizrq, container, metadata, pod_spec, workload
from tests.support.policy import PolicyWebhook
from tests.support.quotas import HOUR_OF_A_CORE, budget, counted, line
from tests.support.webhook import told

ONE_CORE = pod_spec(container("main", limits={"cpu": "1"}))
HARD = {"limits.cpu": "10", "pods": "10"}
TOO_HIGH = (
    "maxReplicas 12: deployments.apps/shop/web could not be scaled so far now: exceeded quota: team, requested: "
    "limits.cpu=10,pods=10, used: limits.cpu=6,pods=6, limited: limits.cpu=10,pods=10; the largest replica count that "
    "fits is 6: set the autoscaler's maxReplicas to at most 6"
)


def web(replicas=2, template=None, **fields):
    return workload("web", replicas=replicas, template=template or ONE_CORE, version=70, **fields)


def hpa(most=12, *, kind="Deployment", api_version="apps/v1", name="web", least=1):
    target = {"apiVersion": api_version, "kind": kind, "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata("scaler", namespace="shop", version=71),
        "spec": {"maxReplicas": most, "minReplicas": least, "scaleTargetRef": target},
    }


def make(clock, *, too_high=Autoscalers.WARN, mode=Mode.ENFORCE):
    """Two of six cores are the workload's; nobody has any right."""
    webhook = PolicyWebhook(clock, autoscalers=too_high, mode=mode)
    webhook.have(counted(HARD, used={"limits.cpu": "6", "pods": "6"}), web())
    return webhook


@pytest.fixture
def webhook(clock):
    return make(clock)


async def review(webhook, new, old=None, **request):
    at = {"group": "autoscaling", "version": "v2", "resource": "horizontalpodautoscalers"}
    operation = "CREATE" if old is None else "UPDATE"
    fields = {"resource": at, "operation": operation, "namespace": "shop", "object": new, "oldObject": old}
    return await webhook.ask("autoscalers", **(fields | request))


def said(verdict):
    """The one text that the warnings are."""
    assert verdict.allowed
    return " ".join(verdict.warnings)


# --- the object ------------------------------------------------------------------------------------------------------


async def test_a_maximum_that_does_not_fit_is_answered_with_the_largest_that_does(webhook):
    """[A10] a warning, none of it cut, and nothing is claimed."""
    verdict = await review(webhook, hpa(12))
    assert said(verdict) == TOO_HIGH
    assert told(verdict)["warnings"] == list(verdict.warnings)
    assert await review(webhook, hpa(6)) == Verdict.allow(), "what it says fits"
    for most in (7, 2**31 - 1):
        assert said(await review(webhook, hpa(most))).endswith("at most 6")
    assert webhook.store.writes == 0
    assert not webhook.access.asked, "whoever scales is asked for no right [A12]"


async def test_it_is_refused_where_so_configured(clock):
    """[A10] --autoscalers=refuse"""
    webhook = make(clock, too_high=Autoscalers.REFUSE)
    verdict = await review(webhook, hpa(12))
    assert (verdict.allowed, verdict.code, verdict.reason, verdict.message) == (False, 403, "Forbidden", TOO_HIGH)
    assert await review(webhook, hpa(6)) == Verdict.allow()


@pytest.mark.parametrize("by", ["flag", "label"])
async def test_where_the_mode_is_warn_even_that_is_a_warning(clock, by):
    webhook = make(clock, too_high=Autoscalers.REFUSE, mode=Mode.WARN if by == "flag" else Mode.ENFORCE)
    if by == "label":
        webhook.reads.namespaces["shop"] = {MODE_LABEL: "warn"}
    assert said(await review(webhook, hpa(12))) == NOT_ENFORCED + TOO_HIGH


@pytest.mark.parametrize(
    ("old", "new", "warns"),
    [
        pytest.param(hpa(12), hpa(12, least=2), False, id="the same maximum"),
        pytest.param(hpa(13), hpa(12), False, id="a lower one"),
        pytest.param(hpa(11), hpa(12), True, id="a higher one"),
        pytest.param(hpa(12, name="other"), hpa(12), True, id="another target"),
        pytest.param(hpa(12, kind="StatefulSet"), hpa(12), True, id="a target of another kind"),
    ],
)
async def test_an_update_is_answered_where_it_asks_for_more(webhook, old, new, warns):
    """[A10] else quietly, as what was there before it [A5]."""
    assert bool((await review(webhook, new, old)).warnings) == warns


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(hpa(99, name="later"), id="an autoscaler that comes before its target"),
        pytest.param(hpa(99, kind="Job", api_version="batch/v1"), id="a kind without a scale"),
        pytest.param(hpa(99, api_version="apps.example.com/v1"), id="a kind of another group"),
        pytest.param({**hpa(99), "spec": {"maxReplicas": 99}}, id="no target"),
    ],
)
async def test_where_there_is_no_target_that_counts_it_is_quiet(webhook, target):
    webhook.have(workload("web", kind="Job", api_version="batch/v1", template=ONE_CORE))
    assert await review(webhook, target) == Verdict.allow()


@pytest.mark.parametrize("label", [None, "", "nobody", "broken", "going"])
@pytest.mark.parametrize("too_high", list(Autoscalers))
async def test_where_another_maximum_would_not_help_it_is_quiet(clock, label, too_high):
    """No label, no such bizrq, one that cannot be read, one that is being deleted."""
    webhook = make(clock, too_high=too_high)
    webhook.have(
        counted({"limits.cpu": "many"}, name="broken"), counted(HARD, name="going", deletion=NOW), web(bizrq=label)
    )
    assert await review(webhook, hpa(99)) == Verdict.allow()


async def test_a_target_is_found_by_its_group_and_kind_whatever_version_is_named(webhook):
    """As the autoscaler finds it."""
    assert said(await review(webhook, hpa(12, api_version="apps/v1beta2"))) == TOO_HIGH


async def test_a_custom_resource_is_a_target_too(webhook):
    webhook.have({**web(), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"})
    text = said(await review(webhook, hpa(12, kind="Rollout", api_version="argoproj.io/v1alpha1")))
    assert "rollouts.argoproj.io/shop/web" in text
    assert text.endswith("at most 6")


async def test_what_is_said_is_in_the_unit_of_the_scale_also_where_there_are_several_groups_of_pods(webhook):
    """[A2, A10] A group of a leader and two workers of a core each: two groups more fit into the four cores left."""
    groups = {
        **web(1),
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "spec": {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": {"spec": ONE_CORE}}},
    }
    webhook.have(groups)
    text = said(await review(webhook, hpa(9, kind="LeaderWorkerSet", api_version="leaderworkerset.x-k8s.io/v1")))
    assert "requested: limits.cpu=16,pods=16" in text
    assert text.endswith("the largest replica count that fits is 3: set the autoscaler's maxReplicas to at most 3")


async def test_what_is_scaled_need_not_be_the_first_group(webhook):
    """[A2, A10] Workers beside a master: of the ten cores six are used, three of them by these."""
    roles = {
        role: {"replicas": count, "template": {"spec": ONE_CORE}} for role, count in (("Master", 1), ("Worker", 2))
    }
    trained = {**web(), "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": roles}}
    webhook.have(trained)
    text = said(await review(webhook, hpa(9, kind="PyTorchJob", api_version="kubeflow.org/v1")))
    assert "requested: limits.cpu=7,pods=7" in text
    assert text.endswith("at most 6")


async def test_without_hours_left_no_higher_maximum_fits(webhook):
    """[A6, A10]"""
    webhook.have(budget("1", booked=HOUR_OF_A_CORE))
    text = said(await review(webhook, hpa(3)))
    assert "used: cash/limits.cpu=1, limited: cash/limits.cpu=1; these hours are used up" in text
    assert await review(webhook, hpa(2)) == Verdict.allow()


async def test_open_claims_count(webhook):
    """[A4] As scaling itself would be answered: what is on its way for the target is there already."""
    claim = line("uid-web", 70, {"limits.cpu": "5", "pods": "5"}, {"limits.cpu": "3", "pods": "3"})
    webhook.have(counted(HARD, used={"limits.cpu": "9", "pods": "9"}, claims=[claim]))
    assert said(await review(webhook, hpa(12))).endswith("at most 6")


# --- nothing waits for it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("too_high", list(Autoscalers))
async def test_what_cannot_be_decided_is_allowed(clock, too_high):
    """[A10, A13] a new bizrq, a target that changes meanwhile, an API server that is away."""
    webhook = make(clock, too_high=too_high)
    webhook.have(bizrq("team", hard=HARD))
    assert await review(webhook, hpa(99)) == Verdict.allow()
    webhook.store.away = True
    assert await review(webhook, hpa(99)) == Verdict.allow()


def test_what_is_late_or_fails_is_allowed_too(clock):
    """[A10, A13] the server's last word; of what counts it stays what it was."""
    again, request = Verdict.try_again("late"), read_review(make_review())
    webhook = make(clock, too_high=Autoscalers.REFUSE)
    assert webhook.policy.undecided("autoscalers", request, again) == Verdict.allow()
    assert webhook.policy.undecided("workloads", request, again) == again


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        pytest.param(
            {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}}, 403, id="no autoscaler"
        ),
        pytest.param({"subResource": "status"}, 403, id="a subresource"),
        pytest.param({"object": None}, 422, id="no object"),
        pytest.param({"operation": "UPDATE"}, 422, id="an update without what was"),
    ],
)
async def test_a_review_of_something_else_is_refused(webhook, changed, code):
    verdict = await review(webhook, hpa(99), **changed)
    assert (verdict.allowed, verdict.code) == (False, code)


async def test_a_delete_is_allowed(webhook):
    assert await review(webhook, None, hpa(99), operation="DELETE") == Verdict.allow()


# --- scaling ---------------------------------------------------------------------------------------------------------


def refusals(webhook, name="web"):
    labels = {"bizrq": "team", "resource": "deployments.apps", "namespace": "shop", "name": name}
    return webhook.metrics.registry.get_sample_value("bizrq_autoscaler_refusals_total", labels)


@pytest.mark.parametrize("user", [AUTOSCALER, "system:kube-controller-manager"])
async def test_an_autoscaler_that_is_refused_gets_nothing_and_reads_which_maximum_fits(webhook, user):
    """[A9, A10] not a part of it; the metric names the workload."""
    webhook.user = user
    verdict = await webhook.scale(web(), 2, 12)
    assert (verdict.code, verdict.message) == (403, TOO_HIGH.partition("now: ")[2])
    await webhook.scale(web(), 2, 13)
    assert (webhook.store.writes, refusals(webhook)) == (0, 2)


async def test_others_read_the_largest_replica_count_and_are_not_counted(webhook):
    """[A2, A10]"""
    assert (await webhook.scale(web(), 2, 12)).message.endswith("the largest replica count that fits is 6")
    webhook.user = AUTOSCALER
    assert (await webhook.update(web(), web(12))).message.endswith("the largest replica count that fits is 6")
    assert refusals(webhook) is None


async def test_only_what_was_refused_is_counted(webhook):
    """[A10] neither what is granted, nor what is tried again, nor a dry run, nor the review of the object."""
    webhook.user = AUTOSCALER
    assert not (await webhook.scale(web(), 2, 12, dryRun=True)).allowed
    assert (await webhook.scale(web(), 2, 3)).allowed
    await review(webhook, hpa(99))
    webhook.have(bizrq("team", hard=HARD))
    assert (await webhook.scale(web(), 2, 12)).retry_after
    webhook.reads.namespaces["shop"] = {MODE_LABEL: "warn"}
    assert refusals(webhook) is None


async def test_where_the_mode_is_warn_nothing_is_refused(clock):
    webhook = make(clock, mode=Mode.WARN)
    webhook.user = AUTOSCALER
    assert (await webhook.scale(web(), 2, 12)).allowed
    assert refusals(webhook) is None


async def test_refusals_of_so_many_workloads_are_counted_and_no_more(webhook, monkeypatch):
    """Whoever may make workloads chooses their names: the one that was refused longest ago is forgotten."""
    monkeypatch.setattr(autoscaling, "MOST_SERIES", 2)
    webhook.user = AUTOSCALER
    for name in ("a", "b", "a", "c"):
        raw = workload(name, replicas=2, template=ONE_CORE)
        webhook.have(raw)
        await webhook.scale(raw, 2, 12)
    assert [refusals(webhook, name) for name in ("a", "b", "c")] == [2, None, 1]
