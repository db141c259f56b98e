"""Rollouts by workloadRef: the template that a Deployment has, in the webhook and in the controller [A1, A4]."""

import pytest

from bizrq.domain.claims import claimant_of, parse_claim
from tests.support.build import bizrq as made
from tests.support.build import container, pod_spec, workload
from tests.support.cas_store import CasStore
from tests.support.controller import started
from tests.support.quotas import counted
from tests.support.webhook import Webhook

HARD = {"limits.cpu": "10", "pods": "10"}
CPU = "limits.cpu"


def cores(amount, **fields):
    return {**pod_spec(container(limits={"cpu": str(amount)})), **fields}


def web(amount=1, replicas=1, **fields):
    return workload("web", replicas=replicas, template=cores(amount), **{"version": 70, **fields})


def rollout(replicas=1, of="web", name="ro", **fields):
    raw = workload(
        name, kind="Rollout", api_version="argoproj.io/v1alpha1", replicas=replicas, **{"version": 60, **fields}
    )
    raw["spec"] = {"replicas": replicas, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}}
    return raw


@pytest.fixture
def webhook(clock):
    made = Webhook(clock)
    made.have(counted(HARD), counted(HARD, name="team-vision"))
    return made


def used(webhook):
    return webhook.store.status("team")["used"][CPU]


def claims(webhook):
    return [parse_claim(line) for line in webhook.store.status("team").get("claims") or ()]


# --- a Rollout grows -------------------------------------------------------------------------------------------------


async def test_a_rollout_is_claimed_with_the_template_of_its_deployment(webhook):
    """[A4] its claim says which version of that it was decided with."""
    webhook.have(web(2, version=75))
    assert (await webhook.create(rollout(3))).allowed
    (claim,) = claims(webhook)
    assert (used(webhook), claim.version, claim.by_lender) == ("6", 0, False)
    assert claim.lender == ("uid-web", 75, "deployments.apps/shop/web")


async def test_a_rollout_beyond_its_quota_is_refused_with_what_would_fit(webhook):
    """[A2]."""
    webhook.have(web(3))
    verdict = await webhook.create(rollout(4))
    assert verdict.code == 403
    assert verdict.message.startswith("exceeded quota: team, requested: limits.cpu=12")
    assert verdict.message.endswith("the largest replica count that fits is 3")


async def test_its_scale_is_checked_with_that_template(webhook):
    """[A9]."""
    webhook.have(web(3), rollout(1))
    assert (await webhook.scale(rollout(1), 1, 3)).allowed
    assert used(webhook) == "6"
    assert not (await webhook.scale(rollout(1), 1, 9)).allowed


async def test_its_containers_must_state_what_is_limited(webhook):
    """[P4]."""
    deployment = web()
    del deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    webhook.have(deployment)
    assert "must specify limits.cpu" in (await webhook.create(rollout())).message


async def test_a_rollout_whose_deployment_is_not_there_is_refused(webhook):
    verdict = await webhook.create(rollout())
    assert verdict.code == 403
    assert verdict.message == (
        "rollouts.argoproj.io/shop/ro: its template is that of Deployment web, which is not there in namespace shop; "
        "create that first, or refer to another one"
    )


@pytest.mark.parametrize("label", [None, "team-vision"])
async def test_a_rollout_whose_deployment_is_not_under_its_bizrq_is_refused(webhook, label):
    webhook.have(web(bizrq=label))
    verdict = await webhook.create(rollout())
    assert verdict.code == 403
    assert verdict.message == (
        "rollouts.argoproj.io/shop/ro: its template is that of Deployment web, which is not under team, and whose "
        "changes nobody would check; label that biz.group.resource.quota: team too, or refer to another one"
    )


@pytest.mark.parametrize("new", [rollout(2), rollout(3), rollout(0)], ids=["fewer", "as many", "none"])
async def test_a_rollout_shrinks_though_its_deployment_is_gone(webhook, new):
    """[A5]."""
    assert (await webhook.update(rollout(3), new)).allowed
    assert not claims(webhook)


# --- its Deployment grows --------------------------------------------------------------------------------------------


async def test_a_template_that_grows_is_claimed_for_each_rollout_by_the_version_of_the_deployment(webhook):
    """[A4] one write carries them all."""
    webhook.have(web(1), rollout(2), rollout(3, name="other", uid="uid-other"), rollout(9, of="else", name="third"))
    assert (await webhook.update(web(1), web(2))).allowed
    own, *others = claims(webhook)
    assert (own.uid, own.version, own.lender) == ("uid-web", 70, None)
    assert sorted((each.uid, each.version, each.by_lender, each.lender) for each in others) == [
        ("uid-other", 70, True, ("uid-web", 60, "deployments.apps/shop/web")),
        ("uid-ro", 70, True, ("uid-web", 60, "deployments.apps/shop/web")),
    ]
    assert (used(webhook), webhook.store.writes) == ("6", 1)


