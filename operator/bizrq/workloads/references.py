"""Which pod template does a workload have that stands in another object?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.workloads.kind import At, Resource

__all__ = ["Borrowed", "Referred", "TemplateRef"]

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TemplateRef:
    """An object of the same namespace whose pod template a workload refers to."""

    group: str
    version: str
    resource: str
    kind: str
    name: str

    @property
    def target(self) -> Resource:
        """What it is."""
        return Resource(self.group, self.version, self.resource, self.kind)

    def __str__(self) -> str:
        """``Deployment web``, for people."""
        return f"{self.kind} {self.name}"


Referred = Mapping[TemplateRef, JSON]
"""Objects that workloads refer to, as they are now."""


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A group of pods whose template another object has, which was not at hand."""

    place: int
    """Where it stands among the groups."""
    ref: TemplateRef
    template: At
    """Where the template stands in that object."""
    replicas: int
    path: str
    """Where the reference stands, for people."""
