"""Which metrics do the processes export, and under which series and labels?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

__all__ = ["Exported", "exported", "series_of"]

_ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}


@dataclass(frozen=True)
class Exported:
    """One metric, whether it has series by now or not."""

    name: str
    """As people write it: a counter's ends in _total, a histogram's names none of its three series."""
    type: str
    labels: tuple[str, ...]
    text: str
    series: tuple[str, ...]


def exported(registry: CollectorRegistry) -> Iterator[Exported]:
    """Every metric of a registry; prometheus_client tells the labels of those without series by no public way."""
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels = getattr(family, "_labelnames", None)
            named = tuple(getattr(collector, "_labelnames", ()) if labels is None else labels)
            constant = {label for sample in family.samples for label in sample.labels} - {"le", *named}
            series = tuple(family.name + ending for ending in _ENDINGS[family.type])
            name = series[0] if len(series) == 1 else family.name
            yield Exported(name, family.type, (*named, *sorted(constant)), family.documentation, series)


def series_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """The labels of every series that a registry may show, by its name."""
    return {
        series: {*metric.labels, *(("le",) if series.endswith("_bucket") else ())}
        for metric in exported(registry)
        for series in metric.series
    }
