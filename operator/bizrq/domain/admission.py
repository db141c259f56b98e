"""Does this growth fit into this bizrq, and what does its status say then? [A1-A4, A6, P4, T3].

An ``Account`` is one version of a bizrq and what is granted on top of it, request by request; it is written by
compare-and-swap over that very version. So a batch of requests is decided as if each had been written by itself, and
the refusal of one touches no other.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bizrq.domain.amounts import Amounts, first_of, only
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.cash import amount_text, budget, hours
from bizrq.domain.claims import (
    MAX_CLAIMS,
    MAX_LINE,
    Claim,
    ClaimError,
    Growth,
    Settled,
    claimant_of,
    parse_claim,
    settle,
    since_text,
)
from bizrq.domain.forecast import booked_at, next_grant, used_at
from bizrq.domain.leftovers import leftovers_of
from bizrq.domain.pod_resources import PodResources, unstated
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.refusals import (
    Limit,
    exceeded,
    fits,
    key_missing,
    left_to_grant,
    must_specify,
    nearly_used,
    spent,
)
from bizrq.domain.resource_names import CASH, GpuResources, cash_base
from bizrq.domain.status import summary

__all__ = ["Account", "Again", "Ask", "Granted", "LookFirst", "Outcome", "Refused"]

_LINES_A_NAME: Final = 3
"""Open claims of creates of one name, where no such object is there [A4]."""

_UNCOUNTED: Final = "and the controller has yet to count it; try again in a moment, and see whether it runs"

_MOST_CHARACTERS: Final = 512 * 1024
"""Of all open claims of a bizrq: etcd takes objects of 1.5 MB, and every write sends all of it."""

_WARN_AT: Final = 90
"""Per cent of a limit from which on a grant comes with a warning."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for growth, and what is needed to explain a refusal."""

    growth: Growth
    pods: Sequence[PodResources] = ()
    """The templates of its pods, which must state what ``hard`` limits [P4]."""
    demand_of: Callable[[int], Amounts] | None = None
    """What it would demand with so many replicas; None where there is no such number, or more than one."""
    replicas: int = 0
    """What it asks for of these."""
    say_fits: Callable[[int], str] = fits
    """How the largest number of them that would be admitted is told."""
    looked: bool = False
    """A live read has just shown that its write may go through: a create's name is free, the object of an update is
    still at its version."""


@dataclass(frozen=True, slots=True)
class Granted:
    """It fits; once the account is written, it is claimed."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not fit; the message says why and what would."""

    message: str


@dataclass(frozen=True, slots=True)
class Again:
    """It cannot be decided now [A13]; the message says what it waits for."""

    message: str


@dataclass(frozen=True, slots=True)
class LookFirst:
    """A live read must tell whether its write can go through at all; if so, ask again [A4].

    A create of the same name is open already, or a claim of the same object on a later version: nobody is let by on
    the word of a line alone.
    """


Outcome = Granted | Refused | Again | LookFirst


