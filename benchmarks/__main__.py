"""Which benchmarks are there? ``python -m benchmarks --help`` says it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.b1_admission import measure as admission
from benchmarks.b2_first_sync import measure as first_sync
from benchmarks.b4_accrual import measure as accrual
from benchmarks.b6_stream import measure as stream
from benchmarks.b7_quantities import measure as quantities
from benchmarks.b8_expressions import measure as expressions
from benchmarks.b9_scrape import measure as scrape
from benchmarks.harness import Table, keep, machine, shown

BENCHMARKS: Final[Mapping[str, tuple[str, Callable[[bool], tuple[Table, dict[str, Any]]]]]] = {
    "b1": ("creates of Deployments that bizrq decides on", admission),
    "b2": ("the first list of all pods, and their watch", first_sync),
    "b4": ("the books of a cluster where nothing changes", accrual),
    "b6": ("a million pods that come and go", stream),
    "b7": ("quantities, and the demand of a template", quantities),
    "b8": ("expressions that describe kinds of workload", expressions),
    "b9": ("a scrape of the controller", scrape),
}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What it costs at scale, beside a reference measured in the same run. A full run writes its table "
        "to docs/performance.md and its figures to benchmarks/results.",
        epilog="; ".join(f"{name}: {what}" for name, (what, _) in BENCHMARKS.items()),
    )
    parser.add_argument("name", choices=[*BENCHMARKS, "all"], help="which one")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds; only prints, writes nothing")
    arguments = parser.parse_args()
    for name, (what, measure) in BENCHMARKS.items():
        if arguments.name not in {name, "all"}:
            continue
        print(f"{name}: {what}", flush=True)
        where = machine()
        table, figures = measure(arguments.quick)
        print(f"\n{shown(table, where)}\n", flush=True)
        if not arguments.quick:
            keep(name, table, figures, where)


if __name__ == "__main__":
    main()
