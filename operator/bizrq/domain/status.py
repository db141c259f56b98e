"""What does a status say, given what was counted?

``new_status`` changes the status that was read in place of a copy, field by field: what this version does not know
stays as it was, since controllers and webhooks of two versions run side by side during an upgrade.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bizrq.domain.amounts import KEYS_NAMED, Amounts, exceeding, first_of
from bizrq.domain.bizrq import Absorbed, Bizrq
from bizrq.domain.cash import Books, amount_text, budget, carried, hours
from bizrq.domain.leftovers import is_of_another_format
from bizrq.domain.periods import State, as_json
from bizrq.domain.quantity import ZERO, Quantity, QuantityError, parse_own
from bizrq.domain.resource_names import CASH, GpuResources, cash_base, is_cash
from bizrq.domain.stays import is_of_another_format as is_move_of_another_format
from bizrq.domain.surge import Surge
from bizrq.domain.times import timestamp

__all__ = ["Counted", "NotReady", "has_news", "new_status", "put_books", "put_list", "summary"]


@dataclass(frozen=True, slots=True)
class NotReady:
    """Why a bizrq is not Ready: a CamelCase reason for programs, a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Everything that was counted for one bizrq, at one instant."""

    own: Amounts
    """What its own workloads are charged, by key, open claims included [A4]."""
    children: Amounts
    """What its children take, open claims included [T3, T6]."""
    books: Books
    period: State
    """Of its root, as it is now [C9]."""
    now: int
    writer: str
    """Random process id and counter [R4]."""
    claims: Sequence[str] = ()
    """The lines of claims that are open [A4]."""
    leftovers: Sequence[str] = ()
    """Lines of workloads that are charged more than they demand [P5]."""
    unsure: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Workloads whose charge may fall once their pods are seen as late as they are: version and object by UID."""
    rest: bool = False
    """Whether the status read held more than could be named [P5]."""
    look_again: bool = False
    """Whether that may fall without any event of a pod of this bizrq."""
    surges: Sequence[Surge] = ()
    """Workloads with more pods than they are charged for, oldest first, whether these stand or not."""
    moves: Sequence[str] = ()
    """Lines of workloads whose pods are charged here for a part of their time only, or that are gone [C7]."""
    absorbed: Sequence[Absorbed] = ()
    """Deleted children whose hours are in the books [T7]."""
    not_ready: NotReady | None = None
    gpus: GpuResources = field(default_factory=GpuResources)


def new_status(bizrq: Bizrq, counted: Counted) -> dict[str, Any]:
    """The status of ``bizrq`` with what was counted put in; keys that ``hard`` lacks are not shown [K5]."""
    status: dict[str, Any] = copy.deepcopy(dict(bizrq.status))
    self_used = {key: _own(key, counted) for key in bizrq.hard}
    used = {key: amount + counted.children.get(key, ZERO) for key, amount in self_used.items()}
    status["hard"] = _texts(bizrq.hard)
    status["used"] = _texts(used)
    status["selfUsed"] = _texts(self_used)
    status["lastReconcileTime"] = timestamp(counted.now)
    status["observedGeneration"] = bizrq.generation
    status["writer"] = counted.writer
    status["summary"] = summary(bizrq.hard, used, counted.gpus)
    put_list(status, "claims", counted.claims)
    others = [line for line in status.get("leftovers") or () if is_of_another_format(line)]
    put_list(status, "leftovers", [*others, *counted.leftovers])
    books = counted.books
    cash = status["cash"] = status.get("cash") or {}
    put_books(cash, books)
    cash["rate"] = {key: str(Quantity.from_milli(milli)) for key, milli in sorted(books.rate.items())}
    put_list(cash, "absorbed", [str(each) for each in counted.absorbed])
    other_moves = [line for line in bizrq.moves if is_move_of_another_format(line)]
    put_list(cash, "moves", [*other_moves, *counted.moves])
    cash["period"] = as_json(counted.period)
    if books.seen is not None:
        cash["seen"] = f"{books.seen.version} {timestamp(books.seen.time)}"
    status["conditions"] = _conditions(bizrq, used, counted, status.get("conditions") or [])
    return status


def put_books(cash: dict[str, Any], books: Books) -> None:
    """Put the hours of books into ``status.cash``: of the period that runs, and of those that ended."""
    cash["ledger"] = {key: str(amount) for key, amount in sorted(books.ledger.items())}
    cash["settled"] = {key: str(amount) for key, amount in sorted(books.settled.items())}
    put_list(cash, "history", [each.as_json() for each in books.history])
    cash.pop("previous", None)
    if books.previous is not None:
        cash["previous"] = books.previous.as_json()
    cash.pop("uncertain", None)
    if any(books.uncertain.values()):
        cash["uncertain"] = {key: str(amount) for key, amount in sorted(books.uncertain.items()) if amount}


