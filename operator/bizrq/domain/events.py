"""Which changes of a status are told as events, and in which words?

An event tells of a transition, and of nothing that lasts: it is worked out of the two statuses between which one write
stands, the one that was replaced and the one that is stored. Each status is replaced once, whoever writes; so neither
a restart nor a second controller tells anything twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bizrq.domain.amounts import exceeding, first_of
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.cash import amount_text
from bizrq.domain.resource_names import is_cash

__all__ = ["NOTE_BYTES", "News", "corrected", "event_name", "news_of", "shortened", "within_namespace"]

NOTE_BYTES: Final = 1024
"""The API server takes no longer note (events.k8s.io/v1)."""

_TAIL_BYTES: Final = 256
"""How much of the end of a text is kept where it is too long: what can be done stands there."""

_CUT: Final = " ... "

_NAME: Final = 200
"""Characters of an object's name in that of an event, which has 253 at most."""

_COUNT, _CORRECT = "Count", "Correct"
"""What was done when it was seen: the ``action`` of an event."""


@dataclass(frozen=True, slots=True)
class News:
    """One transition of a bizrq."""

    reason: str
    """CamelCase, for programs; no two kinds of news share one."""
    note: str
    """For people, about the bizrq that the event regards; of any length."""
    warning: bool
    action: str = _COUNT
    keys: tuple[str, ...] = ()
    """Keys of ``hard`` that it is about."""
    for_users: bool = False
    """Also told in the namespaces of its workloads: it changes what these may do."""


@dataclass(frozen=True, slots=True)
class _Told:
    """How the transitions of a condition are told that is True while something is wrong."""

    type: str
    begins: str
    """Reason of the event when it turns True."""
    ends: str
    of: Callable[[Bizrq], list[str]]
    """The keys that are wrong in a status."""
    for_users: bool = True


def _over_quota(bizrq: Bizrq) -> list[str]:
    return exceeding(bizrq.used, {key: limit for key, limit in bizrq.hard.items() if not is_cash(key)})


def _exhausted(bizrq: Bizrq) -> list[str]:
    """Hours are printed rounded down, so that they show >= hard exactly when the budget is used up [K6]."""
    budgets = {key: limit for key, limit in bizrq.hard.items() if is_cash(key)}
    return sorted(key for key, limit in budgets.items() if key in bizrq.used and bizrq.used[key] >= limit)


_CONDITIONS: Final = (
    _Told("CashExhausted", "CashExhausted", "CashAvailable", _exhausted),
    _Told("OverQuota", "OverQuota", "WithinQuota", _over_quota),
    _Told("SurgeStanding", "SurgeStanding", "SurgeEnded", lambda _: [], for_users=False),
)


def news_of(before: Bizrq, after: Bizrq) -> list[News]:
    """What the write between two statuses of a bizrq has to tell; ``after`` is as it is stored."""
    old, new = _conditions(before), _conditions(after)
    news = [each for told in _CONDITIONS if (each := _turned(told, old, new, before, after)) is not None]
    ready = _readiness(old.get("Ready", {}), new.get("Ready", {}))
    return news if ready is None else [ready, *news]


def _conditions(bizrq: Bizrq) -> dict[str, Mapping[str, Any]]:
    return {each.get("type", ""): each for each in bizrq.status.get("conditions") or ()}


def _turned(
    told: _Told, old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], before: Bizrq, after: Bizrq
) -> News | None:
    was = old.get(told.type, {}).get("status") == "True"
    is_ = new.get(told.type, {}).get("status") == "True"
    if was == is_:
        return None
    message = str(new.get(told.type, {}).get("message") or "")
    if is_:
        keys = tuple(told.of(after))
        return News(told.begins, message, warning=True, keys=keys, for_users=told.for_users)
    keys = tuple(told.of(before))
    figures = first_of([key for key in keys if key in after.hard], lambda key: _used_of(after, key))
    return News(told.ends, message + (f": {figures}" if figures else ""), warning=False, keys=keys)


def _used_of(bizrq: Bizrq, key: str) -> str:
    used = bizrq.used.get(key)
    return f"{key} {amount_text(key, used) if used is not None else 0} of {amount_text(key, bizrq.hard[key])}"


def _readiness(old: Mapping[str, Any], new: Mapping[str, Any]) -> News | None:
    """Another reason not to be Ready is news, too: what has to be done is another thing."""
    message = str(new.get("message") or "")
    if new.get("status") == "False" and (old.get("status"), old.get("reason")) != ("False", new.get("reason")):
        return News(str(new.get("reason")), message, warning=True)
    if new.get("status") == "True" and old.get("status") == "False":
        return News("Ready", message, warning=False)
    return None


def corrected(sentences: Sequence[str]) -> News | None:
    """Figures that were wrong and are put right with this write, a sentence each [R2]; None where there are none."""
    if not sentences:
        return None
    return News("DriftCorrected", "; ".join(sentences), warning=True, action=_CORRECT)


def within_namespace(bizrq: str, note: str) -> str:
    """What is told to those who may see the workloads of a bizrq, and not the bizrq."""
    return f"bizrq {bizrq}: {note}"


def shortened(note: str) -> str:
    """A note that the API server takes; of one that is too long the end is kept, which says what can be done."""
    text = note.encode()
    if len(text) <= NOTE_BYTES:
        return note
    head = text[: NOTE_BYTES - _TAIL_BYTES - len(_CUT)].decode(errors="ignore")
    return head + _CUT + text[-_TAIL_BYTES:].decode(errors="ignore")


def event_name(regarding: str, *parts: str) -> str:
    """A name that no other event has, as long as ``parts`` differ; the same for the same: nothing is told twice.

    ``regarding`` is the name of the object that the event regards.
    """
    told = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return f"{regarding[:_NAME].rstrip('-.')}.{told}"
