"""Does a full quota let an Argo Rollout change its image, and nothing more? With the project's own controller."""

import asyncio
import json

import pytest

from bizrq.domain.bizrq import LABEL, PLURAL
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS
from testbed.errors import KubectlFailed
from tests.support.guarded import HELD, WITHIN, Guarded, guarded, pod_spec
from tests.support.instants import CPU
from tests.support.kube import wait_until
from tests.support.load import History
from tests.support.recorder import Recorder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420), pytest.mark.parts("rollouts")]

ARGO = "system:serviceaccount:argo-rollouts:argo-rollouts"
COUNT = "count/rollouts.argoproj.io"
FULL = {CPU: "4", "pods": "4", COUNT: "1"}


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    trusted = "--trusted-controllers=" + ",".join([*DEFAULT_TRUSTED_CONTROLLERS, ARGO])
    with Guarded.started(tmp_path_factory.mktemp("rollouts"), ["rollouts"], [trusted]) as started:
        yield started


@pytest.fixture
def space(bed):
    with bed.space() as name:
        yield name


@pytest.fixture
def team(bed):
    """Room for four pods of one core, which is what the Rollout here asks for."""
    return bed.team({CPU: "4", "pods": "4", COUNT: "1", "count/replicasets.apps": "4", "count/pods": "4",
                     "cash/limits.cpu": "1000"})  # fmt: skip


def rollout(space, team, *, replicas=4, labels=None, **spec):
    """Four pods of one core; a canary of one pod that waits until somebody promotes it."""
    steps = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 75}]
    template = {"metadata": {"labels": {"app": "web", **(labels or {})}, "annotations": HELD},
                "spec": pod_spec({"cpu": "1"})}  # fmt: skip
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": steps}},
        "template": template,
        **spec,
    }
    metadata = {"name": "web", "namespace": space}
    return guarded({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata, "spec": spec}, team)


def change_image(bed, space, image="another"):
    patch = json.dumps([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}])
    bed.kubectl("patch", "rollout", "web", "--type=json", f"--patch={patch}", f"--namespace={space}")


def promote(bed, space):
    """As ``kubectl argo rollouts promote``."""
    bed.kubectl("patch", "rollout", "web", f"--namespace={space}", "--subresource=status", "--type=merge",
                '--patch={"status":{"pauseConditions":null}}')  # fmt: skip


def until_phase(bed, space, phase):
    """Wait until its controller says this of the newest spec; its status."""

    def is_so():
        raw = bed.get("rollout", "web", f"--namespace={space}")
        status = raw.get("status", {})
        seen = status.get("observedGeneration") == str(raw["metadata"]["generation"])
        return status if seen and status.get("phase") == phase else None

    return wait_until(is_so, f"it is {phase}", WITHIN)


def of_image(pods, image):
    return [each for each in pods if each["spec"]["containers"][0]["image"] == image]


def delete(bed, team, space):
    """Delete it, and let all its pods go."""
    bed.kubectl("delete", "rollout", "web", f"--namespace={space}")

    def gone():
        for each in bed.pods(space, "Running"):
            if "deletionTimestamp" in each["metadata"]:
                bed.let_go(each)
        return not bed.pods(space)

    wait_until(gone, "all its pods are gone", WITHIN)
    team.until(dict.fromkeys(FULL, "0"))


