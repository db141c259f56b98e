"""What stands in a file of exported books, and is what stands there sound?

A file holds one document: a format number, an id that tells exports apart, the time, and the books of each bizrq, in
the form of ``status.cash``. Reading is strict, for a person may have edited it, and hours are money: every error names
the bizrq and the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from bizrq.domain.bizrq import Absorbed, Bizrq
from bizrq.domain.cash import Books
from bizrq.domain.closed_periods import ClosedPeriod, Total
from bizrq.domain.periods import Period, as_json, read_state
from bizrq.domain.quantity import MAX_OWN_TEXT, Quantity, QuantityError, parse_own
from bizrq.domain.times import instant, timestamp

__all__ = ["FORMAT", "Export", "ExportError", "Exported", "as_document", "read_export", "subtrees"]

FORMAT: Final = 1


class ExportError(Exception):
    """A document is no export, or a broken one; the message names the bizrq, the field and the way out."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The books of one bizrq, as they were exported."""

    name: str
    uid: str
    parent: str
    books: Books
    """Without ``seen``: the versions of one cluster say nothing in another, or after etcd was restored."""
    reconciled: int | None
    """Up to when they were booked; None: never."""
    period: Period | None
    """Of the ledger; None: no controller had counted it."""
    absorbed: tuple[Absorbed, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """A whole file."""

    id: str
    time: int
    bizrqs: Sequence[Exported]


def subtrees(bizrqs: Iterable[Bizrq], tops: Sequence[str]) -> list[Bizrq]:
    """The bizrqs named by ``tops`` with all below them, or all bizrqs, each behind its parent, then by name.

    Raises ``ExportError`` for a name that is none.
    """
    by_name = {each.name: each for each in bizrqs}
    unknown = sorted(set(tops) - by_name.keys())
    if unknown:
        msg = f"there is no bizrq {', '.join(unknown)}; kubectl get bizrq lists those there are"
        raise ExportError(msg)
    children: dict[str, list[str]] = {}
    for name in sorted(by_name):
        children.setdefault(by_name[name].parent, []).append(name)
    # Where a parent is missing, or all are in a circle, a bizrq is reached by its own name only.
    starts = tops or sorted(by_name, key=lambda name: (by_name[name].parent in by_name, name))
    found: dict[str, Bizrq] = {}
    waiting = list(reversed(starts))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = by_name[name]
            waiting += reversed(children.get(name, ()))
    return list(found.values())


# --- writing ---------------------------------------------------------------------------------------------------------


def as_document(bizrqs: Iterable[Bizrq], *, export_id: str, now: int) -> dict[str, Any]:
    """The document, ready for YAML or JSON."""
    return {
        "bizrqBooks": FORMAT,
        "id": export_id,
        "exported": timestamp(now),
        "bizrqs": [_item(each) for each in bizrqs],
    }


def _item(bizrq: Bizrq) -> dict[str, Any]:
    books = bizrq.books
    fields: dict[str, Any] = {
        "name": bizrq.name,
        "uid": bizrq.uid,
        "parent": bizrq.parent,
        "lastReconcileTime": None if bizrq.reconciled is None else timestamp(bizrq.reconciled),
        "period": None if bizrq.period is None else as_json(bizrq.period),
        "ledger": _texts(books.ledger),
        "settled": _texts(books.settled),
        "uncertain": _texts(books.uncertain),
        "rate": {key: str(Quantity.from_milli(milli)) for key, milli in sorted(books.rate.items())},
        "previous": None if books.previous is None else books.previous.as_json(),
        "history": [each.as_json() for each in books.history],
        "absorbed": [str(each) for each in bizrq.absorbed],
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {}, "")}


def _texts(amounts: Mapping[str, int]) -> dict[str, str]:
    return {key: str(amount) for key, amount in sorted(amounts.items())}


# --- reading ---------------------------------------------------------------------------------------------------------

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Amounts = dict[str, Annotated[str, msgspec.Meta(pattern=rf"^[0-9]{{1,{MAX_OWN_TEXT}}}$")]]


class _Total(msgspec.Struct, forbid_unknown_fields=True):
    start: str
    end: str
    ledger: _Amounts = msgspec.field(default_factory=dict)


class _Previous(_Total, forbid_unknown_fields=True):
    settled: _Amounts = msgspec.field(default_factory=dict)


