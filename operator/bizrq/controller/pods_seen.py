"""Is the view of pods as late as that of a workload? [P5].

Versions are compared within one kind only. So after a workload's event the newest version of pods is asked for, and the
charge falls once the view of pods has reached it. Where nothing happens to pods, no event brings the view there for up
to a minute: then the pods of the workload's namespace are listed and compared with those in view.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.reads import Reads
from bizrq.domain.amounts import Amounts, beyond
from bizrq.domain.bizrq import Bizrq
from bizrq.inventory.inventory import Inventory

__all__ = ["PodsSeen"]

_COMPARE_AFTER: Final = 1.0
"""Seconds after which the namespace is compared, doubled each time: in a busy cluster the watch is there before."""

_KEPT: Final = 50_000


@dataclass(slots=True)
class _Floor:
    version: int
    """Of the workload, or its end, as it was in view."""
    pods: int
    """The version that the view of pods must reach; -1 once it is known to be as late."""
    compare_at: float
    pause: float = _COMPARE_AFTER


class PodsSeen:
    """Remembers for each workload how far the view of pods must be."""

    def __init__(self, inventory: Callable[[], Inventory], reads: Reads, clock: Clock) -> None:
        self._inventory, self._reads, self._clock = inventory, reads, clock
        self._floors: OrderedDict[str, _Floor] = OrderedDict()
        self._rests: dict[str, tuple[Amounts, str, int]] = {}
        """What cannot be named of a bizrq, by UID: amounts, who wrote the status, its version when that grew last."""

    def is_as_late(self, uid: str, version: int) -> bool:
        """Whether the pods of ``uid`` are in view as they were when it had ``version``, or later."""
        floor = self._floors.get(uid)
        return floor is not None and floor.version == version and self._inventory().pods.version >= floor.pods

    def rest_since(self, bizrq: Bizrq, rest: Amounts) -> int:
        """The version of the status at which what cannot be named of ``bizrq`` grew last, or another process wrote."""
        if not rest:
            self._rests.pop(bizrq.uid, None)
            return bizrq.version
        writer = bizrq.writer.partition(".")[0]
        amounts, known_writer, since = self._rests.get(bizrq.uid, ({}, writer, bizrq.version))
        if known_writer != writer or beyond(rest, amounts):
            since = bizrq.version
        self._rests[bizrq.uid] = dict(rest), writer, since
        return since

    async def ask(self, unsure: Mapping[str, tuple[int, str]]) -> bool:
        """Find out about workloads, version and object by UID; whether the view of one is late enough now.

        Raises ``ClusterError``.
        """
        new = [uid for uid, (version, _) in unsure.items() if not self._is_known(uid, version)]
        if new:
            compare_at = self._clock.monotonic() + _COMPARE_AFTER
            pods = await self._reads.pods_version()
            for uid in new:
                self._floors.pop(uid, None)
                self._floors[uid] = _Floor(unsure[uid][0], pods, compare_at)
        while len(self._floors) > max(_KEPT, len(unsure)):
            self._floors.popitem(last=False)
        await self._compare(unsure)
        return any(self.is_as_late(uid, version) for uid, (version, _) in unsure.items())

    def _is_known(self, uid: str, version: int) -> bool:
        floor = self._floors.get(uid)
        return floor is not None and floor.version == version

    async def _compare(self, unsure: Mapping[str, tuple[int, str]]) -> None:
        """List where the watch is not there yet; the rest of a bizrq has no namespace, and is looked for in all."""
        now = self._clock.monotonic()
        late: dict[str, list[_Floor]] = {}
        for uid, (version, name) in unsure.items():
            floor = self._floors.get(uid)
            if floor is not None and not self.is_as_late(uid, version) and now >= floor.compare_at:
                floor.pause *= 2
                floor.compare_at = now + floor.pause
                late.setdefault(name.split("/")[1], []).append(floor)
        for namespace, floors in late.items():
            listed = await self._reads.pods_in(namespace)
            if listed is not None and self._inventory().pods.knows(listed):
                for floor in floors:
                    floor.pods = -1
