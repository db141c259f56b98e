"""Statuses for tests: what was counted, and the bizrq that is read back."""

from __future__ import annotations

from typing import Any

from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import HOUR, Books, Seen
from bizrq.domain.periods import Period, State
from bizrq.domain.quantity import parse
from bizrq.domain.status import Counted, NotReady
from bizrq.domain.surge import Surge
from tests.support.books import CPU
from tests.support.build import NOW, amounts, bizrq, read

__all__ = ["TEAM", "after", "core_hours", "counted", "surges"]

TEAM = bizrq(hard={"limits.cpu": "8", "pods": "4", "cash/limits.cpu": "10"}, generation=3)


def counted(
    own: dict[str, str] | None = None,
    *,
    children: dict[str, str] | None = None,
    books: Books | None = None,
    now: int = NOW,
    writer: str = "9f31c2.4711",
    not_ready: NotReady | None = None,
) -> Counted:
    """What was counted; by default nothing at all."""
    return Counted(
        period=State(Period(NOW - 60)),
        own=amounts(own or {}),
        children=amounts(children or {}),
        books=books or Books(seen=Seen(81723, NOW - 2)),
        now=now,
        writer=writer,
        not_ready=not_ready,
    )


def core_hours(used: str, *, rate: int = 0, settled: str = "0") -> Books:
    """Books with that many core-hours; ``rate`` is in milli."""
    ledger, gone = (parse(text).nano * HOUR // 10**6 for text in (used, settled))
    return Books({CPU: ledger}, {CPU: gone}, Seen(81723, NOW - 2), {CPU: rate})


def after(bizrq_: Bizrq, status: dict[str, Any]) -> Bizrq:
    """The bizrq as it is read back once ``status`` is stored."""
    return read({**bizrq_.raw, "status": status})


def surges(*since: int) -> list[Surge]:
    """Surge of workloads since these instants: eight pods, of which four are charged."""
    return [Surge(f"deployments.apps/shop/web-{number}", 8, 4, each) for number, each in enumerate(since)]
