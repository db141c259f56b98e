"""What does the chart of this checkout install, with these values?

The chart is the one source: the test bed has helm render it, and applies the result itself. So nothing of a release is
kept in the cluster, and a part of the chart can be taken away again.
"""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from testbed import build
from testbed.control import ROOT
from testbed.errors import HelmFailed, NotAvailable
from testbed.identities import NAMESPACE
from testbed.parts import PARTS
from testbed.progress import Progress

JSON = dict[str, Any]
CHART: Final = ROOT / "charts" / "bizrq"
CONFIGURATION: Final = "ValidatingWebhookConfiguration"
_RIGHTS: Final = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
_SECONDS: Final = 300.0  # longer than helm itself is told to wait for anything


def rights(workloads: Sequence[Mapping[str, Any]] = ()) -> list[JSON]:
    """The accounts of both processes and what these may do, with these kinds beside those that the chart knows.

    Raises HelmFailed, NotAvailable.
    """
    return [value for value in render(CHART, {"workloads": [*workloads]}) if value["kind"] in _RIGHTS]


def configuration(values: Mapping[str, Any]) -> JSON:
    """The webhook configuration that the chart makes of these values. Raises HelmFailed, NotAvailable."""
    (found,) = (value for value in render(CHART, values) if value["kind"] == CONFIGURATION)
    return found


def render(chart: Path, values: Mapping[str, Any] | None = None, *, tests: bool = False) -> list[JSON]:
    """All objects that a chart makes of these values, without or with those of ``helm test``.

    Raises HelmFailed, NotAvailable if there is no such chart.
    """
    if not (chart / "Chart.yaml").exists():
        raise NotAvailable(f"this checkout has no {chart.relative_to(ROOT)}: nothing can be installed from it")
    arguments = [f"--namespace={NAMESPACE}", "--values=-", *([] if tests else ["--skip-tests"])]
    text = helm("template", "bizrq", str(chart), *arguments, stdin=json.dumps(values or {}))
    return [value for value in yaml.safe_load_all(text) if value]


@functools.cache
def _program(part: str) -> Path:
    return build.ensure([PARTS[part]], Progress())[part] / "helm"


def helm(*arguments: str, stdin: str = "", part: str = "helm", kubeconfig: Path | None = None) -> str:
    """What helm prints on stdout, that of ``part``; raises HelmFailed with what it says on stderr and stdout.

    Without a kubeconfig it finds no cluster.
    """
    with tempfile.TemporaryDirectory(prefix="bizrq-helm-") as home:  # it shall neither read nor write the user's own
        environment = {f"HELM_{name}_HOME": home for name in ("CACHE", "CONFIG", "DATA")} | {"HOME": home}
        if kubeconfig:
            environment["KUBECONFIG"] = str(kubeconfig)
        done = subprocess.run(
            [_program(part), *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    if done.returncode:
        raise HelmFailed(f"helm {arguments[0]}: {done.stderr.strip()}{done.stdout.strip()}")
    return done.stdout
