"""Stands in for the loop of a controller: time passes by hand, and whoever is due is looked at in time."""

from __future__ import annotations

from tests.support.controller import Controller

__all__ = ["Loop"]


class Loop:
    """Stands in for the loop: the sync of a controller tells it when it wants to look at a bizrq again."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.due: dict[str, float] = {}
        """When a bizrq is to be looked at next, on the clock that the test moves."""
        controller.sync._wake_in = self.wake_in  # type: ignore[method-assign]

    def wake_in(self, name: str, seconds: float) -> None:
        """As the sync has it."""
        at = self.controller.clock.time + seconds
        self.due[name] = min(at, self.due.get(name, at))

    async def look(self, name: str) -> None:
        """One look, as the loop has it."""
        self.due.pop(name, None)
        await self.controller.sync.refresh(name)
        self.controller.see(*self.controller.store.names())

    async def pass_time(self, until: int) -> None:
        """Let time pass to an instant; whoever is due is looked at in time."""
        clock = self.controller.clock
        while self.due and min(self.due.values()) <= until:
            name = min(self.due, key=lambda each: self.due[each])
            clock.time = max(clock.time, int(self.due[name]))
            await self.look(name)
        clock.time = until
