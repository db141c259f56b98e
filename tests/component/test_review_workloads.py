"""[A1-A7, A13, P4] reviews of workloads, as the API server asks and as it reads the answer."""

import pytest

from bizrq.cluster.errors import Denied, NotFound, Unavailable
from bizrq.domain.admission import Again
from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import parse_claim
from tests.support.build import NOW, bizrq, container, pod_spec, workload
from tests.support.quotas import HOUR_OF_A_CORE, counted, line
from tests.support.webhook import Webhook, told

ONE_CORE = pod_spec(container("main", limits={"cpu": "1", "memory": "1Gi"}))
HARD = {"limits.cpu": "10", "limits.memory": "20Gi", "pods": "10", "count/deployments.apps": "5"}


def web(replicas=1, template=None, **fields):
    return workload(
        "web", replicas=replicas, template=template or ONE_CORE, version=fields.pop("version", 70), **fields
    )


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(counted(HARD), counted(HARD, name="team-vision"))
    return webhook


def used(webhook, name="team"):
    return {key: amount for key, amount in webhook.store.status(name)["used"].items() if amount != "0"}


def assert_again(verdict):
    """[A13] 429 in the answer, and when to ask again; never allowed."""
    response = told(verdict)
    assert not response["allowed"]
    assert response["status"]["code"] == 429
    assert response["status"]["reason"] == "TooManyRequests"
    assert response["status"]["details"]["retryAfterSeconds"] >= 1


# --- growth ----------------------------------------------------------------------------------------------------------


async def test_a_create_is_claimed_before_it_is_allowed(webhook):
    """[A3, A4] (workload UID, r = 0, the whole demand, also keys that hard does not limit, and what it raised)."""
    assert told(await webhook.create(web(3))) == {"uid": "u", "allowed": True}
    (claim,) = webhook.store.claims("team")
    assert claim.line() == (
        "1 uid-web 0 deployments.apps/shop/web 2026-01-05T10:00:00.000Z count/deployments.apps=1:1,cpu=3:3,"
        "limits.cpu=3:3,limits.memory=3Gi:3Gi,memory=3Gi:3Gi,pods=3:3,requests.cpu=3:3,requests.memory=3Gi:3Gi"
    )
    expected = {"limits.cpu": "3", "limits.memory": "3Gi", "pods": "3", "count/deployments.apps": "1"}
    assert used(webhook) == expected
    assert webhook.store.status("team")["selfUsed"] == webhook.store.status("team")["used"]


async def test_what_this_version_does_not_know_is_sent_back_as_it_was(webhook):
    """A claim goes into the status as it was read: replicas of two versions run side by side during an upgrade."""
    claim, cash = "2 a line of tomorrow", {"ledger": {}, "tomorrow": "y"}
    webhook.have(counted(HARD, tomorrow={"x": [1, 2]}, cash=cash, claims=[claim]))
    assert told(await webhook.create(web(3)))["allowed"]
    status = webhook.store.status("team")
    assert (status["tomorrow"], status["cash"]) == ({"x": [1, 2]}, cash)
    assert status["claims"][0] == claim
    assert len(status["claims"]) == 2


async def test_an_update_is_claimed_at_the_version_that_it_replaces(webhook):
    """[A1, A4] used rises by the growth, the claim has the whole demand."""
    assert (await webhook.update(web(3), web(5))).allowed
    (claim,) = webhook.store.claims("team")
    assert (claim.version, str(claim.demand["pods"]), str(claim.raised["pods"])) == (70, "5", "2")
    assert used(webhook) == {"limits.cpu": "2", "limits.memory": "2Gi", "pods": "2"}


async def test_what_does_not_fit_is_forbidden_in_the_words_of_a_resource_quota(webhook):
    """[A2] HTTP 403, reason Forbidden; after it the largest replica count that fits."""
    assert told(await webhook.create(web(12))) == {
        "uid": "u",
        "allowed": False,
        "status": {
            "status": "Failure",
            "code": 403,
            "reason": "Forbidden",
            "message": "exceeded quota: team, requested: limits.cpu=12,pods=12, used: limits.cpu=0,pods=0, "
            "limited: limits.cpu=10,pods=10; the largest replica count that fits is 10",
        },
    }
    assert webhook.store.writes == 0


