"""Which series has each bizrq?

They are made at each scrape of the bizrqs that there are then, so a bizrq that is gone has none, and of a controller
that stands by there are none at all. No label names a pod or a workload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bizrq.domain.bizrq import Bizrq
from bizrq.observability.bizrq_figures import Figures, Tree, figures_of

__all__ = ["BizrqMetrics", "Shown"]

_GAUGES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "bizrq_info": (("parent", "root"), "Always 1: the place of a bizrq in its tree; the parent of a root is empty."),
    "bizrq_hard": (("key",), "What spec.hard allows, in the unit of the key: cores, bytes, cards, pods."),
    "bizrq_used": (("key",), "What is used, with what its children take, in the unit of the key."),
    "bizrq_self_used": (("key",), "What its own workloads use, in the unit of the key."),
    "bizrq_cash_hard_resource_seconds": (("key",), "The budget that spec.hard grants, in units x seconds."),
    "bizrq_cash_used_resource_seconds": (
        ("key",),
        "What is used of a budget by now, with what its children take, in units x seconds.",
    ),
    "bizrq_cash_self_used_resource_seconds": (
        ("key",),
        "What its own pods have cost by now in the period that runs, in units x seconds.",
    ),
    "bizrq_cash_spend": (
        ("key",),
        "Units by which used grows now: what its own pods hold, and what children spend beyond their budgets.",
    ),
    "bizrq_cash_self_spend": (("key",), "Units that its own pods hold: cores, cards."),
    "bizrq_cash_uncertain_resource_seconds": (
        ("key",),
        "The most that the books of the period that runs may lack, in units x seconds; only where that is not 0.",
    ),
    "bizrq_cash_exhaustion_timestamp_seconds": (
        ("key",),
        "When a budget is used up at the present spend, or since when it is; absent where it lasts out its period.",
    ),
    "bizrq_cash_period_start_timestamp_seconds": ((), "When the period began that runs; only in trees with one."),
    "bizrq_cash_period_end_timestamp_seconds": ((), "When it ends and budgets are granted anew."),
    "bizrq_condition": (("type",), "1 where a condition of the status is True, else 0."),
    "bizrq_last_reconcile_timestamp_seconds": (
        (),
        "When the status was counted last, or the bizrq was made where it never was.",
    ),
    "bizrq_claims_open": ((), "Claims that admission granted and the controller has not seen in the cluster yet."),
    "bizrq_pods_above_template": (
        (),
        "Pods that hold more of a limited key than the template of their workload says, at the last resync.",
    ),
    "bizrq_pods_above_template_amount": (
        ("key",),
        "How much more these pods hold together, in the unit of the key: cores, bytes, cards.",
    ),
    "bizrq_pods_beyond_demand": (
        (),
        "Pods beyond what their workload demands and may have in a rollout, at the last resync.",
    ),
}
"""By name the labels beside bizrq, and what people are told of it."""

_OVER: Final = "bizrq_over_admissions"

_ENFORCEMENT: Final = "bizrq_enforcement_active"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a scrape shows: the state of the controller at one instant, which nobody changes any more."""

    bizrqs: Sequence[Bizrq] = ()
    now: int = 0
    enforcement: bool | None = None
    """Whether the API server asks the webhook; None where nobody knows."""


@dataclass(slots=True, eq=False)
class BizrqMetrics(Collector):
    """Makes the series of all bizrqs, in a thread of the scrape: so what is shown is replaced, and never changed."""

    shown: Shown = field(default_factory=Shown)
    above: Mapping[str, int] = field(default_factory=dict)
    """Pods above their templates by bizrq, at the last resync."""
    above_amounts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    beyond: Mapping[str, int] = field(default_factory=dict)
    """Pods beyond demand by bizrq, at the last resync."""
    over: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often more was used of a key of a bizrq than admission can have let in."""

    def collect(self) -> Iterator[Metric]:
        """All families; those of which there is nothing to show are empty."""
        shown, over = self.shown, CounterMetricFamily(
            _OVER,
            "Rises of used above hard that admission cannot have let in: it was off, in mode warn, or wrong.",
            labels=("bizrq", "key"),
        )  # fmt: skip
        families = {
            name: GaugeMetricFamily(name, text, labels=("bizrq", *labels)) for name, (labels, text) in _GAUGES.items()
        }
        tree = Tree(shown.bizrqs)
        for bizrq in shown.bizrqs:
            name, figures = bizrq.name, figures_of(bizrq, tree, shown.now)
            for metric, labels, value in (*_samples(figures), *self._of_last_resync(name)):
                families[metric].add_metric((name, *labels), value)
            for key in figures.plain:  # shown as 0 from the start, so that an increase can be seen
                over.add_metric((name, key), self.over[name, key])
        yield from families.values()
        yield over
        enforcement = GaugeMetricFamily(
            _ENFORCEMENT,
            "1 where the API server asks the webhook and is answered, else 0; absent while nobody knows.",
        )
        if shown.enforcement is not None:
            enforcement.add_metric((), shown.enforcement)
        yield enforcement

    def count_over(self, bizrq: str, key: str) -> None:
        """More is used of a key than admission can have let in."""
        self.over[bizrq, key] += 1

    def forget(self, bizrq: str) -> None:
        """A bizrq is gone: one of the same name begins with 0."""
        for each in [each for each in self.over if each[0] == bizrq]:
            del self.over[each]

    def _of_last_resync(self, name: str) -> Iterator[tuple[str, tuple[str, ...], float]]:
        if name in self.above:
            yield "bizrq_pods_above_template", (), self.above[name]
        for key, amount in self.above_amounts.get(name, {}).items():
            yield "bizrq_pods_above_template_amount", (key,), amount
        if name in self.beyond:
            yield "bizrq_pods_beyond_demand", (), self.beyond[name]


def _samples(figures: Figures) -> Iterator[tuple[str, tuple[str, ...], float]]:
    yield "bizrq_info", (figures.parent, figures.root), 1
    for key, plain in figures.plain.items():
        yield "bizrq_hard", (key,), plain.hard
        if plain.used is not None:
            yield "bizrq_used", (key,), plain.used
        if plain.self_used is not None:
            yield "bizrq_self_used", (key,), plain.self_used
    for key, cash in figures.cash.items():
        yield "bizrq_cash_hard_resource_seconds", (key,), cash.hard
        if cash.used is not None:
            yield "bizrq_cash_used_resource_seconds", (key,), cash.used
        if cash.self_used is not None:
            yield "bizrq_cash_self_used_resource_seconds", (key,), cash.self_used
        yield "bizrq_cash_spend", (key,), cash.spend
        yield "bizrq_cash_self_spend", (key,), cash.self_spend
        if cash.exhausted_at is not None:
            yield "bizrq_cash_exhaustion_timestamp_seconds", (key,), cash.exhausted_at
    for key, uncertain in figures.uncertain.items():
        yield "bizrq_cash_uncertain_resource_seconds", (key,), uncertain
    if figures.period is not None and figures.period.end is not None:
        yield "bizrq_cash_period_start_timestamp_seconds", (), figures.period.start
        yield "bizrq_cash_period_end_timestamp_seconds", (), figures.period.end
    for type_, holds in figures.conditions.items():
        yield "bizrq_condition", (type_,), holds
    yield "bizrq_last_reconcile_timestamp_seconds", (), figures.reconciled
    yield "bizrq_claims_open", (), figures.claims
