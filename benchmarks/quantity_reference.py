"""What would a straightforward program do with quantities: ``kubernetes.utils`` and Decimal, no more?

The demand of a template by the same rules as ours [P1-P3, K1, K2]; checked against ours before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import kubernetes.utils.quantity

__all__ = ["demand", "format_quantity", "parse_quantity"]

parse_quantity: Final[Callable[[str], Decimal]] = kubernetes.utils.quantity.parse_quantity
format_quantity: Final[Callable[[Decimal, str], str]] = kubernetes.utils.quantity.format_quantity

_MILLI: Final = Decimal("0.001")

Amounts = dict[str, Decimal]


def demand(spec: Mapping[str, Any], replicas: int, model: str, gpu_model: str, count: str) -> Amounts:
    """What ``replicas`` pods of a template ask for, key by key; ``spec`` is the JSON of its pod spec."""
    containers = spec["containers"]
    init = spec.get("initContainers", ())
    requests = _peak(map(_requests, containers), [(_requests(each), _is_sidecar(each)) for each in init])
    limits = _peak(map(_limits, containers), [(_limits(each), _is_sidecar(each)) for each in init])
    result: Amounts = {count: Decimal(1), "pods": Decimal(replicas)}
    for name, amount in requests.items():
        whole = amount * replicas
        if name in {"cpu", "memory", "ephemeral-storage"}:
            result[name] = result[f"requests.{name}"] = whole
            if name == "cpu":
                result[f"{name}.{model}"] = result[f"requests.{name}.{model}"] = whole
        else:
            result[f"requests.{name}"] = whole
            if name.endswith("/gpu"):
                result[f"requests.{name}.{gpu_model}"] = whole
    for name, amount in limits.items():
        if name in {"cpu", "memory", "ephemeral-storage"}:
            result[f"limits.{name}"] = amount * replicas
            if name == "cpu":
                result[f"limits.{name}.{model}"] = amount * replicas
    return result


def _is_sidecar(container: Mapping[str, Any]) -> bool:
    return bool(container.get("restartPolicy") == "Always")


def _limits(container: Mapping[str, Any]) -> Amounts:
    return _read(container.get("resources", {}).get("limits", {}))


def _requests(container: Mapping[str, Any]) -> Amounts:
    return {**_limits(container), **_read(container.get("resources", {}).get("requests", {}))}


def _read(texts: Mapping[str, str]) -> Amounts:
    return {name: parse_quantity(text).quantize(_MILLI, ROUND_CEILING) for name, text in texts.items()}


def _peak(containers: Iterable[Amounts], init: Iterable[tuple[Amounts, bool]]) -> Amounts:
    together: Amounts = {}
    for amounts in containers:
        _add(together, amounts)
    sidecars: Amounts = {}
    starting: Amounts = {}
    for amounts, sidecar in init:
        if sidecar:
            _add(sidecars, amounts)
        else:
            step = dict(sidecars)
            _add(step, amounts)
            _raise_to(starting, step)
    _add(together, sidecars)
    _raise_to(together, starting)
    return together


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _raise_to(total: Amounts, least: Amounts) -> None:
    for name, amount in least.items():
        total[name] = max(total.get(name, amount), amount)
