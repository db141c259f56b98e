"""The rules of the books, broken one at a time in the real code: those of the model's two tables.

Each function breaks one rule for the length of a test: what it does instead is what somebody might have written.

Not here: ``final-end`` (nothing is inferred from an end, for nothing is kept a pod), ``one-seen-before`` and
``one-seen-after`` (there is no status without a ``seen`` of its own), ``pods-first`` (the order of a start is that of
``controller/run.py``, not of these objects).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bizrq.controller import books, sync
from bizrq.controller import count as counting
from bizrq.controller.moves import Moves
from bizrq.controller.sync import Sync
from bizrq.domain import cash
from bizrq.domain import floor as floors
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.floor import Floor
from bizrq.inventory import inventory
from bizrq.inventory.homes import Homes
from bizrq.inventory.inventory import Inventory
from bizrq.inventory.pod import Pod
from bizrq.inventory.pods import Pods
from bizrq.inventory.uncovered import Uncovered
from tests.sim import asking
from tests.sim.etcd import Etcd

__all__ = ["Mutation"]

Mutation = Callable[[pytest.MonkeyPatch], None]


def _after_counting(patch: pytest.MonkeyPatch, what: Callable[[Inventory, str, int], None]) -> None:
    """Something is done with what a status will say, before it is stored."""
    count = counting.count

    @functools.wraps(count)
    def early(bizrq: Bizrq, seen_by: Inventory, **how: Any) -> Any:
        counted = count(bizrq, seen_by, **how)
        if counted.books.seen is not None:
            what(seen_by, bizrq.name, counted.books.seen.version)
        return counted

    patch.setattr(sync, "count", early)


# --- rules to keep ---------------------------------------------------------------------------------------------------


def forget_at_event(patch: pytest.MonkeyPatch) -> None:
    """A deleted pod is forgotten at its event."""
    gone = Pods._gone

    def forgetting(self: Pods, pod: Pod, version: int, at: int) -> None:
        gone(self, pod, version, at)
        self._drop(pod)

    patch.setattr(Pods, "_gone", forgetting)


def forget_at_write(patch: pytest.MonkeyPatch) -> None:
    """A deleted pod is forgotten when the write is sent."""
    _after_counting(patch, lambda seen_by, name, seen: seen_by.pods.covered(name, seen))


def two_writes(patch: pytest.MonkeyPatch) -> None:
    """The ledger is in one write, ``seen`` in the next."""
    write = asking.Store.replace_status

    async def twice(self: Any, raw: Mapping[str, Any]) -> Any:
        name, status = raw["metadata"]["name"], raw["status"]
        before = (self._etcd.status(name).get("cash") or {}).get("seen")
        half = await write(self, {**raw, "status": {**status, "cash": {**status["cash"], "seen": before}}})
        return await write(self, {**half, "status": status})

    patch.setattr(asking.Store, "replace_status", twice)


def blind_retry(patch: pytest.MonkeyPatch) -> None:
    """What was computed for another version is written all the same."""
    write = Etcd.replace_status

    async def blind(self: Etcd, raw: Mapping[str, Any]) -> Any:
        return await write(self, {**(await self.read(raw["metadata"]["name"])), "status": raw["status"]})

    patch.setattr(Etcd, "replace_status", blind)


def stale_writer(patch: pytest.MonkeyPatch) -> None:
    """A controller writes although its view is older than ``seen``."""
    books_now = books.books_now

    def bold(bizrq: Bizrq, known: Inventory, **how: Any) -> Any:
        seen, view = bizrq.books.seen, known.pods.view(how["now"])
        if seen is not None and view.version < seen.version:
            bizrq = replace(bizrq, books=replace(bizrq.books, seen=view))
        return books_now(bizrq, known, **how)

    patch.setattr(counting, "books_now", bold)


def replay_all(patch: pytest.MonkeyPatch) -> None:
    """Replayed deletions are booked without comparing them with ``seen``, also where the floor is lower."""
    accrue = cash.accrue
    patch.setattr(books, "accrue", lambda before, *what, **how: accrue(replace(before, seen=None), *what, **how))
    # Records that a status covers are let go as well, once all pods are known: that alone would keep the rule.
    patch.setattr(Pods, "covered", lambda self, bizrq, seen: self.uncovered.cover(bizrq, seen))


def trust_list(patch: pytest.MonkeyPatch) -> None:
    """After 410 a list is taken as complete: what is missing was never there."""
    list_ended = Pods.list_ended

    def trusting(self: Pods, version: int, began: int) -> None:
        for pod in [] if self._replaying else [pod for pod in self._by_uid.values() if pod.last_list != self.lists]:
            del self._by_uid[pod.uid]
            self._drop(pod)
        list_ended(self, version, began)

    patch.setattr(Pods, "list_ended", trusting)


def no_rebase(patch: pytest.MonkeyPatch) -> None:
    """After a restart answered 410 the books go on as if nothing was missed."""
    patch.setattr(books, "_complete", lambda *_: None)


def quiet_late_end(patch: pytest.MonkeyPatch) -> None:
    """A quiet tick although something came in."""
    is_quiet = books._is_quiet

    def deaf(bizrq: Bizrq, known: Inventory, *rest: Any) -> bool:
        stirred, known.pods.stirred = known.pods.stirred, set()
        try:
            return is_quiet(bizrq, known, *rest)
        finally:
            known.pods.stirred = stirred

    patch.setattr(books, "_is_quiet", deaf)
    patch.setattr(Sync, "_still_quiet", lambda self, name: self._quiet.get(name))


def quiet_over_cut(patch: pytest.MonkeyPatch) -> None:
    """A quiet tick across a cut, a start or an end."""
    is_quiet = books._is_quiet
    patch.setattr(
        books,
        "_is_quiet",
        lambda bizrq, known, quiet, now: is_quiet(bizrq, known, replace(quiet, steady_until=None), now),
    )


def current_period(patch: pytest.MonkeyPatch) -> None:
    """A late correction goes to the period that runs."""
    accrue = cash.accrue

    def late(before: Any, *what: Any, **how: Any) -> Any:
        after = accrue(before, *what, **how)
        if before.previous is None or after.previous is None or before.previous.start != after.previous.start:
            return after
        known, found = before.previous.ledger, after.previous.ledger
        ledger = {key: amount + found.get(key, 0) - known.get(key, 0) for key, amount in after.ledger.items()}
        return replace(after, ledger=ledger, previous=before.previous)

    patch.setattr(books, "accrue", late)


# --- deleted children, moves -----------------------------------------------------------------------------------------


def finalizer_first(patch: pytest.MonkeyPatch) -> None:
    """The child goes before its hours are moved."""
    let_go = Sync._let_go

    async def early(self: Sync, bizrq: Bizrq) -> None:
        await self._farewell.let_go(bizrq)
        await let_go(self, bizrq)

    patch.setattr(Sync, "_let_go", early)


def early_cleanup(patch: pytest.MonkeyPatch) -> None:
    """The mark of a child goes before a live read shows that the child is gone."""

    async def all_gone(_: Sync, bizrq: Bizrq) -> set[str]:
        return {each.uid for each in bizrq.absorbed}

    patch.setattr(Sync, "_gone", all_gone)


def moves_in_memory_only(patch: pytest.MonkeyPatch) -> None:
    """What claims and statuses tell of moves is not read after a restart."""
    patch.setattr(Moves, "_unseen", lambda *_: None)
    patch.setattr(Homes, "read", lambda *_: None)


def move_one(patch: pytest.MonkeyPatch) -> None:
    """The deletion of a moved pod counts for its new bizrq only."""
    charged = Pods.charged

    def of_the_last(self: Pods, bizrq: str) -> Any:
        left = {id(pod) for pod in self.of(bizrq) if pod.deleted_at is not None and pod.stays[-1].home.bizrq != bizrq}
        versions = {pod.version for pod in self.of(bizrq) if id(pod) in left}
        return (each for each in charged(self, bizrq) if each.version not in versions)

    patch.setattr(Pods, "charged", of_the_last)


# --- the floor in the Lease ------------------------------------------------------------------------------------------


def early_floor(patch: pytest.MonkeyPatch) -> None:
    """The floor counts a status that is about to be stored."""
    _after_counting(patch, lambda seen_by, name, seen: seen_by.pods.uncovered.cover(name, seen))


def own_view(patch: pytest.MonkeyPatch) -> None:
    """The floor is the version of my own view."""
    patch.setattr(Pods, "oldest_uncovered", lambda *_: None)


def rebase_below(patch: pytest.MonkeyPatch) -> None:
    """A bizrq whose ``seen`` is below the floor is rebased."""
    complete = books._complete

    def floorless(bizrq: Bizrq, before: Any, known: Inventory) -> Any:
        floor, known.floor = known.floor, None
        try:
            return complete(bizrq, before, known)
        finally:
            known.floor = floor

    patch.setattr(books, "_complete", floorless)


def no_pending_410(patch: pytest.MonkeyPatch) -> None:
    """After 410 the floor rises before every bizrq is rebased."""
    patch.setattr(Inventory, "pods_known", lambda _: None)


def gap_high(patch: pytest.MonkeyPatch) -> None:
    """After 410 while running the floor goes up to the list."""
    note = Uncovered.note

    def high(self: Uncovered, bizrq: str, version: int, after: int | None = None) -> None:
        note(self, bizrq, version)

    patch.setattr(Uncovered, "note", high)


def unknown_home(patch: pytest.MonkeyPatch) -> None:
    """The deletion of a pod whose home is not known yet is dropped."""
    gone = Pods._gone

    def dropping(self: Pods, pod: Pod, version: int, at: int) -> None:
        gone(self, pod, version, at)
        if not pod.stays and pod in self.strays._waiting:
            self.strays._waiting.remove(pod)
            self._drop(pod)

    patch.setattr(Pods, "_gone", dropping)


def floor_back(patch: pytest.MonkeyPatch) -> None:
    """The Lease's floor is written whatever it was."""
    next_floor = floors.next_floor

    def back(_: Floor | None, view: Floor, oldest: int | None) -> Floor:
        return next_floor(None, view, oldest)

    patch.setattr(inventory, "next_floor", back)
