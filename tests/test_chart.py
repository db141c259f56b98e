"""Does the chart know what the code knows? What helm makes of it is tried in tests/e2e/test_chart.py."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from bizrq.controller.leader import LEASE_NAME
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS, Autoscalers, WebhookSettings
from bizrq.workloads.registry import built_in, built_in_text

CHART = Path(__file__).resolve().parents[1] / "charts" / "bizrq"


def test_the_lease_it_gives_a_right_on_is_the_controllers():
    text = (CHART / "templates" / "controller-rbac.yaml").read_text(encoding="utf-8")
    assert f"resourceNames: [{LEASE_NAME}]" in text


def test_its_kinds_are_those_of_the_package():
    """Where this fails: make chart."""
    assert (CHART / "files" / "kinds.yaml").read_text(encoding="utf-8") == built_in_text()


def test_no_kind_that_is_counted_is_warned_about():  # [A11]
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    counted = {(each.group, each.resource) for each in built_in()}
    assert not counted & {(each["group"], each["resource"]) for each in values["uncounted"]}


def test_its_trusted_controllers_are_those_of_the_flag():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert tuple(values["trustedControllers"]) == DEFAULT_TRUSTED_CONTROLLERS


def test_what_is_answered_to_autoscalers_is_that_of_the_flag():  # [A10]
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    default = WebhookSettings(CHART, CHART).autoscalers
    assert (values["autoscalers"], schema["properties"]["autoscalers"]["enum"]) == (default, list(Autoscalers))
