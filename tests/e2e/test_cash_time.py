"""Cash as time passes: a budget that runs out, and workloads that change their group while their pods run."""

from __future__ import annotations

import time

import pykube
import pytest

from bizrq.domain.bizrq import LABEL
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq, labels_for, tree
from tests.support.instants import CPU
from tests.support.kube import client, deployment, parse_time, wait_until
from tests.support.recorder import Recorder, start_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

CASH = f"cash/{CPU}"
TWO_CORES = {"containers": [{"name": "c", "image": "x", "resources": {"limits": {"cpu": "2"}}}]}
IN_TIME = 2
"""Seconds after a budget is reached within which that is told [C8]."""


@pytest.fixture(scope="module")
def spending(tmp_path_factory):
    """A cluster whose controller counts anew every five minutes only, with two webhooks."""
    with Cluster(tmp_path_factory.mktemp("spending"), nodes=2) as started:
        started.start_operator().terminate()
        with started.start_webhooks(install=False) as webhooks:
            webhooks.install()
            yield started


@pytest.fixture(scope="module")
def api(spending):
    with client(spending.kubeconfig) as made:
        yield made


@pytest.fixture
def controllers(spending):
    """The controllers that were started, the last of which runs."""
    started = [start(spending)]
    yield started
    started[-1].terminate()


def start(cluster):
    return cluster.start_operator(["--resync-seconds=300"], install=False)


def runs(api, name, team, replicas):
    """A Deployment of pods with two cores, all of which have their node."""
    made = deployment(api, name, namespace="default", replicas=replicas, labels=labels_for(team), spec=TWO_CORES)
    made.create()
    wait_until(lambda: len(starts(api, name)) == replicas, f"{replicas} pods of {name} have a node")
    return made


def starts(api, name):
    pods = pykube.Pod.objects(api).filter(namespace="default", selector={"app": name})
    return [at for each in pods if (at := start_of(each.obj)) is not None]


def exhausted(group):
    """When CashExhausted turned True, by the status; None before."""
    conditions = group.status().get("conditions", ())
    return next((parse_time(each["lastTransitionTime"]) for each in conditions
                 if (each["type"], each["status"]) == ("CashExhausted", "True")), None)  # fmt: skip


def counted(group):
    wait_until(lambda: CASH in group.status().get("used", {}), f"{group.name} is counted")


def until(moment, seconds):
    """Sleep until so many seconds after an instant."""
    time.sleep(max(0.0, moment + seconds - time.time()))


def test_c8_a_budget_that_runs_out_is_told_within_two_seconds(spending, api, controllers):
    """[C8, A6] with a resync every five minutes; then growth is refused, and what runs goes on."""
    with tree(bizrq(api, "soon-spent", {CASH: "0.01"})) as (group,):  # 36 core-seconds
        counted(group)
        web = runs(api, "web", group.name, replicas=1)
        (began,) = starts(api, "web")
        reached = began + 18
        until(reached, -2)
        assert exhausted(group) is None
        at = wait_until(lambda: exhausted(group), "CashExhausted", 2 + IN_TIME + 1)
        assert time.time() < reached + IN_TIME + 0.5, "a half for reading it"
        assert reached <= at <= reached + IN_TIME
        with pytest.raises(KubectlFailed, match=r"exceeded quota: soon-spent, used: cash/limits.cpu=0\.01\d*, limited: "
                                                r"cash/limits.cpu=0\.01"):  # fmt: skip
            spending.kubectl("scale", "deployment/web", "--replicas=2")
        web.reload()
        assert web.obj["status"]["readyReplicas"] == 1, "what runs goes on"
        web.delete()
        wait_until(lambda: not starts(api, "web"), "its pod is gone")


def test_c8_hours_that_a_child_overruns_run_out_for_its_parent_in_time(api, controllers):
    """[C8, T6] a child takes from its parent what it uses beyond its own hours."""
    with tree(bizrq(api, "dept-c8", {CASH: "0.02"})) as (dept,):
        counted(dept)
        with tree(bizrq(api, "team-c8", {CASH: "0.005"}, parent="dept-c8")) as (team,):
            overrun(api, dept, team)
        wait_until(lambda: not team.exists(), "the child is gone")


def overrun(api, dept, team):
    counted(team)
    web = runs(api, "over", team.name, replicas=1)
    (began,) = starts(api, "over")
    wait_until(lambda: exhausted(team), "the child's hours are gone", 9 + IN_TIME + 3)
    assert exhausted(dept) is None
    reached = began + 35  # 70 core-seconds: what a child takes counts in whole thousandths of an hour, rounded up
    at = wait_until(lambda: exhausted(dept), "the parent's hours are gone", 36)
    assert reached <= at <= reached + IN_TIME
    web.delete()
    wait_until(lambda: not starts(api, "over"), "its pod is gone")


@pytest.mark.parametrize("killed", [False, True], ids=["controller goes on", "controller killed"])
def test_c7_a_new_label_closes_one_segment_and_opens_the_next(spending, api, controllers, killed):
    """[C7] both ledgers together are what the pods cost; the moment is that of the claim."""
    red, blue = (bizrq(api, f"{colour}-{int(killed)}", {CASH: "1000"}) for colour in ("red", "blue"))
    with tree(red, blue), Recorder(api) as recorder:
        for group in (red, blue):
            counted(group)
        web = runs(api, "moves", red.name, replicas=3)
        uid = web.obj["metadata"]["uid"]
        time.sleep(4)
        before = time.time()
        spending.kubectl("label", "deployment/moves", f"{LABEL}={blue.name}", "--overwrite")
        after = time.time()
        if killed:
            controllers[-1].kill9()
            time.sleep(3)
            controllers.append(start(spending))
        time.sleep(4)
        began = starts(api, "moves")
        web.delete()
        wait_until(lambda: recorder.saw_all_go("default"), "the pods are gone")
        cost = recorder.cost({uid: {CPU: 2000}})

        def ledgers():
            return [int(group.status()["cash"]["ledger"].get(CPU, "0")) for group in (red, blue)]

        wait_until(lambda: not cost.wrong({CPU: str(sum(ledgers()))}), "both together are what the pods cost", 15)
        first, _ = ledgers()
        at_least, at_most = (sum(2000 * (int(moment) - each) for each in began) for moment in (before, after + 1))
        assert at_least <= first <= at_most, "the old group pays until the move"
