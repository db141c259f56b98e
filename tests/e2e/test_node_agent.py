"""Does the test bed's node agent do with a pod what a kubelet does?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from testbed import node_agent
from testbed.cluster import Cluster
from testbed.processes import Proc
from tests.support.kube import client, pod, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

IMAGE = "programs:1"
STAY = "import signal; signal.pause()"
SERVE = "import http.server, os; http.server.HTTPServer(('', int(os.environ['BIZRQ_METRICS_PORT'])), H).serve_forever()"
LABEL = {"app": "s"}
PORTS = [{"name": "metrics", "containerPort": 8080}]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of its own, with the agent; its one image has the programs of this process."""
    images = {"programs:*": Path(sys.prefix)}
    with Cluster(tmp_path_factory.mktemp("agent"), nodes=1, pieces=["agent"], images=images) as started:
        started.agent.tell(refresh_seconds=0.5, back_off_seconds=0.2)
        yield started


@pytest.fixture(scope="module")
def admin(cluster):
    with client(cluster.kubeconfig) as api:
        yield api


@pytest.fixture
def run(admin, namespace):
    """Start a pod of one container on the agent's node."""

    def start(program, *, name="it", image=IMAGE, labels=None, container=None, spec=None):
        main = {"name": "main", "image": image, "command": ["python", "-c", program], **(container or {})}
        where = {"nodeSelector": dict(node_agent.SELECTOR), "tolerations": [dict(node_agent.TOLERATION)]}
        made = pod(admin, name, namespace=namespace, spec={"containers": [main], **where, **(spec or {})})
        made.obj["metadata"]["labels"] = dict(labels or {})
        made.create()
        return made

    return start


def until(one, probe, what):
    """Wait for something to be true of the pod as it is stored, once the agent has said anything of it."""

    def look():
        one.reload()
        return "containerStatuses" in one.obj["status"] and probe(one.obj["status"])

    return wait_until(look, what)


def state(one):
    return one.obj["status"]["containerStatuses"][0]


def log(cluster, one):
    return cluster.kubectl("logs", one.name, f"--namespace={one.namespace}")


def ended(one):
    return until(one, lambda status: status.get("phase") in {"Succeeded", "Failed"}, "the pod ends")


