"""What will be used by now, as the last status lets one tell? [A6, C8, C9].

A status is some minutes old at rest. Until the next one, what its pods held goes on costing: rate x time. That is exact
as long as no pod starts or ends, which the controller writes down within seconds.
"""

from __future__ import annotations

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import hours
from bizrq.domain.periods import advance, last_edge
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import cash_base, is_cash

__all__ = ["booked_at", "next_grant", "used_at"]


def booked_at(bizrq: Bizrq, base: str, now: int) -> int:
    """What the bizrq's own pods will have cost of the compute key ``base`` in the period at ``now``.

    In milli-units x seconds. Where the period of the status is over, its ledger is: what counts are the seconds since
    the last edge, of however many that were passed.
    """
    rate = bizrq.books.rate.get(base, 0)
    edge = None if bizrq.period is None else last_edge(bizrq.period, now)
    if edge is not None:
        return rate * (now - edge)
    seconds = 0 if bizrq.reconciled is None else max(0, now - bizrq.reconciled)
    return bizrq.books.ledger.get(base, 0) + rate * seconds


def used_at(bizrq: Bizrq, key: str, now: int, used: Quantity | None = None) -> Quantity:
    """What is used of a key of ``hard``; hours of cash are carried forward at the recorded rate, over edges too [A6].

    ``used`` is the figure of the status with what was granted since; by default that of the status. The part of it
    that is not the bizrq's own is what its children take, and is left as it was recorded: they take at least what
    they were granted for the new period, too.
    """
    used = bizrq.used.get(key, ZERO) if used is None else used
    if not is_cash(key):
        return used
    base = cash_base(key)
    return used - hours(bizrq.books.ledger.get(base, 0)) + hours(booked_at(bizrq, base, now))


def next_grant(bizrq: Bizrq, now: int) -> str:
    """For people, when hours are granted anew; "" where they are granted once [C9]."""
    return "" if bizrq.period is None else advance(bizrq.period, now)[0].edge
