"""Does the chart know what the code knows? What helm makes of it is tried in tests/e2e/test_chart.py."""

from __future__ import annotations

from pathlib import Path

import yaml

from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS
from bizrq.workloads.registry import built_in

CHART = Path(__file__).resolve().parents[1] / "charts" / "bizrq"


def test_its_kinds_are_the_built_in_ones():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["workloads"] == [
        {"group": each.group, "version": each.version, "resource": each.resource, "scale": bool(each.scale)}
        for each in built_in()
    ]


def test_its_trusted_controllers_are_those_of_the_flag():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert tuple(values["trustedControllers"]) == DEFAULT_TRUSTED_CONTROLLERS
