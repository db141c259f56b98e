"""What becomes of an object that the description of its kind does not fit? [A14]"""

import copy

import pytest

from bizrq.domain.pod_template import FieldProblem
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in
from tests.support.build import bizrq, container, pod_spec, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller, job, job_pod, team
from tests.support.quotas import counted
from tests.support.webhook import Webhook

CORE = pod_spec(container(limits={"cpu": "1"}))
HARD = {"limits.cpu": "10", "pods": "10"}
KINDS = {kind.kind: kind for kind in built_in()}
WHY = "how many pods it asks for cannot be told"


def tfjob(workers, **fields):
    """A custom resource, of which the API server may check nothing."""
    raw = workload("tf", kind="TFJob", api_version="kubeflow.org/v1", replicas=None, **fields)
    raw["spec"] = {"tfReplicaSpecs": {"Worker": {"replicas": workers, "template": {"spec": CORE}}}}
    return raw


@pytest.fixture
def webhook(clock):
    made = Webhook(clock)
    made.have(counted(HARD))
    return made


# --- the webhook ---


@pytest.mark.parametrize("workers", ["3", 1.5, None, [], 2**31])
async def test_it_is_not_made_and_nothing_is_claimed(webhook, workers):
    """[A14] never a crash, never an allow."""
    verdict = await webhook.create(tfjob(workers))
    assert (verdict.allowed, verdict.code) == (False, 422)
    assert verdict.message.startswith(f"tfjobs.kubeflow.org/shop/tf: {WHY}, so it may not be made or changed: ")
    assert (
        "podGroups[0].replicas of spec.tfReplicaSpecs.Worker.template: item.?replicas.orValue(1): " in verdict.message
    )
    assert not webhook.store.status("team").get("claims")


async def test_it_is_not_changed_from_what_can_be_counted(webhook):
    old = tfjob(3, version=70)
    assert WHY in (await webhook.update(old, tfjob("4"))).message


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda raw: raw["spec"]["tfReplicaSpecs"].update(PS={"template": {"spec": CORE}}), id="a group"),
        pytest.param(lambda raw: raw["spec"]["tfReplicaSpecs"]["Worker"].update(template={"spec": {}}), id="less"),
        pytest.param(lambda raw: raw["metadata"]["labels"].update({"biz.group.resource.quota/gpu-type": "A30"}),
                     id="a model"),
    ],
)  # fmt: skip
async def test_what_is_stored_already_may_not_become_something_else(webhook, part):
    """Nobody can tell whether it grows."""
    old = tfjob("3", version=70)
    new = copy.deepcopy(old)
    part(new)
    assert WHY in (await webhook.update(old, new)).message


async def test_what_is_stored_already_is_let_alone(webhook):
    """[A5] a finalizer, an annotation, a status."""
    old = tfjob("3", version=70)
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = []
    new["status"] = {"conditions": []}
    assert (await webhook.update(old, new)).allowed
    assert (await webhook.delete(old)).allowed


async def test_a_correction_is_growth_of_all_that_it_asks_for(webhook):
    """[A1]"""
    assert (await webhook.update(tfjob("3", version=70), tfjob(3))).allowed
    assert webhook.store.status("team")["used"]["limits.cpu"] == "3"
    assert "exceeded quota" in (await webhook.update(tfjob("9", version=71), tfjob(12))).message


async def test_a_scale_of_what_cannot_be_counted_is_refused(webhook):
    """[A9]"""
    raw = workload("ro", kind="Rollout", api_version="argoproj.io/v1alpha1", replicas=1, version=70)
    raw["spec"] = {"workloadRef": {"apiVersion": "v1", "kind": "PodTemplate", "name": "web"}}
    webhook.have(raw)
    assert "must refer to a Deployment of apps" in (await webhook.scale(raw, 1, 2)).message


