"""[A8, P5] surge is not charged in quota, is paid in cash, and is told once it has been there for an hour."""

from typing import Any

import pytest

from bizrq.controller import surges
from bizrq.controller.books import ViewTooOldError
from tests.support.build import NOW, bizrq, metadata, pod, workload
from tests.support.cas_store import CasStore
from tests.support.controller import ONE_CORE, Controller
from tests.support.loop import Loop

HARD = {"limits.cpu": "2", "pods": "2", "cash/limits.cpu": "1000"}
SPEC: dict[str, Any] = {"generation": 1, "status": {"observedGeneration": 1}}
HOUR = 3600


class Rollout:
    """Deployment web of two pods, which are all that bizrq team may have, and what a rollout makes beside them."""

    def __init__(self, clock):
        self.store, self.clock = CasStore(), clock
        for name in ("team", "other"):
            self.store.put(bizrq(name, hard=HARD, created=NOW - 3600))
        self.version = 100
        self.pods, self.workloads, self.replica_sets, self.began = {}, {}, [], {}
        self.restart()
        self.put("web")
        for name in ("old-1", "old-2"):
            self.pod(name)

    def restart(self):
        """A new controller, that knows what a list tells."""
        self.loop = Loop(Controller(self.store, self.clock))
        self.controller = self.loop.controller
        known = list(self.workloads.values())
        self.controller.start(list(self.pods.values()), self.version, workloads=known, replica_sets=self.replica_sets)
        self.controller.see(*self.store.names())
        for raw in known:
            self.controller.reads.workloads["deployments.apps", "shop", raw["metadata"]["name"]] = raw

    def put(self, name, replicas=2, **fields):
        self.version += 1
        raw = workload(name, template=ONE_CORE, version=self.version, replicas=replicas, **{**SPEC, **fields})
        self.workloads[name] = raw
        self.controller.workload(raw)
        self.controller.reads.workloads["deployments.apps", "shop", name] = raw

    def pod(self, name, *, of="web", **fields):
        """It gets its node now, or has had it; its ReplicaSet is named after it, as far as the dash."""
        self.version += 1
        began = self.began.setdefault(name, self.clock.time)
        template = f"{of}-{name.partition('-')[0]}"
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": of, "uid": f"uid-{of}"}
        between = {"metadata": metadata(template, controller=owner)}
        self.replica_sets.append(between)
        self.controller.replica_set(between)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": template, "uid": f"uid-{template}"}
        fields = {"phase": "Running", "node": "n", "scheduled": began, "created": began, **fields}
        raw = pod(name, spec=ONE_CORE, version=self.version, controller=owner, **fields)
        self.pods[name] = raw
        self.controller.pod(raw)

    def gone(self, *names):
        for name in names:
            self.version += 1
            raw = self.pods.pop(name)
            del self.began[name]
            self.controller.pod_deleted({**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}})

    async def look(self, name="team"):
        """One look, as an event brings it; the standing condition after it."""
        await self.loop.look(name)
        return self.standing(name)

    def condition(self, name="team"):
        (found,) = [each for each in self.store.status(name)["conditions"] if each["type"] == "SurgeStanding"]
        return found

    def standing(self, name="team"):
        return self.condition(name)["status"]


@pytest.fixture
def rollout(clock):
    return Rollout(clock)


async def test_surge_costs_no_quota_and_all_of_its_hours(rollout, clock):
    """A full quota never blocks a rollout: nothing of it is charged there."""
    await rollout.look()
    rollout.pod("new-1")
    rollout.pod("new-2")
    await rollout.look()
    clock.time += 100
    status = await rollout.controller.write("team")
    assert (status["used"]["limits.cpu"], status["used"]["pods"]) == ("2", "2")
    assert status["cash"]["ledger"] == {"limits.cpu": str(4 * 100 * 1000)}
    rollout.gone("old-1", "old-2")
    clock.time += 100
    status = await rollout.controller.write("team")
    assert status["used"]["limits.cpu"] == "2"
    assert status["cash"]["ledger"] == {"limits.cpu": str(6 * 100 * 1000)}