class Account:
    """One version of a bizrq, with what was granted on top of it."""

    def __init__(self, bizrq: Bizrq, gpus: GpuResources) -> None:
        self.bizrq = bizrq
        self.granted = 0
        """Claims made or renewed on top of the version."""
        self._gpus = gpus
        self._used = dict(bizrq.used)
        self._self_used = own_amounts(bizrq.status.get("selfUsed"))
        self._counted = own_amounts(bizrq.status.get("hard"))
        self._lines: dict[str, str] = {}
        self._unreadable: list[str] = []
        """Lines of a form to come: they stand, and nothing is known of them."""
        self._creates: dict[str, int] = {}
        """Open claims of creates, by object."""
        self._raised: set[str] = set()
        self._leftovers = leftovers_of(bizrq)
        self._size = sum(map(len, bizrq.claims))
        for line in bizrq.claims:
            claimant = claimant_of(line)
            if claimant is None:
                self._unreadable.append(line)
                continue
            uid, version, name = claimant
            self._lines[uid] = line
            if version == 0:
                self._creates[name] = self._creates.get(name, 0) + 1

    def admit(self, ask: Ask, *, now: int, milliseconds: int) -> Outcome:
        """Decide on a request at the instant ``now``, and take it into the account where it is granted [A1, A3]."""
        problem = self._not_now(ask)
        if problem is not None:
            return problem
        line = self._leftovers.get(ask.growth.uid)
        if line is not None:
            ask = replace(ask, growth=replace(ask.growth, credit=line.charge))
        growth = ask.growth
        try:
            known = self._known(growth.uid)
        except ClaimError:
            return Again(f"a claim of {growth.object} was written by another version of bizrq, and must close first")
        settled = settle(growth, known)
        if settled is None:
            if not ask.looked or known is None:
                return LookFirst()
            # No such version was there: an error, a forgery, or a race. Both requests may go through, so the larger
            # amounts are kept, and the line keeps its version, which decides when it closes.
            settled = settle(growth, replace(known, version=growth.version))
            assert settled is not None  # noqa: S101  # the versions are equal
        taken = self._creates.get(growth.object, 0) if known is None and growth.version == 0 else 0
        if taken and not ask.looked:
            return LookFirst()
        if taken >= _LINES_A_NAME:
            return Again(f"{taken} creates of {growth.object} are on their way already")
        return self._refusal(ask, settled, now) or self._take(ask, settled, known, now, milliseconds)

    def status(self) -> dict[str, Any]:
        """The status with all that was granted; everything else stays as it was read."""
        status = dict(self.bizrq.status)
        for name, figures in (("used", self._used), ("selfUsed", self._self_used)):
            # Hours are shown rounded down; what is granted on the sum must not be lost with its fraction [T3, T6].
            texts = {
                key: amount_text(key, figures[key].rounded_up_to_milli()) for key in self._raised if key in figures
            }
            status[name] = {**(status.get(name) or {}), **texts}
        status["summary"] = summary(self.bizrq.hard, self._used, self._gpus)
        status["claims"] = [*self._unreadable, *self._lines.values()]
        return status

    # --- what stands in the way --------------------------------------------------------------------------------------

    def _not_now(self, ask: Ask) -> Outcome | None:
        bizrq = self.bizrq
        if bizrq.deleting:
            return Refused(f"{bizrq.name} is being deleted and grants nothing any more; name another bizrq")
        if bizrq.problems:
            return Refused(f"{bizrq.name} grants nothing while its quota cannot be read: {bizrq.problems[0]}")
        if not self._counted and (bizrq.hard or bizrq.reconciled is None):
            return Again(f"{bizrq.name} is new, {_UNCOUNTED}")
        keys = _growing(ask.growth)
        if ask.growth.keys is None:
            keys += [CASH + key for key in keys]
        uncounted = [key for key in keys if key in bizrq.hard and not self._is_counted(key)]
        if uncounted:
            return Again(f"{first_of(sorted(uncounted), str)} is new in the quota of {bizrq.name}, {_UNCOUNTED}")
        return None

    def _is_counted(self, key: str) -> bool:
        return key in self._counted and key in self._used

    def _refusal(self, ask: Ask, settled: Settled, now: int) -> Outcome | None:
        growth, bizrq = ask.growth, self.bizrq
        if growth.keys is not None:
            missing = [
                Limit(key, ZERO, self._used_at(key, now), self._limit(key))
                for key in sorted(bizrq.hard.keys() - growth.keys)
            ]
            if missing:
                return Refused(key_missing(growth.object.rpartition("/")[2], bizrq.name, missing))
        else:
            for pod in ask.pods:
                unsaid = unstated(pod, bizrq.hard)
                if unsaid:
                    return Refused(must_specify(bizrq.name, unsaid))
            empty = [limit for limit in self._budgets(growth, now) if self._is_spent(limit, now)]
            if any(self._is_spent(replace(limit, limited=bizrq.hard[limit.key]), now) for limit in empty):
                return Refused(spent(bizrq.name, empty, next_grant(bizrq, now)))
            if empty:
                return _raised(bizrq.name, empty)
        over = self._exceeded(growth, settled, now)
        if not over:
            return None
        if all(limit.used + limit.requested <= bizrq.hard[limit.key] for limit in over):
            return _raised(bizrq.name, over)
        text = exceeded(bizrq.name, over)
        if growth.keys is not None:
            return Refused(text + left_to_grant(bizrq.name, over))
        return Refused(text + self._what_fits(ask, now))

    def _exceeded(self, growth: Growth, settled: Settled, now: int) -> list[Limit]:
        over = []
        for limit in self._limits(growth, settled, now):
            if limit.used + limit.requested > limit.limited:
                # Covered by an open claim, and yet over: what the request grows by tells people more than 0.
                requested = limit.requested or growth.new[limit.key] - growth.old.get(limit.key, ZERO)
                over.append(replace(limit, requested=requested))
        return over

    def _limits(self, growth: Growth, settled: Settled, now: int) -> list[Limit]:
        """The limits that a request grows against; ``requested`` is what ``used`` would rise by [A1, K5]."""
        return [
            Limit(key, settled.grant.get(key, ZERO), self._used_at(key, now), self._limit(key))
            for key in _growing(growth)
            if key in self.bizrq.hard
        ]

    def _budgets(self, growth: Growth, now: int) -> list[Limit]:
        """The budgets of hours that the pods of a request would spend [A6]."""
        keys = [CASH + key for key in _growing(growth) if CASH + key in self.bizrq.hard]
        return [Limit(key, ZERO, self._used_at(key, now), self._limit(key)) for key in keys]

    def _is_spent(self, limit: Limit, now: int) -> bool:
        """Used >= hard, to the second: the ledger decides, not the hours that are shown [A6, C3]."""
        base = cash_base(limit.key)
        children = self._used.get(limit.key, ZERO) - hours(self.bizrq.books.ledger.get(base, 0))
        return booked_at(self.bizrq, base, now) >= budget(limit.limited - children) or limit.used >= limit.limited

    def _limit(self, key: str) -> Quantity:
        """The smaller of spec.hard and status.hard: either may be behind the other [A1]."""
        return min(self.bizrq.hard[key], self._counted.get(key, ZERO))

    def _used_at(self, key: str, now: int) -> Quantity:
        """What is used with all that was granted; hours of cash are carried forward to ``now`` [A6]."""
        return used_at(self.bizrq, key, now, self._used.get(key, ZERO))

    def _what_fits(self, ask: Ask, now: int) -> str:
        """The largest replica count that would be admitted, found by asking: more replicas never fit better."""
        demand_of, hard = ask.demand_of, self.bizrq.hard
        if demand_of is None:
            return ""

        known = self._known(ask.growth.uid)
        if known is not None and known.version > ask.growth.version:  # as in ``admit``, after a live read
            known = replace(known, version=ask.growth.version)

        def fitting(replicas: int) -> bool:
            growth = replace(ask.growth, new=only(demand_of(replicas), hard))
            settled = settle(growth, known)
            return settled is not None and not self._exceeded(growth, settled, now)

        if not fitting(0):
            return ""
        return ask.say_fits(bisect.bisect_left(range(ask.replicas), True, key=lambda count: not fitting(count)) - 1)

    # --- granting ----------------------------------------------------------------------------------------------------

    def _known(self, uid: str) -> Claim | None:
        line = self._lines.get(uid)
        return None if line is None else parse_claim(line)

    def _take(self, ask: Ask, settled: Settled, known: Claim | None, now: int, milliseconds: int) -> Outcome:
        growth = ask.growth
        claim = Claim(
            uid=growth.uid,
            version=max(growth.version, known.version) if known else growth.version,
            object=growth.object,
            since=since_text(milliseconds, known.since if known else ""),
            demand=settled.demand,
            raised=settled.raised,
            moved_from=growth.moved_from or (known.moved_from if known else ""),
            own=growth.own or bool(known and known.own),
            marks=known.marks if known else (),
        )
        line = claim.line()
        if len(line) > MAX_LINE:
            return Refused(f"{growth.object} names too many resources to be counted: {len(settled.demand)}")
        old_line = self._lines.get(growth.uid, "")
        if self._size + len(line) - len(old_line) > _MOST_CHARACTERS or (not old_line and self._count >= MAX_CLAIMS):
            return Again(
                f"{self.bizrq.name} has {self._count} open claims, as many as there is room for; they close as the "
                "controller sees the objects"
            )
        limits = self._limits(growth, settled, now)
        warnings = nearly_used(self.bizrq.name, limits, _WARN_AT, verb="used" if growth.keys is None else "given away")
        if growth.keys is None:
            warnings += nearly_used(self.bizrq.name, self._budgets(growth, now), _WARN_AT)
        self._size += len(line) - len(old_line)
        self._lines.pop(growth.uid, None)
        self._lines[growth.uid] = line
        if known is None and growth.version == 0:
            self._creates[growth.object] = self._creates.get(growth.object, 0) + 1
        self._raise(self._used, settled.grant)
        if growth.keys is None:
            self._raise(self._self_used, settled.grant)
        self.granted += 1
        return Granted(tuple(warnings))

    @property
    def _count(self) -> int:
        return len(self._lines) + len(self._unreadable)

    def _raise(self, figures: dict[str, Quantity], grant: Amounts) -> None:
        for key, amount in grant.items():
            if amount and key in figures:
                figures[key] += amount
                self._raised.add(key)


def _raised(bizrq: str, limits: Sequence[Limit]) -> Again:
    """It would fit into ``hard`` as it is, and not as it was counted: an answer is possible in a moment."""
    return Again(f"{bizrq} was given more {first_of([limit.key for limit in limits], str)}, {_UNCOUNTED}")


def _growing(growth: Growth) -> list[str]:
    """The keys that it grows on, above what is held for it already [A1]."""
    old, credit = growth.old, growth.credit
    return [
        key
        for key, amount in growth.new.items()
        if amount > old.get(key, ZERO) and not (credit and amount <= credit.get(key, ZERO))
    ]
