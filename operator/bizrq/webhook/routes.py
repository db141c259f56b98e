"""Which path of the webhook answers what?"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence

from bizrq.clock import Clock
from bizrq.cluster.errors import ClusterError
from bizrq.cluster.reads import Reads
from bizrq.cluster.store import Store
from bizrq.domain.resource_names import GpuResources
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.autoscalers import AutoscalerReviews
from bizrq.webhook.autoscaling import ROUTE, let_by
from bizrq.webhook.bizrqs import BizrqReviews
from bizrq.webhook.child_labels import ChildReviews
from bizrq.webhook.claiming import Claiming
from bizrq.webhook.commit import Committers
from bizrq.webhook.policy import Policy
from bizrq.webhook.refusal_counts import RefusalCounts
from bizrq.webhook.required import RequiredReviews
from bizrq.webhook.review import Request, Verdict
from bizrq.webhook.server import Handler
from bizrq.webhook.workloads import WorkloadReviews
from bizrq.workloads.kind import Kind

__all__ = ["routes_over"]

log = logging.getLogger(__name__)


def routes_over(  # noqa: PLR0917  # everything a handler needs, once
    store: Store,
    reads: Reads,
    kinds: Sequence[Kind],
    gpus: GpuResources,
    clock: Clock,
    metrics: WebhookMetrics,
    policy: Policy | None = None,
    refusals: RefusalCounts | None = None,
) -> Mapping[str, Handler]:
    """The handlers by the last part of their path, one for each of ``ROUTES``.

    Without a ``policy``, nobody needs a right and all is enforced.
    """
    policy = policy or Policy.make(reads, metrics)
    refusals = refusals or RefusalCounts(metrics)
    claiming = Claiming(Committers(store, clock, metrics, gpus))
    workloads = WorkloadReviews(kinds, claiming, reads, gpus, policy)
    bizrqs = BizrqReviews(kinds, claiming, reads, gpus, policy, clock=clock)
    required = RequiredReviews(kinds, reads, gpus, policy.trusted)
    handlers: dict[str, Handler] = {
        "bizrqs": bizrqs.review,
        "workloads": workloads.review,
        "scale": workloads.scale,
        "required": required.review,
        "children": ChildReviews(kinds, policy).review,
        ROUTE: AutoscalerReviews(kinds, workloads.scale, reads, policy.autoscaling).review,
    }
    return {name: functools.partial(_answered, policy, refusals, name, handler) for name, handler in handlers.items()}


async def _answered(  # noqa: PLR0917  # the first four are bound above
    policy: Policy, refusals: RefusalCounts, route: str, handler: Handler, request: Request, deadline: float
) -> Verdict:
    try:
        verdict = await handler(request, deadline)
    except ClusterError as error:
        log.warning("%s of %s %s: not decided: %s", request.operation, request.namespace, request.name, error)
        verdict = Verdict.try_again("the API server could not be asked for the quota; nothing was decided")
    verdict = await policy.modes.soften(route, request, let_by(route, verdict))
    refusals.note(request, verdict)
    return verdict
