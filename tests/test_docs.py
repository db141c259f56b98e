"""Are the documents true, as far as a program can tell?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from bizrq.cli.main import controller, webhook
from bizrq.domain import events, refusals
from bizrq.domain.bizrq import LABEL
from bizrq.domain.calendars import CashPeriodError, only_on_a_root, read_cash_period
from bizrq.domain.quantity import ZERO, parse
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.observability.metrics import ControllerMetrics, WebhookMetrics
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in, read_kinds
from tests.support.exported import exported

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
RULES: Final = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

NAMES: Final = [
    f"{letter}{number}"
    for letter, count in {"K": 6, "P": 5, "T": 7, "A": 15, "C": 9, "R": 4}.items()
    for number in range(1, count + 1)
]
"""All rules there are."""

_RULE: Final = re.compile(
    r"^### \[(?P<name>[A-Z]\d+)\] (?P<title>\S.*) — (?P<state>built|partly|planned)$", re.MULTILINE
)
_LINK: Final = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def rules() -> dict[str, tuple[str, str]]:
    """Each rule of rules.md: its state, and its text up to the next heading."""
    found = list(_RULE.finditer(RULES))
    texts = [re.split(r"^#", RULES[match.end() :], maxsplit=1, flags=re.MULTILINE)[0] for match in found]
    return {match["name"]: (match["state"], text) for match, text in zip(found, texts, strict=True)}


def named_by_tests() -> set[str]:
    """The rules that test files name: [C4], or in a list, [T3, T6]."""
    names: set[str] = set()
    for file in ROOT.glob("tests/**/*.py"):
        if file != Path(__file__).resolve():
            for listed in re.findall(r"\[([A-Z]\d+(?:, ?[A-Z]\d+)*)\]", file.read_text(encoding="utf-8")):
                names.update(re.split(", ?", listed))
    return names


# --- rules.md --------------------------------------------------------------------------------------------------------


def test_rules_md_lists_every_rule_once_and_no_other():
    assert [match["name"] for match in _RULE.finditer(RULES)] == NAMES


def test_every_heading_of_a_rule_says_how_far_it_is():
    assert len(_RULE.findall(RULES)) == len(re.findall(r"^### ", RULES, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_that_is_partly_built_says_what_is_missing(name):
    state, text = rules()[name]
    assert ("*Missing:*" in text) == (state == "partly")


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_that_is_built_has_a_test_that_names_it(name):
    if rules()[name][0] != "planned":
        assert name in named_by_tests(), f"no file under tests/ has [{name}]"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_rules_that_exist(document):
    for listed in re.findall(r"\[([A-Z]\d+(?:, ?[A-Z]\d+)*)\]", document.read_text(encoding="utf-8")):
        assert set(re.split(", ?", listed)) <= set(NAMES)


# --- links -----------------------------------------------------------------------------------------------------------


def links(document: Path) -> Iterator[str]:
    """The targets of relative links, without code blocks."""
    for match in _LINK.finditer(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", match["target"]):
            yield match["target"]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as they are made of them when it is shown."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document):
    for target in links(document):
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), f"{document.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{document.name}: {target}"


def test_the_readme_has_the_two_commands_each_on_a_line_of_its_own_in_a_code_block():
    blocks = _FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.splitlines()]
    assert "make demo" in lines
    assert "make test" in lines


# --- operations.md ---------------------------------------------------------------------------------------------------


def flags() -> list[tuple[str, str | None]]:
    """Every flag of both processes, with its variable."""
    found: dict[str, str | None] = {}
    for command in (controller, webhook):
        with click.Context(command, help_option_names=["--help"]) as context:
            options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
        found |= {flag: str(each.envvar) if each.envvar else None for each in options for flag in each.opts}
    return list(found.items())


@pytest.mark.parametrize(("flag", "variable"), flags())
def test_every_flag_stands_in_operations_md_with_its_variable(flag, variable):
    row = next((line for line in OPERATIONS.splitlines() if line.startswith(f"| `{flag}` ")), None)
    assert row, f"no row of {flag}"
    assert variable is None or f"`{variable}`" in row


# --- metrics.md ------------------------------------------------------------------------------------------------------


METRICS: Final = {
    metric.name: metric for metrics in (ControllerMetrics(), WebhookMetrics()) for metric in exported(metrics.registry)
}
"""The metrics of both processes."""


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The same by the tables of metrics.md."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(bizrq_\w+)` \| (\w+) \| (.*?) ?\|", page, re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows}), "each once"
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_stands_in_metrics_md_with_its_type_and_labels(name):
    assert documented()[name] == (METRICS[name].type, METRICS[name].labels)


def test_metrics_md_names_no_metric_that_is_not_there():
    assert documented().keys() == METRICS.keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_metrics_that_are_there(document):
    """A histogram has some names of its own."""
    named = set(re.findall(r"\bbizrq_[a-z_]+\b", document.read_text(encoding="utf-8")))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in named - METRICS.keys()} <= METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_named_as_prometheus_has_it_and_told_in_a_sentence(name):
    """No label names a pod, and one metric alone names workloads."""
    labels = METRICS[name].labels
    assert not {"pod", "uid", "workload"} & set(labels)
    assert name == "bizrq_autoscaler_refusals_total" or not {"namespace", "name"} & set(labels)
    assert re.fullmatch(r"[A-Z0-9].{20,}\.", METRICS[name].text)


# --- refusals.md -----------------------------------------------------------------------------------------------------


def limit(key: str, requested: str, used: str, limited: str) -> refusals.Limit:
    """A key that a request meets."""
    return refusals.Limit(key, parse(requested), parse(used), parse(limited))


def unknown_zone(name: str) -> str:
    """The refusal of a cashPeriod in a time zone that is none."""
    with pytest.raises(CashPeriodError) as refusal:
        read_cash_period({"every": "Week", "timeZone": name}, "spec.cashPeriod")
    return str(refusal.value)


TEAM: Final = [limit("limits.cpu", "48", "16", "40")]
DEPT: Final = [limit("limits.cpu", "100", "40", "120")]
UNCOUNTABLE: Final = (
    "podGroups[0].replicas of spec.groups.feeder: item.?copies.orValue(1): must be a whole number of pods, not 'two'"
)
ROLLOUT: Final = "rollouts.argoproj.io/shop/web"

SAID: Final = {
    "a workload that is too large": refusals.exceeded("team-vision", TEAM) + refusals.fits(6),
    "an autoscaler's maximum": refusals.autoscaler_too_high(
        12, "deployments.apps/shop/web", refusals.exceeded("team-vision", TEAM) + refusals.fits_autoscaler(6)
    ),
    "not one replica": refusals.fits(0).removeprefix("; "),
    "a child that is too large": refusals.exceeded("dept-ai", DEPT) + refusals.left_to_grant("dept-ai", DEPT),
    "no hours left": refusals.spent(
        "team-vision", [refusals.Limit("cash/limits.cpu", ZERO, parse("100.5"), parse("100"))]
    ),
    "no hours left in this period": refusals.spent("team-vision", [], "2026-11-30T00:00:00+08:00").partition("; ")[2],
    "a period below a root": only_on_a_root("dept-ai", "acme"),
    "an unknown time zone": unknown_zone("Asia/Shangai"),
    "a period that waits": refusals.period_holds_from("acme", "every Day in UTC", "2026-11-30T00:00:00+08:00"),
    "unstated limits": refusals.must_specify("team-vision", {"limits.cpu": ("web",), "limits.memory": ("web",)}),
    "a typing error": refusals.no_such_bizrq(f"label {LABEL}", "team-vison", ["team-vision", "acme"]),
    "no such parent": refusals.no_such_bizrq(
        "spec.parentBizGroup", "dept-ia", ["dept-ai", "acme"], "parents are created before their children"
    ),
    "missing keys": refusals.key_missing(
        "team-audio",
        "dept-ai",
        [limit("limits.memory", "0", "1Ti", "4Ti"), limit("requests.nvidia.com/gpu", "0", "40", "64")],
    ),
    "no right to use": refusals.may_not_use("alice", "team-audio", "shop"),
    "a controller without the right": refusals.label_of_owner("Deployment web", "team-vision").removeprefix("; "),
    "no right to grant": refusals.may_not_grant("alice", "dept-ai"),
    "no right to make a root": refusals.may_not_grant("alice", ""),
    "no label": refusals.label_required("deployments.apps web", "shop"),
    "a label that goes": refusals.label_stays("deployments.apps web", "shop"),
    "a kind that is not counted": refusals.uncounted("daemonsets.apps agent", "shop", labelled=False),
    "a CronJob without a label for its Jobs": refusals.children_need_label(
        "cronjobs.batch nightly", ("spec", "jobTemplate", "metadata", "labels"), namespace="shop"
    ),
    "a CronJob with a label that its Jobs lack": refusals.children_need_label(
        "cronjobs.batch/shop/nightly", ("spec", "jobTemplate", "metadata", "labels"), "team-vision"
    ),
    "a template that is too large": refusals.exceeded("team-vision", TEAM) + refusals.grown_with([ROLLOUT]),
    "a Deployment that is not there": refusals.lender_is_missing(ROLLOUT, "Deployment web", "shop"),
    "a Deployment of others": refusals.lender_is_elsewhere(ROLLOUT, "Deployment web", "team-vision"),
    "a Deployment that leaves": refusals.lender_stays("deployments.apps/shop/web", [ROLLOUT], "team-vision"),
    "a template of others": refusals.borrowers_elsewhere("deployments.apps/shop/web", [ROLLOUT]),
    "what cannot be counted": refusals.uncountable("widgets.example.com/shop/press", [UNCOUNTABLE]),
    "a pod that grows": refusals.resized(
        "web-1", "shop", [(key, parse("1500m"), parse("1")) for key in ("cpu", "limits.cpu", "requests.cpu")]
    ),
    "a warning": refusals.nearly_used("team-vision", [limit("limits.cpu", "20", "16", "40")], 90)[0],
}
"""What the code says, in the cases that refusals.md shows."""


@pytest.mark.parametrize("case", SAID)
def test_refusals_md_shows_what_is_said(case):
    shown = " ".join((ROOT / "docs" / "refusals.md").read_text(encoding="utf-8").split())
    assert " ".join(SAID[case].split()) in shown


# --- workloads.md ----------------------------------------------------------------------------------------------------

WORKLOADS: Final = (ROOT / "docs" / "workloads.md").read_text(encoding="utf-8")


def test_the_how_to_counts_what_it_says():
    """What a real API server says to it: tests/e2e/test_kinds.py."""
    widget, description, *_ = re.findall(r"^```yaml\n(.*?)^```", WORKLOADS, re.MULTILINE | re.DOTALL)
    (kind,) = read_kinds(description, "workloads.md")
    raw = yaml.safe_load(widget)
    raw["metadata"]["uid"] = "u"
    counted = read_workload(raw, kind, DEFAULT_GPU_RESOURCES).demand
    assert "counted with 3 pods and 6 cores" in WORKLOADS
    assert (str(counted["pods"]), str(counted["limits.cpu"])) == ("3", "6")


def test_every_known_kind_stands_in_the_table_of_workloads_md():
    rows = {row.split("|")[1].split(" (")[0].strip() for row in WORKLOADS.splitlines() if row.startswith("| ")}
    assert {kind.kind for kind in built_in()} <= rows


# --- examples --------------------------------------------------------------------------------------------------------

EXAMPLES: Final = {
    "01-tree.yaml": ["BizGroupResourceQuota"] * 3,
    "02-deployment.yaml": ["Deployment"],
    "03-burst-of-jobs.yaml": ["Job"] * 4,
    "04-too-large.yaml": ["Deployment"],
    "05-too-large-child.yaml": ["BizGroupResourceQuota"],
}


def objects(name: str) -> list[dict[str, Any]]:
    """The objects of an example."""
    return list(yaml.safe_load_all((ROOT / "examples" / name).read_text(encoding="utf-8")))


def test_every_example_is_known_here():
    assert sorted(path.name for path in (ROOT / "examples").glob("*.yaml")) == sorted(EXAMPLES)


@pytest.mark.parametrize(("name", "kinds"), EXAMPLES.items())
def test_an_example_has_the_objects_that_it_says_and_a_header_that_says_what_it_shows(name, kinds):
    assert [each["kind"] for each in objects(name)] == kinds
    header = (ROOT / "examples" / name).read_text(encoding="utf-8").split("apiVersion", 1)[0]
    assert f"kubectl apply -f examples/{name}" in header
    assert "What it shows" in header


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_workloads_and_children_of_examples_are_under_a_group_of_the_tree(name):
    groups = {each["metadata"]["name"] for each in objects("01-tree.yaml")}
    for each in objects(name):
        if each["kind"] == "BizGroupResourceQuota":
            assert each["spec"].get("parentBizGroup", "acme") in groups
        else:
            assert each["metadata"]["labels"]["biz.group.resource.quota"] in groups


# --- events ----------------------------------------------------------------------------------------------------------


def test_crd_md_lists_every_event_and_no_other():
    text = (ROOT / "docs" / "crd.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`[^|]+) \| (?:Warning|Normal) \|", text, re.MULTILINE)
    code = "".join(
        (ROOT / "operator" / "bizrq" / name).read_text() for name in ("domain/status.py", "controller/count.py")
    )
    not_ready = re.findall(r'NotReady\("(\w+)"', code)
    turned = [reason for told in events._CONDITIONS for reason in (told.begins, told.ends)]
    assert sorted(re.findall(r"`(\w+)`", " ".join(listed))) == sorted([*turned, *not_ready, "Ready", "DriftCorrected"])
