"""The rules of owned children [A8], broken one at a time, as in ``claim_mutations``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bizrq.controller import count as counting
from bizrq.controller.settlement import Settlement
from bizrq.domain import admission, charges
from bizrq.domain.admission import Account
from bizrq.domain.parts import Part
from bizrq.webhook.children import Children
from bizrq.webhook.workloads import WorkloadReviews
from bizrq.workloads.owner import Owner


def being_seen_closes_it(patch: pytest.MonkeyPatch) -> None:
    """A claim marked ``own`` closes as any other."""
    patch.setattr(counting, "_own", lambda *_: lambda _: False)


def a_reference_alone_is_believed(patch: pytest.MonkeyPatch) -> None:
    """Whoever names a live, counted owner is its child."""
    parentage = Children.parentage

    async def trusting(self: Children, request: Any, raw: Any) -> Any:
        found = await parentage(self, request, raw)
        owned = found is not None and await self._bizrq_of(found.owner, request.namespace)
        return replace(found, believed=True, own=False) if found and owned else found

    patch.setattr(Children, "parentage", trusting)


def any_owner_is_believed(patch: pytest.MonkeyPatch) -> None:
    """A trusted controller's child is believed whatever owner it names."""

    async def first(_: Children, owner: Owner, __: str) -> str:
        assert owner.uid
        return "A"

    patch.setattr(Children, "_bizrq_of", first)


def the_mark_is_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    """A trusted controller may change whatever names a live, counted owner."""

    async def never(*_: object) -> bool:
        return False

    patch.setattr(Children, "is_own", never)


def a_later_owner_is_not_asked_about(patch: pytest.MonkeyPatch) -> None:
    """An ownerReference that comes later grows nothing."""
    decide = WorkloadReviews._decide

    async def deaf(self: Any, request: Any, kind: Any, old: Any, new: Any, *rest: Any) -> Any:
        if old is not None:
            metadata = {**new.raw["metadata"], "ownerReferences": old.raw["metadata"].get("ownerReferences")}
            workload = replace(new.workload, owner=old.workload.owner)
            new = replace(new, raw={**new.raw, "metadata": metadata}, workload=workload)
        return await decide(self, request, kind, old, new, *rest)

    patch.setattr(WorkloadReviews, "_decide", deaf)


def a_failed_change_closes_the_mark(patch: pytest.MonkeyPatch) -> None:
    """A claim whose object stands still is closed with its mark."""
    kept = charges.open_claims

    def closing(lines: Any, seen: Any, settled: Any = (), is_own: Any = None) -> Any:
        return kept([each for each in lines if each not in settled], seen, settled, is_own)

    patch.setattr(counting, "open_claims", closing)


def growth_drops_the_mark(patch: pytest.MonkeyPatch) -> None:
    """A claim that replaces one forgets its mark."""
    take = Account._take

    def without(part: Part) -> Part:
        if part.known is None:
            return part
        return replace(part, known=replace(part.known, own=False), growth=replace(part.growth, own=False))

    def forgetful(self: Account, parts: Sequence[Part], *rest: Any) -> Any:
        return take(self, [without(each) for each in parts], *rest)

    patch.setattr(admission.Account, "_take", forgetful)


def the_mark_keeps_its_amounts(patch: pytest.MonkeyPatch) -> None:
    """A mark holds what was claimed for as long as it stands."""
    patch.setattr(charges, "mark_of", lambda claim: claim.line())
    patch.setattr(Settlement, "_stands", lambda *_: True)


def a_growing_child_is_charged_its_growth(patch: pytest.MonkeyPatch) -> None:
    """A child that becomes a workload of its own is credited with what its owner is charged."""

    async def always(*_: object) -> bool:
        return True

    patch.setattr(Children, "was_counted", always)
