"""[P3] the overhead of RuntimeClasses: what the webhook claims and what the controller counts is the same."""

import asyncio

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.controller.arrivals import Arrivals
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.review import GroupVersionKind, GroupVersionResource, Request
from bizrq.webhook.routes import routes_over
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in
from tests.support.build import runtime_class, workload
from tests.support.cas_store import CasStore
from tests.support.controller import DEPLOYMENT, ONE_CORE, Controller, team, until

CPU = "limits.cpu"
KATA = {**ONE_CORE, "runtimeClassName": "kata"}


class World:
    """A store with one group of ten cores, a controller and a webhook, and RuntimeClasses for live reads."""

    def __init__(self, clock):
        self.store = CasStore()
        self.store.put(team())
        self.controller = Controller(self.store, clock)
        self.controller.start([], 50)
        self.controller.see("team")
        self.inventory, self.reads = self.controller.inventory, self.controller.reads
        self.routes = routes_over(
            self.store, self.reads, built_in(), DEFAULT_GPU_RESOURCES, clock, WebhookMetrics()
        )  # fmt: skip
        self.arrivals = Arrivals(self.inventory, self.reads)

    def add_class(self, cpu, *, version=1, told=True):
        """A RuntimeClass is stored; ``told``: its watch has told of it."""
        made = self.reads.classes["kata"] = runtime_class("kata", cpu, version=version)
        if told:
            self.inventory.runtime_classes.changed(made, 0)

    async def review(self, new, old=None):
        """The webhook's verdict about a Deployment."""
        request = Request(
            uid="review",
            kind=GroupVersionKind(group="apps", version="v1", kind="Deployment"),
            resource=GroupVersionResource(group="apps", version="v1", resource="deployments"),
            operation="UPDATE" if old else "CREATE",
            name=new["metadata"]["name"],
            namespace=new["metadata"]["namespace"],
            object=new,
            old_object=old,
        )
        return await self.routes["workloads"](request, asyncio.get_running_loop().time() + 5)

    async def written(self):
        """What is used after the controller's next write."""
        self.controller.see("team")
        status = await self.controller.write("team")
        return status["used"][CPU], len(status.get("claims") or ())

    def claimed(self):
        """What is used right now, as the last writer said."""
        return self.store.status("team")["used"][CPU]


@pytest.fixture
async def world(clock):
    made = World(clock)
    await made.controller.write("team")
    return made


def web(replicas=4, template=KATA, version=1, **fields):
    raw = workload("web", replicas=replicas, template=template, version=version, **fields)
    if version == 0:
        del raw["metadata"]["resourceVersion"]
    return raw


async def test_what_is_claimed_with_overhead_is_counted_with_it(world):
    """[P3, A4] the claim closes, and nothing changes."""
    world.add_class("250m")
    assert (await world.review(web(version=0))).allowed
    assert world.claimed() == "5"
    world.controller.workload(web(version=200))
    assert await world.written() == ("5", 0)


async def test_a_workload_that_fits_only_without_its_overhead_is_refused(world):
    """[P3, A2] with the count that fits."""
    world.add_class("250m")
    verdict = await world.review(web(9, version=0))
    assert not verdict.allowed
    assert "requested: limits.cpu=11250m, used: limits.cpu=0, limited: limits.cpu=10" in verdict.message
    assert verdict.message.endswith("the largest replica count that fits is 8")


async def test_a_workload_of_a_class_that_is_not_there_is_admitted_without_overhead(world):
    """[P3] the API server makes no pods of it until there is one."""
    assert (await world.review(web(version=0))).allowed
    assert world.claimed() == "4"
    world.controller.workload(web(version=200))
    assert await world.written() == ("4", 0)


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(web(3), id="fewer replicas"),
        pytest.param(web(template={**KATA, "nodeName": "n"}), id="another field"),
        pytest.param(web(bizrq=None), id="no label any more"),
    ],
)
async def test_what_grows_nothing_is_allowed_without_a_look_at_its_class(world, new, monkeypatch):
    """[A5]."""

    async def unread(name):
        raise AssertionError(name)

    monkeypatch.setattr(world.reads, "runtime_class", unread)
    assert (await world.review(new, old=web())).allowed


async def test_growth_whose_class_cannot_be_read_is_to_be_tried_again(world, monkeypatch):
    """[A13, P3] and what grows nothing does not need it [A5]."""

    async def fails(_name):
        raise Unavailable("no API server")

    monkeypatch.setattr(world.reads, "runtime_class", fails)
    verdict = await world.review(web(5), old=web())
    assert (verdict.allowed, verdict.code) == (False, 429)
    assert (await world.review(web(3), old=web())).allowed
    suspended = web()
    suspended["spec"]["replicas"] = 0
    assert (await world.review(suspended, old=web())).allowed


