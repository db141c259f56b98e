"""Which CRDs of other projects can be had, and where are their files?

They come inside Go modules, at the version and with the checksum that stand here. Nothing is built: Go brings the
module into its own cache, where the files are read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.errors import BuildFailed, MissingTool

_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Source:
    module: str
    version: str
    checksum: str
    """As in a go.sum."""
    pattern: str


SOURCES: Final = {
    "cert-manager": _Source(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        "deploy/crds/cert-manager.io_[ci]*s.yaml",
    ),
    "jobset": _Source(
        "sigs.k8s.io/jobset",
        "v0.10.1",
        "h1:u8QKifNsrWVrlRFe6w2ofYTqFT9ma2DRHxfeB2m9xyU=",
        "config/components/crd/bases/*.yaml",
    ),
    "kuberay": _Source(
        "github.com/ray-project/kuberay/ray-operator",
        "v1.4.2",
        "h1:A4tGzbIky8sInAUxZBdBb+rrpZ7fbqoxdsOtm559Zqg=",
        "config/crd/bases/*.yaml",
    ),
    "leaderworkerset": _Source(
        "sigs.k8s.io/lws", "v0.7.0", "h1:qWfzX8+UBak+Hq0+m/PuE3uO0mp/3dmm5q/h/7z31A8=", "config/crd/bases/*.yaml"
    ),
    "mpi": _Source(
        "github.com/kubeflow/mpi-operator",
        "v0.6.0",
        "h1:RzzG03oyQIiHe/SH2k19N+Hp4QkxEsG2l9G1T7US+ys=",
        "manifests/base/kubeflow.org_mpijobs.yaml",
    ),
    "prometheus": _Source(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "rollouts": _Source(
        "github.com/argoproj/argo-rollouts",
        "v1.10.1",
        "h1:6oyVPGiHHxu3ixkT6mngemh88HLPDoTX1IwO6KNR1Y4=",
        "manifests/crds/rollout-crd.yaml",
    ),
    "spark": _Source(
        "github.com/kubeflow/spark-operator/v2",
        "v2.2.1",
        "h1:mnpC5IadjjsFu+Ujy1qcKHYYBr1OucAWQJBaIBIPOnQ=",
        "config/crd/bases/*_sparkapplications.yaml",
    ),
    "trainer": _Source(
        "github.com/kubeflow/trainer/v2",
        "v2.0.0",
        "h1:mnQSR9iPKItxyUR8mq66XsmxqKNVHwr9YYOB7BTU9dU=",
        "manifests/base/crds/*_*.yaml",
    ),
    "training": _Source(
        "github.com/kubeflow/training-operator",
        "v1.8.1",
        "h1:mVvoBSCInbMBX0gGSn4+Ihj3ycwoLO1iEAw+0qPhQfc=",
        "manifests/base/crds/kubeflow.org_[tp][fy]*jobs.yaml",
    ),
}
"""By the name of the project."""


def files(name: str) -> list[Path]:
    """The CRDs of a project. Raises MissingTool without Go, BuildFailed where the module cannot be had."""
    source = SOURCES[name]
    go = shutil.which("go")
    if go is None:
        raise MissingTool("go is needed to fetch the CRDs of other projects: see https://go.dev/doc/install")
    with tempfile.TemporaryDirectory(prefix="bizrq-crds-") as folder:  # no module of ours shall be changed
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{source.module}@{source.version}"],
            cwd=folder,
            env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "on"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    told = json.loads(done.stdout or "{}")
    if told.get("Sum") != source.checksum:
        raise BuildFailed(f"{source.module}@{source.version}: {told.get('Error') or done.stderr or told.get('Sum')}")
    found = sorted(Path(told["Dir"]).glob(source.pattern))
    if not found:
        raise BuildFailed(f"{source.module}@{source.version} has no {source.pattern}")
    return found
