"""What must the machine have, and how does one get it?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from testbed.errors import MissingTool

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.parts import Part

_PYTHON = (3, 11)


def check_machine() -> None:
    """Raises MissingTool on a system other than Linux and on an old Python."""
    if not sys.platform.startswith("linux"):
        raise MissingTool(
            "the test bed needs Linux (pidfd, death signals): on other systems run it in a Linux container"
        )
    if sys.version_info < _PYTHON:  # nothing keeps an older one from running this
        raise MissingTool(
            f"Python {'.'.join(map(str, _PYTHON))} or newer is needed, this is {sys.version.split()[0]}: install "
            "python3.11 or newer with your package manager, pyenv or uv, and make the virtual environment with it"
        )


def check_kernel() -> None:
    """Raises MissingTool where processes cannot be held on to."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise MissingTool(
            f"the test bed needs pidfd_open, which this system refuses ({error}): Linux 5.3 or newer has it, and "
            "a container's seccomp profile must allow it"
        ) from error


def note_make() -> str:
    """A remark if make is missing; empty otherwise. The test bed goes without, the project's Makefile does not."""
    if shutil.which("make"):
        return ""
    return "note: make is not installed, so the targets of the Makefile will not run: install the package make"


def check_go(parts: list[Part], folder: Path) -> str:
    """The path of a Go that can build these parts; raises MissingTool with the way to get one.

    ``folder`` is one without a go.mod, so that go does not think of fetching another version of itself.
    """
    needed = max(part.go_version() for part in parts)
    text = ".".join(map(str, needed))
    what = f"Go {text} or newer is needed to build {', '.join(part.name for part in parts)}"
    how = (
        "install it with your package manager (package golang or go) or from the Go project's download page, and put "
        "its bin folder on PATH. Or set KUBEBUILDER_ASSETS to a folder that has the programs"
    )
    go = shutil.which("go")
    if not go:
        raise MissingTool(f"{what}, and there is no go on PATH: {how}")
    said = subprocess.run(
        [go, "version"],
        cwd=folder,
        env={**os.environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", said.stdout)
    if not found:
        raise MissingTool(f"{what}, and `{go} version` says nothing of the kind ({said.stdout.strip()!r}): {how}")
    if tuple(int(number or 0) for number in found.groups()) < needed:
        raise MissingTool(f"{what}, {go} is {found[0].removeprefix('go')}: {how}")
    return go
