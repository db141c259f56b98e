"""Is a TFJob charged whole, and released when its pods end? With Kubeflow's own training operator."""

import json
from collections import Counter

import pytest

from bizrq.domain.bizrq import LABEL
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS
from tests.support.guarded import HELD, WITHIN, Guarded, guarded, pod_spec
from tests.support.instants import CPU
from tests.support.kube import parse_time, wait_until
from tests.support.recorder import Cost, Recorder, end_of, start_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420), pytest.mark.parts("training")]

KUBEFLOW = "system:serviceaccount:kubeflow:training-operator"
CARDS, A30 = "requests.nvidia.com/gpu", "requests.nvidia.com/gpu.A30"
COUNT = "count/tfjobs.kubeflow.org"
HARD = {CARDS: "8", A30: "3", CPU: "4", "pods": "8", COUNT: "4", f"cash/{CARDS}": "1000", f"cash/{A30}": "1000"}


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    trusted = "--trusted-controllers=" + ",".join([*DEFAULT_TRUSTED_CONTROLLERS, KUBEFLOW])
    with Guarded.started(tmp_path_factory.mktemp("tfjobs"), ["tfjob"], [trusted]) as started:
        yield started


@pytest.fixture
def space(bed):
    with bed.space() as name:
        yield name


@pytest.fixture
def team(bed):
    """Three cards of the model A30."""
    return bed.team(HARD)


def tfjob(space, team, *, policy="", workers=3, gpu="A30", labels=None, **run_policy):
    """A parameter server of one core, and workers of one core's half and a card each."""

    def replicas(count, limits):
        template = {"metadata": {"annotations": HELD, "labels": labels or {}},
                    "spec": pod_spec(limits, name="tensorflow")}  # fmt: skip
        return {"replicas": count, "restartPolicy": "Never", "template": template}

    specs = {"PS": replicas(1, {"cpu": "1"}), "Worker": replicas(workers, {"cpu": "500m", "nvidia.com/gpu": "1"})}
    run_policy |= {"cleanPodPolicy": policy} if policy else {}
    metadata = {"name": "train", "namespace": space}
    spec = {"runPolicy": run_policy, "tfReplicaSpecs": specs}
    raw = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": metadata, "spec": spec}
    return guarded(raw, team, gpu=gpu)


def held(workers, servers=1):
    """What so many pods hold."""
    cores = 500 * workers + 1000 * servers
    cpu = f"{cores}m" if cores % 1000 else f"{cores // 1000}"
    return {CARDS: str(workers), A30: str(workers), CPU: cpu, "pods": str(workers + servers)}


def until_running(bed, space, workers=3, servers=1):
    """Wait until all pods run; the server, and the workers in order."""
    pods = bed.until_running(space, workers + servers)
    by_name = {each["metadata"]["name"]: each for each in pods}
    return by_name["train-ps-0"], [by_name[f"train-worker-{index}"] for index in range(workers)]


def conditions(bed, space):
    status = bed.get("tfjob", "train", f"--namespace={space}").get("status", {})
    return {each["type"] for each in status.get("conditions") or [] if each["status"] == "True"}


def until_over(bed, space, end):
    wait_until(lambda: end in conditions(bed, space), f"the job is {end}", WITHIN)


def time_of(bed, space, condition):
    """When it became so."""
    status = bed.get("tfjob", "train", f"--namespace={space}")["status"]
    (found,) = (each for each in status["conditions"] if each["type"] == condition)
    return parse_time(found["lastTransitionTime"])


def leaving(bed, space):
    """Names of the pods that are held in their termination."""
    pods = bed.pods(space, "Running")
    return {each["metadata"]["name"] for each in pods if "deletionTimestamp" in each["metadata"]}


def cost_of(recorder, space):
    """What the pods of a namespace must have been charged on cards; all are over."""
    cost = Cost()
    for life in recorder.lives.values():
        if life.last["metadata"]["namespace"] == space and life.last["metadata"]["name"].startswith("train-worker"):
            seconds, off = life.seconds()
            start, end = start_of(life.last), end_of(life.last)
            assert start is not None
            assert end == start + seconds, "to its finishedAt"
            cost.pods += 1
            cost.decided_by_arrival += off
            cost.exact += Counter({CARDS: 1000 * seconds, A30: 1000 * seconds})
    return cost


