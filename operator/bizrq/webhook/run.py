"""What is wired to what, started and stopped in which order?

Files first, since broken ones end the start; then health, so that it can be seen why it is not ready; then reviews.
Files that are not there yet are about to be made by somebody else: until then there is nothing to connect to, and what
would have to be asked about is not stored. At the end the other way round: not ready, still serving for a while, open
requests, health.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Final

from bizrq import __version__
from bizrq.clock import Clock, SystemClock
from bizrq.cluster.access import ApiAccess
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import Credentials, load_credentials
from bizrq.cluster.reads import ApiReads
from bizrq.cluster.store import ApiStore
from bizrq.domain.resource_names import GpuResources
from bizrq.observability.health import HealthServer
from bizrq.observability.metrics import WebhookMetrics
from bizrq.settings import WebhookSettings
from bizrq.webhook.policy import Policy
from bizrq.webhook.refusal_counts import RefusalCounts
from bizrq.webhook.routes import routes_over
from bizrq.webhook.server import AdmissionServer, Handler
from bizrq.webhook.tls import Certificate
from bizrq.webhook.tokens import PathTokens
from bizrq.workloads.kind import Kind
from bizrq.workloads.registry import load_kinds

__all__ = ["MakeRoutes", "Webhook", "run_webhook"]

MakeRoutes = Callable[
    [ApiStore, ApiReads, tuple[Kind, ...], GpuResources, Clock, WebhookMetrics, Policy, RefusalCounts],
    Mapping[str, Handler],
]

_POLL_SECONDS: Final = 5.0
"""How often certificate and tokens are looked at again; the kubelet itself takes up to a minute to replace them."""

_AWAITED_SECONDS: Final = 1.0
"""The same while they are not there yet."""

log = logging.getLogger(__name__)


def run_webhook(settings: WebhookSettings) -> None:
    """Run the webhook until SIGTERM or SIGINT.

    Raises ``CredentialsError`` where there is no API server, ``KindError`` for a bad file of kinds, ``FileError`` for
    a bad certificate or token file, ``OSError`` where a port is taken.
    """
    kinds = load_kinds(settings.workloads)
    webhook = Webhook(settings, kinds, load_credentials(), SystemClock(), routes_over)
    # What is loaded by now stays; what a review makes is gone with its answer, and seldom in circles.
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    asyncio.run(webhook.run())


class Webhook:
    """The process."""

    def __init__(
        self,
        settings: WebhookSettings,
        kinds: tuple[Kind, ...],
        credentials: Credentials,
        clock: Clock,
        make_routes: MakeRoutes,
    ) -> None:
        """Read the certificate and the tokens. Raises ``FileError``."""
        self._settings, self._kinds, self._credentials, self._clock = settings, kinds, credentials, clock
        self._make_routes = make_routes
        self._metrics = WebhookMetrics()
        self._refusals = RefusalCounts(self._metrics)
        self._certificate = Certificate(settings.cert_file, settings.key_file, settings.client_ca_file)
        self._tokens = PathTokens(settings.path_token_file) if settings.path_token_file else None
        self._files = (self._certificate, *((self._tokens,) if self._tokens is not None else ()))

    async def run(self) -> None:
        """Run until a signal; then finish what was asked."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with Client(self._credentials, user_agent=f"bizrq-webhook/{__version__}") as client:
            self._wire(client)
            await self._health.start()
            serving = asyncio.create_task(self._serve(), name="serve")
            counting = asyncio.create_task(self._refusals.run(ApiReads(client)), name="refusals")
            stopped = asyncio.create_task(stop.wait(), name="signal")
            tasks = (serving, counting, stopped)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if self._server.ready() is None:
                    log.info("draining for %g s", self._settings.drain_seconds)
                    await self._server.drain(self._settings.drain_seconds)
            finally:
                log.info("stopping")
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                await self._health.stop()
            for result in results:
                if isinstance(result, Exception):
                    raise result

    def _wire(self, client: Client) -> None:
        settings, metrics, reads = self._settings, self._metrics, ApiReads(client)
        policy = Policy.make(
            reads,
            metrics,
            access=ApiAccess(client) if settings.authorize else None,
            trusted_controllers=settings.trusted_controllers,
            mode=settings.mode,
            autoscalers=settings.autoscalers,
        )
        self._server = AdmissionServer(
            settings.port,
            self._make_routes(
                ApiStore(client), reads, self._kinds, settings.gpus, self._clock, metrics, policy, self._refusals
            ),
            self._tokens.accept if self._tokens is not None else lambda _: False,
            self._certificate.context,
            metrics,
            soften=policy.undecided,
        )
        self._health = HealthServer(
            settings.metrics_port,
            metrics.registry,
            live={"loop": lambda: None},
            ready={"reviews": lambda: self._lacks() or self._server.ready()},
            collect=lambda: metrics.certificate_expiry.set(self._certificate.not_after),
        )

    async def _serve(self) -> None:
        """Wait for files, serve reviews, look at the files for ever. Raises ``OSError`` if the port is taken."""
        if lacks := self._lacks():
            log.info("bizrq webhook %s: health and metrics on port %d; %s", __version__, self._health.port, lacks)
        while self._lacks():
            await asyncio.sleep(_AWAITED_SECONDS)
            await self._read_files()
        await self._server.start()
        log.info(
            "bizrq webhook %s: reviews on port %d, health and metrics on port %d; mode %s%s",
            __version__, self._server.port, self._health.port, self._settings.mode,
            "" if self._settings.authorize else "; nobody needs a right to use or grant",
        )  # fmt: skip
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self._read_files()

    async def _read_files(self) -> None:
        for each in self._files:
            await asyncio.to_thread(each.refresh)

    def _lacks(self) -> str | None:
        """What is missing before anything can be served."""
        return "; ".join(filter(None, (each.lacks for each in self._files))) or None
