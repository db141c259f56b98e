"""What does an interval cost, what is settled, what is the ledger? [C3, C4, C9].

The books of one bizrq. The cost of what exists is computed at every write and never added to anything, so nothing can
be added twice:

    settled' = settled + cost of each pod deleted at a version in (seen, v]      v = version of the view of pods
    ledger'  = settled' + cost up to now of every other pod                      one write, with seen' = v

Each period has such books of its own; the one that was closed last stays open for corrections.

All amounts of cash are integers, milli-units x whole seconds. Hours exist only on output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from bizrq.domain.closed_periods import ClosedPeriod, Total
from bizrq.domain.intervals import Interval, is_open, stop_at
from bizrq.domain.periods import Period
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import is_cash

__all__ = [
    "HOUR",
    "MAX_HISTORY",
    "Books",
    "Charged",
    "Seen",
    "absorb",
    "accrue",
    "amount_text",
    "budget",
    "carried",
    "carry",
    "hours",
    "hours_text",
    "pieces",
]

HOUR: Final = 3600
_MILLI_HOUR: Final = 3600  # milli-units x seconds in a thousandth of a resource-hour

MAX_HISTORY: Final = 12
"""Closed periods whose totals are kept [C9]."""

MilliSeconds = Mapping[str, int]
"""Cash by compute key (``limits.cpu``), in milli-units x seconds."""


class Charged(msgspec.Struct, eq=False, gc=False):
    """One pod as the books see it; the inventory's records are these, so that a walk over them copies nothing."""

    amounts: Mapping[str, int]
    """Milli-units by compute key, models included."""
    interval: Interval
    version: int
    """resourceVersion of the newest object seen."""
    deleted_at: int | None = None
    """Version of its DELETED event; None while it exists. Where nobody saw that, of the first list without it."""
    deleted_after: int | None = None
    """Where nobody saw its deletion, the last version at which it was there."""
    doubt: int = 0
    """Seconds that it may have run after the end it is charged to, because nobody saw it go [C6]."""
    past: tuple[tuple[int, Mapping[str, int]], ...] = ()
    """What it held before resizes: until when, and how much; oldest first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The view of pods behind a status: its version, and the time of its newest event."""

    version: int
    time: int


@dataclass(frozen=True, slots=True)
class Books:
    """What a status says about cash; empty for an object that has none yet."""

    ledger: MilliSeconds = field(default_factory=dict)
    """Of the period that runs."""
    settled: MilliSeconds = field(default_factory=dict)
    """The part of the ledger whose pods no longer exist."""
    seen: Seen | None = None
    rate: MilliSeconds = field(default_factory=dict)
    """Milli-units held at the time of the status."""
    uncertain: MilliSeconds = field(default_factory=dict)
    """The most that the ledger may lack [C6]."""
    previous: ClosedPeriod | None = None
    """The period that ended last, open for corrections [C9]."""
    history: Sequence[Total] = ()
    """Those that ended before it, oldest first."""
    rebased: bool = False
    """Deletions since the status read were not known [C6]. Not stored."""
    steady_until: int | None = None
    """Up to here the ledger grows at ``rate``, if no event comes; None: for ever. Not stored."""


class _Window(msgspec.Struct, eq=False):
    """The books of one period while pods are added up."""

    start: int
    end: int | None
    settled: dict[str, int]
    open: dict[str, int]

    def ledger(self) -> dict[str, int]:
        return {key: amount + self.open[key] for key, amount in self.settled.items()}


def accrue(
    books: Books, pods: Iterable[Charged], *, keys: Iterable[str], view: Seen, periods: Sequence[Period], now: int
) -> Books:
    """The books as they are at ``now``, seen through ``view`` [C4].

    ``pods`` are all pods attributed to the bizrq that exist, and the deleted ones whose version is above
    ``books.seen``; older deletions among them are skipped, for they are in ``settled``. ``keys`` are the compute keys
    with a budget. A key once in the books stays there: taking it out of ``hard`` and back again refills nothing.
    ``periods`` are the period that the ledger belongs to and those that began since, the one that runs last.
    ``view.version`` must not be below ``books.seen`` [C4].
    """
    seen = books.seen.version if books.seen else -1
    if view.version < seen:
        msg = f"a view at {view.version} knows less than the books, which have seen {seen}"
        raise ValueError(msg)
    windows = _windows(books, periods, keys)
    wanted = tuple(windows[-1].settled)
    rate = dict.fromkeys(wanted, 0)
    uncertain = {key: books.uncertain.get(key, 0) for key in wanted}
    steady: int | None = None
    for pod in pods:
        gone, interval = pod.deleted_at, pod.interval
        start = interval.start
        if start is None or (gone is not None and gone <= seen):
            continue
        is_final = gone is not None and gone <= view.version
        _add(windows, pod, start, stop_at(interval, now), wanted, is_final=is_final)
        if gone is None:
            running = is_open(interval, now)
            if running:
                _add_amounts(rate, pod.amounts, 1, wanted)
            if not running and start <= now:
                continue
            for change in (interval.cut, interval.end) if running else (start,):
                if change is not None and (steady is None or change < steady):
                    steady = change
        elif is_final and pod.doubt:
            _add_amounts(uncertain, pod.amounts, pod.doubt, wanted)
    *older, current = windows
    closed = [ClosedPeriod(each.start, each.end, each.ledger(), each.settled) for each in older if each.end is not None]
    return Books(
        ledger=current.ledger(),
        settled=current.settled,
        seen=view,
        rate=rate,
        uncertain={key: amount for key, amount in uncertain.items() if amount},
        previous=closed[-1] if closed else None,
        history=(*books.history, *(each.total for each in closed[:-1]))[-MAX_HISTORY:],
        rebased=books.rebased,
        steady_until=steady,
    )