async def test_requested_is_the_growth(webhook):
    """[A2]."""
    verdict = await webhook.update(web(3), web(14))
    assert verdict.message.startswith("exceeded quota: team, requested: limits.cpu=11,pods=11, ")


async def test_a_workload_of_several_pod_groups_is_told_no_replica_count(webhook):
    """[A2] there is no such number."""
    raw = workload("tf", kind="TFJob", api_version="kubeflow.org/v1")
    group = {"replicas": 6, "template": {"spec": ONE_CORE}}
    raw["spec"] = {"tfReplicaSpecs": {"Worker": group, "PS": group}}
    verdict = await webhook.create(raw)
    assert verdict.message.endswith(
        "requested: limits.cpu=12,pods=12, used: limits.cpu=0,pods=0, limited: limits.cpu=10,pods=10"
    )


async def test_where_not_one_replica_fits_it_says_so(webhook):
    """[A2]."""
    verdict = await webhook.create(web(1, pod_spec(container(limits={"cpu": "11", "memory": "1Gi"}))))
    assert verdict.message.endswith("limited: limits.cpu=10; not even one replica fits")


async def test_a_new_model_label_is_growth_on_the_keys_of_the_model(webhook):
    """[K2] the plain key is charged already."""
    webhook.have(counted({"limits.cpu": "10", "limits.cpu.A4": "2"}, used={"limits.cpu": "3", "limits.cpu.A4": "0"}))
    verdict = await webhook.update(web(3), web(3, cpu_type="A4"))
    assert verdict.message.startswith(
        "exceeded quota: team, requested: limits.cpu.A4=3, used: limits.cpu.A4=0, limited: limits.cpu.A4=2"
    )
    assert (await webhook.update(web(2), web(2, cpu_type="A4"))).allowed
    assert used(webhook) == {"limits.cpu": "3", "limits.cpu.A4": "2"}


async def test_an_empty_model_label_counts_as_none(webhook):
    """[K2]."""
    assert (await webhook.update(web(3), web(3, cpu_type=""))).allowed
    assert webhook.store.asked == 0


async def test_a_job_and_a_rollout_are_workloads_too(webhook):
    """[K1] of every counted kind."""
    job = workload("job", kind="Job", api_version="batch/v1", replicas=None, template=ONE_CORE)
    rollout = workload("ro", kind="Rollout", api_version="argoproj.io/v1alpha1", replicas=2, template=ONE_CORE)
    for raw in (job, rollout):
        assert (await webhook.create(raw)).allowed
    assert [each.object for each in webhook.store.claims("team")] == [
        "jobs.batch/shop/job",
        "rollouts.argoproj.io/shop/ro",
    ]
    assert used(webhook)["pods"] == "3"


async def test_a_grant_that_leaves_little_is_allowed_with_a_warning(webhook):
    response = told(await webhook.create(web(9)))
    assert response["allowed"]
    assert response["warnings"] == [
        "quota team: 90 % of limits.cpu is used (9 of 10)",
        "quota team: 90 % of pods is used (9 of 10)",
    ]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_containers_must_state_what_hard_limits_where_the_demand_grows(webhook, dry_run):
    """[P4]."""
    silent = pod_spec(container("main", limits={"memory": "1Gi"}), container("side", limits={"memory": "1Gi"}))
    words = "failed quota: team: must specify limits.cpu for: main,side"
    for verdict in (
        await webhook.create(web(2, silent), dry_run=dry_run),
        await webhook.update(web(2, silent), web(3, silent), dry_run=dry_run),
    ):
        assert (verdict.code, verdict.message) == (403, words)
    assert (await webhook.update(web(2, silent), web(1, silent))).allowed, "[A5]"
    assert (await webhook.create(web(0, silent))).allowed, "without pods there is nothing to state"


