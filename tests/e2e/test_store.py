"""The API server keeps the contract that the store in memory is held to (tests/component/test_store.py)."""

import msgspec
import pytest

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import load_credentials
from bizrq.cluster.store import BIZRQS_URL, ApiStore
from testbed import operator_process
from tests.support.bizrqs import Bizrq
from tests.support.store_contract import CONTRACT

pytestmark = pytest.mark.e2e


class Administrator:
    """May do everything."""

    def __init__(self, api):
        self.api = api
        self.made = set()

    async def create(self, raw):
        self.made.add(raw["metadata"]["name"])
        made = Bizrq(self.api, raw)
        made.create()
        return made.obj

    async def update_spec(self, name, spec):
        found = Bizrq.objects(self.api).get(name=name)
        found.patch({"spec": spec})
        return found.obj

    async def delete(self, name):
        self.made.discard(name)
        Bizrq.objects(self.api).get(name=name).delete()


@pytest.mark.parametrize("sentence", CONTRACT, ids=lambda each: each.__name__)
async def test_api_server(sentence, cluster, admin, monkeypatch):
    operator_process.install(cluster.kubectl)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfigs["bizrq-controller"]))
    administrator = Administrator(admin)
    async with Client(load_credentials(), user_agent="bizrq-test") as client:
        await sentence(ApiStore(client), administrator)
    for name in administrator.made:
        Bizrq.objects(admin).get(name=name).delete()


async def test_the_controllers_identity_may_not_change_a_spec(cluster, admin, monkeypatch):
    """Least privilege: its rights are the chart's."""
    from bizrq.cluster.errors import Denied

    operator_process.install(cluster.kubectl)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfigs["bizrq-controller"]))
    made = Bizrq(admin, {"apiVersion": Bizrq.version, "kind": Bizrq.kind, "metadata": {"name": "mine"}, "spec": {}})
    made.create()
    try:
        async with Client(load_credentials(), user_agent="bizrq-test") as client:
            raw = msgspec.json.decode(await client.get(f"{BIZRQS_URL}/mine"))
            with pytest.raises(Denied, match='cannot update resource "bizgroupresourcequotas"'):
                await client.put(f"{BIZRQS_URL}/mine", raw)
    finally:
        made.delete()
