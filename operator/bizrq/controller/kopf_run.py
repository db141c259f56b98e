"""How does kopf run, and what if it dies?

Kopf gets a thread with a loop of its own. In ours, it would take over the signals, and cancel at its exit every task
that was made after its start: the writes on their way. It dies on several faults of a watch (a 410 answered to a
request, a line cut off) and is started again; what it missed meanwhile its first list and the resync bring.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from typing import Final

import kopf

__all__ = ["KopfRun"]

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_LONG_ENOUGH: Final = 60.0
"""A run of this many seconds was a good one: the next failure starts with a short wait again."""

_STOP_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class KopfRun:
    """Runs kopf until cancelled."""

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        settings: Callable[[], kopf.OperatorSettings],
        died: Callable[[], None],
    ) -> None:
        self._registry, self._settings, self._died = registry, settings, died
        self.running = False
        """Whether kopf is up."""

    async def run(self) -> None:
        """Start kopf again whenever it ends. When cancelled, stops it and waits for it some seconds."""
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT
        while True:
            began = loop.time()
            try:
                await self._once()
                reason = "it returned"
            except Exception as error:  # noqa: BLE001  # whatever it is: kopf is started again
                reason = f"{type(error).__name__}: {error}"
            if loop.time() - began > _LONG_ENOUGH:
                wait = _FIRST_WAIT
            self._died()
            log.error("kopf ended: %s; starting it again in %.0f s", reason, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _once(self) -> None:
        ours = asyncio.get_running_loop()
        ended: asyncio.Future[None] = ours.create_future()
        stop: dict[str, Callable[[], object]] = {}

        async def operate() -> None:
            flag = asyncio.Event()
            stop["now"] = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, flag.set)
            await kopf.operator(
                registry=self._registry,
                settings=self._settings(),
                clusterwide=True,
                standalone=True,
                stop_flag=flag,
            )

        def in_thread() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(operate())
            except BaseException as caught:  # noqa: BLE001  # told to the other thread, which raises it
                error = caught
            ours.call_soon_threadsafe(_finish, ended, error)

        thread = threading.Thread(target=in_thread, name="kopf", daemon=True)
        thread.start()
        self.running = True
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            if "now" in stop:
                stop["now"]()
                await asyncio.wait([ended], timeout=_STOP_SECONDS)
            raise
        finally:
            self.running = False


def _finish(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