def rates(team):
    rate = team.bizrq.status()["cash"]["rate"]
    return {key: rate[key] for key in (CARDS, A30)}


# --- admission -------------------------------------------------------------------------------------------------------


def test_it_is_charged_on_cards_and_on_cards_of_its_model(bed, team, space):
    """[A1, A3, K2]"""
    bed.create(tfjob(space, team))
    assert team.used(*held(3), COUNT) == {**held(3), COUNT: "1"}
    until_running(bed, space)
    team.stays({**held(3), COUNT: "1"})


@pytest.mark.parametrize(
    ("hard", "beyond"),
    [
        pytest.param({A30: "2"}, f"requested: {A30}=3, used: {A30}=0, limited: {A30}=2", id="of the model"),
        pytest.param({CARDS: "2", A30: "3"}, f"requested: {CARDS}=3, used: {CARDS}=0, limited: {CARDS}=2", id="of any"),
    ],
)
def test_where_one_card_is_missing_it_is_refused_whole(bed, space, hard, beyond):
    """[A1, A2] Not even its parameter server is made, which would fit."""
    team = bed.team({**HARD, **hard})
    assert f"exceeded quota: {team.name}, {beyond}" in bed.refusal(raw=tfjob(space, team))
    assert bed.get("tfjobs,pods", f"--namespace={space}")["items"] == []
    assert team.used(CARDS, A30, CPU) == {CARDS: "0", A30: "0", CPU: "0"}
    bed.create(tfjob(space, team, workers=2))
    until_running(bed, space, workers=2)
    patch = json.dumps({"spec": {"tfReplicaSpecs": {"Worker": {"replicas": 3}}}})
    refusal = bed.refusal("patch", "tfjob", "train", "--type=merge", f"--patch={patch}", f"--namespace={space}")
    assert f"exceeded quota: {team.name}, requested: {beyond.split('=')[0].split()[1]}=1, " in refusal
    team.stays(held(2))


def test_without_a_model_it_is_charged_on_cards_alone(bed, team, space):
    """[K2] and so fits where only the cards of a model are few."""
    bed.create(tfjob(space, team, workers=4, gpu=""))
    assert team.used(CARDS, A30) == {CARDS: "4", A30: "0"}


def test_with_the_label_on_its_pods_too_it_is_counted_once(bed, space):
    """[A8] Its pods are children, since its operator is trusted."""
    team = bed.team({**HARD, "count/pods": "4"})
    bed.create(tfjob(space, team, labels={LABEL: team.name, f"{LABEL}/gpu-type": "A30"}))
    until_running(bed, space)
    team.stays({**held(3), COUNT: "1", "count/pods": "0"})


def test_a_forged_child_of_a_tfjob_gets_no_free_ride(bed, space):
    """[A8] The right UID, sent by somebody who is no trusted controller, and that of a TFJob nobody counts."""
    team = bed.team({**HARD, CARDS: "4"})
    bed.create(tfjob(space, team))
    with bed.space() as elsewhere:
        uncounted = bed.create(tfjob(elsewhere, None))
        for where, of in ((space, bed.get("tfjob", "train", f"--namespace={space}")), (elsewhere, uncounted)):
            owner = {"apiVersion": of["apiVersion"], "kind": "TFJob", "name": "train", "uid": of["metadata"]["uid"]}
            metadata = {"name": "more", "namespace": where, "ownerReferences": [{**owner, "controller": True}]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                   "spec": pod_spec({"cpu": "0", "nvidia.com/gpu": "2"})}  # fmt: skip
            refusal = bed.refusal(raw=guarded(pod, team))
            assert f"exceeded quota: {team.name}, requested: {CARDS}=2, used: {CARDS}=3, limited: {CARDS}=4" in refusal


