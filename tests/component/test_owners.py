"""[A8] whose children are believed, by the webhook, and what the controller makes of the others."""

import pytest

from bizrq.controller.beyond import beyond_demand, show_beyond
from bizrq.domain.bizrq import LABEL
from tests.support.build import NOW, bizrq, container, pod, pod_spec, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller
from tests.support.policy import REPLICA_SET_CONTROLLER, PolicyWebhook, owned
from tests.support.quotas import counted

FOUR_CORES = pod_spec(container("main", limits={"cpu": "4", "memory": "1Gi"}))
HARD = {"limits.cpu": "10", "pods": "10", "count/pods": "10", "count/replicasets.apps": "10", "cash/limits.cpu": "100"}
DEPLOYMENT_CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"

WEB = ("apps/v1", "Deployment", "web")
RS = ("apps/v1", "ReplicaSet", "web-1")


def web(**fields):
    return workload("web", replicas=0, template=FOUR_CORES, version=70, **fields)


def replica_set(owner=WEB, replicas=1, version=70, **fields):
    raw = workload("web-1", kind="ReplicaSet", replicas=replicas, template=FOUR_CORES, version=version, **fields)
    return owned(raw, *owner) if owner else raw


def a_pod(owner=RS, group="team", cores=4, **fields):
    spec = pod_spec(container("main", limits={"cpu": str(cores), "memory": "1Gi"}))
    raw = pod("web-1-a", spec=spec, labels={LABEL: group}, **fields)
    return owned(raw, *owner) if owner else raw


# --- the webhook -----------------------------------------------------------------------------------------------------


@pytest.fixture
def webhook(clock):
    webhook = PolicyWebhook(clock)
    webhook.have(counted(HARD), counted(HARD, name="other"), web())
    webhook.access.give("alice", "use")
    return webhook


def lines(webhook, name="team"):
    return webhook.store.claims(name)


def used(webhook, name="team"):
    return webhook.store.status(name)["used"]["limits.cpu"]


@pytest.mark.parametrize(
    ("user", "raw"),
    [
        pytest.param(DEPLOYMENT_CONTROLLER, replica_set(), id="of a Deployment"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod(), id="over a ReplicaSet without a label"),
        pytest.param("system:kube-controller-manager", a_pod(WEB), id="by another trusted controller"),
    ],
)
async def test_a_child_of_a_live_counted_owner_by_a_trusted_controller_is_counted_with_that(webhook, user, raw):
    """[A8, A12] without a claim and without a right."""
    webhook.have(replica_set(bizrq=None))
    webhook.user = user
    assert (await webhook.create(raw)).allowed
    assert (lines(webhook), webhook.access.asked) == ([], [])


@pytest.mark.parametrize(
    ("user", "raw"),
    [
        pytest.param("alice", a_pod(WEB), id="by somebody else"),
        pytest.param("system:serviceaccount:shop:deployment-controller", a_pod(WEB), id="by one of another namespace"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod((*WEB, "another")), id="of another UID"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod(("apps/v1", "Deployment", "gone")), id="of what is not there"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod(("apps/v1", "Deployment", "bare")), id="of what is not counted"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod(WEB, group="other"), id="under another bizrq than its owner"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod(("apps/v1", "ReplicaSet", "web-2")), id="over what nobody owns"),
        pytest.param(REPLICA_SET_CONTROLLER, a_pod(("apps/v1", "ReplicaSet", "web-3")), id="over a ReplicaSet twice"),
    ],
)
async def test_any_other_child_is_a_workload_of_its_own(webhook, user, raw):
    """[A8] with a claim that says so; it needs the right to use the bizrq that it names [A12]."""
    webhook.have(
        workload("bare", bizrq=None),
        workload("web-2", kind="ReplicaSet", bizrq=None),
        owned(workload("web-3", kind="ReplicaSet", bizrq=None), "apps/v1", "ReplicaSet", "web-1"),
        replica_set(bizrq=None),
    )
    webhook.user = user
    group = raw["metadata"]["labels"][LABEL]
    webhook.access.give(user, "use", group, "shop")
    assert (await webhook.create(raw)).allowed
    assert [(each.user, each.verb, each.name) for each in webhook.access.asked] == [(user, "use", group)]
    (line,) = lines(webhook, group)
    assert (line.own, line.object, str(line.demand["limits.cpu"])) == (True, "pods/shop/web-1-a", "4")
    assert used(webhook, group) == "4"