async def test_growth_under_a_spent_budget_is_refused_as_of_this_second(webhook, clock):
    """[A6] carried forward at the recorded rate."""
    cash = {"ledger": {"limits.cpu": str(HOUR_OF_A_CORE - 4000)}, "rate": {"limits.cpu": "2"}}
    webhook.have(counted({"cash/limits.cpu": "1"}, used={"cash/limits.cpu": "998m"}, cash=cash))
    clock.time = NOW + 1
    assert (await webhook.create(web(1))).allowed
    clock.time = NOW + 2
    verdict = await webhook.update(web(1, uid="v"), web(2, uid="v"))
    assert (verdict.code, verdict.message) == (
        403,
        (
            "exceeded quota: team, used: cash/limits.cpu=1, limited: cash/limits.cpu=1"
            "; these hours are used up: what runs goes on, and nothing more starts until the budget is raised"
        ),
    )
    assert (await webhook.update(web(2), web(1))).allowed, "[A5] shrinking"


# --- labels ----------------------------------------------------------------------------------------------------------


async def test_a_workload_that_moves_is_charged_in_full_where_it_goes(webhook):
    """[A1, C7] the line names the old bizrq; nothing is written there."""
    assert (await webhook.update(web(3, bizrq="team"), web(3, bizrq="team-vision"))).allowed
    (claim,) = webhook.store.claims("team-vision")
    assert (claim.version, claim.moved_from) == (70, "team")
    assert used(webhook, "team-vision")["pods"] == "3"
    assert webhook.store.claims("team") == []


async def test_a_move_that_does_not_fit_is_refused_although_nothing_grows(webhook):
    """[A1]."""
    verdict = await webhook.update(web(11, bizrq="team"), web(11, bizrq="team-vision"))
    assert verdict.message.startswith("exceeded quota: team-vision, requested: limits.cpu=11,pods=11")
    assert verdict.message.endswith("; the largest replica count that fits is 10")


async def test_a_label_on_a_workload_that_had_none_is_charged_in_full(webhook):
    """[A1] it comes from nowhere."""
    assert (await webhook.update(web(3, bizrq=None), web(3))).allowed
    (claim,) = webhook.store.claims("team")
    assert (claim.version, claim.moved_from, str(claim.raised["pods"])) == (70, "", "3")


async def test_a_label_that_is_removed_is_never_refused(webhook):
    """[A5] where namespaces do not require one [A11]."""
    assert (await webhook.update(web(3), web(3, bizrq=None))).allowed
    assert (webhook.store.status("team").get("claims"), webhook.store.writes) == (None, 0)


async def test_an_empty_label_is_refused(webhook):
    """[K2]."""
    for verdict in (await webhook.create(web(bizrq="")), await webhook.update(web(), web(bizrq=""))):
        assert (verdict.code, verdict.message) == (403, f"label {LABEL} is empty: name a bizrq, or leave the label out")


async def test_an_empty_label_that_is_there_already_holds_nothing_up(webhook):
    """[A5] a finalizer must be able to go."""
    assert (await webhook.update(web(1, bizrq=""), web(5, bizrq=""))).allowed


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_label_that_names_nobody_is_refused_with_the_nearest_name(webhook, dry_run):
    """[A7]."""
    verdict = await webhook.create(web(bizrq="team-vison"), dry_run=dry_run)
    assert (verdict.code, verdict.reason) == (403, "Forbidden")
    assert verdict.message == (
        f'label {LABEL}: there is no BizGroupResourceQuota "team-vison" (did you mean "team-vision"?); '
        "see: kubectl get bizrq"
    )


async def test_a_label_near_no_name_is_refused_with_where_to_look(webhook):
    """[A7]."""
    assert (await webhook.create(web(bizrq="zzz"))).message.endswith("see: kubectl get bizrq")


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_bizrq_with_no_status_yet_says_try_again(webhook, dry_run):
    """[A7, A13]."""
    webhook.have(bizrq("fresh", hard=HARD))
    assert_again(await webhook.create(web(bizrq="fresh"), dry_run=dry_run))


async def test_a_bizrq_that_is_being_deleted_admits_no_growth(webhook):
    """[T7] what shrinks is none of its business."""
    webhook.have(counted(HARD, name="going", deletion=NOW))
    verdict = await webhook.update(web(1, bizrq="going"), web(2, bizrq="going"))
    assert (verdict.code, verdict.message) == (
        403,
        "going is being deleted and grants nothing any more; name another bizrq",
    )
    assert (await webhook.update(web(2, bizrq="going"), web(1, bizrq="going"))).allowed