async def test_it_stands_at_the_very_second_of_an_hour(rollout):
    """59 min 59 s no, an hour yes; the controller wakes for it, and nothing else happens."""
    await rollout.look()
    rollout.pod("new-1")
    assert await rollout.look() == "False"
    await rollout.loop.pass_time(NOW + HOUR - 1)
    assert rollout.standing() == "False"
    await rollout.loop.pass_time(NOW + HOUR)
    assert rollout.condition() == {
        "type": "SurgeStanding", "status": "True", "reason": "RolloutStands", "observedGeneration": 1,
        "message": "deployments.apps/shop/web has 3 pods and is charged for 2, since 2026-01-05T10:00:00Z: "
                   "promote or abort the rollout, or lower its replicas",
        "lastTransitionTime": "2026-01-05T11:00:00Z",
    }  # fmt: skip


async def test_surge_that_begins_at_any_time_is_found_in_time(rollout, clock):
    """All pods are walked over every ten minutes only; that is soon enough."""
    await rollout.look()
    await rollout.loop.pass_time(NOW + 1)
    rollout.pod("new-1")
    assert await rollout.look() == "False"
    await rollout.loop.pass_time(NOW + HOUR)
    assert rollout.standing() == "False"
    await rollout.loop.pass_time(NOW + HOUR + 1)
    assert rollout.standing() == "True"
    assert clock.time == NOW + HOUR + 1


@pytest.mark.parametrize("at", [1, HOUR - 1, HOUR, 2 * HOUR])
async def test_a_restart_changes_nothing(rollout, clock, at):
    """Since when is told by the pods, and by nothing that a process remembers."""
    rollout.pod("new-1")
    await rollout.look()
    await rollout.loop.pass_time(NOW + at)
    before = rollout.condition()
    rollout.restart()
    await rollout.look()
    assert rollout.condition() == before
    await rollout.loop.pass_time(NOW + 3 * HOUR)
    assert rollout.standing() == "True"
    assert rollout.condition()["lastTransitionTime"] == "2026-01-05T11:00:00Z"
    assert clock.time == NOW + 3 * HOUR


async def test_a_walk_over_a_view_that_is_too_old_is_not_remembered(rollout):
    """[C4] else the hour would seem to begin anew, or to be over, after a restart."""
    await standing(rollout)
    before, pods = rollout.condition(), rollout.pods
    rollout.pods, newest, rollout.version = {}, rollout.version, 1
    rollout.restart()
    rollout.controller.reads.pods_at = newest
    with pytest.raises(ViewTooOldError):
        await rollout.look()
    rollout.controller.pods_listed(list(pods.values()), newest)
    await rollout.look()
    assert rollout.condition() == before


async def standing(rollout):
    """A canary that stands."""
    rollout.pod("new-1")
    await rollout.look()
    await rollout.loop.pass_time(NOW + HOUR)
    assert rollout.standing() == "True"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda rollout: rollout.gone("new-1"), id="aborted: its pods are gone"),
        pytest.param(lambda rollout: rollout.gone("old-1"), id="promoted: an old one is gone"),
        pytest.param(
            lambda rollout: rollout.pod("old-1", deletion=NOW + HOUR + 30, grace=30), id="or is being deleted"
        ),
        pytest.param(lambda rollout: rollout.pod("old-1", deletion=NOW + HOUR, grace=0), id="at once"),
        pytest.param(lambda rollout: rollout.pod("old-1", phase="Failed", finished=[NOW + 9]), id="or has ended"),
        pytest.param(lambda rollout: rollout.put("web", replicas=3), id="it is charged: the demand has grown"),
        pytest.param(lambda rollout: rollout.put("web", bizrq="other"), id="the workload has moved"),
    ],
)
async def test_it_ends_with_the_surge(rollout, end):
    await standing(rollout)
    end(rollout)
    assert await rollout.look() == "False"
    assert rollout.condition()["reason"] == "NoneForAnHour"


async def test_it_is_told_where_the_workload_is_now(rollout, clock):
    """Its pods are surge under its new bizrq as well: found by the next walk."""
    await rollout.look("other")
    await standing(rollout)
    rollout.put("web", bizrq="other")
    assert await rollout.look("other") == "False"
    await rollout.loop.pass_time(NOW + HOUR + 900)
    assert (rollout.standing(), rollout.standing("other")) == ("False", "True")
    assert clock.time == NOW + HOUR + 900


