"""Which commands and arguments are there?

Every option may also come from the environment as ``BIZRQ_<OPTION>``, such as ``BIZRQ_RESYNC_SECONDS``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bizrq import __version__
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, GpuResources
from bizrq.observability.logs import FORMATS, set_up_logs
from bizrq.settings import (
    DEFAULT_GATHER_SECONDS,
    DEFAULT_METRICS_PORT,
    DEFAULT_RESYNC_SECONDS,
    ControllerSettings,
)

__all__ = ["main"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _option(flag: str, **kwargs: Any) -> Callable[[_F], _F]:
    """An option with its default and its variable in the help."""
    variable = "BIZRQ_" + flag.removeprefix("--").upper().replace("-", "_")
    return click.option(flag, envvar=variable, show_envvar=True, show_default=True, **kwargs)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="bizrq", message="%(prog)s %(version)s")
def main() -> None:
    """Kubernetes quotas that follow the organisation.

    Quotas are objects, BizGroupResourceQuota, that form trees. They count whole workloads, per hardware model, and
    limit core-hours and card-hours. The controller keeps their status true.

    The API server is found by the usual rules: KUBECONFIG, ~/.kube/config, or the pod this runs in.
    """


@main.command()
@_option(
    "--resync-seconds",
    type=click.FloatRange(min=1),
    default=DEFAULT_RESYNC_SECONDS,
    help="Recompute and write every status at least this often.",
)
@_option(
    "--gather-seconds",
    type=click.FloatRange(min=0.0, max=1.5),
    default=DEFAULT_GATHER_SECONDS,
    help="Gather the events of one bizrq for so long into one write.",
)
@_option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_METRICS_PORT,
    help="Port of /metrics, /healthz and /readyz; 0 picks a free one and logs it.",
)
@_option(
    "--workloads",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="A YAML file that describes more kinds of workload, in the form of the built-in one.",
)
@_option(
    "--gpu-resources",
    default=",".join(DEFAULT_GPU_RESOURCES.patterns),
    help="Which extended resources are GPUs: names with commas between them, * allowed, of any domain or with one.",
)
@_option("--log-format", type=click.Choice(FORMATS), default="text", help="How log lines are written, to stderr.")
@_option("--verbose", is_flag=True, help="Log every step.")
def controller(  # noqa: PLR0917  # click calls by name
    resync_seconds: float,
    gather_seconds: float,
    metrics_port: int,
    workloads: Path | None,
    gpu_resources: str,
    log_format: str,
    verbose: bool,  # noqa: FBT001
) -> None:
    """Keep the status of every bizrq true, until SIGTERM.

    Watches bizrqs, labelled workloads, ReplicaSets and pods, and writes to nothing but the status of bizrqs.
    """
    # Here and not above: the controller brings kopf, which the other commands do without.
    from bizrq.cluster.credentials import CredentialsError
    from bizrq.controller.run import run_controller
    from bizrq.workloads.kind import KindError

    patterns = tuple(name.strip() for name in gpu_resources.split(",") if name.strip())
    if not patterns:
        raise click.BadParameter("name at least one resource, such as gpu", param_hint="--gpu-resources")
    set_up_logs(log_format, verbose=verbose)
    settings = ControllerSettings(
        resync_seconds=resync_seconds,
        gather_seconds=gather_seconds,
        metrics_port=metrics_port,
        workloads=workloads,
        gpus=GpuResources(patterns),
    )
    try:
        run_controller(settings)
    except (CredentialsError, KindError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        msg = f"the controller cannot start: {error}"
        raise click.ClickException(msg) from error
