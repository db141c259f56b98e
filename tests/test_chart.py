"""Does the chart know what the code knows? What helm makes of it is tried in tests/e2e/test_chart*.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from bizrq.cli.main import controller, webhook
from bizrq.controller.leader import LEASE_NAME
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.domain.webhook_routes import ROUTES, route_of
from bizrq.settings import (
    DEFAULT_PORT,
    DEFAULT_TRUSTED_CONTROLLERS,
    DEFAULT_WEBHOOK_CONFIGURATION,
    Autoscalers,
    Certificates,
    ControllerSettings,
    Mode,
    WebhookSettings,
)
from bizrq.workloads.registry import built_in, built_in_text

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "bizrq"
TEMPLATES = CHART / "templates"


@pytest.fixture(scope="module")
def text() -> str:
    return (CHART / "values.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def values(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return dict(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))


# --- what it has from the code ---------------------------------------------------------------------------------------


def test_the_lease_it_gives_a_right_on_is_the_controllers() -> None:
    rights = (TEMPLATES / "controller-rbac.yaml").read_text(encoding="utf-8")
    assert f"resourceNames: [{LEASE_NAME}]" in rights


def test_the_configuration_it_gives_a_right_on_is_the_one_of_the_flag() -> None:
    rights = (TEMPLATES / "controller-rbac.yaml").read_text(encoding="utf-8")
    assert f"resourceNames: [{DEFAULT_WEBHOOK_CONFIGURATION}]" in rights


def test_each_entry_of_its_configuration_has_the_route_that_the_controller_knows_by_its_name() -> None:
    configuration = (TEMPLATES / "validating-webhook.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"- name: (\S+)\n +clientConfig:\n.*\"route\" \"(\w+)\"", configuration)
    assert len(entries) == configuration.count("clientConfig:")
    assert {name: route_of(name) for name, _ in entries} == dict(entries)
    assert {route for _, route in entries} == set(ROUTES)


def test_its_kinds_are_those_of_the_package() -> None:
    """Where this fails: make chart."""
    assert (CHART / "files" / "kinds.yaml").read_text(encoding="utf-8") == built_in_text()


def test_its_crd_is_that_of_the_repository() -> None:
    """Where this fails: make chart."""
    (source,) = (ROOT / "crds").glob("*.yaml")
    crd = source.read_text(encoding="utf-8")
    assert (CHART / "files" / "crd.yaml").read_text(encoding="utf-8") == crd
    (found,) = re.findall(r'\$name := "(.*?)"', (TEMPLATES / "crd.yaml").read_text(encoding="utf-8"))
    assert crd.count(found.replace("\\n", "\n")) == 1, "where the template puts the annotation that keeps it"
    assert not (CHART / "crds").exists(), "what lies there is never upgraded"


def test_no_kind_that_is_counted_is_warned_about(values: dict[str, Any]) -> None:  # [A11]
    counted = {(each.group, each.resource) for each in built_in()}
    assert not counted & {(each["group"], each["resource"]) for each in values["uncounted"]}


def test_its_defaults_are_those_of_the_flags(values: dict[str, Any]) -> None:
    of_webhook, of_controller = WebhookSettings(CHART, CHART), ControllerSettings()
    assert tuple(values["trustedControllers"]) == DEFAULT_TRUSTED_CONTROLLERS
    assert tuple(values["gpuResources"]) == DEFAULT_GPU_RESOURCES.patterns
    assert values["controller"]["resyncSeconds"] == of_controller.resync_seconds
    assert values["certificates"]["provider"] == of_controller.webhook_certificates
    assert (values["mode"], values["authorize"]) == (of_webhook.mode, of_webhook.authorize)
    assert values["autoscalers"] == of_webhook.autoscalers


def test_its_words_are_those_of_the_flags(schema: dict[str, Any]) -> None:
    """[A10]"""
    words = schema["properties"]
    assert words["autoscalers"]["enum"] == list(Autoscalers)
    assert words["mode"]["enum"] == list(Mode)
    assert set(Certificates) <= set(words["certificates"]["properties"]["provider"]["enum"])


@pytest.mark.parametrize("command", [controller, webhook], ids=lambda command: str(command.name))
def test_every_flag_that_it_gives_is_one(command: click.Command) -> None:
    template = (TEMPLATES / f"{command.name}.yaml").read_text(encoding="utf-8")
    given = re.findall(r"--([a-z-]+)=", template + (TEMPLATES / "_helpers.tpl").read_text(encoding="utf-8"))
    assert {"gpu-resources", "log-format", "workloads"} < set(given)
    with click.Context(command) as context:
        known = {flag.removeprefix("--") for each in command.get_params(context) for flag in each.opts}
    assert set(given) <= known


def test_its_ports_are_those_that_the_processes_listen_on() -> None:
    ports = {
        command: re.findall(r"containerPort: (\d+)", (TEMPLATES / f"{command}.yaml").read_text(encoding="utf-8"))
        for command in ("controller", "webhook")
    }
    metrics = [str(ControllerSettings().metrics_port), str(WebhookSettings(CHART, CHART).metrics_port)]
    assert ports == {"controller": metrics[:1], "webhook": [str(DEFAULT_PORT), metrics[1]]}


# --- what it says of its values --------------------------------------------------------------------------------------


def _paths(schema: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The values that a schema knows by name."""
    for name, each in schema.get("properties", {}).items():
        yield (*above, name)
        yield from _paths(each, (*above, name))


