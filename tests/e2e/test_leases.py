"""The API server keeps the contract that the Lease in memory is held to (tests/component/test_leases.py)."""

import pytest

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import load_credentials
from bizrq.cluster.errors import Denied, Invalid
from bizrq.cluster.leases import ApiLeases, Lease
from bizrq.controller.leader import LEASE_NAME
from testbed import operator_process
from testbed.identities import NAMESPACE
from tests.support.lease_contract import LEASE_CONTRACT, held

pytestmark = pytest.mark.e2e


class Administrator:
    """May do everything."""

    def __init__(self, kubectl):
        self.kubectl = kubectl

    async def delete(self):
        self.kubectl("delete", "lease", LEASE_NAME, f"--namespace={NAMESPACE}", "--ignore-not-found")


@pytest.fixture
async def administrator(cluster):
    operator_process.install(cluster.kubectl)
    made = Administrator(cluster.kubectl)
    await made.delete()
    yield made
    await made.delete()


@pytest.fixture
async def client(cluster, administrator, monkeypatch):
    """The controller's, with the rights that the chart gives."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfigs["bizrq-controller"]))
    async with Client(load_credentials(), user_agent="bizrq-test") as made:
        yield made


@pytest.mark.parametrize("sentence", LEASE_CONTRACT, ids=lambda each: each.__name__)
async def test_api_server(sentence, client, administrator):
    await sentence(ApiLeases(client, NAMESPACE, LEASE_NAME), administrator)


async def test_the_controllers_identity_has_a_right_on_its_own_lease_only(client):
    """Least privilege: its rights are the chart's."""
    for namespace, name in ((NAMESPACE, "another"), ("kube-system", LEASE_NAME)):
        with pytest.raises(Denied, match='cannot get resource "leases"'):
            await ApiLeases(client, namespace, name).read()
    with pytest.raises(Denied, match='cannot create resource "leases"'):
        await ApiLeases(client, "kube-system", LEASE_NAME).create(held(Lease.new(), "a"))


async def test_a_namespace_that_is_not_there_is_named(cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    async with Client(load_credentials(), user_agent="bizrq-test") as admin:
        with pytest.raises(Invalid, match=r'no such namespace: .*"nowhere" not found'):
            await ApiLeases(admin, "nowhere", LEASE_NAME).create(held(Lease.new(), "a"))
