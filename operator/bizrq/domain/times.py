"""How is a Kubernetes timestamp read and written?

Instants are whole seconds since 1970 in UTC, the precision of ``metav1.Time``. Year 1 is Go's zero time and says
nothing, like null [C2].
"""

from __future__ import annotations

import datetime
import functools
from typing import Final

__all__ = ["instant", "micro_timestamp", "timestamp"]

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LAST_DAY: Final = (datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC) - _EPOCH).days


@functools.lru_cache(maxsize=16384)  # the pods of a rollout share their seconds
def instant(text: str | None) -> int | None:
    """The instant of an RFC 3339 text; None for null, an empty or broken text, and what is before 1970."""
    if not text:
        return None
    try:
        since = datetime.datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError):  # the latter where it names no zone
        return None
    # Year 1 is Go's zero time; what is beyond year 9998 could not be written back in every zone.
    return since.days * 86_400 + since.seconds if 0 <= since.days < _LAST_DAY else None


def timestamp(moment: int) -> str:
    """RFC 3339 text of an instant, as Kubernetes writes it."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(milliseconds: int) -> str:
    """RFC 3339 text of an instant in milliseconds, as ``metav1.MicroTime`` has it."""
    return f"{timestamp(milliseconds // 1000)[:-1]}.{milliseconds % 1000:03d}000Z"