async def test_a_controller_without_the_right_is_told_where_the_label_belongs(webhook):
    """[A8, A12]"""
    webhook.have(workload("web", bizrq=None))
    webhook.user = DEPLOYMENT_CONTROLLER
    assert (await webhook.create(replica_set())).message.endswith(
        '; its owner, Deployment web, is not counted for "team": the label belongs on the object that you deploy, and '
        "not on its template alone"
    )


@pytest.mark.parametrize("kind", ["DaemonSet", "ConfigMap"])
async def test_a_child_of_a_kind_that_is_never_counted_needs_no_mark(webhook, kind):
    """[A8] The controller believes it to be nobody's child in any case."""
    assert (await webhook.create(a_pod(("apps/v1", kind, "agent")))).allowed
    assert [line.own for line in lines(webhook)] == [False]


RAY_JOB = ("ray.io/v1", "RayJob", "train")
RAY_CLUSTER = ("ray.io/v1", "RayCluster", "ray")
KUBERAY = "system:serviceaccount:ray:kuberay"


def of_ray(kind, name, group, owner=None):
    raw = workload(name, kind=kind, api_version="ray.io/v1", bizrq=group)
    head = {"headGroupSpec": {"template": {"spec": FOUR_CORES}}}
    raw["spec"] = {"rayClusterSpec": head} if kind == "RayJob" else head
    return owned(raw, *owner) if owner else raw


def ray_cluster(group="team"):
    return of_ray("RayCluster", "ray", group, RAY_JOB)


@pytest.mark.parametrize(
    ("user", "raw", "own"),
    [
        pytest.param(KUBERAY, ray_cluster(), [], id="a RayCluster with its RayJob's label"),
        pytest.param(KUBERAY, a_pod(RAY_CLUSTER), [], id="a pod over a RayCluster without a label"),
        pytest.param("alice", ray_cluster(), [True], id="a RayCluster by somebody else"),
        pytest.param(KUBERAY, a_pod(("batch/v1", "Job", "by-hand")), [True],
                     id="a pod over what stands between in other kinds only"),
        pytest.param(KUBERAY, a_pod(("v1", "Pod", "bare")), [True], id="of a pod, which stands for nothing but itself"),
    ],
)  # fmt: skip
async def test_a_child_that_is_of_a_counted_kind_itself_is_counted_once(clock, user, raw, own):
    """[A8] with its owner, over what the description of the owner's kind names."""
    webhook = PolicyWebhook(clock, trusted={KUBERAY})
    by_hand = workload("by-hand", kind="Job", api_version="batch/v1", replicas=None, bizrq=None)
    webhook.have(
        counted(HARD),
        web(),
        of_ray("RayJob", "train", "team"),
        ray_cluster(None),
        owned(by_hand, *WEB),
        pod("bare", spec=ONE_CORE, labels={LABEL: "team"}),
    )
    for each in ("alice", KUBERAY):
        webhook.access.give(each, "use")
    webhook.user = user
    assert (await webhook.create(raw)).allowed
    assert [line.own for line in lines(webhook)] == own


@pytest.mark.parametrize(("widget", "own"), [("team", []), (None, [True])], ids=["counted", "not counted"])
async def test_what_stands_between_need_not_be_of_a_counted_kind(clock, widget, own):
    """[A8] It is of the kind that the description of the owner's names."""
    webhook = PolicyWebhook(clock, trusted={KUBERAY})
    webhook.have(counted(HARD), workload("w", kind="Widget", api_version="example.com/v1", bizrq=widget))
    part = workload("part", kind="Part", api_version="example.com/v1", bizrq=None)
    webhook.reads.workloads["parts.example.com", "shop", "part"] = owned(part, "example.com/v1", "Widget", "w")
    webhook.access.give(KUBERAY, "use")
    webhook.user = KUBERAY
    assert (await webhook.create(a_pod(("example.com/v1", "Part", "part")))).allowed
    assert [line.own for line in lines(webhook)] == own


