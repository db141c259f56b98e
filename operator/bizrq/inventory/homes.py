"""Where do the pods of a workload belong, and did they always? [C7].

Mostly at the bizrq that its label names. Where the label changes while pods run, or the workload goes before its pods,
its stays are kept here, and in the statuses of their bizrqs, as long as pods are known that they matter to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bizrq.domain.stay_chains import gone_on, merged, tidy, without_gaps
from bizrq.domain.stays import Home, Kept, Stay
from bizrq.workloads.read import Workload

__all__ = ["Homes", "Pending"]

GONE_SECONDS = 60
"""How long the home of a workload that is gone is remembered, where none of its pods is known: they may come late."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A move of which a live read tells more: the claim at the new bizrq, or whether the workload is still there."""

    workload: Workload
    """As it was seen last; of one that is gone or has lost its label, before that."""
    came_from: str
    went_to: str
    """"" where it is gone, or has no label any more."""
    observed: int


class Homes:
    """The stays of all workloads. ``changed`` is told the UID of a workload whose pods must be looked at again."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._now: dict[str, Home] = {}
        self._stays: dict[str, tuple[Stay, ...]] = {}
        """Oldest first, by UID of the workload. Of those at home all their time, made when first asked for."""
        self._split: dict[str, set[str]] = {}
        """By bizrq the workloads that must be kept in its status: those that moved, or are gone."""
        self._gone: dict[str, int] = {}
        """When it was noticed that a workload is gone, or has no label: pods made later are nobody's."""
        self._controllers: dict[str, tuple[str, ...]] = {}
        """What lines say controls the pods of a workload."""
        self._workload_of: dict[str, str] = {}
        """The same, the other way round."""
        self._stored: dict[str, frozenset[tuple[str, int | None, int | None]]] = {}
        """By bizrq the stays in its status: UID, since, until."""
        self._guessed: dict[str, frozenset[Stay]] = {}
        """Stays that no status tells and nobody saw: they fill what is between the others, until more is read."""
        self._told: set[str] = set()
        """Workloads that only lines have told of."""
        self.pending: dict[str, Pending] = {}
        """By UID of the workload."""

    # --- asked by pods ---

    def of(self, uid: str, controller: str, namespace: str, created: int) -> tuple[Stay, ...]:
        """The stays of a pod that was made then: by its workload, or by its controller where lines say so."""
        stays = self._stays.get(uid)
        if stays is None:
            home = self._now.get(uid)
            if home is not None:
                stays = self._stays[uid] = (Stay(home),)
            elif (named := self._workload_of.get(controller)) is not None and named != uid:
                return self.of(named, named, namespace, created)
            else:
                return ()
        gone = self._gone.get(uid)
        if gone is not None and created > gone:
            return ()
        return stays if stays[-1].home.namespace == namespace else ()

    def controllers_of(self, uid: str) -> tuple[str, ...]:
        """What lines say controls the pods of a workload."""
        return self._controllers.get(uid, ())

    def knows(self, uid: str) -> bool:
        """Whether this is a workload that has, or had, a home of its own."""
        return uid in self._now or uid in self._stays

    def current(self, uid: str) -> Home | None:
        """The home that the label of a workload names now."""
        return self._now.get(uid)

    # --- told by workloads ---

    def labelled(self, workload: Workload, known: Workload | None, now: int) -> None:
        """A version of a workload names this home.

        A move counts whether pods of it are known or not: the watch of pods may be behind that of workloads.
        """
        uid, home = workload.uid, Home(workload.bizrq, workload.models, workload.namespace)
        self._gone.pop(uid, None)
        before = self._now.get(uid)
        if before == home:
            return
        self._now[uid] = home
        self.pending.pop(uid, None)
        if uid in self._told:
            self._told.discard(uid)
            left = self._complete(uid, self._stays[uid], now)
            if left is not None:
                self.pending[uid] = Pending(workload, left, home.bizrq, now)
        else:
            if before is not None:
                self._stays.setdefault(uid, (Stay(before),))
            if uid in self._stays:
                self._arrive(workload, known, home, now)
        self._changed(uid)

    def lost(self, workload: Workload, now: int, *, has_pods: bool) -> None:
        """A workload is gone, or has lost its label: a watch tells both in one way."""
        uid = workload.uid
        home = self._now.pop(uid, None)
        if home is None:
            return
        self._gone[uid] = now
        self._set(uid, self._stays.get(uid) or (Stay(home),))
        if has_pods:
            self.pending[uid] = Pending(workload, home.bizrq, "", now)

    def counted_with_its_owner(self, uid: str) -> None:
        """A workload turned out to be a child of another one: it has no home of its own [A8]."""
        if self._now.pop(uid, None) is not None:
            self.pending.pop(uid, None)
            self._at_home(uid)

    def was(self, workload: Workload, now: int) -> None:
        """A workload that is gone had this home; nothing else may have been known of it."""
        uid = workload.uid
        if uid not in self._now and uid not in self._stays:
            self._gone[uid] = now
            self._set(uid, (Stay(Home(workload.bizrq, workload.models, workload.namespace)),))
            self._changed(uid)

    def cut_off(self, uid: str, stays: tuple[Stay, ...], now: int) -> None:
        """A pod has lost its owner, and keeps the stays that it has: as a workload of its own that is gone."""
        if not self.knows(uid):
            self._gone[uid] = now
            self._set(uid, stays)
            self._changed(uid)

    def was_child(self, workload: Workload | None, uid: str, before: tuple[Stay, ...], now: int) -> tuple[Stay, ...]:
        """A workload of its own was counted with its owner before; its stays, those included."""
        first, *others = own = self._stays.get(uid) or (Stay(self._now[uid]),)
        if first.since is None and others:
            return own
        since = now if first.since is None else first.since
        *past, last = [stay for stay in before if stay.since is None or stay.since < since] or before[:1]
        last = replace(last, until=since, went_to=first.home.bizrq)
        self._set(uid, (*past, last, replace(first, since=since, came_from=last.home.bizrq), *others))
        if first.since is None and workload is not None and last.home.bizrq != first.home.bizrq:
            self.pending[uid] = Pending(workload, last.home.bizrq, first.home.bizrq, now)
        return self._stays[uid]

    def claimed(self, uid: str, came_from: str, moment: int) -> None:
        """A claim tells that this workload came to its bizrq at ``moment``, which nobody here saw."""
        home = self._now.get(uid)
        if home is None or self._is_kept(uid):
            return
        stays = [Stay(home, since=moment, came_from=came_from)]
        if came_from:
            before = replace(home, bizrq=came_from)  # its models then are not known any more
            stays.insert(0, Stay(before, until=moment, went_to=home.bizrq))
        self._set(uid, tuple(stays))
        self._changed(uid)

    def settle(self, uid: str, moment: int | None) -> None:
        """The live read of a move is done: it was at ``moment``; None: the workload is gone, and nothing ends."""
        pending = self.pending.pop(uid, None)
        stays = self._stays.get(uid)
        if pending is None or moment is None or not stays:
            return
        if not pending.went_to:
            self._set(uid, (*stays[:-1], replace(stays[-1], until=_not_before(stays[-1], moment))))
        elif len(stays) > 1:
            last = _not_before(stays[-2], moment)
            self._set(uid, (*stays[:-2], replace(stays[-2], until=last), replace(stays[-1], since=last)))
        else:
            self._set(uid, (replace(stays[-1], since=moment),))
        self._changed(uid)

    def _arrive(self, workload: Workload, known: Workload | None, home: Home, now: int) -> None:
        """Append the stay at ``home`` to those that are known, and end the one before."""
        uid = workload.uid
        *_, last = stays = self._stays[uid]
        if last.until is None and last.home == home:
            return
        if last.until is not None and last.went_to == home.bizrq:  # a line that another process wrote tells the moment
            self._set(uid, (*stays, Stay(home, since=last.until, came_from=last.home.bizrq)))
            return
        left = last.home.bizrq if last.until is None else ""
        if last.until is None:
            last = replace(last, until=_not_before(last, now), went_to=home.bizrq)
        since = max(now, last.until or 0)
        self._set(uid, (*stays[:-1], last, Stay(home, since=since, came_from=left)))
        # Where it was elsewhere for no second, it goes on with its stay of before, whose moment is known.
        if left != home.bizrq and self._stays[uid][-1].since == since:
            self.pending[uid] = Pending(known or workload, left, home.bizrq, now)

    # --- told by statuses ---

    def read(self, bizrq: str, kept: Iterable[Kept], now: int) -> None:
        """What the status of a bizrq says of moves."""
        lines = list(kept)
        self._stored[bizrq] = frozenset((each.uid, each.stay.since, each.stay.until) for each in lines)
        by_uid: dict[str, list[Kept]] = {}
        for each in lines:
            by_uid.setdefault(each.uid, []).append(each)
        for uid, of_workload in by_uid.items():
            self._read(uid, of_workload, now)

    def forget_bizrq(self, bizrq: str) -> None:
        """A bizrq is gone."""
        self._stored.pop(bizrq, None)

    def _read(self, uid: str, lines: Iterable[Kept], now: int) -> None:
        before = self._stays.get(uid, ()) if self._is_kept(uid) else ()
        guessed = self._guessed.get(uid, frozenset())
        known = tuple(stay for stay in before if stay not in guessed)
        self._guessed[uid] = frozenset()
        for each in lines:
            self._name(uid, each.controllers)
            known = merged(known, each.stay)
        if uid not in self._now and uid not in self._gone:
            self._gone[uid] = now
            self._told.add(uid)
        self._complete(uid, known, now)
        if self._stays[uid] != before:
            self._changed(uid)

    def _complete(self, uid: str, known: Sequence[Stay], now: int) -> str | None:
        """Take over stays, and guess what lies between them, and between the last one and the home of now.

        Where it came from, if nobody told yet when it came to the home of now.
        """
        guessed = self._guessed.get(uid, frozenset())
        known = [stay for stay in known if stay not in guessed]
        stays = without_gaps(known)
        home, left = self._now.get(uid), None
        last = stays[-1]
        if home is not None and (last.until is not None or last.home != home):
            *_, last = stays = gone_on(stays, home, now)
            if last.went_to == home.bizrq:
                left = last.home.bizrq if last.until == now and last.home.bizrq != home.bizrq else None
                stays.append(Stay(home, since=last.until, came_from=last.home.bizrq))
            else:  # it had no label for a while, of which nobody knows the end
                left = ""
                stays.append(Stay(home, since=max(now, last.until or 0)))
        self._guessed[uid] = frozenset(stays) - frozenset(known)
        self._set(uid, tuple(stays))
        return left

    def _name(self, uid: str, controllers: tuple[str, ...]) -> None:
        if controllers:
            self._controllers[uid] = tuple(sorted({*self._controllers.get(uid, ()), *controllers}))
            self._workload_of |= dict.fromkeys(controllers, uid)

    # --- asked for a status ---

    def kept(
        self, bizrq: str, controllers_of: Callable[[str], tuple[str, ...]], starts: Starts, now: int
    ) -> list[Kept]:
        """The stays that the status of a bizrq must keep, by UID; those that no pod needs any more are forgotten.

        ``controllers_of`` are those of a workload that control pods; ``starts`` tells when pods of a controller began.
        A move is kept for a minute in any case: pods of before it may come into view later.
        """
        result = []
        for uid in sorted(self._split.get(bizrq, ())):
            controllers = tuple(sorted({*controllers_of(uid), *self._controllers.get(uid, ())}))
            stays = self._stays[uid]
            gone = uid in self._gone
            is_new = not gone and abs(now - (stays[-1].since or 0)) <= GONE_SECONDS
            if not (uid in self.pending or is_new or _needed(stays, controllers, starts, gone=gone)):
                if not gone:
                    self._at_home(uid)
                continue
            named = tuple(each for each in controllers if starts(each, None))
            result += [Kept(uid, stay, named) for stay in stays if stay.home.bizrq == bizrq]
        return result

    def sources(self, bizrq: str, exists: Callable[[str], bool]) -> set[str]:
        """The bizrqs that workloads came from, whose statuses do not say so yet; they are written first."""
        return {
            before.home.bizrq
            for uid in self._split.get(bizrq, ())
            for before, stay in _pairs(self._stays[uid])
            if stay.home.bizrq == bizrq != before.home.bizrq
            and before.until == stay.since
            and exists(before.home.bizrq)
            and (uid, before.since, before.until) not in self._stored.get(before.home.bizrq, frozenset())
        }

    def pending_for(self, bizrq: str) -> list[Pending]:
        """The moves from and to a bizrq whose moments are not known yet."""
        return [each for each in self.pending.values() if bizrq in {each.came_from, each.went_to}]

    # --- housekeeping ---

    def sweep(self, has_pods: Callable[[str], bool], now: int) -> None:
        """Forget workloads that are gone and have no pods; ``has_pods`` is asked for a workload or a controller."""
        for uid, gone in list(self._gone.items()):
            if abs(now - gone) <= GONE_SECONDS or uid in self.pending:
                continue
            if not has_pods(uid) and not any(map(has_pods, self._controllers.get(uid, ()))):
                self._forget(uid)

    def _forget(self, uid: str) -> None:
        self._gone.pop(uid, None)
        self._at_home(uid)
        self._stays.pop(uid, None)

    def _at_home(self, uid: str) -> None:
        """No pod is left of before the last move: a workload without a past again."""
        self._guessed.pop(uid, None)
        self._told.discard(uid)
        self._leave(uid, {stay.home.bizrq for stay in self._stays.pop(uid, ())})
        for controller in self._controllers.pop(uid, ()):
            self._workload_of.pop(controller, None)
        self._changed(uid)

    def _is_kept(self, uid: str) -> bool:
        return any(uid in self._split.get(stay.home.bizrq, ()) for stay in self._stays.get(uid, ()))

    def _set(self, uid: str, stays: tuple[Stay, ...]) -> None:
        before, stays = self._stays.get(uid, ()), tidy(stays)
        self._stays[uid] = stays
        now = {stay.home.bizrq for stay in stays}
        for bizrq in now:
            self._split.setdefault(bizrq, set()).add(uid)
        self._leave(uid, {stay.home.bizrq for stay in before} - now)

    def _leave(self, uid: str, bizrqs: Iterable[str]) -> None:
        for bizrq in bizrqs:
            uids = self._split.get(bizrq)
            if uids is not None:
                uids.discard(uid)
                if not uids:
                    del self._split[bizrq]


Starts = Callable[[str, int | None], bool]
"""Whether a controller has pods that are known, or, given an instant, such as were scheduled before it."""


def _needed(stays: tuple[Stay, ...], controllers: Iterable[str], starts: Starts, *, gone: bool) -> bool:
    """Whether pods are known that belong elsewhere without them: any of a workload that is gone, else old ones."""
    before = None if gone else stays[-1].since
    return (gone or before is not None) and any(starts(each, before) for each in controllers)


def _pairs(stays: tuple[Stay, ...]) -> Iterator[tuple[Stay, Stay]]:
    return itertools.pairwise(stays)


def _not_before(stay: Stay, moment: int) -> int:
    return max(moment, stay.since or 0)
