"""A clock that a test moves."""

from __future__ import annotations

from tests.support.build import NOW

__all__ = ["HandClock"]


class HandClock:
    """Stands still until it is moved; may be set back."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now

    def now(self) -> int:
        """The instant, in whole seconds since 1970 in UTC."""
        return self.time
