"""How are wakes gathered and worked off? [R1].

A wake is the name of a bizrq whose figures may have changed. Wakes of one bizrq are gathered for a moment, then it is
refreshed; bizrqs go side by side, one bizrq never twice at a time.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import logging
import random
from collections.abc import Callable
from typing import Final

from bizrq.cluster.errors import ClusterError, Unavailable
from bizrq.controller.books import ViewTooOldError

__all__ = ["Wakes"]

_WRITERS: Final = 8
"""Statuses written side by side: the API server stores some 280 a second from one client, one after the other."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
"""Seconds until a bizrq is tried again after a failed write, or while the view is too old; doubled each time."""

_END_SECONDS: Final = 10.0
"""How long the end of the process waits for the writes on their way."""

log = logging.getLogger(__name__)


class Wakes(abc.ABC):
    """Names that are to be refreshed, and when."""

    def __init__(self, gather_seconds: float, *, failed: Callable[[], None]) -> None:
        """``failed`` is told each refresh that failed and is tried again."""
        self._gather, self._failed = gather_seconds, failed
        self._due: dict[str, float] = {}
        """When a bizrq is to be looked at next, in the loop's time."""
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_WRITERS)
        self._waiting: set[asyncio.Task[None]] = set()
        """Refreshes that have no slot yet."""
        self._failures: dict[str, int] = {}
        """How often in a row a bizrq could not be written."""

    @abc.abstractmethod
    async def refresh(self, name: str, *, always: bool = False) -> None:
        """Refresh a bizrq. Raises ``ViewTooOldError`` and ``ClusterError`` where it is to be tried again."""

    def _let_go_of(self, name: str) -> None:
        """A bizrq is gone."""
        self._failures.pop(name, None)

    def wake(self, name: str) -> None:
        """Have a bizrq looked at again, after the moment in which further events are gathered.

        One that could not be written waits as long as it was to wait, whatever happens meanwhile.
        """
        if not (name in self._failures and name in self._due):
            self._wake_in(name, self._gather)

    def _wake_in(self, name: str, seconds: float) -> None:
        due = asyncio.get_running_loop().time() + seconds
        if name not in self._due or self._due[name] > due:
            self._due[name] = due
            self._changed.set()

    async def run(self) -> None:
        """Work off the wakes for ever. When cancelled, finishes the writes on their way first."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._changed.clear()
                now = loop.time()
                for name in [name for name, due in self._due.items() if due <= now and name not in self._busy]:
                    del self._due[name]
                    task = loop.create_task(self._look_at(name), name=f"refresh {name}")
                    self._busy[name] = task
                    task.add_done_callback(functools.partial(self._done, name))
                waiting = [due for name, due in self._due.items() if name not in self._busy]
                pause = max(0.0, min(waiting) - loop.time()) if waiting else None
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._waiting:
                task.cancel()
            if self._busy:
                await asyncio.wait(list(self._busy.values()), timeout=_END_SECONDS)

    def _done(self, name: str, _: asyncio.Task[None]) -> None:
        self._busy.pop(name, None)
        self._changed.set()

    async def _look_at(self, name: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the types: this runs as a task of its own
        self._waiting.add(task)
        try:
            async with self._slots:
                self._waiting.discard(task)
                await self.refresh(name)
            self._failures.pop(name, None)
        except ViewTooOldError as error:
            self._try_again(name, 0.0, f"nothing written: {error}")
        except ClusterError as error:
            self._failed()
            asked = error.retry_after if isinstance(error, Unavailable) else 0.0
            self._try_again(name, asked, f"its status could not be written: {error}")
        except Exception:
            # One bizrq that cannot be counted must not stop the others; the next event or resync tries again.
            log.exception("%s: its status could not be counted", name)
        finally:
            self._waiting.discard(task)

    def _try_again(self, name: str, asked: float, why: str) -> None:
        """Have a bizrq looked at later: after the seconds that the server asked for, and longer each time."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        wait = max(min(_FIRST_WAIT * 2.0 ** min(failures - 1, 10), _LONGEST_WAIT), min(asked, _LONGEST_WAIT))
        log.warning("%s: %s; again in about %.0f s", name, why, wait)
        self._due.pop(name, None)  # an event may have come during the write
        self._wake_in(name, wait * random.uniform(0.75, 1.25))  # noqa: S311  # jitter, no secret
