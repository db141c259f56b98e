"""Cash on the real control plane, held to the second against an independent record of the same pods."""

from __future__ import annotations

import functools
import random
import time
from dataclasses import dataclass, field

import pykube
import pytest

from tests.support.bizrqs import bizrq, labels_for, tree
from tests.support.kube import deployment, job, wait_until
from tests.support.recorder import Recorder

pytestmark = pytest.mark.e2e

SECONDS = 120
TEAMS = ("cash-red", "cash-green", "cash-blue")
BUDGETS = {"cash/limits.cpu": "1000", "cash/requests.nvidia.com/gpu": "1000"}
GOES_AT_ONCE: dict[str, str] = {}
TAKES_ITS_TIME = {"testbed.bizrq.io/terminate-seconds": "3"}


@dataclass
class Churn:
    """Deployments that come, go, shrink and grow, and short Jobs, of three bizrqs; always the same ones."""

    api: pykube.HTTPClient
    namespace: str
    rng: random.Random = field(default_factory=lambda: random.Random(20260105))  # noqa: S311
    made: int = 0
    deployments: list[pykube.Deployment] = field(default_factory=list)
    workloads: dict[str, dict[str, dict[str, int]]] = field(default_factory=lambda: {team: {} for team in TEAMS})
    """By team: UID of each workload, with the milli-units that one of its pods holds, by key."""

    def create(self) -> None:
        """One more workload."""
        rng = self.rng
        self.made += 1
        team, milli, gpus = rng.choice(TEAMS), rng.choice([100, 250, 500]), rng.choice([0, 0, 1])
        limits = {"cpu": f"{milli}m", **({"nvidia.com/gpu": "1"} if gpus else {})}
        spec = {"containers": [{"name": "c", "image": "x", "resources": {"limits": limits}}]}
        make = self._deployment if rng.random() < 0.5 else self._job
        made = make(labels_for(team), spec)
        held = {"limits.cpu": milli, "requests.nvidia.com/gpu": gpus * 1000}
        self.workloads[team][made.obj["metadata"]["uid"]] = held

    def _deployment(self, labels, spec):
        made = deployment(self.api, f"d{self.made}", namespace=self.namespace, replicas=self.rng.randint(1, 8),
                          labels=labels, spec=spec,
                          annotations=self.rng.choice([GOES_AT_ONCE, TAKES_ITS_TIME]))  # fmt: skip
        made.create()
        self.deployments.append(made)
        return made

    def _job(self, labels, spec):
        rng = self.rng
        ends = {"testbed.bizrq.io/run-seconds": str(rng.randint(1, 20))}
        if rng.random() < 0.5:
            ends["testbed.bizrq.io/end"] = "Failed"
        made = job(self.api, f"j{self.made}", namespace=self.namespace, labels=labels, spec=spec, annotations=ends)
        count = rng.randint(1, 8)
        made.obj["spec"] |= {"parallelism": count, "completions": count}
        if rng.random() < 0.5:
            made.obj["spec"]["ttlSecondsAfterFinished"] = 0
        made.create()
        return made

    def disturb(self) -> None:
        """Scale a Deployment, or delete it."""
        if not self.deployments or self.rng.random() < 0.5:
            return
        chosen = self.rng.choice(self.deployments)
        if self.rng.random() < 0.3:
            self.deployments.remove(chosen)
            chosen.delete()
        else:
            chosen.reload()
            chosen.patch({"spec": {"replicas": self.rng.randint(0, 8)}})

    def end(self) -> None:
        """Delete what is left."""
        for each in self.deployments:
            each.delete()
        for each in pykube.Job.objects(self.api).filter(namespace=self.namespace):
            each.delete(propagation_policy="Background")
        wait_until(lambda: not list(pykube.Pod.objects(self.api).filter(namespace=self.namespace)), "no pods", 120)


@pytest.mark.timeout(600)
def test_two_hundred_pods_over_three_bizrqs_cost_what_their_events_say(cluster, admin, namespace, record_property):
    """[C1-C4] sum over pods of amount x (E - S), to the second."""
    running = cluster.start_operator(["--resync-seconds", "5"])
    churn = Churn(admin, namespace)
    with tree(*(bizrq(admin, team, BUDGETS) for team in TEAMS)) as groups, Recorder(admin) as recorder:
        deadline = time.monotonic() + SECONDS
        while (began := time.monotonic()) < deadline:
            churn.create()
            churn.disturb()
            time.sleep(max(0.0, began + 1.5 - time.monotonic()))
        churn.end()
        wait_until(lambda: recorder.saw_all_go(namespace), "the recorder saw all pods go")
        pods = decided_by_arrival = 0
        for group in groups:
            wait_until(functools.partial(is_at_rest, group), f"nothing of {group.name} is charged any more")
            cost = recorder.cost(churn.workloads[group.name])
            group.until_ledger_says(cost)
            pods, decided_by_arrival = pods + cost.pods, decided_by_arrival + cost.decided_by_arrival
    record_property("pods", pods)
    record_property("pods whose end the arrival of an event decided", decided_by_arrival)
    assert pods >= 200
    assert decided_by_arrival <= pods // 20
    assert running.terminate() == 0


def is_at_rest(group):
    return set(group.status()["cash"]["rate"].values()) == {"0"}