async def test_a_bizrq_of_what_cannot_be_counted_is_not_deleted(webhook):
    """[T4]"""
    webhook.have(tfjob("3", version=70))
    verdict = await webhook.delete(webhook.store.raw("team"))
    assert "workloads still demand something under team: tfjobs.kubeflow.org/shop/tf" in verdict.message


# --- kinds whose children are counted ---


def cron_job(*, own="team", children="team", **fields):
    raw = workload("nightly", kind="CronJob", api_version="batch/v1", bizrq=own, replicas=None, **fields)
    labels = {} if children is None else {"biz.group.resource.quota": children}
    raw["spec"] = {"schedule": "0 3 * * *", "jobTemplate": {"metadata": {"labels": labels}, "spec": {"template": CORE}}}
    return raw


async def test_a_labelled_cron_job_whose_jobs_get_no_label_is_refused_with_the_line_to_add(webhook):
    """[A8] whoever labels it believes that it is counted."""
    verdict = await webhook.create(cron_job(children=None))
    assert verdict.code == 403
    assert verdict.message == (
        "cronjobs.batch/shop/nightly: what it makes is counted, not the object itself, and would get no label; "
        "add to spec.jobTemplate.metadata.labels: biz.group.resource.quota: team"
    )
    assert not (await webhook.update(cron_job(version=70), cron_job(children=None))).allowed


async def test_a_labelled_cron_job_asks_for_no_pods(webhook):
    """[A8, K1]"""
    webhook.have(counted({**HARD, "count/cronjobs.batch": "1"}))
    assert (await webhook.create(cron_job())).allowed
    used = webhook.store.status("team")["used"]
    assert (used["count/cronjobs.batch"], used["pods"]) == ("1", "0")


async def test_a_cron_job_that_was_there_before_may_change(webhook):
    """[A5]"""
    old = cron_job(children=None, version=70)
    new = copy.deepcopy(old)
    new["spec"]["schedule"] = "0 4 * * *"
    assert (await webhook.update(old, new)).allowed


@pytest.mark.parametrize("route", ["workloads", "required"])
async def test_many_broken_amounts_are_each_looked_for_once(webhook, monkeypatch, route):
    """[A5, A14] 20,000 of them, which a stored custom resource may have, must not take half a minute to compare."""
    looks, equal = [], FieldProblem.__eq__

    def counted_equal(self, other):
        looks.append(self)
        return equal(self, other)

    monkeypatch.setattr(FieldProblem, "__eq__", counted_equal)
    old = tfjob(1, version=70, bizrq="team" if route == "workloads" else None)
    limits = {f"example.com/r{index}": "x" for index in range(500)}
    old["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"] = pod_spec(container(limits=limits))
    new = copy.deepcopy(old)
    new["spec"]["runPolicy"] = {"cleanPodPolicy": "All"}
    at = {"group": "kubeflow.org", "version": "v1", "resource": "tfjobs"}
    request = {"operation": "UPDATE", "resource": at, "object": new, "oldObject": old, "name": "tf"}
    assert (await webhook.ask(route, **request)).allowed
    assert len(looks) <= 4 * len(limits)


# --- the controller ---


@pytest.fixture
def controller(clock):
    made = Controller(CasStore(), clock)
    made.store.put(team())
    made.see("team")
    return made


def take(controller, raw):
    controller.inventory.put_workload(read_workload(raw, KINDS[raw["kind"]], DEFAULT_GPU_RESOURCES))


async def test_its_charge_stays_as_it_was(controller):
    """[A14, P5] also where its groups become fewer, and until it can be counted again."""
    controller.start([], 50)
    take(controller, tfjob(3, version=60))
    assert (await controller.write("team"))["used"]["limits.cpu"] == "3"
    for version, workers in ((61, "1"), (62, None)):
        take(controller, tfjob(workers, version=version))
        assert (await controller.write("team"))["used"]["limits.cpu"] == "3"
        assert controller.inventory.workloads.uncounted == 1
    take(controller, tfjob(2, version=63))
    assert (await controller.write("team"))["used"]["limits.cpu"] == "2"
    assert controller.inventory.workloads.uncounted == 0


