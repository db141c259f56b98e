"""[R4] which Lease a controller asks for, and what it does when it begins to lead."""

import kubernetes.client
import pytest

from bizrq.clock import SystemClock
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import Credentials
from bizrq.cluster.leases import ApiLeases
from bizrq.controller import run
from bizrq.controller.leader import Alone, Elector
from bizrq.controller.run import Controller
from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.rotation import Rules
from bizrq.settings import Certificates, ControllerSettings, SecretName
from bizrq.workloads.registry import built_in
from tests.support.build import bizrq
from tests.support.cas_store import CasStore


def controller(namespace, **settings):
    credentials = Credentials(kubernetes.client.Configuration(host="http://127.0.0.1:1"))
    made = Controller(ControllerSettings(lease_namespace=namespace, **settings), built_in(), credentials, SystemClock())
    made._wire(Client(credentials, user_agent="bizrq-test"))
    return made


@pytest.mark.parametrize(
    ("told", "pod", "url"),
    [
        ("quotas", "bizrq-system", "/namespaces/quotas/leases"),
        (None, "bizrq-system", "/namespaces/bizrq-system/leases"),
        ("", "bizrq-system", None),
        (None, None, None),
    ],
    ids=["told", "that of the pod", "told that there is none", "outside of a cluster"],
)
async def test_the_lease_is_in_the_namespace_that_was_told_or_in_that_of_the_pod(monkeypatch, told, pod, url):
    monkeypatch.setattr(run, "pod_namespace", lambda: pod)
    leadership = controller(told)._leadership
    if url is None:
        assert isinstance(leadership, Alone)
    else:
        assert isinstance(leadership, Elector)
        assert isinstance(leadership._leases, ApiLeases)
        assert leadership._leases._url.endswith(url)


async def test_whoever_begins_to_lead_looks_at_every_bizrq():
    made = controller("quotas")
    store = CasStore()
    for name in ("team", "dept"):
        made._inventory.put_bizrq(read_bizrq(store.put(bizrq(name, hard={"pods": "1"}))))
    made._sync._due.clear()
    made._leads(False)
    assert made._sync._due == {}
    made._leads(True)
    assert sorted(made._sync._due) == ["dept", "team"]


async def test_a_controller_that_does_not_lead_yet_lets_its_wakes_go():
    assert controller("quotas")._sync._leading() is False
    assert controller("")._sync._leading() is True


async def test_the_certificate_is_kept_by_whoever_leads_where_a_secret_is_named():
    assert controller("quotas")._certificates is None
    told = {"webhook_secret": SecretName("quotas", "ours"), "webhook_certificate_days": 2.0}
    for lease, leads in (("quotas", False), ("", True)):
        keeper = controller(lease, **told, webhook_certificates=Certificates.EXTERNAL)._certificates
        assert keeper._rules == Rules(lifetime=2 * 86_400, propagation=300, certificates=False)
        assert keeper._leading() is leads
        assert keeper._objects._secret == "/api/v1/namespaces/quotas/secrets/ours"
        assert keeper._objects._configuration.endswith("/validatingwebhookconfigurations/bizrq")
    assert controller("", **told)._certificates._rules.certificates
