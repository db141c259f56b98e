"""Since when does a workload have more pods than it is charged for?

A rollout runs pods beside those that the demand of its workload stands for: surge. The quota does not charge them, so
that a full one never blocks a rollout; cash charges every pod. What was to be there for a moment may stand: a canary
that nobody promotes, a blue-green that waits. That is for people to see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["STANDS_SECONDS", "Surge", "next_standing", "surge_since"]

STANDS_SECONDS: Final = 3600
"""How long surge may be there before it is said to stand. No setting: whoever runs longer steps on purpose wants to be
told as well, and lets the alert wait."""


@dataclass(frozen=True, slots=True)
class Surge:
    """A workload with more pods than it is charged for."""

    object: str
    """``deployments.apps/shop/web``."""
    pods: int
    charged: int
    """So many of them are in ``used``: fewer than ``pods``."""
    since: int

    @property
    def stands_from(self) -> int:
        """The instant from which on it stands, if it goes on."""
        return self.since + STANDS_SECONDS


def surge_since(starts: Iterable[int], charged: int) -> int | None:
    """Since when more than ``charged`` pods have been there, by the starts of those that are; None if there are not.

    It is the start of pod number ``charged`` + 1 in the order of their starts. From that instant on this pod and all
    before it have been there without a break, since they still are: more than are charged. Before it, of the pods of
    today at most ``charged`` were. Others may have been there that are gone; so it may stand longer than this says, and
    never shorter. Where a rollout replaces pods all the time, the instant moves on with them: that one is at work.

    It needs nothing but the pods, so it is the same after a restart, and in whatever order they became known.
    """
    ordered = sorted(starts)
    return ordered[charged] if len(ordered) > charged else None


def next_standing(surges: Iterable[Surge], now: int) -> int | None:
    """The next instant after ``now`` from which on one of these stands; None if there is none."""
    return min((each.stands_from for each in surges if each.stands_from > now), default=None)