class _Item(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: _Name
    uid: _Name
    parent: str = ""
    last_reconcile_time: str | None = None
    period: dict[str, Any] | None = None
    ledger: _Amounts = msgspec.field(default_factory=dict)
    settled: _Amounts = msgspec.field(default_factory=dict)
    uncertain: _Amounts = msgspec.field(default_factory=dict)
    rate: dict[str, str] = msgspec.field(default_factory=dict)
    previous: _Previous | None = None
    history: list[_Total] = msgspec.field(default_factory=list)
    absorbed: list[_Name] = msgspec.field(default_factory=list)


class _Head(msgspec.Struct, rename={"format": "bizrqBooks"}):
    format: int
    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-zA-Z-]{1,64}$")]
    exported: str
    bizrqs: list[Any]


def read_export(document: object) -> Export:
    """The export of a document that was YAML or JSON. Raises ``ExportError``."""
    if not isinstance(document, Mapping) or "bizrqBooks" not in document:
        raise ExportError("this is no file of bizrq books export: it has no field bizrqBooks")
    if document["bizrqBooks"] != FORMAT:
        msg = (
            f"bizrqBooks: format {document['bizrqBooks']!r} is not known, only {FORMAT}; import it with the version of "
            "bizrq that wrote it"
        )
        raise ExportError(msg)
    try:
        head = msgspec.convert(document, _Head)
    except msgspec.ValidationError as error:
        raise ExportError(str(error)) from error
    bizrqs = [_exported(raw, number) for number, raw in enumerate(head.bizrqs)]
    names: set[str] = set()
    for each in bizrqs:
        if each.name in names:
            msg = f"bizrq {each.name}: it is in the file twice; take one of them out"
            raise ExportError(msg)
        names.add(each.name)
    return Export(head.id, _moment(head.exported, "exported"), bizrqs)


def _exported(raw: object, number: int) -> Exported:
    name = raw.get("name") if isinstance(raw, Mapping) else None
    where = f"bizrq {name}" if name else f"bizrqs[{number}]"
    try:
        item = msgspec.convert(raw, _Item)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}; put back what the export wrote there, or export anew"
        raise ExportError(msg) from error
    _not_above(item.settled, item.ledger, f"{where}: settled")
    previous = item.previous
    if previous is not None:
        _not_above(previous.settled, previous.ledger, f"{where}: previous.settled")
    state = None if item.period is None else read_state(item.period)
    if item.period is not None and state is None:
        msg = f"{where}: period: {item.period!r} is no period; put back what the export wrote there"
        raise ExportError(msg)
    return Exported(
        name=item.name,
        uid=item.uid,
        parent=item.parent,
        books=Books(
            ledger=_numbers(item.ledger),
            settled=_numbers(item.settled),
            uncertain=_numbers(item.uncertain),
            rate={key: _milli(text, f"{where}: rate.{key}") for key, text in item.rate.items()},
            previous=None
            if previous is None
            else ClosedPeriod(
                *_span(previous, f"{where}: previous"), _numbers(previous.ledger), _numbers(previous.settled)
            ),
            history=tuple(
                Total(*_span(each, f"{where}: history[{index}]"), _numbers(each.ledger))
                for index, each in enumerate(item.history)
            ),
        ),
        reconciled=(
            None
            if item.last_reconcile_time is None
            else _moment(item.last_reconcile_time, f"{where}: lastReconcileTime")
        ),
        period=None if state is None else state.period,
        absorbed=tuple(Absorbed(uid, name) for uid, _, name in (each.partition(" ") for each in item.absorbed)),
    )


def _not_above(settled: Mapping[str, str], ledger: Mapping[str, str], where: str) -> None:
    for key, text in settled.items():
        if int(text) > int(ledger.get(key, "0")):
            msg = f"{where}.{key}: {text} is more than the ledger, {ledger.get(key, '0')}, of which it is a part"
            raise ExportError(msg)


def _numbers(texts: Mapping[str, str]) -> dict[str, int]:
    return {key: int(text) for key, text in texts.items()}


def _milli(text: str, where: str) -> int:
    try:
        return parse_own(text).milli()
    except QuantityError as error:
        msg = f"{where}: {error}"
        raise ExportError(msg) from error


def _span(total: _Total, where: str) -> tuple[int, int]:
    start, end = _moment(total.start, f"{where}.start"), _moment(total.end, f"{where}.end")
    if end <= start:
        msg = f"{where}: it ends at {total.end}, before it starts"
        raise ExportError(msg)
    return start, end


def _moment(text: str, where: str) -> int:
    moment = instant(text)
    if moment is None:
        msg = f"{where}: {text!r} is no time such as 2026-01-05T10:00:00Z"
        raise ExportError(msg)
    return moment
