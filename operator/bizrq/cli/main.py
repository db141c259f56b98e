"""Which commands and arguments are there?

Every option may also come from the environment as ``BIZRQ_<OPTION>``, such as ``BIZRQ_RESYNC_SECONDS``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bizrq import __version__
from bizrq.cli import parsers
from bizrq.cli.books import books
from bizrq.cli.check import check
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES, GpuResources
from bizrq.observability.logs import FORMATS, set_up_logs
from bizrq.settings import (
    DEFAULT_CERTIFICATE_DAYS,
    DEFAULT_DRAIN_SECONDS,
    DEFAULT_GATHER_SECONDS,
    DEFAULT_METRICS_PORT,
    DEFAULT_PORT,
    DEFAULT_PROPAGATION_SECONDS,
    DEFAULT_RESYNC_SECONDS,
    DEFAULT_TRUSTED_CONTROLLERS,
    DEFAULT_WEBHOOK_CONFIGURATION,
    DEFAULT_WEBHOOK_METRICS_PORT,
    PROPAGATIONS_IN_A_LIFETIME,
    Autoscalers,
    Certificates,
    ControllerSettings,
    Mode,
    SecretName,
    WebhookSettings,
)

__all__ = ["main"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _option(flag: str, **kwargs: Any) -> Callable[[_F], _F]:
    """An option with its default and its variable in the help."""
    variable = "BIZRQ_" + flag.removeprefix("--").upper().replace("-", "_")
    return click.option(flag, envvar=variable, show_envvar=True, show_default=True, **kwargs)


_DAY_SECONDS: Final = 86_400


def _shared_options(*, metrics_port: int, reviews: bool) -> Callable[[_F], _F]:
    """The options of both processes; they differ in the default of the port.

    Without ``reviews``, those that only matter there are taken and not passed on: so both may be given the same.
    """
    options = (
        _option(
            "--metrics-port",
            type=click.IntRange(0, 65535),
            default=metrics_port,
            help="Port of /metrics, /healthz and /readyz; 0 picks a free one and logs it.",
        ),
        _option(
            "--workloads",
            type=parsers.FILE,
            default=None,
            help="A YAML file that describes more kinds of workload, in the form of the built-in one.",
        ),
        _option(
            "--gpu-resources",
            default=",".join(DEFAULT_GPU_RESOURCES.patterns),
            callback=parsers.gpus,
            help="Which extended resources are GPUs: names with commas between them, * allowed, of any domain or with "
            "one.",
        ),
        _option(
            "--trusted-controllers",
            default=",".join(DEFAULT_TRUSTED_CONTROLLERS),
            callback=parsers.names,
            expose_value=reviews,
            help="User names, with commas between them, whose children are believed to be children; it takes the place "
            "of the default. Matters to the webhook only.",
        ),
        _option(
            "--mode",
            type=click.Choice([str(mode) for mode in Mode]),
            default=str(Mode.ENFORCE),
            expose_value=reviews,
            help="warn: what would be refused is let through with a warning, and nothing is claimed. The label "
            "quota.bizrq.io/mode of a namespace overrides it. Matters to the webhook only.",
        ),
        _option(
            "--log-format", type=click.Choice(FORMATS), default="text", help="How log lines are written, to stderr."
        ),
        _option("--verbose", is_flag=True, help="Log every step."),
    )

    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@contextlib.contextmanager
def _errors_told(process: str) -> Iterator[None]:
    """What keeps a process from starting becomes one line and exit code 1."""
    from bizrq.cluster.credentials import CredentialsError
    from bizrq.webhook.files import FileError
    from bizrq.workloads.registry import KindError

    try:
        yield
    except (CredentialsError, FileError, KindError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        msg = f"the {process} cannot start: {error}"
        raise click.ClickException(msg) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="bizrq", message="%(prog)s %(version)s")
def main() -> None:
    """Kubernetes quotas that follow the organisation.

    Quotas are objects, BizGroupResourceQuota, that form trees. They count whole workloads, per hardware model, and
    limit core-hours and card-hours. The controller keeps their status true; the webhook answers the API server
    when a workload is to be created or changed.

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
    "--lease-namespace",
    default=None,
    callback=parsers.namespace,
    metavar="NAMESPACE",
    help="The namespace of the Lease by which one of several controllers works and the others stand by; empty for "
    "none. By default, that of the pod this runs in, and none outside of a cluster.",
)
@_option(
    "--webhook-configuration",
    default=DEFAULT_WEBHOOK_CONFIGURATION,
    callback=parsers.object_name,
    metavar="NAME",
    help="The ValidatingWebhookConfiguration by which API servers call bizrq webhook, of which "
    "bizrq_enforcement_active tells whether it is in force; empty for none.",
)
@_option(
    "--webhook-secret",
    default="",
    callback=parsers.secret,
    metavar="NAMESPACE/NAME",
    help="Keep the webhook's certificate and the token of its path in this Secret, and the configuration fitting to "
    "it; empty: they are made by somebody else.",
)
@_option(
    "--webhook-certificates",
    type=click.Choice([str(each) for each in Certificates]),
    default=str(Certificates.OPERATOR),
    help="external: somebody else, as cert-manager, makes the certificate and writes caBundle; only the token is kept.",
)
@_option(
    "--webhook-certificate-days",
    type=click.FloatRange(min=0, min_open=True, max=3650),
    default=DEFAULT_CERTIFICATE_DAYS,
    help="How long a new certificate is for; it and the token are replaced when a third of that is left.",
)
@_option(
    "--webhook-propagation-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_PROPAGATION_SECONDS,
    help="After so long, every webhook has read what was written to the Secret, and every API server what was written "
    "to the configuration.",
)
@_shared_options(metrics_port=DEFAULT_METRICS_PORT, reviews=False)
def controller(  # noqa: PLR0917  # click calls by name
    resync_seconds: float,
    gather_seconds: float,
    lease_namespace: str | None,
    webhook_configuration: str,
    webhook_secret: SecretName | None,
    webhook_certificates: str,
    webhook_certificate_days: float,
    webhook_propagation_seconds: float,
    metrics_port: int,
    workloads: Path | None,
    gpu_resources: GpuResources,
    log_format: str,
    verbose: bool,  # noqa: FBT001
) -> None:
    """Keep the status of every bizrq true, until SIGTERM.

    Watches bizrqs, labelled workloads, ReplicaSets, pods and RuntimeClasses, and writes to nothing but its Lease and
    bizrqs: their status, and a finalizer, so that a deleted one hands its hours on. With --webhook-secret, also to
    that Secret and to the webhook configuration.
    """
    # Here and not above: the controller brings kopf, which the other commands do without.
    from bizrq.controller.feed import RestoredError
    from bizrq.controller.run import run_controller

    if webhook_secret and not webhook_configuration:
        raise click.UsageError(
            "--webhook-secret needs --webhook-configuration: the services that the certificate is for stand there."
        )
    if webhook_certificate_days * _DAY_SECONDS < PROPAGATIONS_IN_A_LIFETIME * webhook_propagation_seconds:
        least = PROPAGATIONS_IN_A_LIFETIME * webhook_propagation_seconds / _DAY_SECONDS
        msg = (
            f"--webhook-certificate-days={webhook_certificate_days:g} is too short for "
            f"--webhook-propagation-seconds={webhook_propagation_seconds:g}: at least {least:.4f} days, so that a "
            "rotation that begins when a third is left ends in time."
        )
        raise click.UsageError(msg)
    set_up_logs(log_format, verbose=verbose)
    settings = ControllerSettings(
        resync_seconds=resync_seconds,
        gather_seconds=gather_seconds,
        metrics_port=metrics_port,
        workloads=workloads,
        gpus=gpu_resources,
        lease_namespace=lease_namespace,
        webhook_configuration=webhook_configuration,
        webhook_secret=webhook_secret,
        webhook_certificates=Certificates(webhook_certificates),
        webhook_certificate_days=webhook_certificate_days,
        webhook_propagation_seconds=webhook_propagation_seconds,
    )
    with _errors_told("controller"):
        try:
            run_controller(settings)
        except RestoredError as error:
            msg = f"etcd was restored, it seems, and what is in memory is of no use: {error}; start again"
            raise click.ClickException(msg) from error


