"""Which period are the hours of a tree in, and which ones have ended since? [C9].

The period in force stands in the status, with its end: whoever reads it needs no calendar to know when it is over, and
an edge once written holds, whatever the time zone database of a later version says. Only a root has a calendar; its
tree follows it.

``spec.cashPeriod`` says what is wanted, the state what holds. What is wanted is recorded as ``next`` and holds from the
next edge on, so that nobody refills a budget by changing the calendar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.domain.calendars import CashPeriod, CashPeriodError, local_time, next_edge, read_cash_period, span_of
from bizrq.domain.times import instant, timestamp

__all__ = ["Change", "Period", "State", "advance", "as_json", "last_edge", "of_child", "read_state", "roll"]


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in whole seconds since 1970."""

    start: int
    end: int | None = None
    """None: without an end in sight."""


@dataclass(frozen=True, slots=True)
class Change:
    """What holds from the end of a period on."""

    calendar: CashPeriod | None
    """None: one period without an end."""


@dataclass(frozen=True, slots=True)
class State:
    """The period of a bizrq, and what comes after it; ``status.cash.period``."""

    period: Period
    calendar: CashPeriod | None = None
    """By which the period was cut; None: it has no end, or only the one at which ``next`` begins."""
    next: Change | None = None
    """None: the same calendar goes on."""

    @property
    def planned(self) -> CashPeriod | None:
        """The calendar of what comes after the period."""
        return self.calendar if self.next is None else self.next.calendar

    @property
    def edge(self) -> str:
        """For people, when it ends: in the zone of its calendar, or of the one that begins then; "" where it does not.

        Such as ``2026-11-30T00:00:00+08:00``.
        """
        calendar = self.calendar or self.planned
        return "" if self.period.end is None or calendar is None else local_time(self.period.end, calendar.zone)


# --- from and to JSON ------------------------------------------------------------------------------------------------


def read_state(stated: object) -> State | None:
    """A state from the status; None where there is none, or none that can be believed.

    A state that somebody broke counts as never written: ``roll`` then finds the period by the calendar, and closes
    nothing that the books do not say is over. A broken ``next``, and an end that only it gave, are left out; ``roll``
    records them again.
    """
    if not isinstance(stated, Mapping):
        return None
    start, end = _instant(stated.get("start")), _instant(stated.get("end"))
    if start is None or (end is not None and end <= start):
        return None
    try:
        calendar = _calendar(stated)
    except CashPeriodError:
        return None
    if calendar is not None:
        return None if end is None else State(Period(start, end), calendar, _change(stated.get("next")))
    change = None if end is None else _change(stated.get("next"))
    return State(Period(start), None) if change is None else State(Period(start, end), None, change)


def _instant(text: object) -> int | None:
    return instant(text) if isinstance(text, str) else None


def _calendar(stated: Mapping[str, object]) -> CashPeriod | None:
    return read_cash_period(stated, "status") if "every" in stated or "timeZone" in stated else None


def _change(stated: object) -> Change | None:
    if not isinstance(stated, Mapping):
        return None
    try:
        return Change(_calendar(stated))
    except CashPeriodError:
        return None


def as_json(state: State) -> dict[str, Any]:
    """A state as it stands in a status; an empty ``next`` is a period without an end."""
    end = state.period.end
    return {
        "start": timestamp(state.period.start),
        **({} if end is None else {"end": timestamp(end)}),
        **_fields(state.calendar),
        **({} if state.next is None else {"next": _fields(state.next.calendar)}),
    }


def _fields(calendar: CashPeriod | None) -> dict[str, str]:
    return {} if calendar is None else {"every": str(calendar.every), "timeZone": calendar.zone}


# --- as time goes on -------------------------------------------------------------------------------------------------


def advance(state: State, now: int) -> tuple[State, list[Period]]:
    """The state at ``now`` if nobody changes the calendar, and the periods that ended on the way, in order."""
    closed: list[Period] = []
    while state.period.end is not None and state.period.end <= now:
        closed.append(state.period)
        state = _after(state, state.period.end)
    return state, closed


def last_edge(state: State, now: int) -> int | None:
    """Where the period at ``now`` began, if the one of ``state`` is over by then, however long ago; None if it is not.

    The same as by ``advance``, in one step.
    """
    end, calendar = state.period.end, state.planned
    if end is None or end > now:
        return None
    return end if calendar is None else max(end, span_of(calendar, now)[0])


def _after(state: State, edge: int) -> State:
    calendar = state.planned
    return State(_from(edge, calendar), calendar)


def _from(start: int, calendar: CashPeriod | None) -> Period:
    """A period that begins at ``start`` and ends at the next edge of its calendar, even if that is soon."""
    return Period(start, None if calendar is None else next_edge(calendar, start))


def roll(
    state: State | None, wanted: CashPeriod | None, *, created: int, booked: int | None, now: int
) -> tuple[State, list[Period]]:
    """The state of a root at ``now``, and all periods that ended since ``state`` was written, in order.

    ``wanted`` is spec.cashPeriod. ``created`` is the instant of the root's creation, at which its first period begins.
    ``booked`` is lastReconcileTime, up to which the books go that stand beside ``state``; None: there are none yet.

    A change of what is wanted is recorded when it is first seen, after periods that ended before. It holds from the
    present period's end; where that has none, from the next edge of the new calendar. Wanted back before that, it is
    forgotten.

    Books without a state were lost sight of, not spent: they are taken to be of the period in which they were last
    written, so that the hours booked in the present period stay booked, and no edge is made up.
    """
    if state is None:
        state = _begun(wanted, created, booked, now)
    elif state.period.start > now:  # a clock that went wrong, by more than controllers differ, has closed too much
        state = _begun(wanted, created, now, now)
    state, closed = advance(state, now)
    return _recorded(state, wanted, now), closed


def _begun(calendar: CashPeriod | None, created: int, booked: int | None, now: int) -> State:
    if calendar is None or booked is None:
        return State(_from(created, calendar), calendar)
    start, end = span_of(calendar, min(booked, now))
    return State(Period(created if start < created < end else start, end), calendar)


def _recorded(state: State, wanted: CashPeriod | None, now: int) -> State:
    if state.planned == wanted:
        return state
    period = state.period
    if state.calendar is None:  # its end is only that of the change
        period = Period(period.start, None if wanted is None else next_edge(wanted, now))
    return State(period, state.calendar, None if wanted == state.calendar else Change(wanted))


def of_child(own: State | None, root: State, *, created: int, booked: int | None) -> tuple[State, list[Period]]:
    """The state of a bizrq below ``root``, whose state is that at the present instant; and its periods that ended.

    A child follows its root: its edges are the root's, and it has no calendar of its own. ``own`` is what the child's
    status says, ``created`` and ``booked`` are its own as in ``roll``. Its period began with the root's, but not before
    the child. Edges that were passed since its last write are those of the calendar it then followed.
    """
    edge = root.period.start
    if own is None or (root.period.end is not None and own.period.start >= root.period.end):
        if booked is None or booked < edge:
            own = _begun(root.calendar, created, booked, edge)
        else:
            own = State(Period(max(created, edge)))
    closed: list[Period] = []
    while own.period.start < edge:
        end = edge if own.period.end is None else min(own.period.end, edge)
        closed.append(Period(own.period.start, end))
        own = _after(own, end)
    return State(Period(own.period.start, root.period.end), root.calendar, root.next), closed
