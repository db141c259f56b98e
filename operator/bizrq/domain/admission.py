"""Does this growth fit into this bizrq, and what does its status say then? [A1-A4, A6, P4, T3].

An ``Account`` is one version of a bizrq and what is granted on top of it, request by request; it is written by
compare-and-swap over that very version. So a batch of requests is decided as if each had been written by itself, and
the refusal of one touches no other.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bizrq.domain.amounts import Amounts, first_of, only
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.cash import amount_text, budget, hours
from bizrq.domain.claims import (
    MAX_CLAIMS,
    MAX_LINE,
    Claim,
    Claimant,
    ClaimError,
    Growth,
    claimant_of,
    parse_claim,
    settle,
)
from bizrq.domain.forecast import booked_at, next_grant, used_at
from bizrq.domain.leftovers import leftovers_of
from bizrq.domain.parts import Part, all_growing, claim_of, grows_by, overlapping
from bizrq.domain.pod_resources import PodResources, unstated
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.refusals import (
    Limit,
    exceeded,
    fits,
    grown_with,
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
    behind: Sequence[Growth] = ()
    """What workloads grow by that have their template from this object: granted with it, or it is refused."""
    borrowers: Mapping[str, int] | None = None
    """Where its template grows: those that have it, their versions by UID as a list shows them, growing or not."""


@dataclass(frozen=True, slots=True)
class Granted:
    """It fits; once the account is written, it is claimed."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not fit; the message says why and what would."""

    message: str
    keys: tuple[str, ...] = field(default=(), compare=False)
    """The keys of the bizrq that are to blame; none where it grants nothing at all. For counting."""


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
        self._lines: dict[tuple[str, str], str] = {}
        self._claimants: dict[tuple[str, str], Claimant] = {}
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
            self._lines[claimant.key], self._claimants[claimant.key] = line, claimant
            if claimant.version == 0 and not claimant.by_lender:
                self._creates[claimant.object] = self._creates.get(claimant.object, 0) + 1

    def admit(self, ask: Ask, *, now: int, milliseconds: int) -> Outcome:
        """Decide on a request at the instant ``now``, and take it into the account where it is granted [A1, A3]."""
        problem = self._not_now(ask) or self._overlap(ask)
        if problem is not None:
            return problem
        parts = []
        for growth in (ask.growth, *ask.behind):
            try:
                part = self._part(growth, looked=ask.looked)
            except ClaimError:
                return Again(
                    f"a claim of {growth.object} was written by another version of bizrq, and must close first"
                )
            if part is None:
                return LookFirst()
            parts.append(part)
        growth, known = parts[0].growth, parts[0].known
        taken = self._creates.get(growth.object, 0) if known is None and growth.version == 0 else 0
        if taken and not ask.looked:
            return LookFirst()
        if taken >= _LINES_A_NAME:
            return Again(f"{taken} creates of {growth.object} are on their way already")
        return self._refusal(ask, parts, now) or self._take(parts, now, milliseconds)

    def _part(self, growth: Growth, *, looked: bool) -> Part | None:
        """How a claimant would grow; None where a live read must tell first. Raises ``ClaimError``."""
        leftover = self._leftovers.get(growth.uid)
        if leftover is not None:
            growth = replace(growth, credit=leftover.charge)
        known = self._known(growth)
        settled = settle(growth, known)
        if settled is None:
            if not looked or known is None:
                return None
            # No such version was there: an error, a forgery, or a race. Both requests may go through, so the larger
            # amounts are kept, and the line keeps its version, which decides when it closes.
            settled = settle(growth, replace(known, version=growth.version))
            assert settled is not None  # noqa: S101  # the versions are equal
        return Part(growth, settled, known)

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
        keys = all_growing((ask.growth, *ask.behind))
        if ask.growth.keys is None:
            keys += [CASH + key for key in keys]
        uncounted = [key for key in keys if key in bizrq.hard and not self._is_counted(key)]
        if uncounted:
            return Again(f"{first_of(sorted(uncounted), str)} is new in the quota of {bizrq.name}, {_UNCOUNTED}")
        return None

    def _overlap(self, ask: Ask) -> Again | None:
        """A workload and the lender of its template do not grow at a time: neither review knows what the other allows.

        Whichever is claimed second waits until the objects that it was decided on have the outcome of the first.
        """
        other = overlapping(ask.growth, ask.borrowers, self._claimants.values())
        return Again(f"{other} is changed at this moment; try again") if other else None

    def _is_counted(self, key: str) -> bool:
        return key in self._counted and key in self._used

    def _refusal(self, ask: Ask, parts: Sequence[Part], now: int) -> Outcome | None:
        growth, bizrq = parts[0].growth, self.bizrq
        if growth.keys is not None:
            missing = [
                Limit(key, ZERO, self._used_at(key, now), self._limit(key))
                for key in sorted(bizrq.hard.keys() - growth.keys)
            ]
            if missing:
                return Refused(key_missing(growth.object.rpartition("/")[2], bizrq.name, missing), _keys(missing))
        else:
            for pod in ask.pods:
                unsaid = unstated(pod, bizrq.hard)
                if unsaid:
                    return Refused(must_specify(bizrq.name, unsaid), tuple(unsaid))
            empty = [limit for limit in self._budgets(parts, now) if self._is_spent(limit, now)]
            if any(self._is_spent(replace(limit, limited=bizrq.hard[limit.key]), now) for limit in empty):
                return Refused(spent(bizrq.name, empty, next_grant(bizrq, now)), _keys(empty))
            if empty:
                return _raised(bizrq.name, empty)
        over = self._exceeded(parts, now)
        if not over:
            return None
        if all(limit.used + limit.requested <= bizrq.hard[limit.key] for limit in over):
            return _raised(bizrq.name, over)
        text = exceeded(bizrq.name, over)
        if growth.keys is not None:
            return Refused(text + left_to_grant(bizrq.name, over), _keys(over))
        if ask.behind:
            return Refused(text + grown_with([each.object for each in ask.behind]), _keys(over))
        return Refused(text + self._what_fits(replace(ask, growth=growth), now), _keys(over))

    def _exceeded(self, parts: Sequence[Part], now: int) -> list[Limit]:
        over = []
        for limit in self._limits(parts, now):
            if limit.used + limit.requested > limit.limited:
                # Covered by an open claim, and yet over: what the request grows by tells people more than 0.
                requested = limit.requested or sum((grows_by(each.growth, limit.key) for each in parts), ZERO)
                over.append(replace(limit, requested=requested))
        return over

    def _limits(self, parts: Sequence[Part], now: int) -> list[Limit]:
        """The limits that a request grows against; ``requested`` is what ``used`` would rise by [A1, K5]."""
        limits = []
        for key in all_growing([each.growth for each in parts]):
            if key in self.bizrq.hard:
                requested = sum((each.settled.grant.get(key, ZERO) for each in parts), ZERO)
                limits.append(Limit(key, requested, self._used_at(key, now), self._limit(key)))
        return limits

    def _budgets(self, parts: Sequence[Part], now: int) -> list[Limit]:
        """The budgets of hours that the pods of a request would spend [A6]."""
        keys = [CASH + key for key in all_growing([each.growth for each in parts])]
        return [Limit(key, ZERO, self._used_at(key, now), self._limit(key)) for key in keys if key in self.bizrq.hard]

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

        known = self._known(ask.growth)
        if known is not None and known.version > ask.growth.version:  # as in ``admit``, after a live read
            known = replace(known, version=ask.growth.version)

        def fitting(replicas: int) -> bool:
            growth = replace(ask.growth, new=only(demand_of(replicas), hard))
            settled = settle(growth, known)
            return settled is not None and not self._exceeded([Part(growth, settled, known)], now)

        if not fitting(0):
            return ""
        return ask.say_fits(bisect.bisect_left(range(ask.replicas), True, key=lambda count: not fitting(count)) - 1)

    # --- granting ----------------------------------------------------------------------------------------------------

    def _known(self, growth: Growth) -> Claim | None:
        line = self._lines.get(growth.key)
        return None if line is None else parse_claim(line)

    def _take(self, parts: Sequence[Part], now: int, milliseconds: int) -> Outcome:
        lines = [claim_of(each, milliseconds).line() for each in parts]
        for part, line in zip(parts, lines, strict=True):
            if len(line) > MAX_LINE:
                return Refused(
                    f"{part.growth.object} names too many resources to be counted: {len(part.settled.demand)}"
                )
        old_lines = [self._lines.get(each.growth.key, "") for each in parts]
        longer = sum(map(len, lines)) - sum(map(len, old_lines))
        more = old_lines.count("")
        if self._size + longer > _MOST_CHARACTERS or (more and self._count + more > MAX_CLAIMS):
            return Again(
                f"{self.bizrq.name} has {self._count} open claims, as many as there is room for; they close as the "
                "controller sees the objects"
            )
        growth = parts[0].growth
        limits = self._limits(parts, now)
        warnings = nearly_used(self.bizrq.name, limits, _WARN_AT, verb="used" if growth.keys is None else "given away")
        if growth.keys is None:
            warnings += nearly_used(self.bizrq.name, self._budgets(parts, now), _WARN_AT)
        self._size += longer
        if parts[0].known is None and growth.version == 0:
            self._creates[growth.object] = self._creates.get(growth.object, 0) + 1
        for part, line in zip(parts, lines, strict=True):
            self._note(part, line)
        return Granted(tuple(warnings))

    def _note(self, part: Part, line: str) -> None:
        key, claimant = part.growth.key, claimant_of(line)
        assert claimant is not None  # noqa: S101  # it was written just now
        self._lines.pop(key, None)
        self._lines[key], self._claimants[key] = line, claimant
        self._raise(self._used, part.settled.grant)
        if part.growth.keys is None:
            self._raise(self._self_used, part.settled.grant)
        self.granted += 1

    @property
    def _count(self) -> int:
        return len(self._lines) + len(self._unreadable)

    def _raise(self, figures: dict[str, Quantity], grant: Amounts) -> None:
        for key, amount in grant.items():
            if amount and key in figures:
                figures[key] += amount
                self._raised.add(key)


def _keys(limits: Sequence[Limit]) -> tuple[str, ...]:
    return tuple(limit.key for limit in limits)


def _raised(bizrq: str, limits: Sequence[Limit]) -> Again:
    """It would fit into ``hard`` as it is, and not as it was counted: an answer is possible in a moment."""
    return Again(f"{bizrq} was given more {first_of([limit.key for limit in limits], str)}, {_UNCOUNTED}")
