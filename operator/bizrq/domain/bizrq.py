"""What is a BizGroupResourceQuota as a value, from its JSON?

Reading never raises for what a person may have written: amounts that cannot be read are reported in ``problems`` and
left out. The JSON itself is kept whole, since a writer sends back the object it read, changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bizrq.domain.amounts import Amounts
from bizrq.domain.cash import Books, Seen
from bizrq.domain.quantity import MAX_OWN_TEXT, Quantity, QuantityError, from_json, parse_own
from bizrq.domain.resource_names import CASH
from bizrq.domain.times import instant

__all__ = ["GROUP", "KIND", "LABEL", "PLURAL", "VERSION", "Bizrq", "read_bizrq"]

GROUP: Final = "quota.bizrq.io"
VERSION: Final = "v1"
PLURAL: Final = "bizgroupresourcequotas"
KIND: Final = "BizGroupResourceQuota"

LABEL: Final = "biz.group.resource.quota"
"""The label by which a workload names its bizrq."""


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
    problems: tuple[str, ...] = ()
    """Fields of ``hard`` that could not be read, a sentence each."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

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
    used, _ = _amounts(status.get("used") or {}, "status.used", _own)
    return Bizrq(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation", 0)),
        created=instant(metadata.get("creationTimestamp")) or 0,
        parent=spec.get("parentBizGroup") or "",
        hard=hard,
        used=used,
        books=_books(status.get("cash") or {}),
        reconciled=instant(status.get("lastReconcileTime")),
        problems=tuple(problems),
        raw=raw,
    )


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
    if _is_whole_number(version):
        seen = Seen(int(version), instant(time) or 0)
    rate, _ = _amounts(cash.get("rate") or {}, "status.cash.rate", _own)
    return Books(
        ledger=dict(_whole_numbers(cash.get("ledger") or {})),
        settled=dict(_whole_numbers(cash.get("settled") or {})),
        seen=seen,
        rate={key: amount.milli() for key, amount in rate.items()},
    )


def _whole_numbers(texts: Mapping[str, object]) -> Iterable[tuple[str, int]]:
    """Integers that somebody has edited into no integers count as never written."""
    for key, text in texts.items():
        if isinstance(text, str) and _is_whole_number(text.removeprefix("-")):
            yield key, int(text)


def _is_whole_number(text: str) -> bool:
    return len(text) <= MAX_OWN_TEXT and text.isascii() and text.isdecimal()
