"""[C5, C7] what happened to workloads that came and went while nobody watched, and to what stands between."""

import logging

import msgspec
import pytest

from bizrq.cluster.errors import NotFound
from bizrq.controller.gone_owners import GoneOwners
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.registry import built_in
from tests.support.build import NOW, pod, workload
from tests.support.controller import ONE_CORE, pod_object
from tests.support.policy import owned


class Api:
    """What the watches of an API server tell; it does not have the other resources."""

    def __init__(self, **told):
        self.told, self.asked = told, []

    async def watch(self, path, *, params):
        plural = path.rpartition("/")[2]
        self.asked.append((plural, params.get("labelSelector", "")))
        if plural not in self.told:
            raise NotFound("the server could not find the requested resource")
        for type_, raw in self.told[plural]:
            yield msgspec.json.encode({"type": type_, "object": raw})


def ray_job():
    raw = workload("train", kind="RayJob", api_version="ray.io/v1")
    raw["spec"] = {"rayClusterSpec": {"headGroupSpec": {"template": {"spec": ONE_CORE}}}}
    return raw


def ray_cluster():
    raw = workload("ray", kind="RayCluster", api_version="ray.io/v1", bizrq=None)
    return owned(raw, "ray.io/v1", "RayJob", "train")


@pytest.fixture
def inventory():
    """Of a controller whose replay tells that a pod of a RayCluster went."""
    inventory = Inventory(lambda _: None, DEFAULT_GPU_RESOURCES, lambda: NOW)
    inventory.pods.replay_began(10)
    raw = pod("head", spec=ONE_CORE, phase="Running", node="n1", scheduled=NOW - 60, version=40)
    inventory.pods.deleted(pod_object(owned(raw, "ray.io/v1", "RayCluster", "ray")), NOW)
    return inventory


async def look(inventory, api):
    await GoneOwners(inventory, api, built_in(), DEFAULT_GPU_RESOURCES).look()
    return [each.uid for each in inventory.pods.of("team")]


async def test_a_chain_that_is_gone_is_followed_to_its_workload(inventory):
    """[C7] over what stands between, which has no label."""
    api = Api(rayjobs=[("DELETED", ray_job())], rayclusters=[("ADDED", ray_cluster()), ("DELETED", ray_cluster())])
    assert await look(inventory, api) == ["uid-head"]
    assert {("rayjobs", "biz.group.resource.quota"), ("rayclusters", "")} <= set(api.asked)
    assert "deployments" not in {plural for plural, _ in api.asked}, "nothing of a Deployment is called RayCluster"


async def test_an_owner_that_only_lost_a_version_is_not_gone(inventory):
    api = Api(rayjobs=[("MODIFIED", ray_job())], rayclusters=[("DELETED", ray_cluster())])
    assert await look(inventory, api) == []


async def test_kinds_that_the_cluster_does_not_have_are_passed_over(inventory, caplog):
    """[R4]"""
    caplog.set_level(logging.INFO)
    api = Api(rayjobs=[("DELETED", ray_job())], rayclusters=[("DELETED", ray_cluster())])
    assert await look(inventory, api) == ["uid-head"]
    assert "rayservices" in {plural for plural, _ in api.asked}
    assert not [each for each in caplog.messages if "rayservices" in each]