CRON_JOB_CONTROLLER = "system:serviceaccount:kube-system:cronjob-controller"
NIGHTLY = ("batch/v1", "CronJob", "nightly")


def cron_job(children="team"):
    raw = workload("nightly", kind="CronJob", api_version="batch/v1", replicas=None, bizrq=None)
    labels = {LABEL: children} if children else {}
    return {**raw, "spec": {"jobTemplate": {"metadata": {"labels": labels}}}}


def run(owner=NIGHTLY):
    return owned(workload("run", kind="Job", api_version="batch/v1", replicas=None, template=FOUR_CORES), *owner)


async def test_a_job_of_a_cron_job_is_counted_whoever_made_it(webhook):
    """[A8, A12] Its right was asked for on the CronJob."""
    webhook.have(cron_job())
    webhook.user = CRON_JOB_CONTROLLER
    assert (await webhook.create(run())).allowed
    assert ([line.own for line in lines(webhook)], webhook.access.asked) == ([False], [])


@pytest.mark.parametrize(
    ("there", "owner"),
    [
        pytest.param([], NIGHTLY, id="of what is gone"),
        pytest.param([cron_job()], (*NIGHTLY, "another"), id="of another UID"),
        pytest.param([cron_job("other")], NIGHTLY, id="whose children are for another bizrq"),
        pytest.param([cron_job(None)], NIGHTLY, id="whose children have no label"),
    ],
)
async def test_a_label_that_the_owner_does_not_give_needs_the_right(webhook, there, owner):
    """[A12] A TrainJob's controller takes labels from its TrainingRuntime, too, and of that nobody was asked."""
    webhook.have(*there)
    webhook.user = CRON_JOB_CONTROLLER
    verdict = await webhook.create(run(owner))
    assert not verdict.allowed
    assert f'{CRON_JOB_CONTROLLER} may not use "team"' in verdict.message
    assert lines(webhook) == []


async def test_one_that_is_too_large_is_refused_whole(webhook):
    """[A2, A8]"""
    verdict = await webhook.create(a_pod(WEB, cores=100))
    assert verdict.message.startswith("exceeded quota: team, requested: limits.cpu=100, used: limits.cpu=0")
    assert "replica" not in verdict.message, "a pod cannot be had smaller"
    assert lines(webhook) == []


async def test_where_the_owner_cannot_be_read_nothing_is_decided(webhook):
    """[A8, A13]"""
    webhook.user = REPLICA_SET_CONTROLLER
    webhook.store.away = True
    verdict = await webhook.create(a_pod(WEB))
    assert (verdict.allowed, verdict.retry_after > 0) == (False, True)


async def test_what_grows_nothing_asks_nobody_whose_child_it_is(webhook):
    """[A5, A8]"""
    webhook.store.away = True
    for old, new in ((replica_set(), replica_set(replicas=0)), (a_pod(), a_pod(cores=3))):
        assert (await webhook.update(old, new)).allowed


@pytest.mark.parametrize(
    ("user", "marked", "claimed", "raised"),
    [
        pytest.param("alice", False, "12", "12", id="a believed one, by somebody else: in full"),
        pytest.param("alice", True, "12", "4", id="one of its own"),
        pytest.param(DEPLOYMENT_CONTROLLER, True, "12", "4", id="one of its own, by a trusted controller"),
        pytest.param(DEPLOYMENT_CONTROLLER, False, None, None, id="a believed one, by a trusted controller"),
    ],
)
async def test_growth_of_a_child(webhook, user, marked, claimed, raised):
    """[A8] The mark survives, and what is believed becomes a workload of its own in the hands of somebody else."""
    hard = {**HARD, "limits.cpu": "20"}
    claims = ["1 uid-web-1 60 replicasets.apps/shop/web-1 2026-01-05T09:59:58.214Z  own"] if marked else []
    webhook.have(counted(hard, claims=claims))
    webhook.user = user
    assert (await webhook.update(replica_set(replicas=2), replica_set(replicas=3))).allowed
    if claimed is None:
        assert lines(webhook) == []
        return
    (line,) = lines(webhook)
    assert (line.own, line.version, str(line.demand["limits.cpu"]), str(line.raised["limits.cpu"])) == (
        True, 70, claimed, raised,
    )  # fmt: skip


