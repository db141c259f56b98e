"""What do the books of a bizrq say once exported ones are put into them? [C3, C4, C9, T7].

An object that was made again charges the pods that exist from its own creation on; the ledger of the file ends before
that. So all of the file's ledger counts as of pods that no longer exist, and no second is charged twice. The start of
the file's period is not taken over: existing pods would be charged from there once more.

Put into the very object that was exported, the same would charge pods twice that exist still. There only ``settled`` is
taken over, and the rest of the file's ledger is stated as uncertain.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from bizrq.domain.bizrq import Absorbed, Bizrq
from bizrq.domain.cash import MAX_HISTORY, Books, amount_text, hours
from bizrq.domain.closed_periods import ClosedPeriod, Total
from bizrq.domain.exported_books import Exported
from bizrq.domain.periods import Period
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import cash_base, is_cash
from bizrq.domain.status import put_books, put_list

__all__ = ["How", "Mark", "marks_of", "obstacle", "restored", "restored_status"]

_MARKS: Final = 100
"""As many as the CRD allows; the oldest go."""

Hours = Mapping[str, int]


class How(StrEnum):
    """What becomes of hours that are in the books already."""

    REFUSE = "refuse"
    """There must be none."""
    ADD = "add"
    """They stay, and the file's are added."""
    REPLACE = "replace"
    """What pods that are gone have cost makes room for the file's; existing pods are charged as before."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An item of ``status.cash.imported``: which export was put in, and by which run of the command."""

    export: str
    run: str
    time: str

    def __str__(self) -> str:
        """As in the status."""
        return f"{self.export} {self.run} {self.time}"


def marks_of(bizrq: Bizrq) -> list[Mark]:
    """The imports that a status tells of, oldest first; what cannot be read is left out."""
    lines = (bizrq.status.get("cash") or {}).get("imported") or ()
    return [Mark(*line.split(" ")) for line in lines if line.count(" ") == 2]  # noqa: PLR2004  # its three fields


def obstacle(bizrq: Bizrq, export_id: str, how: How) -> str | None:
    """Why this export must not be put into ``bizrq``, with the way out; None where it may."""
    if bizrq.deleting:
        return "it is being deleted; wait until it is gone, create it anew, and import then"
    if how is not How.ADD and any(mark.export == export_id for mark in marks_of(bizrq)):
        return (
            "this file was imported into it already; --continue leaves it as it is and goes on with the others, --add "
            "adds the hours a second time"
        )
    spent = _spent(bizrq.books)
    if how is How.REFUSE and spent:
        shown = ", ".join(f"{key} {amount_text('cash/' + key, hours(amount))} h" for key, amount in spent.items())
        return (
            f"its books have hours already ({shown}); --add adds those of the file to them, --replace puts those of "
            "the file in their place"
        )
    return None


def _spent(books: Books) -> dict[str, int]:
    """All hours of all periods."""
    total: dict[str, int] = {}
    ledgers = [books.ledger, *(each.ledger for each in books.history)]
    if books.previous is not None:
        ledgers.append(books.previous.ledger)
    for ledger in ledgers:
        for key, amount in ledger.items():
            if amount:
                total[key] = total.get(key, 0) + amount
    return dict(sorted(total.items()))


def restored(bizrq: Bizrq, period: Period, file: Exported, how: How) -> Books:
    """The books of ``bizrq``, whose ledger is of ``period``, with those of the file put in.

    Hours go to the period in which they were booked: the one that runs, or the one that ended last, where they are the
    same by their ends; else they become a total of the history. Books of a period that is not over yet go to the
    one that runs, whatever its calendar: a restore grants nothing anew.
    """
    books, theirs, same = bizrq.books, file.books, bizrq.uid == file.uid
    totals = [(each, same) for each in theirs.history]
    parts = [] if theirs.previous is None else [theirs.previous]
    if file.period is None or file.period.end is None or file.period.end > period.start:
        taken = theirs.settled if same else theirs.ledger
        ledger, settled = _put(books.ledger, books.settled, taken, how)
        known = {} if how is How.REPLACE else books.uncertain
        uncertain = _sum(known, theirs.uncertain, _unknown(bizrq, file, same=same))
        books = replace(books, ledger=ledger, settled=settled, uncertain=uncertain)
    else:
        parts.append(ClosedPeriod(file.period.start, file.period.end, theirs.ledger, theirs.settled))
    for part in parts:
        if books.previous is not None and books.previous.end == part.end:
            taken = part.settled if same else part.ledger
            ledger, settled = _put(books.previous.ledger, books.previous.settled, taken, how)
            books = replace(books, previous=replace(books.previous, ledger=ledger, settled=settled))
        else:
            totals.append((part.total, same))
    return replace(books, history=_history(books.history, totals, how))


