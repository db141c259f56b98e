"""Which claimants grow by one request, which claim does each get, and which other request must end before? [A4].

Mostly it is one. Where others have the template of an object for theirs, they grow with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bizrq.domain.claims import Claim, Claimant, Growth, Lender, Settled, since_text
from bizrq.domain.quantity import ZERO, Quantity

__all__ = ["Part", "all_growing", "claim_of", "grows_by", "overlapping"]


@dataclass(frozen=True, slots=True)
class Part:
    """One claimant that grows by a request, and how that would be claimed."""

    growth: Growth
    settled: Settled
    known: Claim | None


def claim_of(part: Part, milliseconds: int) -> Claim:
    """The claim of what one claimant grows by, written at ``milliseconds`` since 1970."""
    growth, known = part.growth, part.known
    return Claim(
        uid=growth.uid,
        version=max(growth.version, known.version) if known else growth.version,
        object=growth.object,
        since=since_text(milliseconds, known.since if known else ""),
        demand=part.settled.demand,
        raised=part.settled.raised,
        moved_from=growth.moved_from or (known.moved_from if known else ""),
        own=growth.own or bool(known and known.own),
        lender=_lender(growth, known),
        by_lender=growth.by_lender,
        marks=known.marks if known else (),
    )


def _lender(growth: Growth, known: Claim | None) -> Lender | None:
    """The newest that a claim was decided with: of amounts of several requests on one version it is of the latest."""
    if known is None or known.lender is None or (growth.lender is None and known.version < growth.version):
        return growth.lender
    if growth.lender is None or growth.lender.uid == known.lender.uid:
        return max(known.lender, growth.lender or known.lender)
    return growth.lender


def grows_by(growth: Growth, key: str) -> Quantity:
    """What a claimant demands more on a key, at least 0."""
    return max(ZERO, growth.new.get(key, ZERO) - growth.old.get(key, ZERO))


def all_growing(growths: Sequence[Growth]) -> list[str]:
    """The keys that at least one of them grows on."""
    return list(dict.fromkeys(key for each in growths for key in growing(each)))


def growing(growth: Growth) -> list[str]:
    """The keys that it grows on, above what is held for it already [A1]."""
    old, credit = growth.old, growth.credit
    return [
        key
        for key, amount in growth.new.items()
        if amount > old.get(key, ZERO) and not (credit and amount <= credit.get(key, ZERO))
    ]


def overlapping(growth: Growth, borrowers: Mapping[str, int] | None, claimants: Iterable[Claimant]) -> str:
    """What must be stored, or fail, before ``growth`` can be decided, for people; "" where nothing must.

    ``borrowers`` are those of a template that grows, their versions by UID. The version that was read of an object has
    the outcome of each claim on a version before it.
    """
    lender = growth.lender
    if lender is not None and any(_may_change(each, lender) for each in claimants):
        return f"{lender.object}, whose template {growth.object} has,"
    for each in claimants if borrowers is not None else ():
        borrows = each.lender is not None and not each.by_lender and each.lender.object == growth.object
        if borrows and borrowers is not None and borrowers.get(each.uid, -1) <= each.version:
            return f"{each.object}, which has its template,"
    return ""


def _may_change(claimant: Claimant, lender: Lender) -> bool:
    """Whether a claim is of a change of a lender whose outcome is not in the version that was read of it."""
    name, uid = claimant.clock
    return name == lender.object and (uid != lender.uid or claimant.version >= lender.version)
