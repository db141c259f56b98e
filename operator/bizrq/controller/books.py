"""What do the books of one bizrq say right now? [C4-C6, C9].

Mostly a walk over its pods; of a quiet one rate x time. Where deletions since its status are not known, its books are
rebased first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import Books, Seen, accrue, carry
from bizrq.domain.periods import Period, State, of_child, roll
from bizrq.domain.rebase import rebase
from bizrq.inventory.inventory import Inventory

__all__ = ["Quiet", "ViewTooOldError", "books_now", "period_now"]

log = logging.getLogger(__name__)


class ViewTooOldError(Exception):
    """Somebody with a newer view of the pods has written this status: wait for the watch, write nothing [C4]."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Books that this process wrote or found right, and up to when nothing changes in them but time."""

    writer: str
    """Of the status that they stand in."""
    books: Books
    """As they were read back."""
    steady_until: int | None


def books_now(
    bizrq: Bizrq,
    inventory: Inventory,
    *,
    now: int,
    closed: Sequence[Period],
    state: State,
    quiet: Quiet | None = None,
    believe_seen: bool = True,
) -> Books:
    """The books at ``now``, in the period of ``state``, after those that ended since the last status.

    ``believe_seen`` is False where the status claims to have seen what has not happened yet: somebody edited it, or
    etcd was restored. Raises ``ViewTooOldError``.
    """
    pods = inventory.pods
    view = pods.view(now)
    books = bizrq.books if believe_seen else replace(bizrq.books, seen=None)
    seen = books.seen.version if books.seen else -1
    if view.version < seen:
        msg = f"the status has seen version {seen} of the pods, this process {view.version}"
        raise ViewTooOldError(msg)
    if quiet is not None and not closed and _is_quiet(bizrq, inventory, quiet, now):
        carried = carry(books, view, now - (bizrq.reconciled or now))
        return replace(carried, steady_until=quiet.steady_until)  # which no status tells
    periods = [*closed, state.period]
    written = bizrq.reconciled if bizrq.reconciled is not None else bizrq.created
    if len(periods) > 1:
        books = replace(books, uncertain={})  # what was doubtful belongs to the period before
    # Of which deletions it knows, a status does not tell that claims to know all.
    complete = _complete(bizrq, books, inventory) if believe_seen else pods.version
    if complete is not None:
        books = replace(books, seen=_vouched(books, inventory, written))
        books = rebase(
            books, pods.charged(bizrq.name), complete=complete, period=periods[0], written=min(written, now), now=now
        )
        view = Seen(max(view.version, complete), view.time)
        log.warning(
            "%s: pods that went between versions %d and %d were seen by nobody; what may be missing is stated in "
            "status.cash.uncertain", bizrq.name, seen, complete,
        )  # fmt: skip
    return accrue(books, pods.charged(bizrq.name), keys=bizrq.cash_keys, view=view, periods=periods, now=now)


def period_now(bizrq: Bizrq, find: Callable[[str], Bizrq | None], now: int) -> tuple[State, list[Period]]:
    """The period of a bizrq at ``now``, which is that of its root, and those that ended since its status [C9]."""
    root = bizrq
    passed = {bizrq.name}
    while root.parent and root.parent not in passed:
        passed.add(root.parent)
        above = find(root.parent)
        if above is None:
            break
        root = above
    wanted = root.cash_period
    if root.parent:  # the way up ends at nobody, or in a circle: what was planned goes on
        root, wanted = bizrq, bizrq.period.planned if bizrq.period else None
    state, closed = roll(root.period, wanted, created=root.created, booked=root.reconciled, now=now)
    if root is bizrq:
        return state, closed
    return of_child(bizrq.period, state, created=bizrq.created, booked=bizrq.reconciled)


def _is_quiet(bizrq: Bizrq, inventory: Inventory, quiet: Quiet, now: int) -> bool:
    return (
        bizrq.name not in inventory.pods.stirred
        and (quiet.steady_until is None or now < quiet.steady_until)
        and quiet.writer == bizrq.writer
        and quiet.books == bizrq.books
        and bizrq.cash_keys <= bizrq.books.ledger.keys()
        and bizrq.reconciled is not None
        and now >= bizrq.reconciled
    )


def _vouched(books: Books, inventory: Inventory, written: int) -> Seen | None:
    """The newest view that a status is known to agree with: its own, or the Lease's floor."""
    seen, floor = books.seen, inventory.floor
    if floor is None or (seen is not None and floor.version <= seen.version):
        return seen
    return Seen(floor.version, min(written, max(floor.time, seen.time if seen else 0)))


def _complete(bizrq: Bizrq, books: Books, inventory: Inventory) -> int | None:
    """The version after which every deletion is known, where those since the status are not; else None.

    Also where another controller has written inside a gap of our watch: nobody knows on which side of its view the
    pods went that were missing after it.
    """
    if books.seen is None and (bizrq.reconciled is None or not books.ledger):
        return None  # nothing was charged yet, also where hours were imported, and nothing can be missing
    pods = inventory.pods
    seen = books.seen.version if books.seen else -1
    vouched = max(seen, inventory.floor.version if inventory.floor else -1)
    complete = [pods.known_since] if pods.known_since is not None and vouched < pods.known_since else []
    complete += [
        pod.deleted_at
        for pod in pods.of(bizrq.name)
        if pod.deleted_at is not None and pod.deleted_after is not None and pod.deleted_after < seen < pod.deleted_at
    ]
    return max(complete, default=None)
