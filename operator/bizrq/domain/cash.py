"""What does an interval cost, what is settled, what is the ledger? [C3, C4].

The books of one bizrq. The cost of what exists is computed at every write and never added to anything, so nothing can
be added twice:

    settled' = settled + cost of each pod deleted at a version in (seen, v]      v = version of the view of pods
    ledger'  = settled' + cost up to now of every other pod                      one write, with seen' = v

All amounts of cash are integers, milli-units x whole seconds. Hours exist only on output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from bizrq.domain.intervals import Interval, is_open, stop_at
from bizrq.domain.quantity import Quantity
from bizrq.domain.resource_names import is_cash

__all__ = [
    "HOUR",
    "Books",
    "Charged",
    "Seen",
    "absorb",
    "accrue",
    "amount_text",
    "budget",
    "carried",
    "charged_seconds",
    "hours",
    "hours_text",
    "keep_over_a_gap",
]

HOUR: Final = 3600
_MILLI_HOUR: Final = 3600  # milli-units x seconds in a thousandth of a resource-hour

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
    """Version of its DELETED event; None while it exists."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The view of pods behind a status: its version, and the time of its newest event."""

    version: int
    time: int


@dataclass(frozen=True, slots=True)
class Books:
    """What a status says about cash; empty for an object that has none yet."""

    ledger: MilliSeconds = field(default_factory=dict)
    settled: MilliSeconds = field(default_factory=dict)
    """The part of the ledger whose pods no longer exist."""
    seen: Seen | None = None
    rate: MilliSeconds = field(default_factory=dict)
    """Milli-units held at the time of the status."""


def charged_seconds(interval: Interval, since: int, now: int) -> int:
    """Seconds of [since, now) that a pod pays for; ``since`` is the start of a period [C9], never the last write."""
    if interval.start is None:
        return 0
    start = interval.start if interval.start > since else since
    stop = stop_at(interval, now)
    return stop - start if stop > start else 0


def accrue(books: Books, pods: Iterable[Charged], *, keys: Iterable[str], view: Seen, since: int, now: int) -> Books:
    """The books as they are at ``now``, seen through ``view`` [C4].

    ``pods`` are all pods attributed to the bizrq that exist, and the deleted ones whose version is above
    ``books.seen``; older deletions among them are skipped, for they are in ``settled``. ``keys`` are the compute keys
    with a budget. A key once in the books stays there: taking it out of ``hard`` and back again refills nothing.
    ``view.version`` must not be below ``books.seen`` [C4]; ``since`` is when the period began [C9].
    """
    seen = books.seen.version if books.seen else -1
    if view.version < seen:
        msg = f"a view at {view.version} knows less than the books, which have seen {seen}"
        raise ValueError(msg)
    # Keys without hours go with their place in hard, else a group that keeps renaming them would fill its status.
    spent = (key for amounts in (books.ledger, books.settled) for key, amount in amounts.items() if amount)
    wanted = {*keys, *spent}
    settled = {key: books.settled.get(key, 0) for key in wanted}
    open_cost = dict.fromkeys(wanted, 0)
    rate = dict.fromkeys(wanted, 0)
    for pod in pods:
        gone = pod.deleted_at
        if gone is not None and gone <= seen:
            continue
        seconds = charged_seconds(pod.interval, since, now)
        target = settled if gone is not None and gone <= view.version else open_cost
        running = gone is None and is_open(pod.interval, now)
        if not seconds and not running:
            continue
        amounts = pod.amounts
        for key in wanted:
            amount = amounts.get(key)
            if amount:
                target[key] += amount * seconds
                if running:
                    rate[key] += amount
    ledger = {key: settled[key] + open_cost[key] for key in wanted}
    return Books(ledger, settled, view, rate)


def absorb(books: Books, closed: Books, keys: Iterable[str]) -> Books:
    """The books with the hours of a child that goes, as of pods that no longer exist [T7].

    ``keys`` are the compute keys with a budget; what is in neither these nor the books is not measured here.
    """
    known = {*keys, *books.ledger, *books.settled}
    more = {key: amount for key, amount in closed.ledger.items() if key in known}
    settled = {key: books.settled.get(key, 0) + amount for key, amount in more.items()}
    ledger = {key: books.ledger.get(key, 0) + amount for key, amount in more.items()}
    return replace(books, ledger={**books.ledger, **ledger}, settled={**books.settled, **settled})


def keep_over_a_gap(books: Books, pods: Iterable[Charged], *, since: int, reconciled: int) -> Books:
    """The books of a status whose deletions up to the present view nobody saw, as far as they can be kept.

    What the pods that still exist can have been charged at most when the status was written is taken from its ledger;
    if more than ``settled`` is left, that was charged for pods that are gone since, and is kept [C4]. Where nothing
    went, ``settled`` stays exactly. ``reconciled`` is the status' lastReconcileTime.
    """
    left = dict(books.ledger)
    seen = books.seen.version if books.seen else -1
    for pod in pods:
        if pod.interval.start is None:
            continue
        if pod.version <= seen:  # the very object that the writer saw
            most = charged_seconds(pod.interval, since, reconciled)
        else:  # its end may have been seen later only: it may have been charged as running
            most = max(0, reconciled - max(pod.interval.start, since))
        for key in left:
            left[key] -= pod.amounts.get(key, 0) * most
    settled = {key: max(books.settled.get(key, 0), left.get(key, 0)) for key in {*left, *books.settled}}
    return replace(books, settled=settled)


def carried(books: Books, seconds: int) -> dict[str, int]:
    """The ledger ``seconds`` after the books were written, if nothing starts or ends: rate x time."""
    return {key: amount + books.rate.get(key, 0) * seconds for key, amount in books.ledger.items()}


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
