"""How do the stays of one workload follow on each other? [C7].

They are kept oldest first. Two bizrqs tell of one move, and a process may know one that no status tells yet: what they
say is brought together here, and what nobody needs to tell apart becomes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bizrq.domain.stays import Home, Stay

__all__ = ["MOST_STAYS", "after", "gone_on", "merged", "tidy", "without_gaps"]

MOST_STAYS: Final = 100
"""Stays that are kept of one workload. A label may be changed every second, and every pod is charged by all of them."""


def after(moment: int, stays: Iterable[Stay]) -> Iterator[Stay]:
    """What of these stays lies behind a moment."""
    for stay in stays:
        if stay.until is None or stay.until > moment:
            yield replace(stay, since=max(moment, stay.since or 0))


def tidy(stays: Iterable[Stay]) -> tuple[Stay, ...]:
    """The stays of a workload, oldest first, without those that need not be told apart.

    One that lasted no second is left out, unless it is the last one; what follows on itself is one. Of a workload that
    moves without end the shortest becomes a part of the one before it, with the time between: so each second has its
    payer, and none is moved from one bizrq to another but of stays of less than a hundredth of the whole.
    """
    kept: list[Stay] = []
    for stay in stays:
        if kept and kept[-1].since is not None and kept[-1].since == kept[-1].until:
            skipped = kept.pop()
            if stay.since == skipped.until:
                stay = replace(stay, came_from=skipped.came_from)  # noqa: PLW2901
        _append(kept, stay)
    while len(kept) > MOST_STAYS:
        # The first has no known length, and the moments of the last move may be corrected yet.
        shortest = min(
            range(1, len(kept) - 2), key=lambda number: (kept[number].until or 0) - (kept[number].since or 0)
        )
        before, gone, *others = kept[shortest - 1 :]
        del kept[shortest - 1 :]
        for stay in (replace(before, until=gone.until, went_to=gone.went_to), *others):
            _append(kept, stay)
    return tuple(kept)


def _append(stays: list[Stay], stay: Stay) -> None:
    """Add what comes next, and say of both neighbours where it came from and went to."""
    before = stays[-1] if stays else None
    if before is None or before.until is None or before.until != stay.since:
        stays.append(stay)
    elif before.home == stay.home:
        stays[-1] = replace(before, until=stay.until, went_to=stay.went_to)
    else:
        stays[-1] = replace(before, went_to=stay.home.bizrq)
        stays.append(replace(stay, came_from=before.home.bizrq))


def without_gaps(known: Iterable[Stay]) -> list[Stay]:
    """The stays, oldest first, with those that the others say were between them."""
    stays: list[Stay] = []
    for stay in known:
        previous = stays[-1] if stays else None
        if previous is not None and previous.until is None:
            previous = stays[-1] = replace(previous, until=stay.since, went_to=stay.home.bizrq)
        if stay.came_from and (previous is None or previous.until != stay.since):
            since, came_from = (previous.until, previous.home.bizrq) if previous is not None else (None, "")
            stays.append(Stay(replace(stay.home, bizrq=stay.came_from), since, stay.since, came_from, stay.home.bizrq))
        stays.append(stay)
    return stays


def gone_on(stays: list[Stay], home: Home, now: int) -> list[Stay]:
    """The same of a workload that is at ``home`` now, and was elsewhere last."""
    *others, last = stays
    if last.until is None:
        return [*others, replace(last, until=_not_before(last, now), went_to=home.bizrq)]
    if last.went_to in {"", home.bizrq}:
        return stays
    between = Stay(
        replace(last.home, bizrq=last.went_to), last.until, max(now, last.until), last.home.bizrq, home.bizrq
    )
    return [*stays, between]


def merged(stays: Sequence[Stay], stay: Stay) -> tuple[Stay, ...]:
    """The stays with one that a status tells; where both know the same one, the status is right."""
    known = next((each for each in stays if _is_same(each, stay)), None)
    if known is None:
        return tuple(sorted((*stays, stay), key=_age))
    told = stay if stay.until is not None else replace(stay, until=known.until, went_to=known.went_to)
    result = []
    for each in stays:
        if each is known:
            result.append(told)
        elif known.until is not None and each.since == known.until != told.until:
            result.append(replace(each, since=told.until))
        elif known.since is not None and each.until == known.since != told.since:
            result.append(replace(each, until=told.since))
        else:
            result.append(each)
    return tuple(result)


def _age(stay: Stay) -> tuple[int, bool, int]:
    return stay.since or 0, stay.until is None, stay.until or 0


def _is_same(one: Stay, other: Stay) -> bool:
    """Whether both are the same stay, of which one may know more; two of a workload are never at one time."""
    if one.home.bizrq != other.home.bizrq:
        return False
    if one.until is not None and one.until == other.until:
        return True
    return one.home.models == other.home.models and (one.since == other.since or _overlap(one, other))


def _overlap(one: Stay, other: Stay) -> bool:
    ends = [stay.until for stay in (one, other) if stay.until is not None]
    return not ends or max(one.since or 0, other.since or 0) < min(ends)


def _not_before(stay: Stay, moment: int) -> int:
    return max(moment, stay.since or 0)
