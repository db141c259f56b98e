"""Whose child does an object say that it is? [A8].

Saying so proves nothing: anybody can write an ownerReference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["LONGEST_CHAIN", "REPLICA_SET", "Owner", "controller_of"]

REPLICA_SET: Final = ("apps", "ReplicaSet")
"""Group and kind of what stands between a Deployment and its pods, often without a label."""

LONGEST_CHAIN: Final = 16
"""Steps up from an object to its workload; a longer chain is a circle, which anybody can write."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The controlling owner that an object names; it is of the object's own namespace."""

    group: str
    kind: str
    name: str
    uid: str

    @property
    def of_kind(self) -> tuple[str, str]:
        """Group and kind."""
        return self.group, self.kind


def controller_of(raw: Mapping[str, Any]) -> Owner | None:
    """The owner among ``metadata.ownerReferences`` that says it is the controller; None where there is none."""
    for reference in raw["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            group = str(reference.get("apiVersion", "")).rpartition("/")[0]
            return Owner(group, reference.get("kind", ""), reference.get("name", ""), reference.get("uid", ""))
    return None
