"""What is counted for one bizrq right now?

Everything that a status says comes from here: the inventory and one instant go in, a ``Counted`` comes out. No I/O.
"""

from __future__ import annotations

import logging
from typing import Final

from bizrq.domain.amounts import KEYS_NAMED
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import accrue, keep_over_a_gap
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.status import Counted, NotReady
from bizrq.domain.tree import circle_above, missing_keys, taken_by_all
from bizrq.inventory.inventory import Inventory

__all__ = ["ViewTooOldError", "count"]

SKEW_SECONDS: Final = 60
"""How far the clocks of two controllers may be apart."""

log = logging.getLogger(__name__)


class ViewTooOldError(Exception):
    """Somebody with a newer view of the pods has written this status: wait for the watch, write nothing [C4]."""


def count(bizrq: Bizrq, inventory: Inventory, *, now: int, writer: str, gpus: GpuResources) -> Counted:
    """What the status of ``bizrq`` must say at ``now``.

    Raises ``ViewTooOldError`` while the view of pods is older than the one behind the status [C4].
    """
    pods = inventory.pods
    view = pods.view(now)
    books = bizrq.books
    seen = books.seen.version if books.seen else -1
    if view.version < seen:
        msg = f"the status has seen version {seen} of the pods, this process {view.version}"
        raise ViewTooOldError(msg)
    now = _not_before(bizrq, now)
    if books.seen is not None and pods.known_since is not None and seen < pods.known_since:
        books = keep_over_a_gap(
            books, pods.of(bizrq.name), since=bizrq.created, reconciled=bizrq.reconciled or bizrq.created
        )
    books = accrue(books, pods.of(bizrq.name), keys=bizrq.cash_keys, view=view, since=bizrq.created, now=now)
    # Two bizrqs that are each other's ancestors would raise each other for ever: there nothing is handed up.
    circle = circle_above(bizrq, inventory.bizrqs.get)
    return Counted(
        own=inventory.workloads.total(bizrq.name),
        children={} if bizrq.name in circle else taken_by_all(inventory.bizrqs.children(bizrq.name)),
        books=books,
        now=now,
        writer=writer,
        not_ready=_not_ready(bizrq, inventory, circle),
        gpus=gpus,
    )


def _not_before(bizrq: Bizrq, now: int) -> int:
    """The time of a status: never before the last one's, unless that was written by a clock gone wrong.

    A small step back must not take hours back. A large one must: the cost of what exists is computed anew, so hours
    that a wrong clock, or somebody's edit, has charged ahead are corrected as soon as the clock is right [C2].
    """
    ahead = (bizrq.reconciled or 0) - now
    if ahead > SKEW_SECONDS:
        log.warning(
            "%s: its status is from %d s ahead of this clock; hours charged ahead are taken back", bizrq.name, ahead
        )
        return now
    return now + max(0, ahead)


def _not_ready(bizrq: Bizrq, inventory: Inventory, circle: tuple[str, ...]) -> NotReady | None:
    if not bizrq.parent:
        return None
    if circle:
        names = " -> ".join(sorted(circle))
        return NotReady("ParentCycle", f"the way up from {bizrq.name} ends in a circle, {names}; delete one of these")
    parent = inventory.bizrqs.get(bizrq.parent)
    if parent is None:
        return NotReady("ParentNotFound", f"the parent {bizrq.parent} does not exist; create it, or delete this bizrq")
    missing = missing_keys(bizrq, parent)
    if missing:
        named = ", ".join(missing[:KEYS_NAMED]) + (", ..." if len(missing) > KEYS_NAMED else "")
        return NotReady("KeyMissing", f"spec.hard lacks keys that the parent {parent.name} has: {named}")
    return None
