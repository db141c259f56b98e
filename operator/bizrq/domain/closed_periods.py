"""What stays known of periods that have ended? [C9].

The last one that ended stays open for corrections, an end of a pod that is reported late for example; of those before
it only the totals are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.domain.quantity import MAX_OWN_TEXT
from bizrq.domain.times import instant, timestamp

__all__ = ["ClosedPeriod", "Total", "is_whole_number", "read_history", "read_previous", "whole_numbers"]


@dataclass(frozen=True, slots=True)
class Total:
    """What a period has cost in the end; an item of ``status.cash.history``."""

    start: int
    end: int
    ledger: Mapping[str, int]
    """Milli-units x seconds by compute key."""

    def as_json(self) -> dict[str, Any]:
        """As in the status."""
        return {"start": timestamp(self.start), "end": timestamp(self.end), "ledger": _texts(self.ledger)}


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """The period that ended last, open for corrections; ``status.cash.previous``."""

    start: int
    end: int
    ledger: Mapping[str, int]
    """Milli-units x seconds by compute key."""
    settled: Mapping[str, int]
    """The part of the ledger whose pods no longer exist."""

    @property
    def total(self) -> Total:
        """What is kept of it when the next period ends."""
        return Total(self.start, self.end, self.ledger)

    def as_json(self) -> dict[str, Any]:
        """As in the status."""
        return {**self.total.as_json(), "settled": _texts(self.settled)}


def read_previous(stated: object) -> ClosedPeriod | None:
    """``status.cash.previous``; None where there is none that can be read."""
    total = _total(stated)
    if total is None or not isinstance(stated, Mapping):
        return None
    return ClosedPeriod(total.start, total.end, total.ledger, dict(whole_numbers(stated.get("settled"))))


def read_history(stated: object) -> tuple[Total, ...]:
    """``status.cash.history``, oldest first as it stands there; items that cannot be read are left out."""
    items = stated if isinstance(stated, list) else []
    return tuple(total for item in items if (total := _total(item)) is not None)


def _total(stated: object) -> Total | None:
    if not isinstance(stated, Mapping):
        return None
    start, end = (instant(text) if isinstance(text := stated.get(name), str) else None for name in ("start", "end"))
    if start is None or end is None or end <= start:
        return None
    return Total(start, end, dict(whole_numbers(stated.get("ledger"))))


def whole_numbers(texts: object) -> Iterable[tuple[str, int]]:
    """Integers by key as the books write them; what somebody has edited into no integers counts as never written."""
    for key, text in texts.items() if isinstance(texts, Mapping) else ():
        if isinstance(text, str) and is_whole_number(text.removeprefix("-")):
            yield key, int(text)


def is_whole_number(text: str) -> bool:
    """Whether ``text`` is digits alone, and not endless."""
    return len(text) <= MAX_OWN_TEXT and text.isascii() and text.isdecimal()


def _texts(amounts: Mapping[str, int]) -> dict[str, str]:
    return {key: str(amount) for key, amount in sorted(amounts.items())}
