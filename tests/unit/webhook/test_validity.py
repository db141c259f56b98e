"""Until when a certificate is valid, against what openssl says of it."""

from __future__ import annotations

import datetime
import ssl
import subprocess
from pathlib import Path

import pytest

from bizrq.webhook.validity import not_after
from tests.support.certificates import make_pair


def made(folder: Path, *arguments: str) -> Path:
    """A certificate that openssl makes."""
    path = folder / "made.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-subj", "/CN=made", "-newkey", "rsa:2048", "-nodes", "-out", str(path),
         "-keyout", str(folder / "made.key"), *arguments],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return path


def by_openssl(path: Path) -> int:
    """Its notAfter, as openssl prints it."""
    done = subprocess.run(
        ["openssl", "x509", "-in", str(path), "-noout", "-enddate"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return int(ssl.cert_time_to_seconds(done.stdout.strip().partition("=")[2]))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-days", "1"], id="a time of two digits of the year"),
        pytest.param(["-days", "20000"], id="beyond 2049 it has four"),
        pytest.param(["-days", "1", "-subj", f"/CN={'x' * 60}/O={'y' * 60}/OU={'z' * 60}"], id="a long name"),
        pytest.param(["-days", "1", "-set_serial", "0x" + "7f" * 20], id="a long serial number"),
    ],
)
def test_it_is_what_openssl_says(tmp_path: Path, arguments: list[str]) -> None:
    path = made(tmp_path, *arguments)
    assert not_after(path.read_bytes()) == by_openssl(path)


def test_of_a_chain_the_first_one_counts(tmp_path: Path) -> None:
    """That is what is shown for our name; those behind it are between it and its authority."""
    first, other = made(tmp_path, "-days", "3"), make_pair(tmp_path, "other").certificate
    chain = b"  bag attributes: none\n" + first.read_bytes() + other.read_bytes()
    assert not_after(chain) == by_openssl(first) != by_openssl(other)


def test_two_digits_of_a_year_are_of_two_centuries(tmp_path: Path) -> None:
    """[RFC 5280, 4.1.2.5.1] from 50 on it is the one before."""
    der = ssl.PEM_cert_to_DER_cert(made(tmp_path, "-days", "1").read_text(encoding="ascii"))
    end = by_openssl(tmp_path / "made.crt")
    stated = datetime.datetime.fromtimestamp(end, datetime.UTC).strftime("%y%m%d%H%M%SZ").encode()
    for year, expected in (("49", 2049), ("50", 1950)):
        changed = der.replace(stated, year.encode() + b"0101000000Z")
        assert (
            datetime.datetime.fromtimestamp(
                not_after(ssl.DER_cert_to_PEM_cert(changed).encode()), datetime.UTC
            ).isoformat()
            == f"{expected}-01-01T00:00:00+00:00"
        )


@pytest.mark.parametrize(
    "pem", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", b"\xff\xfe"]
)
def test_what_is_none_is_refused(pem: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # several
        not_after(pem)


def test_one_that_is_cut_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(made(tmp_path, "-days", "1").read_text(encoding="ascii"))
    before_the_end_of_validity = der.index(b"Z", der.index(b"Z") + 1)
    for length in range(before_the_end_of_validity):
        with pytest.raises(ValueError):  # noqa: PT011
            not_after(ssl.DER_cert_to_PEM_cert(der[:length]).encode())
