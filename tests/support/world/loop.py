"""An event loop whose time is moved by hand, and gates at which calls wait for the test.

Nothing runs behind a test's back: whatever can go on goes on when the test says so, and stops at a shut gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Gate", "HandLoop"]

T = TypeVar("T")

_SOON = 0.15
"""Seconds. The pauses after a conflict end by themselves; all that waits longer waits for the test."""


class HandLoop(asyncio.SelectorEventLoop):
    """Its time stands still unless the test, or a short pause, moves it."""

    now = 0.0

    def time(self) -> float:
        """The loop's time."""
        return self.now

    def until_idle(self) -> None:
        """Run everything that can go on without waiting."""
        horizon = self.now + _SOON
        while True:
            while self._ready:  # type: ignore[attr-defined]
                self._once()
            due = min((timer.when() for timer in self._scheduled if not timer.cancelled()), default=horizon)  # type: ignore[attr-defined]
            if due >= horizon:
                return
            self.now = max(self.now, due)
            self._once()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and run what waited for it."""
        self.now += seconds
        self._once()
        self.until_idle()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin ``work``, and go on until it is done or waits."""
        task = self.create_task(work)
        self.until_idle()
        return task

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` that waits for nothing."""
        return self.start(work).result()

    def end(self) -> None:
        """Stop whatever still waits, and close."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.until_idle()
        self.close()

    def _once(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()


class Gate:
    """Where calls wait while it is shut."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    @property
    def is_open(self) -> bool:
        """Whether calls pass."""
        return self._open.is_set()

    def shut(self) -> None:
        """Have calls wait from now on."""
        self._open.clear()

    def open(self) -> None:
        """Let those that wait pass, and all that come."""
        self._open.set()

    async def passed(self) -> None:
        """Returns once the gate is open."""
        await self._open.wait()
