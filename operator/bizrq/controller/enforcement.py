"""Does the API server ask our webhook, and does it answer?

While nobody is asked everything is admitted, and every other figure looks as it should. So the leader looks, some times
a minute: at the configuration, and end to end by a dry run that the webhook must refuse.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Iterable
from typing import Final

from bizrq.clock import Clock
from bizrq.cluster.admission import Admission
from bizrq.cluster.errors import ClusterError, Invalid, NotFound, Unavailable
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.enforcement import State, Verdict, accepted, answered, configured
from bizrq.domain.probe import may_be_probed, probe
from bizrq.observability.metrics import ControllerMetrics

__all__ = ["Enforcement"]

_SECONDS: Final = 15.0
"""Between two looks, about: a webhook that is away shows within a minute, its time limit of some seconds included."""

_JITTER: Final = 0.1

_KEPT_SECONDS: Final = 60.0
"""How long the last finding stands while nothing can be found out."""

_TRIES: Final = 3
"""bizrqs that are tried at one look: one may be gone just now, or be of a form that a later schema does not change."""

_BY_CONFIGURATION: Final = Verdict(State.ACTIVE, "it is configured; there is no bizrq to try it out on")

_COUNTED: Final = {True: "active", False: "off", None: "unknown"}
"""What a finding is in the metrics."""

log = logging.getLogger(__name__)


class Enforcement:
    """Looks again and again whether what does not fit is refused."""

    def __init__(
        self,
        configuration: str,
        admission: Admission,
        bizrqs: Callable[[], Iterable[Bizrq]],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        leading: Callable[[], bool],
    ) -> None:
        """``configuration`` is the name of the ValidatingWebhookConfiguration; "": nobody looks."""
        self._looks = metrics.enforcement_looks
        self._configuration, self._admission, self._bizrqs = configuration, admission, bizrqs
        self._clock, self._leading = clock, leading
        self._asked = asyncio.Event()
        self._said: State | None = None
        """What the log said last."""
        self._found: bool | None = None
        self._found_at = 0.0
        """By the monotonic clock."""

    @property
    def active(self) -> bool | None:
        """Whether the webhook is asked and answers; None where this process stands by, or does not know."""
        if not self._leading() or self._clock.monotonic() - self._found_at > _KEPT_SECONDS:
            return None
        return self._found

    def soon(self) -> None:
        """Look at once: this controller begins or ceases to lead."""
        self._asked.set()

    async def run(self) -> None:
        """Look, for ever; a standby does not."""
        while self._configuration:
            self._asked.clear()
            if self._leading():
                await self.look()
            else:
                self._found = self._said = None
            with contextlib.suppress(TimeoutError):
                pause = _SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
                await asyncio.wait_for(self._asked.wait(), pause)

    async def look(self) -> None:
        """Find out once; what changes is logged with the reason."""
        verdict = await self._verdict()
        self._looks.labels(_COUNTED[verdict.active]).inc()
        if verdict.active is not None:
            self._found, self._found_at = verdict.active, self._clock.monotonic()
        if verdict.state is self._said:
            return
        if verdict.active is None:
            log.warning("whether the webhook is asked could not be found out: %s", verdict.why)
        elif verdict.active:
            log.info("enforcement is active: %s", verdict.why)
        else:
            log.error("enforcement is off: %s", verdict.why)
        self._said = verdict.state

    async def _verdict(self) -> Verdict:
        try:
            wrong = configured(self._configuration, await self._admission.configuration(self._configuration))
        except ClusterError as error:
            return Verdict(State.UNKNOWN, str(error))
        return wrong or await self._probed()

    async def _probed(self) -> Verdict:
        verdict = _BY_CONFIGURATION
        for bizrq in itertools.islice(filter(may_be_probed, self._bizrqs()), _TRIES):
            try:
                return accepted(await self._admission.try_out(bizrq.name, probe()))
            except (Invalid, NotFound) as error:
                verdict = answered(str(error), again=False)
                if verdict.state is not State.UNKNOWN:
                    break
            except ClusterError as error:
                return answered(str(error), again=isinstance(error, Unavailable))
        return verdict
