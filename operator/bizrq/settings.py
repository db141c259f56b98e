"""Which setting exists, in which unit and range?

Flags and ``BIZRQ_*`` variables are read once, by the command line; everything else gets these values.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, GpuResources

__all__ = ["DEFAULT_GATHER_SECONDS", "DEFAULT_METRICS_PORT", "DEFAULT_RESYNC_SECONDS", "ControllerSettings"]
__all__ += ["DEFAULT_DRAIN_SECONDS", "DEFAULT_PORT", "DEFAULT_WEBHOOK_METRICS_PORT", "WebhookSettings"]
__all__ += ["DEFAULT_TRUSTED_CONTROLLERS", "Autoscalers", "Mode"]
__all__ += ["DEFAULT_CERTIFICATE_DAYS", "DEFAULT_PROPAGATION_SECONDS", "DEFAULT_WEBHOOK_CONFIGURATION"]
__all__ += ["PROPAGATIONS_IN_A_LIFETIME", "Certificates", "SecretName"]

DEFAULT_RESYNC_SECONDS: Final = 300.0
"""Every status is recomputed and written at least this often [R2]."""

DEFAULT_GATHER_SECONDS: Final = 0.25
"""How long events of one bizrq are gathered into one write [R1]: within 0.2 and 0.5 s."""

DEFAULT_WEBHOOK_CONFIGURATION: Final = "bizrq"
"""As the chart calls it."""

DEFAULT_METRICS_PORT: Final = 8080

DEFAULT_WEBHOOK_METRICS_PORT: Final = 8081
"""Another than the controller's: both may run on one machine."""

DEFAULT_PORT: Final = 9443

DEFAULT_DRAIN_SECONDS: Final = 5.0
"""About what it takes until every API server knows that an endpoint is gone."""

DEFAULT_CERTIFICATE_DAYS: Final = 90.0

DEFAULT_PROPAGATION_SECONDS: Final = 300.0
"""A kubelet looks about once a minute for new contents of Secrets, and by default one minute more may pass; a webhook
takes 5 s then, and an API server hears of a new configuration at once. This is twice that, and some."""

PROPAGATIONS_IN_A_LIFETIME: Final = 15
"""A rotation takes about two of these, and begins when a third of the lifetime is left: so half of that is left over.
"""

DEFAULT_TRUSTED_CONTROLLERS: Final = (
    "system:kube-controller-manager",
    *(
        f"system:serviceaccount:kube-system:{name}-controller"
        for name in ("deployment", "replicaset", "replication", "statefulset", "job", "cronjob", "daemon-set")
    ),
)
"""User names whose children are believed to be children: Kubernetes' own controllers, which act under one name or,
with ``--use-service-account-credentials``, under one each."""


class Mode(enum.StrEnum):
    """What becomes of a refusal."""

    ENFORCE = "enforce"
    """It is one."""
    WARN = "warn"
    """It is let through with a warning."""


class Autoscalers(enum.StrEnum):
    """What is answered to an autoscaler whose maximum does not fit [A10]."""

    WARN = "warn"
    """It is stored, with a warning."""
    REFUSE = "refuse"
    """It is refused."""


class Certificates(enum.StrEnum):
    """Who makes the certificates of the webhook."""

    OPERATOR = "operator"
    """We do."""
    EXTERNAL = "external"
    """Somebody else, as cert-manager, who also tells the API servers what to trust: ours are the tokens only."""


@dataclass(frozen=True, slots=True)
class SecretName:
    """Which Secret."""

    namespace: str
    name: str


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
    lease_namespace: str | None = None
    """Where the Lease of the leader is; "" is nowhere: this controller works, whoever else does. None: that of the pod
    this runs in, and nowhere outside of a cluster [R4]."""
    webhook_configuration: str = DEFAULT_WEBHOOK_CONFIGURATION
    """The ValidatingWebhookConfiguration by which our webhook is called; whether it is in force is watched. "" is none.
    """
    webhook_secret: SecretName | None = None
    """Where the webhook's certificate and tokens are kept; None: they are not ours to make."""
    webhook_certificates: Certificates = Certificates.OPERATOR
    webhook_certificate_days: float = DEFAULT_CERTIFICATE_DAYS
    """How long a new certificate is for; it is renewed when a third of that is left."""
    webhook_propagation_seconds: float = DEFAULT_PROPAGATION_SECONDS
    """After so long, what was written is known to every webhook and every API server."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """What ``bizrq webhook`` was told. At least one of ``path_token_file`` and ``client_ca_file`` is there."""

    cert_file: Path
    """Our certificate in PEM, with those that are between it and its authority behind it."""
    key_file: Path
    path_token_file: Path | None = None
    """Tokens of the path, one a line."""
    client_ca_file: Path | None = None
    """The authority, in PEM, of clients that need no token."""
    port: int = DEFAULT_PORT
    """Serves reviews; 0 picks a free one."""
    workloads: Path | None = None
    """A YAML file with more kinds of workload."""
    metrics_port: int = DEFAULT_WEBHOOK_METRICS_PORT
    """Serves /metrics, /healthz and /readyz; 0 picks a free one."""
    gpus: GpuResources = field(default=DEFAULT_GPU_RESOURCES)
    drain_seconds: float = DEFAULT_DRAIN_SECONDS
    """How long requests are still accepted after SIGTERM."""
    authorize: bool = True
    """Whether naming a bizrq and taking from one needs a right [A12]."""
    trusted_controllers: tuple[str, ...] = DEFAULT_TRUSTED_CONTROLLERS
    """User names whose children are believed to be children [A11, A12]."""
    mode: Mode = Mode.ENFORCE
    """What becomes of a refusal where the namespace says nothing of it."""
    autoscalers: Autoscalers = Autoscalers.WARN
    """What becomes of an autoscaler whose maximum does not fit [A10]."""