# --- creates of one name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_create_of_a_name_that_is_there_already_is_answered_already_exists(webhook, dry_run):
    """[A4] where another create of the name is open: a live read."""
    webhook.have(
        counted(HARD, used={"pods": "1"}, claims=[line("other", 0, {"pods": "1"}, {"pods": "1"})]), web(uid="other")
    )
    verdict = await webhook.create(web(), dry_run=dry_run)
    assert (verdict.code, verdict.reason, verdict.message) == (
        409, "AlreadyExists", 'deployments.apps "web" already exists',
    )  # fmt: skip
    assert webhook.store.writes == 0


async def test_if_the_object_is_not_there_at_most_three_lines_a_name(webhook):
    """[A4] then [A13]."""
    for number in range(3):
        assert (await webhook.create(web(uid=f"u{number}"))).allowed
    assert_again(await webhook.create(web(uid="u3")))
    assert len(webhook.store.claims("team")) == 3
    assert used(webhook)["pods"] == "3"
    assert (await webhook.create(web(uid="u1"))).allowed, "the same request again renews its line"


async def test_without_an_open_create_of_the_name_nothing_is_looked_for(webhook):
    """[A4]."""
    await webhook.create(web(kind="StatefulSet"))
    assert webhook.reads.reads == 0


# --- the same again --------------------------------------------------------------------------------------------------


async def test_a_call_for_the_same_pair_renews_the_line(webhook):
    """[A4] new `since`, always different text, even if no amount changes."""
    await webhook.update(web(1), web(3))
    (before,) = webhook.store.status("team")["claims"]
    await webhook.update(web(1), web(2))
    (after,) = webhook.store.status("team")["claims"]
    assert before != after
    assert parse_claim(before).demand == parse_claim(after).demand
    assert used(webhook)["pods"] == "2"


async def test_a_review_older_than_an_open_claim_is_allowed_and_changes_nothing(webhook):
    """[A4] its write must fail."""
    await webhook.update(web(1, version=80), web(3, version=80))
    writes = webhook.store.writes
    assert (await webhook.update(web(1, version=70), web(99, version=70))).allowed
    assert webhook.store.writes == writes


# --- when nothing can be decided -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_store_that_is_away_says_try_again(webhook, dry_run, monkeypatch):
    """[A13] never with a hang, never with "allowed"."""
    webhook.store.away = True
    monkeypatch.setattr("bizrq.webhook.commit._FAILED_SECONDS", 0.001)
    asked = webhook.create(web(), dry_run=dry_run)
    monkeypatch.setattr("bizrq.webhook.commit._Committer._still_waited_for", _give_up_after(webhook, 3))
    assert_again(await asked)


def _give_up_after(webhook, count):
    """The deadline has come once the store was asked so often: no test waits for it."""

    def still_waited_for(_, batch):
        if webhook.store.asked < count:
            return list(batch)
        for each in batch:
            each.settle(Again("too late"))
        return []

    return still_waited_for


async def test_claims_that_cannot_be_written_say_try_again(webhook):
    """[A13] the fault is ours, and the log says more."""
    webhook.store.write_errors = [Denied("no right")]
    verdict = await webhook.create(web())
    assert_again(verdict)
    assert "no right" not in verdict.message


async def test_a_name_that_cannot_be_looked_for_says_try_again(webhook):
    """[A13, A7] the nearest name is worth no 500."""
    webhook.store.read_errors = [NotFound("team-vison")]

    async def fails():
        raise Unavailable("no API server")

    webhook.reads.bizrq_names = fails
    assert_again(await webhook.create(web(bizrq="team-vison")))


async def test_beyond_1000_open_claims_admission_says_try_again(webhook):
    """[A13] claims full."""
    full = [line(f"v{number}", 7, {"pods": "0"}, {}, object_=f"x/y/{number}") for number in range(1000)]
    webhook.have(counted(HARD, claims=full))
    assert_again(await webhook.create(web()))
