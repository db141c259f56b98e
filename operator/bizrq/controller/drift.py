"""Has somebody changed figures that were right? [R2].

Between two writes of the controller only webhooks may change ``used``: they raise it by what they claim, a new line
each. Whatever else a figure says is somebody's edit; it is corrected by the next write, counted and logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.charges import added_by
from bizrq.domain.quantity import ZERO
from bizrq.domain.resource_names import is_cash
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["Drift"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """A status that this process wrote or found right."""

    uid: str
    version: int
    writer: str
    used: Amounts
    self_used: Amounts
    claims: frozenset[str]


class Drift:
    """Compares statuses with the last one that was right."""

    def __init__(self, metrics: ControllerMetrics) -> None:
        self._metrics = metrics
        self._known: dict[str, _Known] = {}
        self._told: dict[str, list[str]] = {}
        """What was found wrong since the last write of a bizrq, a sentence each."""

    def remember(self, bizrq: Bizrq) -> None:
        """This status is right."""
        self._known[bizrq.name] = _Known(
            bizrq.uid,
            bizrq.version,
            bizrq.writer,
            _plain(bizrq.status, "used"),
            _plain(bizrq.status, "selfUsed"),
            frozenset(bizrq.claims),
        )

    def forget(self, name: str) -> None:
        """A bizrq is gone, or is another controller's."""
        self._known.pop(name, None)
        self._told.pop(name, None)

    def missed(self, name: str, sentence: str) -> None:
        """A view of ours was wrong, and is right again: the next write corrects what it led to."""
        self._told.setdefault(name, []).append(sentence)

    def take_corrected(self, name: str) -> list[str]:
        """What the write that was just stored has corrected, each told once."""
        return self._told.pop(name, [])

    def found(self, bizrq: Bizrq, right: Mapping[str, Any]) -> bool:
        """Whether ``bizrq`` shows figures that neither we nor a webhook wrote; ``right`` is the status now due."""
        last = self._known.get(bizrq.name)
        if last is None or last.uid != bizrq.uid or last.version == bizrq.version:
            return False
        del self._known[bizrq.name]
        if last.writer != bizrq.writer:
            return False  # another controller counted it, with a view of its own [R4]
        workloads, children = added_by(set(bizrq.claims) - last.claims, lambda *_: {})
        edited = self._report(bizrq, "selfUsed", last.self_used, workloads, right)
        both = {key: workloads.get(key, ZERO) + children.get(key, ZERO) for key in {*workloads, *children}}
        edited = self._report(bizrq, "used", last.used, both, right) or edited
        if edited:
            self._metrics.drift.labels("status").inc()
        return edited

    def _report(self, bizrq: Bizrq, field: str, written: Amounts, claimed: Amounts, right: Mapping[str, Any]) -> bool:
        found, correct = _plain(bizrq.status, field), _plain(right, field)
        wrong = [
            key
            for key in sorted(written.keys() & correct.keys())
            if found.get(key) != correct[key]
            and not (key in found and written[key] <= found[key] <= written[key] + claimed.get(key, ZERO))
        ]
        for key in wrong:
            sentence = (
                f"status.{field} of {key} was changed to {found.get(key, 'nothing')} by somebody else; "
                f"corrected to {correct[key]}"
            )
            log.warning("%s: drift: %s", bizrq.name, sentence)
            self.missed(bizrq.name, sentence)
        return bool(wrong)


def _plain(status: Mapping[str, Any], field: str) -> Amounts:
    return {key: amount for key, amount in own_amounts(status.get(field)).items() if not is_cash(key)}
