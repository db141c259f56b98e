"""A cluster where bizrq counts and refuses: what a test asks of it, and how it waits for what must come.

Nothing here takes a time for an answer: `until` waits for figures, `stays` for recounts of the controller that change
none, and pods that must not end yet are held in their termination until a test lets them go.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import pykube
import requests
from prometheus_client.parser import text_string_to_metric_families

from bizrq.domain.bizrq import LABEL
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from testbed.operator_process import Operator
from tests.support.bizrqs import Bizrq, bizrq
from tests.support.kube import client, wait_until

__all__ = ["HELD", "RECOUNT_SECONDS", "WITHIN", "Guarded", "Team", "guarded", "pod_spec"]

JSON = dict[str, Any]

WITHIN: Final = 60.0
"""Seconds that a busy machine may take for what must happen."""

RECOUNT_SECONDS: Final = 1

RUN, TERMINATE, END = (f"testbed.bizrq.io/{name}" for name in ("run-seconds", "terminate-seconds", "end"))

HELD: Final = {TERMINATE: "3600"}
"""Annotations of pods that, once deleted, go on until `Guarded.let_go`."""


def pod_spec(limits: Mapping[str, str], *, name: str = "main", **fields: Any) -> JSON:
    """The spec of a pod of one container; its grace is long enough for one that is held."""
    container = {"name": name, "image": "none", "resources": {"limits": dict(limits)}}
    return {"containers": [container], "terminationGracePeriodSeconds": 7200, **fields}


class Team:
    """A root of its own, with figures to wait for."""

    def __init__(self, made: Bizrq, recounts: Callable[[], float]) -> None:
        self.bizrq, self.name = made, str(made.name)
        self._recounts = recounts

    def used(self, *keys: str) -> dict[str, str | None]:
        """The figures of some keys, or of all that are no hours, read anew."""
        used = self.bizrq.status().get("used") or {}
        return {key: used.get(key) for key in keys or [each for each in used if not each.startswith("cash/")]}

    def lines(self) -> list[str]:
        """Its open claims."""
        return list(self.bizrq.status().get("claims") or [])

    def until(self, figures: Mapping[str, str], seconds: float = WITHIN) -> None:
        """Wait until ``used`` is this."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.used(*figures) == figures, "used", seconds)
        self._is(figures)

    def stays(self, figures: Mapping[str, str]) -> None:
        """Wait until ``used`` is this; it must be so as long as the controller counts everything anew twice."""
        self.until(figures)
        begun = self._recounts()

        def twice() -> bool:
            self._is(figures)
            return self._recounts() >= begun + 2

        wait_until(twice, "two recounts", WITHIN)
        self._is(figures)

    def _is(self, figures: Mapping[str, str]) -> None:
        seen = self.used(*figures)
        assert seen == figures, f"used of {self.name} is {seen}, not {dict(figures)}"

    def until_settled(self) -> None:
        """Wait until everything that was granted was seen."""
        wait_until(lambda: not self.lines(), "no claim is open", WITHIN)


class Guarded:
    """A cluster with a controller and two webhooks that are asked about everything in it."""

    def __init__(self, cluster: Cluster, api: pykube.HTTPClient, controller: Operator) -> None:
        self.cluster, self.kubectl, self.api, self.controller = cluster, cluster.kubectl, api, controller

    def recounts(self) -> float:
        """How often the controller has counted everything anew."""
        text = requests.get(self.controller.metrics_url, timeout=30).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "bizrq_resyncs_total" and sample.labels == {"outcome": "done"}
        )

    def team(self, hard: Mapping[str, str]) -> Team:
        """A new root, counted once."""
        made = bizrq(self.api, f"g-{time.time_ns():x}", hard)
        made.create()
        team = Team(made, self.recounts)
        team.until({key: "0" for key in hard if not key.startswith("cash/")})
        return team

    @contextlib.contextmanager
    def space(self) -> Iterator[str]:
        """A namespace of a test's own; nobody waits for its end."""
        name = f"t-{time.time_ns():x}"
        self.kubectl("create", "namespace", name)
        yield name
        self.kubectl("delete", "namespace", name, "--wait=false")

    def create(self, raw: Mapping[str, Any], user: str = "admin") -> JSON:
        """Create an object; as it was stored."""
        made: JSON = json.loads(self.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(raw), user=user))
        return made

    def refusal(self, *arguments: str, raw: Mapping[str, Any] | None = None, user: str = "admin") -> str:
        """What kubectl says to a command, or to the creation of an object, that must be refused."""
        told = ("create", "-f", "-") if raw is not None else arguments
        try:
            self.kubectl(*told, stdin=json.dumps(raw) if raw is not None else "", user=user)
        except KubectlFailed as refused:
            return str(refused)
        raise AssertionError(f"admitted: {told}")

    def get(self, *arguments: str) -> JSON:
        """Read an object or a list."""
        found: JSON = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def pods(self, space: str, *phases: str, selector: str = "") -> list[JSON]:
        """The pods of a namespace, by name; of some phases only, where they are named."""
        items = self.get("pods", f"--namespace={space}", f"--selector={selector}")["items"]
        return [each for each in items if not phases or each["status"].get("phase") in phases]

    def until_running(self, space: str, count: int, selector: str = "") -> list[JSON]:
        """Wait until so many pods run."""

        def are() -> list[JSON] | None:
            found = self.pods(space, "Running", selector=selector)
            return found if len(found) == count else None

        return wait_until(are, f"{count} pods run", WITHIN) if count else []

    def let_go(self, pod: Mapping[str, Any]) -> None:
        """End the termination of a pod that is held."""
        self._annotate(pod, f"{TERMINATE}=0")

    def finish(self, pod: Mapping[str, Any], end: str = "Succeeded") -> None:
        """Have a running pod end by itself."""
        self._annotate(pod, f"{RUN}=0", f"{END}={end}")

    def _annotate(self, pod: Mapping[str, Any], *annotations: str) -> None:
        where = f"--namespace={pod['metadata']['namespace']}"
        self.kubectl("annotate", "--overwrite", "pod", pod["metadata"]["name"], *annotations, where)

    @classmethod
    @contextlib.contextmanager
    def started(cls, state: Path, pieces: Sequence[str] = (), arguments: Sequence[str] = ()) -> Iterator[Self]:
        """Start all of it; ``pieces`` are those of other projects, ``arguments`` those of the webhooks."""
        with Cluster(state, pieces=pieces) as cluster:
            controller = cluster.start_operator([f"--resync-seconds={RECOUNT_SECONDS}"])
            with cluster.start_webhooks(arguments=arguments) as webhooks, client(cluster.kubeconfig) as api:
                webhooks.install()
                yield cls(cluster, api, controller)


def guarded(raw: Mapping[str, Any], team: Team | None, **models: str) -> JSON:
    """An object with the label of a team, and with models of hardware: ``gpu="A30"``."""
    labels = {LABEL: team.name} if team else {}
    labels |= {f"{LABEL}/{what}-type": model for what, model in models.items()}
    return {**raw, "metadata": {**raw["metadata"], "labels": labels}}
