"""Which certificate is shown, and which certificates of clients are believed?

A context of OpenSSL that is in use is never changed: a key that does not fit would leave it without any. Each new
content of the files makes a context of its own, and connections that begin after that get it.
"""

from __future__ import annotations

import contextlib
import math
import os
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bizrq.webhook.files import Held
from bizrq.webhook.validity import not_after

__all__ = ["Certificate"]

_PEM: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class _Shown:
    """What was made of the files."""

    context: ssl.SSLContext
    not_after: int


class Certificate:
    """Our certificate and key, and the authority of clients' certificates where there is one."""

    def __init__(self, certificate: Path, key: Path, client_authority: Path | None = None) -> None:
        """Raise ``FileError`` where the files are there and do not make a certificate with its key."""
        paths = (certificate, key) if client_authority is None else (certificate, key, client_authority)
        self._held = Held("certificate", paths, _make)
        self.context = _context(clients=client_authority is not None)
        """For a server. It has no certificate itself, and hands each connection to the newest context."""
        self.context.sni_callback = self._hand_on

    @property
    def not_after(self) -> float:
        """The instant at which the certificate that is shown ends, in seconds since 1970; NaN while there is none."""
        return self._held.value.not_after if self._held.value is not None else math.nan

    def refresh(self) -> None:
        """Read the files again if they changed."""
        self._held.refresh()

    @property
    def lacks(self) -> str | None:
        """What is missing before anything can be served; None where nothing is."""
        return self._held.lacks

    def _hand_on(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # OpenSSL calls this for every ClientHello, also where the client names no server.
        if self._held.value is not None:  # else the handshake fails for want of a certificate
            connection.context = self._held.value.context


def _context(*, clients: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if clients:
        # Optional, because a client without a certificate may still know a token. One with a bad one is sent away.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _make(contents: Sequence[bytes]) -> _Shown:
    certificate, key, *authorities = contents
    context = _context(clients=bool(authorities))
    for name, content in zip(("certificate", "key", "client authority"), contents, strict=False):
        if _PEM not in content:
            msg = f"the {name} is no PEM file: it has no line that begins with {_PEM.decode()}"
            raise ValueError(msg)
    try:
        with _path_of(certificate) as certificate_path, _path_of(key) as key_path:
            # An encrypted key is an error, not a question at the terminal.
            context.load_cert_chain(certificate_path, key_path, password="")
    except ssl.SSLError as error:
        msg = f"the certificate and the key do not fit each other, or one is broken: {error}"
        raise ValueError(msg) from error
    try:
        for authority in authorities:
            context.load_verify_locations(cadata=authority.decode("ascii", "replace"))
    except ssl.SSLError as error:
        msg = f"the client authority is broken: {error}"
        raise ValueError(msg) from error
    return _Shown(context, not_after(certificate))


@contextlib.contextmanager
def _path_of(content: bytes) -> Iterator[str]:
    """A path with just this content, in memory: ssl reads from files only, and ours may change meanwhile."""
    descriptor = os.memfd_create("bizrq")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
