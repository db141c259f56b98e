"""May whoever asks name this bizrq, or give away of it? [A12].

Asked before anything is looked up, so that a refusal is the same whether there is such a bizrq or not, and tells
nothing of what it has. Answers are kept for some seconds, failures never.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from bizrq.cluster.access import Access, Question
from bizrq.cluster.errors import ClusterError
from bizrq.domain.refusals import may_not_grant, may_not_use
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.review import Request
from bizrq.webhook.short_cache import ShortCache

__all__ = ["Rights"]

_YES_SECONDS: Final = 5.0
"""How long a right that was taken away is still believed."""

_NO_SECONDS: Final = 1.0
"""Less: whoever was just given a right tries again at once."""

_MOST: Final = 4096
"""Answers kept, of some 200 bytes each."""


class Rights:
    """Asks the API server, by its own authorization."""

    def __init__(self, access: Access | None, metrics: WebhookMetrics) -> None:
        """Without ``access`` everybody may do everything (``--authorize=false``)."""
        self._access, self._metrics = access, metrics
        self._answers: ShortCache[bytes, bool] = ShortCache(_MOST)

    async def refuse_use(self, request: Request, bizrq: str) -> str | None:
        """Why the label of this request may not name ``bizrq``; None where it may. Raises ``ClusterError``."""
        if await self._may(request, "use", bizrq):
            return None
        return may_not_use(request.user_info.username, bizrq, request.namespace)

    async def refuse_grant(self, request: Request, parent: str) -> str | None:
        """Why this request may not take from ``parent``, or make a root of "" larger. Raises ``ClusterError``."""
        if await self._may(request, "grant", parent):
            return None
        return may_not_grant(request.user_info.username, parent)

    async def may_see_names(self, request: Request, verb: str) -> bool:
        """Whether a hint may name bizrqs that the request did not: only to who may do ``verb`` to all of them."""
        return await self._may(request, verb, "")

    async def _may(self, request: Request, verb: str, name: str) -> bool:
        if self._access is None:
            return True
        user = request.user_info
        question = Question(
            verb=verb,
            name=name,
            user=user.username,
            namespace=request.namespace,
            uid=user.uid,
            groups=user.groups,
            extra=user.extra,
        )
        key = hashlib.blake2b(msgspec.json.encode(question), digest_size=32).digest()
        known = self._answers.get(key)
        if known is not None:
            return known
        try:
            answer = await self._access.allowed(question)
        except ClusterError:
            self._metrics.access_reviews.labels("failed").inc()
            raise
        self._metrics.access_reviews.labels("yes" if answer.allowed else "no").inc()
        if answer.complete:
            self._answers.put(key, answer.allowed, _YES_SECONDS if answer.allowed else _NO_SECONDS)
        return answer.allowed
