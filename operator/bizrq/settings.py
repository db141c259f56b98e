"""Which setting exists, in which unit and range?

Flags and ``BIZRQ_*`` variables are read once, by the command line; everything else gets these values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, GpuResources

__all__ = ["DEFAULT_GATHER_SECONDS", "DEFAULT_METRICS_PORT", "DEFAULT_RESYNC_SECONDS", "ControllerSettings"]

DEFAULT_RESYNC_SECONDS: Final = 300.0
"""Every status is recomputed and written at least this often [R2]."""

DEFAULT_GATHER_SECONDS: Final = 0.25
"""How long events of one bizrq are gathered into one write [R1]: within 0.2 and 0.5 s."""

DEFAULT_METRICS_PORT: Final = 8080


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What ``bizrq controller`` was told."""

    resync_seconds: float = DEFAULT_RESYNC_SECONDS
    gather_seconds: float = DEFAULT_GATHER_SECONDS
    metrics_port: int = DEFAULT_METRICS_PORT
    """Serves /metrics, /healthz and /readyz; 0 picks a free one."""
    workloads: Path | None = None
    """A YAML file with more kinds of workload."""
    gpus: GpuResources = field(default=DEFAULT_GPU_RESOURCES)
