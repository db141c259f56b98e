"""What does one more version of a pod change in what is remembered of it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bizrq.cluster.objects import Pod as PodObject
from bizrq.domain.intervals import Clamp, EndSource, Interval, PodFacts, follow
from bizrq.domain.pod_resources import Held, the_most_of
from bizrq.domain.segments import closed, closes_at
from bizrq.inventory.holdings import Holdings
from bizrq.inventory.pod import Pod

__all__ = ["Versions"]


class Versions:
    """Takes over versions of pods, and counts what had to be moved or guessed in their times."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._resizing: dict[str, int] = {}
        """When the resize began that the last version of a pod said to be in progress, by its UID."""
        self._noted = Counter[Clamp | EndSource]()

    def take(self, pod: Pod, item: PodObject, facts: PodFacts, version: int, at: int) -> bool:
        """Take over a version that came at that instant; whether it holds something else than before."""
        self.set_interval(pod, follow(facts, pod.interval, at))
        pod.version = version
        pod.labelled = item.metadata.labels is not None and item.metadata.labels.bizrq is not None
        pod.plain = pod.plain or not pod.labelled
        held_now = self._holdings.of(item, infeasible=facts.infeasible)
        resized = held_now is not pod.held_now and self._hold(pod, held_now, facts, at)
        if facts.resizing is not None:
            self._resizing[pod.uid] = facts.resizing
        elif self._resizing:
            self._resizing.pop(pod.uid, None)
        return resized

    def forget(self, pod: Pod) -> None:
        """A pod is gone."""
        self._resizing.pop(pod.uid, None)

    def take_noted(self) -> Mapping[Clamp | EndSource, int]:
        """What had to be moved or guessed in pods' times since this was last asked, each once a pod [C2]."""
        noted, self._noted = self._noted, Counter()
        return noted

    def set_interval(self, pod: Pod, interval: Interval) -> None:
        """It is charged from when to when."""
        before = pod.interval
        if interval is before or interval == before:
            return  # one object less a pod, and ``is`` tells a change
        if interval.noted is not before.noted:
            self._noted.update(interval.noted[len(before.noted) :])
        pod.interval = interval

    def _hold(self, pod: Pod, held_now: Held, facts: PodFacts, at: int) -> bool:
        """It holds something, or something else; whether it was resized in place."""
        before = pod.held_now
        if before is None:
            pod.held = pod.held_now = held_now
        elif held_now == before:
            pod.held_now = held_now  # said in other bytes
        elif not facts.terminal:  # of what has ended nobody says any more what it held
            border = closes_at(facts.resizing, self._resizing.get(pod.uid), at)
            pod.held_before = closed(pod.held_before, before, pod.interval.start, border)
            pod.held_now = held_now
            pod.held = held_now if pod.held is None else the_most_of(pod.held, held_now)
            return True
        return False
