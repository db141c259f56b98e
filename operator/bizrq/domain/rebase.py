"""What can be kept of books whose deletions since nobody saw? [C5, C6].

After a restart the deletions between a status and the present view are replayed. Where they cannot be, the books are
rebased: what the pods that still exist can have been charged at most is taken from the ledger, and so is what pods that
are gone may have been charged too much; what is left was charged for pods that are gone. So the ledger stays at or
below the truth, and everything that it may lack is stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bizrq.domain.cash import Books, Charged, Seen, pieces
from bizrq.domain.intervals import is_open, stop_at
from bizrq.domain.periods import Period
from bizrq.domain.stays import UNKNOWN_OWNER_SECONDS

__all__ = ["rebase"]


def rebase(books: Books, pods: Iterable[Charged], *, complete: int, period: Period, written: int, now: int) -> Books:
    """The books as of version ``complete``, after which every deletion is known.

    ``books.seen`` is the newest view that the status is known to agree with. ``pods`` are those that exist and those
    deleted after ``complete``; others among them are skipped. ``period`` is that of the ledger, ``written`` the time
    of the status. A pod may be overcharged by the delay with which its end was reported, which nobody can know.
    """
    good = min(written, books.seen.time if books.seen else period.start)
    seen = books.seen.version if books.seen else -1
    previous = books.previous
    current = _Part(period.start, period.end, dict(books.ledger))
    before = _Part(previous.start, previous.end, dict(previous.ledger)) if previous else None
    rate, uncertain = dict(books.rate), dict(books.uncertain)
    for pod in pods:
        start = pod.interval.start
        if start is None or (pod.deleted_at is not None and pod.deleted_at <= complete):
            continue
        low, high, surely_open = _charged(pod, start, seen=seen, good=good, written=written)
        for part in filter(None, (before, current)):
            part.take(pod, start, high)
        for key, amount in pod.amounts.items():
            if key in books.ledger:
                uncertain[key] = uncertain.get(key, 0) + amount * (high - low)
                if surely_open:
                    rate[key] = rate.get(key, 0) - amount
    gone = {key: held for key, held in rate.items() if held > 0}
    for key, held in gone.items():
        uncertain[key] = uncertain.get(key, 0) + held * max(0, now - good)
    return replace(
        books,
        settled=current.kept(books.settled, gone, good, written),
        seen=Seen(complete, good),
        rebased=True,
        uncertain=uncertain,
        previous=(
            replace(previous, settled=before.kept(previous.settled, gone, good, written))
            if previous and before
            else None
        ),
    )


@dataclass(slots=True)
class _Part:
    """What is left of the ledger of one period."""

    start: int
    end: int | None
    left: dict[str, int]

    def take(self, pod: Charged, low: int, high: int) -> None:
        """Take from it what a pod was charged for [low, high)."""
        low, high = self._within(low, high)
        if high > low:
            for amounts, seconds in pieces(pod, low, high):
                for key in self.left:
                    self.left[key] -= amounts.get(key, 0) * seconds

    def kept(self, settled: Mapping[str, int], gone: Mapping[str, int], good: int, written: int) -> dict[str, int]:
        """What was charged for pods that are gone, which may have ended right after ``good``; not below ``settled``."""
        low, high = self._within(good, written)
        seconds = max(0, high - low)
        return {
            key: max(settled.get(key, 0), self.left.get(key, 0) - gone.get(key, 0) * seconds)
            for key in {*self.left, *settled}
        }

    def _within(self, low: int, high: int) -> tuple[int, int]:
        return max(low, self.start), high if self.end is None else min(high, self.end)


def _charged(pod: Charged, start: int, *, seen: int, good: int, written: int) -> tuple[int, int, bool]:
    """The earliest and the latest instant to which the status can have charged ``pod``; was it open then?"""
    interval = pod.interval
    is_young = start > written - UNKNOWN_OWNER_SECONDS
    if pod.version <= seen:  # the very object that the writer saw
        stop = stop_at(interval, written) if start <= written else start
        # but perhaps not whose it was
        return (start, stop, False) if is_young else (stop, stop, is_open(interval, written))
    cut, end = interval.cut, interval.end
    high = max(start, written)
    low = high if cut is None else max(start, min(written, cut))  # they differ only behind a cut
    surely = start < min(written, good) and (cut is None or cut > written)
    if start >= good or is_young:
        low, surely = start, False  # perhaps not seen at all, or not known whose it was
    if end is not None and end <= good:  # its end may have been seen, or not
        low, surely = min(low, max(start, stop_at(interval, written))), False
    return low, high, surely
