"""How is the test bed's kubectl run?"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from testbed.errors import KubectlFailed

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 120.0


def run(kubectl: Path, kubeconfig: Path, cache: Path, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl prints on stdout; raises KubectlFailed with what it says on stderr.

    ``cache`` is for its discovery cache: the one in the home folder goes by address, and another test bed may have had
    the same.
    """
    done = subprocess.run(
        [kubectl, "--kubeconfig", kubeconfig, *arguments],
        env={**os.environ, "KUBECACHEDIR": str(cache)},
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
