"""Which series do the processes export, under which labels?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry

__all__ = ["series_of"]

_ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}


def series_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """The labels of every series that a registry may show, by its name."""
    found: dict[str, set[str]] = {}
    for family, labels in _families(registry):
        for ending in _ENDINGS[family.type]:
            more = {"le"} if ending == "_bucket" else set()
            found[family.name + ending] = {*labels, *more, *_constant(family)}
    return found


def _families(registry: CollectorRegistry) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """All families, also those that have no series yet; prometheus_client tells their labels by no public way."""
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels = getattr(family, "_labelnames", None)
            yield family, tuple(getattr(collector, "_labelnames", ()) if labels is None else labels)


def _constant(family: Any) -> set[str]:
    return {label for sample in family.samples for label in sample.labels if label != "le"}
