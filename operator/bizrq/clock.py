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


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """The instant, in whole seconds since 1970 in UTC."""
        return int(time.time())