@main.command()
@_option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    help="Port of the reviews; 0 picks a free one and logs it.",
)
@_option(
    "--cert-file",
    type=parsers.AWAITED_FILE,
    required=True,
    help="Our certificate, PEM; waited for where it is not there, and read again when it is replaced.",
)
@_option("--key-file", type=parsers.AWAITED_FILE, required=True, help="The key of it, PEM, not encrypted; likewise.")
@_option(
    "--path-token-file",
    type=parsers.AWAITED_FILE,
    default=None,
    help="Tokens, one a line, at least 16 characters: reviews are served below /<token>/ and nowhere else; likewise.",
)
@_option(
    "--client-ca-file",
    type=parsers.FILE,
    default=None,
    help="An authority, PEM: clients with a certificate of it need no token.",
)
@_option(
    "--drain-seconds",
    type=click.FloatRange(0.0, 60.0),
    default=DEFAULT_DRAIN_SECONDS,
    help="After SIGTERM, serve for so long whoever still comes.",
)
@_option(
    "--authorize",
    type=bool,
    default=True,
    metavar="true|false",
    help="Whether naming a bizrq needs the verb use on it, and taking from one the verb grant.",
)
@_option(
    "--autoscalers",
    type=click.Choice([str(each) for each in Autoscalers]),
    default=str(Autoscalers.WARN),
    help="What is answered to a HorizontalPodAutoscaler whose maxReplicas would not fit.",
)
@_shared_options(metrics_port=DEFAULT_WEBHOOK_METRICS_PORT, reviews=True)
def webhook(  # noqa: PLR0917  # click calls by name
    port: int,
    cert_file: Path,
    key_file: Path,
    path_token_file: Path | None,
    client_ca_file: Path | None,
    drain_seconds: float,
    authorize: bool,  # noqa: FBT001
    autoscalers: str,
    metrics_port: int,
    workloads: Path | None,
    gpu_resources: GpuResources,
    trusted_controllers: tuple[str, ...],
    mode: str,
    log_format: str,
    verbose: bool,  # noqa: FBT001
) -> None:
    """Answer the API server's admission reviews, until SIGTERM.

    Serves those only who know a token of the path or show a certificate; one of the two must be configured.
    """
    from bizrq.webhook.run import run_webhook

    if path_token_file is None and client_ca_file is None:
        raise click.UsageError(
            "Say who may ask: --path-token-file (a file with a secret for the path of the webhook's address), or "
            "--client-ca-file (the authority of the API servers' client certificates), or both."
        )
    set_up_logs(log_format, verbose=verbose)
    settings = WebhookSettings(
        cert_file=cert_file,
        key_file=key_file,
        path_token_file=path_token_file,
        client_ca_file=client_ca_file,
        port=port,
        workloads=workloads,
        metrics_port=metrics_port,
        gpus=gpu_resources,
        drain_seconds=drain_seconds,
        authorize=authorize,
        trusted_controllers=trusted_controllers,
        mode=Mode(mode),
        autoscalers=Autoscalers(autoscalers),
    )
    with _errors_told("webhook"):
        run_webhook(settings)


main.add_command(books)
main.add_command(check)