def put_list(fields: dict[str, Any], name: str, items: Sequence[Any]) -> None:
    """An empty list is left out: the status is read by people too."""
    fields.pop(name, None)
    if items:
        fields[name] = list(items)


def _own(key: str, counted: Counted) -> Quantity:
    if is_cash(key):
        return hours(counted.books.ledger.get(cash_base(key), 0))
    return counted.own.get(key, ZERO)


def _texts(amounts: Amounts) -> dict[str, str]:
    return {key: amount_text(key, amount) for key, amount in sorted(amounts.items())}


# --- the printed columns ---------------------------------------------------------------------------------------------

_CPU: Final = ("limits.cpu", "requests.cpu", "cpu")
_MEMORY: Final = ("limits.memory", "requests.memory", "memory")


def summary(hard: Amounts, used: Amounts, gpus: GpuResources) -> dict[str, str]:
    """The texts ``used/hard`` behind the columns of ``kubectl get bizrq``; empty where nothing is limited."""
    gpu_keys = [key for key in hard if key.startswith("requests.") and key.removeprefix("requests.") in gpus]
    cash_gpu_keys = [key for key in hard if is_cash(key) and cash_base(key).removeprefix("requests.") in gpus]
    columns = {
        "cpu": _first(_CPU, hard),
        "memory": _first(_MEMORY, hard),
        "gpu": _plain(gpu_keys),
        "cashCpu": _first(tuple(CASH + key for key in _CPU), hard),
        "cashGpu": _plain(cash_gpu_keys),
    }
    return {column: _used_of_hard(keys, hard, used) for column, keys in columns.items()}


def _first(keys: tuple[str, ...], hard: Amounts) -> list[str]:
    return [key for key in keys if key in hard][:1]


def _plain(keys: list[str]) -> list[str]:
    """``mig-*`` matches ``mig-1g.5gb.A30`` too; a key is known as a model of the one that it continues with a dot."""
    return [key for key in keys if not any(key.startswith(f"{other}.") for other in keys)]


def _used_of_hard(keys: list[str], hard: Amounts, used: Amounts) -> str:
    if not keys:
        return ""
    together = sum((used.get(key, ZERO) for key in keys), ZERO)
    limit = sum((hard[key] for key in keys), ZERO)
    return f"{amount_text(keys[0], together)}/{amount_text(keys[0], limit)}"


# --- conditions ------------------------------------------------------------------------------------------------------


_CONDITIONS: Final = 16
"""The CRD allows no more; a status must not become one that cannot be written."""

_OVER: Final = "what runs goes on, and nothing that needs more of it is admitted until less is used or hard is raised"
_SPENT: Final = "what runs goes on and is paid for, and nothing that needs more of it is admitted until"
"""What it means for people, and what can be done, behind the figures."""


