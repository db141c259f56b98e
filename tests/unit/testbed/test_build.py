"""Is a part built once, whole or not at all, and found again? With a ``go`` that only pretends."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from testbed import build, parts
from testbed.errors import BuildFailed, MissingTool
from testbed.parts import PARTS, Files, Part
from testbed.progress import Progress
from tests.support.kube import wait_until

ROOT = Path(__file__).resolve().parents[3]

GO = """#!/bin/sh
case "$1" in
version) echo "go version go$GO_VERSION linux/amd64" ;;
list) echo "$GO_MODULE" ;;
build)
    echo "$$" >> "$GO_BUILDS"
    while [ "$1" != -o ]; do shift; done
    echo half > "$2/tool"
    while [ -n "$GO_GATE" ] && [ ! -e "$GO_GATE" ]; do sleep 0.02; done
    [ -z "$GO_ERROR" ] || { echo "some/package"; echo "$GO_ERROR"; exit 1; }
    printf '#!/bin/sh\\n' > "$2/tool"
    chmod +x "$2/tool" ;;
esac
"""

PART = Part(
    "toy", ("program",), 7, renamed={"tool": "program"}, files=(Files("example/toy", "crds/*.yaml", "toy-crds"),)
)

BUILDER = """
import sys
from pathlib import Path
from testbed import build, parts
from testbed.progress import Progress
from tests.unit.testbed.test_build import PART
parts.MODULES = Path(sys.argv[1])
print(build.ensure([PART], Progress())["toy"])
"""


@dataclass
class Machine:
    """A machine with a pretended go, one module and an empty cache."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def gate(self) -> Path:
        """A build waits for this file if ``shut`` was called."""
        return self.folder / "gate"

    def shut(self) -> None:
        self.monkeypatch.setenv("GO_GATE", str(self.gate))

    def builds(self) -> list[int]:
        """The process id of each build so far."""
        log = self.folder / "builds"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def entries(self) -> list[str]:
        """What is in the cache, but for locks and logs."""
        return sorted(entry.name for entry in self.cache.glob("toy-*"))

    def builder(self) -> subprocess.Popen[str]:
        """Another process that builds the part."""
        return subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(parts.MODULES)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests with & in a script has them, and so this, ignore SIGINT.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def build(self) -> Path:
        return build.ensure([PART], Progress())["toy"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    binaries, module, modules = tmp_path / "bin", tmp_path / "toy@v1", tmp_path / "modules"
    binaries.mkdir()
    (binaries / "go").write_text(GO)
    (binaries / "go").chmod(0o755)
    (module / "crds").mkdir(parents=True)
    (module / "crds" / "toys.yaml").write_text("kind: Toy\n")
    (modules / "toy").mkdir(parents=True)
    (modules / "toy" / "go.mod").write_text("module toy\n\ngo 1.26.0\n")
    (modules / "toy" / "go.sum").write_text("sum\n")
    monkeypatch.setattr(parts, "MODULES", modules)
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
    monkeypatch.setenv("GO_VERSION", "1.26.0")
    monkeypatch.setenv("GO_MODULE", str(module))
    monkeypatch.setenv("GO_BUILDS", str(tmp_path / "builds"))
    monkeypatch.setenv(build.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(build.ASSETS, raising=False)
    return Machine(tmp_path, monkeypatch)


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "go.mod").write_text("module toy\n\ngo 1.27\n"), id="go.mod"),
        pytest.param(lambda folder: (folder / "go.sum").write_text("other\n"), id="go.sum"),
    ],
)
def test_a_changed_module_file_is_another_key(machine: Machine, change: Callable[[Path], object]) -> None:
    before = PART.key()
    (parts.MODULES / "toy" / "README").write_text("says nothing about what is built")
    assert PART.key() == before
    change(parts.MODULES / "toy")
    assert PART.key() != before


def test_another_way_to_build_is_another_key(machine: Machine) -> None:
    keys = {PART.key(), replace(PART, ldflags="-s").key(), replace(PART, files=()).key()}
    assert len(keys) == 3


