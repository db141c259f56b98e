"""Is a refusal a refusal here, or a warning?

``--mode`` says it for the cluster, the label ``quota.bizrq.io/mode`` of a namespace for what is in it. A bizrq is in no
namespace. Where the mode is warn nothing is claimed, for what is allowed anyway reserves nothing; the controller counts
what runs.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from bizrq.cluster.errors import ClusterError
from bizrq.domain.bizrq import GROUP
from bizrq.domain.refusals import NOT_ENFORCED
from bizrq.observability.metrics import WebhookMetrics
from bizrq.settings import Mode
from bizrq.webhook.review import Request, Verdict
from bizrq.webhook.short_cache import ShortCache

__all__ = ["MODE_LABEL", "Modes", "as_warnings"]

MODE_LABEL: Final = f"{GROUP}/mode"
"""The label of a namespace that overrides ``--mode``."""

_SECONDS: Final = 5.0
"""How long a new label may take to hold."""

_MOST: Final = 4096
"""Namespaces remembered."""

_WIDTH: Final = 240
"""Characters of a warning, below the 256 of the API server; a longer text becomes several."""

log = logging.getLogger(__name__)


def as_warnings(text: str) -> list[str]:
    """A text of any length as warnings, none of which is cut."""
    return textwrap.wrap(text, _WIDTH)


class Modes:
    """The mode of each namespace."""

    def __init__(
        self, default: Mode, labels: Callable[[str], Awaitable[Mapping[str, str]]], metrics: WebhookMetrics
    ) -> None:
        """``labels`` reads those of a namespace and raises ``ClusterError``."""
        self._default, self._labels, self._metrics = default, labels, metrics
        self._known: ShortCache[str, Mode] = ShortCache(_MOST)

    async def warns(self, namespace: str) -> bool:
        """Whether what is refused in ``namespace`` is let through; "" is where bizrqs are."""
        return (await self._mode(namespace)) is Mode.WARN

    async def soften(self, route: str, request: Request, verdict: Verdict) -> Verdict:
        """The verdict as it is answered where the request comes from."""
        if verdict.allowed or not await self.warns(request.namespace):
            return verdict
        return self._softened(route, verdict)

    def soften_now(self, route: str, request: Request, verdict: Verdict) -> Verdict:
        """The same without a read, for a verdict that is late already."""
        mode = (self._known.get(request.namespace) if request.namespace else None) or self._default
        return verdict if verdict.allowed or mode is Mode.ENFORCE else self._softened(route, verdict)

    def _softened(self, route: str, verdict: Verdict) -> Verdict:
        if not verdict.probe:
            self._metrics.reviews_warned.labels(route, "again" if verdict.retry_after else "refused").inc()
        allowed = Verdict.allow(*verdict.warnings, *as_warnings(NOT_ENFORCED + verdict.message))
        return replace(allowed, probe=verdict.probe)

    async def _mode(self, namespace: str) -> Mode:
        if not namespace:
            return self._default
        known = self._known.get(namespace)
        if known is not None:
            return known
        try:
            labels = await self._labels(namespace)
        except ClusterError as error:
            log.warning("namespace %s: its mode could not be read, so it is %s: %s", namespace, self._default, error)
            return self._default
        mode = self._stated(namespace, labels.get(MODE_LABEL))
        self._known.put(namespace, mode, _SECONDS)
        return mode

    def _stated(self, namespace: str, text: str | None) -> Mode:
        if text is None:
            return self._default
        try:
            return Mode(text)
        except ValueError:
            log.warning(
                "namespace %s: label %s is %r, neither enforce nor warn; %s holds",
                namespace, MODE_LABEL, text, self._default,
            )  # fmt: skip
            return self._default