def _unknown(bizrq: Bizrq, file: Exported, *, same: bool) -> Hours:
    """What may be missing: of pods that were there at the export, and that nobody can tell the end of."""
    theirs = file.books
    if same:
        return {key: amount - theirs.settled.get(key, 0) for key, amount in theirs.ledger.items()}
    seconds = 0 if file.reconciled is None else max(0, bizrq.created - file.reconciled)
    return {key: milli * seconds for key, milli in theirs.rate.items()}


def _put(ledger: Hours, settled: Hours, taken: Hours, how: How) -> tuple[dict[str, int], dict[str, int]]:
    """Ledger and settled with the hours of a file; what existing pods cost, the difference of both, stays."""
    keys = sorted({*ledger, *settled, *taken})
    kept = {} if how is How.REPLACE else settled
    new = {key: kept.get(key, 0) + taken.get(key, 0) for key in keys}
    return {key: new[key] + ledger.get(key, 0) - settled.get(key, 0) for key in keys}, new


def _sum(*parts: Hours) -> dict[str, int]:
    keys = sorted({key for part in parts for key in part})
    return {key: sum(part.get(key, 0) for part in parts) for key in keys}


def _history(known: Iterable[Total], more: Iterable[tuple[Total, bool]], how: How) -> tuple[Total, ...]:
    """Totals by their end. Of the same object a total is the same hours, and not added to itself."""
    totals = {each.end: each for each in known}
    for each, same in more:
        old = totals.get(each.end)
        if old is None or how is How.REPLACE:
            totals[each.end] = each
        elif not same:
            totals[each.end] = replace(old, ledger=_sum(old.ledger, each.ledger))
    return tuple(totals[end] for end in sorted(totals))[-MAX_HISTORY:]


def restored_status(bizrq: Bizrq, books: Books, absorbed: Iterable[Absorbed], mark: Mark) -> dict[str, Any]:
    """The status of ``bizrq`` with ``books`` in it; without observedGeneration, for it is to be counted anew.

    ``absorbed`` are children of the file whose hours are in its books: should one still be there, its hours must not
    move a second time [T7]. Those that are gone are taken out by the controller.
    """
    status: dict[str, Any] = copy.deepcopy(dict(bizrq.status))
    status.pop("observedGeneration", None)
    cash = status["cash"] = status.get("cash") or {}
    put_books(cash, books)
    known = {each.uid for each in bizrq.absorbed}
    put_list(cash, "absorbed", [*map(str, bizrq.absorbed), *(str(each) for each in absorbed if each.uid not in known)])
    put_list(cash, "imported", [*(cash.get("imported") or ()), str(mark)][-_MARKS:])
    _show(status, bizrq, books)
    return status


def _show(status: dict[str, Any], bizrq: Bizrq, books: Books) -> None:
    """The figures that the webhook goes by, as the controller is about to write them [A6]; none before its first."""
    for key in bizrq.used.keys() & bizrq.hard.keys():
        if is_cash(key):
            own = _hours(books, key)
            shown = {"used": bizrq.used[key] - _hours(bizrq.books, key) + own, "selfUsed": own}
            for name, amount in shown.items():
                status[name] = {**(status.get(name) or {}), key: amount_text(key, max(ZERO, amount))}


def _hours(books: Books, key: str) -> Quantity:
    return hours(books.ledger.get(cash_base(key), 0))
