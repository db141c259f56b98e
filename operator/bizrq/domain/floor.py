"""From which version of the pods on must a controller that starts replay? [C4, C5].

One floor stands for all bizrqs at once, in the Lease. It promises of every bizrq: no event of a pod of it has a
version in (the ``seen`` of its stored books, the floor]. So the later of the two is as good as ``seen``. A true floor
stays true for ever, whoever wrote it and however late, since ``seen`` never goes back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bizrq.domain.times import instant, timestamp

__all__ = ["Floor", "next_floor", "read_floor"]

_TEXT: Final = re.compile(r"(?P<version>0|[1-9][0-9]{0,18}) (?P<time>[0-9TZ:-]{20})")
"""At most 19 digits: a resourceVersion has 64 bits, one of them a sign."""


@dataclass(frozen=True, slots=True)
class Floor:
    """A version of the pods, and a time of it."""

    version: int
    """A resourceVersion of pods."""
    time: int
    """Of an event at or below that version, the newest one as far as is known, in epoch seconds; 0 says nothing."""

    def __str__(self) -> str:
        """As it stands in the Lease: ``81723 2026-01-05T09:59:58Z``."""
        return f"{self.version} {timestamp(self.time)}"


def read_floor(text: object) -> Floor | None:
    """The floor that a text of the Lease is; None where it is none, whoever wrote it there."""
    parts = _TEXT.fullmatch(text) if isinstance(text, str) else None
    time = instant(parts["time"]) if parts else None
    return Floor(int(parts["version"]), time) if parts and time is not None else None


def next_floor(stored: Floor | None, view: Floor, oldest: int | None) -> Floor:
    """The floor that may be stored over ``stored``: as high as it is true, and never lower than that [C4].

    ``view`` is the version up to which every event of a pod is known, with the time of the newest of them. ``oldest``
    is the lowest version that an event can have which no *stored* status is known to cover; None if there is no such
    event. An event whose version is not known, since only a list told of it, counts with the lowest it can have.
    """
    version = view.version if oldest is None else min(oldest - 1, view.version)
    if stored is not None and version <= stored.version:
        return stored
    before = stored.time if stored is not None else 0
    # Below the view, nobody knows of what time the newest event up to the floor is.
    return Floor(version, max(before, view.time) if version == view.version else before)
