"""Which parts can be built, what does each consist of, and under which key is it cached?"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import BedError

MODULES = Path(__file__).resolve().parent / "modules"
_VERSION = "k8s.io/component-base/version"
_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Files:
    """Files of a Go module that are needed beside the programs: ``pattern`` in ``module``, copied to ``folder``."""

    module: str
    pattern: str
    folder: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one Go module under ``modules/`` gives.

    ``cold_seconds`` is what the build took on 2 cores with an empty Go cache; ``renamed`` are programs that Go names
    after their folder.
    """

    name: str
    programs: tuple[str, ...]
    cold_seconds: int
    ldflags: str = "-s -w"
    renamed: dict[str, str] = field(default_factory=dict)
    files: tuple[Files, ...] = ()

    @property
    def folder(self) -> Path:
        """Where go.mod lies."""
        return MODULES / self.name

    def key(self) -> str:
        """What the build depends on, as a hash: the module files, how it is built, and the kind of machine."""
        recipe = (
            self.programs,
            self.ldflags,
            sorted(self.renamed.items()),
            self.files,
            platform.system(),
            platform.machine(),
        )
        digest = hashlib.sha256(repr(recipe).encode())
        for name in ("go.mod", "go.sum"):
            content = (self.folder / name).read_bytes()
            digest.update(f"{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:_KEY_DIGITS]

    def go_version(self) -> tuple[int, ...]:
        """The Go version that its go.mod asks for."""
        found = re.search(r"^go (\d+(?:\.\d+)*)$", (self.folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
        if not found:
            raise BedError(f"{self.folder / 'go.mod'} names no Go version")
        return tuple(int(number) for number in found[1].split("."))

    def missing_in(self, folder: Path) -> str:
        """What of this part the folder lacks, in words; empty if it has all."""
        for program in self.programs:
            if not os.access(folder / program, os.X_OK):
                return program
        for files in self.files:
            if not any((folder / files.folder).glob("*.yaml")):
                return f"{files.folder}/"
        return ""


_ALL = (
    Part("etcd", ("etcd",), 24, renamed={"server": "etcd"}),
    Part(
        "kwok",
        ("kwok",),
        60,
        files=(
            Files("sigs.k8s.io/kwok", "kustomize/crd/bases/kwok.x-k8s.io_stages.yaml", "kwok-crds"),
            Files("sigs.k8s.io/kwok", "kustomize/stage/node/fast/node-initialize.yaml", "kwok-stages"),
            Files(
                "sigs.k8s.io/kwok",
                "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
                "kwok-stages",
            ),
        ),
    ),
    Part(
        "kubernetes",
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
        275,
        # Without these the server says that it is v0.0.0, and clients refuse it.
        ldflags=f"-s -w -X {_VERSION}.gitVersion=v1.36.3 -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36",
    ),
    Part("helm", ("helm",), 110),
    # The chart is for both; only its tests need the older one.
    Part("helm3", ("helm",), 100),
    Part(
        "rollouts",
        ("rollouts-controller",),
        136,
        files=(Files("github.com/argoproj/argo-rollouts", "manifests/crds/*-crd.yaml", "rollouts-crds"),),
    ),
    Part(
        "training",
        ("training-operator",),
        58,
        renamed={"training-operator.v1": "training-operator"},
        files=(
            Files("github.com/kubeflow/training-operator", "manifests/base/crds/kubeflow.org_*.yaml", "training-crds"),
        ),
    ),
    Part("prometheus", ("prometheus", "promtool"), 240),
)
PARTS = {part.name: part for part in _ALL}
BASE = tuple(
    PARTS[name] for name in ("etcd", "kwok", "helm", "kubernetes")
)  # the shortest build first: errors show early
