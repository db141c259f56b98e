"""Kinds come and go while the controller runs."""

import asyncio
import contextlib

import pytest

from bizrq.cluster.errors import NotFound, Unavailable
from bizrq.cluster.objects import Definition, Named, Owned
from bizrq.cluster.reflector import Reflector
from bizrq.controller import appearance
from bizrq.controller.appearance import Appearance, Definitions
from bizrq.controller.feed import Feed, take_over
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.owners import Owners
from bizrq.workloads.kind import Resource
from tests.support.build import workload
from tests.support.cas_store import CasStore
from tests.support.controller import DEPLOYMENT, ONE_CORE, Controller, until

WIDGETS = Resource("example.com", "v1", "widgets", "Widget")
JOBS = Resource("batch", "v1", "jobs", "Job")


def definition(name):
    return Definition(Named(uid=name, resource_version="1", name=name))


class Reads:
    """An API server that serves what it is told to."""

    def __init__(self):
        self.served = {JOBS.id}
        self.away = False
        self.looks = 0
        self.defined = {WIDGETS.id}
        self.unpublished = set()

    async def serves(self, resource):
        self.looks += 1
        if self.away:
            raise Unavailable("away")
        return resource.id in self.served

    async def is_published(self, resource):
        return resource.id not in self.unpublished

    async def is_defined(self, resource):
        return resource.id in self.defined


@pytest.fixture
async def world():
    """A running watch for kinds, and how often it told of a change."""
    reads, told = Reads(), []

    async def changed():
        told.append(sorted(reads.served))

    watch = Appearance({WIDGETS, JOBS}, reads, changed, seconds=0.5)
    task = asyncio.create_task(watch.run())
    await until(lambda: reads.looks == 2)
    yield watch.definitions, reads, told
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_kind_that_is_defined_is_told_of_once_it_is_served(world):  # [R4]
    definitions, reads, told = world
    definitions.changed(definition("widgets.example.com"), 0)
    looks = reads.looks
    await until(lambda: reads.looks > looks)
    assert told == [], "it is not served yet"
    reads.served.add(WIDGETS.id)
    await until(lambda: told == [["jobs.batch", "widgets.example.com"]])


async def test_a_kind_that_is_served_is_told_of_once_discovery_tells_of_it(world):  # [R1]
    """Kopf would not find it before, and never look again."""
    definitions, reads, told = world
    reads.unpublished.add(WIDGETS.id)
    reads.served.add(WIDGETS.id)
    definitions.changed(definition("widgets.example.com"), 0)
    looks = reads.looks
    await until(lambda: reads.looks > looks + 2)
    assert told == []
    reads.unpublished.clear()
    await until(lambda: told == [["jobs.batch", "widgets.example.com"]])


async def test_what_there_is_at_the_start_is_known_once_it_was_looked_for():
    """What discovery does not tell of then is told of later: nothing comes unnoticed in between."""
    reads, told = Reads(), []
    reads.served.add(WIDGETS.id)
    reads.unpublished.add(WIDGETS.id)

    async def changed():
        told.append(sorted(reads.served - reads.unpublished))

    watch = Appearance({WIDGETS, JOBS}, reads, changed, seconds=0.1)
    task = asyncio.create_task(watch.run())
    await asyncio.wait_for(watch.looked.wait(), 5)
    assert told == []
    reads.unpublished.clear()
    await until(lambda: told == [["jobs.batch", "widgets.example.com"]])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_kind_that_is_defined_in_other_versions_only_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(appearance, "_POLL_SECONDS", 0)
    reads = Reads()
    reads.defined.clear()
    waits = Appearance({WIDGETS, JOBS}, reads, lambda: asyncio.sleep(0), seconds=3600)
    waits.definitions.changed(definition("widgets.example.com"), 0)
    await waits._look()
    assert reads.looks == 2, "each resource once"


async def test_a_kind_that_goes_is_told_of(world):
    definitions, reads, told = world
    reads.served.add(WIDGETS.id)
    definitions.changed(definition("widgets.example.com"), 0)
    await until(lambda: len(told) == 1)
    reads.served.discard(WIDGETS.id)
    definitions.deleted(definition("widgets.example.com"), 0)
    await until(lambda: told[1:] == [["jobs.batch"]])


