"""How often was a bizrq refused what, and on which of its keys?

Only refusals that reach somebody count: no dry runs, nothing that is let by with a warning, nothing that is to be tried
again. Names that people make up get no series: a bizrq counts that was read for the refusal, or that is on a list of
all bizrqs, made anew every minute; by that list the series of a bizrq go away with it. Nor do keys that come and go in
one ``hard``: of a bizrq as many stay as it may have at a time, those that were refused last.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Collection
from typing import Any, Final

from bizrq.cluster.errors import ClusterError
from bizrq.cluster.reads import Reads
from bizrq.domain.bizrq import GROUP, LABEL, PLURAL
from bizrq.domain.probe import MOST_KEYS
from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.review import Request, Verdict

__all__ = ["RefusalCounts"]

_LIST_SECONDS: Final = 60.0
"""Between two lists of all names."""

_NO_KEY: Final = ("",)

_MOST_SERIES: Final = MOST_KEYS + len(_NO_KEY)
"""Of one bizrq."""

log = logging.getLogger(__name__)


class RefusalCounts:
    """Counts refusals by bizrq and key."""

    def __init__(self, metrics: WebhookMetrics) -> None:
        self._refusals = metrics.refusals
        self._counted: dict[str, dict[str, int]] = {}
        """The series that there are, by bizrq and key: which refusal was their last one, the latest at the end."""
        self._numbers = itertools.count()
        self._names: Collection[str] = frozenset()
        """Of all bizrqs, by the last list."""

    def note(self, request: Request, verdict: Verdict) -> None:
        """Count the answer to a request, if it is a refusal."""
        if verdict.allowed or verdict.retry_after or request.dry_run:
            return
        bizrq = verdict.bizrq or self._named(request)
        if bizrq:
            counted = self._counted.setdefault(bizrq, {})
            for key in verdict.keys or _NO_KEY:
                counted.pop(key, None)
                counted[key] = next(self._numbers)
                self._refusals.labels(bizrq, key).inc()
            while len(counted) > _MOST_SERIES:
                self._remove(bizrq, next(iter(counted)))

    async def run(self, reads: Reads) -> None:
        """Keep up with which bizrqs there are, for ever."""
        while True:
            try:
                await self.keep_up(reads)
            except ClusterError as error:
                log.warning("the names of all bizrqs could not be listed, again in %.0f s: %s", _LIST_SECONDS, error)
            await asyncio.sleep(_LIST_SECONDS)

    async def keep_up(self, reads: Reads) -> None:
        """List all bizrqs and let the series go of those that are not there. Raises ``ClusterError``."""
        began = next(self._numbers)
        self._names = frozenset(await reads.bizrq_names())
        for bizrq in self._counted.keys() - self._names:
            for key, last in list(self._counted[bizrq].items()):
                if last < began:  # later ones may be of a bizrq younger than the list
                    self._remove(bizrq, key)
            if not self._counted[bizrq]:
                del self._counted[bizrq]

    def _remove(self, bizrq: str, key: str) -> None:
        del self._counted[bizrq][key]
        self._refusals.remove(bizrq, key)

    def _named(self, request: Request) -> str:
        """The bizrq that a request is about or names, if there is one of that name."""
        if (request.resource.group, request.resource.resource) == (GROUP, PLURAL):
            named = [request.name]
        else:
            named = [_label(request.object), _label(request.old_object)]
        return next((name for name in named if name and name in self._names), "")


def _label(raw: dict[str, Any] | None) -> str:
    return ((raw or {}).get("metadata", {}).get("labels") or {}).get(LABEL) or ""