def test_the_schema_knows_every_value_and_values_yaml_shows_every_name_of_the_schema(
    values: dict[str, Any], schema: dict[str, Any]
) -> None:
    """But for those within what is empty by default, and what helm adds to every chart."""

    def shown(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, each in value.items():
            yield (*above, name)
            if isinstance(each, dict) and each:
                yield from shown(each, (*above, name))

    definitions = schema["definitions"]
    reference = re.compile(r'"\$ref": "#/definitions/(\w+)"')
    text = reference.sub(lambda found: json.dumps(definitions[found[1]])[1:-1], json.dumps(schema))
    known, written = set(_paths(json.loads(text))), set(shown(values))
    free = {
        ("podSecurityContext",),
        ("controller", "resources"),
        ("webhook", "resources"),
        ("dashboards", "labels"),
        ("dashboards", "annotations"),
    }
    assert {path for path in written if not any(path[: len(each)] == each for each in free)} <= known
    hidden = {("global",), ("controller", "resources", "claims"), ("webhook", "resources", "claims")}
    empty = {path for path in written if not _at(values, path)}
    missing = {path for path in known - written if path[:-1] not in empty}
    assert missing <= hidden


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


def test_the_schema_demands_every_value_that_templates_cannot_do_without(
    values: dict[str, Any], schema: dict[str, Any]
) -> None:
    """Helm has no defaults for what is null, or newer than the values of a release that are used again.

    It would say which line of a template met nil, in place of the name of the value.
    """

    def lacking(sub: dict[str, Any], value: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[str]:
        sub = schema["definitions"][sub["$ref"].rpartition("/")[2]] if "$ref" in sub else sub
        for name, each in value.items():
            path = (*above, name)
            if path in optional or name not in sub.get("properties", {}):
                continue
            if each not in ("", [], {}) and name not in sub.get("required", ()):
                yield ".".join(path)
            if isinstance(each, dict):
                yield from lacking(sub["properties"][name], each, path)

    optional: set[tuple[str, ...]] = {("dashboards", "annotations")}
    optional |= {(each, "resources", part) for each in ("controller", "webhook") for part in ("requests", "limits")}
    assert list(lacking(schema, values)) == []


def test_every_value_is_explained_above_it_or_above_its_neighbours(text: str) -> None:
    """A comment covers the lines below it, up to an empty one."""
    explained = False
    for line in text.splitlines():
        if not line.strip():
            explained = False
        elif line.lstrip().startswith("#"):
            explained = True
        elif re.match(r"^ *[a-zA-Z]+:$", line):  # what is in it explains itself
            continue
        else:
            assert explained, line


@pytest.mark.parametrize("document", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda path: path.name)
def test_documents_set_values_that_there_are(document: Path, values: dict[str, Any]) -> None:
    named = re.findall(r"--set(?:-json|-string)?\s+\"?([\w.]+)=", document.read_text(encoding="utf-8"))
    for path in named:
        found = values
        for name in path.split("."):
            assert not found or name in found, f"--set {path}"
            found = found.get(name, {}) if found else {}
    assert named or document.name != "install.md"
