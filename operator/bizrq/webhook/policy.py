"""Who is asked for a right, who is believed, and what is enforced where: what all reviews go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bizrq.cluster.access import Access
from bizrq.cluster.reads import Reads
from bizrq.observability.metrics import WebhookMetrics
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS, Autoscalers, Mode
from bizrq.webhook.autoscaling import Autoscaling, let_by
from bizrq.webhook.modes import Modes
from bizrq.webhook.requesters import TrustedControllers
from bizrq.webhook.review import Request, Verdict
from bizrq.webhook.rights import Rights

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What was configured, with what is needed to go by it."""

    rights: Rights
    trusted: TrustedControllers
    modes: Modes
    autoscaling: Autoscaling

    @classmethod
    def make(
        cls,
        reads: Reads,
        metrics: WebhookMetrics,
        *,
        access: Access | None = None,
        trusted_controllers: tuple[str, ...] = DEFAULT_TRUSTED_CONTROLLERS,
        mode: Mode = Mode.ENFORCE,
        autoscalers: Autoscalers = Autoscalers.WARN,
    ) -> Self:
        """Wire it; without ``access`` nobody is asked for a right."""
        trusted = TrustedControllers(trusted_controllers)
        modes = Modes(mode, reads.namespace_labels, metrics)
        return cls(Rights(access, metrics), trusted, modes, Autoscaling(autoscalers, modes, metrics))

    def undecided(self, route: str, request: Request, verdict: Verdict) -> Verdict:
        """What is answered in place of "try again" where there is no time to read anything more [A10, A13]."""
        return self.modes.soften_now(route, request, let_by(route, verdict))
