"""What do a million pods that come and go cost, in memory and in time?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.harness import Table, child, median

__all__ = ["measure"]

_FULL: Final = (
    ("all at once", 10_000, 3), ("all at once", 100_000, 3), ("all at once", 1_000_000, 1),
    ("10,000 at a time", 100_000, 3), ("10,000 at a time", 1_000_000, 1),
)  # fmt: skip
_QUICK: Final = (("all at once", 10_000, 3), ("10,000 at a time", 40_000, 1))
"""How many pods there are side by side, pods altogether, and rounds: each in a process of its own."""

_AT_A_TIME: Final = 10_000


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and all figures of all rounds."""
    figures = [_case(*each) for each in (_QUICK if quick else _FULL)]
    headings = [
        "pods", "side by side", "memory at most", "a pod side by side", "decoding alone", "an event",
        "ratio", "events/s", "a status",
    ]  # fmt: skip
    return (headings, [_row(each) for each in figures]), {"cases": figures}


def _case(side_by_side: str, pods: int, rounds: int) -> dict[str, Any]:
    together = pods if side_by_side == "all at once" else _AT_A_TIME
    measured = []
    for number in range(rounds):
        measured.append(child("benchmarks.b6_process", str(pods), str(together)))
        print(f"  {pods:>9,} pods, {side_by_side}: round {number + 1} of {rounds}", flush=True)
    return {
        "pods": pods,
        "side by side": together,
        "medians": {name: median(each[name] for each in measured) for name in measured[0]},
        "measured": measured,
    }


def _row(case: Mapping[str, Any]) -> Sequence[str]:
    got = case["medians"]
    events, most = got["events"], got["resident peak"] - got["resident before"]
    decoding, ours = got["decoding"] / events * 1e6, got["ours"] / events * 1e6
    return [
        f"{case['pods']:,}",
        f"{case['side by side']:,}",
        f"{got['resident peak'] / 1e6:,.0f} MB",
        f"{most / case['side by side']:,.0f} B",
        f"{decoding:.1f} us",
        f"{ours:.1f} us",
        f"{ours / decoding:.2g}",
        f"{events / got['ours']:,.0f}",
        f"{got['statuses'] / got['written'] * 1e6:,.0f} us",
    ]
