"""What is a BizGroupResourceQuota as a value, from its JSON?

Reading never raises for what a person may have written: amounts that cannot be read are reported in ``problems`` and
left out. The JSON itself is kept whole, since a writer sends back the object it read, changed in place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bizrq.domain.amounts import Amounts
from bizrq.domain.calendars import CashPeriod, CashPeriodError, only_on_a_root, read_cash_period
from bizrq.domain.cash import Books, Seen
from bizrq.domain.closed_periods import (
    is_whole_number,
    read_history,
    read_previous,
    whole_numbers,
)
from bizrq.domain.periods import State, read_state
from bizrq.domain.quantity import Quantity, QuantityError, from_json, parse_own
from bizrq.domain.resource_names import CASH
from bizrq.domain.times import instant

__all__ = ["GROUP", "KIND", "LABEL", "PLURAL", "VERSION", "Absorbed", "Bizrq", "own_amounts", "read_bizrq"]

GROUP: Final = "quota.bizrq.io"
VERSION: Final = "v1"
PLURAL: Final = "bizgroupresourcequotas"
KIND: Final = "BizGroupResourceQuota"

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

LABEL: Final = "biz.group.resource.quota"
"""The label by which a workload names its bizrq."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """A deleted child whose hours are in the ledger already [T7]; its name is for the look whether it is gone."""

    uid: str
    name: str

    def __str__(self) -> str:
        """As in ``status.cash.absorbed``."""
        return f"{self.uid} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Bizrq:
    """One version of a bizrq."""

    name: str
    uid: str
    version: int
    """metadata.resourceVersion."""
    generation: int
    created: int
    """Instant of its creation: without a period, that is when its budget began [C9]."""
    parent: str
    """"" for a root."""
    hard: Amounts
    used: Amounts
    """status.used; empty before the first write."""
    books: Books
    reconciled: int | None
    """status.lastReconcileTime: cash is booked up to it, and exactly to it [C4]."""
    deleting: bool = False
    """It has a deletionTimestamp: it admits no growth and no child [T7]."""
    cash_period: CashPeriod | None = None
    """spec.cashPeriod, of a root; while it cannot be read, what the status planned before goes on [C9]."""
    period: State | None = None
    """status.cash.period; None before it was first written [C9]."""
    problems: tuple[str, ...] = ()
    """Fields of ``spec`` that could not be read, a sentence each."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status as JSON; empty before the first write."""
        return self.raw.get("status") or {}

    @property
    def claims(self) -> Sequence[str]:
        """The lines of ``status.claims`` [A4]."""
        return self.status.get("claims") or ()

    @property
    def absorbed(self) -> tuple[Absorbed, ...]:
        """Deleted children whose hours are in the ledger [T7]; a name that is none counts as not given."""
        entries = (self.status.get("cash") or {}).get("absorbed") or ()
        pairs = (each.partition(" ") for each in entries)
        return tuple(Absorbed(uid, name if _NAME.fullmatch(name) else "") for uid, _, name in pairs)

    @property
    def moves(self) -> Sequence[str]:
        """The lines of ``status.cash.moves`` [C7]."""
        return (self.status.get("cash") or {}).get("moves") or ()

    @property
    def writer(self) -> str:
        """The last controller process and its counter [R4]; "" before the first write."""
        return self.status.get("writer") or ""

    @property
    def finalizers(self) -> Sequence[str]:
        """``metadata.finalizers``."""
        return self.raw["metadata"].get("finalizers") or ()

    @property
    def cash_keys(self) -> set[str]:
        """The compute keys with a budget in hours [K3]."""
        return {key.removeprefix(CASH) for key in self.hard if key.startswith(CASH)}


def read_bizrq(raw: Mapping[str, Any]) -> Bizrq:
    """One version of a bizrq from the object that the API server sent.

    Raises ``KeyError`` or ``ValueError`` only for what no API server sends (no name, no uid, no resourceVersion).
    """
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    hard, problems = _amounts(spec.get("hard") or {}, "spec.hard", from_json)
    used = own_amounts(status.get("used"))
    period = read_state((status.get("cash") or {}).get("period"))
    parent = spec.get("parentBizGroup") or ""
    try:
        cash_period = _cash_period(spec, parent)
    except CashPeriodError as error:
        problems.append(str(error))
        cash_period = None if parent or period is None else period.planned
    return Bizrq(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation", 0)),
        created=instant(metadata.get("creationTimestamp")) or 0,
        parent=parent,
        hard=hard,
        used=used,
        books=_books(status.get("cash") or {}),
        reconciled=instant(status.get("lastReconcileTime")),
        deleting=bool(metadata.get("deletionTimestamp")),
        cash_period=cash_period,
        period=period,
        problems=tuple(problems),
        raw=raw,
    )


def _cash_period(spec: Mapping[str, Any], parent: str) -> CashPeriod | None:
    """Raises ``CashPeriodError``."""
    stated = spec.get("cashPeriod")
    if stated is None:
        return None
    if parent:
        raise CashPeriodError(only_on_a_root(parent))
    return read_cash_period(stated, "spec.cashPeriod")


def own_amounts(stated: Mapping[str, object] | None) -> dict[str, Quantity]:
    """Figures that this program printed into a status; one that somebody broke counts as never written."""
    return _amounts(stated or {}, "status", _own)[0]


def _own(value: object) -> Quantity:
    """A figure that this program printed into a status."""
    return parse_own(value) if isinstance(value, str) else from_json(value)


def _amounts(
    stated: Mapping[str, object], path: str, read: Callable[[object], Quantity]
) -> tuple[dict[str, Quantity], list[str]]:
    amounts, problems = {}, []
    for key, value in stated.items():
        try:
            amounts[key] = read(value)
        except QuantityError as error:
            problems.append(f"{path}.{key}: {error}")
    return amounts, problems


def _books(cash: Mapping[str, Any]) -> Books:
    seen = None
    version, _, time = (cash.get("seen") or "").partition(" ")
    if is_whole_number(version):
        seen = Seen(int(version), instant(time) or 0)
    rate = own_amounts(cash.get("rate"))
    return Books(
        ledger=dict(whole_numbers(cash.get("ledger"))),
        settled=dict(whole_numbers(cash.get("settled"))),
        seen=seen,
        rate={key: amount.milli() for key, amount in rate.items()},
        uncertain=dict(whole_numbers(cash.get("uncertain"))),
        previous=read_previous(cash.get("previous")),
        history=read_history(cash.get("history")),
    )
