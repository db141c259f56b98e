"""[A7] live reads of the API server; names for a hint come from one list within some seconds."""

import asyncio
import json

import pytest

from bizrq.cluster import reads
from bizrq.cluster.errors import NotFound, Unavailable
from bizrq.cluster.reads import ApiReads
from bizrq.workloads.kind import Resource
from bizrq.workloads.registry import built_in

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Server:
    """Answers GETs, once they are let through, and notes them."""

    def __init__(self):
        self.asked: list[tuple[str, str]] = []
        self.names = ["dept", "team"]
        self.errors: list[Exception] = []
        self.free = asyncio.Event()
        self.free.set()

    async def get(self, path, *, accept="application/json", **_):
        self.asked.append((path, accept))
        await asyncio.sleep(0)
        await self.free.wait()
        if self.errors:
            raise self.errors.pop(0)
        items = [{"metadata": {"name": name}} for name in self.names]
        return json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode()

    async def get_object(self, path, **_):
        self.asked.append((path, ""))
        raise NotFound(path)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def live(server):
    return ApiReads(server)


# --- names -----------------------------------------------------------------------------------------------------------


async def test_however_many_wrong_labels_there_are_names_are_listed_once(server, live):
    """Whoever misspells may do so a thousand times a second: one list serves all who wait for it."""
    server.free.clear()
    asked = [asyncio.create_task(live.bizrq_names()) for _ in range(200)]
    for _ in range(5):
        await asyncio.sleep(0)
    server.free.set()
    assert await asyncio.gather(*asked) == [["dept", "team"]] * 200
    for _ in range(50):
        await live.bizrq_names()
    assert len(server.asked) == 1


async def test_names_are_listed_without_what_the_objects_say(server, live):
    """A bizrq may have 1.5 MB."""
    await live.bizrq_names()
    assert server.asked == [("/apis/quota.bizrq.io/v1/bizgroupresourcequotas", METADATA)]


async def test_names_are_some_seconds_old_at_most(server, live, monkeypatch):
    assert reads._NAMES_SECONDS == 5.0
    await live.bizrq_names()
    server.names = ["dept"]
    assert await live.bizrq_names() == ["dept", "team"]
    monkeypatch.setattr(reads, "_NAMES_SECONDS", -1.0)
    assert await live.bizrq_names() == ["dept"]
    assert len(server.asked) == 2


async def test_a_list_of_names_that_failed_is_not_kept(server, live):
    """[A13]."""
    server.errors = [Unavailable("503")]
    with pytest.raises(Unavailable):
        await live.bizrq_names()
    assert await live.bizrq_names() == ["dept", "team"]


