"""Is each kind that Kubernetes itself has admitted, refused, charged and released as docs/workloads.md says?"""

import json

import pytest

from bizrq.domain.bizrq import LABEL
from tests.support.guarded import HELD, WITHIN, Guarded, guarded, pod_spec
from tests.support.instants import CPU
from tests.support.kube import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

CORES = 10
LIMITS = {"cpu": "2"}


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Guarded.started(tmp_path_factory.mktemp("each-kind")) as started:
        yield started


@pytest.fixture
def space(bed):
    with bed.space() as name:
        yield name


@pytest.fixture
def team(bed):
    """Ten cores: five pods of what is tried here."""
    counts = ("deployments.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers",
              "jobs.batch", "cronjobs.batch", "pods")  # fmt: skip
    return bed.team({CPU: str(CORES), "pods": "20", **{f"count/{each}": "9" for each in counts}})


def template(name, **fields):
    return {"metadata": {"labels": {"app": name}, "annotations": HELD}, "spec": pod_spec(LIMITS, **fields)}


# --- kinds with replicas ---------------------------------------------------------------------------------------------

SCALED = {
    "Deployment": ("apps/v1", "deployments.apps"),
    "StatefulSet": ("apps/v1", "statefulsets.apps"),
    "ReplicaSet": ("apps/v1", "replicasets.apps"),
    "ReplicationController": ("v1", "replicationcontrollers"),
}


def scaled(kind, space, replicas):
    version, _ = SCALED[kind]
    spec = {"template": template("web"), "selector": {"matchLabels": {"app": "web"}}}
    spec |= {"replicas": replicas} if replicas is not None else {}
    spec |= {"serviceName": "web"} if kind == "StatefulSet" else {}
    spec |= {"selector": {"app": "web"}} if kind == "ReplicationController" else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web", "namespace": space}, "spec": spec}


def cores(pods):
    return {CPU: str(2 * pods), "pods": str(pods)}


def releases_as_pods_leave(bed, team, space, *, left):
    """Let go of one pod after the other: the charge is that of the pods that are there, down to ``left`` [P5]."""

    def leaving():
        return [each for each in bed.pods(space, "Running") if "deletionTimestamp" in each["metadata"]]

    there = len(bed.pods(space))
    team.stays(cores(there))
    while there > left:
        bed.let_go(wait_until(leaving, "a pod is to leave", WITHIN)[0])
        there -= 1
        wait_until(lambda: len(bed.pods(space)) == there, "it leaves", WITHIN)  # noqa: B023  # called before it changes
        team.until(cores(there))
    team.stays(cores(left))


@pytest.mark.parametrize("kind", SCALED)
def test_what_has_replicas_is_admitted_refused_scaled_and_released(bed, team, space, kind):
    """[A1, A2, A9, P5] Deployment, StatefulSet, unowned ReplicaSet, ReplicationController."""
    what, here = f"{SCALED[kind][1]}/web", f"--namespace={space}"
    count = f"count/{SCALED[kind][1]}"
    beyond = bed.refusal(raw=guarded(scaled(kind, space, 6), team))
    assert beyond.endswith(
        f"exceeded quota: {team.name}, requested: limits.cpu=12, used: limits.cpu=0, limited: limits.cpu=10; "
        "the largest replica count that fits is 5"
    )
    assert "Forbidden" in beyond
    bed.create(guarded(scaled(kind, space, 3), team))
    assert team.used(CPU, "pods", count) == {**cores(3), count: "1"}, "claimed before the answer [A3]"
    bed.until_running(space, 3)
    more = f"exceeded quota: {team.name}, requested: limits.cpu=6, used: limits.cpu=6, limited: limits.cpu=10; "
    patch = "--patch=" + json.dumps({"spec": {"replicas": 6}})
    for command in (("scale", what, "--replicas=6", here), ("patch", what, "--type=merge", patch, here)):
        assert f"{more}the largest replica count that fits is 5" in bed.refusal(*command)
    bed.kubectl("scale", what, "--replicas=5", here)
    assert team.used(CPU, "pods") == cores(5)
    bed.until_running(space, 5)
    team.until_settled()
    bed.kubectl("scale", what, "--replicas=1", here)
    releases_as_pods_leave(bed, team, space, left=1)
    bed.kubectl("delete", what, here)
    team.until({count: "0"})
    releases_as_pods_leave(bed, team, space, left=0)


@pytest.mark.parametrize("kind", SCALED)
def test_what_says_nothing_of_replicas_has_one(bed, team, space, kind):
    """[A1] docs/workloads.md: 1 where absent."""
    bed.create(guarded(scaled(kind, space, None), team))
    bed.until_running(space, 1)
    team.stays(cores(1))


