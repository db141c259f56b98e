"""How is the test bed's kubectl run?"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import KubectlFailed
from testbed.identities import ADMIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The kubectl of one test bed: call it to run it, or use it as the path of the program."""

    program: Path
    kubeconfigs: Mapping[str, Path]
    cache: Path
    """For its discovery cache: the one in the home folder goes by address, and an earlier test bed may have had it."""

    def __call__(self, *arguments: str, user: str = ADMIN, stdin: str = "") -> str:
        """What it prints on stdout; raises KubectlFailed with what it says on stderr."""
        done = subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfigs[user], *arguments],
            env={**os.environ, "KUBECACHEDIR": str(self.cache)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def __fspath__(self) -> str:
        return str(self.program)

    def __str__(self) -> str:
        return str(self.program)
