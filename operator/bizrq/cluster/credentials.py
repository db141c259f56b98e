"""Which API server, and who are we there?

``kubernetes.config`` loads every kind of kubeconfig (tokens, certificates, exec plugins, in-cluster accounts) and
renews tokens; both our client and kopf's login take what it found.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

import kubernetes.client
import kubernetes.config

from bizrq.cluster.errors import Unavailable

__all__ = ["Credentials", "CredentialsError", "load_credentials", "pod_namespace"]

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_RENEW_AFTER: Final = 30.0
"""Seconds a token is used before the loader is asked again; it re-reads an account's token file once a minute."""


@final
class CredentialsError(Exception):
    """No API server could be found; the message says where was looked."""


class Credentials:
    """A server's address and how to speak to it."""

    def __init__(
        self,
        config: kubernetes.client.Configuration,
        load: Callable[[], kubernetes.client.Configuration] | None = None,
    ) -> None:
        self._config, self._load = config, load
        self._token: str | None = None
        self._renewed = float("-inf")

    @property
    def server(self) -> str:
        """The address, without a slash at its end."""
        return str(self._config.host).rstrip("/")

    @property
    def proxy(self) -> str | None:
        """The HTTP proxy on the way, if any."""
        return self._config.proxy

    @property
    def server_name(self) -> str | None:
        """The name in the server's certificate, where it is another than in the address."""
        return self._config.tls_server_name

    @property
    def certificate_files(self) -> tuple[str | None, str | None, str | None]:
        """Files of the authority, of our certificate and of its key; None where there is none."""
        return self._config.ssl_ca_cert, self._config.cert_file, self._config.key_file

    @property
    def verified(self) -> bool:
        """Whether the server's certificate is checked."""
        return bool(self._config.verify_ssl)

    def ssl_context(self) -> ssl.SSLContext:
        """A new context with the authority and our certificate."""
        authority, certificate, key = self.certificate_files
        context = ssl.create_default_context(cafile=authority)
        if not self.verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate, key)
        return context

    async def authorization(self, *, renew: bool = False) -> str | None:
        """The value of the Authorization header, renewed from time to time; ``renew`` after a 401.

        Renewal may run an exec plugin, so it is done in a thread. Raises ``Unavailable`` where it fails.
        """
        clock = asyncio.get_running_loop().time()
        if renew or clock - self._renewed > _RENEW_AFTER:
            try:
                self._token = await asyncio.to_thread(self._read_token, anew=renew)
            except Exception as error:  # exec plugins and half-written files fail in many ways
                msg = f"the credentials could not be renewed: {type(error).__name__}: {error}"
                raise Unavailable(msg) from error
            self._renewed = clock
        return self._token

    def _read_token(self, *, anew: bool) -> str | None:
        if anew and self._load is not None:
            # A token file without an expiry in the kubeconfig is read only once by the loader.
            self._config = self._load()
        config = self._config
        header = config.get_api_key_with_prefix("BearerToken") or config.get_api_key_with_prefix("authorization")
        if header:
            return str(header)
        return str(config.get_basic_auth_token()) if config.username else None


def load_credentials(kubeconfig: Path | None = None) -> Credentials:
    """How to speak to the server of ``kubeconfig``.

    Without one: of ``KUBECONFIG``, of ``~/.kube/config``, or of the pod this runs in, in this order. Raises
    ``CredentialsError`` where none of them says where the API server is.
    """
    load = functools.partial(_load, kubeconfig)
    return Credentials(load(), load)


def pod_namespace() -> str | None:
    """The namespace of the pod this runs in; None where ``load_credentials`` goes by a kubeconfig, or by nothing."""
    named, by_file = _kubeconfig(None)
    if named or by_file:
        return None  # it may lead to another cluster, which has no such namespace
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _kubeconfig(kubeconfig: Path | None) -> tuple[str | None, bool]:
    """The kubeconfig that somebody named, and whether there is one at the usual place."""
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG")
    # Not Path.home(): that fails for a user whom the machine does not know, as that of a container.
    return named, Path(os.path.expanduser("~/.kube/config")).exists()  # noqa: PTH111


def _load(kubeconfig: Path | None) -> kubernetes.client.Configuration:
    config = kubernetes.client.Configuration()
    named, by_file = _kubeconfig(kubeconfig)
    try:
        if named or by_file:
            # Named, because the library looks KUBECONFIG up only once, when it is imported.
            kubernetes.config.load_kube_config(named or None, client_configuration=config)  # type: ignore[no-untyped-call]
        else:
            kubernetes.config.load_incluster_config(client_configuration=config)  # type: ignore[no-untyped-call]
    except (kubernetes.config.ConfigException, OSError) as error:
        where = f"KUBECONFIG={named}" if named else "no KUBECONFIG, no ~/.kube/config, not inside a cluster"
        msg = f"no API server: {where}: {error}"
        raise CredentialsError(msg) from error
    return config