# --- Job -------------------------------------------------------------------------------------------------------------


def job(space, name="train", **spec):
    metadata = {"name": name, "namespace": space}
    spec |= {"template": template(name, restartPolicy="Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def test_a_job_is_charged_for_what_may_run_and_is_left_to_complete(bed, team, space):
    """[A1, P5] the smaller of parallelism and completions less those that succeeded, until it is Complete."""
    refusal = bed.refusal(raw=guarded(job(space, parallelism=6, completions=6), team))
    assert "requested: limits.cpu=12, used: limits.cpu=0, limited: limits.cpu=10" in refusal
    bed.create(guarded(job(space, parallelism=3, completions=5), team))
    assert team.used(CPU, "pods") == cores(3)
    bed.until_running(space, 3)
    team.until_settled()
    for succeeded, charged in enumerate((3, 3, 2, 1, 0), start=1):
        bed.finish(bed.pods(space, "Running")[0])
        bed.until_running(space, charged)
        wait_until(lambda: len(bed.pods(space, "Succeeded")) == succeeded, "one more", WITHIN)  # noqa: B023
        team.stays({**cores(charged), "count/jobs.batch": "1"})
    wait_until(lambda: conditions(bed, "job/train", space) >= {"Complete"}, "it is complete", WITHIN)
    bed.kubectl("delete", "job", "train", f"--namespace={space}")
    team.until({**cores(0), "count/jobs.batch": "0"})


def test_a_job_that_fails_holds_what_its_pods_hold(bed, team, space):
    """[P5] Failed, it asks for nothing; the pods that its controller ends are charged until they have ended."""
    bed.create(guarded(job(space, parallelism=3, completions=3, backoffLimit=0), team))
    first, *others = bed.until_running(space, 3)
    team.until_settled()
    bed.finish(first, "Failed")
    wait_until(lambda: "FailureTarget" in conditions(bed, "job/train", space), "its controller gives up", WITHIN)
    team.stays(cores(2))
    bed.let_go(others[0])
    team.stays(cores(1))
    bed.let_go(others[1])
    team.stays({**cores(0), "count/jobs.batch": "1"})
    assert "Failed" in conditions(bed, "job/train", space)


def test_a_suspended_job_releases_as_its_pods_leave_and_is_refused_where_it_no_longer_fits(bed, team, space):
    """[A1, P5] suspend and resume."""
    here = f"--namespace={space}"

    def suspend(*, to):
        return "patch", "job", "train", "--patch=" + json.dumps({"spec": {"suspend": to}}), here

    bed.create(guarded(job(space, parallelism=3, completions=3), team))
    bed.until_running(space, 3)
    team.until_settled()
    bed.kubectl(*suspend(to=True))
    releases_as_pods_leave(bed, team, space, left=0)
    team.until({"count/jobs.batch": "1"})

    bed.create(guarded(scaled("ReplicaSet", space, 3), team))
    refusal = bed.refusal(*suspend(to=False))
    assert f"exceeded quota: {team.name}, requested: limits.cpu=6, used: limits.cpu=6" in refusal
    assert bed.get("job/train", here)["spec"]["suspend"], "refused whole"
    bed.kubectl("scale", "replicaset/web", "--replicas=2", here)
    (leaves,) = wait_until(lambda: [each for each in bed.pods(space) if "deletionTimestamp" in each["metadata"]],
                           "one is to leave", WITHIN)  # fmt: skip
    assert "requested: limits.cpu=6" in bed.refusal(*suspend(to=False)), "what leaves is still there [P5]"
    bed.let_go(leaves)
    team.until(cores(2))
    bed.kubectl(*suspend(to=False))
    assert team.used(CPU, "pods") == cores(5)
    bed.until_running(space, 5)
    team.stays(cores(5))


def test_a_job_that_is_made_suspended_is_charged_once_it_is_resumed(bed, team, space):
    """[A1] also one that will not fit: it is refused when it would start."""
    bed.create(guarded(job(space, parallelism=6, completions=6, suspend=True), team))
    team.stays({**cores(0), "count/jobs.batch": "1"})
    resume = "--patch=" + json.dumps({"spec": {"suspend": False}})
    assert "requested: limits.cpu=12" in bed.refusal("patch", "job", "train", resume, f"--namespace={space}")


def conditions(bed, name, space):
    status = bed.get(name, f"--namespace={space}").get("status", {})
    return {each["type"] for each in status.get("conditions", []) if each["status"] == "True"}


# --- CronJob ---------------------------------------------------------------------------------------------------------


def cron_job(space, team, schedule, *, parallelism=3, labelled=True):
    """One whose Jobs have so many pods."""
    jobs = {"spec": job(space, parallelism=parallelism, completions=parallelism)["spec"]}
    jobs |= {"metadata": {"labels": {LABEL: team.name}}} if labelled else {}
    metadata = {"name": "often", "namespace": space}
    spec = {"schedule": schedule, "jobTemplate": jobs, "concurrencyPolicy": "Forbid"}
    return guarded({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}, team)


NEVER = "0 0 31 2 *"


def test_a_cron_job_is_charged_nothing_and_its_jobs_are_charged_each(bed, team, space):
    """[A8] `kubectl create job --from` makes them as its controller does."""
    here = f"--namespace={space}"
    bed.create(cron_job(space, team, NEVER, parallelism=4))
    team.stays({**cores(0), "count/cronjobs.batch": "1", "count/jobs.batch": "0"})
    bed.kubectl("create", "job", "one", "--from=cronjob/often", here)
    assert team.used(CPU, "pods", "count/jobs.batch") == {**cores(4), "count/jobs.batch": "1"}
    refusal = bed.refusal("create", "job", "two", "--from=cronjob/often", here)
    assert f"exceeded quota: {team.name}, requested: limits.cpu=8, used: limits.cpu=8" in refusal
    bed.until_running(space, 4)
    team.until_settled()
    bed.kubectl("delete", "cronjob", "often", here)
    team.until({"count/cronjobs.batch": "0", "count/jobs.batch": "0"})
    releases_as_pods_leave(bed, team, space, left=0)


def test_a_cron_job_whose_jobs_would_not_be_counted_is_refused_with_the_line_to_add(bed, team, space):
    """[A8]"""
    refusal = bed.refusal(raw=cron_job(space, team, NEVER, labelled=False))
    assert "spec.jobTemplate.metadata.labels" in refusal
    assert f"{LABEL}: {team.name}" in refusal
    bed.create(cron_job(space, team, NEVER))


def test_a_job_that_the_clock_starts_is_refused_whole_until_it_fits(bed, team, space):
    """[A1, A8] Its controller is told why, and tries again."""
    here = f"--namespace={space}"
    bed.create(guarded(scaled("ReplicaSet", space, 3), team))
    bed.until_running(space, 3)
    bed.create(cron_job(space, team, "* * * * *"))

    def told():
        events = bed.get("events", here, "--field-selector=involvedObject.kind=CronJob,reason=FailedCreate")["items"]
        return [each["message"] for each in events if "exceeded quota" in each["message"]]

    (message, *_) = wait_until(told, "its controller is refused", 120)
    assert f"exceeded quota: {team.name}, requested: limits.cpu=6, used: limits.cpu=6" in message
    assert bed.get("jobs", here)["items"] == []
    bed.kubectl("delete", "replicaset", "web", here)
    for each in bed.pods(space):
        bed.let_go(each)
    team.until({**cores(3), "count/jobs.batch": "1"}, 180)
    bed.until_running(space, 3, selector="app=train")
    team.stays({**cores(3), "count/jobs.batch": "1"})


# --- Pod -------------------------------------------------------------------------------------------------------------


def pod(space, team, name, amount, **fields):
    metadata = {"name": name, "namespace": space}
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec({"cpu": amount}, **fields)}
    made = guarded(raw, team)
    made["metadata"]["annotations"] = HELD
    return made


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_a_bare_pod_holds_its_quota_until_it_ends(bed, team, space, end):
    """[A8, P5] by itself, or deleted."""
    alone = {CPU: "6", "pods": "1", "count/pods": "1"}
    one = bed.create(pod(space, team, "one", "6", restartPolicy="Never"))
    assert team.used(*alone) == alone
    refusal = bed.refusal(raw=pod(space, team, "two", "5"))
    assert f"exceeded quota: {team.name}, requested: limits.cpu=5, used: limits.cpu=6" in refusal
    bed.until_running(space, 1)
    team.stays(alone)
    bed.finish(one, end)
    team.stays({CPU: "0", "pods": "0", "count/pods": "1"})
    bed.kubectl("delete", "pod", "one", f"--namespace={space}")
    team.until({"count/pods": "0"})

    two = bed.create(pod(space, team, "two", "6"))
    bed.until_running(space, 1)
    team.until_settled()
    bed.kubectl("delete", "pod", "two", f"--namespace={space}", "--wait=false")
    wait_until(lambda: "deletionTimestamp" in bed.pods(space)[0]["metadata"], "it is to leave", WITHIN)
    team.stays(alone)
    bed.let_go(two)
    team.stays({CPU: "0", "pods": "0", "count/pods": "0"})
