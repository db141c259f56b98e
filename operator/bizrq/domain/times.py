"""How is a Kubernetes timestamp read and written?

Instants are whole seconds since 1970 in UTC, the precision of ``metav1.Time``. Year 1 is Go's zero time and says
nothing, like null [C2].
"""

from __future__ import annotations

import datetime
import functools

__all__ = ["instant", "timestamp"]


@functools.lru_cache(maxsize=16384)  # the pods of a rollout share their seconds
def instant(text: str | None) -> int | None:
    """The instant of an RFC 3339 text; None for null, an empty or broken text, and years before 1970."""
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or moment.year < 1970:  # noqa: PLR2004  # year 1 is Go's zero time
        return None
    return int(moment.timestamp() // 1)


def timestamp(moment: int) -> str:
    """RFC 3339 text of an instant, as Kubernetes writes it."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
