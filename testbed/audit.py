"""Which requests did the processes of bizrq make, and what did the API server say to each?

An audit log with a line for each request of bizrq's service accounts, written before the request is answered. Nobody
else's requests are in it, and no bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from testbed import statefolder
from testbed.identities import ACCOUNTS

JSON = dict[str, Any]
_POLICY: Final = f"{statefolder.AUDIT}/policy.json"
_LOG: Final = f"{statefolder.AUDIT}/audit.log"


def switch_on(state: Path) -> list[str]:
    """Write the policy; returns what the API server must be told, seen from the state folder."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],  # a watch is told once it is answered, and once it ends
        "rules": [{"level": "Metadata", "users": [account.user for account in ACCOUNTS]}, {"level": "None"}],
    }
    statefolder.write_private(state / _POLICY, json.dumps(policy))
    # 0 megabytes: the log is never moved away and begun anew.
    return [f"--audit-policy-file={_POLICY}", f"--audit-log-path={_LOG}", "--audit-log-maxsize=0"]


def read(state: Path) -> Iterator[JSON]:
    """The events of the log, as ``audit.k8s.io/v1``; a last line that is still being written is left out."""
    with (state / _LOG).open(encoding="utf-8") as log:
        for line in log:
            if line.endswith("\n"):
                yield json.loads(line)
