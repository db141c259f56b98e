"""What did everything really cost? Kept by the simulator itself, by the rules of cash-rules.md, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.sim.lives import Life

__all__ = ["KEYS", "Group", "Range", "Work", "cost", "seconds", "window"]

JSON = dict[str, Any]

KEYS = ("limits.cpu", "limits.memory")

LONG_AGO = -(10**12)


class Range(NamedTuple):
    """A figure that lies between two; mostly both are the same."""

    low: int
    high: int

    def plus(self, other: Range) -> Range:
        """The sum."""
        return Range(self.low + other.low, self.high + other.high)


@dataclass
class Work:
    """A workload."""

    uid: str
    name: str
    kind: str
    controller: JSON
    """What controls its pods: it, or its ReplicaSet."""
    raw: JSON
    stays: list[tuple[int, str]] = field(default_factory=list)
    """From when on it is whose."""
    unlabelled: Range | None = None
    """When it lost its label, as early or late as that was seen."""
    gone: bool = False
    moving: bool = False
    moved_at: int = LONG_AGO
    until: int = 0
    """No pod is made after that."""

    def share(self, life: Life, bizrq: str, now: int) -> Iterable[tuple[int, int, int]]:
        """Of a pod what it is charged there: from when, to when at least, and at most."""
        if life.start is None:
            return
        low = min(now, now if life.end is None else life.end)
        high = low if life.latest is None else min(now, life.latest)
        if self.unlabelled is not None:
            low, high = min(low, self.unlabelled.low), min(high, self.unlabelled.high)
        for index, (since, whose) in enumerate(self.stays):
            until = self.stays[index + 1][0] if index + 1 < len(self.stays) else now
            if whose == bizrq:
                yield max(since, life.start), min(until, low), min(until, high)


@dataclass
class Group:
    """A bizrq from its creation to its end."""

    name: str
    uid: str
    created: int
    version: int
    """At which it was made."""
    parent: str = ""
    edges: tuple[int, ...] = ()
    gone: bool = False
    credits: dict[tuple[int | None, str], Range] = field(default_factory=dict)
    """Hours of deleted children, by end of the period and key [T7]."""


def window(group: Group, now: int, back: int = 0) -> tuple[int, int | None] | None:
    """The period that runs at ``now``, or so many before it; None where the bizrq is younger."""
    edges = (*(edge for edge in group.edges if edge > group.created), None)
    index = sum(1 for edge in edges if edge is not None and edge <= now) - back
    if index < 0:
        return None
    return (group.created if index == 0 else edges[index - 1] or 0), edges[index]


def seconds(start: int, stop: int, low: int, high: int | None) -> int:
    """How much of [start, stop) lies in [low, high)."""
    return max(0, min(stop, stop if high is None else high) - max(start, low))


def cost(group: Group, lives: Iterable[tuple[Life, Work]], span: tuple[int, int | None], key: str, now: int) -> Range:
    """What a bizrq owes of a key for a period."""
    total = group.credits.get((span[1], key), Range(0, 0))
    for life, work in lives:
        for start, low, high in work.share(life, group.name, now):
            each = life.amounts[key]
            total = total.plus(Range(each * seconds(start, low, *span), each * seconds(start, high, *span)))
    return total
