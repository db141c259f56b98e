"""What became of a claim that no watch has told the end of? [A4].

Most claims close by the watch: the object is seen at a later version. A request that failed after it was granted (a
name taken, another webhook, a native quota, a lost client) leaves a claim that nobody ever sees. It is closed by a live
read: at once where its object is gone for good, else once no request can rest on it any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bizrq.clock import Clock
from bizrq.cluster.reads import Reads
from bizrq.controller.arrivals import know_classes
from bizrq.domain.bizrq import LABEL, Bizrq
from bizrq.domain.claims import ClaimError, claimant_of, is_mark, parse_claim
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.tree import is_child
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import read_workload

__all__ = ["Settlement"]

_WAIT_SECONDS: Final = 60.0
"""So long after this process first saw a line, no request rests on it: the API server gives a request 34 s [A4]."""

_FIRST_LOOK_SECONDS: Final = 5.0
"""An update's object may be gone for good, which can be told at once; watches are given this much time before."""

_NEXT_LOOK_SECONDS: Final = 15.0

_READS: Final = 8
"""Live reads side by side."""


log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Line:
    """A line of ``status.claims`` as this process knows it, on its own monotonic clock."""

    first_seen: float
    next_look: float


class Settlement:
    """Looks for the objects of old claims, and puts what it finds into the inventory."""

    def __init__(
        self,
        inventory: Callable[[], Inventory],
        reads: Reads,
        kinds: Iterable[Kind],
        gpus: GpuResources,
        clock: Clock,
    ) -> None:
        self._inventory, self._reads, self._gpus, self._clock = inventory, reads, gpus, clock
        self._kinds = {kind.id: kind for kind in kinds}
        self._lines: dict[str, dict[str, _Line]] = {}

    async def look(self, bizrq: Bizrq, most: int) -> frozenset[str]:
        """The lines of ``bizrq`` that live reads close, of ``most`` that are due; the others are looked at later.

        The verdict holds for this very version of ``bizrq``: a request that came since may rest on the same claim. An
        object that cannot be read is logged, and looked at again.
        """
        now = self._clock.monotonic()
        lines = self._note(bizrq, now)
        due = [(line, known) for line, known in lines.items() if known.next_look <= now][:most]
        slots = asyncio.Semaphore(_READS)

        async def settled(line: str, known: _Line) -> bool:
            async with slots:
                try:
                    return await self._is_settled(line, waited=now - known.first_seen >= _WAIT_SECONDS)
                except Exception as error:  # noqa: BLE001  # one object that cannot be read must not hold up all others
                    log.warning("%s: a claim cannot be settled, its object cannot be read: %s: %s",
                                bizrq.name, line[:200], error)  # fmt: skip
                    return False

        verdicts = await asyncio.gather(*(settled(line, known) for line, known in due))
        for (_, known), closed in zip(due, verdicts, strict=True):
            if not closed:
                known.next_look = now + _NEXT_LOOK_SECONDS
        return frozenset(line for (line, _), closed in zip(due, verdicts, strict=True) if closed)

    def next_look(self, name: str) -> float | None:
        """Seconds until a claim of this bizrq should be looked at; None where it has none."""
        lines = self._lines.get(name)
        if not lines:
            return None
        return max(0.0, min(known.next_look for known in lines.values()) - self._clock.monotonic())

    def forget(self, name: str) -> None:
        """A bizrq is gone."""
        self._lines.pop(name, None)

    def _note(self, bizrq: Bizrq, now: float) -> Mapping[str, _Line]:
        known = self._lines.get(bizrq.name, {})
        lines = {
            line: known.get(line) or _new_line(line, now) for line in bizrq.claims if not self._stands(line, bizrq.name)
        }
        if lines:
            self._lines[bizrq.name] = lines
        else:
            self.forget(bizrq.name)
        return lines

    def _stands(self, line: str, bizrq: str) -> bool:
        """Whether a line is the mark of a child that is in view: it goes with that, so there is nothing to look for."""
        try:
            claim = parse_claim(line)
        except ClaimError:
            return False
        workload = self._inventory().workloads.get(claim.uid)
        return is_mark(claim) and workload is not None and workload.bizrq == bizrq

    async def _is_settled(self, line: str, *, waited: bool) -> bool:
        claimant = claimant_of(line)
        if claimant is None:
            return False
        (name, uid), version = claimant.clock, claimant.version
        found_uid, found_version = await self._found(name)
        if found_uid != uid:
            return version > 0 or waited
        if found_version <= version:
            return waited
        # A later version is a view now, which closes the claim, once what else it hangs on is in view, or is gone.
        if claimant.other is None:
            return False
        other, other_uid = claimant.other
        return (await self._found(other))[0] != other_uid and self._inventory().workloads.seen(uid) > version

    async def _found(self, name: str) -> tuple[str, int]:
        """UID and version of the object that is there now ("" and 0: none), taken over as a view of it."""
        found = await (self._bizrq(name) if is_child(name) else self._workload(name))
        if found is None:
            msg = "this process does not count that kind; give it the same file of kinds as the webhook"
            raise LookupError(msg)
        return found

    async def _bizrq(self, claimant: str) -> tuple[str, int] | None:
        child = await self._reads.bizrq(claimant.rpartition("/")[2])
        if child is None:
            return "", 0
        self._inventory().put_bizrq(child)
        return child.uid, child.version

    async def _workload(self, claimant: str) -> tuple[str, int] | None:
        """UID and version of the object that is there now ("" and 0: none), taken over as a view of it."""
        kind_id, namespace, name = claimant.split("/", 2)
        kind = self._kinds.get(kind_id)
        if kind is None:
            return None
        raw = await self._reads.workload(kind, namespace, name)
        if raw is None:
            return "", 0
        uid, version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
        if _is_labelled(raw):
            workload = read_workload(raw, kind, self._gpus)
            await know_classes(self._inventory(), self._reads, [workload])
            self._inventory().put_workload(workload)
        else:
            self._inventory().remove_workload(uid, version)
        return uid, version


def _new_line(line: str, now: float) -> _Line:
    claimant = claimant_of(line)
    is_create = claimant is None or claimant[1] == 0
    return _Line(now, now + (_WAIT_SECONDS if is_create else _FIRST_LOOK_SECONDS))


def _is_labelled(raw: Mapping[str, Any]) -> bool:
    return LABEL in (raw["metadata"].get("labels") or {})
