"""The lives of pods: what the API server says of them, when, and from when to when they really ran.

A life is drawn as a whole when it begins: a list of what is stored at which instant. Ends are reported late, guessed
and corrected, or never; the truth is known from the beginning, by the rows of cash-rules.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bizrq.domain.times import timestamp
from tests.support.build import pod

__all__ = ["Change", "Life", "draw"]

JSON = dict[str, Any]


class Change(NamedTuple):
    """What is stored of a pod at an instant."""

    at: int
    raw: JSON
    deleted: bool = False
    matters: bool = True


@dataclass
class Life:
    """One pod."""

    uid: str
    workload: str
    """UID of its workload."""
    amounts: dict[str, int]
    """Milli-units by compute key."""
    start: int | None = None
    end: int | None = None
    """None: it runs on."""
    latest: int | None = None
    """Of an end that cash-rules.md leaves open, "forced on the way": ``end`` is the earliest, this the latest."""
    delay: int = 0
    """Seconds by which its end may be reported late."""
    changes: list[Change] = field(default_factory=list)
    born_at: int = 0
    """Version of the first event that says it costs something; 0 before."""
    gone_at: int = 0
    """Version of its DELETED event; 0 before."""


class _Writer:
    """Puts one life on paper."""

    def __init__(self, life: Life, dice: random.Random, late: int, **fixed: Any) -> None:
        self.life, self.dice, self.late, self.fixed = life, dice, late, fixed
        self.fields: JSON = {}
        self.extra: list[JSON] = []
        """Conditions."""
        self.touched: int | None = None

    def store(self, at: int, *, deleted: bool = False, matters: bool = True, **fields: Any) -> None:
        """At ``at`` these fields change."""
        self.fields |= fields
        raw = pod(**self.fixed, **self.fields)
        raw["status"]["conditions"] = [*raw["status"].get("conditions", []), *self.extra]
        if self.touched is not None:
            raw["metadata"]["managedFields"] = [{"time": timestamp(self.touched), "subresource": "status"}]
        self.life.changes.append(Change(at, raw, deleted, matters))

    def some(self, most: int, least: int = 0) -> int:
        """Some seconds."""
        return self.dice.randint(least, most)

    def condition(self, type_: str, status: str, reason: str, at: int) -> None:
        """One more condition from now on."""
        self.extra.append({"type": type_, "status": status, "reason": reason, "lastTransitionTime": timestamp(at)})

    def goes(self, at: int) -> None:
        """A finished pod is touched, and removed in the end, or stays."""
        for _ in range(self.some(2)):
            at += self.some(6)
            self.touched = at
            self.store(at, matters=False)
        if self.dice.random() < 0.75:
            self.store(at + self.some(15), deleted=True)


def draw(
    uid: str, workload: str, amounts: dict[str, int], dice: random.Random, now: int, late: int, **fixed: Any
) -> Life:
    """The life of a pod that is made now; ends are reported up to ``late`` seconds late."""
    life = Life(uid, workload, amounts, delay=late)
    writer = _Writer(life, dice, late, uid=uid, created=now, **fixed)
    writer.store(now, phase="Pending", matters=False)
    kind = dice.random()
    if kind < 0.05:  # never scheduled
        writer.store(now + writer.some(20), deleted=True, matters=False)
        return life
    life.start = now + writer.some(4)
    if kind < 0.12:
        writer.store(life.start, node="n1", started=life.start)
    else:
        writer.store(life.start, node="n1", scheduled=life.start)
    writer.store(life.start + writer.some(2), phase="Running", matters=False)
    running = writer.dice.choices(_ENDS, _WEIGHTS)[0]
    running(writer, max(change.at for change in life.changes))
    return life


# --- how they end ----------------------------------------------------------------------------------------------------


def _runs_on(writer: _Writer, at: int) -> None:
    """Until the end of the run."""


def _ended(writer: _Writer, at: int, most: int = 40) -> tuple[int, int]:
    """The true end, and when it is told."""
    end = at + writer.some(most)
    writer.life.end = end
    return end, end + writer.some(writer.late)


def _finishes(writer: _Writer, at: int) -> None:
    end, told = _ended(writer, at)
    writer.store(told, phase=writer.dice.choice(["Succeeded", "Failed"]), finished=[end])
    writer.goes(told)


def _is_corrected(writer: _Writer, at: int) -> None:
    """The first report has no finishedAt, and another time stands for it."""
    end, told = _ended(writer, at)
    guess = max(at, end + writer.some(8, -8))
    writer.condition("Ready", "False", "PodFailed", guess)
    writer.store(told, phase="Failed", finished=[None])
    told += writer.some(writer.late)
    writer.store(told, finished=[end])
    writer.goes(told)


def _is_evicted(writer: _Writer, at: int) -> None:
    end, told = _ended(writer, at)
    writer.condition("DisruptionTarget", "True", "TerminationByKubelet", end)
    writer.store(told, phase="Failed")
    writer.goes(told)


def _is_forced(writer: _Writer, at: int) -> None:
    """Deleted with grace 0 from the start, while it runs."""
    end, _ = _ended(writer, at)
    writer.store(end, deletion=end, grace=0, deleted=True)


def _is_stopped(writer: _Writer, at: int) -> None:
    """Deleted with a grace; the kubelet ends it within, and tells."""
    asked, grace = at + writer.some(30), writer.some(20, 1)
    writer.store(asked, deletion=asked + grace, grace=grace)
    end = asked + writer.some(grace)
    writer.life.end = end
    told = end + writer.some(writer.late)
    writer.store(told, phase="Failed", finished=[end])
    writer.store(told + writer.some(4), deletion=asked, grace=0, deleted=True)


def _is_lost(writer: _Writer, at: int) -> None:
    """Its node is lost: charged to the cut. Sometimes removed by force in the end."""
    asked, grace = at + writer.some(20), writer.some(10, 1)
    writer.store(asked, deletion=asked + grace, grace=grace)
    cut = writer.life.end = asked + 2 * grace
    if writer.dice.random() < 0.3:
        writer.life.end, writer.life.latest = asked, cut
        writer.store(cut + writer.some(20), deletion=asked, grace=0, deleted=True)


def _is_forced_on_the_way(writer: _Writer, at: int) -> None:
    asked, grace = at + writer.some(20), writer.some(15, 3)
    writer.store(asked, deletion=asked + grace, grace=grace)
    writer.life.end, writer.life.latest = asked, asked + 2 * grace
    writer.store(asked + writer.some(grace), deletion=asked, grace=0, deleted=True)


_End = Callable[[_Writer, int], None]
_ENDS: tuple[_End, ...] = (
    _runs_on, _finishes, _is_corrected, _is_evicted, _is_forced, _is_stopped, _is_lost, _is_forced_on_the_way,
)  # fmt: skip
_WEIGHTS = (10, 25, 12, 8, 15, 20, 6, 4)
