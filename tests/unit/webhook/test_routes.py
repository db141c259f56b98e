"""What is served is what the webhook configuration may ask for."""

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.domain.webhook_routes import ROUTES
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.routes import routes_over
from bizrq.workloads.registry import built_in
from tests.support.cas_store import CasStore, StoreReads
from tests.support.clocks import HandClock


def test_each_route_is_served_and_no_other():
    store = CasStore()
    reads = StoreReads(store)
    served = routes_over(store, reads, built_in(), DEFAULT_GPU_RESOURCES, HandClock(), WebhookMetrics())
    assert sorted(served) == sorted(ROUTES)
