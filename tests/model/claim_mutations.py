"""The rules of claims, broken one at a time.

Each function breaks one rule of the protocol in the real code, for the length of a test: what it does instead is what
somebody might have written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bizrq.cluster.errors import Conflict
from bizrq.controller import count as counting
from bizrq.controller import feed, settlement
from bizrq.controller.settlement import Settlement
from bizrq.domain import admission, claims, parts
from bizrq.domain.admission import Account, Granted
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.claims import Claim, Claimant, Growth, Settled, claimant_of
from bizrq.domain.parts import Part
from bizrq.domain.quantity import ZERO
from bizrq.inventory.versions import Graveyard
from bizrq.inventory.workloads import Workloads
from bizrq.webhook.commit import _Committer
from bizrq.webhook.workloads import WorkloadReviews
from bizrq.workloads.read import read_workload
from tests.support.cas_store import StoreReads
from tests.support.controller import DEPLOYMENT
from tests.support.world.processes import Replica, Watcher

_FOR_EVER = 2**63


# --- which version a claim is of, and when it closes -----------------------------------------------------------------


def keyed_by_generation(patch: pytest.MonkeyPatch) -> None:
    """A claim carries the generation before the one that the request makes; closed when that one is seen."""
    claim, generations = WorkloadReviews._claim, dict[tuple[str, int], int]()

    def claimed(self: Any, case: Any, *rest: Any) -> Any:
        if case.old is not None:
            version = case.new.raw["metadata"]["generation"] - 1
            case = replace(case, old=replace(case.old, workload=replace(case.old.workload, version=version)))
        return claim(self, case, *rest)

    def noted(raw: Any, *rest: Any) -> Any:
        workload = read_workload(raw, *rest)
        generations[workload.uid, workload.version] = raw["metadata"]["generation"]
        return workload

    def seen(self: Workloads, uid: str) -> int:
        known = self.get(uid)
        return -1 if known is None else generations[uid, known.version]

    patch.setattr(WorkloadReviews, "_claim", claimed)
    patch.setattr(feed, "read_workload", noted)
    patch.setattr(Workloads, "seen", seen)


def closed_by_the_same_version(patch: pytest.MonkeyPatch) -> None:
    """A claim at r closes when the UID is seen at r itself."""
    seen_by = counting._seen
    patch.setattr(counting, "_seen", lambda inventory: lambda name, uid: seen_by(inventory)(name, uid) + 1)


def closed_by_deleted(patch: pytest.MonkeyPatch) -> None:
    """A DELETED event closes all claims of the UID, whatever their version."""
    patch.setattr(Graveyard, "seen", lambda self, uid: _FOR_EVER if uid in self._graves else -1)


# --- writes ----------------------------------------------------------------------------------------------------------


def controller_overwrites(patch: pytest.MonkeyPatch) -> None:
    """The controller PUTs over whatever is there."""
    patch.setattr(Watcher, "compares", False)


def webhook_overwrites(patch: pytest.MonkeyPatch) -> None:
    """The webhook PUTs over whatever is there."""
    patch.setattr(Replica, "compares", False)


def answered_without_a_claim(patch: pytest.MonkeyPatch) -> None:
    """The webhook answers although its PUT met a conflict."""
    write = _Committer._write

    async def careless(self: _Committer, account: Account) -> None:
        try:
            await write(self, account)
        except Conflict:
            self._held = None

    patch.setattr(_Committer, "_write", careless)


# --- settlement ------------------------------------------------------------------------------------------------------


def settled_at_once(patch: pytest.MonkeyPatch) -> None:
    """A claim whose object is not there, or still at r, is closed without a wait."""
    patch.setattr(settlement, "_WAIT_SECONDS", 0.0)
    patch.setattr(settlement, "_FIRST_LOOK_SECONDS", 0.0)


def create_settled_by_another_uid(patch: pytest.MonkeyPatch) -> None:
    """A create's claim closes as soon as another UID has the name."""
    is_settled = Settlement._is_settled

    async def hasty(self: Settlement, line: str, *, waited: bool) -> bool:
        uid, _, name, *_ = claimant_of(line) or ("", 0, "")
        found = await self._workload(name)
        return bool(found and found[0] not in {uid, ""}) or await is_settled(self, line, waited=waited)

    patch.setattr(Settlement, "_is_settled", hasty)
    patch.setattr(settlement, "_new_line", lambda _, now: settlement._Line(now, now))


def live_read_is_no_view(patch: pytest.MonkeyPatch) -> None:
    """A live read closes a claim, and what was read is not kept."""

    async def forgetful(self: Settlement, line: str, *, waited: bool) -> bool:
        uid, version, name, *_ = claimant_of(line) or ("", 0, "")
        _, namespace, workload = name.split("/")
        raw = await self._reads.workload(DEPLOYMENT, namespace, workload)
        return raw is not None and raw["metadata"]["uid"] == uid and int(raw["metadata"]["resourceVersion"]) > version

    patch.setattr(Settlement, "_is_settled", forgetful)


