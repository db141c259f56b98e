"""Who is asked for a right, who is believed, and what is enforced where: what all reviews go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bizrq.cluster.access import Access
from bizrq.cluster.reads import Reads
from bizrq.observability.metrics import WebhookMetrics
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS, Mode
from bizrq.webhook.modes import Modes
from bizrq.webhook.requesters import TrustedControllers
from bizrq.webhook.rights import Rights

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What was configured, with what is needed to go by it."""

    rights: Rights
    trusted: TrustedControllers
    modes: Modes

    @classmethod
    def make(
        cls,
        reads: Reads,
        metrics: WebhookMetrics,
        *,
        access: Access | None = None,
        trusted_controllers: tuple[str, ...] = DEFAULT_TRUSTED_CONTROLLERS,
        mode: Mode = Mode.ENFORCE,
    ) -> Self:
        """Wire it; without ``access`` nobody is asked for a right."""
        trusted = TrustedControllers(trusted_controllers)
        return cls(Rights(access, metrics), trusted, Modes(mode, reads.namespace_labels, metrics))
