"""Do the shipped alerts say what they should, and is each of them proven? The proofs are the files beside this one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from bizrq.observability.metrics import ControllerMetrics, WebhookMetrics
from testbed import build, chart, metrics
from testbed.parts import PARTS
from testbed.progress import Progress
from tests.support.exported import series_of

HERE: Final = Path(__file__).resolve().parent
DOCS: Final = HERE.parents[1] / "docs"
RUNBOOKS: Final = "docs/runbooks.md"
GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load(metrics.ALERTS.read_text(encoding="utf-8"))["groups"]
RULES: Final = [rule for group in GROUPS for rule in group["rules"]]
ALERTS: Final = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PROOFS: Final = sorted(HERE.glob("*.yaml"))

NAMES: Final = [
    "BizrqCashExhausted",
    "BizrqCashOverrunGrowing",
    "BizrqCashBurnFast",
    "BizrqCashBurnMedium",
    "BizrqCashBurnSlow",
    "BizrqCashAheadOfTime",
    "BizrqCashUncertain",
    "BizrqOverQuota",
    "BizrqOverAdmitted",
    "BizrqScaleRefused",
    "BizrqSurgeStanding",
    "BizrqPodsAboveTemplate",
    "BizrqPodsBeyondDemand",
    "BizrqMeterStale",
    "BizrqMeterAbsent",
    "BizrqDriftCorrected",
    "BizrqWebhookErrors",
    "BizrqWebhookSlow",
    "BizrqEnforcementOff",
    "BizrqEnforcementUnknown",
    "BizrqCertificateExpiring",
]
"""People have routes, silences and inhibitions by these: a name does not change in passing."""

_METRIC: Final = re.compile(r"(?<![\w:])bizrq_\w+(?![\w:])")
"""A metric that is scraped; what rules record has a colon in its name."""


def proofs() -> list[dict[str, Any]]:
    """All test groups of promtool."""
    return [each for file in PROOFS for each in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]


def proofs_that(name: str, does: str) -> list[dict[str, Any]]:
    """The test groups that prove this of an alert, by their names."""
    return [each for each in proofs() if re.search(rf"\b{name}\b.* {does}", each["name"])]


def test_the_alerts_are_these():
    assert list(ALERTS) == NAMES


# --- each alert ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_says_how_grave_it_is_what_it_is_about_and_where_to_read_on(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"


@pytest.mark.parametrize("name", NAMES)
def test_its_runbook_says_what_it_means_what_to_look_at_and_what_to_do(name):
    _, _, after = (DOCS / "runbooks.md").read_text(encoding="utf-8").partition(f"\n### {name}\n")
    section = re.split(r"^##", after, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^\*\*(Means|Look|Do)\.\*\*", section, re.MULTILINE)
    assert found == ["Means", "Look", "Do"], f"no section of {name}, or not all of it"


def test_there_is_no_runbook_of_an_alert_that_does_not_exist():
    text = (DOCS / "runbooks.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (Bizrq\w+)$", text, re.MULTILINE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_proven_to_fire_with_all_that_it_says(name):
    shown = [
        alert
        for proof in proofs_that(name, "fires")
        for test in proof.get("alert_rule_test", ())
        for alert in test.get("exp_alerts", ())
        if test["alertname"] == name
    ]
    assert shown
    for each in shown:
        assert each["exp_labels"]["severity"] == ALERTS[name]["labels"]["severity"]
        assert set(each["exp_annotations"]) == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("does", ["stays? silent", "does not flap", "resolves"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_proven_to(name, does):
    assert proofs_that(name, does)


def test_whatever_is_proven_is_of_an_alert_that_exists():
    """An alert of another name never fires, so it would be proven silent."""
    text = "".join(file.read_text(encoding="utf-8") for file in PROOFS)
    assert {each for each in re.findall(r"\bBizrq\w+", text) if each != "BizrqCash"} == set(NAMES)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_every_metric_that_a_rule_asks_for_is_exported():
    """docs/metrics.md has the metrics that the code has: tests/test_docs.py."""
    rules = yaml.safe_dump(RULES, width=9999)
    asked = {re.sub("_bucket$", "", name) for name in _METRIC.findall(rules)}
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(bizrq_\w+)` \|", page, re.MULTILINE))
    assert "bizrq_cash_spend" in asked
    assert asked <= documented, f"nobody exports {sorted(asked - documented)}"


def test_what_the_proofs_are_made_of_is_exported_under_these_labels():
    """Else they would prove what no controller and no webhook ever shows. Prometheus adds the instance."""
    labels = {**series_of(ControllerMetrics().registry), **series_of(WebhookMetrics().registry)}
    shown = {series["series"] for each in proofs() for series in each["input_series"]}
    for series in shown:
        name, _, selector = series.rstrip("}").partition("{")
        assert set(re.findall(r'(\w+)="', selector)) - {"instance"} == labels[name], series


def test_whatever_a_rule_records_is_used_by_another():
    text = [yaml.safe_dump(rule, width=9999) for rule in RULES]
    for rule in RULES:
        if "record" in rule:
            uses = sum(bool(re.search(rf"{re.escape(rule['record'])}(?![\w:])", each)) for each in text)
            assert uses > 1, rule["record"]


# --- Prometheus and helm ---------------------------------------------------------------------------------------------


def promtool(*arguments: str) -> str:
    """What promtool says to something that must succeed."""
    program = build.ensure([PARTS["prometheus"]], Progress())["prometheus"] / "promtool"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.e2e
@pytest.mark.parts("prometheus")
def test_prometheus_takes_the_rules():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(metrics.ALERTS))


@pytest.mark.e2e
@pytest.mark.parts("prometheus")
@pytest.mark.parametrize("file", PROOFS, ids=lambda path: path.stem)
def test_alerts_fire_keep_silent_stay_and_resolve(file):
    assert "SUCCESS" in promtool("test", "rules", str(file))


def rule_object(**values: Any) -> dict[str, Any]:
    """The PrometheusRule that the chart makes."""
    made = chart.render(chart.CHART, {"prometheusRule": {"enabled": True, **values}})
    (found,) = (each for each in made if each["kind"] == "PrometheusRule")
    return found


@pytest.mark.e2e
def test_the_chart_has_the_same_rules():
    assert rule_object()["spec"]["groups"] == GROUPS


@pytest.mark.e2e
def test_the_chart_puts_the_address_of_the_runbooks_before_each():
    address = "https://git.example.com/bizrq/docs/runbooks.md"
    rules = [rule for group in rule_object(runbooks=address)["spec"]["groups"] for rule in group["rules"]]
    told = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    assert told == {name: f"{address}#{name.lower()}" for name in NAMES}


@pytest.mark.e2e
def test_the_chart_labels_the_rules_for_the_prometheus_that_chooses_by_them():
    assert rule_object(labels={"release": "monitoring"})["metadata"]["labels"] == {"release": "monitoring"}


@pytest.mark.e2e
def test_the_chart_has_no_rules_unless_it_is_told_to():
    assert not [each for each in chart.render(chart.CHART) if each["kind"] == "PrometheusRule"]