def verdict_outlives_the_version(patch: pytest.MonkeyPatch) -> None:
    """A live read made before the bizrq changed still closes the claim."""
    look, dead = Settlement.look, set[Claimant | None]()

    async def remembering(self: Settlement, bizrq: Bizrq, most: int) -> frozenset[str]:
        dead.update(claimant_of(line) for line in await look(self, bizrq, most))
        return frozenset(line for line in bizrq.claims if claimant_of(line) in dead)

    patch.setattr(Settlement, "look", remembering)


def repeat_is_the_same_line(patch: pytest.MonkeyPatch) -> None:
    """A second request on the same version leaves the line as it was."""
    text = claims.since_text
    patch.setattr(parts, "since_text", lambda milliseconds, before="": before or text(milliseconds))


def creates_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Claims of creates that never happened are never closed."""
    is_settled = Settlement._is_settled

    async def patient(self: Settlement, line: str, *, waited: bool) -> bool:
        claimant = claimant_of(line)
        return claimant is not None and claimant[1] > 0 and await is_settled(self, line, waited=waited)

    patch.setattr(Settlement, "_is_settled", patient)


# --- what is claimed -------------------------------------------------------------------------------------------------


def covered_growth_is_not_claimed(patch: pytest.MonkeyPatch) -> None:
    """No PUT where the open claim covers the new amounts."""
    take = Account._take

    def lazy(self: Account, parts: Sequence[Part], *rest: Any) -> Any:
        growth, known = parts[0].growth, parts[0].known
        if known and all(amount <= known.demand.get(key, ZERO) for key, amount in growth.new.items()):
            return Granted()
        return take(self, parts, *rest)

    patch.setattr(Account, "_take", lazy)


def _settling(patch: pytest.MonkeyPatch, broken_rule: Callable[[Growth, Claim | None], Settled | None]) -> None:
    patch.setattr(admission, "settle", broken_rule)


def credited_in_full(patch: pytest.MonkeyPatch) -> None:
    """A replaced claim counts in full as granted already."""
    settle = claims.settle
    _settling(patch, lambda growth, known: settle(growth, known and replace(known, raised=known.demand)))


def older_review_replaces(patch: pytest.MonkeyPatch) -> None:
    """A review on an older version replaces the newer claim."""
    settle, take = claims.settle, Account._take

    def outdated(growth: Growth, known: Claim | None) -> Claim | None:
        return replace(known, version=-1) if known and known.version > growth.version else known

    def taking(self: Account, parts: Sequence[Part], *rest: Any) -> Any:
        return take(self, [replace(each, known=outdated(each.growth, each.known)) for each in parts], *rest)

    patch.setattr(admission, "settle", lambda growth, known: settle(growth, outdated(growth, known)))
    patch.setattr(Account, "_take", taking)


def last_one_overwrites(patch: pytest.MonkeyPatch) -> None:
    """The last request on a version overwrites the amounts."""
    settle = claims.settle

    def last(growth: Growth, known: Claim | None) -> Settled | None:
        settled = settle(growth, known)
        same = settled and known and known.version == growth.version
        return replace(settled, demand=dict(growth.new)) if settled and same else settled

    _settling(patch, last)


def replaced_by_the_new_amounts(patch: pytest.MonkeyPatch) -> None:
    """A claim that replaces one holds the new amounts, whatever the object demands now."""
    settle = claims.settle

    def bare(growth: Growth, known: Claim | None) -> Settled | None:
        settled = settle(growth, known)
        later = settled and known and known.version < growth.version
        return replace(settled, demand=dict(growth.new)) if settled and later else settled

    _settling(patch, bare)


def growth_is_claimed(patch: pytest.MonkeyPatch) -> None:
    """A claim holds the growth, and not the whole demand."""
    settle = claims.settle

    def growing(growth: Growth, known: Claim | None) -> Settled | None:
        settled = settle(growth, known)
        return settled and replace(settled, demand=settled.raised)

    _settling(patch, growing)


def moves_claim_their_growth(patch: pytest.MonkeyPatch) -> None:
    """A move is credited with what the workload had under the other bizrq."""
    claim = WorkloadReviews._claim

    def credited(self: Any, case: Any, _: Any, *rest: Any) -> Any:
        return claim(self, case, case.old.workload.demand if case.old else {}, *rest)

    patch.setattr(WorkloadReviews, "_claim", credited)


def scale_reads_an_older_copy(patch: pytest.MonkeyPatch) -> None:
    """The template of a scaled object is taken from the version before."""

    async def older(self: Any, kind: Any, namespace: str, name: str) -> Any:
        before, now = self.store.versions[name][-2:]
        return {**before, "metadata": {**before["metadata"], "resourceVersion": now["metadata"]["resourceVersion"]}}

    patch.setattr(StoreReads, "workload", older)
