"""How are exported books written back? [C4, T7].

Everything is checked before the first write. Then each status is changed by compare-and-swap, for a controller and
webhooks write at the same time; a mark in it tells the next run, and this one after a lost answer, that it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError, Conflict, Unavailable
from bizrq.cluster.store import Store
from bizrq.controller.books import period_now
from bizrq.controller.farewell import FINALIZER, Farewell
from bizrq.domain.bizrq import Bizrq, read_bizrq
from bizrq.domain.cash import Books, hours, hours_text
from bizrq.domain.exported_books import Export, Exported
from bizrq.domain.periods import Period
from bizrq.domain.restored_books import How, Mark, marks_of, obstacle, restored, restored_status
from bizrq.domain.times import timestamp

__all__ = ["Options", "Restore", "RestoreError"]

_ATTEMPTS: Final = 10
"""Of one status, before the run is given up: conflicts, and answers that did not come."""

_PAUSE_SECONDS: Final = 1.0
"""After an API server that does not answer."""


class RestoreError(Exception):
    """Why books are not written, a line a bizrq; the message says what was written before."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    how: How = How.REFUSE
    skip_missing: bool = False
    go_on: bool = False
    """Leave alone what this export was put into already."""


@dataclass(slots=True)
class Restore:
    """One run: ``plan``, then ``write``."""

    export: Export
    live: Mapping[str, Bizrq]
    """All bizrqs of the cluster, by name, as they were just read."""
    options: Options
    clock: Clock
    run: str
    """Tells runs apart, by chance alone."""
    say: Callable[[str], None]
    todo: list[Exported] = field(default_factory=list)

    def plan(self) -> None:
        """Find out what is to be written, and say it. Raises ``RestoreError`` with everything that is in the way."""
        problems: list[str] = []
        moved = self._moved()
        for file in self.export.bizrqs:
            bizrq = self.live.get(file.name)
            if file.uid in moved:
                self.say(f"{file.name}: left out, its hours are in the books of {moved[file.uid]} already")
            elif bizrq is None:
                self._missing(file, problems)
            elif self.options.go_on and self._is_done(bizrq):
                self.say(f"{file.name}: done before, left as it is")
            else:
                try:
                    books = self._restored(bizrq, file, refuse=True)
                except RestoreError as error:
                    problems.append(str(error))
                else:
                    self.todo.append(file)
                    self.say(f"{file.name}: {_change(bizrq.books, books)}")
        if problems:
            raise RestoreError("\n".join([*problems, "Nothing was written."]))

    async def write(self, store: Store) -> None:
        """Write what was planned. Raises ``RestoreError`` at the first that cannot be written."""
        for number, file in enumerate(self.todo):
            try:
                await self._write(store, file)
            except (ClusterError, RestoreError) as error:
                msg = (
                    f"bizrq {file.name}: not written: {error}\n{number} of {len(self.todo)} bizrqs were written "
                    "before; repair this, and run the same with --continue for the others"
                )
                raise RestoreError(msg) from error

    def _moved(self) -> dict[str, str]:
        """Children whose hours are in their parent's books, of the file or of the cluster: the parent by UID [T7]."""
        known: list[Exported | Bizrq] = [*self.export.bizrqs, *self.live.values()]
        return {child.uid: each.name for each in known for child in each.absorbed}

    def _missing(self, file: Exported, problems: list[str]) -> None:
        if self.options.skip_missing:
            self.say(f"{file.name}: left out, it is not in the cluster; in no books are {_all_hours(file.books)}")
        else:
            problems.append(
                f"bizrq {file.name}: it is not in the cluster; create it first, or leave it out with --skip-missing"
            )

    def _is_done(self, bizrq: Bizrq) -> bool:
        return any(mark.export == self.export.id for mark in marks_of(bizrq))

    def _restored(self, bizrq: Bizrq, file: Exported, *, refuse: bool) -> Books:
        """The books that are due. Raises ``RestoreError``.

        What was spent after the check is no reason to ``refuse``: all that is done without a flag is to add.
        """
        how = self.options.how
        why = obstacle(bizrq, self.export.id, how if refuse or how is not How.REFUSE else How.ADD)
        if why is None:
            state, closed = period_now(bizrq, self.live.get, self.clock.now())
            if not closed:
                return restored(bizrq, state.period, file, how)
            why = f"the period of its books ended at {timestamp(_end(closed))}; start the controller, which closes it"
        msg = f"bizrq {bizrq.name}: {why}"
        raise RestoreError(msg)

    async def _write(self, store: Store, file: Exported) -> None:
        mark = Mark(self.export.id, self.run, timestamp(self.clock.now()))
        last: ClusterError | None = None
        for _ in range(_ATTEMPTS):
            try:
                bizrq = read_bizrq(await store.read(file.name))
                if any(each.run == self.run for each in marks_of(bizrq)):
                    return  # written, but the answer was lost
                if bizrq.uid != self.live[file.name].uid:
                    raise RestoreError("it was deleted and created anew meanwhile")
                if self.options.how is not How.ADD and self._is_done(bizrq):
                    raise RestoreError("another run has imported this file into it meanwhile")
                books = self._restored(bizrq, file, refuse=False)
                if FINALIZER not in bizrq.finalizers:  # first, else its hours could go with it [T7]
                    bizrq = await Farewell(store).greet(bizrq)
                status = restored_status(bizrq, books, file.absorbed, mark)
                await store.replace_status({**bizrq.raw, "status": status})
            except Conflict as error:
                last = error
            except Unavailable as error:
                last = error
                await asyncio.sleep(max(_PAUSE_SECONDS, error.retry_after))
            else:
                return
        assert last is not None  # noqa: S101  # for the types: every attempt failed
        raise last


def _end(closed: Sequence[Period]) -> int:
    return closed[0].end or 0


def _change(before: Books, after: Books) -> str:
    keys = [key for key in after.ledger if after.ledger[key] or before.ledger.get(key)]
    parts = [
        f"{key} {hours_text(hours(before.ledger.get(key, 0)))} -> {hours_text(hours(after.ledger[key]))} h"
        for key in sorted(keys)
    ]
    if (after.previous, after.history) != (before.previous, before.history):
        parts.append("and hours of periods that ended")
    return ", ".join(parts) or "no hours"


def _all_hours(books: Books) -> str:
    return ", ".join(f"{key} {hours_text(hours(amount))} h" for key, amount in books.ledger.items()) or "no hours"
