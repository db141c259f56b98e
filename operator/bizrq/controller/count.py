"""What is counted for one bizrq right now?

Everything that a status says comes from here: the inventory and one instant go in, a ``Counted`` comes out. No I/O.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final

from bizrq.controller.books import Quiet, books_now, period_now
from bizrq.controller.leftovers import Memory, what_stays
from bizrq.controller.surges import surges_of
from bizrq.domain.amounts import KEYS_NAMED, Amounts, add_into, key_by_key_max, total
from bizrq.domain.bizrq import Absorbed, Bizrq, own_amounts
from bizrq.domain.cash import absorb
from bizrq.domain.charges import added_by, claims_of_workloads, is_readable, open_claims
from bizrq.domain.claims import Claim
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import GpuResources
from bizrq.domain.status import Counted, NotReady
from bizrq.domain.stays import kept_lines
from bizrq.domain.tree import circle_above, is_child, missing_keys, taken, taken_by_all
from bizrq.domain.tree_hours import taken_hours
from bizrq.inventory.inventory import Inventory

__all__ = ["count"]

SKEW_SECONDS: Final = 60
"""How far the clocks of two controllers may be apart."""

log = logging.getLogger(__name__)


def count(
    bizrq: Bizrq,
    inventory: Inventory,
    *,
    now: int,
    writer: str,
    gpus: GpuResources,
    settled: Iterable[str] = (),
    leaving: Bizrq | None = None,
    gone: Container[str] = (),
    memory: Memory | None = None,
    crowded: Iterable[str] = (),
    quiet: Quiet | None = None,
    believe_seen: bool = True,
) -> Counted:
    """What the status of ``bizrq`` must say at ``now``.

    ``settled`` are lines of claims that a live read has closed [A4]; ``leaving`` is a child whose hours move into the
    ledger with this status, and ``gone`` are the UIDs of such children that a live read has shown gone [T7].

    ``memory`` is for what pods hold beyond the demand [P5]; ``crowded`` are the UIDs of workloads that may have more
    pods than they are charged for; ``quiet`` and ``believe_seen`` are for ``books_now``.

    Raises ``ViewTooOldError`` while the view of pods is older than the one behind the status [C4].
    """
    now = _not_before(bizrq, now)
    state, closed = period_now(bizrq, inventory.bizrqs.get, now)
    books = books_now(bizrq, inventory, now=now, closed=closed, state=state, quiet=quiet, believe_seen=believe_seen)
    absorbed = tuple(each for each in bizrq.absorbed if each.uid not in gone)
    if leaving is not None and not any(each.uid == leaving.uid for each in absorbed):
        ends = state.period.end, leaving.period.period.end if leaving.period else None
        books = absorb(books, leaving.books, ends, bizrq.cash_keys)
        absorbed = (*absorbed, Absorbed(leaving.uid, leaving.name))
    # Two bizrqs that are each other's ancestors would raise each other for ever: there nothing is handed up.
    circle = circle_above(bizrq, inventory.bizrqs.get)
    of_workloads = claims_of_workloads(bizrq.claims)
    over = {*settled, *_outlived(of_workloads, inventory)}
    claims = open_claims(bizrq.claims, _seen(inventory), over, _own(bizrq, inventory))
    unread = any(not is_readable(line) for line in claims)
    takes_now = _takes_at(now, inventory)
    _, claimed_by_children = added_by(claims, _observed(bizrq, inventory, taken if bizrq.name in circle else takes_now))
    still_open = set(claims)
    stays = what_stays(
        bizrq,
        inventory,
        memory or Memory(),
        claims=of_workloads.values(),
        open_claims=[claim for line, claim in of_workloads.items() if line in still_open],
        now=now,
    )
    children: dict[str, Quantity] = {}
    if bizrq.name not in circle:
        leavers = {each.uid for each in absorbed}
        children = taken_by_all(inventory.bizrqs.children(bizrq.name), without_hours=leavers, takes_now=takes_now)
        add_into(children, claimed_by_children)
    own = total((inventory.workloads.total(bizrq.name), stays.extra))
    if unread:
        own, children = _not_below(bizrq, own, children)
    return Counted(
        own=own,
        children=children,
        claims=claims,
        leftovers=stays.lines,
        unsure=stays.unsure,
        rest=stays.rest,
        look_again=stays.look_again,
        surges=surges_of(bizrq, inventory, crowded, stays.charges),
        absorbed=absorbed,
        books=books,
        period=state,
        moves=kept_lines(inventory.homes.kept(bizrq.name, inventory.owners.controllers_of, inventory.pods.starts, now)),
        now=now,
        writer=writer,
        not_ready=_not_ready(bizrq, inventory, circle),
        gpus=gpus,
    )


def _not_below(bizrq: Bizrq, own: Amounts, children: Amounts) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
    """What was used stays used while a claim is open whose amounts only a later version knows [A4]."""
    read = own_amounts(bizrq.status.get("selfUsed"))
    above = {key: amount - read.get(key, ZERO) for key, amount in bizrq.used.items()}
    return key_by_key_max(own, read), key_by_key_max(children, above)


def _seen(inventory: Inventory) -> Callable[[str, str], int]:
    def seen(claimant: str, uid: str) -> int:
        if is_child(claimant):
            return inventory.bizrqs.seen(claimant.rpartition("/")[2], uid)
        return inventory.workloads.seen(uid)

    return seen


def _own(bizrq: Bizrq, inventory: Inventory) -> Callable[[Claim], bool]:
    """Whether the object of a claim marked ``own``, whose outcome is known, is such a child under this bizrq [A8].

    One that has lost its owner is counted as anything else. One that its very request would have made such a child is
    none where that request failed.
    """

    def is_own(claim: Claim) -> bool:
        workload = inventory.workloads.get(claim.uid)
        if workload is None or workload.bizrq != bizrq.name or workload.owner is None:
            return False
        return workload.version > claim.version or not claim.raised.get(workload.kind.count_key)

    return is_own


def _outlived(claims: Mapping[str, Claim], inventory: Inventory) -> Iterable[str]:
    """Those lines of workloads that were under this bizrq at the version of their claim, and are in no newer list.

    Such a list proves a later version, at which the workload is not under any bizrq, or gone. Of one that was only to
    come under this bizrq it proves nothing: it was in no list before either.
    """
    for line, claim in claims.items():
        kind = claim.object.partition("/")[0]
        version = claim.lender.version if claim.lender is not None and claim.by_lender else claim.version
        was_here = claim.raised.get(f"count/{kind}") == ZERO and version > 0
        if was_here and version <= inventory.workloads.listed_at(kind) and not inventory.workloads.get(claim.uid):
            yield line


def _takes_at(now: int, inventory: Inventory) -> Callable[[Bizrq], Amounts]:
    """What a child takes at ``now``: beyond its hours that grows with time, and nothing tells of it [T6, C8]."""

    def takes_now(child: Bizrq) -> Amounts:
        return {**taken(child), **taken_hours(child, now, inventory.bizrqs.children)}

    return takes_now


def _observed(
    bizrq: Bizrq, inventory: Inventory, takes_now: Callable[[Bizrq], Amounts]
) -> Callable[[str, str], Amounts]:
    """What a claimant is counted with in the sums, by its object and UID: nothing where it is under another bizrq."""

    def observed(claimant: str, uid: str) -> Amounts:
        if is_child(claimant):
            child = inventory.bizrqs.get(claimant.rpartition("/")[2])
            is_ours = child is not None and (child.uid, child.parent) == (uid, bizrq.name)
            return takes_now(child) if child is not None and is_ours else {}
        return inventory.workloads.counted(uid, bizrq.name)

    return observed


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
        told = f"spec.hard lacks keys that the parent {parent.name} has: {named}"
        return NotReady("KeyMissing", f"{told}; add them, with no more than {parent.name} has left to grant")
    return None
