"""Does the test bed keep what it promises: a real control plane, pods that run and end as told, nothing left behind?"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykube
import pytest
import requests
import yaml

from testbed import bed, build, metrics, operator_process, ports
from testbed.cluster import Cluster
from testbed.errors import BedError, KubectlFailed, ProcessDied
from testbed.parts import PARTS
from testbed.processes import Proc
from testbed.progress import Progress
from tests.support.bizrqs import Bizrq, bizrq, labels_for, tree
from tests.support.kube import client, deployment, job, parse_time, pod, wait_until, watch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ["supervisor", "etcd", "apiserver", "controller-manager", "scheduler", "kwok"]
OPERATOR = ["webhook-1", "webhook-2", "balancer-1", "operator"]
LATE = 5  # seconds that a busy machine may be late with the end of a pod
RUN, TERMINATE, END = (f"testbed.bizrq.io/{name}" for name in ("run-seconds", "terminate-seconds", "end"))


def command(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``python -m testbed`` to its end, which must have this exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "testbed", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == code, done.stderr
    return done


def processes(pids: dict[str, int]) -> dict[str, Proc]:
    """The running processes behind these ids; fails if one does not run."""
    found = {name: Proc.of(pid) for name, pid in pids.items()}
    assert all(found.values()), found
    return {name: proc for name, proc in found.items() if proc}


def all_ended(found: dict[str, Proc]) -> bool:
    return not any(proc.alive() for proc in found.values())


def pods_of(api: pykube.HTTPClient, namespace: str, app: str) -> list[pykube.Pod]:
    return list(pykube.Pod.objects(api).filter(namespace=namespace, selector={"app": app}))


def ended(api: pykube.HTTPClient, namespace: str, app: str) -> pykube.Pod:
    """The pod of a Job once it has ended."""

    def look() -> pykube.Pod | None:
        return next(
            (one for one in pods_of(api, namespace, app) if one.obj["status"]["phase"] in {"Succeeded", "Failed"}), None
        )

    return wait_until(look, f"the pod of {app} ends")


# --- the control plane -----------------------------------------------------------------------------------------------


def test_all_servers_run_and_the_api_server_says_its_version(cluster: Cluster) -> None:
    assert set(SERVERS) <= set(processes(cluster.pids))
    assert json.loads(cluster.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"] == "v1.36.3"


def test_its_tokens_are_nobody_elses_to_read(cluster: Cluster) -> None:
    assert stat.S_IMODE(cluster.state.stat().st_mode) == 0o700


def test_nodes_have_the_promised_size(cluster: Cluster, admin: pykube.HTTPClient) -> None:
    nodes = list(pykube.Node.objects(admin))
    assert len(nodes) == 4
    for node in nodes:
        allocatable = node.obj["status"]["allocatable"]
        assert allocatable == {"cpu": "64", "memory": "256Gi", "pods": "250", "nvidia.com/gpu": "8"}


@pytest.mark.parametrize("user", ["admin", "alice", "kwok"])
def test_bizrq_is_started_under_its_own_accounts_only(cluster: Cluster, user: str) -> None:
    """Whoever tries it as administrator learns nothing of its rights."""
    with pytest.raises(BedError, match=f"is that of {user}: bizrq runs under its own accounts"):
        operator_process.start(cluster.state, cluster.kubeconfigs[user], "somebody")


@pytest.mark.parametrize("user", ["alice", "bob", "carol"])
def test_an_ordinary_user_may_not_list_nodes(cluster: Cluster, user: str) -> None:
    with pytest.raises(KubectlFailed, match=rf'Forbidden.*User "{user}" cannot list resource "nodes"'):
        cluster.kubectl("get", "nodes", user=user)


def test_the_operator_has_the_groups_of_its_service_account(cluster: Cluster) -> None:
    operator_process.install(cluster.kubectl)
    said = json.loads(cluster.kubectl("auth", "whoami", "--output=json", user="bizrq-controller"))["status"]["userInfo"]
    assert said["username"] == "system:serviceaccount:bizrq-system:bizrq-controller"
    assert set(said["groups"]) == {
        "system:serviceaccounts",
        "system:serviceaccounts:bizrq-system",
        "system:authenticated",
    }


# --- pods ------------------------------------------------------------------------------------------------------------


def test_the_scheduler_spreads_a_deployment_and_its_pods_run(admin: pykube.HTTPClient, namespace: str) -> None:
    gpu = {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
    deployment(admin, "web", namespace=namespace, replicas=20, spec=gpu).create()

    def running() -> list[pykube.Pod]:
        found = pods_of(admin, namespace, "web")
        return found if [one.obj["status"]["phase"] for one in found] == ["Running"] * 20 else []

    pods = wait_until(running, "20 pods run")
    assert len({one.obj["spec"]["nodeName"] for one in pods}) == 4
    for one in pods:
        status = one.obj["status"]
        conditions = {condition["type"]: condition for condition in status["conditions"]}
        assert conditions["PodScheduled"]["status"] == conditions["Ready"]["status"] == "True"
        assert conditions["PodScheduled"]["lastTransitionTime"] <= status["startTime"]
        assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": status["startTime"]}}
        assert status["podIP"]
        assert status["hostIP"]


@pytest.mark.parametrize(
    ("end", "phase", "code", "condition"),
    [
        pytest.param({}, "Succeeded", 0, "Complete", id="a pod succeeds if nothing else is said"),
        pytest.param({END: "Failed"}, "Failed", 1, "Failed", id="a pod fails if told so"),
    ],
)
def test_a_job_pod_ends_after_its_seconds_and_keeps_its_start(
    admin: pykube.HTTPClient, namespace: str, end: dict[str, str], phase: str, code: int, condition: str
) -> None:
    containers = [{"name": "one", "image": "none"}, {"name": "two", "image": "none"}]
    init = [
        {"name": "first", "image": "none"},
        {"name": "sidecar", "image": "none", "restartPolicy": "Always"},
    ]
    made = job(
        admin,
        "train",
        namespace=namespace,
        annotations={RUN: "2", **end},
        spec={"containers": containers, "initContainers": init},
    )
    made.create()
    status = ended(admin, namespace, "train").obj["status"]
    assert status["phase"] == phase
    states = [one["state"]["terminated"] for one in status["containerStatuses"] + status["initContainerStatuses"][1:]]
    assert [state["exitCode"] for state in states] == [code, code, 0]
    for state in states:
        assert state["startedAt"] == status["startTime"]
        assert 2 <= parse_time(state["finishedAt"]) - parse_time(state["startedAt"]) <= 2 + LATE

    def told() -> bool:
        made.reload()
        conditions = made.obj["status"].get("conditions", ())
        return any(one["type"] == condition and one["status"] == "True" for one in conditions)

    wait_until(told, f"the Job is {condition}")


def test_a_job_pod_without_the_annotation_goes_on(admin: pykube.HTTPClient, namespace: str) -> None:
    job(admin, "endless", namespace=namespace).create()
    job(admin, "short", namespace=namespace, annotations={RUN: "1"}).create()
    ended(admin, namespace, "short")
    (other,) = pods_of(admin, namespace, "endless")
    assert other.obj["status"]["phase"] == "Running"


def test_an_annotation_that_comes_later_ends_a_running_pod(admin: pykube.HTTPClient, namespace: str) -> None:
    job(admin, "endless", namespace=namespace).create()
    found = wait_until(lambda: pods_of(admin, namespace, "endless"), "the pod is there")[0]
    found.patch({"metadata": {"annotations": {RUN: "0", END: "Failed"}}})
    assert ended(admin, namespace, "endless").obj["status"]["phase"] == "Failed"


def run_and_delete(
    api: pykube.HTTPClient, namespace: str, annotations: dict[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    """Have a pod run, delete it, and return all that happened to it then."""
    made = pod(api, "one", namespace=namespace, annotations=annotations)
    made.create()

    def runs() -> bool:
        made.reload()
        return bool(made.obj["status"]["phase"] == "Running")

    wait_until(runs, "the pod runs")
    made.delete()
    events = []
    for event in watch(api, made):
        events.append(event)
        if event[0] == "DELETED":
            break
    assert events[-1][0] == "DELETED"
    return events


def test_a_deleted_pod_goes_at_once(admin: pykube.HTTPClient, namespace: str) -> None:
    last = run_and_delete(admin, namespace, {})[-1][1]
    assert last["status"]["phase"] == "Running"
    assert "terminated" not in last["status"]["containerStatuses"][0]["state"]


@pytest.mark.parametrize(
    ("end", "phase", "code"), [({}, "Succeeded", 0), ({END: "Failed"}, "Failed", 137)], ids=["in time", "killed"]
)
def test_a_deleted_pod_takes_its_seconds_and_reports_its_end_before_it_goes(
    admin: pykube.HTTPClient, namespace: str, end: dict[str, str], phase: str, code: int
) -> None:
    events = run_and_delete(admin, namespace, {TERMINATE: "2", **end})
    first = events[0][1]
    asked = parse_time(first["metadata"]["deletionTimestamp"]) - first["metadata"]["deletionGracePeriodSeconds"]
    assert first["status"]["phase"] == "Running"
    reported = next(value for kind, value in events if kind == "MODIFIED" and value["status"]["phase"] == phase)
    state = reported["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == code
    assert state["startedAt"] == reported["status"]["startTime"]
    assert 2 <= parse_time(state["finishedAt"]) - asked <= 2 + LATE
    assert events[-1][1]["status"]["containerStatuses"] == reported["status"]["containerStatuses"]


# --- beginning and end -----------------------------------------------------------------------------------------------


def test_two_at_once_then_down_twice(cluster: Cluster, tmp_path: Path) -> None:
    state = tmp_path / "a folder with a long name and blanks" / ("x" * 100)
    up = command("up", "--state", state, "--nodes", "1", "--owner-pid", str(os.getpid()))
    (line,) = up.stdout.splitlines()
    second = json.loads(line)
    assert second["server"] != cluster.server
    names = subprocess.run(
        [second["kubectl"], "--kubeconfig", second["kubeconfig"], "get", "nodes", "--output=name"],
        env={**os.environ, "KUBECACHEDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert names == "node/node-0\n"
    assert cluster.kubectl("get", "nodes", "--output=name").count("\n") == 4
    running = processes(second["pids"])
    assert list(running) == SERVERS
    assert all(Path(log).exists() for log in second["logs"].values())

    assert "runs on" in command("up", "--state", state, code=1).stderr
    rows = json.loads(command("status", "--state", state, "--json").stdout)
    assert {row["name"]: row["pid"] for row in rows} == second["pids"]
    os.kill(second["pids"]["scheduler"], signal.SIGKILL)
    wait_until(lambda: not running["scheduler"].alive(), "the scheduler is gone")
    assert "ended with -9, unexpectedly" in command("status", "--state", state, code=1).stdout

    command("down", "--state", state)
    assert all_ended(running)
    assert not state.exists()
    assert "no test bed" in command("down", "--state", state).stderr
    assert "no test bed" in command("status", "--state", state, code=1).stderr
    assert set(SERVERS) <= set(processes(cluster.pids))


def test_everything_ends_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "bed"
    text = (
        "import json, sys, time; from pathlib import Path; from testbed.cluster import Cluster\n"
        "print(json.dumps(Cluster(Path(sys.argv[1]), nodes=0).start().pids), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", text, state], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout
            running = processes(json.loads(owner.stdout.readline()))
        finally:
            owner.kill()
    wait_until(lambda: all_ended(running), "all processes are gone")
    assert {entry.name for entry in state.iterdir()} == {"logs", "state.json"}, "data without an owner is deleted"
    command("down", "--state", state)
    assert not state.exists()


def test_a_taken_port_is_given_up_and_a_killed_supervisor_takes_all_with_it(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = [int(cluster.server.rpartition(":")[2])]
    free_port = ports.free_port
    monkeypatch.setattr(ports, "free_port", lambda: taken.pop() if taken else free_port())
    other = Cluster(tmp_path / "bed", nodes=0).start()
    try:
        running = processes(other.pids)
        assert other.server != cluster.server
        os.kill(running["supervisor"].pid, signal.SIGKILL)
        wait_until(lambda: all_ended(running), "all processes are gone")
    finally:
        other.stop()
    other.stop()
    assert not (tmp_path / "bed").exists()


def test_an_operator_is_started_killed_and_ended_by_itself(cluster: Cluster) -> None:
    first = cluster.start_operator(["--resync-seconds=60"])
    assert "bizrq_build_info" in requests.get(first.metrics_url, timeout=10).text
    first.kill9()
    assert first.exit_code() == -signal.SIGKILL
    second = cluster.start_operator()
    assert second.pid != first.pid
    assert second.log != first.log
    assert cluster.pids[second.name] == second.pid
    assert second.terminate() == 0
    assert second.name not in cluster.pids


# --- webhooks --------------------------------------------------------------------------------------------------------


def orphan(api: pykube.HTTPClient) -> Bizrq:
    """A bizrq without its parent, which only a webhook refuses [T1]."""
    return bizrq(api, "orphan", {"pods": "1"}, parent="nobody")


def is_reviewed(group: Bizrq, pods: int) -> bool:
    """Change a quota, which must be allowed; False if no webhook could be asked."""
    try:
        group.patch({"spec": {"hard": {"pods": str(pods)}}})
    except pykube.exceptions.HTTPError as error:
        if "failed calling webhook" not in str(error):
            raise
        return False
    return True


def webhook_names(cluster: Cluster) -> list[str]:
    """Those of the processes that run."""
    return sorted(name for name in cluster.pids if name.startswith(("webhook", "balancer")))


def test_webhooks_answer_at_one_address_as_long_as_one_of_them_lives(
    cluster: Cluster, admin: pykube.HTTPClient
) -> None:
    with cluster.start_webhooks() as webhooks:
        assert len(webhook_names(cluster)) == 3
        for replica in webhooks.replicas:
            assert "bizrq_build_info" in requests.get(replica.metrics_url, timeout=10).text
        webhooks.install()
        with pytest.raises(pykube.exceptions.HTTPError, match="denied the request"):
            orphan(admin).create()
        with tree(bizrq(admin, "reviewed", {"pods": "1"})) as (group,):
            first, second = webhooks.replicas
            first.kill9()
            assert first.exit_code() == -signal.SIGKILL
            wait_until(lambda: is_reviewed(group, 2), "the other one answers")
            second.kill9()
            assert not is_reviewed(group, 3)
            again = webhooks.restart(0)
            assert again is webhooks.replicas[0]
            assert again.pid != first.pid
            assert (again.name, again.port, again.metrics_url) == (first.name, first.port, first.metrics_url)
            assert is_reviewed(group, 4)
    assert not webhook_names(cluster)
    with tree(orphan(admin)):
        pass


def test_only_the_namespaces_that_a_test_names_wait_for_its_webhooks(
    cluster: Cluster, admin: pykube.HTTPClient, namespace: str
) -> None:
    def make(where: str, *, labels: dict[str, str]) -> pykube.Deployment:
        made = deployment(admin, "limited", namespace=where, replicas=0, labels=labels)
        made.create()
        return made

    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    with cluster.start_webhooks(count=1) as webhooks:
        webhooks.install(namespace_selector=selector, scale_namespace_selector=selector)
        webhooks.replicas[0].kill9()
        with pytest.raises(pykube.exceptions.HTTPError, match=r"failed calling webhook .workloads\.quota\.bizrq\.io"):
            make(namespace, labels=labels_for("nobody"))
        unlabelled, elsewhere = make(namespace, labels={}), make("default", labels=labels_for("nobody"))
        with pytest.raises(KubectlFailed, match=r"failed calling webhook .scale\.quota\.bizrq\.io"):
            cluster.kubectl("scale", "deployment", unlabelled.name, f"--namespace={namespace}", "--replicas=1")
        cluster.kubectl("scale", "deployment", elsewhere.name, "--namespace=default", "--replicas=1")
        elsewhere.delete()


def test_the_token_of_webhooks_is_nobody_elses_to_read(cluster: Cluster) -> None:
    with cluster.start_webhooks(count=1) as webhooks:
        assert len(webhooks.token) >= 43
        assert webhooks.url == f"{webhooks.address}/{webhooks.token}"
        for path in webhooks.folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        shown = json.dumps(webhooks.describe())
        assert webhooks.token not in shown
        answers = [
            requests.post(f"{base}/bizrqs", data="{}", verify=str(webhooks.authority), timeout=10).status_code
            for base in (webhooks.url, f"{webhooks.address}/{'x' * 43}")
        ]
    assert answers[0] != 404
    assert answers[1] == 404


def test_webhooks_that_do_not_start_leave_nothing_behind(cluster: Cluster) -> None:
    with pytest.raises(ProcessDied, match="No such option"):
        cluster.start_webhooks(arguments=["--no-such-thing"])
    assert not webhook_names(cluster)


def test_with_operator_comes_a_controller_and_two_webhooks_that_are_asked(tmp_path: Path) -> None:
    """The piece ``operator``, by the command."""
    state = tmp_path / "bed"
    arguments = ("--with", "operator", "--nodes", "0", "--webhook-args=--verbose", "--owner-pid", str(os.getpid()))
    shown = json.loads(command("up", "--state", state, *arguments).stdout)
    try:
        running = processes(shown["pids"])
        assert list(running) == [*SERVERS, *OPERATOR]
        described = shown["webhooks"]
        assert [(one["name"], one["pid"]) for one in described["replicas"]] == [
            (name, shown["pids"][name]) for name in OPERATOR[:2]
        ]
        for url in (shown["metrics_url"], *(one["metrics_url"] for one in described["replicas"])):
            assert "bizrq_build_info" in requests.get(url, timeout=10).text
        assert Path(described["token_file"]).read_text() not in json.dumps(shown)
        with client(Path(shown["kubeconfig"])) as api:
            with pytest.raises(pykube.exceptions.HTTPError, match="denied the request"):
                orphan(api).create()
            with tree(bizrq(api, "acme", {"pods": "1"})) as (group,):
                wait_until(lambda: group.used("pods") == "0", "the controller writes its status")
    finally:
        command("down", "--state", state)
    assert all_ended(running)
    assert not state.exists()


def test_the_webhooks_of_the_piece_operator_can_be_killed_and_started_again(tmp_path: Path) -> None:
    with Cluster(tmp_path / "bed", nodes=0, pieces=["operator"]) as other:
        webhooks = other.webhooks
        webhooks.replicas[1].kill9()
        assert webhook_names(other) == ["balancer-1", "webhook-1"]
        assert other.webhooks.restart(1).pid == other.pids["webhook-2"]
        webhooks.uninstall()
        with client(other.kubeconfig) as api, tree(orphan(api)):
            pass


# --- pieces beside the control plane ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A test bed with all pieces, if their programs are built: nobody is made to wait minutes for that here."""
    needed = [PARTS[name] for name in ("rollouts", "training", "prometheus")]
    missing = [part.name for part in needed if not build.locate(part, Progress())]
    if missing:
        pytest.skip(f"not built: python -m testbed build {' '.join(missing)}")
    with Cluster(tmp_path_factory.mktemp("full"), nodes=2, pieces=bed.PIECES) as started:
        yield started


