"""What a pod held from when to when, written out."""

from __future__ import annotations

from collections.abc import Sequence

from bizrq.domain.pod_resources import Held
from bizrq.domain.segments import Past

__all__ = ["segments"]

Segment = tuple[int | None, int | None, Held]
"""From (None: the start), until (None: the end), and what was held; half-open."""


def segments(held_now: Held, past: Past) -> Sequence[Segment]:
    """What a pod held from when to when, oldest first; for nearly all pods one segment without borders.

    Each is charged for the part of the pod's time that lies in it, whatever start and end are corrected to later.
    """
    if not past:
        return ((None, None, held_now),)
    borders = [until for until, _ in past]
    held = [each for _, each in past]
    return list(zip([None, *borders], [*borders, None], [*held, held_now], strict=True))
