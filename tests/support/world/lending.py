"""The world with Rollouts whose template is that of a Deployment: what they demand hangs on two objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.build import workload
from tests.support.controller import DEPLOYMENT, ROLLOUT
from tests.support.world.requests import Change, Request
from tests.support.world.storage import Storage
from tests.support.world.world import AT_ONCE, World

__all__ = ["ROLLOUTS", "LendingWorld"]

JSON = dict[str, Any]

ROLLOUTS = "count/rollouts.argoproj.io"


class LendingStorage(Storage):
    """Both kinds."""

    kinds = (DEPLOYMENT, ROLLOUT)


class LendingWorld(World):
    """A world in which Deployments lend their template."""

    new_storage = LendingStorage

    def has_rollout(self, name: str, under: str | None, of: str, *, replicas: int = 1) -> None:
        """A Rollout is there from the start, with the template of the Deployment ``of``."""
        self.storage.store(self._rollout(name, under, of, replicas))

    def create_rollout(
        self, name: str, under: str | None, of: str, *, replicas: int = 1, how: Mapping[str, Any] = AT_ONCE
    ) -> Request:
        """A Rollout is to be made."""
        new = self._rollout(name, under, of, replicas)
        del new["metadata"]["resourceVersion"]
        return self.ask(Change(name, lambda _: new, new=new), **how)

    def refer(self, name: str, to: str, *, how: Mapping[str, Any] = AT_ONCE) -> Request:
        """A Rollout is to have the template of another Deployment."""

        def referring(raw: JSON) -> JSON:
            raw["spec"]["workloadRef"]["name"] = to
            return raw

        return self.ask(Change(name, referring), **how)

    def _rollout(self, name: str, under: str | None, of: str, replicas: int) -> JSON:
        raw = workload(
            name,
            kind="Rollout",
            api_version="argoproj.io/v1alpha1",
            bizrq=under,
            replicas=replicas,
            uid=self._uid(name),
            generation=1,
        )
        del raw["spec"]["template"]
        return {
            **raw,
            "spec": {**raw["spec"], "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}},
        }