def _conditions(bizrq: Bizrq, used: Amounts, counted: Counted, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocked = counted.not_ready
    if bizrq.problems:
        blocked = NotReady("InvalidHard", "; ".join(bizrq.problems[:KEYS_NAMED]))
    ready = (
        ("Ready", "False", blocked.reason, blocked.message)
        if blocked
        else ("Ready", "True", "Counted", f"counted for generation {bizrq.generation}")
    )
    plain = {key: limit for key, limit in bizrq.hard.items() if not is_cash(key)}
    over = exceeding(used, plain)
    over_quota = (
        ("OverQuota", "True", "UsedAboveHard", f"more is used than hard allows: {_used_of(over, used, plain)}; {_OVER}")
        if over
        else ("OverQuota", "False", "WithinHard", "nothing is used above hard")
    )
    result = [
        _condition(each, bizrq.generation, counted.now, before)
        for each in (ready, over_quota, _cash(bizrq, used, counted), _surge(counted))
    ]
    ours = {each["type"] for each in result}
    foreign = [each for each in before if each.get("type") not in ours]
    return [*result, *foreign[: _CONDITIONS - len(result)]]


def _cash(bizrq: Bizrq, used: Amounts, counted: Counted) -> tuple[str, str, str, str]:
    budgets = {key: limit for key, limit in bizrq.hard.items() if is_cash(key)}
    if not budgets:
        return "CashExhausted", "False", "NoBudget", "hard has no cash keys"
    spent = sorted(key for key, limit in budgets.items() if _is_exhausted(key, limit, used, counted))
    if spent:
        edge = counted.period.edge
        anew = f"hours are granted anew at {edge} or " if edge else ""
        told = f"no hours are left: {_used_of(spent, used, budgets)}; {_SPENT} {anew}the budget is raised"
        return "CashExhausted", "True", "BudgetSpent", told
    return "CashExhausted", "False", "BudgetLeft", "every budget has hours left"


_WORKLOADS_NAMED: Final = 5


def _surge(counted: Counted) -> tuple[str, str, str, str]:
    standing = [each for each in counted.surges if each.stands_from <= counted.now]
    if not standing:
        return "SurgeStanding", "False", "NoneForAnHour", "no workload has had more pods than it is charged for an hour"
    named = [
        f"{each.object} has {each.pods} pods and is charged for {each.charged}, since {timestamp(each.since)}"
        for each in standing[:_WORKLOADS_NAMED]
    ]
    if len(standing) > len(named):
        named.append(f"and {len(standing) - len(named)} more workloads")
    told = "; ".join(named)
    return "SurgeStanding", "True", "RolloutStands", f"{told}: promote or abort the rollout, or lower its replicas"


def _is_exhausted(key: str, limit: Quantity, used: Amounts, counted: Counted) -> bool:
    """Used >= hard, to the second: the ledger decides, not the hours that are shown [A6, C3]."""
    children = counted.children.get(key, ZERO)
    return counted.books.ledger.get(cash_base(key), 0) >= budget(limit - children) or used[key] >= limit


def _used_of(keys: list[str], used: Amounts, hard: Amounts) -> str:
    return first_of(keys, lambda key: f"{key} {amount_text(key, used[key])} of {amount_text(key, hard[key])}")


def _condition(
    new: tuple[str, str, str, str], generation: int, now: int, before: list[dict[str, Any]]
) -> dict[str, Any]:
    kind, status, reason, message = new
    known = next((each for each in before if each.get("type") == kind), {})
    since = known.get("lastTransitionTime") if known.get("status") == status else None
    return {
        **known,
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since or timestamp(now),
        "observedGeneration": generation,
    }


# --- is it worth a write? --------------------------------------------------------------------------------------------

_MOVES_WITH_TIME: Final = ("lastReconcileTime", "writer", "used", "selfUsed", "summary", "cash", "conditions")


def has_news(bizrq: Bizrq, status: Mapping[str, Any], counted: Counted) -> bool:
    """Whether ``status`` says more than the passing of time at the recorded rate would have said anyway.

    Without news an event costs no write; the resync writes every few minutes whatever happened.
    """
    old: Mapping[str, Any] = bizrq.raw.get("status") or {}
    if bizrq.reconciled is None or any(
        old.get(name) != status.get(name) for name in {*old, *status} if name not in _MOVES_WITH_TIME
    ):
        return True
    if tuple(counted.absorbed) != bizrq.absorbed or status["cash"].get("moves", []) != list(bizrq.moves):
        return True
    books = counted.books
    if (
        counted.period != bizrq.period
        or books.previous != bizrq.books.previous
        or books.uncertain != bizrq.books.uncertain
    ):
        return True
    expected = carried(bizrq.books, counted.now - bizrq.reconciled)
    if books.ledger != expected or books.rate != bizrq.books.rate or books.settled != bizrq.books.settled:
        return True
    if _without_cash(status, "used") != _without_cash(old, "used"):
        return True
    if _without_cash(status, "selfUsed") != _without_cash(old, "selfUsed"):
        return True
    if _states(status) != _states(old):
        return True
    # What the children have overrun is shown in used only, in whole thousandths.
    return any(
        bizrq.used.get(key, ZERO) - hours(bizrq.books.ledger.get(cash_base(key), 0))
        != Quantity.from_milli(counted.children.get(key, ZERO).nano // 10**6)
        for key in bizrq.hard
        if is_cash(key)
    )


def _without_cash(status: Mapping[str, Any], name: str) -> dict[str, Quantity | str]:
    """By value: which suffix a sum prints depends on the order in which its parts became known."""
    return {key: _value(text) for key, text in (status.get(name) or {}).items() if not is_cash(key)}


def _value(text: str) -> Quantity | str:
    try:
        return parse_own(text)
    except QuantityError:
        return text


_TOLD_BY_MESSAGE: Final = ("Ready", "SurgeStanding")
"""Conditions whose message says more than their reason, and changes only when something happens."""


def _states(status: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (each["type"], each["status"], each["message"] if each["type"] in _TOLD_BY_MESSAGE else each["reason"])
        for each in status.get("conditions") or []
    ]
