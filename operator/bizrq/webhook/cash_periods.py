"""May this cashPeriod stand here, and from when on does it hold? [C9]."""

from __future__ import annotations

from typing import Final

from bizrq.cluster.reads import Reads
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.calendars import only_on_a_root
from bizrq.domain.periods import roll
from bizrq.domain.refusals import period_holds_from

__all__ = ["grants_anew", "misplaced", "warnings_of_change"]

_DEEPEST: Final = 32
"""Levels that are looked through for the root; no tree may be deeper."""


async def misplaced(new: Bizrq, old: Bizrq | None, reads: Reads) -> str:
    """Why a child may not have the cashPeriod that it is given, naming the root; "" where nothing is wrong.

    One that was stored before is told by the status. Raises ``ClusterError``.
    """
    if not new.parent or not _stated(new) or (old is not None and _stated(old)):
        return ""
    name, root = new.parent, ""
    for _ in range(_DEEPEST):
        above = await reads.bizrq(name)
        if above is None:
            break
        name, root = above.parent, above.name
        if not name:
            return only_on_a_root(new.parent, root)
    return only_on_a_root(new.parent)


def _stated(bizrq: Bizrq) -> bool:
    return (bizrq.raw.get("spec") or {}).get("cashPeriod") is not None


def grants_anew(old: Bizrq, new: Bizrq) -> bool:
    """Whether a root gets a cashPeriod that it did not have: hours that come again are more hours [A12]."""
    return not new.parent and new.cash_period is not None and new.cash_period != old.cash_period


def warnings_of_change(old: Bizrq, new: Bizrq, now: int) -> list[str]:
    """From when on a changed cashPeriod holds, where that is not at once."""
    if new.parent or (old.reconciled is None and old.period is None):
        return []
    before, _ = roll(old.period, old.cash_period, created=old.created, booked=old.reconciled, now=now)
    after, _ = roll(before, new.cash_period, created=old.created, booked=old.reconciled, now=now)
    if after.next is None or after.next == before.next:
        return []
    return [period_holds_from(new.name, str(after.next.calendar or ""), after.edge)]