def test_a_container_finds_its_variables_files_user_and_account_and_writes_nothing_but_its_emptydir(cluster, run):
    program = """
import json, os, pathlib, socket, ssl, urllib.request
account = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(
    f"https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews", json.dumps(body).encode(),
    {"Authorization": f"Bearer {(account / 'token').read_text()}", "Content-Type": "application/json"})
me = json.load(urllib.request.urlopen(request, context=ssl.create_default_context(cafile=account / "ca.crt")))
pathlib.Path("/run/scratch/file").write_text("written")
refused = []
for folder in ("/run/scratch/..", "/run/conf", "/tmp", os.environ["HOME"]):
    try: pathlib.Path(folder, "x").write_text("")
    except OSError: refused.append(folder)
print(json.dumps({"account": me["status"]["userInfo"], "namespace": (account / "namespace").read_text(),
    "refused": refused, "host": socket.gethostname(), "run": os.listdir("/run"),
    "user": [os.getuid(), os.getgid()], "conf": pathlib.Path("/run/conf/sub/one").read_text(),
    "env": [os.environ["WHERE"], os.environ["NODE"]], "argv": os.sys.argv[1:]}))
"""
    conf = {"name": "it", "items": [{"key": "a", "path": "sub/one"}]}
    one = run(
        program,
        container={
            "args": ["$(WHERE) and $$(NODE)"],
            "env": [
                {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            "securityContext": {"runAsUser": 65532},
            "volumeMounts": [
                {"name": "conf", "mountPath": "/run/conf"},
                {"name": "scratch", "mountPath": "/run/scratch"},
                {"name": "none", "mountPath": "/run/none"},
            ],
        },
        spec={
            "serviceAccountName": "default",
            "securityContext": {"runAsUser": 1, "runAsGroup": 4711},
            "restartPolicy": "Never",
            "volumes": [
                {"name": "conf", "configMap": conf},
                {"name": "scratch", "emptyDir": {}},
                {"name": "none", "secret": {"secretName": "no-such", "optional": True}},
            ],
        },
    )
    # A missing ConfigMap is waited for, and said.
    until(one, lambda status: "configmap it not found" in json.dumps(status), "the ConfigMap is missed")
    cluster.kubectl("create", "configmap", "it", "--from-literal=a=1", f"--namespace={one.namespace}")
    ended(one)
    said = json.loads(log(cluster, one))
    assert one.obj["status"]["phase"] == "Succeeded"
    user = said.pop("account")
    assert user["username"] == f"system:serviceaccount:{one.namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["it"]
    assert said.pop("refused") == ["/run/scratch/..", "/run/conf", "/tmp", "/"]
    assert sorted(said.pop("run")) == ["conf", "none", "scratch", "secrets"]
    assert said == {
        "namespace": one.namespace,
        "host": "it",
        "user": [65532, 4711],
        "conf": "1",
        "env": [one.namespace, "agent"],
        "argv": [f"{one.namespace} and $(NODE)"],
    }


def test_mounted_objects_are_replaced_under_a_running_process_all_files_at_once(cluster, run, namespace):
    program = """
import os, pathlib, time
folder, last = pathlib.Path("/run/s"), None
while True:
    data = os.open(folder / "..data", os.O_PATH)  # one set of files, however often it is replaced meanwhile
    try: now = tuple(pathlib.Path(f"/proc/self/fd/{data}", name).read_text() for name in ("a", "b"))
    except FileNotFoundError: continue  # the set is an old one by now
    finally: os.close(data)
    if now != last: print(*now, flush=True)
    last = now
"""
    literals = ("--from-literal=a={}", "--from-literal=b={}", "--dry-run=client", "--output=yaml")

    def store(value):
        made = cluster.kubectl("create", "secret", "generic", "s", *(each.format(value) for each in literals))
        cluster.kubectl("apply", "--server-side", "--filename=-", f"--namespace={namespace}", stdin=made)

    store("1")
    one = run(
        program,
        container={"volumeMounts": [{"name": "s", "mountPath": "/run/s"}]},
        spec={"volumes": [{"name": "s", "secret": {"secretName": "s"}}]},
    )
    until(one, lambda status: log(cluster, one) == "1 1\n" if status["phase"] == "Running" else None, "it read")
    store("2")
    wait_until(lambda: log(cluster, one) == "1 1\n2 2\n", "it read the new files, and never a mixture")


def test_a_pod_that_is_deleted_runs_its_hook_gets_sigterm_and_then_sigkill(cluster, run, admin):
    program = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
print("up", flush=True)
while True: signal.pause()
"""
    hook = {"exec": {"command": ["python", "-c", "import os; print('hook', os.environ['OURS'])"]}}
    one = run(
        program,
        container={"lifecycle": {"preStop": hook}, "env": [{"name": "OURS", "value": "there"}]},
        spec={"terminationGracePeriodSeconds": 2},
    )
    until(one, lambda status: status["phase"] == "Running" and "up" in log(cluster, one), "it runs")
    (file,) = (cluster.state / "logs").glob(f"{one.namespace}.it.main.log")
    before = one.obj["metadata"]["resourceVersion"]
    one.delete()
    wait_until(lambda: not one.exists(), "it is gone")
    assert file.read_text() == "up\nhook there\ntold\n"
    url = f"{admin.url}/api/v1/namespaces/{one.namespace}/pods?watch=true&resourceVersion={before}&timeoutSeconds=1"
    last = json.loads(admin.session.get(url, timeout=10).text.splitlines()[-1])
    assert last["type"] == "DELETED"
    assert last["object"]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    assert last["object"]["status"]["phase"] == "Failed"


def test_a_container_that_ends_is_started_again_after_a_longer_and_longer_while(cluster, run):
    one = run(
        "print('once', flush=True); raise SystemExit(3)",
        container={"terminationMessagePolicy": "FallbackToLogsOnError"},
    )
    until(one, lambda status: state(one)["restartCount"] >= 2 if status["phase"] == "Running" else None, "two restarts")
    until(one, lambda _: state(one)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff", "it waits")
    ended = state(one)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert "once" in ended["message"]


def test_a_container_that_is_not_well_is_started_again_and_one_that_is_not_ready_is_not(cluster, run):
    alive = {"exec": {"command": ["python", "-c", "open('/run/rw/mark')"]}, "periodSeconds": 1, "failureThreshold": 1}
    mounted = {"volumeMounts": [{"name": "rw", "mountPath": "/run/rw"}]}
    spec = {"volumes": [{"name": "rw", "emptyDir": {}}]}
    sick = run(STAY, name="sick", container={**mounted, "livenessProbe": alive}, spec=spec)
    busy = run(STAY, name="busy", container={**mounted, "readinessProbe": alive}, spec=spec)
    until(sick, lambda _: state(sick)["restartCount"] >= 1, "it is started again")
    busy.reload()
    assert state(busy)["ready"] is False
    assert state(busy)["restartCount"] == 0
    reason = {each["type"]: each.get("reason") for each in busy.obj["status"]["conditions"]}
    assert reason["Ready"] == reason["ContainersReady"] == "ContainersNotReady"


def serve(cluster, namespace):
    """A Service of the pods with the label."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": LABEL, "ports": [{"name": "http", "port": 80, "targetPort": "metrics"}]},
    }
    cluster.kubectl("create", "--filename=-", f"--namespace={namespace}", stdin=json.dumps(service))


