"""bizrqs and their workloads on a real cluster, for end-to-end tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pykube
from pykube.objects import APIObject

from bizrq.domain.bizrq import GROUP, KIND, LABEL, PLURAL, VERSION
from tests.support.kube import wait_until
from tests.support.recorder import Cost

__all__ = ["ONE_CORE", "Bizrq", "bizrq", "labels_for", "tree"]

JSON = dict[str, Any]

ONE_CORE = {
    "containers": [
        {"name": "main", "image": "none", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
    ],
    "terminationGracePeriodSeconds": 30,
}


class Bizrq(APIObject):  # type: ignore[misc]  # pykube has no types
    """A BizGroupResourceQuota."""

    version = f"{GROUP}/{VERSION}"
    endpoint = PLURAL
    kind = KIND

    def status(self) -> JSON:
        """Its status, read anew."""
        self.reload()
        return dict(self.obj.get("status") or {})

    def until_ledger_says(self, cost: Cost, seconds: float = 5.0) -> None:
        """Wait until the ledger is what an independent record of the pods says; [R1] gives it 2 s."""
        ledger: Mapping[str, str] = {}

        def is_right() -> bool:
            nonlocal ledger
            ledger = self.status()["cash"]["ledger"]
            return not cost.wrong(ledger)

        with contextlib.suppress(AssertionError):
            wait_until(is_right, "the ledger is right", seconds)
        assert not cost.wrong(ledger), f"{self.name}: off by {cost.wrong(ledger)} of {dict(cost.exact)}"

    def used(self, key: str) -> str | None:
        """One figure of status.used, read anew; None while there is none."""
        found = (self.status().get("used") or {}).get(key)
        return None if found is None else str(found)


def bizrq(api: pykube.HTTPClient, name: str, hard: Mapping[str, str], *, parent: str = "") -> Bizrq:
    """A bizrq, not yet created."""
    spec = {"hard": dict(hard), **({"parentBizGroup": parent} if parent else {})}
    return Bizrq(api, {"apiVersion": Bizrq.version, "kind": KIND, "metadata": {"name": name}, "spec": spec})


@contextlib.contextmanager
def tree(*bizrqs: Bizrq) -> Iterator[tuple[Bizrq, ...]]:
    """Create bizrqs, parents first, and delete them in the end, children first."""
    made: list[Bizrq] = []
    try:
        for each in bizrqs:
            each.create()
            made.append(each)
        yield bizrqs
    finally:
        for each in reversed(made):
            each.delete()


def labels_for(name: str, **models: str) -> dict[str, str]:
    """The labels of a workload of this bizrq; ``cpu="A4"`` names a model."""
    return {LABEL: name, **{f"{LABEL}/{what}-type": model for what, model in models.items()}}