async def test_naming_a_class_with_overhead_is_growth(world):
    """[A1, P3]."""
    world.add_class("250m")
    assert (await world.review(web(), old=web(template=ONE_CORE))).allowed
    assert world.claimed() == "1", "what grew"
    world.controller.workload(web(version=200))
    assert await world.written() == ("5", 0)


async def test_leaving_a_class_with_overhead_makes_room_for_larger_containers(world):
    """[A5, P3] the old overhead counts too: this grows nothing."""
    world.add_class("1")
    world.controller.workload(web())
    assert await world.written() == ("8", 0)
    two = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]}
    assert (await world.review(web(template=two), old=web())).allowed
    assert world.claimed() == "8"


async def test_a_class_that_changes_changes_the_demand_of_its_workloads(world):
    """[P3, R1] and of no others; the bizrq is woken."""
    world.add_class("250m")
    world.controller.workload(web())
    world.controller.workload(workload("plain", template=ONE_CORE))
    assert await world.written() == ("6", 0)
    for version, cpu, used in ((2, "500m", "7"), (3, None, "5")):
        world.controller.woken.clear()
        world.add_class(cpu, version=version)
        assert world.controller.woken == {"team"}
        assert await world.written() == (used, 0)
    world.controller.workload_deleted(web(), 300)
    assert await world.written() == ("1", 0)


async def test_a_workload_read_before_a_class_changed_is_counted_with_what_it_adds_now(world):
    """[P3] a list is taken over some seconds after it was read."""
    world.add_class("250m")
    read = read_workload(web(), DEPLOYMENT, DEFAULT_GPU_RESOURCES, world.inventory.runtime_classes.overheads)
    world.add_class("500m", version=2)
    world.inventory.put_workload(read)
    assert await world.written() == ("6", 0)


# --- a watch of workloads that is ahead of the watch of classes ---


async def test_a_workload_is_not_counted_before_its_class_is_known(world):
    """[P3, A4] its claim stays until then: else what it claimed for overhead would be given away."""
    world.add_class("250m", told=False)
    assert (await world.review(web(version=0))).allowed
    task = asyncio.create_task(world.arrivals.run())
    for version in (199, 200):
        world.arrivals.put(read_workload(web(version=version), DEPLOYMENT, DEFAULT_GPU_RESOURCES))
    assert (await world.written())[0] == "5"
    await until(lambda: world.inventory.workloads.get("uid-web"))
    assert world.inventory.workloads.get("uid-web").version == 200
    assert await world.written() == ("5", 0)
    task.cancel()


async def test_a_workload_of_a_class_that_is_not_there_is_counted_after_a_look(world):
    """[P3]."""
    task = asyncio.create_task(world.arrivals.run())
    reads = world.reads.reads
    world.arrivals.put(read_workload(web(version=200), DEPLOYMENT, DEFAULT_GPU_RESOURCES))
    await until(lambda: world.inventory.workloads.get("uid-web"))
    assert world.reads.reads == reads + 1
    assert await world.written() == ("4", 0)
    task.cancel()


async def test_workloads_that_wait_for_a_class_are_counted_once_it_can_be_read(world, monkeypatch, caplog):
    """[P3] and those without a class do not wait."""
    monkeypatch.setattr("bizrq.controller.arrivals._RETRY_SECONDS", 0.01)
    world.add_class("250m", told=False)
    answers = [Unavailable("no API server"), list(world.reads.classes.values())]

    async def runtime_classes():
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    monkeypatch.setattr(world.reads, "runtime_classes", runtime_classes)
    task = asyncio.create_task(world.arrivals.run())
    world.arrivals.put(read_workload(web(version=200), DEPLOYMENT, DEFAULT_GPU_RESOURCES))
    world.arrivals.put(read_workload(workload("plain", template=ONE_CORE), DEPLOYMENT, DEFAULT_GPU_RESOURCES))
    assert await world.written() == ("1", 0)
    await until(lambda: world.inventory.workloads.get("uid-web"))
    assert await world.written() == ("6", 0)
    assert "RuntimeClasses cannot be read, 1 workloads wait for them" in caplog.text
    task.cancel()


async def test_a_claim_settled_by_a_live_read_is_counted_with_overhead(world, clock):
    """[P3, A4] no watch has told of the workload, nor of its class."""
    world.add_class("250m", told=False)
    assert (await world.review(web(version=0))).allowed
    assert await world.written() == ("5", 1)
    world.reads.workloads["deployments.apps", "shop", "web"] = web(version=200)
    clock.waited += 120
    assert await world.written() == ("5", 0)