async def test_its_claims_stay_open(controller):
    """[A4] a version that cannot be counted does not say what became of a claim."""
    take(controller, tfjob("3", version=60))
    assert controller.inventory.workloads.seen("uid-tf") < 60
    take(controller, tfjob(3, version=61))
    assert controller.inventory.workloads.seen("uid-tf") == 61


async def test_one_that_was_never_counted_is_charged_with_what_can_be(controller, caplog):
    """After a restart: 1 on its own key, and the groups that can be told. It is told in the log, once a version."""
    raw = tfjob("3", version=60)
    raw["spec"]["tfReplicaSpecs"]["PS"] = {"template": {"spec": CORE}}
    controller.start([], 50)
    take(controller, raw)
    take(controller, raw)
    assert (await controller.write("team"))["used"]["limits.cpu"] == "1"
    (told,) = caplog.records
    assert told.message == (
        "tfjobs.kubeflow.org/shop/tf: cannot be counted, its charge stays as it was: podGroups[0].replicas of "
        "spec.tfReplicaSpecs.Worker.template: item.?replicas.orValue(1): must be a whole number of pods, not '3'"
    )


async def test_a_list_that_has_it_does_not_take_it_for_gone(controller):
    """[R2]"""
    take(controller, tfjob(3, version=60))
    kind = KINDS["TFJob"]
    listed = [read_workload(tfjob("3", version=70), kind, DEFAULT_GPU_RESOURCES)]
    assert controller.inventory.workloads_listed(kind, listed, 80) == {}
    assert controller.inventory.workloads.get("uid-tf") is not None


async def test_one_that_goes_is_forgotten(controller):
    take(controller, tfjob("3", version=60))
    controller.inventory.remove_workload("uid-tf", 61)
    assert controller.inventory.workloads.uncounted == 0


# --- whose pods are its own ---


async def test_pods_of_the_jobs_of_a_job_set_are_its_own(controller):
    """[C7, P5] over what stands between, in whatever order they come."""
    controller.pods_listed([job_pod("p", of="pair-0", version=40)], 50)
    raw = workload("pair", kind="JobSet", api_version="jobset.x-k8s.io/v1alpha2", replicas=None, version=60)
    raw["spec"] = {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": {"spec": ONE_CORE}}}}]}
    take(controller, raw)
    assert not [*controller.inventory.pods.of("team")]
    between = job("pair-0", bizrq=None)
    owner = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "pair", "uid": "uid-pair"}
    between["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    controller.replica_set(between)
    assert [pod.uid for pod in controller.inventory.pods.of("team")] == ["uid-p"]


async def test_pods_of_a_labelled_job_are_its_own_also_below_something_that_is_not_labelled(controller):
    """[C7] as those of a CronJob."""
    take(controller, job("nightly-1", version=60))
    between = job("nightly-1")
    between["metadata"]["ownerReferences"] = [
        {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "uid-nightly", "controller": True}
    ]
    controller.replica_set(between)
    controller.pods_listed([job_pod("p", of="nightly-1", version=40)], 50)
    assert [pod.uid for pod in controller.inventory.pods.of("team")] == ["uid-p"]


async def test_an_object_whose_children_count_has_no_pods_of_its_own(controller):
    """[A8, C7] whatever bizrq it names itself: they wait for their Job."""
    controller.store.put(bizrq("other", hard={"limits.cpu": "1"}))
    controller.see("other")
    take(controller, cron_job(own="other", version=55))
    between = job("nightly-1")
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "uid-nightly"}
    between["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    controller.replica_set(between)
    controller.pods_listed([job_pod("p", of="nightly-1", version=40)], 50)
    assert not [*controller.inventory.pods.of("other")]
    take(controller, job("nightly-1", version=60))
    assert [pod.uid for pod in controller.inventory.pods.of("team")] == ["uid-p"]
