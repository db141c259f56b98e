"""What a certificate of ours says, and what is read of one."""

import random
import ssl
import subprocess
import time

import pytest

from bizrq.controller.authority import make_pair, read_authorities, read_pair
from tests.support.certificates import handshake
from tests.support.certificates import make_pair as make_foreign

DAY = 86_400
NAMES = ("w.n", "w.n.svc", "w.n.svc.cluster.local")


@pytest.fixture(scope="module")
def pair():
    return make_pair(NAMES, now=int(time.time()), lifetime=90 * DAY)


def shown(text, *wanted):
    """What openssl says of a certificate."""
    return subprocess.run(
        ["openssl", "x509", "-noout", *wanted], input=text, capture_output=True, text=True, check=True, timeout=60
    ).stdout


@pytest.mark.parametrize("name", NAMES)
def test_it_is_good_for_each_name_of_the_service(pair, name):
    handshake(pair.certificate, pair.key, pair.authority, name)


def test_it_is_good_for_no_other_name_and_under_no_other_authority(pair):
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(pair.certificate, pair.key, pair.authority, "w.other.svc")
    other = make_pair(NAMES, now=int(time.time()), lifetime=DAY)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(pair.certificate, pair.key, other.authority, "w.n.svc")
    handshake(pair.certificate, pair.key, other.authority + pair.authority, "w.n.svc")  # as during a rotation


def test_it_may_serve_and_nothing_else_and_its_authority_may_sign_and_nothing_else(pair):
    leaf = shown(pair.certificate, "-ext", "basicConstraints,keyUsage,extendedKeyUsage")
    assert "CA:FALSE" in leaf
    assert "Digital Signature\n" in leaf
    assert "TLS Web Server Authentication\n" in leaf
    authority = shown(pair.authority, "-ext", "basicConstraints,keyUsage")
    assert "CA:TRUE, pathlen:0" in authority
    assert "Certificate Sign, CRL Sign\n" in authority
    assert "P-256" in shown(pair.certificate, "-text")


def test_it_is_valid_for_its_lifetime_and_a_year_before_for_clocks_that_differ():
    made = make_pair(NAMES, now=1_800_000_000, lifetime=90 * DAY)
    assert (made.begins, made.ends) == (1_800_000_000 - 365 * DAY, 1_800_000_000 + 90 * DAY)
    assert shown(made.certificate, "-dates").split() == [
        "notBefore=Jan", "15", "08:00:00", "2026", "GMT", "notAfter=Apr", "15", "08:00:00", "2027", "GMT",
    ]  # fmt: skip


def test_what_is_made_is_read_as_it_was_made(pair):
    other = make_pair(NAMES, now=int(time.time()), lifetime=DAY)
    assert read_pair(pair.certificate, pair.key, (other.authority, pair.authority)) == pair


def test_what_does_not_fit_is_none(pair, tmp_path):
    other = make_pair(NAMES, now=int(time.time()), lifetime=DAY)
    locked = make_foreign(tmp_path, "locked", password="hush")
    for certificate, key, authorities in (
        (pair.certificate, other.key, (pair.authority,)),
        (pair.certificate, pair.key, (other.authority,)),
        (pair.certificate, pair.key, ()),
        (pair.certificate[:300], pair.key, (pair.authority,)),
        (pair.certificate, "", (pair.authority,)),
        ("", "", ()),
        (pair.authority, pair.key, (pair.authority,)),
        (locked.certificate.read_text(), locked.key.read_text(), (locked.certificate.read_text(),)),
    ):
        assert read_pair(certificate, key, authorities) is None


# In DER: an identifier of the authority that becomes one of the subject, of which there is one already; P-256 that
# becomes a curve that nobody knows; version 3 that becomes 106.
BROKEN = {
    "an extension twice": ("0603551d23", "0603551d0e"),
    "a curve that is unknown": ("06082a8648ce3d030107", "06082a8648ce3d03017f"),
    "a version that is unknown": ("a003020102", "a003020169"),
}


def changed(certificate, old, new):
    der = ssl.PEM_cert_to_DER_cert(certificate)
    return ssl.DER_cert_to_PEM_cert(der.replace(bytes.fromhex(old), bytes.fromhex(new)))


@pytest.mark.parametrize("broken", BROKEN)
def test_whatever_is_broken_in_a_certificate_is_no_certificate_and_ends_nothing(pair, broken):
    """Somebody wrote it into the Secret or into the configuration: the controller has to live, to put it right."""
    leaf, authority = (changed(each, *BROKEN[broken]) for each in (pair.certificate, pair.authority))
    assert leaf != pair.certificate
    assert read_pair(leaf, pair.key, (pair.authority,)) is None
    if authority != pair.authority:  # which has no identifier of an authority
        assert read_pair(pair.certificate, pair.key, read_authorities(authority)) is None
        assert read_pair(pair.certificate, pair.key, (authority, pair.authority)) == pair


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_byte_that_is_broken_ends_the_controller(pair):
    chance = random.Random(9)  # noqa: S311  # no secret
    for _ in range(3000):
        texts = []
        for text in (pair.certificate, pair.authority):
            der = bytearray(ssl.PEM_cert_to_DER_cert(text))
            der[chance.randrange(len(der))] = chance.randrange(256)
            texts.append(ssl.DER_cert_to_PEM_cert(bytes(der)))
        read_pair(texts[0], pair.key, (pair.authority,))
        read_pair(pair.certificate, pair.key, read_authorities(texts[1]))


def test_a_bundle_is_read_without_what_is_no_certificate_and_without_repetitions(pair):
    other = make_pair(NAMES, now=int(time.time()), lifetime=DAY)
    broken = pair.authority.replace("MII", "xxx", 1)
    bundle = f"# ours\n{pair.authority}\n{broken}{other.authority}{pair.authority}{pair.key}"
    assert read_authorities(bundle) == (pair.authority, other.authority)
    assert read_authorities("") == ()