async def test_a_child_that_is_scaled_by_somebody_else_is_a_workload_of_its_own(webhook):
    """[A8, A9]"""
    webhook.have(replica_set(replicas=1))
    assert (await webhook.scale(replica_set(replicas=1), 1, 2)).allowed
    (line,) = lines(webhook)
    assert (line.own, str(line.demand["limits.cpu"]), used(webhook)) == (True, "8", "8")


@pytest.mark.parametrize("user", ["alice", DEPLOYMENT_CONTROLLER])
async def test_an_owner_that_comes_later_is_asked_about(webhook, user):
    """[A8] By somebody else it is claimed as growth is, and raises nothing; adoption by a controller is believed."""
    webhook.user = user
    assert (await webhook.update(replica_set(owner=None), replica_set())).allowed
    assert [(line.own, str(line.raised["limits.cpu"])) for line in lines(webhook)] == (
        [(True, "0")] if user == "alice" else []
    )


@pytest.mark.parametrize(
    ("cores", "fields", "own"),
    [
        pytest.param(4, {}, [], id="as large as those that its owner makes"),
        pytest.param(3, {}, [], id="smaller"),
        pytest.param(5, {}, [True], id="larger"),
        pytest.param(4, {"overhead": {"cpu": "1"}}, [], id="with the overhead of a RuntimeClass"),
        pytest.param(4, {"containers": []}, [], id="of nothing"),
    ],
)
@pytest.mark.parametrize("label", ["team", None], ids=["of a counted owner", "over what stands between"])
async def test_an_adopted_pod_is_counted_with_its_owner_if_it_is_like_those_that_this_makes(
    webhook, cores, fields, own, label
):
    """[A8] Somebody else made it: a controller of tiny pods with its labels may adopt one of any size."""
    webhook.have(replica_set(bizrq=label))
    webhook.user = REPLICA_SET_CONTROLLER
    old, new = a_pod(None, cores=cores, version=70), a_pod(cores=cores)
    for raw in (old, new):
        raw["spec"] = {**raw["spec"], **fields}
    assert (await webhook.update(old, new)).allowed
    assert [line.own for line in lines(webhook)] == own
    assert webhook.access.asked == []


async def test_an_owner_that_goes_is_never_held_up(webhook):
    """[A5, A8]"""
    webhook.store.away = True
    assert (await webhook.update(replica_set(), replica_set(owner=None))).allowed


@pytest.mark.parametrize("sub", ["resize", ""])
async def test_a_bare_pod_grows_by_a_resize(webhook, sub):
    """[A8, A15]"""
    at = {"group": "", "version": "v1", "resource": "pods"}
    old, new = a_pod(None, version=70), a_pod(None, cores=6, version=70)
    request = {"operation": "UPDATE", "resource": at, "object": new, "oldObject": old, "name": "web-1-a"}
    assert (await webhook.ask("workloads", subResource=sub, **request)).allowed
    (line,) = lines(webhook)
    assert (line.own, str(line.demand["limits.cpu"]), str(line.raised["limits.cpu"])) == (False, "6", "2")


# --- the controller --------------------------------------------------------------------------------------------------


@pytest.fixture
def store():
    store = CasStore()
    for name in ("team", "other"):
        store.put(bizrq(name, hard=HARD, created=NOW - 3600))
    return store


@pytest.fixture
def controller(store, clock):
    controller = Controller(store, clock)
    controller.start([], 1)
    controller.see("team", "other")
    return controller


def give_claim(store, raw, object_, name="team"):
    """What the webhook leaves behind."""
    line = (
        f"1 {raw['metadata']['uid']} 0 {object_} 2026-01-05T09:59:58.214Z "
        "count/pods=1:1,limits.cpu=4:4,limits.memory=1Gi:1Gi,pods=1:1 own"
    )
    known = store.raw(name)
    store.put({**known, "status": {**known["status"], "claims": [*known["status"].get("claims", []), line]}})


async def figures(controller, name="team"):
    used = (await controller.write(name))["used"]
    return used["limits.cpu"], used["pods"], used["count/pods"]


