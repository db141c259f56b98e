"""Does the API server ask the webhook, and does it answer? Tried by a request that has to be refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import click

from bizrq import __version__
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import CredentialsError, load_credentials
from bizrq.cluster.errors import ClusterError, Denied, NotFound
from bizrq.cluster.store import BIZRQS_URL
from bizrq.domain.bizrq import GROUP, VERSION
from bizrq.domain.enforcement import only_warned, refusal_in

__all__ = ["CheckError", "Server", "check", "try_refusal"]

NAME: Final = "bizrq-check"

PROBE: Final[dict[str, Any]] = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": "BizGroupResourceQuota",
    "metadata": {"name": NAME},
    # With rights of any kind it is refused, since its parent is not there; and should it be stored, it grants nothing.
    "spec": {"parentBizGroup": f"{NAME}-has-no-such-parent", "hard": {"pods": "0"}},
}

_OTHERS: Final = ("admission webhook", "ValidatingAdmissionPolicy")
"""How the API server calls those who refused a request, where it was not for want of a right."""

_POLL_SECONDS: Final = 1.0

_WAYS_OUT: Final = {
    "x509": "the API server does not believe the webhook's certificate: clientConfig.caBundle of the webhook "
    "configuration is not its authority, or the certificate is for another name or has expired",
    "no endpoints available": "no pod of the webhook is ready: see `kubectl get pods` and their /readyz",
    "connection refused": "nobody listens where the webhook should be: see whether its pods are ready",
    "deadline exceeded": "nothing comes back from where the webhook should be: see whether its pods are ready, and "
    "whether a NetworkPolicy or a firewall is on the way",
    "could not find the requested resource": "the webhook does not know the token in the path of the webhook "
    "configuration: its file of tokens is another, or has yet to come",
    "not found": "the Service in the webhook configuration is not there",
}
"""What to look at, by a part of what the API server said; the first one that fits."""


class Server(Protocol):
    """The API server, as far as it is asked here: as ``Client``."""

    async def try_post(self, path: str, body: Mapping[str, Any], /) -> list[str]:
        """Have a new object tried; the warnings that come with a yes. Raises ``ClusterError``."""


class CheckError(Exception):
    """The webhook does not protect; the message says what was answered, and what to look at."""


@click.command()
@click.option(
    "--wait-seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Go on trying for so long; right after an installation, certificates are still on their way.",
)
def check(wait_seconds: float) -> None:
    """See whether the webhook refuses what it must.

    Asks the API server, as a dry run, for a group whose parent does not exist, and stores nothing. It needs the right
    to create bizgroupresourcequotas, and no other. Ends with code 1, and says why, where the webhook does
    not refuse the request. Where it only warns (--mode=warn), a warning will do.
    """
    try:
        told = asyncio.run(_within(wait_seconds))
    except (CheckError, CredentialsError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(told)


async def _within(seconds: float) -> str:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with Client(load_credentials(), user_agent=f"bizrq-check/{__version__}") as client:
        while True:
            try:
                return await try_refusal(client)
            except CheckError:
                if loop.time() + _POLL_SECONDS > end:
                    raise
            await asyncio.sleep(_POLL_SECONDS)


async def try_refusal(server: Server) -> str:
    """What the webhook said to the probe. Raises ``CheckError`` where it did not refuse it, or warn."""
    try:
        warnings = await server.try_post(BIZRQS_URL, PROBE)
    except Denied as error:
        refusal = refusal_in(str(error))
        if refusal is not None:
            return f"the webhook refuses, as it should: {refusal}"
        if any(other in str(error) for other in _OTHERS):
            msg = f"somebody else refuses it, so that nobody knows what the webhook does; let {NAME} by there: {error}"
            raise CheckError(msg) from error
        msg = f"this account may not try it, it needs the right to create bizgroupresourcequotas: {error}"
        raise CheckError(msg) from error
    except NotFound as error:
        msg = f"the API server knows no bizrqs, apply the CRD: {error}"
        raise CheckError(msg) from error
    except ClusterError as error:
        said = str(error)
        way_out = next((way for part, way in _WAYS_OUT.items() if part in said), "")
        raise CheckError(f"the request got no verdict: {said}" + (f"\n{way_out}" if way_out else "")) from error
    if only_warned(warnings):
        return f"the webhook only warns, as it is told to: {' '.join(warnings)}"
    msg = (
        "the API server would store what the webhook must refuse: it asks nobody. See whether there is a webhook "
        "configuration: kubectl get validatingwebhookconfiguration bizrq"
    )
    raise CheckError(msg)
