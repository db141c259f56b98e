"""How does kopf run, and what if it dies?

Kopf gets a thread with a loop of its own. In ours it would take over the signals, and cancel at its exit every task
that was made after its start: the writes on their way. It dies on several faults of a watch (a 410 answered to a
request, a line cut off), and sometimes hangs while it dies, since a watch that waits for new credentials waits for
ever once the task that fetches them is gone. So its end is not waited for: as soon as one of its root tasks ends, its
loop is given up and a new one is started. What it missed meanwhile its first list and the resync bring.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Collection
from typing import Any, Final

import kopf

__all__ = ["KopfRun"]

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 10.0
_LONG_ENOUGH: Final = 20.0
"""A run of this many seconds was a good one: the next failure starts with a short wait again."""

_CLEAN_UP_SECONDS: Final = 2.0
"""How long kopf's tasks are given to end once they are cancelled."""

_IDENTITY: Final = "bizrq"
"""Nobody sees it, since kopf has no peers here. By itself it would ask for the name of the user, and a container's user
may have none."""

log = logging.getLogger(__name__)


class KopfRun:
    """Runs kopf until cancelled."""

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        settings: Callable[[], kopf.OperatorSettings],
        *,
        started: Callable[[], None],
        died: Callable[[], None],
    ) -> None:
        self._registry, self._settings, self._started, self._died = registry, settings, started, died
        self._again = asyncio.Event()
        self.running = False
        """Whether kopf is up."""

    def restart(self) -> None:
        """Start kopf anew: it looks for its resources at its start only."""
        self._again.set()

    async def run(self) -> None:
        """Start kopf again whenever it ends. When cancelled, stops it first."""
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT
        while True:
            began = loop.time()
            reason = await self._once()
            if reason is None:
                continue
            if loop.time() - began > _LONG_ENOUGH:
                wait = _FIRST_WAIT
            self._died()
            log.error("kopf ended: %s; starting it again in %.0f s", reason, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _once(self) -> str | None:
        """Run kopf once, to its end; why it ended, None where it was to be started anew."""
        self._again.clear()
        ours = asyncio.get_running_loop()
        theirs = asyncio.new_event_loop()
        stop = asyncio.Event()
        ended: asyncio.Future[str] = ours.create_future()

        def in_thread() -> None:
            asyncio.set_event_loop(theirs)
            try:
                reason = theirs.run_until_complete(self._operate(stop))
            except BaseException as error:  # noqa: BLE001  # whatever it is: kopf is started again
                reason = _told(error)
            with contextlib.suppress(RuntimeError):  # our loop is closed already: the process ends
                ours.call_soon_threadsafe(_tell, ended, reason)
            _give_up(theirs)

        thread = threading.Thread(target=in_thread, name="kopf", daemon=True)
        thread.start()
        self._started()
        self.running = True
        again = asyncio.create_task(self._again.wait(), name="kopf anew")
        try:
            await asyncio.wait((ended, again), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._stop(theirs, stop, ended)
                return None
        except asyncio.CancelledError:
            await self._stop(theirs, stop, ended)
            raise
        finally:
            again.cancel()
            self.running = False
        return ended.result()

    @staticmethod
    async def _stop(theirs: asyncio.AbstractEventLoop, stop: asyncio.Event, ended: asyncio.Future[str]) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed already
            theirs.call_soon_threadsafe(stop.set)
        await asyncio.wait([ended], timeout=_CLEAN_UP_SECONDS)

    async def _operate(self, stop: asyncio.Event) -> str:
        tasks: Collection[asyncio.Task[Any]] = await kopf.spawn_tasks(
            registry=self._registry,
            settings=self._settings(),
            clusterwide=True,
            standalone=True,
            identity=_IDENTITY,  # type: ignore[arg-type]  # kopf does not export its type, a kind of str
        )
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        if stopped in done:
            return "it was told to"
        errors = [error for task in done if not task.cancelled() and (error := task.exception()) is not None]
        return "; ".join(map(_told, errors)) or "a task of its own returned"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _tell(ended: asyncio.Future[str], reason: str) -> None:
    if not ended.done():
        ended.set_result(reason)


def _give_up(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left in a loop, and close it whether that ended or not."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_CLEAN_UP_SECONDS))
    for task in left:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that nobody complains that nobody did
    loop.close()
