"""How does Prometheus come into a test bed, and whom does it ask?

It asks every operator process of the test bed, those started later too: each has a file in the folder ``targets``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from testbed import servers, statefolder

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = "prometheus.yml"
_SCRAPE_SECONDS = 1  # tests wait for what it sees


def start_prometheus(state: Path, program: Path) -> str:
    """Start it and wait until it is ready; returns its URL. It has no alert rules: tests of those use promtool."""
    config = {
        "global": {"scrape_interval": f"{_SCRAPE_SECONDS}s", "evaluation_interval": f"{_SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {
                "job_name": "bizrq",
                "file_sd_configs": [{"files": [f"{statefolder.TARGETS}/*.json"], "refresh_interval": "1s"}],
            }
        ],
    }
    (state / _CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    _, port = servers.start_listening(
        state,
        "prometheus",
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


def add_target(state: Path, name: str, port: int) -> None:
    """Have Prometheus, if there is one, ask this process for its metrics; ``name`` becomes the label ``instance``."""
    target = [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}}]
    (state / statefolder.TARGETS / f"{name}.json").write_text(json.dumps(target), encoding="utf-8")
