"""bizrqs that a controller has counted, lines of claims, and requests for growth put to an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bizrq.controller.farewell import FINALIZER
from bizrq.domain.admission import Account, Again, Ask, Outcome, Refused
from bizrq.domain.claims import Claim, Growth
from bizrq.domain.resource_names import GpuResources
from tests.support.build import NOW, amounts, bizrq, read

__all__ = ["HOUR_OF_A_CORE", "WEB", "account", "admit", "again", "ask", "budget", "counted", "line", "refusal"]

JSON = dict[str, Any]

WEB: Final = "deployments.apps/shop/web"

HOUR_OF_A_CORE: Final = 3_600_000
"""Milli-units x seconds."""


def counted(
    hard: Mapping[str, str],
    *,
    name: str = "team",
    status_hard: Mapping[str, str] | None = None,
    used: Mapping[str, str] | None = None,
    self_used: Mapping[str, str] | None = None,
    claims: Sequence[str] | None = None,
    cash: JSON | None = None,
    parent: str | None = None,
    deletion: int | None = None,
    annotations: Mapping[str, str] | None = None,
    **of_status: Any,
) -> JSON:
    """A bizrq as a controller leaves it: counted at NOW, nothing used where nothing is said, finalizer and all."""
    known = dict(hard if status_hard is None else status_hard)
    shown = {**dict.fromkeys(known, "0"), **(used or {})}
    status = {"hard": known, "selfUsed": dict(shown if self_used is None else self_used), **of_status}
    if claims is not None:
        status["claims"] = list(claims)
    raw = bizrq(
        name,
        parent=parent,
        hard=hard,
        status=status,
        used=shown,
        reconciled=NOW,
        cash=cash,
        deletion=deletion,
        annotations=annotations,
    )
    raw["metadata"]["finalizers"] = [FINALIZER]
    return raw


def line(
    uid: str,
    version: int,
    demand: Mapping[str, str],
    raised: Mapping[str, str],
    *,
    object_: str = WEB,
    since: str = "2026-01-05T09:59:58.214Z",
) -> str:
    """A line of ``status.claims``."""
    return Claim(uid, version, object_, since, amounts(demand), amounts(raised)).line()


def budget(hours: str, *, booked: int, rate: str = "0", used: str | None = None) -> dict[str, Any]:
    """A bizrq with a budget of core-hours, of which so many milli-cores x seconds are booked."""
    shown = f"{booked * 1000 // HOUR_OF_A_CORE}m" if used is None else used
    return counted(
        {"limits.cpu": "10", "cash/limits.cpu": hours},
        used={"limits.cpu": "1", "cash/limits.cpu": shown},
        cash={"ledger": {"limits.cpu": str(booked)}, "rate": {"limits.cpu": rate}},
    )


# --- put to an account -----------------------------------------------------------------------------------------------


def account(raw: JSON) -> Account:
    """A new account on ``raw``."""
    return Account(read(raw), GpuResources())


def ask(
    new: Mapping[str, str], old: Mapping[str, str] | None = None, *, uid: str = "u", version: int = 0, **of: Any
) -> Ask:
    """A request of ``web`` to grow from ``old`` to ``new``; ``of`` are further fields of its growth."""
    return Ask(Growth(uid, version, of.pop("object", WEB), amounts(old or {}), amounts(new), **of))


def admit(account_: Account, asked: Ask, now: int = NOW) -> Outcome:
    """Put one request to an account."""
    return account_.admit(asked, now=now, milliseconds=now * 1000)


def refusal(raw: JSON, asked: Ask, now: int = NOW) -> str:
    """What is said to a request that must be refused."""
    outcome = admit(account(raw), asked, now)
    assert isinstance(outcome, Refused), outcome
    return outcome.message


def again(raw: JSON, asked: Ask) -> str:
    """What is said to a request that cannot be decided now."""
    outcome = admit(account(raw), asked)
    assert isinstance(outcome, Again), outcome
    return outcome.message
