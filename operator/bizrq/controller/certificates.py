"""How are the webhook's certificate, authority and token kept, and rotated?

Both objects are read again and again, as often as the Lease: two small requests, which need no right but to get these
two. A watch would need more rights, and would have to be looked after, to be some seconds faster at what is rare.

What is to be done is said by ``bizrq.domain.rotation``: here it is done.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError, Conflict, NotFound
from bizrq.cluster.webhook_objects import WebhookObjects
from bizrq.controller.authority import make_pair
from bizrq.controller.webhook_forms import Calls, client_config, read_calls, read_kept, secret_with
from bizrq.domain.rotation import Fact, Issue, Kept, Patch, Rest, Rules, Step, facts_of, issued, next_step, seen_after
from bizrq.domain.times import timestamp

__all__ = ["WebhookCertificates"]

_POLL_SECONDS: Final = 2.0

_STEPS: Final = 8
"""Writes at one look, at most: more than any repair takes."""

_TOKEN_BYTES: Final = 32

log = logging.getLogger(__name__)


class WebhookCertificates:
    """Keeps the Secret and the configuration fitting together, while this controller leads."""

    def __init__(self, objects: WebhookObjects, clock: Clock, rules: Rules, *, leading: Callable[[], bool]) -> None:
        self._objects, self._clock, self._rules, self._leading = objects, clock, rules, leading
        self._seen: dict[Fact, float] = {}
        self._said = ""
        self._ignored: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(_POLL_SECONDS)

    async def turn(self) -> None:
        """Look at both objects, and take the steps that can be taken."""
        try:
            for _ in range(_STEPS):
                if not self._leading():
                    self._seen = {}  # it is not looked at: whatever was seen may be gone
                    return
                if not await self._step():
                    return
        except Conflict:
            log.info("the webhook's Secret or configuration was written by somebody else; looking again")
        except ClusterError as error:
            self._say(logging.WARNING, f"the webhook's certificate and token could not be kept: {error}")

    async def _step(self) -> bool:
        """Look, and take one step; whether there may be another one at once. Raises ``ClusterError``."""
        try:
            configuration = await self._objects.read_configuration()  # before the Secret: see the rotation
        except NotFound as error:
            self._say(logging.INFO, f"the webhook configuration is waited for: {error}")
            return False
        try:
            secret = await self._objects.read_secret()
        except NotFound as error:
            self._say(logging.WARNING, f"the Secret of the webhook is gone; helm upgrade makes it anew: {error}")
            return False
        calls = read_calls(configuration)
        self._tell_ignored(calls)
        kept = read_kept(secret, calls.entries, certificates=self._rules.certificates)
        at = self._clock.monotonic()
        self._seen = seen_after(self._seen, facts_of(kept, calls.entries), at)
        step = next_step(kept, calls.entries, self._seen, now=self._clock.now(), at=at, rules=self._rules)
        return await self._take(step, kept, calls, secret, configuration)

    async def _take(
        self, step: Step, kept: Kept, calls: Calls, secret: Mapping[str, Any], configuration: Mapping[str, Any]
    ) -> bool:
        match step:
            case Rest():
                self._say(logging.INFO, f"the webhook's certificate and token: {step.why}")
                return False
            case Patch():
                changes = {name: client_config(call, calls.routes[name]) for name, call in step.calls.items()}
                await self._objects.patch_entries(configuration["metadata"]["resourceVersion"], changes)
                self._say(logging.INFO, f"the webhook configuration was patched: {', '.join(sorted(changes))}")
            case Issue():
                await self._store(secret, self._make(step, kept, calls))
            case _:
                await self._store(secret, step.kept)
                self._say(logging.INFO, f"the webhook's Secret: {step.why}")
        return True

    def _make(self, step: Issue, kept: Kept, calls: Calls) -> Kept:
        now = self._clock.now()
        pair = make_pair(step.names, now=now, lifetime=self._rules.lifetime) if step.names else None
        token = secrets.token_hex(_TOKEN_BYTES) if step.token else None
        if pair:
            names = ", ".join(sorted(pair.names))
            self._say(logging.INFO, f"a new certificate for the webhook, until {timestamp(pair.ends)}: {names}")
        if token:
            self._say(logging.INFO, "a new token for the webhook's path")
        return issued(kept, calls.entries, pair=pair, token=token, now=now)

    async def _store(self, secret: Mapping[str, Any], kept: Kept) -> None:
        await self._objects.replace_secret(secret_with(secret, kept, certificates=self._rules.certificates))

    def _tell_ignored(self, calls: Calls) -> None:
        if calls.ignored != self._ignored:
            self._ignored = calls.ignored
            if calls.ignored:
                log.warning(
                    "these entries of the webhook configuration are left alone, since they name no service of ours: %s",
                    ", ".join(calls.ignored),
                )

    def _say(self, level: int, text: str) -> None:
        """Log it, once until something else is to be said."""
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)
