"""The rules of demand that lives in another object, broken one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bizrq.domain.admission import Account
from bizrq.domain.claims import Claimant, Growth
from bizrq.webhook.lending import Lending
from bizrq.webhook.workloads import WorkloadReviews, _Case


def _changed_growths(patch: pytest.MonkeyPatch, change: Any) -> None:
    """What lenders claim for their borrowers is something else."""
    borrowers = Lending.borrowers

    async def changed(self: Lending, *rest: Any) -> Any:
        found = await borrowers(self, *rest)
        return found and replace(found, behind=[each for growth in found.behind if (each := change(growth, found))])

    patch.setattr(Lending, "borrowers", changed)


def not_claimed(patch: pytest.MonkeyPatch) -> None:
    """A change of a template is checked for its own object alone."""
    patch.setattr(Lending, "grows", lambda *_: False)


def keyed_by_the_borrower(patch: pytest.MonkeyPatch) -> None:
    """The claim is of the borrower's own version."""

    def own(growth: Growth, found: Any) -> Growth:
        return replace(growth, version=found.versions[growth.uid], lender=None, by_lender=False)

    _changed_growths(patch, own)


def closed_by_the_borrower(patch: pytest.MonkeyPatch) -> None:
    """A claim at a version of the lender closes when the borrower is seen at a later number."""

    def is_seen(self: Claimant, seen: Any) -> bool:
        return bool(seen(self.object, self.uid) > self.version)

    patch.setattr(Claimant, "is_seen", is_seen)


def other_object_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    """A claim closes by the one version, whatever is in view of the other object."""
    patch.setattr(Claimant, "is_seen", lambda self, seen: seen(*self.clock) > self.version)


def overlaps(patch: pytest.MonkeyPatch) -> None:
    """Both grow at a time."""
    patch.setattr(Account, "_overlap", lambda *_: None)


def idle_templates_are_not_claimed(patch: pytest.MonkeyPatch) -> None:
    """A template that grows is claimed only where somebody grows by it now."""
    borrowers = WorkloadReviews._borrowers

    async def some(self: WorkloadReviews, case: _Case) -> Any:
        found = await borrowers(self, case)
        return found if found is not None and found.behind else None

    patch.setattr(WorkloadReviews, "_borrowers", some)


def decided_once(patch: pytest.MonkeyPatch) -> None:
    """What is claimed is allowed, whatever has become of the other object."""

    async def holds(*_: object) -> bool:
        return True

    patch.setattr(WorkloadReviews, "_holds", holds)


def switching_is_not_claimed(patch: pytest.MonkeyPatch) -> None:
    """Only growth is claimed."""
    patch.setattr(_Case, "borrows", False)


def new_lenders_are_not_claimed(patch: pytest.MonkeyPatch) -> None:
    """The create of an object is no change of a template."""
    grows = Lending.grows
    patch.setattr(Lending, "grows", lambda self, old, new: old is not None and grows(self, old, new))