async def test_a_rollout_that_is_at_work_does_not_stand(rollout):
    """It replaces its pods one by one; the hour begins with the newest that is one too many."""
    await rollout.look()
    for number in range(1, 5):
        rollout.pod(f"new-{number}")
        await rollout.look()
        await rollout.loop.pass_time(NOW + number * 1800)
        rollout.gone(f"new-{number}")
        await rollout.look()
        assert rollout.standing() == "False"


async def test_another_workload_that_stands_is_named_at_once(rollout):
    await rollout.look()
    rollout.put("api")
    for name in ("v1-1", "v1-2"):
        rollout.pod(name, of="api")
    rollout.pod("new-1")
    await rollout.look()
    await rollout.loop.pass_time(NOW + 60)
    rollout.pod("v2-1", of="api")
    await rollout.look()
    await rollout.loop.pass_time(NOW + HOUR)
    assert "shop/api" not in rollout.condition()["message"]
    await rollout.loop.pass_time(NOW + HOUR + 60)
    assert (
        "shop/web has 3 pods and is charged for 2, since 2026-01-05T10:00:00Z; deployments.apps/shop/api"
        in (rollout.condition()["message"])
    )
    assert rollout.condition()["lastTransitionTime"] == "2026-01-05T11:00:00Z"


async def test_pods_that_outlive_a_demand_are_charged_and_so_no_surge(rollout):
    """[P5]"""
    await rollout.look()
    rollout.put("web", replicas=1)
    await rollout.look()
    await rollout.loop.pass_time(NOW + 2 * HOUR)
    assert rollout.store.status("team")["used"]["pods"] == "2"
    assert rollout.standing() == "False"
    rollout.restart()
    assert await rollout.look() == "False"


async def test_a_pod_without_a_node_is_none(rollout):
    """It holds nothing, and costs nothing."""
    rollout.pod("new-1", phase="Pending", node=None, scheduled=None)
    await rollout.look()
    await rollout.loop.pass_time(NOW + 2 * HOUR)
    assert rollout.standing() == "False"


async def test_pods_of_a_labelled_child_are_those_of_its_owner(rollout):
    """[A8] the ReplicaSet of a canary may carry the label too; it is counted with the Deployment."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
    rollout.controller.workload(
        workload("web-new", kind="ReplicaSet", replicas=1, template=ONE_CORE, version=99, controller=owner, **SPEC)
    )
    rollout.pod("new-1")
    await rollout.look()
    assert rollout.store.status("team")["used"]["pods"] == "2"
    await rollout.loop.pass_time(NOW + HOUR)
    assert rollout.condition()["message"].startswith("deployments.apps/shop/web has 3 pods")


async def test_pods_are_walked_over_every_ten_minutes_however_much_happens(rollout, clock, monkeypatch):
    """A busy bizrq is counted several times a second."""
    walks = []
    found = surges.crowded

    def crowded(bizrq_, inventory):
        walks.append((bizrq_.name, clock.time))
        return found(bizrq_, inventory)

    monkeypatch.setattr(surges, "crowded", crowded)
    for second in (0, 1, 2, 599, 600, 601, 1199):
        clock.time = NOW + second
        rollout.pod(f"new-{second}")
        await rollout.look()
    assert walks == [("team", NOW), ("team", NOW + 600)]
    clock.time = NOW + 5  # a clock that is set back must not put the next walk off
    await rollout.look()
    assert walks[2:] == [("team", NOW + 5)]


async def test_another_bizrq_of_the_name_is_walked_over_anew(rollout):
    rollout.pod("new-1")
    await rollout.look()
    rollout.store._objects.pop("team")
    uid = rollout.controller.inventory.bizrqs.get("team").uid
    rollout.store.version += 1
    rollout.controller.inventory.remove_bizrq(uid, "team", rollout.store.version)
    await rollout.controller.sync.refresh("team")
    assert rollout.controller.sync._crowds.next_standing("team", NOW) is None
    rollout.store.put(bizrq("team", hard=HARD, created=NOW - 3600))
    rollout.controller.see("team")
    await rollout.look()
    await rollout.loop.pass_time(NOW + HOUR)
    assert rollout.standing() == "True"
