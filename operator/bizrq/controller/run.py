"""What is wired to what, supervised how?

Order of a start: lists of RuntimeClasses, of bizrqs and workloads, of ReplicaSets, of pods; then writes; then kopf and
the resync. Nothing is written before the first list of every kind has been taken over [R4]. The floor in the Lease is
read before the lists. The Lease is asked for after them: as long as this controller cannot work, another one does. In
the end it is let go, once the last write is done.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bizrq import __version__
from bizrq.clock import Clock, SystemClock
from bizrq.cluster.admission import ApiAdmission
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import Credentials, load_credentials, pod_namespace
from bizrq.cluster.errors import ClusterError
from bizrq.cluster.events import ApiEvents
from bizrq.cluster.leases import ApiLeases
from bizrq.cluster.objects import Definition, Owned, RuntimeClass
from bizrq.cluster.objects import Pod as PodObject
from bizrq.cluster.reads import CLASSES_URL, DEFINITIONS_URL, ApiReads
from bizrq.cluster.reflector import Reflector
from bizrq.cluster.store import ApiStore
from bizrq.cluster.webhook_objects import ApiWebhookObjects
from bizrq.controller.announcer import Announcer
from bizrq.controller.appearance import Appearance
from bizrq.controller.enforcement import Enforcement
from bizrq.controller.feed import Feed, RestoredError, take_over
from bizrq.controller.gone_owners import GoneOwners
from bizrq.controller.handlers import make_registry, make_settings
from bizrq.controller.kopf_run import KopfRun
from bizrq.controller.leader import LEASE_NAME, Alone, Elector, Leadership, new_identity
from bizrq.controller.resync import Resync
from bizrq.controller.shown import Showing
from bizrq.controller.sync import Sync
from bizrq.domain.rotation import Rules
from bizrq.inventory.inventory import Inventory
from bizrq.observability.health import HealthServer
from bizrq.observability.metrics import ControllerMetrics
from bizrq.settings import Certificates, ControllerSettings
from bizrq.workloads.kind import Kind
from bizrq.workloads.registry import between, lenders, load_kinds

if TYPE_CHECKING:
    from bizrq.controller.certificates import WebhookCertificates

__all__ = ["run_controller"]

_DAY_SECONDS: Final = 86_400

_RETRY_SECONDS: Final = 2.0
_SILENT_SECONDS: Final = 180.0
"""A reflector that heard nothing for so long, not even a bookmark, is not well: bookmarks come once a minute."""

_DEFINITIONS: Final = "customresourcedefinitions"
"""These only tell which kinds there are: without them everything that is counted goes on being counted."""

log = logging.getLogger(__name__)


def run_controller(settings: ControllerSettings) -> None:
    """Run the controller until SIGTERM or SIGINT.

    Raises ``CredentialsError`` where there is no API server, ``KindError`` for a bad file of kinds, ``OSError`` where
    the metrics port is taken, ``RestoredError`` where it must be started anew, with nothing in its memory [R2].
    """
    kinds = load_kinds(settings.workloads)
    credentials = load_credentials()
    # Millions of small long-lived objects: the default thresholds walk them all again and again.
    gc.set_threshold(100_000, 50, 1000)
    asyncio.run(Controller(settings, kinds, credentials, SystemClock()).run())


class Controller:
    """The process."""

    def __init__(
        self, settings: ControllerSettings, kinds: tuple[Kind, ...], credentials: Credentials, clock: Clock
    ) -> None:
        self._settings, self._kinds, self._credentials, self._clock = settings, kinds, credentials, clock
        self._metrics = ControllerMetrics()
        self._metrics.resync_interval.set(settings.resync_seconds)
        self._identity = new_identity()
        self._started = False

    async def run(self) -> None:
        """Run until a signal; finishes the writes on their way before it returns."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with Client(self._credentials, user_agent=f"bizrq-controller/{__version__}") as client:
            self._wire(client)
            await self._health.start()
            log.info("bizrq controller %s: health and metrics on port %d", __version__, self._health.port)
            work = asyncio.create_task(self._work(), name="work")
            stopped = asyncio.create_task(stop.wait(), name="signal")
            try:
                await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            finally:
                log.info("stopping")
                for task in (work, stopped):
                    task.cancel()
                results = await asyncio.gather(work, stopped, return_exceptions=True)
                await self._announcer.finish()
                await self._leadership.release()
                await self._health.stop()
            for result in results:
                if isinstance(result, ExceptionGroup) and (restored := result.subgroup(RestoredError)):
                    raise restored.exceptions[0]
                if isinstance(result, Exception):
                    raise result

    def _wire(self, client: Client) -> None:
        settings, metrics, clock = self._settings, self._metrics, self._clock
        reads = ApiReads(client)
        self._leadership = self._elected_by(client)
        self._announcer = Announcer(lambda: self._inventory, ApiEvents(client, self._identity), clock, metrics)
        self._sync = Sync(
            lambda: self._inventory,
            ApiStore(client),
            reads,
            lambda: self._resync.list_anew(),  # noqa: PLW0108  # the resync is made below
            clock,
            metrics,
            gather_seconds=settings.gather_seconds,
            kinds=self._kinds,
            gpus=settings.gpus,
            leading=lambda: self._leadership.leading,
            told=self._announcer.stored,
        )
        self._inventory = Inventory(self._sync.wake, settings.gpus, clock.now, lenders=lenders(self._kinds))
        self._feed = Feed(client, reads, self._inventory, self._kinds, settings.gpus)
        self._gone_owners = GoneOwners(self._inventory, client, self._kinds, settings.gpus)
        self._resync = Resync(self._feed, self._inventory, self._sync, clock, metrics, seconds=settings.resync_seconds)
        self._runtime_classes = Reflector(
            client,
            CLASSES_URL,
            RuntimeClass,
            self._inventory.runtime_classes,
            clock,
            relisted=metrics.relists.labels("runtimeclasses").inc,
            failed=metrics.watch_failures.labels("runtimeclasses").inc,
        )
        self._appearance = Appearance(
            {*self._kinds, *between(self._kinds)}, reads, self._kinds_changed, seconds=settings.resync_seconds
        )
        self._definitions = Reflector(
            client,
            DEFINITIONS_URL,
            Definition,
            self._appearance.definitions,
            clock,
            metadata_only=True,
            relisted=metrics.relists.labels(_DEFINITIONS).inc,
            failed=metrics.watch_failures.labels(_DEFINITIONS).inc,
        )
        self._between = {
            each.id: Reflector(
                client,
                each.url,
                Owned,
                self._inventory.owners.sink(each),
                clock,
                metadata_only=True,
                may_be_missing=True,
                relisted=metrics.relists.labels(each.id).inc,
                failed=metrics.watch_failures.labels(each.id).inc,
            )
            for each in between(self._kinds)
        }
        self._pods = Reflector(
            client,
            "/api/v1/pods",
            PodObject,
            self._inventory.pods,
            clock,
            replay=self._inventory.replay_from,
            relisted=metrics.relists.labels("pods").inc,
            failed=metrics.watch_failures.labels("pods").inc,
        )
        loop = asyncio.get_running_loop()

        def deliver(kind: Kind | None, type_: str | None, raw: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(self._feed.event, kind, type_, raw)

        self._kopf = KopfRun(
            make_registry(self._kinds, self._credentials, deliver),
            lambda: make_settings(self._kinds),
            started=self._resync.soon,
            died=metrics.kopf_restarts.inc,
        )
        self._certificates = self._certificates_over(client)
        self._enforcement = Enforcement(
            settings.webhook_configuration,
            ApiAdmission(client),
            lambda: self._inventory.bizrqs,
            clock,
            metrics,
            leading=lambda: self._leadership.leading,
        )
        self._health = HealthServer(
            settings.metrics_port,
            metrics.registry,
            live={"loop": lambda: None},
            ready={"lists": self._lists, "watches": self._watches, "kopf": self._kopf_up},
            collect=Showing(metrics, self._inventory, self._leadership, self._watched(), self._enforcement, clock),
        )

    def _elected_by(self, client: Client) -> Leadership:
        namespace = self._settings.lease_namespace
        if namespace is None:
            namespace = pod_namespace()
        if not namespace:
            return Alone(self._leads)
        return Elector(
            ApiLeases(client, namespace, LEASE_NAME),
            self._clock,
            identity=self._identity,
            next_floor=lambda stored: self._inventory.next_floor(stored),  # noqa: PLW0108  # made later
            changed=self._leads,
            failed=self._metrics.lease_failures.inc,
        )

    def _certificates_over(self, client: Client) -> WebhookCertificates | None:
        settings = self._settings
        if settings.webhook_secret is None:
            return None
        # Here and not above: it brings a library that a controller without this does without.
        from bizrq.controller.certificates import WebhookCertificates

        objects = ApiWebhookObjects(
            client,
            namespace=settings.webhook_secret.namespace,
            secret=settings.webhook_secret.name,
            configuration=settings.webhook_configuration,
        )
        rules = Rules(
            lifetime=settings.webhook_certificate_days * _DAY_SECONDS,
            propagation=settings.webhook_propagation_seconds,
            certificates=settings.webhook_certificates is Certificates.OPERATOR,
        )
        return WebhookCertificates(objects, self._clock, rules, leading=lambda: self._leadership.leading)

    def _leads(self, leading: bool) -> None:  # noqa: FBT001  # it is the news
        self._enforcement.soon()
        if leading:
            for bizrq in self._inventory.bizrqs:
                self._sync.wake(bizrq.name)  # a standby has let all wakes go

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._inventory.vouch(await self._leadership.read())
            group.create_task(self._runtime_classes.run(), name="runtimeclasses")
            await self._runtime_classes.synced.wait()
            await self._first_list()
            group.create_task(self._feed.arrivals.run(), name="arrivals")
            for name, reflector in self._between.items():
                group.create_task(reflector.run(), name=name)
            for reflector in self._between.values():
                await reflector.synced.wait()
            group.create_task(self._pods.run(), name="pods")
            await self._pods.synced.wait()
            await self._gone_owners.begin()
            self._inventory.pods_known()
            gc.freeze()
            self._started = True
            log.info(
                "counting %d bizrqs, %d workloads, %d pods",
                len(self._inventory.bizrqs), len(self._inventory.workloads), len(self._inventory.pods),
            )  # fmt: skip
            group.create_task(self._announcer.run(), name="events")
            group.create_task(self._sync.run(), name="sync")
            group.create_task(self._gone_owners.run(), name="gone owners")
            group.create_task(self._leadership.run(), name="leadership")
            if self._certificates is not None:
                group.create_task(self._certificates.run(), name="certificates")
            group.create_task(self._definitions.run(), name=_DEFINITIONS)
            group.create_task(self._appearance.run(), name="appearance")
            group.create_task(self._resync.run(), name="resync")
            group.create_task(self._enforcement.run(), name="enforcement")
            await self._appearance.looked.wait()  # kopf must not miss what comes while it looks for its resources
            group.create_task(self._kopf.run(), name="kopf")

    async def _kinds_changed(self) -> None:
        """The cluster has other kinds than before: watch and list these. Raises ``ClusterError``."""
        for reflector in self._between.values():
            reflector.look_again()
        self._kopf.restart()
        await self._resync.list_anew()
        for bizrq in self._inventory.bizrqs:
            self._sync.wake(bizrq.name)

    async def _first_list(self) -> None:
        while True:
            try:
                listing = await self._feed.list_all()
            except ClusterError as error:
                log.warning("the first list failed, again in %.0f s: %s", _RETRY_SECONDS, error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            take_over(listing, self._inventory)
            self._sync.trust(listing.writers)
            return

    # --- health ---

    def _lists(self) -> str | None:
        return None if self._started else "the first lists are not complete"

    def _watches(self) -> str | None:
        now = asyncio.get_running_loop().time()
        watched = self._watched().items()
        silent = [name for name, each in watched if name != _DEFINITIONS and now - each.heard > _SILENT_SECONDS]
        return f"nothing heard for {_SILENT_SECONDS:.0f} s of {', '.join(silent)}" if silent else None

    def _watched(self) -> dict[str, Reflector[Any]]:
        return {
            "pods": self._pods,
            "runtimeclasses": self._runtime_classes,
            _DEFINITIONS: self._definitions,
            **self._between,
        }

    def _kopf_up(self) -> str | None:
        return None if self._kopf.running else "kopf is not running"