def test_at_a_full_quota_a_canary_changes_its_image_and_completes_and_used_never_moves(bed, team, space):
    """[A5, P5, C1] and cash is that of the pods of both ReplicaSets, to the second."""
    with Recorder(bed.api) as recorder:
        uid = bed.create(rollout(space, team))["metadata"]["uid"]
        assert team.used(*FULL) == FULL, "claimed before the answer [A3]"
        bed.until_running(space, 4)
        until_phase(bed, space, "Healthy")
        team.until_settled()

        def canary():
            change_image(bed, space)
            until_phase(bed, space, "Paused")
            paused = bed.until_running(space, 5)
            assert len(of_image(paused, "another")) == 1
            team.stays(FULL)
            promote(bed, space)
            until_phase(bed, space, "Healthy")
            after = bed.until_running(space, 8)
            assert len(of_image(after, "another")) == 4, "the four pods before it are held in their termination"
            team.stays(FULL)
            for each in of_image(after, "none"):
                bed.let_go(each)
            bed.until_running(space, 4)
            team.stays(FULL)

        async def recorded():
            history = History(bed.cluster.kubeconfig, f"/apis/quota.bizrq.io/v1/{PLURAL}",
                              {"fieldSelector": f"metadata.name={team.name}"})  # fmt: skip
            async with history.recording():
                await asyncio.to_thread(canary)
            return history

        history = asyncio.run(recorded())
        assert history.events
        for event in history.events:
            status = event.object["status"]
            assert {key: status["used"][key] for key in FULL} == FULL, f"at {event.version}"
            assert not status.get("claims"), "what grows nothing claims nothing"
            assert not status.get("leftovers"), "surge is not charged"
        delete(bed, team, space)
        wait_until(lambda: recorder.saw_all_go(space), "the recorder saw all pods go", WITHIN)
        cost = recorder.cost({uid: {CPU: 1000}})
        team.bizrq.until_ledger_says(cost, WITHIN)

    lives = [each for each in recorder.lives.values() if each.last["metadata"]["namespace"] == space]
    sets = {owner["uid"] for each in lives for owner in each.last["metadata"]["ownerReferences"]}
    assert (len(lives), cost.pods, len(sets)) == (8, 8, 2)
    assert cost.decided_by_arrival == 0, "each pod said when it ended"
    assert all(each.seconds()[0] > 0 for each in lives)


def test_at_a_full_quota_a_blue_green_waits_for_its_promotion_with_twice_the_pods(bed, team, space):
    """[P5] They are not charged, neither before the promotion nor as those of the old image leave."""
    ports = {"ports": [{"port": 80}], "selector": {"app": "web"}}
    bed.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": space}, "spec": ports})
    strategy = {"activeService": "web", "autoPromotionEnabled": False, "scaleDownDelaySeconds": 1}
    bed.create(rollout(space, team, strategy={"blueGreen": strategy}))
    bed.until_running(space, 4)
    until_phase(bed, space, "Healthy")
    change_image(bed, space)
    until_phase(bed, space, "Paused")
    assert len(of_image(bed.until_running(space, 8), "another")) == 4
    team.stays(FULL)
    promote(bed, space)
    until_phase(bed, space, "Healthy")
    old = of_image(bed.until_running(space, 8), "none")
    wait_until(lambda: all("deletionTimestamp" in each["metadata"] for each in of_image(bed.pods(space), "none")),
               "the old ones are to leave", WITHIN)  # fmt: skip
    team.stays(FULL)
    for each in old:
        bed.let_go(each)
    bed.until_running(space, 4)
    team.stays(FULL)
    delete(bed, team, space)


def test_scaled_beyond_its_quota_it_is_refused_whole_also_during_a_canary(bed, team, space):
    """[A9] by `kubectl scale` and by PATCH of the object or of its scale subresource."""
    here = f"--namespace={space}"
    bed.create(rollout(space, team, replicas=3))
    bed.until_running(space, 3)
    until_phase(bed, space, "Healthy")
    for _ in range(2):
        patch = json.dumps({"spec": {"replicas": 6}})
        for command in (
            ("scale", "rollout/web", "--replicas=6", here),
            ("patch", "rollout", "web", "--type=merge", f"--patch={patch}", here),
            ("patch", "rollout", "web", "--type=merge", "--subresource=scale", f"--patch={patch}", here),
        ):
            refusal = bed.refusal(*command)
            assert (
                f"exceeded quota: {team.name}, requested: limits.cpu=3,pods=3, used: limits.cpu=3,pods=3, "
                "limited: limits.cpu=4,pods=4; the largest replica count that fits is 4"
            ) in refusal
            assert "Forbidden" in refusal
        assert bed.get("rollout", "web", here)["spec"]["replicas"] == 3
        change_image(bed, space)
        until_phase(bed, space, "Paused")
    bed.kubectl("scale", "rollout/web", "--replicas=4", here)
    assert team.used(*FULL) == FULL
    promote(bed, space)
    until_phase(bed, space, "Healthy")
    team.stays(FULL)
    bed.kubectl("scale", "rollout/web", "--replicas=0", here)
    team.stays(FULL)  # no pod has left yet [P5]
    delete(bed, team, space)


