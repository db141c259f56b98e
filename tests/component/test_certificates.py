"""The controller keeps the webhook's Secret and its configuration fitting together."""

import base64
import ssl
import time

import pytest

from bizrq.controller.certificates import WebhookCertificates
from bizrq.domain.rotation import Rules
from tests.support.certificates import handshake
from tests.support.clocks import HandClock
from tests.support.webhook_objects import CasWebhookObjects, configuration, entry, secret

DAY = 86_400
RULES = Rules(lifetime=90 * DAY, propagation=300)
SERVER = "bizrq-webhook.bizrq-system.svc"


@pytest.fixture
def clock():
    """Some time ago: OpenSSL goes by the clock of the machine, also after a rotation of this one's days."""
    return HandClock(int(time.time()) - 61 * DAY)


@pytest.fixture
def objects():
    """As after helm install: neither caBundle nor a path."""
    entries = [entry(f"{name}.quota.bizrq.io") for name in ("bizrqs", "workloads", "uncounted")]
    return CasWebhookObjects(secret(), configuration(*entries))


@pytest.fixture
def keeper(objects, clock):
    return WebhookCertificates(objects, clock, RULES, leading=lambda: True)


def texts(objects):
    """What the Secret says."""
    return {key: base64.b64decode(value).decode() for key, value in objects.secret["data"].items()}


def called(objects):
    """The path and the bundle of each entry."""
    return {
        each["name"].partition(".")[0]: (
            each["clientConfig"]["service"].get("path"),
            base64.b64decode(each["clientConfig"].get("caBundle", "")).decode(),
        )
        for each in objects.configuration["webhooks"]
    }


def reaches(objects, server=SERVER):
    """Whether an API server that goes by the configuration gets to a webhook that goes by the Secret."""
    told = texts(objects)
    for path, bundle in called(objects).values():
        handshake(told["tls.crt"], told["tls.key"], bundle, server)
        assert path.split("/")[1] in told["tokens"].splitlines()


async def test_after_an_installation_all_is_made_and_the_configuration_calls_by_it(objects, keeper):
    await keeper.turn()
    token = texts(objects)["tokens"].strip()
    assert {name: path for name, (path, _) in called(objects).items()} == {
        "bizrqs": f"/{token}/bizrqs",
        "workloads": f"/{token}/workloads",
        "uncounted": f"/{token}/required",
    }
    reaches(objects)
    assert objects.writes == ["secret", "configuration"]
    await keeper.turn()
    assert objects.writes == ["secret", "configuration"]


async def test_a_rotation_goes_step_by_step_and_something_fits_at_every_moment(objects, keeper, clock):
    await keeper.turn()
    first = texts(objects)
    clock.time += 61 * DAY
    await keeper.turn()
    staged = texts(objects)
    assert staged["tls.crt"] == first["tls.crt"]
    assert staged["tokens"].split()[1:] == first["tokens"].split()
    assert staged["ca.crt"].endswith(first["ca.crt"])
    reaches(objects)
    clock.waited += 299
    await keeper.turn()
    assert texts(objects) == staged
    clock.waited += 1
    await keeper.turn()
    swapped = texts(objects)
    assert swapped["tls.crt"] == staged["next-tls.crt"]
    assert "next-tls.crt" not in swapped
    assert (swapped["tokens"], swapped["ca.crt"]) == (staged["tokens"], staged["ca.crt"])
    assert {path.split("/")[1] for path, _ in called(objects).values()} == {staged["tokens"].split()[0]}
    reaches(objects)
    clock.waited += 300
    await keeper.turn()
    last = texts(objects)
    assert last["tokens"] == staged["tokens"].splitlines(keepends=True)[0]
    assert last["ca.crt"] == staged["ca.crt"].removesuffix(first["ca.crt"])
    assert {bundle for _, bundle in called(objects).values()} == {last["ca.crt"]}
    reaches(objects)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(last["tls.crt"], last["tls.key"], first["ca.crt"], SERVER)