@pytest.fixture
def full_admin(full: Cluster) -> Iterator[pykube.HTTPClient]:
    with client(full.kubeconfig) as api:
        yield api


def test_a_rollout_makes_pods_by_its_own_controller(full: Cluster, full_admin: pykube.HTTPClient) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
            "template": template,
        },
    }
    full.kubectl("create", "--filename=-", stdin=json.dumps(rollout))

    def available() -> bool:
        return full.kubectl("get", "rollout", "web", "--output=jsonpath={.status.availableReplicas}") == "3"

    wait_until(available, "3 replicas are available")
    (replica_set,) = pykube.ReplicaSet.objects(full_admin).filter(namespace="default", selector={"app": "web"})
    assert replica_set.metadata["ownerReferences"][0]["kind"] == "Rollout"


def test_a_tfjob_runs_its_pods_and_succeeds_with_its_workers(full: Cluster, full_admin: pykube.HTTPClient) -> None:
    containers = {"containers": [{"name": "tensorflow", "image": "none"}]}
    worker = {"metadata": {"annotations": {RUN: "3"}}, "spec": containers}
    replicas = {
        "PS": {"replicas": 1, "restartPolicy": "Never", "template": {"spec": containers}},
        "Worker": {"replicas": 3, "restartPolicy": "Never", "template": worker},
    }
    tfjob = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "train"},
        "spec": {"runPolicy": {"cleanPodPolicy": "None"}, "tfReplicaSpecs": replicas},
    }
    full.kubectl("create", "--filename=-", stdin=json.dumps(tfjob))

    def succeeded() -> bool:
        said = full.kubectl("get", "tfjob", "train", "--output=jsonpath={.status.conditions[*].type}")
        return "Succeeded" in said.split()

    wait_until(succeeded, "the TFJob succeeds")
    selector = {"training.kubeflow.org/job-name": "train"}
    pods = list(pykube.Pod.objects(full_admin).filter(namespace="default", selector=selector))
    assert sorted(one.name for one in pods) == ["train-ps-0", "train-worker-0", "train-worker-1", "train-worker-2"]