def endpoints(cluster, namespace):
    """The ports and the endpoint of each of the agent's slices."""
    text = cluster.kubectl("get", "endpointslices", f"--namespace={namespace}", "--output=json")
    return [(each["ports"], end) for each in json.loads(text)["items"] for end in each.get("endpoints") or ()]


def test_services_lead_to_the_port_that_a_pod_got_as_long_as_it_is_ready(cluster, run, namespace):
    program = f"""
import http.server, os, signal, sys, time
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"here")
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)))
{SERVE}
"""
    serve(cluster, namespace)
    probe = {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1}
    one = run(program, labels=LABEL, container={"ports": PORTS, "readinessProbe": probe})

    def conditions():
        return [end["conditions"] for _, end in endpoints(cluster, namespace)]

    here = {"ready": True, "serving": True, "terminating": False}
    wait_until(lambda: conditions() == [here], "the endpoint is ready")
    ((ports, end),) = endpoints(cluster, namespace)
    assert end["addresses"] == [node_agent.own_address()]
    assert ports[0]["port"] != 8080
    one.delete()
    wait_until(lambda: conditions() == [{"ready": False, "serving": True, "terminating": True}], "it is going")
    wait_until(lambda: not conditions(), "it is gone")


def test_an_image_is_a_folder_that_can_be_named_while_it_runs(cluster, run):
    one = run("print('ran')", image="other:2", spec={"restartPolicy": "Never"})
    until(one, lambda _: "other:2" in json.dumps(state(one)["state"].get("waiting", {})), "the image is missed")
    cluster.agent.add_image("other:2", Path(sys.prefix))
    ended(one)
    assert log(cluster, one) == "ran\n"


@pytest.mark.parametrize(
    ("container", "spec", "what"),
    [
        ({"envFrom": [{"secretRef": {"name": "x"}}]}, {}, "envFrom"),
        ({}, {"initContainers": [{"name": "first", "image": IMAGE}]}, "initContainers"),
        ({}, {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "hostPath"),
    ],
)
def test_what_the_agent_does_not_do_it_says(run, container, spec, what):
    one = run(STAY, container=container, spec=spec)
    until(one, lambda status: what in json.dumps(status.get("containerStatuses")), "it says so")


def test_nothing_outlives_the_agent_and_an_agent_that_is_started_again_goes_on(cluster, run, namespace):
    serve(cluster, namespace)
    gone = run(STAY, name="gone", labels=LABEL, container={"ports": PORTS})
    wait_until(lambda: endpoints(cluster, namespace), "it is served")
    one = run("import os; print(os.getpid(), flush=True); " + STAY)
    first = int(until(one, lambda status: status["phase"] == "Running" and log(cluster, one), "it runs"))
    process = Proc.of(first)
    assert process
    agent = cluster.agent.server
    agent.kill9()
    wait_until(lambda: not process.alive(), "it ended with the agent")
    cluster.kubectl("delete", "pod", gone.name, f"--namespace={namespace}", "--grace-period=0", "--force")
    agent.start_again()
    wait_until(lambda: not endpoints(cluster, namespace), "nobody is sent to what is gone")
    pids = wait_until(lambda: len(lines := log_file(cluster, one)) > 1 and lines, "it is started again")
    assert Proc.of(int(pids[-1]))


def log_file(cluster, one):
    return (cluster.state / "logs" / f"{one.namespace}.it.main.log").read_text().split()
