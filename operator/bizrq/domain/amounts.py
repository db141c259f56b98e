"""How are amounts added and compared, key by key?

``Amounts`` maps a key of ``hard`` ([K1]) to a quantity. A key that is absent counts as zero in a sum; whether it is
limited is for the caller to say [K5].
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final

from bizrq.domain.quantity import ZERO, Quantity

__all__ = [
    "KEYS_NAMED",
    "Amounts",
    "add_into",
    "beyond",
    "exceeding",
    "first_of",
    "key_by_key_max",
    "only",
    "subtract_from",
    "total",
]

Amounts = Mapping[str, Quantity]

KEYS_NAMED: Final = 10
"""Keys that a message names; a bizrq may have 256, and its status is sent around with every write."""


def add_into(target: dict[str, Quantity], more: Amounts) -> None:
    """Add ``more`` to ``target`` in place."""
    if not target:
        target.update(more)
        return
    for key, amount in more.items():
        known = target.get(key)
        target[key] = amount if known is None else known + amount


def subtract_from(target: dict[str, Quantity], less: Amounts) -> None:
    """Take ``less`` out of ``target`` in place; a key that comes to zero is dropped, so that a running sum is small."""
    for key, amount in less.items():
        known = target.get(key)
        rest = known - amount if known is not None else amount * -1
        if rest:
            target[key] = rest
        else:
            target.pop(key, None)


def total(parts: Iterable[Amounts]) -> dict[str, Quantity]:
    """The sum of all parts."""
    result: dict[str, Quantity] = {}
    for part in parts:
        add_into(result, part)
    return result


def key_by_key_max(left: Amounts, right: Amounts) -> dict[str, Quantity]:
    """Per key the larger amount; of two equal ones the left, which decides about the suffix it is printed with."""
    result = dict(left)
    for key, amount in right.items():
        known = result.get(key)
        if known is None or known < amount:
            result[key] = amount
    return result


def beyond(amounts: Amounts, less: Amounts) -> dict[str, Quantity]:
    """Per key what ``amounts`` is above ``less``, where it is."""
    return {key: amount - less.get(key, ZERO) for key, amount in amounts.items() if amount > less.get(key, ZERO)}


def only(amounts: Amounts, keys: Container[str]) -> dict[str, Quantity]:
    """The part of ``amounts`` that stands under one of ``keys``."""
    return {key: amount for key, amount in amounts.items() if key in keys}


def exceeding(used: Amounts, hard: Amounts) -> list[str]:
    """The keys whose ``used`` is above ``hard``, in alphabetical order; what ``hard`` lacks is not limited [K5]."""
    return sorted(key for key, limit in hard.items() if (amount := used.get(key)) is not None and amount > limit)


def first_of(keys: Sequence[str], told: Callable[[str], str], noun: str = "keys") -> str:
    """What is told of the first keys, or of other things by ``noun``, and how many there are besides."""
    rest = len(keys) - KEYS_NAMED
    return ", ".join(map(told, keys[:KEYS_NAMED])) + (f" and {rest} more {noun}" if rest > 0 else "")