def test_what_moves_from_one_module_file_to_the_other_is_another_key(machine: Machine) -> None:
    before = PART.key()
    (parts.MODULES / "toy" / "go.mod").write_text("module toy\n\ngo 1.26.0\nsum\n")
    (parts.MODULES / "toy" / "go.sum").write_text("")
    assert PART.key() != before


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_part_has_its_module_files(part: Part) -> None:
    assert part.key()
    assert part.go_version() >= (1, 26)


# --- lookup ----------------------------------------------------------------------------------------------------------


def test_a_part_is_built_once_and_then_found_without_go(machine: Machine) -> None:
    folder = machine.build()
    assert folder == machine.cache / f"toy-{PART.key()}"
    assert os.access(folder / "program", os.X_OK)
    assert (folder / "toy-crds" / "toys.yaml").read_text() == "kind: Toy\n"
    machine.monkeypatch.setenv("PATH", str(machine.folder))
    assert machine.build() == folder
    assert len(machine.builds()) == 1


def test_kubebuilder_assets_come_first(machine: Machine) -> None:
    assets = machine.folder / "assets"
    (machine.folder / "toy@v1" / "crds").rename(machine.folder / "toy-crds")
    assets.mkdir()
    (machine.folder / "toy-crds").rename(assets / "toy-crds")
    (assets / "program").touch(0o755)
    machine.monkeypatch.setenv(build.ASSETS, str(assets))
    assert machine.build() == assets
    assert not machine.builds()


def test_kubebuilder_assets_that_lack_something_are_passed_over(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assets = machine.folder / "assets"
    assets.mkdir()
    (assets / "program").touch(0o755)
    machine.monkeypatch.setenv(build.ASSETS, str(assets))
    assert machine.build() == build.entry(PART)
    assert "KUBEBUILDER_ASSETS lacks toy-crds/ of toy" in capsys.readouterr().err


# --- what can go wrong -----------------------------------------------------------------------------------------------


def test_without_go_the_message_says_how_to_get_it(machine: Machine) -> None:
    machine.monkeypatch.setenv("PATH", str(machine.folder))
    with pytest.raises(MissingTool, match=r"Go 1\.26\.0 or newer .* no go on PATH: install it"):
        machine.build()


def test_an_old_go_is_not_even_tried(machine: Machine) -> None:
    machine.monkeypatch.setenv("GO_VERSION", "1.25.9")
    with pytest.raises(MissingTool, match=r"Go 1\.26\.0 or newer is needed to build toy, .*/go is 1\.25\.9"):
        machine.build()
    assert not machine.builds()


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing(machine: Machine) -> None:
    machine.monkeypatch.setenv("GO_ERROR", "toy.go:1: no such thing")
    with pytest.raises(BuildFailed, match=r"(?s)building toy failed.*toy\.go:1: no such thing.*log: .*/logs/toy\.log"):
        machine.build()
    assert machine.entries() == []
    assert build.locate(PART, Progress()) is None


def test_two_builds_at_once_share_one_result(machine: Machine) -> None:
    machine.shut()
    with machine.builder() as first, machine.builder() as second:
        wait_until(machine.builds, "one of them builds")
        machine.gate.touch()
        said = [process.communicate(timeout=30) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], said
    assert {out for out, _ in said} == {f"{build.entry(PART)}\n"}
    assert len(machine.builds()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_build_that_is_ended_leaves_nothing_that_looks_finished(machine: Machine, number: signal.Signals) -> None:
    machine.shut()
    with machine.builder() as builder:
        (go,) = wait_until(machine.builds, "the build runs")
        builder.send_signal(number)
        builder.communicate(timeout=30)
    wait_until(lambda: not Path(f"/proc/{go}/stat").exists() or _zombie(go), "go is gone too")
    assert build.locate(PART, Progress()) is None
    if number == signal.SIGINT:
        assert machine.entries() == []
    machine.gate.touch()
    assert machine.build() == build.entry(PART)
    assert machine.entries() == [build.entry(PART).name], "the next build deletes what a killed one left"


def _zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


# --- progress --------------------------------------------------------------------------------------------------------


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    progress.say("building toy")
    for now in range(100, 132):  # the clock above reads it
        progress.tick("toy (3 packages)", now - 100, 275)
    assert capsys.readouterr().err.splitlines() == [
        "building toy",
        "  toy (3 packages): 0:15 of about 4:35",
        "  toy (3 packages): 0:30 of about 4:35",
    ]
