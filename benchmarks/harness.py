"""How is a figure taken, compared, shown and kept?"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["Table", "child", "keep", "machine", "median", "spread"]

_ROOT: Final = Path(__file__).parents[1]
_RESULTS: Final = _ROOT / "benchmarks" / "results"
_PAGE: Final = _ROOT / "docs" / "performance.md"
_CHILD_SECONDS: Final = 1_200
"""The largest child, 1,000,000 pods, takes some 5 minutes on a busy machine; one that takes this long hangs."""

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The headings, and the rows."""


def median(values: Iterable[float]) -> float:
    """The middle one: on a shared machine the mean is a measure of the neighbours."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The smallest and the largest, as ``12.3-14.5``."""
    return f"{min(values):.3g}-{max(values):.3g}"


def child(module: str, *arguments: str) -> dict[str, Any]:
    """What a fresh process of ``python -m module`` measured: its last line, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_CHILD_SECONDS,
        check=False,
    )
    if done.returncode:
        sys.exit(f"python -m {module} {arguments[0]} failed, see above")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # only Linux has it
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": round(os.getloadavg()[0], 1),
    }


def shown(table: Table, machine_: Mapping[str, Any]) -> str:
    """The table as Markdown, with its machine below."""
    headings, rows = table
    widths = [max(len(str(cell)) for cell in column) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    ruler = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    where = ", ".join(f"{value} {name}" if name == "cores" else str(value) for name, value in _stated(machine_))
    return "\n".join([line(headings), ruler, *map(line, rows), "", f"Measured on {where}."])


def _stated(machine_: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in machine_.items():
        yield name, f"load {value} before" if name == "load before" else value


def keep(name: str, table: Table, figures: Mapping[str, Any], machine_: Mapping[str, Any]) -> None:
    """Write the figures to ``benchmarks/results`` and the table between its markers in ``docs/performance.md``."""
    _RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine_, **figures}, indent=1) + "\n"
    (_RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    page = _PAGE.read_text(encoding="utf-8")
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{_PAGE.name} has no place for the table of {name}: {begin.strip()} ... {end.strip()}")
    _PAGE.write_text(f"{head}{begin}\n{shown(table, machine_)}\n\n{end}{tail}", encoding="utf-8")