def running(raw, version=80):
    return pod("web-1-a", spec=raw["spec"], phase="Running", node="n", scheduled=NOW - 100, version=version,
               labels=raw["metadata"]["labels"])  # fmt: skip


async def test_a_pod_of_its_own_is_marked_and_counted_until_it_is_gone(controller, store, clock):
    """[A8] over a restart, with no more than its mark; what it demands is counted once."""
    await controller.write("team")
    controller.workload(web())
    raw = owned(running(a_pod()), *WEB)
    give_claim(store, raw, "pods/shop/web-1-a")
    controller.see("team")
    for see in (controller.workload, controller.pod):
        see(raw)
    assert await figures(controller) == ("4", "1", "1")
    assert store.status("team")["claims"] == [
        "1 uid-web-1-a 0 pods/shop/web-1-a 2026-01-05T09:59:58.214Z  own",
    ]
    again = Controller(store, clock)
    again.start([raw], 90, workloads=[web(), raw])
    again.see("team", "other")
    again.reads.workloads["deployments.apps", "shop", "web"] = web()
    again.reads.workloads["pods", "shop", "web-1-a"] = raw
    assert await figures(again) == ("4", "1", "1")
    del again.reads.workloads["pods", "shop", "web-1-a"]
    again.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": "95"}})
    again.workload_deleted(raw, 95)
    assert await figures(again) == ("0", "0", "0")
    assert not store.status("team").get("claims")


async def test_a_mark_in_view_is_looked_for_by_nobody(controller, store, clock):
    """[A8] A thousand of them cost no live read."""
    await controller.write("team")
    raw = owned(running(a_pod()), *WEB)
    give_claim(store, raw, "pods/shop/web-1-a")
    controller.see("team")
    for see in (controller.workload, controller.pod):
        see(raw)
    await controller.write("team")
    before = controller.reads.reads
    clock.waited += 600
    await controller.write("team")
    assert controller.reads.reads == before
    assert len(store.status("team")["claims"]) == 1


@pytest.mark.parametrize("order", ["pod, claim, workload", "pod, workload, claim", "workload, claim, pod"])
async def test_the_hours_of_a_pod_of_its_own_are_those_of_the_bizrq_it_names(controller, store, order):
    """[A8, C7] and not its owner's, whichever watch is first."""
    for name in ("team", "other"):
        await controller.write(name)
    controller.workload(web())
    raw = owned(running(a_pod(group="other")), *WEB)

    def claim(raw):
        give_claim(store, raw, "pods/shop/web-1-a", "other")
        controller.see("other")

    see = {"pod": controller.pod, "workload": controller.workload, "claim": claim}
    for each in order.split(", "):
        see[each](raw)
    assert {name: len(list(controller.inventory.pods.of(name))) for name in ("team", "other")} == {
        "team": 0,
        "other": 1,
    }
    assert (await controller.write("other"))["cash"]["rate"]["limits.cpu"] == "4"
    assert (await controller.write("team"))["cash"]["rate"].get("limits.cpu", "0") == "0"


async def test_a_pod_whose_owner_is_gone_keeps_the_home_it_has(controller):
    """[A8, C7] with the models that its owner named; it is counted by itself."""
    await controller.write("team")
    controller.workload(web(cpu_type="A4"))
    raw = owned(running(a_pod()), *WEB)
    for see in (controller.pod, controller.workload):
        see(raw)
    controller.workload_deleted(web(), 90)
    (seen,) = controller.inventory.pods.of("team")
    assert (seen.alone, seen.home.models.cpu) == (True, "A4")
    assert await figures(controller) == ("4", "1", "1")


async def test_a_bare_pod_that_is_gone_before_its_workload_is_known_is_charged(controller, store):
    """[A8, C2] It waits for that, as others wait for their owner."""
    await controller.write("team")
    raw = running(a_pod())
    controller.pod(raw)
    controller.clock.time = NOW + 50
    controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": "81"}})
    controller.workload(raw)
    status = await controller.write("team")
    assert int(status["cash"]["ledger"]["limits.cpu"]) > 0


