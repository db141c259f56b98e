"""Do the dashboards ask for what is there? Each query is parsed; its metrics and labels are those of the processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from bizrq.observability.metrics import ControllerMetrics, WebhookMetrics
from tests.support.dashboards import (
    CHART,
    DASHBOARDS,
    FILES,
    GRAFANAS,
    LABEL_VALUES,
    drawn,
    panels,
    queries,
    variables,
    without_variables,
)
from tests.support.exported import series_of

EACH = pytest.mark.parametrize("name", DASHBOARDS)

BY_SCRAPING = {"instance", "job", "pod", "namespace"}
"""Labels that Prometheus adds to whatever it scrapes."""

VARIABLE = re.compile(r"\$\{?(\w+)")

EXPORTED = {**series_of(ControllerMetrics().registry), **series_of(WebhookMetrics().registry)}


def parsed(query: str) -> promql.Expr:
    """Raises ``ValueError`` where it is no PromQL."""
    return promql.parse(without_variables(query))


def nodes(query: str) -> Iterator[Any]:
    found: list[Any] = []

    def visit(node: Any) -> None:
        found.append(node)

    promql.walk(parsed(query), visit)
    for node in found:
        yield node.vector_selector if isinstance(node, promql.MatrixSelector) else node


def metrics(query: str) -> set[str]:
    return {node.name or "" for node in nodes(query) if isinstance(node, promql.VectorSelector)}


def unknown_labels(query: str) -> set[str]:
    """Labels in selectors that their metric has not, and elsewhere labels that no metric of the query has."""
    found: set[str] = set()
    of_all = BY_SCRAPING.union(*(EXPORTED.get(each, set()) for each in metrics(query)))
    for node in nodes(query):
        if isinstance(node, promql.VectorSelector):
            found |= {each.name for each in node.matchers.matchers} - EXPORTED.get(node.name or "", set()) - BY_SCRAPING
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found |= set(node.modifier.labels) - of_all
        elif isinstance(node, promql.BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            found |= set(node.modifier.matching.labels) - of_all
    return found


# --- the queries -----------------------------------------------------------------------------------------------------


@EACH
def test_every_query_is_promql_and_asks_for_what_is_exported(name: str) -> None:
    for query in queries(DASHBOARDS[name]):
        assert metrics(query), query
        assert metrics(query) <= EXPORTED.keys(), query
        assert not unknown_labels(query), query


@EACH
def test_a_variable_lists_a_label_that_its_metric_has(name: str) -> None:
    for each in variables(DASHBOARDS[name]):
        if each["type"] == "query":
            asked = LABEL_VALUES.fullmatch(each["definition"])
            assert asked
            assert all(asked[2] in EXPORTED[metric] for metric in metrics(asked[1])), each["definition"]
            assert each["query"]["query"] == each["definition"]


@EACH
def test_every_legend_names_labels_that_are_left(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        for target in panel["targets"]:
            of_all = BY_SCRAPING.union(*(EXPORTED[each] for each in metrics(target["expr"])))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= of_all, panel["title"]


@EACH
def test_every_variable_that_is_used_is_there(name: str) -> None:
    there = {each["name"] for each in variables(DASHBOARDS[name])}
    for query in queries(DASHBOARDS[name]):
        assert set(VARIABLE.findall(query)) - {each[1:] for each in GRAFANAS} <= there, query


@EACH
def test_series_of_one_group_are_told_apart_by_no_process(name: str) -> None:
    """They come from whoever leads: after a change there are two of each for a moment, and joins must not fail."""
    for query in drawn(DASHBOARDS[name]):
        inside = {
            selector.name
            for node in nodes(query)
            if isinstance(node, promql.AggregateExpr)
            for selector in nodes(node.prettify())
            if isinstance(selector, promql.VectorSelector)
        }
        assert {each for each in metrics(query) if "bizrq" in EXPORTED[each]} <= inside, query


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("sum by (bizrq) (bizrq_status_writes_total)", {"bizrq"}),
        ('bizrq_status_writes_total{result="stored"}', {"result"}),
        ('rate(bizrq_status_writes_total{result="stored"}[5m])', {"result"}),
        ("bizrq_leader * on (group) bizrq_floor_age_seconds", {"group"}),
        ('sum by (outcome, instance) (rate(bizrq_status_writes_total{outcome=~"a|b", job="x"}[5m]))', set()),
        ("histogram_quantile(0.9, sum by (le, route) (rate(bizrq_review_seconds_bucket[5m])))", set()),
        ("sum by (le) (bizrq_review_seconds_count)", {"le"}),
    ],
)
def test_a_wrong_label_is_found(query: str, unknown: set[str]) -> None:
    assert unknown_labels(query) == unknown


def test_what_is_no_promql_is_found() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        parsed("sum(bizrq_leader")
    assert metrics("rate(bizrq_status_writes[5m]) / on () bizrq_leader") == {"bizrq_status_writes", "bizrq_leader"}


# --- the rest --------------------------------------------------------------------------------------------------------


@EACH
def test_a_dashboard_can_be_shown_anywhere(name: str) -> None:
    """The source of data is a variable, and nothing is of the machine on which it was made."""
    dashboard = DASHBOARDS[name]
    assert (dashboard["uid"], dashboard["id"]) == (f"bizrq-{name}", None)
    sources = [
        each["datasource"] for each in (*panels(dashboard), *(t for p in panels(dashboard) for t in p["targets"]))
    ]
    sources += [each["datasource"] for each in variables(dashboard) if each["type"] == "query"]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
    assert [each["name"] for each in variables(dashboard) if each["type"] == "datasource"] == ["datasource"]
    chosen = [each["current"] for each in variables(dashboard) if "current" in each]
    assert all(each == {"selected": True, "text": "All", "value": "$__all"} for each in chosen)


@EACH
def test_every_panel_has_a_place_a_unit_and_says_what_it_shows(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["description"], panel["title"]
            assert [each["refId"] for each in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    ids = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(ids)) == len(ids)


def test_links_lead_to_dashboards_that_are_there() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in FILES)
    assert set(re.findall(r"/d/bizrq-(\w+)", text)) == {"group"} <= DASHBOARDS.keys()


def test_the_chart_leaves_them_out_by_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["dashboards"]["enabled"] is False