async def test_a_kind_that_no_crd_defines_is_noticed_some_time(world):
    _, reads, told = world
    reads.served.add(WIDGETS.id)
    await until(lambda: told == [["jobs.batch", "widgets.example.com"]])


async def test_an_api_server_that_is_away_is_asked_again(world):
    definitions, reads, told = world
    reads.away = True
    definitions.changed(definition("widgets.example.com"), 0)
    looks = reads.looks
    await until(lambda: reads.looks > looks)
    reads.away, reads.served = False, {*reads.served, WIDGETS.id}
    await until(lambda: len(told) == 1)


def test_a_list_of_crds_tells_which_are_gone():
    told: list[str] = []
    definitions = Definitions(told.append)
    for name in ("a", "b"):
        definitions.changed(definition(name), 0)
    definitions.list_began()
    definitions.listed(definition("b"), 0)
    definitions.list_ended(7, 0)
    assert told == ["a", "b", "b", "a"]
    assert ("a" in definitions, "b" in definitions) == (False, True)


# --- the list of a kind that is not there ---


class NoKinds:
    """An API server that has bizrqs and nothing else."""

    async def get(self, url, **_):
        if "bizgroupresourcequotas" not in url:
            raise NotFound(url)
        return b'{"metadata": {"resourceVersion": "900"}, "items": []}'


def feed(controller):
    return Feed(NoKinds(), controller.reads, controller.inventory, [DEPLOYMENT], DEFAULT_GPU_RESOURCES)  # type: ignore[arg-type]


async def test_a_kind_that_is_not_there_is_an_empty_list(clock):  # [R4]
    """What was held of it is gone, and its claims may close."""
    controller = Controller(CasStore(), clock)
    controller.workload(workload(template=ONE_CORE, version=70))
    take_over(await feed(controller).list_all(), controller.inventory)
    assert len(controller.inventory.workloads) == 0
    assert controller.inventory.workloads.listed_at("deployments.apps") == 900


async def test_a_kind_that_is_defined_and_not_served_yet_is_no_empty_list(clock):  # [R4]
    controller = Controller(CasStore(), clock)
    controller.reads.defined.add("deployments.apps")
    with pytest.raises(Unavailable, match=r"deployments\.apps are defined and not served yet"):
        await feed(controller).list_all()


# --- what may stand between, and may not be there ---


class Missing:
    """An API server without Jobs, until it has them."""

    def __init__(self):
        self.there = False

    async def get(self, url, **_):
        if not self.there:
            raise NotFound(url)
        owners = '[{"uid": "uid-set", "controller": true}]'
        item = f'{{"metadata": {{"uid": "uid-job", "resourceVersion": "8", "ownerReferences": {owners}}}}}'
        return f'{{"metadata": {{"resourceVersion": "9"}}, "items": [{item}]}}'.encode()

    async def watch(self, url, **_):
        if not self.there:
            raise NotFound(url)
        await asyncio.sleep(3600)
        yield b""


async def test_a_resource_that_is_not_there_is_waited_for(clock):
    """[R4, C7] nothing waits for its first list, and it is looked for when it may be there."""
    api, owners, failures = Missing(), Owners(lambda _: None), []
    reflector = Reflector(
        api,  # type: ignore[arg-type]
        "/apis/batch/v1/jobs",
        Owned,
        owners.sink(JOBS),
        clock,
        may_be_missing=True,
        failed=lambda: failures.append(1),
    )
    task = asyncio.create_task(reflector.run())
    await asyncio.wait_for(reflector.synced.wait(), 5)
    assert owners.workload_of("uid-job") == "uid-job"
    api.there = True
    reflector.look_again()
    await until(lambda: owners.workload_of("uid-job") == "uid-set")
    assert failures == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_that_must_be_there_is_a_failure(clock):
    failures = []
    sink = Owners(lambda _: None).sink(JOBS)
    reflector = Reflector(Missing(), "/api/v1/pods", Owned, sink, clock, failed=lambda: failures.append(1))  # type: ignore[arg-type]
    task = asyncio.create_task(reflector.run())
    await until(lambda: failures)
    assert not reflector.synced.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