async def test_growth_of_the_deployment_behind_a_workload_ref_beyond_quota_is_refused(webhook):
    """[A2] whole: the Deployment's own growth would have fitted."""
    webhook.have(web(1), rollout(5))
    verdict = await webhook.update(web(1), web(3))
    assert verdict.code == 403
    told = "exceeded quota: team, requested: limits.cpu=12, used: limits.cpu=0, limited: limits.cpu=10"
    whose = "; its template is that of rollouts.argoproj.io/shop/ro too, which would grow with it"
    assert verdict.message == told + whose
    assert not claims(webhook)


@pytest.mark.parametrize(
    ("old", "new"), [(web(3), web(2)), (web(3), web(3, replicas=0)), (web(3), web(3, annotations={"a": "b"}))]
)
async def test_a_deployment_that_grows_nothing_is_allowed_without_a_look(webhook, old, new):
    """[A5]."""
    webhook.have(old, rollout(9))
    assert (await webhook.update(old, new)).allowed
    assert (webhook.store.asked, webhook.store.writes) == (0, 0)


async def test_a_template_of_no_pods_may_grow_where_the_bizrq_is_gone(webhook):
    """[A5, T4] its claim would tell others; under a bizrq that grants nothing there are none."""
    old, new = (web(amount, replicas=0, bizrq="gone") for amount in (1, 2))
    assert (await webhook.update(old, new)).allowed


async def test_without_rollouts_in_the_cluster_a_template_of_no_pods_is_not_claimed(webhook):
    webhook.reads.absent.add("rollouts.argoproj.io")
    assert (await webhook.update(web(1, replicas=0), web(2, replicas=0))).allowed
    assert webhook.store.writes == 0


@pytest.mark.parametrize("to", [None, "team-vision"])
async def test_a_deployment_does_not_leave_its_rollouts_behind(webhook, to):
    webhook.have(web(), rollout())
    verdict = await webhook.update(web(), web(bizrq=to))
    assert verdict.code == 403
    assert verdict.message == (
        "deployments.apps/shop/web: it may not leave team while its template is that of rollouts.argoproj.io/shop/ro; "
        "delete these first, or let them refer to another one"
    )
    assert (await webhook.delete(web())).allowed


async def test_a_template_of_rollouts_under_other_bizrqs_does_not_grow(webhook):
    """They were there before bizrq was."""
    webhook.have(web(1), rollout(bizrq="team-vision"))
    verdict = await webhook.update(web(1), web(2))
    assert verdict.code == 403
    assert verdict.message == (
        "deployments.apps/shop/web: its template may not grow while it is that of rollouts.argoproj.io/shop/ro, which "
        "are under another bizrq; delete these first, or let them refer to another one"
    )


async def test_a_dry_run_claims_nothing(webhook):
    """[A5]."""
    webhook.have(web(1), rollout(9))
    assert not (await webhook.update(web(1), web(3), dry_run=True)).allowed
    assert (await webhook.update(web(1), web("1100m"), dry_run=True)).allowed
    assert not claims(webhook)


async def test_what_waits_for_the_other_is_to_be_tried_again(webhook):
    """[A13] two growths at once."""
    webhook.have(web(1), rollout(1))
    assert (await webhook.update(web(1), web(2))).allowed
    verdict = await webhook.scale(rollout(1), 1, 2)
    assert verdict.code == 429
    assert verdict.message == (
        "deployments.apps/shop/web, whose template rollouts.argoproj.io/shop/ro has, is changed at this moment; "
        "try again"
    )
    webhook.have(web(2, version=80))
    assert (await webhook.scale(rollout(1), 1, 2)).allowed


# --- the controller --------------------------------------------------------------------------------------------------


@pytest.fixture
def controller(clock):
    store = CasStore()
    store.put(made("team", hard=HARD))
    return started(store, clock)


async def counted_cpu(controller):
    return (await controller.write("team"))["used"][CPU]


@pytest.mark.parametrize("first", ["rollout", "deployment"])
async def test_a_rollout_is_counted_with_the_template_of_its_deployment_in_whatever_order_they_come(controller, first):
    objects = [rollout(3), web(2)]
    for raw in objects if first == "rollout" else reversed(objects):
        controller.workload(raw)
    assert await counted_cpu(controller) == "8"
    assert controller.inventory.workloads.uncounted == 0


async def test_it_is_counted_anew_when_that_changes(controller):
    """[R1] and its bizrq is woken."""
    controller.workload(web(1, replicas=0))
    controller.workload(rollout(3))
    assert await counted_cpu(controller) == "3"
    controller.woken.clear()
    controller.workload(web(2, replicas=0, version=80))
    assert controller.woken == {"team"}
    assert await counted_cpu(controller) == "6"


