"""How does Prometheus come into a test bed, whom does it ask, and what does it alert on?

It asks every operator process of the test bed, those started later too: each has a file in the folder ``targets``. Its
rules are those that the chart ships, until a test loads others.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Final

import yaml

from testbed import chart, servers, statefolder

if TYPE_CHECKING:
    from pathlib import Path

ALERTS: Final = chart.CHART / "files" / "alerts.yaml"
"""The rules that are shipped."""

PROMETHEUS: Final = "prometheus"
"""The process."""

_CONFIG = "prometheus.yml"
_RULES = "alerts.yaml"
_SCRAPE_SECONDS = 1  # tests wait for what it sees


def start_prometheus(state: Path, program: Path) -> str:
    """Start it with the rules that are shipped, and wait until it is ready; returns its URL."""
    config = {
        "global": {"scrape_interval": f"{_SCRAPE_SECONDS}s", "evaluation_interval": f"{_SCRAPE_SECONDS}s"},
        "rule_files": [_RULES],
        "scrape_configs": [
            {
                "job_name": "bizrq",
                "file_sd_configs": [{"files": [f"{statefolder.TARGETS}/*.json"], "refresh_interval": "1s"}],
            }
        ],
    }
    (state / _CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (state / _RULES).write_text(ALERTS.read_text(encoding="utf-8"), encoding="utf-8")
    _, port = servers.start_listening(
        state,
        PROMETHEUS,
        lambda port: [
            str(program),
            f"--config.file={_CONFIG}",
            "--storage.tsdb.path=prometheus",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        count=1,
        ready=lambda port: servers.answers(port, "/-/ready"),
    )
    return f"http://127.0.0.1:{port}"


def load_rules(state: Path, pid: int, text: str) -> None:
    """Have a Prometheus that runs take these rules in place of those it has; it needs a moment for that.

    It keeps what it had, and says so in its log, if they are no good.
    """
    (state / _RULES).write_text(text, encoding="utf-8")
    os.kill(pid, signal.SIGHUP)


def add_target(state: Path, name: str, port: int) -> None:
    """Have Prometheus, if there is one, ask this process for its metrics; ``name`` becomes the label ``instance``."""
    target = [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}}]
    (state / statefolder.TARGETS / f"{name}.json").write_text(json.dumps(target), encoding="utf-8")
