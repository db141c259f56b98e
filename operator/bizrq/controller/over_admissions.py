"""Did admission let in too much? Counted and told, for it must never be.

A status is compared with the last one that this process wrote or found right, so that what webhooks granted in between
is looked at too, and what somebody edited in between is not taken for what was used. Where another controller has
counted since, or nobody of this process, it is compared with the status that was read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.domain.amounts import Amounts, add_into, beyond, only, subtract_from, total
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.over_admission import over_admitted
from bizrq.domain.quantity import Quantity
from bizrq.domain.tree import circle_above
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["OverAdmissions"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was used by a status that this process wrote or found right."""

    uid: str
    writer: str
    used: Amounts


class OverAdmissions:
    """Compares what is used with what was used before."""

    def __init__(self, find: Callable[[str], Bizrq | None], metrics: ControllerMetrics) -> None:
        """``find`` gives a bizrq by its name."""
        self._find, self._metrics = find, metrics
        self._known: dict[str, _Counted] = {}
        self._found_below: dict[str, dict[str, Quantity]] = {}
        """What descendants were found to use beyond a hard that is new to them: it was never asked for, and their
        parents' used rises by it once."""

    def look(self, bizrq: Bizrq, status: Mapping[str, Any]) -> None:
        """``status`` holds now: it was written over ``bizrq``, or is what that says already."""
        name, used, known = bizrq.name, own_amounts(status.get("used")), self._known.get(bizrq.name)
        # Webhooks leave the writer as it is.
        ours = known is not None and (known.uid, known.writer) == (bizrq.uid, bizrq.writer)
        before = known.used if known is not None and ours else bizrq.used
        below = self._found_below.get(name, {})
        for each in over_admitted(bizrq, total((before, only(below, before))), used):
            self._metrics.bizrqs.count_over(name, each.key)
            log.error(
                "%s: used of %s rose from %s to %s, above hard, which allows %s: the webhook was not asked, or let in "
                "what does not fit",
                name, each.key, before[each.key], each.after, each.hard,
            )  # fmt: skip
        self._use_up(name, beyond(used, before))
        self._tell_above(bizrq, used)
        self._known[name] = _Counted(bizrq.uid, status.get("writer") or "", used)

    def forget(self, name: str) -> None:
        """A bizrq is gone."""
        self._known.pop(name, None)
        self._found_below.pop(name, None)
        self._metrics.bizrqs.forget(name)

    def _use_up(self, name: str, risen: Amounts) -> None:
        below = self._found_below.get(name)
        if below:
            subtract_from(below, {key: min(amount, risen[key]) for key, amount in below.items() if key in risen})
            if not below:
                del self._found_below[name]

    def _tell_above(self, bizrq: Bizrq, used: Amounts) -> None:
        """Where ``bizrq`` is counted on a key for the first time, what it uses beyond hard is news to all above."""
        counted = own_amounts(bizrq.status.get("hard"))
        new = {key: amount for key, amount in used.items() if key in bizrq.hard and key not in counted}
        found = beyond(new, bizrq.hard)
        if not found or circle_above(bizrq, self._find):
            return
        name = bizrq.parent
        while (above := self._find(name)) is not None:
            add_into(self._found_below.setdefault(name, {}), found)
            name = above.parent
