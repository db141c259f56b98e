"""The rules of the tree, broken one at a time.

Each function breaks one rule of the protocol in the real code, for the length of a test: what it does instead is what
somebody might have written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bizrq.controller import count as counting
from bizrq.domain import claims, tree
from bizrq.domain.admission import Account
from bizrq.domain.amounts import only
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.quantity import ZERO
from bizrq.inventory.bizrqs import Bizrqs
from bizrq.webhook import bizrqs as bizrq_reviews
from bizrq.webhook.bizrqs import BizrqReviews
from bizrq.webhook.claiming import Claiming
from bizrq.webhook.commit import Committers
from tests.model.rules import Mutation
from tests.support.cas_store import StoreReads
from tests.support.world.requests import Request


def claims_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    """Whether a parent may go, or gain a key, is asked of existing children only."""
    patch.setattr(bizrq_reviews, "_claims", lambda _: iter(()))


def children_come_from_a_cache(patch: pytest.MonkeyPatch) -> None:
    """The children of a parent are taken from a view that lags: as many as there were in the beginning."""

    async def none_yet(*_: object) -> list[Bizrq]:
        return []

    patch.setattr(StoreReads, "children", none_yet)


def terminating_parents_grant(patch: pytest.MonkeyPatch) -> None:
    """A child is granted quota although its parent has a deletionTimestamp."""
    account = Committers.account
    patch.setattr(Committers, "account", lambda self, bizrq: account(self, replace(bizrq, deleting=False)))


def dropped_keys_are_not_claimed(patch: pytest.MonkeyPatch) -> None:
    """A child that drops a key claims nothing."""
    update = BizrqReviews._update
    patch.setattr(
        BizrqReviews,
        "_update",
        lambda self, old, new, *rest, **more: update(
            self, replace(old, hard=only(old.hard, new.hard)), new, *rest, **more
        ),
    )


def a_key_of_either_claim_is_there(patch: pytest.MonkeyPatch) -> None:
    """In a merged claim a key is there if one of the two has it."""
    patch.setattr(claims, "_keys_of_child", lambda keys, _, known: keys | (known.demand.keys() if known else set()))


def keys_of_status_hard(patch: pytest.MonkeyPatch) -> None:
    """A child needs the keys of its parent's status.hard."""
    account = Committers.account

    def counted(self: Committers, bizrq: Bizrq) -> Account:
        return account(self, replace(bizrq, hard=own_amounts(bizrq.status.get("hard"))))

    patch.setattr(Committers, "account", counted)


def status_hard_alone(patch: pytest.MonkeyPatch) -> None:
    """Admission enforces status.hard, which lags behind spec.hard."""
    patch.setattr(Account, "_limit", lambda self, key: self._counted[key])


def stored_over_another_version(name: str) -> Mutation:
    """The request of a bizrq is stored although its status has changed since the review."""

    def mutation(patch: pytest.MonkeyPatch) -> None:
        is_overtaken = Request._is_overtaken
        patch.setattr(
            Request,
            "_is_overtaken",
            lambda self, now: self.change.name != name and is_overtaken(self, now),
        )

    return mutation


def children_grow_unclaimed(patch: pytest.MonkeyPatch) -> None:
    """A raise is checked against the parent, and not claimed."""
    claim = Claiming.claim

    def tried_out(self: Claiming, bizrq: str, ask: Any, deadline: float, **how: Any) -> Any:
        return claim(self, bizrq, ask, deadline, **{**how, "dry_run": ask.growth.keys is not None})

    patch.setattr(Claiming, "claim", tried_out)


def only_hard_is_taken(patch: pytest.MonkeyPatch) -> None:
    """A child takes its hard only: lowering it below its use frees the difference."""
    for module in (tree, counting, bizrq_reviews):
        patch.setattr(module, "taken", lambda child: dict(child.hard))


def used_lags_behind_hard(patch: pytest.MonkeyPatch) -> None:
    """A parent adds up the hard of its children as seen now, and their used as seen two versions before."""
    put, children, history = Bizrqs.put, Bizrqs.children, dict[str, list[Bizrq]]()

    def noted(self: Bizrqs, bizrq: Bizrq) -> bool:
        history.setdefault(bizrq.uid, []).append(bizrq)
        return put(self, bizrq)

    def mixed(self: Bizrqs, name: str) -> list[Bizrq]:
        return [replace(child, used=history[child.uid][-3:][0].used) for child in children(self, name)]

    patch.setattr(Bizrqs, "put", noted)
    patch.setattr(Bizrqs, "children", mixed)


def first_hard_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A workload is admitted against the hard that a replica saw first."""
    account, first = Committers.account, dict[str, Any]()

    def cached(self: Committers, bizrq: Bizrq) -> Account:
        return account(self, replace(bizrq, hard=first.setdefault(bizrq.name, bizrq.hard)))

    patch.setattr(Committers, "account", cached)


def raise_is_credited_with_what_was_taken(patch: pytest.MonkeyPatch) -> None:
    """A raise is credited with what the child took one version before."""
    taken, before = tree.taken, dict[str, Any]()

    def credited(child: Bizrq) -> Any:
        now = taken(child)
        more = {key: max(now.get(key, ZERO), amount) for key, amount in before.get(child.uid, now).items()}
        before[child.uid] = now
        return more

    patch.setattr(bizrq_reviews, "taken", credited)
