"""Which path of the webhook answers what?"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence

from bizrq.clock import Clock
from bizrq.cluster.client import Client
from bizrq.cluster.errors import ClusterError
from bizrq.cluster.reads import ApiReads, Reads
from bizrq.cluster.store import ApiStore, Store
from bizrq.domain.resource_names import GpuResources
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.bizrqs import BizrqReviews
from bizrq.webhook.claiming import Claiming
from bizrq.webhook.commit import Committers
from bizrq.webhook.review import Request, Verdict
from bizrq.webhook.server import Handler
from bizrq.webhook.workloads import WorkloadReviews
from bizrq.workloads.kind import Kind

__all__ = ["make_routes", "routes_over"]

log = logging.getLogger(__name__)


def make_routes(
    client: Client, kinds: Sequence[Kind], gpus: GpuResources, clock: Clock, metrics: WebhookMetrics
) -> Mapping[str, Handler]:
    """The handlers by the last part of their path, over an API server."""
    return routes_over(ApiStore(client), ApiReads(client), kinds, gpus, clock, metrics)


def routes_over(  # noqa: PLR0917  # everything a handler needs, once
    store: Store, reads: Reads, kinds: Sequence[Kind], gpus: GpuResources, clock: Clock, metrics: WebhookMetrics
) -> Mapping[str, Handler]:
    """The same over any store."""
    claiming = Claiming(Committers(store, clock, metrics, gpus))
    workloads = WorkloadReviews(kinds, claiming, reads, gpus)
    bizrqs = BizrqReviews(kinds, claiming, reads, gpus)
    handlers = {"bizrqs": bizrqs.review, "workloads": workloads.review, "scale": workloads.scale}
    return {name: functools.partial(_answered, handler) for name, handler in handlers.items()}


async def _answered(handler: Handler, request: Request, deadline: float) -> Verdict:
    try:
        return await handler(request, deadline)
    except ClusterError as error:
        log.warning("%s of %s %s: not decided: %s", request.operation, request.namespace, request.name, error)
        return Verdict.try_again("the API server could not be asked for the quota; nothing was decided")
