"""The dashboards of the chart, and what they ask."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

__all__ = ["CHART", "DASHBOARDS", "FILES", "GRAFANAS", "LABEL_VALUES", "drawn", "panels", "queries", "variables"]
__all__ += ["without_variables"]

JSON = dict[str, Any]

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "bizrq"
FILES: Final = sorted((CHART / "files" / "dashboards").glob("*.json"))
DASHBOARDS: Final[dict[str, JSON]] = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FILES}

GRAFANAS: Final = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}
"""What Grafana puts into a query by itself."""

LABEL_VALUES: Final = re.compile(r"label_values\((.+), (\w+)\)")


def panels(dashboard: JSON) -> list[JSON]:
    """All that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: JSON) -> list[JSON]:
    """What can be chosen on top."""
    return list(dashboard["templating"]["list"])


def drawn(dashboard: JSON) -> list[str]:
    """The expressions of all panels."""
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]


def queries(dashboard: JSON) -> list[str]:
    """The same, and the selectors of the variables."""
    asked = [LABEL_VALUES.fullmatch(each["definition"]) for each in variables(dashboard) if each["type"] == "query"]
    assert all(asked), "label_values is all that a variable asks"
    return [*drawn(dashboard), *(each[1] for each in asked if each)]


def without_variables(query: str, *, all_: bool = False) -> str:
    """A query as Grafana sends it: with some value for each variable, or with that for ``all_``."""
    for name, value in GRAFANAS.items():
        query = query.replace(name, value)
    return re.sub(r"\$\w+", ".*" if all_ else "x", query)
