"""What must hold at any time, and what at rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bizrq.domain.bizrq import read_bizrq
from bizrq.domain.cash import Books
from tests.sim.truth import KEYS, Group, Range, cost, window
from tests.sim.world import World
from tests.support.cas_leases import CasLeases

__all__ = ["Watchman", "Wrong"]

JSON = Mapping[str, Any]


class Wrong(AssertionError):
    """Something that must hold does not; the text begins with its name."""


class Watchman:
    """Looks at every version of every status and of the Lease."""

    def __init__(self, world: World, leases: CasLeases, *, promise: bool = True) -> None:
        self._world, self._leases, self._promise = world, leases, promise
        self._bizrqs = self._floors = 0
        self._seen: dict[str, int] = {}
        self._floor = -1
        self._closing: dict[str, dict[tuple[int | None, str], Range]] = {}
        """By UID what a bizrq that leaves says it has spent, by end of the period and key."""

    def look(self) -> None:
        """Check what was stored since the last look. Raises ``Wrong``."""
        events = self._world.etcd.bizrqs.events
        while self._bizrqs < len(events):
            event = events[self._bizrqs]
            self._bizrqs += 1
            self._check_status(event.raw)
            if event.type == "DELETED":
                self._gone(event.raw)
        while self._floors < len(self._leases.history):
            floor = self._leases.history[self._floors].floor
            self._floors += 1
            if floor is not None:
                self._check_floor(floor.version)

    def _check_status(self, raw: JSON) -> None:
        bizrq = read_bizrq(raw)
        seen = bizrq.books.seen.version if bizrq.books.seen else -1
        if seen < self._seen.get(bizrq.uid, -1):
            raise Wrong(f"seen goes back: {bizrq.uid} from {self._seen[bizrq.uid]} to {seen}")
        self._seen[bizrq.uid] = seen
        if bizrq.deleting:
            ends = bizrq.period.period.end if bizrq.period else None
            spent = self._closing.setdefault(bizrq.uid, {})
            closed = bool(spent)  # what its pods cost from here on is nobody's, also behind an edge
            for end, ledger in ((ends, bizrq.books.ledger), *_previous(bizrq.books)):
                for key in KEYS:
                    now = ledger.get(key, 0)
                    known = spent.get((end, key), Range(0 if closed else now, now))
                    spent[end, key] = Range(min(known.low, now), max(known.high, now))

    def _gone(self, raw: JSON) -> None:
        uid = raw["metadata"]["uid"]
        group = next(each for each in self._world.groups if each.uid == uid)
        group.gone = True
        self._world.tell(f"bizrq {uid} is gone")
        for parent in self._world.live():
            if parent.name == group.parent:
                for at, spent in self._closing.get(uid, {}).items():
                    parent.credits[at] = parent.credits.get(at, Range(0, 0)).plus(spent)

    def _check_floor(self, floor: int) -> None:
        world, now = self._world, self._world.clock.now()
        if floor < self._floor:
            raise Wrong(f"floor goes back: from {self._floor} to {floor}")
        before, self._floor = self._floor, floor
        if floor == before or not self._promise:
            return
        for group in world.live():
            low = max(self._seen.get(group.uid, -1), group.version, before)
            charged = {
                life.uid
                for life, work in world.lives
                if any(stop > max(start, group.created) for start, _, stop in work.share(life, group.name, now))
            }
            for event in world.etcd.pods.after(low):
                if event.version > floor:
                    break
                uid = event.raw["metadata"]["uid"]
                if event.type == "DELETED" and uid in charged:
                    raise Wrong(f"floor {floor} over {uid} at {event.version}: {group.uid} has seen {low}")

    # --- at rest ---

    def check_ledgers(self) -> None:
        """Every ledger is the truth to the second [C5]. Raises ``Wrong``."""
        for group in self._world.live():
            self._check_ledger(group)

    def _check_ledger(self, group: Group) -> None:
        world = self._world
        now, bizrq = world.clock.now(), read_bizrq(world.etcd.raw(group.name))
        if bizrq.reconciled != now:
            raise Wrong(f"not written at rest: {group.uid}")
        books = bizrq.books
        if books.uncertain and not world.plan.gaps:
            raise Wrong(f"uncertain though nothing was missed: {group.uid}, {books.uncertain}")
        for back, ledger in ((0, books.ledger), (1, books.previous.ledger if books.previous else {})):
            span = window(group, now, back)
            if span is None:
                continue
            for key in KEYS:
                true = cost(group, world.lives, span, key, now)
                if world.plan.gaps:
                    true = self._with_doubt(true, group, books, key)
                if not true.low <= ledger.get(key, 0) <= true.high:
                    raise Wrong(self._story_of(group, key, true, ledger.get(key, 0), back))

    def _with_doubt(self, true: Range, group: Group, books: Books, key: str) -> Range:
        """Where pods vanished unseen [C6]: at most so much too little, or too much.

        Those born and gone in one gap nobody can bound.
        """
        world, now = self._world, self._world.clock.now()
        late = unborn = 0
        for life, work in world.lives:
            for start, low, _ in work.share(life, group.name, now):
                if not life.gone_at or low <= start:
                    continue
                late += life.amounts[key] * life.delay
                # Whose it was may have become known later than the pod itself.
                since = (life.start or 0) + world.plan.lag
                if any(since >= gap and life.gone_at <= listed for gap, listed in world.etcd.pods.gaps):
                    unborn += life.amounts[key] * (low - start)
        return Range(true.low - books.uncertain.get(key, 0) - unborn, true.high + late)

    def _story_of(self, group: Group, key: str, true: Range, ledger: int, back: int) -> str:
        world = self._world
        off = ledger - (true.low if ledger < true.low else true.high)
        lines = [
            (
                f"ledger of {group.uid}, {key}, {back} periods back: "
                f"{ledger} instead of {true.low}-{true.high}, off by {off}"
            )
        ]
        now = world.clock.now()
        for life, work in world.lives:
            for start, low, high in work.share(life, group.name, now):
                if high > start:
                    spent = life.amounts[key] * (low - start)
                    mark = " <---" if spent == abs(off) else ""
                    lines.append(
                        f"    {life.uid} of {work.uid}: +{start - world.began} to +{low - world.began} or "
                        f"+{high - world.began}, born {life.born_at} gone {life.gone_at}: {spent}{mark}"
                    )
        return "\n".join(lines)


def _previous(books: Books) -> list[tuple[int | None, Mapping[str, int]]]:
    return [] if books.previous is None else [(books.previous.end, books.previous.ledger)]