# --- release ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "end"),
    [("All", "Succeeded"), ("Running", "Succeeded"), ("None", "Succeeded"), ("", "Succeeded"), ("All", "Failed")],
)
def test_its_quota_falls_and_its_hours_stop_when_its_pods_end_and_not_when_the_job_does(bed, team, space, policy, end):
    """[P5, C1] with each cleanPodPolicy; without one it is None."""
    with Recorder(bed.api) as recorder:
        bed.create(tfjob(space, team, policy=policy))
        server, workers = until_running(bed, space)
        team.until_settled()
        bed.finish(workers[0], end)
        until_over(bed, space, end)
        cleans = policy in {"All", "Running"}
        still = {"train-ps-0", "train-worker-1", "train-worker-2"}
        wait_until(lambda: leaving(bed, space) == (still if cleans else set()), "pods are told to end", WITHIN)
        there = still if policy == "All" else {*still, "train-worker-0"}
        wait_until(lambda: {each["metadata"]["name"] for each in bed.pods(space)} == there, "what it leaves", WITHIN)
        team.stays({**held(2), COUNT: "1"})
        assert rates(team) == {CARDS: "2", A30: "2"}
        # A pod that was told to end does so when the test says; one that was not, by itself.
        go = bed.let_go if cleans else bed.finish
        go(workers[1])
        team.until(held(1))
        go(server)
        team.until(held(1, servers=0))
        go(workers[2])
        team.stays({**held(0, servers=0), COUNT: "1"})
        wait_until(lambda: rates(team) == {CARDS: "0", A30: "0"}, "nothing costs any more", WITHIN)

        def ended():
            lives = [each.last for each in recorder.lives.values() if each.last["metadata"]["namespace"] == space]
            return len(lives) == 4 and all(end_of(each) for each in lives)

        wait_until(ended, "the recorder saw all pods end", WITHIN)
        over = time_of(bed, space, end)
        ends = {each.last["metadata"]["name"]: end_of(each.last) for each in recorder.lives.values()
                if each.last["metadata"]["namespace"] == space}  # fmt: skip
        assert {name for name, at in ends.items() if at > over} == still, "they ended after the job"
        cost = cost_of(recorder, space)
        assert (cost.pods, cost.decided_by_arrival) == (3, 0)
        team.bizrq.until_ledger_says(cost, WITHIN)
        bed.kubectl("delete", "tfjob", "train", f"--namespace={space}")
        team.until({COUNT: "0"})
        wait_until(lambda: not bed.pods(space), "all its pods are gone", WITHIN)
        team.bizrq.until_ledger_says(cost, WITHIN)


def test_a_suspended_one_releases_as_its_pods_leave_and_is_refused_where_it_no_longer_fits(bed, team, space):
    """[A1, P5] runPolicy.suspend"""

    def suspend(*, to):
        patch = json.dumps({"spec": {"runPolicy": {"suspend": to}}})
        return "patch", "tfjob", "train", "--type=merge", f"--patch={patch}", f"--namespace={space}"

    bed.create(tfjob(space, team, policy="None"))
    server, workers = until_running(bed, space)
    team.until_settled()
    bed.kubectl(*suspend(to=True))
    wait_until(lambda: len(leaving(bed, space)) == 4, "all are to leave", WITHIN)
    team.stays(held(3))
    bed.let_go(workers[0])
    team.until(held(2))
    for each in (server, *workers[1:]):
        bed.let_go(each)
    team.stays({**held(0, servers=0), COUNT: "1"})
    alone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "namespace": space},
             "spec": pod_spec({"cpu": "0", "nvidia.com/gpu": "1"})}  # fmt: skip
    bed.create(guarded(alone, team, gpu="A30"))
    assert f"requested: {A30}=3, used: {A30}=1, limited: {A30}=3" in bed.refusal(*suspend(to=False))
    bed.kubectl("delete", "pod", "alone", f"--namespace={space}", "--wait=false")
    team.until({A30: "0"})
    bed.kubectl(*suspend(to=False))
    assert team.used(*held(3)) == held(3)
    until_running(bed, space)


def test_a_deleted_one_holds_what_its_pods_hold(bed, team, space):
    """[P5, C7] Its pods go after it, and are charged until then."""
    bed.create(tfjob(space, team))
    server, workers = until_running(bed, space)
    team.until_settled()
    bed.kubectl("delete", "tfjob", "train", f"--namespace={space}")
    wait_until(lambda: len(leaving(bed, space)) == 4, "all are to leave", WITHIN)
    team.stays({**held(3), COUNT: "0"})
    assert rates(team) == {CARDS: "3", A30: "3"}
    bed.let_go(workers[0])
    team.until(held(2))
    for each in (server, *workers[1:]):
        bed.let_go(each)
    team.stays({**held(0, servers=0), COUNT: "0"})
