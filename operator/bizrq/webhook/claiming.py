"""How does a request for growth become a verdict? The same for workloads and for child bizrqs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bizrq.domain.admission import Again, Ask, Granted, NameTaken, Refused
from bizrq.webhook.commit import Answer, Committers, Missing
from bizrq.webhook.review import Verdict

__all__ = ["Claiming", "forbidden", "invalid"]

_AGAIN_SECONDS: Final = 1
"""After which kubectl and client-go ask again, some ten times [A13]."""


def forbidden(message: str) -> Verdict:
    """Refuse as a quota refuses [A2]."""
    return Verdict.deny(403, "Forbidden", message)


def invalid(message: str) -> Verdict:
    """Refuse what says something that cannot be meant [A14, K4]."""
    return Verdict.deny(422, "Invalid", message)


class Claiming:
    """Puts requests for growth to the committers and words their answers."""

    def __init__(self, committers: Committers) -> None:
        self._committers = committers

    async def claim(
        self, bizrq: str, ask: Ask, deadline: float, *, dry_run: bool, exists: Callable[[], Awaitable[bool]]
    ) -> Verdict | Missing:
        """Claim what is asked for; ``Missing`` where there is no such bizrq.

        ``exists`` looks live whether an object of that name is there: asked only for a create whose name another open
        claim has too [A4]. Raises ``ClusterError`` where the API server cannot be asked.
        """
        answer = await self._ask(bizrq, ask, deadline, dry_run=dry_run)
        if isinstance(answer, NameTaken):
            if await exists():
                kind, _, name = ask.growth.object.partition("/")
                return Verdict.deny(409, "AlreadyExists", f'{kind} "{name.rpartition("/")[2]}" already exists')
            answer = await self._ask(bizrq, replace(ask, nothing_there=True), deadline, dry_run=dry_run)
        match answer:
            case Granted(warnings):
                return Verdict.allow(*warnings)
            case Refused(message):
                return forbidden(message)
            case Again(message):
                return Verdict.try_again(message, _AGAIN_SECONDS)
            case Missing():
                return answer
            case NameTaken():
                msg = f"a create of {ask.growth.object} was to be looked for twice"
                raise AssertionError(msg)

    async def _ask(self, bizrq: str, ask: Ask, deadline: float, *, dry_run: bool) -> Answer:
        if dry_run:
            return await self._committers.try_out(bizrq, ask)
        return await self._committers.claim(bizrq, ask, deadline)
