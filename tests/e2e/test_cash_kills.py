"""Cash while controllers and API servers die: the books say what an independent record of the pods says [C4-C6]."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
import time

import pykube
import pytest

from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq, labels_for, tree
from tests.support.kube import client, job, wait_until
from tests.support.recorder import Recorder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

JOBS, AT_ONCE = 300, 40
KILLS_OF_CONTROLLERS, KILLS_OF_API_SERVERS = 10, 2
TEAMS = ("killed-red", "killed-blue")
KEY = "limits.cpu"


@pytest.fixture(scope="module")
def fragile():
    """A cluster of its own, for its API server dies."""
    with Cluster(nodes=2) as started:
        yield started


@pytest.fixture(scope="module")
def api(fragile):
    with client(fragile.kubeconfig) as made:
        yield made


class Jobs:
    """Short Jobs of two bizrqs, some of which end in another way than by themselves."""

    def __init__(self, cluster, api, seed=6):
        self.cluster, self.api, self.chance = cluster, api, random.Random(seed)  # noqa: S311
        self.made = 0
        self.workloads: dict[str, dict[str, object]] = {team: {} for team in TEAMS}

    def create(self):
        """One more; again where the API server was killed under it."""
        self.made += 1
        chance = self.chance
        team, milli = chance.choice(TEAMS), chance.choice([100, 250, 500])
        ends = {"testbed.bizrq.io/run-seconds": str(chance.randint(5, 20))}
        spec = {"containers": [{"name": "c", "image": "x", "resources": {"limits": {"cpu": f"{milli}m"}}}]}
        made = job(self.api, f"j{self.made}", namespace="default", labels=labels_for(team), spec=spec, annotations=ends)
        if chance.random() < 0.3:
            made.obj["spec"]["ttlSecondsAfterFinished"] = 0
        self.workloads[team][until_stored(made)] = {KEY: milli}

    def disturb(self):
        """Delete a pod by force, or evict it; it may be gone by itself meanwhile."""
        try:
            pods = [each for each in pykube.Pod.objects(self.api) if each.obj["status"].get("phase") == "Running"]
            if not pods:
                return
            chosen = self.chance.choice(pods).name
            if self.chance.random() < 0.5:
                self.cluster.kubectl("delete", "pod", chosen, "--force", "--grace-period=0", "--wait=false")
            else:
                self.evict(chosen)
        except (KubectlFailed, pykube.exceptions.HTTPError, OSError):
            return

    def evict(self, name):
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
        url = f"namespaces/default/pods/{name}/eviction"
        self.api.post(version="v1", url=url, json=eviction)


def until_stored(made):
    """Create it, as often as the API server dies under it; its UID."""
    while True:
        try:
            if made.exists():
                made.reload()
                return made.obj["metadata"]["uid"]
            made.create()
        except (pykube.exceptions.HTTPError, OSError):
            time.sleep(0.2)


class Killer(threading.Thread):
    """Kills the controller ten times, and the API server twice, at random moments; it starts them again."""

    def __init__(self, cluster, seconds, seed=7):
        super().__init__(name="killer")
        self.cluster, self.chance = cluster, random.Random(seed)  # noqa: S311
        self.controllers = [start(cluster)]
        self.api_servers = 0
        whom = ["controller"] * KILLS_OF_CONTROLLERS + ["api server"] * KILLS_OF_API_SERVERS
        self.chance.shuffle(whom)
        self.plan = [(seconds * (number + self.chance.random()) / len(whom), each) for number, each in enumerate(whom)]
        self.failed = None

    def run(self):
        began = time.monotonic()
        try:
            for at, whom in self.plan:
                time.sleep(max(0.0, began + at - time.monotonic()))
                if whom == "controller":
                    self.controllers[-1].kill9()
                    self.controllers.append(start(self.cluster))
                else:
                    self.cluster.kill_api_server()
                    self.api_servers += 1
        except Exception as error:  # noqa: BLE001  # told by the test
            self.failed = error


def start(cluster):
    return cluster.start_operator(["--resync-seconds=300"], install=False)


def test_three_hundred_short_jobs_cost_what_their_pods_say_while_everything_is_killed(fragile, api, record_property):
    """[C4-C6] what is missing, if anything, is inside what is stated as uncertain."""
    fragile.start_operator().terminate()
    jobs = Jobs(fragile, api)
    groups = [bizrq(api, team, {f"cash/{KEY}": "1000"}) for team in TEAMS]
    with tree(*groups), Recorder(api) as recorder:
        killer = Killer(fragile, seconds=150)
        killer.start()
        while jobs.made < JOBS:
            jobs.create()
            if jobs.made % 4 == 0:
                jobs.disturb()
            time.sleep(0.45)
        killer.join()
        assert killer.failed is None, killer.failed
        assert (len(killer.controllers), killer.api_servers) == (KILLS_OF_CONTROLLERS + 1, KILLS_OF_API_SERVERS)
        wait_until(lambda: not running(api), "all pods have ended", 120)
        for each in pykube.Job.objects(api):
            each.delete(propagation_policy="Background")
        wait_until(lambda: recorder.saw_all_go("default"), "the recorder saw all pods go", 60)
        for group in groups:
            wait_until(functools.partial(is_at_rest, group), f"nothing of {group.name} is charged any more", 60)
        with contextlib.suppress(AssertionError):  # what is off is told below
            wait_until(lambda: not any(missing(each, recorder, jobs) for each in groups), "the books are right", 10)
        for group in groups:
            cash = group.status()["cash"]
            wrong = missing(group, recorder, jobs)
            record_property(f"{group.name}: wrong, uncertain", (wrong, cash.get("uncertain")))
            assert not wrong, f"{group.name}: off by {wrong}; uncertain: {cash.get('uncertain')}"
        assert killer.controllers[-1].terminate() == 0


def missing(group, recorder, jobs):
    """By how much a ledger is off, beyond what it states as uncertain."""
    cost, cash = recorder.cost(jobs.workloads[group.name]), group.status()["cash"]
    uncertain = int(cash.get("uncertain", {}).get(KEY, "0"))
    return {key: off for key, off in cost.wrong(cash["ledger"]).items() if not -uncertain <= off <= 0}


def running(api):
    return [each.name for each in pykube.Pod.objects(api) if each.obj["status"].get("phase") in {"Pending", "Running"}]


def is_at_rest(group):
    return set(group.status()["cash"]["rate"].values()) <= {"0"}
