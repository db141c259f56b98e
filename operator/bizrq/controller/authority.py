"""How is a certificate made, and what does one say?

An authority signs one certificate, and its key is never written anywhere: whoever gets at the Secret can pretend to be
the webhook until the next rotation, and can sign nothing.
"""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bizrq.domain.rotation import Pair

__all__ = ["make_pair", "read_authorities", "read_pair"]

_BACK_SECONDS: Final = 365 * 86_400
"""A certificate is valid since so long before it was made: clocks of API servers may be behind, or ours ahead.

By a clock that is a year ahead we would hardly get through to an API server, whose own certificate has expired by then.
"""

_BROKEN: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What is raised where a certificate or a key is no good. Many of these are no kin of ``ValueError``."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


def make_pair(names: Iterable[str], *, now: int, lifetime: float) -> Pair:
    """A certificate for these DNS names and ``lifetime`` seconds, of an authority of its own, with keys on P-256."""
    ordered = sorted(names)
    begins, ends = now - _BACK_SECONDS, now + int(lifetime)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # A name for each: of several authorities in a bundle, the one that signed is found by its name.
    issuer = _named(f"bizrq webhook authority {secrets.token_hex(8)}")
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_named("bizrq webhook"), issuer, key.public_key(), begins, ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in ordered]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    return Pair(_pem(certificate), text, _pem(authority), frozenset(ordered), begins, ends)


def read_authorities(bundle: str) -> tuple[str, ...]:
    """The certificates of a bundle, each as PEM of the one form that we write; what is none is left out."""
    found = []
    for text in _CERTIFICATE.findall(bundle):
        try:
            found.append(_pem(x509.load_pem_x509_certificate(text.encode("ascii", "replace"))))
        except _BROKEN:
            continue
    return tuple(dict.fromkeys(found))


def read_pair(certificate: str, key: str, authorities: Iterable[str]) -> Pair | None:
    """What a certificate and its key say; None where they do not fit, or none of the ``authorities`` signed it."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode("ascii", "replace"))
        private = load_pem_private_key(key.encode("ascii", "replace"), password=None)
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits = private.public_key() == leaf.public_key()
        names = frozenset(alternatives.get_values_for_type(x509.DNSName))
        text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    except _BROKEN:
        return None
    authority = next((each for each in authorities if _signed(leaf, each)), None)
    if authority is None or not fits:
        return None
    begins, ends = int(leaf.not_valid_before_utc.timestamp()), int(leaf.not_valid_after_utc.timestamp())
    return Pair(_pem(leaf), text, authority, names, begins, ends)


def _signed(leaf: x509.Certificate, authority: str) -> bool:
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode("ascii")))
    except _BROKEN:
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: int, ends: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(begins, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(ends, datetime.UTC))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
