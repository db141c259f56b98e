"""How does a request for growth become a verdict? The same for workloads and for child bizrqs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bizrq.domain.admission import Again, Ask, Granted, LookFirst, Refused
from bizrq.webhook.commit import Answer, Committers, Missing
from bizrq.webhook.review import Verdict

__all__ = ["Claiming", "Look", "forbidden", "invalid"]

_AGAIN_SECONDS: Final = 1
"""After which kubectl and client-go ask again, some ten times [A13]."""


Look = Callable[[], Awaitable[tuple[str, int] | None]]
"""Reads the object of a request live: its UID and resourceVersion, None where there is none."""


def forbidden(message: str, *, bizrq: str = "", keys: tuple[str, ...] = ()) -> Verdict:
    """Refuse as a quota refuses [A2]; ``keys`` are those of ``bizrq`` that are to blame, where it is its quota."""
    return replace(Verdict.deny(403, "Forbidden", message), bizrq=bizrq, keys=keys)


def invalid(message: str) -> Verdict:
    """Refuse what says something that cannot be meant [A14, K4]."""
    return Verdict.deny(422, "Invalid", message)


class Claiming:
    """Puts requests for growth to the committers and words their answers."""

    def __init__(self, committers: Committers) -> None:
        self._committers = committers

    async def claim(self, bizrq: str, ask: Ask, deadline: float, *, dry_run: bool, look: Look) -> Verdict | Missing:
        """Claim what is asked for; ``Missing`` where there is no such bizrq.

        Raises ``ClusterError`` where the API server cannot be asked.
        """
        answer = await self._ask(bizrq, ask, deadline, dry_run=dry_run)
        if isinstance(answer, LookFirst):
            verdict = _settled_by(await look(), ask)
            if verdict is not None:
                return verdict
            answer = await self._ask(bizrq, replace(ask, looked=True), deadline, dry_run=dry_run)
        match answer:
            case Granted(warnings):
                return Verdict.allow(*warnings)
            case Refused(message, keys):
                return forbidden(message, bizrq=bizrq, keys=keys)
            case Again(message):
                return Verdict.try_again(message, _AGAIN_SECONDS)
            case Missing():
                return answer
            case LookFirst():
                msg = f"{ask.growth.object} was to be looked for twice"
                raise AssertionError(msg)

    async def _ask(self, bizrq: str, ask: Ask, deadline: float, *, dry_run: bool) -> Answer:
        if dry_run:
            return await self._committers.try_out(bizrq, ask)
        return await self._committers.claim(bizrq, ask, deadline)


def _settled_by(found: tuple[str, int] | None, ask: Ask) -> Verdict | None:
    """What a live read of its object says of a request by itself; None: its write may go through [A4]."""
    growth = ask.growth
    if growth.version == 0:
        if found is None:
            return None
        kind, _, name = growth.object.partition("/")
        return Verdict.deny(409, "AlreadyExists", f'{kind} "{name.rpartition("/")[2]}" already exists')
    if found is None or found[0] != growth.uid or found[1] > growth.version:
        return Verdict.allow()  # it must fail, and is reviewed again on what is there then
    if found[1] < growth.version:
        return Verdict.try_again(f"{growth.object} was read from an API server that lags behind")
    return None
