"""Until when is a certificate valid?

The ssl module tells it of others' certificates only, once it believes them. So the one field is read here, by the form
of RFC 5280, section 4.1: a certificate is a sequence that begins with a sequence of version, serial number, signature,
issuer and validity, which has two times.
"""

from __future__ import annotations

import datetime
import ssl
from typing import Final

__all__ = ["not_after"]

_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18

_END: Final = "-----END CERTIFICATE-----"

_LONG: Final = 0x80
"""From here on the first byte of a length says how many bytes of length follow."""

_CENTURY: Final = 50
"""A year of two digits below this one is of the 21st century."""


def not_after(pem: bytes) -> int:
    """The instant, in seconds since 1970, at which the first certificate in ``pem`` ends.

    Raises ``ValueError`` where there is none, or it is broken.
    """
    text = pem.decode("ascii", "replace")
    before, end, _ = text.partition(_END)
    _, begin, body = before.rpartition("-----BEGIN CERTIFICATE-----")
    if not (begin and end):
        msg = "there is no certificate in it"
        raise ValueError(msg)
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(begin + body + end))
    except IndexError as error:
        msg = "the certificate ends too early"
        raise ValueError(msg) from error


def _not_after(der: bytes) -> int:
    certificate, _, _ = _element(der, 0, _SEQUENCE)
    at, _, _ = _element(der, certificate, _SEQUENCE)
    if der[at] == _VERSION:
        _, at, _ = _element(der, at)
    for _ in ("serial number", "signature", "issuer"):
        _, at, _ = _element(der, at)
    at, _, _ = _element(der, at, _SEQUENCE)
    _, at, _ = _element(der, at)  # when it begins
    start, end, tag = _element(der, at)
    return _instant(tag, der[start:end].decode("ascii", "replace"))


def _element(der: bytes, at: int, tag: int | None = None) -> tuple[int, int, int]:
    """Where the content of the element at ``at`` begins and ends, and its tag, which must be ``tag`` if given."""
    found, length, start = der[at], der[at + 1], at + 2
    if length >= _LONG:
        size = length - _LONG
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    if tag is not None and found != tag:
        msg = f"the certificate has {found:#x} in place of {tag:#x} at byte {at}"
        raise ValueError(msg)
    return start, start + length, found


def _instant(tag: int, text: str) -> int:
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _CENTURY else "19") + text
    elif tag != _TIME:
        msg = f"the certificate has {tag:#x} in place of a time"
        raise ValueError(msg)
    return int(datetime.datetime.strptime(text, "%Y%m%d%H%M%S%z").timestamp())
