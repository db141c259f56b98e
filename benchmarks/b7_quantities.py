"""What do quantities cost, alone and in the sums they are for, beside ``kubernetes.utils`` and Decimal?"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from benchmarks import quantity_reference
from benchmarks.harness import Table, median
from benchmarks.quantity_reference import format_quantity, parse_quantity
from bizrq.domain.demand import PodGroup, demand
from bizrq.domain.pod_resources import held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.quantity import ZERO, Quantity, parse
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, Models

__all__ = ["measure"]

_TEXTS: Final = 10_000
"""A pass; of distinct ones more than twice what the cache of ``parse`` holds, so that none is ever found there."""

_TEMPLATES: Final = 200
_IN_A_SUM: Final = 5
_ROUNDS, _QUICK_ROUNDS = 15, 5

_CPU: Final = ("50m", "100m", "150m", "200m", "250m", "500m", "750m", "1", "1500m", "2", "4", "8", "16")
_MEMORY: Final = ("64Mi", "128Mi", "192Mi", "256Mi", "512Mi", "768Mi", "1Gi", "1536Mi", "2Gi", "4Gi", "8Gi", "16Gi")
_GPU: Final = ("1", "2", "4", "8")
_MODEL, _GPU_MODEL, _COUNT, _REPLICAS = "A4", "A30", "count/deployments.apps", 3

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Case:
    """One row: a pass of the reference, a pass of ours, over the same input."""

    name: str
    operations: int
    """In a pass."""
    theirs: Callable[[], object]
    ours: Callable[[], object]


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and the figures behind it."""
    cases = _cases(random.Random(7))
    figures = [_timed(case, _QUICK_ROUNDS if quick else _ROUNDS) for case in cases]
    headings = ["what", "reference", "ours", "times as fast"]
    rows = [
        [each["what"], _time(each["reference: ns"]), _time(each["ours: ns"]), f"{each['times as fast']:.2g}"]
        for each in figures
    ]
    return (headings, rows), {"rounds": _QUICK_ROUNDS if quick else _ROUNDS, "cases": figures}


def _timed(case: _Case, rounds: int) -> dict[str, Any]:
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(_pass(case.theirs))
        ours.append(_pass(case.ours))
    nano = 1e9 / case.operations
    return {
        "what": case.name,
        "reference: ns": round(median(theirs) * nano, 1),
        "ours: ns": round(median(ours) * nano, 1),
        "times as fast": round(median(a / b for a, b in zip(theirs, ours, strict=True)), 2),
    }


