"""Certificates for 127.0.0.1 and localhost, made by openssl, valid for a day unless said otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Pair", "der", "handshake", "make_pair", "shown", "trusting"]


@dataclass(frozen=True)
class Pair:
    """A certificate that is its own authority, and its key; both in PEM."""

    certificate: Path
    key: Path


def make_pair(folder: Path, name: str, *, password: str = "", days: int = 1) -> Pair:
    """A new one, as ``name.crt`` and ``name.key``; the key needs the ``password`` where there is one."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-days", str(days), "-subj", f"/CN={name}",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-out", str(pair.certificate), "-keyout", str(pair.key),
            *(["-passout", f"pass:{password}"] if password else ["-nodes"]),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return pair


def trusting(*pairs: Pair, own: Pair | None = None) -> ssl.SSLContext:
    """A client's context that believes these certificates, and shows its own where it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for pair in pairs:
        context.load_verify_locations(pair.certificate)
    if own:
        context.load_cert_chain(own.certificate, own.key)
    return context


async def shown(
    port: int, pairs: Iterable[Pair], name: str = "localhost", newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> bytes:
    """The certificate, in DER, that a new connection to the port of this machine is shown.

    An empty ``name`` leaves out which server is meant, as clients do that have an address only.
    """
    context = trusting(*pairs)
    context.check_hostname = bool(name)
    context.maximum_version = newest
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return certificate


def der(pair: Pair) -> bytes:
    """The certificate in DER."""
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text(encoding="ascii"))


def handshake(certificate: str, key: str, bundle: str, name: str) -> None:
    """Shake hands in memory: a server with that certificate, a client that believes the bundle and asks for ``name``.

    All are PEM. Raises ``ssl.SSLError`` where they do not fit.
    """
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    ours.load_verify_locations(cadata=bundle)
    with tempfile.TemporaryDirectory() as folder:
        for file, text in (("crt", certificate), ("key", key)):
            Path(folder, file).write_text(text, encoding="ascii")
        theirs.load_cert_chain(Path(folder, "crt"), Path(folder, "key"))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(back, there, server_hostname=name)
    server = theirs.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    client.do_handshake()
