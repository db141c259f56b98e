"""From when to when is a pod charged? [C1, C2], case by case as in ``docs/cash.md``.

``follow`` folds one version of a pod after the other into an ``Interval``; ``deleted`` adds the DELETED event. What an
interval costs depends on nothing but the interval and the time asked for, so a late or corrected end repairs itself.
Intervals are half-open, [start, end); all instants are whole seconds since 1970.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

__all__ = ["NOT_STARTED", "Clamp", "EndSource", "Interval", "PodFacts", "deleted", "follow", "is_open", "stop_at"]

FORCED_AT_ONCE: Final = 2
"""Seconds between the request of a deletion and its DELETED event within which the request is the end."""


class Clamp(enum.StrEnum):
    """Why S or E is not what the pod said, or had to be guessed [C2]."""

    START_GUESSED = "start_guessed"
    """No condition told when it was scheduled: status.startTime, else creationTimestamp."""
    START_BEFORE_CREATION = "start_before_creation"
    END_BEFORE_START = "end_before_start"
    END_IN_FUTURE = "end_in_future"
    END_AFTER_CUT = "end_after_cut"


class EndSource(enum.IntEnum):
    """What an end was taken from. FINISHED_AT is exact, and so is DELETION_REQUEST where there never was a grace."""

    NONE = 0
    """It has not ended, or only by its cut."""
    FINISHED_AT = 1
    DISRUPTED = 2
    COMPLETED = 3
    TOUCHED = 4
    OBSERVED = 5
    DELETION_REQUEST = 6
    DELETION_ARRIVAL = 7


class PodFacts(msgspec.Struct, gc=False):
    """The instants of one version of a pod, None where the API object has none (null and year 1 count as none).

    Not frozen: it lives for one call, and is filled field by field.
    """

    created: int
    assigned: bool = False
    """``spec.nodeName`` is set."""
    scheduled: int | None = None
    """lastTransitionTime of PodScheduled=True."""
    unscheduled: bool = False
    """PodScheduled is there and not True."""
    started: int | None = None
    """status.startTime."""
    mirror: bool = False
    terminal: bool = False
    """The phase is Succeeded or Failed."""
    finished: Sequence[int | None] = ()
    """finishedAt of every terminated container and init container."""
    disrupted: int | None = None
    """lastTransitionTime of DisruptionTarget=True."""
    completed: int | None = None
    """lastTransitionTime of Ready or ContainersReady False for PodCompleted or PodFailed."""
    touched: int | None = None
    """Newest managedFields time of the subresource status; needed only where ``finished`` does not decide."""
    resizing: int | None = None
    """lastTransitionTime of PodResizeInProgress=True; ``segments.py`` asks for it."""
    infeasible: bool = False
    """The last resize was refused by the node: what the spec asks for since is not held."""
    deletion: int | None = None
    """metadata.deletionTimestamp."""
    grace: int | None = None
    """metadata.deletionGracePeriodSeconds."""


class Interval(msgspec.Struct, frozen=True, gc=False):
    """The charged time of a pod as far as its versions told."""

    start: int | None
    """None: nothing is charged (yet)."""
    end: int | None = None
    source: EndSource = EndSource.NONE
    cut: int | None = None
    """Nothing is charged from here on: the latest deletionTimestamp + grace seen with a grace above 0."""
    requested: int | None = None
    """When the deletion was asked for."""
    first_terminal: int | None = None
    """When the phase was first observed to be final."""
    noted: tuple[Clamp | EndSource, ...] = ()
    """What had to be moved, and from what an end was guessed, so far: each once, also where it was corrected later."""


NOT_STARTED: Final = Interval(start=None)


def follow(facts: PodFacts, before: Interval, observed: int) -> Interval:
    """The interval after one more version of the pod; ``before`` is NOT_STARTED for the first, ``observed`` is now."""
    start = _start(facts)
    if facts.deletion is None and not facts.terminal:  # of most pods, every version
        if start == before.start:
            return before
        if before is NOT_STARTED:
            well = facts.scheduled is not None and facts.scheduled >= facts.created
            return Interval(start) if well else Interval(start, noted=_note_start(facts, ()))
    cut, requested = before.cut, before.requested
    if facts.deletion is not None:
        grace = facts.grace or 0
        # With a grace, deletionTimestamp is the request's time plus the grace, and the second grace is slack. At
        # grace 0 it has been moved back to the time of the request.
        requested = facts.deletion - grace
        if grace > 0:
            cut = max(cut or 0, facts.deletion + grace)
    first_terminal = before.first_terminal
    end, source = before.end, before.source  # the last terminal status seen decides, also about a final object
    if facts.terminal:
        if first_terminal is None:
            first_terminal = observed
        end, source = _terminal_end(facts, first_terminal)
    after = Interval(start, end, source, cut, requested, first_terminal, _note_start(facts, before.noted))
    return _note_end(after, observed) if end is not None else after


def deleted(last: Interval, arrived: int, *, replayed: bool = False) -> Interval:
    """The interval of a pod whose DELETED event came at ``arrived``; ``last`` is after the event's own object.

    A pod that had reached its end keeps it. One that went while running ends at the time of the request, if it was
    forced from the start or the event came within 2 s; else when the event came, never after the cut. ``replayed``
    events say nothing by their arrival.
    """
    if last.end is not None:
        return last
    end, source = arrived, EndSource.DELETION_ARRIVAL
    requested = last.requested
    # One that was removed from etcd, without a deletion of its own, has nothing but its arrival.
    if requested is not None and (last.cut is None or replayed or arrived - requested <= FORCED_AT_ONCE):
        end, source = requested, EndSource.DELETION_REQUEST
    return _note_end(replace(last, end=end, source=source), arrived)


def stop_at(interval: Interval, now: int) -> int:
    """The instant up to which a pod with a start is charged when the clock shows ``now``; never before its start."""
    stop = now
    if interval.end is not None and interval.end < stop:
        stop = interval.end
    if interval.cut is not None and interval.cut < stop:
        stop = interval.cut
    start = interval.start
    return stop if start is None or stop > start else start


def is_open(interval: Interval, now: int) -> bool:
    """Whether each further second costs something."""
    return (
        interval.start is not None
        and interval.start <= now
        and (interval.end is None or interval.end > now)
        and (interval.cut is None or interval.cut > now)
    )


def _start(facts: PodFacts) -> int | None:
    if facts.mirror:
        return None
    start = facts.scheduled
    if start is None:
        if not facts.assigned:
            return None
        # Bound without the scheduler (virtual kubelets, spec.nodeName set): no condition tells when. A condition
        # that still says False is older than the binding, and so is the creation: only startTime can be meant.
        start = facts.started
        if start is None:
            if facts.unscheduled:
                return None
            start = facts.created
    return max(start, facts.created)


def _note_start(facts: PodFacts, noted: tuple[Clamp | EndSource, ...]) -> tuple[Clamp | EndSource, ...]:
    said = facts.scheduled
    if facts.mirror or (said is None and not facts.assigned):
        return noted  # it has no start
    if said is None:
        said = facts.started
        if Clamp.START_GUESSED not in noted and (said is not None or not facts.unscheduled):
            noted = (*noted, Clamp.START_GUESSED)
    if said is not None and said < facts.created and Clamp.START_BEFORE_CREATION not in noted:
        noted = (*noted, Clamp.START_BEFORE_CREATION)
    return noted


def _note_end(interval: Interval, observed: int) -> Interval:
    """The same, with what its end was guessed from, and why it does not hold as it is."""
    start, end, source, cut = interval.start, interval.end, interval.source, interval.cut
    if start is None or end is None:
        return interval  # nothing is charged
    found: list[Clamp | EndSource] = []
    if source is not EndSource.FINISHED_AT and not (source is EndSource.DELETION_REQUEST and cut is None):
        found.append(source)
    if end < start:
        found.append(Clamp.END_BEFORE_START)
    if end > observed:
        found.append(Clamp.END_IN_FUTURE)
    if cut is not None and end > cut:
        found.append(Clamp.END_AFTER_CUT)
    new = [each for each in found if each not in interval.noted]
    return replace(interval, noted=(*interval.noted, *new)) if new else interval


def _terminal_end(facts: PodFacts, first_terminal: int) -> tuple[int, EndSource]:
    valid = [moment for moment in facts.finished if moment is not None]
    if valid and len(valid) == len(facts.finished):
        return max(valid), EndSource.FINISHED_AT
    for moment, source in (
        (facts.disrupted, EndSource.DISRUPTED),
        (facts.completed, EndSource.COMPLETED),
        (facts.touched, EndSource.TOUCHED),
        (first_terminal, EndSource.OBSERVED),
    ):
        if moment is not None:
            return max([moment, *valid]), source  # never before a valid finishedAt
    raise AssertionError  # first_terminal is never None
