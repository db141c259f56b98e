"""By which request does the controller find out whether the webhook is asked?

A dry run that gives a bizrq a key that could never be measured: the schema lets it by, every version of the webhook
refuses it [K4] without reading anything, and nothing is stored whatever comes of it. Its limit is 0, so that it grows
nothing and nobody needs a right to it.
"""

from __future__ import annotations

from typing import Any, Final

from bizrq.domain.bizrq import Bizrq

__all__ = ["MOST_KEYS", "PROBE_KEY", "may_be_probed", "probe"]

PROBE_KEY: Final = "count/enforcement-probes.quota.bizrq.io"
"""It reads as a count of a kind, and no such kind is there."""

MOST_KEYS: Final = 256
"""That ``hard`` may have by the schema, which is asked before any webhook."""


def probe() -> dict[str, Any]:
    """The change that is tried."""
    return {"spec": {"hard": {PROBE_KEY: "0"}}}


def may_be_probed(bizrq: Bizrq) -> bool:
    """Whether nothing else than the webhook refuses this change of ``bizrq``."""
    return len(bizrq.hard) < MOST_KEYS and not bizrq.problems and not bizrq.deleting
