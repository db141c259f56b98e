"""What was answered a moment ago, so that a burst of requests asks once? Bounded in age and in number."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["ShortCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ShortCache(Generic[K, V]):
    """Answers by key; time is that of the running loop."""

    def __init__(self, most: int) -> None:
        """Keep at most so many answers; the one that came first goes first."""
        self._most = most
        self._answers: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """The answer, None where there is none that still counts."""
        kept = self._answers.get(key)
        if kept is None:
            return None
        until, value = kept
        if until > asyncio.get_running_loop().time():
            return value
        del self._answers[key]
        return None

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep an answer for so long."""
        self._answers.pop(key, None)
        if len(self._answers) >= self._most:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (asyncio.get_running_loop().time() + seconds, value)
