"""What is counted for one bizrq right now?

Everything that a status says comes from here: the inventory and one instant go in, a ``Counted`` comes out. No I/O.
"""

from __future__ import annotations

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import accrue, keep_over_a_gap
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.status import Counted, NotReady
from bizrq.domain.tree import circle_above, missing_keys, taken_by_all
from bizrq.inventory.inventory import Inventory

__all__ = ["ViewTooOldError", "count"]


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
    now = max(now, bizrq.reconciled or 0)  # a clock set back must not take hours back
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
        return NotReady("KeyMissing", f"spec.hard lacks keys that the parent {parent.name} has: {', '.join(missing)}")
    return None
