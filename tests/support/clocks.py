"""A clock that a test moves."""

from __future__ import annotations

from tests.support.build import NOW

__all__ = ["HandClock"]


class HandClock:
    """Stands still until it is moved; may be set back."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now
        self.waited = 0.0
        """Seconds of the monotonic clock, moved apart from the other one."""

    def now(self) -> int:
        """The instant, in whole seconds since 1970 in UTC."""
        return self.time

    def milliseconds(self) -> int:
        """The instant in milliseconds."""
        return self.time * 1000

    def monotonic(self) -> float:
        """Seconds that only ever go forward."""
        return self.waited