def test_an_autoscaler_whose_least_does_not_fit_gets_nothing(bed, team, space):
    """[A9] not even the part that would fit, until all of it fits."""
    here = f"--namespace={space}"
    bed.create(rollout(space, team, replicas=2))
    bed.until_running(space, 2)
    until_phase(bed, space, "Healthy")
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}
    bed.create({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": space},
        "spec": {"scaleTargetRef": target, "minReplicas": 6, "maxReplicas": 8},
    })  # fmt: skip

    def told():
        status = bed.get("horizontalpodautoscaler", "web", here).get("status", {})
        return [each for each in status.get("conditions", []) if each["reason"] == "FailedUpdateScale"]

    (condition,) = wait_until(told, "it says that it may not", 120)
    assert (
        f"exceeded quota: {team.name}, requested: limits.cpu=4,pods=4, used: limits.cpu=2,pods=2, "
        "limited: limits.cpu=4,pods=4; the largest replica count that fits is 4"
    ) in condition["message"]
    team.stays({**FULL, CPU: "2", "pods": "2"})
    assert bed.get("rollout", "web", here)["spec"]["replicas"] == 2
    team.bizrq.patch({"spec": {"hard": {CPU: "6", "pods": "6"}}})
    team.until({**FULL, CPU: "6", "pods": "6"}, 120)
    bed.until_running(space, 6)


def test_with_the_label_on_its_pods_too_it_is_counted_once(bed, team, space):
    """[A8] Its ReplicaSets and pods are children, since its controller is trusted; during a canary as well."""
    once = {**FULL, "count/replicasets.apps": "0", "count/pods": "0"}
    bed.create(rollout(space, team, labels={LABEL: team.name}))
    bed.until_running(space, 4)
    until_phase(bed, space, "Healthy")
    team.stays(once)
    change_image(bed, space)
    until_phase(bed, space, "Paused")
    bed.until_running(space, 5)
    team.stays(once)
    assert team.lines() == []
    delete(bed, team, space)


@pytest.mark.parametrize("kind", ["ReplicaSet", "Pod"])
def test_a_forged_child_of_a_rollout_gets_no_free_ride(bed, team, space, kind):
    """[A8] The right UID, sent by somebody who is no trusted controller."""
    made = bed.create(rollout(space, team, replicas=1))
    bed.until_running(space, 1)
    owner = {"apiVersion": made["apiVersion"], "kind": "Rollout", "name": "web", "uid": made["metadata"]["uid"],
             "controller": True}  # fmt: skip

    def child(name, cores):
        metadata = {"name": name, "namespace": space, "labels": {LABEL: team.name}, "ownerReferences": [owner]}
        if kind == "Pod":
            return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": pod_spec({"cpu": cores})}
        template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec({"cpu": cores})}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}

    with pytest.raises(KubectlFailed, match=r"exceeded quota: \S+, requested: limits.cpu=100, used: limits.cpu=1,"):
        bed.create(child("huge", "100"))
    bed.create(child("large", "3"))
    assert team.used(CPU, "pods") == {CPU: "4", "pods": "2"}
    team.stays({CPU: "4", "pods": "2"})