def test_prometheus_asks_the_operator_and_one_that_came_later(full: Cluster) -> None:
    def seen() -> dict[str, str]:
        answer = requests.get(
            f"{full.description['prometheus_url']}/api/v1/query", params={"query": 'up{job="bizrq"}'}, timeout=10
        )
        return {one["metric"]["instance"]: one["value"][1] for one in answer.json()["data"]["result"]}

    asked = dict.fromkeys(("operator", "webhook-1", "webhook-2"), "1")
    wait_until(lambda: seen() == asked, "the operator and its webhooks are asked")
    full.start_operator(install=False)
    wait_until(lambda: seen() == {**asked, "operator-2": "1"}, "the second one is asked too")


def test_prometheus_has_the_rules_that_are_shipped(full: Cluster) -> None:
    """What they say is proven in tests/alerts, and on real processes in test_alerts.py."""
    groups = yaml.safe_load(metrics.ALERTS.read_text(encoding="utf-8"))["groups"]
    shipped = {(rule.get("alert") or rule["record"], "ok") for group in groups for rule in group["rules"]}

    def healthy() -> bool:
        answer = requests.get(f"{full.description['prometheus_url']}/api/v1/rules", timeout=10)
        groups = answer.json()["data"]["groups"]
        return {(rule["name"], rule["health"]) for group in groups for rule in group["rules"]} == shipped

    wait_until(healthy, "all rules were evaluated without an error")


def test_two_at_once_can_have_tfjobs(full: Cluster, tmp_path: Path) -> None:
    with Cluster(tmp_path / "bed", nodes=0, pieces=["tfjob"]) as other:
        assert "training-operator" in other.pids
        assert "training-operator" in full.pids