def _windows(books: Books, periods: Sequence[Period], keys: Iterable[str]) -> list[_Window]:
    """The period that ended last, the one of the ledger, and those since; each with the keys that are counted."""
    first, *since = periods
    before = books.previous
    kept: list[Books | ClosedPeriod] = [books, *([before] if before else [])]
    # Keys without hours go with their place in hard, else a group that keeps renaming them would fill its status.
    spent = (
        key for each in kept for amounts in (each.ledger, each.settled) for key, amount in amounts.items() if amount
    )
    wanted = sorted({*keys, *spent})
    return [
        *([_window(before.start, before.end, before.settled, wanted)] if before else []),
        _window(first.start, first.end, books.settled, wanted),
        *(_window(each.start, each.end, {}, wanted) for each in since),
    ]


def _window(start: int, end: int | None, settled: MilliSeconds, wanted: Sequence[str]) -> _Window:
    return _Window(start, end, {key: settled.get(key, 0) for key in wanted}, dict.fromkeys(wanted, 0))


def _add(
    windows: Iterable[_Window], pod: Charged, start: int, stop: int, wanted: Iterable[str], *, is_final: bool
) -> None:
    for window in windows:
        low = max(start, window.start)
        high = stop if window.end is None or stop < window.end else window.end
        if high <= low:
            continue
        target = window.settled if is_final else window.open
        for amounts, seconds in pieces(pod, low, high) if pod.past else ((pod.amounts, high - low),):
            _add_amounts(target, amounts, seconds, wanted)


def _add_amounts(target: dict[str, int], amounts: Mapping[str, int], seconds: int, wanted: Iterable[str]) -> None:
    for key in wanted:
        amount = amounts.get(key)
        if amount:
            target[key] += amount * seconds


def pieces(pod: Charged, low: int, high: int) -> Iterable[tuple[Mapping[str, int], int]]:
    """What a pod held in [low, high), which is within its interval, and for how many seconds."""
    for until, amounts in pod.past:
        if until > low:
            stop = min(until, high)
            yield amounts, stop - low
            low = stop
        if low == high:
            return
    yield pod.amounts, high - low


def absorb(books: Books, child: Books, ends: tuple[int | None, int | None], keys: Iterable[str]) -> Books:
    """The books with the hours of a child that goes, as of pods that no longer exist [T7].

    ``ends`` are the ends of the periods that run in ``books`` and in those of the ``child``: its hours go to the period
    they belong to, and are dropped where that is closed for good. ``keys`` are the compute keys with a budget; what is
    in neither these nor the books is not measured here.
    """
    ours, its = ends
    if ours == its:
        books = _with(books, child.ledger, child.uncertain, keys)
        end, hours_before = (child.previous.end, child.previous.ledger) if child.previous else (None, {})
    else:  # the child was closed before the edge that these books have passed since
        end, hours_before = its, child.ledger
    previous = books.previous
    if previous is None or previous.end != end:
        return books
    more = _known(hours_before, {*keys, *previous.ledger, *previous.settled})
    return replace(
        books, previous=replace(previous, ledger=_sum(previous.ledger, more), settled=_sum(previous.settled, more))
    )


def _with(books: Books, ledger: MilliSeconds, uncertain: MilliSeconds, keys: Iterable[str]) -> Books:
    known = {*keys, *books.ledger, *books.settled}
    more = _known(ledger, known)
    return replace(
        books,
        ledger=_sum(books.ledger, more),
        settled=_sum(books.settled, more),
        uncertain=_sum(books.uncertain, _known(uncertain, known)),
    )


def _known(amounts: MilliSeconds, keys: set[str]) -> dict[str, int]:
    return {key: amount for key, amount in amounts.items() if key in keys}


def _sum(one: MilliSeconds, more: MilliSeconds) -> dict[str, int]:
    return {**one, **{key: one.get(key, 0) + amount for key, amount in more.items()}}


def carried(books: Books, seconds: int) -> dict[str, int]:
    """The ledger ``seconds`` after the books were written, if nothing starts or ends: rate x time."""
    return {key: amount + books.rate.get(key, 0) * seconds for key, amount in books.ledger.items()}


def carry(books: Books, view: Seen, seconds: int, *, steady_until: int | None) -> Books:
    """The books of a quiet bizrq, ``seconds`` later: what ``accrue`` would say, without a walk over its pods.

    Only if these books are what the last walk said, no event came since, and the time is before ``steady_until``, as
    that walk said, and within the same period.
    """
    return replace(books, ledger=carried(books, seconds), seen=view, steady_until=steady_until)


def hours(milli_seconds: int) -> Quantity:
    """Resource-hours of an amount of cash, rounded down to thousandths [K6]."""
    return Quantity.from_milli(milli_seconds // _MILLI_HOUR)


def hours_text(amount: Quantity) -> str:
    """Hours for people: a decimal of up to 3 places, rounded down [K6], such as ``812.4``."""
    milli = amount.nano // 10**6
    sign = "-" if milli < 0 else ""
    whole, rest = divmod(abs(milli), 1000)
    return f"{sign}{whole}.{rest:03d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def amount_text(key: str, amount: Quantity) -> str:
    """An amount as a status and a refusal print it: hours behind a cash key, else the canonical quantity."""
    return hours_text(amount) if is_cash(key) else str(amount)


def budget(hard: Quantity) -> int:
    """The milli-units x seconds that a budget of ``hard`` hours grants, rounded down."""
    return hard.nano * HOUR // 10**6
