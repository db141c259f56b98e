"""Does the chart know what the code knows? What helm makes of it is tried in tests/e2e/test_chart.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from bizrq.controller.leader import LEASE_NAME
from bizrq.domain.webhook_routes import ROUTES, route_of
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS, DEFAULT_WEBHOOK_CONFIGURATION, Autoscalers, WebhookSettings
from bizrq.workloads.registry import built_in, built_in_text

CHART = Path(__file__).resolve().parents[1] / "charts" / "bizrq"


def test_the_lease_it_gives_a_right_on_is_the_controllers():
    text = (CHART / "templates" / "controller-rbac.yaml").read_text(encoding="utf-8")
    assert f"resourceNames: [{LEASE_NAME}]" in text


def test_the_configuration_it_gives_a_right_on_is_the_one_of_the_flag():
    text = (CHART / "templates" / "controller-rbac.yaml").read_text(encoding="utf-8")
    assert f"resourceNames: [{DEFAULT_WEBHOOK_CONFIGURATION}]" in text


def test_each_entry_of_its_configuration_has_the_route_that_the_controller_knows_by_its_name():
    text = (CHART / "templates" / "validating-webhook.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"- name: (\S+)\n +clientConfig:\n.*\"route\" \"(\w+)\"", text)
    assert len(entries) == text.count("clientConfig:")
    assert {name: route_of(name) for name, _ in entries} == dict(entries)
    assert {route for _, route in entries} == set(ROUTES)


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
