"""Do the shipped alerts fire, keep silent and resolve, on what a real Prometheus sees of the real processes?

Durations of the rules are divided by 60, so that minutes take seconds; thresholds are as shipped. Each alert by itself
is proven in tests/alerts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pykube
import pytest
import requests

from testbed import metrics
from testbed.cluster import Cluster
from tests.support.bizrqs import bizrq, labels_for
from tests.support.kube import client, deployment, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.parts("prometheus"), pytest.mark.timeout(240)]

FASTER: Final = 60
"""What takes an hour in the rules takes a minute here."""

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(?<=\[)\d+[mhd](?=\])|(?<=for: )\d+[mhd]$|(?<=offset )\d+[mhd]\b", re.MULTILINE)

FAST_CORES: Final = 20
FAST_CORE_SECONDS: Final = 900
"""Gone after 45 s."""


def faster(rules: str) -> str:
    """The rules with their ranges and waits divided."""
    return _DURATION.sub(lambda found: f"{int(found[0][:-1]) * _UNITS[found[0][-1]] // FASTER}s", rules)


@dataclass(frozen=True)
class Watched:
    """A cluster with controller and webhooks, and a Prometheus that alerts."""

    cluster: Cluster
    api: pykube.HTTPClient
    url: str

    def ask(self, path: str, **params: str) -> Any:
        """What Prometheus answers."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=params, timeout=30)
        answer.raise_for_status()
        return answer.json()["data"]

    def value(self, query: str) -> float | None:
        """The value of a query that finds one series; None while there is none."""
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def states(self, name: str, group: str = "") -> list[str]:
        """The states of an alert now, of one group where that is named."""
        alerts = self.ask("alerts")["alerts"]
        return [
            each["state"]
            for each in alerts
            if each["labels"]["alertname"] == name and each["labels"].get("bizrq", "") == group
        ]

    def until(self, name: str, state: str | None, group: str = "", seconds: float = 90) -> None:
        """Wait until an alert is in this state; None: until it is in none."""
        wanted = [] if state is None else [state]
        wait_until(lambda: self.states(name, group) == wanted, f"{name} of {group or 'all'} is {state}", seconds)

    def had(self, group: str) -> dict[str, list[str]]:
        """Each alert that a group had, with its states in the order in which they began."""
        found: dict[str, list[tuple[float, str]]] = {}
        query = f'min_over_time(timestamp(ALERTS{{bizrq="{group}"}})[10m:1s])'
        for each in self.ask("query", query=query)["result"]:
            labels = each["metric"]
            found.setdefault(labels["alertname"], []).append((float(each["value"][1]), labels["alertstate"]))
        return {name: [state for _, state in sorted(states)] for name, states in found.items()}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    pieces, folder = ["prometheus", "operator"], tmp_path_factory.mktemp("alerts")
    with (
        Cluster(folder, pieces=pieces, operator_args=["--resync-seconds=20"]) as cluster,
        client(cluster.kubeconfig) as api,
    ):
        cluster.load_rules(faster(metrics.ALERTS.read_text(encoding="utf-8")))
        found = Watched(cluster, api, cluster.description["prometheus_url"])
        wait_until(lambda: rule(found, "BizrqMeterAbsent")["duration"] == 300 / FASTER, "the rules are taken over")
        yield found


def rule(watched: Watched, name: str) -> dict[str, Any]:
    """A rule as Prometheus has it."""
    rules = [each for group in watched.ask("rules")["groups"] for each in group["rules"]]
    (found,) = (each for each in rules if each["name"] == name)
    return dict(found)


def zone_in_the_morning() -> str:
    """A time zone where it is seven or eight in the morning, so that no day ends while the test runs."""
    hour = time.gmtime().tm_hour
    ahead = (8 - hour + 12) % 24 - 12  # of UTC
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def root_with_a_day(watched: Watched, name: str, core_seconds: float | None = None) -> None:
    """A root with so many core-seconds a day, by default as many as one core needs to its end."""
    made = bizrq(watched.api, name, {"cash/limits.cpu": "1000"})
    made.obj["spec"]["cashPeriod"] = {"every": "Day", "timeZone": zone_in_the_morning()}
    made.create()
    end = f'bizrq_cash_period_end_timestamp_seconds{{bizrq="{name}"}}'
    ends = wait_until(lambda: watched.value(end), "the period of the group is scraped")
    budget = ends - time.time() if core_seconds is None else core_seconds
    made.patch({"spec": {"hard": {"cash/limits.cpu": f"{budget / 3600:.3f}"}}})


def cores(watched: Watched, group: str, count: int) -> pykube.Deployment:
    """A Deployment of one pod that holds so many cores."""
    limits = {"cpu": str(count), "memory": "1Gi"}
    made = deployment(
        watched.api,
        group,
        namespace="default",
        labels=labels_for(group),
        spec={"containers": [{"name": "main", "image": "none", "resources": {"limits": limits}}]},
    )
    made.create()
    return made


def test_fast_spend_burns_exhausts_and_is_over_at_zero_while_a_spend_at_plan_is_silent(watched: Watched) -> None:
    root_with_a_day(watched, "at-plan")
    cores(watched, "at-plan", 1)
    root_with_a_day(watched, "too-fast", FAST_CORE_SECONDS)
    spending = cores(watched, "too-fast", FAST_CORES)
    watched.until("BizrqCashBurnFast", "firing", "too-fast")
    watched.until("BizrqCashExhausted", "firing", "too-fast")
    spending.reload()
    spending.patch({"spec": {"replicas": 0}})
    for name in ("BizrqCashExhausted", "BizrqCashBurnFast"):
        watched.until(name, None, "too-fast")
    had = watched.had("too-fast")
    assert had["BizrqCashBurnFast"] == ["pending", "firing"]
    assert had["BizrqCashExhausted"] == ["pending", "firing"]
    assert watched.had("at-plan") == {}
    assert watched.value('bizrq_cash_spend{bizrq="at-plan"}') == 1


def test_webhooks_that_are_killed_are_alerted_within_a_minute_or_so(watched: Watched) -> None:
    assert watched.states("BizrqEnforcementOff") == []
    webhooks = watched.cluster.webhooks
    for each in webhooks.replicas:
        each.kill9()
    watched.until("BizrqEnforcementOff", "firing")
    for index in range(len(webhooks.replicas)):
        webhooks.restart(index)
    watched.until("BizrqEnforcementOff", None)
