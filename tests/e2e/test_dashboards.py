"""What helm makes of the dashboards, and what Prometheus says of their queries. No cluster, but their programs."""

import json
import subprocess

import pytest
import yaml

from testbed import build, chart
from testbed.errors import HelmFailed
from testbed.parts import PARTS
from testbed.progress import Progress
from tests.support.dashboards import DASHBOARDS, FILES, drawn, queries, without_variables

pytestmark = [pytest.mark.e2e, pytest.mark.parts("helm", "prometheus")]


@pytest.fixture(scope="module")
def promtool():
    program = build.ensure([PARTS["prometheus"]], Progress())["prometheus"] / "promtool"

    def run(*arguments):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    return run


# --- in the chart ----------------------------------------------------------------------------------------------------


def config_maps(**values):
    made = chart.render(chart.CHART, {"dashboards": values})
    return {each["metadata"]["name"]: each for each in made if each["metadata"]["name"].startswith("bizrq-dashboard")}


def test_without_being_asked_for_there_are_none():
    assert config_maps() == {}


def test_the_sidecar_finds_each_file_as_it_is():
    made = config_maps(enabled=True)
    assert made.keys() == {f"bizrq-dashboard-{file.stem}" for file in FILES}
    for file in FILES:
        each = made[f"bizrq-dashboard-{file.stem}"]
        assert each["metadata"]["labels"] == {"grafana_dashboard": "1"}
        assert each["metadata"]["annotations"] == {"grafana_folder": "bizrq"}
        assert each["metadata"]["namespace"] == "bizrq-system"
        assert {name: json.loads(text) for name, text in each["data"].items()} == {
            f"bizrq-{file.name}": DASHBOARDS[file.stem]
        }


def test_another_sidecar_is_served_too():
    made = config_maps(enabled=True, namespace="monitoring", labels={"grafana": "yes"}, annotations={"folder": "quota"})
    labels = {"grafana": "yes", "grafana_dashboard": "1"}  # helm merges maps; null takes one away
    for each in made.values():
        assert each["metadata"]["namespace"] == "monitoring"
        assert (each["metadata"]["labels"], each["metadata"]["annotations"]["folder"]) == (labels, "quota")
    with pytest.raises(HelmFailed, match="enabled"):
        config_maps(enabled="perhaps")


# --- in Prometheus ---------------------------------------------------------------------------------------------------


def test_prometheus_itself_reads_every_query(promtool, tmp_path):
    """The library of tests/test_dashboards.py is another parser than Prometheus' own."""
    rules = [
        {"record": f"{name}:{number}", "expr": without_variables(query)}
        for name, dashboard in DASHBOARDS.items()
        for number, query in enumerate(queries(dashboard))
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    code, told = promtool("check", "rules", "--lint-fatal", str(file))
    assert code == 0, told
    assert f"SUCCESS: {len(rules)} rules found" in told


BURN_DOWN = ("used", "forecast", "granted", "plan")


def test_the_forecast_goes_on_where_the_series_end(promtool, tmp_path):
    """One core-hour of ten in ten minutes, six cores: what Grafana draws to the right of now."""
    panel = next(each for each in DASHBOARDS["cash"]["panels"] if len(each.get("targets", ())) == len(BURN_DOWN))
    lines = {each["legendFormat"]: each["expr"].replace("$bizrq", "team").replace("$key", "cash/limits.cpu")
             for each in panel["targets"]}  # fmt: skip
    of, both = '{bizrq="team"}', '{bizrq="team", key="cash/limits.cpu"}'
    series = {
        f"bizrq_cash_used_resource_seconds{both}": "0+360x10",
        f"bizrq_cash_hard_resource_seconds{both}": "36000x10",
        f"bizrq_cash_spend{both}": "6x10",
        f"bizrq_cash_period_start_timestamp_seconds{of}": "0x10",
        f"bizrq_cash_period_end_timestamp_seconds{of}": "7200x10",
    }
    at: dict[str, dict[str, float | None]] = {
        "10m": {"used": 1, "forecast": 1, "granted": 10, "plan": 10 / 12},
        "70m": {"used": None, "forecast": 7, "granted": 10, "plan": 70 / 12},
        "100m": {"used": None, "forecast": 10, "granted": 10, "plan": 100 / 12},
        "180m": {"used": None, "forecast": 18, "granted": 10, "plan": 10},
    }
    tests = [
        {
            "expr": lines[name],
            "eval_time": moment,
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for moment, values in at.items()
        for name, value in values.items()
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    whole = {"fuzzy_compare": True, "tests": [{"interval": "1m", "input_series": given, "promql_expr_test": tests}]}
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")
    code, told = promtool("test", "rules", str(file))
    assert code == 0, told
    assert lines.keys() == set(BURN_DOWN)


def test_a_second_leader_breaks_no_query(promtool, tmp_path):
    """For a moment after a change of leaders two controllers show the same groups; a join must not fail by that."""
    figures = ("used", "hard", "cash_used_resource_seconds", "cash_hard_resource_seconds", "cash_self_spend")
    shown = [
        'info{bizrq="team", parent="", root="team"',
        'claims_open{bizrq="team"',
        *(f'{each}{{bizrq="team", key="limits.cpu"' for each in (*figures, "refusals_total")),
        *(f'condition{{bizrq="team", type="{each}"' for each in
          ("Ready", "OverQuota", "CashExhausted", "SurgeStanding")),
    ]  # fmt: skip
    given = [
        {"series": f'bizrq_{each}, instance="{process}"}}', "values": "1x10"} for each in shown for process in "ab"
    ]
    for query in drawn(DASHBOARDS["tree"]):
        tests = [{"expr": f"count({without_variables(query, all_=True)}) * 0", "eval_time": "8m",
                  "exp_samples": [{"labels": "{}", "value": 0}]}]  # fmt: skip
        whole = {"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": tests}]}
        file = tmp_path / "tests.yaml"
        file.write_text(yaml.safe_dump(whole), encoding="utf-8")
        code, told = promtool("test", "rules", str(file))
        assert code == 0, (query, told)