async def test_whoever_gives_up_waiting_for_names_leaves_them_to_the_others(server, live):
    server.free.clear()
    first, second = (asyncio.create_task(live.bizrq_names()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    server.free.set()
    assert await second == ["dept", "team"]


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../../api/v1/secrets", "a/b", "team?watch=true", "team#", "a b", "%2e%2e"])
async def test_a_name_that_is_none_leads_to_no_other_address(server, live, name):
    """Names come from labels, which anybody writes."""
    assert await live.bizrq(name) is None
    assert await live.workload(built_in()[0], name, name) is None
    for path, _ in server.asked:
        rest = path.removeprefix("/apis/quota.bizrq.io/v1/bizgroupresourcequotas/")
        rest = rest.removeprefix("/apis/apps/v1/namespaces/").replace("/deployments/", "", 1)
        assert not set("/?# ") & set(rest)


# --- kinds that may not be there -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "established", "defined"),
    [
        pytest.param([("v1", True)], "True", True, id="served, or about to be"),
        pytest.param([("v1alpha1", True), ("v1", False)], "True", False, id="not served in this version"),
        pytest.param([("v1", True)], "False", False, id="with names that another has: never served"),
        pytest.param(None, None, False, id="no CRD"),
    ],
)
async def test_a_kind_is_defined_by_a_crd_that_is_established_and_serves_its_version(
    server, live, monkeypatch, versions, established, defined
):
    """[R4] only then is a 404 no answer."""

    async def get_object(path, **_):
        assert path == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com"
        if versions is None:
            raise NotFound(path)
        return {
            "spec": {"versions": [{"name": name, "served": served} for name, served in versions]},
            "status": {"conditions": [{"type": "Established", "status": established}]},
        }

    monkeypatch.setattr(server, "get_object", get_object)
    assert await live.is_defined(Resource("example.com", "v1", "widgets", "Widget")) == defined


async def test_what_the_api_server_does_not_serve_is_not_there(server, live):
    """[R4]"""
    widgets = Resource("example.com", "v1", "widgets", "Widget")
    assert await live.serves(widgets)
    server.errors.append(NotFound("widgets"))
    assert not await live.serves(widgets)
    server.errors.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await live.serves(widgets)


@pytest.mark.parametrize(
    ("groups", "resources", "published"),
    [
        pytest.param({"example.com": ["v1"]}, ["gadgets", "widgets"], True, id="it is listed"),
        pytest.param({}, ["widgets"], False, id="its group is not listed yet"),
        pytest.param({"example.com": ["v2"]}, ["widgets"], False, id="in another version"),
        pytest.param({"example.com": ["v1"]}, ["gadgets"], False, id="others of its group are"),
        pytest.param({"example.com": ["v1"]}, None, False, id="its group has no list yet"),
    ],
)
async def test_a_kind_is_published_where_discovery_lists_its_group_and_itself(
    server, live, monkeypatch, groups, resources, published
):
    async def get_object(path, **_):
        if path == "/apis":
            versions = {name: [{"version": each} for each in listed] for name, listed in groups.items()}
            return {"groups": [{"name": name, "versions": each} for name, each in versions.items()]}
        assert path == "/apis/example.com/v1"
        if resources is None:
            raise NotFound(path)
        return {"resources": [{"name": name} for name in resources]}

    monkeypatch.setattr(server, "get_object", get_object)
    assert await live.is_published(Resource("example.com", "v1", "widgets", "Widget")) == published


async def test_a_kind_of_the_core_has_no_group_to_be_listed(server, live, monkeypatch):
    async def get_object(path, **_):
        assert path == "/api/v1"
        return {"resources": [{"name": "pods"}]}

    monkeypatch.setattr(server, "get_object", get_object)
    assert await live.is_published(Resource("", "v1", "pods", "Pod"))


# --- what may own pods -----------------------------------------------------------------------------------------------


async def test_the_uids_of_owners_are_those_of_kinds_and_replica_sets_but_for_orphans(server, live, monkeypatch):
    """[P5] a ReplicaSet that a Deployment made, and that nothing controls any more, is no owner that is there."""
    owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": True}]
    hashed = {"pod-template-hash": "5d"}
    found: dict[str, list[dict[str, object]]] = {
        "/apis/apps/v1/deployments": [{"uid": "deployment"}],
        "/apis/apps/v1/replicasets": [
            {"uid": "owned", "labels": hashed, "ownerReferences": owner},
            {"uid": "orphan", "labels": hashed},
            {"uid": "bare", "labels": {"app": "a"}},
        ],
    }

    async def get(path, **_):
        if path not in found:
            raise NotFound(path)
        items = [{"metadata": each} for each in found[path]]
        return json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode()

    monkeypatch.setattr(server, "get", get)
    assert await live.uids_of(built_in()) == {"deployment", "owned", "bare"}


@pytest.mark.parametrize(("more", "known"), [("", {"u": 5}), ("token", None)])
async def test_the_pods_of_a_namespace_are_one_page_or_unknown(server, live, monkeypatch, more, known):
    """[P5] of "" they are those of all namespaces."""
    asked = []

    async def get(path, *, params, **_):
        asked.append((path, params))
        page = {
            "metadata": {"resourceVersion": "9", "continue": more},
            "items": [{"metadata": {"uid": "u", "resourceVersion": "5"}}],
        }
        return json.dumps(page).encode()

    monkeypatch.setattr(server, "get", get)
    assert await live.pods_in("shop") == known
    assert await live.pods_in("") == known
    assert await live.pods_version() == 9
    assert asked == [
        ("/api/v1/namespaces/shop/pods", {"limit": "1000"}),
        ("/api/v1/pods", {"limit": "1000"}),
        ("/api/v1/pods", {"limit": "1"}),
    ]


async def test_a_kind_that_is_not_there_is_not_asked_for_again_within_some_seconds(monkeypatch):
    """Each Deployment would cost a request more where no Rollouts are installed [A5]."""
    server = Server()
    live = ApiReads(server)  # type: ignore[arg-type]  # all it uses
    rollouts = next(kind for kind in built_in() if kind.id == "rollouts.argoproj.io")
    server.errors = [NotFound("rollouts")]
    assert [await live.workloads_in(rollouts, "shop") for _ in range(3)] == [None, None, None]
    assert len(server.asked) == 1
    monkeypatch.setattr(live, "_absent", {rollouts.id: asyncio.get_running_loop().time()})
    assert len(await live.workloads_in(rollouts, "shop") or ()) == len(server.names)