def _pass(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _time(nano: float) -> str:
    return f"{nano:.0f} ns" if nano < 1_000 else f"{nano / 1_000:.1f} us"  # noqa: PLR2004


# --- the cases -------------------------------------------------------------------------------------------------------


def _cases(dice: random.Random) -> list[_Case]:
    repeating = [dice.choice(_CPU + _MEMORY + _GPU) for _ in range(_TEXTS)]
    distinct = _distinct(dice)
    ours, theirs = [parse(text) for text in distinct], [parse_quantity(text) for text in distinct]
    _same("parse", [each.nano for each in ours], [each * 10**9 for each in theirs])
    pairs, their_pairs = _paired(ours), _paired(theirs)
    printable = [(a, b, _suffix(str(a))) for a, b in zip(ours, theirs, strict=True)]
    right = [each for each in printable if str(each[0]) == format_quantity(each[1], each[2])]
    print(
        f"  print: the reference is canonical for {len(right)} of {len(printable)}, given the right suffix", flush=True
    )
    printed, their_printed = [each[0] for each in right], [(each[1], each[2]) for each in right]
    return [
        _Case(
            "parse, texts that repeat",
            _TEXTS,
            lambda: _each(parse_quantity, repeating),
            lambda: _each(parse, repeating),
        ),
        _Case(
            "parse, all texts distinct", _TEXTS, lambda: _each(parse_quantity, distinct), lambda: _each(parse, distinct)
        ),
        _Case("add", _TEXTS, lambda: _sum(theirs, Decimal(0)), lambda: _sum(ours, ZERO)),
        _Case("compare", _TEXTS - 1, lambda: _compared(their_pairs), lambda: _compared(pairs)),
        _Case(
            "print",
            len(right),
            lambda: [format_quantity(*each) for each in their_printed],
            lambda: _each(str, printed),
        ),
        _chain(dice, "texts that repeat", [dice.choice(_MEMORY) for _ in range(_TEXTS)]),
        _chain(dice, "all texts distinct", [f"{number}Mi" for number in dice.sample(range(1, 10**6), _TEXTS)]),
        _demand("texts that repeat", [_template(dice, distinct=False) for _ in range(_TEMPLATES)]),
        _demand("all texts distinct", [_template(dice, distinct=True) for _ in range(_TEMPLATES * 3)]),
    ]


def _distinct(dice: random.Random) -> list[str]:
    """Texts of all usual forms, no two alike."""
    forms = ("{0}m", "{0}", "{0}Mi", "{0}Gi", "{0}M", "{1}.{2}")
    texts: dict[str, None] = {}
    while len(texts) < _TEXTS:
        number = dice.randrange(1, 10**5)
        texts[dice.choice(forms).format(number, number // 10, number % 9 + 1)] = None
    return list(texts)


def _each(read: Callable[[Any], object], values: Sequence[Any]) -> list[object]:
    return [read(value) for value in values]


def _sum(values: Sequence[Any], zero: Any) -> Any:
    total = zero
    for value in values:
        total += value
    return total


def _paired(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(pairwise(values))


def _compared(pairs: Sequence[tuple[Any, Any]]) -> list[bool]:
    return [a <= b for a, b in pairs]


def _suffix(text: str) -> str:
    return re.sub(r"[-0-9.]+", "", text)


def _chain(dice: random.Random, which: str, texts: Sequence[str]) -> _Case:
    """What a check of a quota does: read the amounts of five containers, add them, compare with the limit, print."""
    groups = [texts[begin : begin + _IN_A_SUM] for begin in range(0, len(texts), _IN_A_SUM)]
    hard, their_hard = parse("64Gi"), parse_quantity("64Gi")

    def ours() -> list[tuple[bool, str]]:
        result = []
        for group in groups:
            total = ZERO
            for text in group:
                total += parse(text)
            result.append((total <= hard, str(total)))
        return result

    suffixes = [_suffix(text) for _, text in ours()]

    def theirs() -> list[tuple[bool, str]]:
        result = []
        for group, suffix in zip(groups, suffixes, strict=True):
            total = Decimal(0)
            for text in group:
                total += parse_quantity(text)
            result.append((total <= their_hard, format_quantity(total, suffix)))
        return result

    _same("chain", ours(), theirs())
    dice.shuffle(groups)
    return _Case(f"parse 5, add, compare, print; {which}", len(groups), theirs, ours)


def _template(dice: random.Random, *, distinct: bool) -> JSON:
    """A pod of five containers: an init container, a sidecar, three beside each other, one of them with GPUs."""

    def amounts(factor: int) -> dict[str, str]:
        if distinct:
            return {"cpu": f"{dice.randrange(1, 10**6) * factor}m", "memory": f"{dice.randrange(1, 10**6) * factor}Mi"}
        return {"cpu": dice.choice(_CPU), "memory": dice.choice(_MEMORY)}

    def container(name: str, **more: object) -> JSON:
        return {"name": name, "resources": {"requests": amounts(1), "limits": amounts(2)}, **more}

    gpu = container("train")
    gpu["resources"]["limits"]["nvidia.com/gpu"] = dice.choice(_GPU)
    return {
        "initContainers": [container("mesh", restartPolicy="Always"), container("prepare")],
        "containers": [gpu, container("load"), container("report")],
    }


def _demand(which: str, specs: Sequence[JSON]) -> _Case:
    models = Models(cpu=_MODEL, gpu=_GPU_MODEL)

    def ours() -> list[dict[str, Quantity]]:
        result = []
        for spec in specs:
            pod, _ = read_pod_spec(spec)
            result.append(demand([PodGroup(_REPLICAS, held(pod))], models, DEFAULT_GPU_RESOURCES, count=_COUNT))
        return result

    def theirs() -> list[dict[str, Decimal]]:
        return [quantity_reference.demand(spec, _REPLICAS, _MODEL, _GPU_MODEL, _COUNT) for spec in specs]

    _same(
        "demand",
        [{key: amount.nano for key, amount in each.items()} for each in ours()],
        [{key: amount * 10**9 for key, amount in each.items()} for each in theirs()],
    )
    return _Case(f"demand of 5 containers; {which}", len(specs), theirs, ours)


def _same(what: str, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    """Stop where the two would be timed at different results."""
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            sys.exit(f"{what} {number}: ours {mine!r}, the reference {other!r}")
