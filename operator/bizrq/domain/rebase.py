"""What can be kept of books whose deletions since nobody saw? [C5, C6].

After a restart the deletions between a status and the present view are replayed. Where they cannot be, the books are
rebased: what the pods that still exist can have been charged at most is taken from the ledger, and so is what pods that
are gone may have been charged too much; what is left was charged for pods that are gone. So the ledger stays at or below
the truth, and everything that it may lack is stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bizrq.domain.cash import Books, Charged, Closed, Seen, Span, pieces
from bizrq.domain.intervals import is_open, stop_at

__all__ = ["rebase"]


def rebase(
    books: Books, pods: Iterable[Charged], *, complete: int, span: Span, written: int, now: int
) -> Books:
    """The books as of version ``complete``, after which every deletion is known.

    ``books.seen`` is the newest view that the status is known to agree with. ``pods`` are those that exist and those
    deleted after ``complete``; others among them are skipped. ``span`` is the period of the ledger, ``written`` the time
    of the status. A pod may be overcharged by the delay with which its end was reported, which nobody can know.
    """
    good = min(written, books.seen.time if books.seen else span.start)
    seen = books.seen.version if books.seen else -1
    known = [*([books.previous] if books.previous else []), Closed(span, books.ledger, books.settled)]
    left = [dict(each.ledger) for each in known]
    rate, uncertain = dict(books.rate), dict(books.uncertain)
    for pod in pods:
        start = pod.interval.start
        if start is None or (pod.deleted_at is not None and pod.deleted_at <= complete):
            continue
        low, high, surely_open = _charged(pod, start, seen=seen, good=good, written=written)
        for each, amounts in zip(known, left, strict=True):
            _take(amounts, pod, *_within(each.span, start, high))
        for key, amount in pod.amounts.items():
            if key in books.ledger:
                uncertain[key] = uncertain.get(key, 0) + amount * (high - low)
                if surely_open:
                    rate[key] = rate.get(key, 0) - amount
    settled = []
    for each, amounts in zip(known, left, strict=True):
        low, high = _within(each.span, good, written)
        back = {key: max(0, held) * max(0, high - low) for key, held in rate.items()}
        settled.append(
            {
                key: max(each.settled.get(key, 0), amounts.get(key, 0) - back.get(key, 0))
                for key in {*amounts, *each.settled}
            }
        )
    for key, held in rate.items():
        if held > 0:
            uncertain[key] = uncertain.get(key, 0) + held * max(0, now - good)
    return replace(
        books,
        settled=settled[-1],
        seen=Seen(complete, good),
        uncertain=uncertain,
        previous=replace(books.previous, settled=settled[0]) if books.previous else None,
    )


def _charged(pod: Charged, start: int, *, seen: int, good: int, written: int) -> tuple[int, int, bool]:
    """The earliest and the latest instant to which the status can have charged ``pod``, and whether it was open then."""
    interval = pod.interval
    if pod.version <= seen:  # the very object that the writer saw
        stop = stop_at(interval, written) if start <= written else start
        return stop, stop, is_open(interval, written)
    cut, end = interval.cut, interval.end
    high = max(start, written)
    low = high if cut is None else max(start, min(written, cut))  # they differ only behind a cut
    surely = start < min(written, good) and (cut is None or cut > written)
    if start >= good:
        low = start  # perhaps not seen at all
    if end is not None and end <= good:  # its end may have been seen, or not
        low, surely = min(low, max(start, stop_at(interval, written))), False
    return low, high, surely


def _within(span: Span, low: int, high: int) -> tuple[int, int]:
    return max(low, span.start), high if span.end is None else min(high, span.end)


def _take(left: dict[str, int], pod: Charged, low: int, high: int) -> None:
    if high <= low:
        return
    held: Iterable[tuple[Mapping[str, int], int]] = pieces(pod, low, high)
    for amounts, seconds in held:
        for key in left:
            left[key] -= amounts.get(key, 0) * seconds
