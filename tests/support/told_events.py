"""Events in memory, as an API server takes them."""

from __future__ import annotations

from bizrq.cluster.errors import ClusterError, Conflict, NotFound
from bizrq.cluster.events import Event

__all__ = ["ToldEvents"]


class ToldEvents:
    """Keeps what it is told; ``faults`` are raised first, one a request."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.counts: dict[str, int] = {}
        """How often those of a series have happened, by name."""
        self.faults: list[ClusterError] = []
        self.asked = 0
        self.lose_answer: ClusterError | None = None
        """Raised once, by a request that is carried out all the same."""

    async def create(self, event: Event) -> None:
        """Keep it."""
        self._ask()
        if any(each.name == event.name for each in self.told):
            raise Conflict(event.name)
        self.told.append(event)
        self._answer()

    async def repeat(self, event: Event, count: int, at: int) -> None:  # noqa: ARG002  # as Events has it
        """Count it."""
        self._ask()
        if all(each.name != event.name for each in self.told):
            raise NotFound(event.name)
        self.counts[event.name] = count
        self._answer()

    def _ask(self) -> None:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)

    def _answer(self) -> None:
        if self.lose_answer is not None:
            error, self.lose_answer = self.lose_answer, None
            raise error

    def of(self, name: str) -> list[tuple[str, str]]:
        """Reason and note of each event that regards an object of this name."""
        return [(each.reason, each.note) for each in self.told if each.regarding.name == name]

    def reasons(self, name: str = "team") -> list[str]:
        """The same without the notes."""
        return [reason for reason, _ in self.of(name)]