async def test_a_rollout_whose_deployment_was_never_there_is_not_counted(controller, caplog):
    controller.workload(rollout(3))
    assert await counted_cpu(controller) == "0"
    assert "spec.workloadRef: the template of Deployment web is not known" in caplog.text


async def test_without_its_deployment_it_is_charged_as_before_until_there_is_one_again(controller):
    controller.workload(web(1, replicas=0))
    controller.workload(rollout(3))
    controller.workload_deleted(web(), 75)
    controller.workload(rollout(5, version=76))
    assert await counted_cpu(controller) == "3"
    controller.workload(rollout(0, version=77))
    assert await counted_cpu(controller) == "0"
    controller.workload(rollout(5, version=78))
    controller.workload(web(2, replicas=0, version=79, uid="uid-again"))
    assert await counted_cpu(controller) == "10"


async def test_a_rollout_that_is_gone_is_not_counted_anew(controller):
    controller.workload(web(1, replicas=0))
    controller.workload(rollout(3))
    controller.workload_deleted(rollout(3), 65)
    controller.workload(web(2, replicas=0, version=80))
    assert await counted_cpu(controller) == "0"


def claimed(controller, *lines):
    raw = controller.store.raw("team")
    raw["status"] = {**raw.get("status", {}), "claims": list(lines)}
    controller.store.put(raw)
    controller.see("team")


SAYS = "rollouts.argoproj.io/shop/ro 2026-01-05T09:59:58.214Z limits.cpu=9:6"
OF = f"1 uid-ro 70 {SAYS} of=uid-web:60:deployments.apps/shop/web"
WITH = f"1 uid-ro 60 {SAYS} with=uid-web:70:deployments.apps/shop/web"


@pytest.mark.parametrize(
    ("line", "deployment", "version", "closed"),
    [
        pytest.param(OF, 70, 61, False, id="the Deployment stands, the Rollout is later"),
        pytest.param(OF, 71, 60, True, id="the Deployment is later, the Rollout as it was"),
        pytest.param(OF, 71, 59, False, id="the Deployment is later, the Rollout older"),
        pytest.param(WITH, 70, 61, True, id="the Rollout is later, the Deployment as it was"),
        pytest.param(WITH, 69, 61, False, id="the Rollout is later, the Deployment older"),
        pytest.param(WITH, 99, 60, False, id="the Rollout stands"),
    ],
)
async def test_a_claim_closes_when_both_are_in_view(controller, line, deployment, version, closed):
    """[A4]."""
    claimed(controller, line)
    controller.workload(web(1, replicas=0, version=deployment))
    controller.workload(rollout(3, version=version))
    assert await counted_cpu(controller) == ("3" if closed else "9")
    assert bool(controller.store.status("team").get("claims")) == (not closed)


@pytest.mark.parametrize(
    ("line", "there", "seconds", "left"),
    [
        pytest.param(OF, [rollout(3)], 6, 0, id="the Deployment is gone"),
        pytest.param(OF, [rollout(3), web(1, replicas=0)], 6, 1, id="the Deployment stands still"),
        pytest.param(OF, [rollout(3), web(1, replicas=0)], 61, 0, id="for longer than any request"),
        pytest.param(OF, [rollout(3), web(3, replicas=0, version=71)], 6, 0, id="the Deployment is later"),
        pytest.param(OF, [web(3, replicas=0, version=71)], 6, 0, id="the Rollout is gone"),
        pytest.param(WITH, [web(1, replicas=0)], 6, 0, id="as above, by its own claim"),
        pytest.param(WITH, [rollout(9, version=61), web(1, replicas=0)], 6, 0, id="the Rollout is later"),
        pytest.param(WITH, [rollout(3), web(1, replicas=0)], 6, 1, id="the Rollout stands still"),
        pytest.param(WITH, [rollout(9, version=61)], 6, 1, id="nobody can tell what it asks for now"),
    ],
)
async def test_a_claim_that_no_watch_closes_is_closed_by_live_reads(controller, line, there, seconds, left):
    """[A4]."""
    claimed(controller, line)
    for raw in there:
        resource = {"Deployment": "deployments.apps", "Rollout": "rollouts.argoproj.io"}[raw["kind"]]
        controller.reads.workloads[resource, "shop", raw["metadata"]["name"]] = raw
    await controller.write("team")
    controller.clock.waited += seconds
    await controller.write("team")
    await controller.write("team")
    assert len(controller.store.status("team").get("claims") or ()) == left


def test_a_claim_of_a_lenders_change_stands_beside_that_of_the_workload_itself():
    """Their versions are of two objects."""
    own, by_lender = claimant_of(WITH), claimant_of(OF)
    assert own is not None
    assert by_lender is not None
    assert own.key != by_lender.key
    assert (own.clock, own.other) == (by_lender.other, by_lender.clock)
    assert parse_claim(OF).line() == OF
    assert parse_claim(WITH).line() == WITH
