"""What time is it?

The one place that reads a clock. ``Clock`` is injected into every shell, so that tests can travel in time; the core
never sees it, only instants.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> int:
        """The instant, in whole seconds since 1970 in UTC."""

    def milliseconds(self) -> int:
        """The same in milliseconds: for texts that people read, never for cash [C3]."""

    def monotonic(self) -> float:
        """Seconds that only ever go forward, from some start: for waits [A4]."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """The instant, in whole seconds since 1970 in UTC."""
        return int(time.time())

    def milliseconds(self) -> int:
        """The instant in milliseconds since 1970 in UTC."""
        return time.time_ns() // 10**6

    def monotonic(self) -> float:
        """Seconds that only ever go forward."""
        return time.monotonic()
