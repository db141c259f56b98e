"""Certificates and tokens on the real API server: made, rotated while it calls, repaired, by the chart's rights."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
import time

import pytest

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import load_credentials
from bizrq.cluster.errors import Denied
from bizrq.cluster.webhook_objects import ApiWebhookObjects
from bizrq.controller.webhook_forms import ROTATE_ANNOTATION
from testbed import admission, chart, node_agent, operator_process
from testbed.identities import NAMESPACE
from tests.support.bizrqs import bizrq
from tests.support.kube import client, wait_until
from tests.support.secret_volume import SecretVolume
from tests.support.webhook_objects_contract import ENTRIES, WEBHOOK_OBJECTS_CONTRACT

pytestmark = pytest.mark.e2e

SECRET = "bizrq-webhook"
SERVER = f"bizrq-webhook.{NAMESPACE}.svc"
PROPAGATION = 7.0
"""Seconds: a webhook looks at its files every 5."""


class Installed:
    """What helm leaves: an empty Secret, a Service, and a configuration with neither caBundle nor a path."""

    def __init__(self, cluster):
        self.kubectl = cluster.kubectl
        self.made = chart.configuration({"webhook": {"pathToken": "t" * 32}})
        for each in self.made["webhooks"]:
            each["clientConfig"]["service"].pop("path", None)

    def apply(self, *objects):
        self.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def install(self):
        of = {"namespace": NAMESPACE}
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, **of}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bizrq-webhook", **of},
             "spec": {"ports": [{"name": "https", "port": 443}]}},
            self.made,
        )  # fmt: skip

    def lead_to(self, ports):
        """Have the Service lead to these ports of this machine."""
        self.apply(
            *(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {"name": f"bizrq-webhook-{number}", "namespace": NAMESPACE,
                                 "labels": {"kubernetes.io/service-name": "bizrq-webhook"}},
                    "addressType": "IPv4",
                    "endpoints": [{"addresses": [node_agent.own_address()], "conditions": {"ready": True}}],
                    "ports": [{"name": "https", "port": port}],
                }
                for number, port in enumerate(ports)
            )
        )  # fmt: skip

    def configuration(self):
        return json.loads(self.kubectl("get", "validatingwebhookconfigurations", "bizrq", "--output=json"))

    def secret(self):
        raw = json.loads(self.kubectl("get", "secret", SECRET, f"--namespace={NAMESPACE}", "--output=json"))
        return {key: base64.b64decode(value) for key, value in (raw.get("data") or {}).items()}

    def bundle(self):
        config = self.configuration()["webhooks"][0]["clientConfig"]
        return base64.b64decode(config.get("caBundle", "")).decode()

    def remove(self):
        admission.uninstall(self.kubectl)
        for kind in ("secret", "service"):
            self.kubectl("delete", kind, "bizrq-webhook", f"--namespace={NAMESPACE}", "--ignore-not-found")
        self.kubectl("delete", "endpointslices", f"--namespace={NAMESPACE}",
                     "--selector=kubernetes.io/service-name=bizrq-webhook")  # fmt: skip


@contextlib.contextmanager
def repeated(do, seconds):
    """Do it again and again in a thread; what it raises is raised in the end."""
    ended, failed = threading.Event(), []

    def run():
        while not ended.wait(seconds):
            try:
                do()
            except Exception as error:  # noqa: BLE001  # it is raised below
                failed.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failed:
        raise failed[0]


@pytest.fixture(scope="module")
def installed(cluster):
    operator_process.install(cluster.kubectl)
    made = Installed(cluster)
    made.install()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def controllers(cluster, installed):
    """Two, of which one leads."""
    arguments = [f"--webhook-secret={NAMESPACE}/{SECRET}", f"--webhook-propagation-seconds={PROPAGATION:g}"]
    made = [cluster.start_operator(arguments, lease_namespace=NAMESPACE) for _ in range(2)]
    yield made
    for each in made:
        if each.exit_code() is None:
            each.kill9()
    cluster.kubectl("delete", "lease", "bizrq-controller", f"--namespace={NAMESPACE}", "--ignore-not-found")


@pytest.fixture(scope="module")
def webhooks(cluster, installed, controllers, tmp_path_factory):
    """Two behind one address, with the Secret mounted; the API server calls them by the Service."""
    volume = SecretVolume(tmp_path_factory.mktemp("volume"), ("tls.crt", "tls.key", "tokens"))
    wait_until(lambda: "tokens" in installed.secret(), "a certificate and a token are made")
    shown: dict[str, bytes] = {}

    def mount():
        nonlocal shown
        if (read := installed.secret()) != shown:
            volume.write(read)
            shown = read

    mount()
    with repeated(mount, 0.5):
        arguments = [
            f"--cert-file={volume.folder}/tls.crt",
            f"--key-file={volume.folder}/tls.key",
            f"--path-token-file={volume.folder}/tokens",
        ]
        with cluster.start_webhooks(arguments=arguments, install=False) as made:
            installed.lead_to([each.port for each in made.replicas])
            yield made


@pytest.fixture
def create(cluster, webhooks):
    """Create a bizrq, for trial only."""
    with client(cluster.kubeconfig) as api:

        def create():
            made = bizrq(api, f"t-{time.time_ns():x}", {"pods": "1"})
            answer = api.post(version=made.version, url=made.endpoint, params={"dryRun": "All"}, json=made.obj)
            assert answer.status_code == 201, answer.text

        yield create


@pytest.fixture
def shown(webhooks, installed):
    """What a new connection is shown, which goes by the configuration of that moment."""
    port = int(webhooks.address.rpartition(":")[2])

    def shown():
        context = ssl.create_default_context(cadata=installed.bundle())
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname=SERVER) as connection,
        ):
            return connection.getpeercert(binary_form=True)

    return shown


@pytest.fixture
def load(create, shown):
    """Creates and new connections, one after another; none may fail."""
    with repeated(create, 0.02), repeated(shown, 0.2):
        yield


def test_the_first_certificate_and_token_are_made_and_the_api_server_gets_through(create, installed):
    create()
    tokens = installed.secret()["tokens"].decode().split()
    assert len(tokens) == 1
    for each in installed.configuration()["webhooks"]:
        route = each["name"].partition(".")[0].replace("uncounted", "required")
        assert each["clientConfig"]["service"]["path"] == f"/{tokens[0]}/{route}"


def test_a_rotation_during_load_fails_no_create_though_its_leader_ends(load, installed, controllers):
    first = installed.secret()
    installed.kubectl("annotate", "secret", SECRET, f"--namespace={NAMESPACE}", f"{ROTATE_ANNOTATION}=now")
    wait_until(lambda: "next-tls.crt" in installed.secret(), "a rotation begins")
    leads = next(each for each in controllers if "leads" in each.log.read_text().rpartition("this controller")[2])
    leads.terminate()
    wait_until(
        lambda: len((new := installed.secret())["tokens"].split()) == 1 and new["tls.crt"] != first["tls.crt"],
        "the rotation ends", 60,
    )  # fmt: skip
    last = installed.secret()
    wait_until(lambda: installed.bundle() == last["ca.crt"].decode(), "the old authority is forgotten")
    assert not {"next-tls.crt", "next-tls.key"} & set(last)
    assert not set(first["tokens"].split()) & set(last["tokens"].split())
    assert first["ca.crt"] not in last["ca.crt"]


def test_helm_upgrade_keeps_what_was_written_and_may_take_entries_away_and_add_them(installed):
    """As helm 4 does, which applies on the server, where another writer's fields stay."""

    def upgrade(*entries):
        helm = ("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "--filename=-")
        installed.kubectl(*helm, stdin=json.dumps({**installed.made, "webhooks": [*entries]}))
        return {each["name"]: each["clientConfig"] for each in installed.configuration()["webhooks"]}

    *most, last = installed.made["webhooks"]
    before = upgrade(*most, last)
    assert all("path" in config["service"] for config in before.values())
    assert upgrade(*most) == {name: config for name, config in before.items() if name != last["name"]}
    upgrade(*most, last)
    wait_until(lambda: upgrade(*most, last) == before, "the new entry is called as the others are")


def test_a_secret_that_was_emptied_is_filled_again_and_no_create_fails(load, installed, shown):
    before = installed.secret()
    installed.kubectl("patch", "secret", SECRET, f"--namespace={NAMESPACE}", "--type=json",
                      '--patch=[{"op": "remove", "path": "/data"}]')  # fmt: skip
    wait_until(lambda: installed.secret().get("tls.crt"), "there is a certificate again")
    made = installed.secret()["tls.crt"].decode()
    assert made != before["tls.crt"].decode()
    wait_until(lambda: shown() == ssl.PEM_cert_to_DER_cert(made), "the webhooks serve it")


def test_a_configuration_made_anew_by_helm_is_repaired(create, installed):
    admission.uninstall(installed.kubectl)
    installed.apply(installed.made)

    def gets_through():
        with contextlib.suppress(AssertionError):
            create()
            return all("path" in each["clientConfig"]["service"] for each in installed.configuration()["webhooks"])

    wait_until(gets_through, "the API server gets through again", 20)


@pytest.fixture
async def ours(cluster, installed, monkeypatch):
    """The objects with the rights that the chart gives the controller; nobody else writes to them."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfigs["bizrq-controller"]))
    async with Client(load_credentials(), user_agent="bizrq-test") as made:
        yield made


@pytest.mark.parametrize("sentence", WEBHOOK_OBJECTS_CONTRACT, ids=lambda each: each.__name__)
async def test_api_server(sentence, ours, installed, controllers):
    """The contract that the objects in memory are held to (tests/component/test_webhook_objects.py)."""
    for each in controllers:
        if each.exit_code() is None:
            each.kill9()
    admission.uninstall(installed.kubectl)
    made = [each for each in installed.made["webhooks"] if each["name"] in ENTRIES]
    installed.apply({**installed.made, "webhooks": made})
    await sentence(ApiWebhookObjects(ours, namespace=NAMESPACE, secret=SECRET, configuration="bizrq"))


async def test_the_controller_may_read_and_write_these_two_objects_and_no_other(ours):
    """Least privilege: its rights are the chart's."""
    others = ApiWebhookObjects(ours, namespace=NAMESPACE, secret="another", configuration="another")
    elsewhere = ApiWebhookObjects(ours, namespace="kube-system", secret=SECRET, configuration="bizrq")
    for asked in (
        others.read_secret(),
        others.read_configuration(),
        others.replace_secret({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "another"}}),
        others.patch_entries("1", {}),
        elsewhere.read_secret(),
        ours.get(f"/api/v1/namespaces/{NAMESPACE}/secrets"),
        ours.post(f"/api/v1/namespaces/{NAMESPACE}/secrets", {"metadata": {"name": "another"}}),
    ):
        with pytest.raises(Denied):
            await asked