async def test_a_bare_pod_that_loses_its_label_stays_charged_while_it_runs(controller, store):
    """[A8, P5]"""
    raw = running(a_pod())
    for see in (controller.workload, controller.pod):
        see(raw)
    assert await figures(controller) == ("4", "1", "1")
    controller.workload_deleted(raw, 85)
    assert await figures(controller) == ("4", "1", "0")
    (line,) = store.status("team")["leftovers"]
    assert line.startswith("1 uid-web-1-a pods/shop/web-1-a uid-web-1-a // ")
    controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": "95"}})
    assert await figures(controller) == ("0", "0", "0")


async def test_pods_of_an_orphaned_replica_set_are_charged_once(controller, store):
    """[A8, P5] A labelled ReplicaSet that its Deployment leaves behind is a workload, and no leftover of it."""
    known = {**web(), "spec": {**web()["spec"], "replicas": 1}, "status": {"observedGeneration": 1}}
    controller.workload(known)
    rs = replica_set(status={"observedGeneration": 1})
    controller.replica_set(rs)
    controller.workload(rs)
    controller.pod(owned(running(a_pod()), *RS))
    assert await figures(controller) == ("4", "1", "0")
    controller.workload_deleted(known, 90)
    controller.workload(replica_set(owner=None, version=91, status={"observedGeneration": 1}))
    assert await figures(controller) == ("4", "1", "0")
    assert not store.status("team").get("leftovers")
    assert store.status("team")["used"]["count/replicasets.apps"] == "1"


async def test_an_adopted_replica_set_stays_charged_while_its_pods_are_there(controller, store):
    """[A8, P5] A Deployment that adopts it scales it down; until its pods are gone they are charged."""
    rs = replica_set(owner=None, status={"observedGeneration": 1})
    controller.workload(web())
    controller.workload(rs)
    raw = owned(running(a_pod()), *RS)
    controller.pod(raw)
    assert await figures(controller) == ("4", "1", "0")
    adopted = replica_set(version=90, status={"observedGeneration": 1})
    controller.replica_set(adopted)
    controller.workload(adopted)
    assert await figures(controller) == ("4", "1", "0")
    controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": "95"}})
    assert await figures(controller) == ("0", "0", "0")


# --- pods beyond what their owner can have ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "surge", "pods", "count"),
    [
        pytest.param(3, None, 3, 0, id="its demand"),
        pytest.param(3, None, 6, 0, id="as many again in a rollout"),
        pytest.param(3, None, 7, 1, id="one more"),
        pytest.param(1, 3, 4, 0, id="a maxSurge that is larger"),
        pytest.param(1, 3, 5, 1, id="and one more"),
        pytest.param(0, 3, 2, 2, id="of one without replicas"),
    ],
)
async def test_pods_beyond_demand_and_surge_are_counted(controller, replicas, surge, pods, count):
    """[A8]"""
    raw = workload("web", replicas=replicas, template=ONE_CORE, status={"observedGeneration": 1}, generation=1)
    raw["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": surge}}
    controller.workload(raw)
    for number in range(pods):
        controller.pod(owned(pod(f"p-{number}", spec=ONE_CORE, phase="Running"), *WEB))
    # Those that make room for others are none of them.
    controller.pod(owned(pod("ends", spec=ONE_CORE, phase="Running", deletion=NOW, grace=60), *WEB))
    controller.pod(owned(pod("ended", spec=ONE_CORE, phase="Failed"), *WEB))
    team = controller.inventory.bizrqs.get("team")
    assert beyond_demand(team, controller.inventory) == count
    await show_beyond(controller.inventory, controller.metrics)
    controller.show()
    shown = controller.metrics.registry.get_sample_value("bizrq_pods_beyond_demand", {"bizrq": "team"})
    assert shown == count


async def test_while_a_controller_has_yet_to_act_nothing_is_beyond(controller):
    """[A8]"""
    raw = workload("web", replicas=0, template=ONE_CORE, status={"observedGeneration": 1}, generation=2)
    controller.workload(raw)
    controller.pod(owned(pod("p", spec=ONE_CORE, phase="Running"), *WEB))
    assert beyond_demand(controller.inventory.bizrqs.get("team"), controller.inventory) == 0
