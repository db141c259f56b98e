"""Which reviews are asked for below which path?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bizrq.domain.bizrq import GROUP

__all__ = ["ROUTES", "route_of", "split_path"]

ROUTES: Final = ("bizrqs", "workloads", "children", "scale", "autoscalers", "required")
"""The last part of every path that the webhook serves."""

_OF_ENTRIES: Final[Mapping[str, str]] = {**{route: route for route in ROUTES}, "uncounted": "required"}
"""The route of each entry of the webhook configuration, by the first part of the entry's name."""

_PARTS: Final = 2


def split_path(path: str) -> tuple[str, str]:
    """The token and the route in a path such as ``/<token>/<route>`` or ``/<route>``; each is "" where it is not."""
    if not path.startswith("/"):
        return "", ""
    parts = path[1:].split("/")
    if len(parts) > _PARTS:
        return "", ""
    return (parts[0] if len(parts) == _PARTS else ""), parts[-1]


def route_of(entry: str) -> str | None:
    """The route of the entry ``bizrqs.quota.bizrq.io``, say; None where the name is none of ours."""
    first, dot, rest = entry.partition(".")
    return _OF_ENTRIES.get(first) if dot and rest == GROUP else None
