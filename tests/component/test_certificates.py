"""The controller keeps the webhook's Secret and its configuration fitting together."""

import base64
import logging
import ssl
import time
from dataclasses import replace

import pytest

from bizrq.controller.certificates import WebhookCertificates
from bizrq.controller.webhook_forms import ROTATE_ANNOTATION
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


async def settle(keeper, clock):
    """Let whatever is under way come to its end."""
    for _ in range(4):
        await keeper.turn()
        clock.waited += 300


async def test_a_rotation_that_is_asked_for_takes_place_once(objects, keeper, clock):
    await keeper.turn()
    before = texts(objects)
    objects.put_secret({**objects.secret, "metadata": {"name": "x", "annotations": {ROTATE_ANNOTATION: "please"}}})
    await settle(keeper, clock)
    after = texts(objects)
    assert not {*before.values()} & {*after.values()}
    assert ROTATE_ANNOTATION not in objects.secret["metadata"]["annotations"]
    await settle(keeper, clock)
    assert texts(objects) == after
    reaches(objects)


async def test_a_leader_that_is_new_waits_anew(objects, keeper, clock):
    """It has not seen how long anything has been there, and believes no time that somebody wrote."""
    await keeper.turn()
    clock.time += 61 * DAY
    await keeper.turn()
    clock.waited += 299
    other = WebhookCertificates(objects, clock, RULES, leading=lambda: True)
    await other.turn()
    clock.waited += 299
    await other.turn()
    assert "next-tls.crt" in texts(objects)
    clock.waited += 1
    await other.turn()
    assert "next-tls.crt" not in texts(objects)
    reaches(objects)


async def test_whoever_does_not_lead_does_nothing_and_forgets_what_it_saw(objects, clock):
    leads = True
    keeper = WebhookCertificates(objects, clock, RULES, leading=lambda: leads)
    await keeper.turn()
    clock.time += 61 * DAY
    await keeper.turn()
    leads, writes = False, list(objects.writes)
    clock.waited += 300
    await keeper.turn()
    assert objects.writes == writes
    leads = True
    await keeper.turn()
    assert objects.writes == writes


async def test_a_leader_that_ceases_to_lead_does_not_take_the_next_step(objects, clock):
    keeper = WebhookCertificates(objects, clock, RULES, leading=lambda: not objects.writes)
    await keeper.turn()
    assert objects.writes == ["secret"]


async def test_of_two_that_begin_at_once_one_makes_the_certificate(objects, keeper, clock):
    other = WebhookCertificates(objects, clock, RULES, leading=lambda: True)
    objects.before_write = other.turn
    await keeper.turn()
    made = texts(objects)
    reaches(objects)
    await keeper.turn()
    assert texts(objects) == made


async def test_an_answer_that_got_lost_changes_nothing(objects, keeper, caplog):
    objects.lost_answers = 2
    for _ in range(3):
        await keeper.turn()
    assert objects.writes == ["secret", "configuration"]
    assert "could not be kept: the answer is lost" in caplog.text
    reaches(objects)


async def test_a_secret_that_was_emptied_is_filled_and_what_is_served_from_memory_is_still_reached(objects, keeper):
    await keeper.turn()
    before = texts(objects)
    objects.put_secret(secret())
    await keeper.turn()
    reaches(objects)
    for path, bundle in called(objects).values():
        assert path.split("/")[1] == before["tokens"].strip()
        handshake(before["tls.crt"], before["tls.key"], bundle, SERVER)
    assert texts(objects)["tls.crt"] != before["tls.crt"]


async def test_a_key_that_was_broken_by_hand_is_replaced(objects, keeper):
    await keeper.turn()
    objects.put_secret({**objects.secret, "data": {**objects.secret["data"], "tls.key": "YnJva2Vu"}})
    await keeper.turn()
    reaches(objects)


async def test_a_certificate_that_is_broken_in_any_way_is_replaced_in_both_objects(objects, keeper):
    """[docs/operations.md: something broken into the Secret, another caBundle into the configuration.]"""
    await keeper.turn()
    told = texts(objects)
    broken = {}
    for key in ("tls.crt", "ca.crt"):
        der = ssl.PEM_cert_to_DER_cert(told[key]).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x69")
        broken[key] = base64.b64encode(ssl.DER_cert_to_PEM_cert(der).encode()).decode()
    objects.put_secret({**objects.secret, "data": {**objects.secret["data"], **broken}})
    entries = objects.configuration["webhooks"]
    entries[0]["clientConfig"]["caBundle"] = broken["ca.crt"]
    objects.put_configuration(configuration(*entries))
    await keeper.turn()
    reaches(objects)


async def test_what_was_made_by_a_clock_ahead_is_believed_and_replaced_once_the_clock_is_right(objects, keeper, clock):
    """[docs/operations.md: API servers go by their own clocks, as OpenSSL does here.]"""
    await keeper.turn()
    clock.time += 300 * DAY
    await keeper.turn()
    ahead = texts(objects)
    reaches(objects)
    clock.time -= 300 * DAY
    await settle(keeper, clock)
    reaches(objects)
    assert texts(objects)["tls.crt"] != ahead["tls.crt"]
    settled = texts(objects)
    await settle(keeper, clock)
    assert texts(objects) == settled


async def test_a_configuration_that_helm_made_anew_is_repaired(objects, keeper):
    await keeper.turn()
    before = texts(objects)
    objects.put_configuration(configuration(entry("bizrqs.quota.bizrq.io"), entry("scale.quota.bizrq.io")))
    await keeper.turn()
    reaches(objects)
    assert texts(objects) == before


async def test_a_service_with_another_name_gets_a_certificate_at_once_that_is_good_for_the_old_one_too(objects, keeper):
    await keeper.turn()
    entries = [
        {**each, "clientConfig": {**each["clientConfig"], "service": {
            **each["clientConfig"]["service"], "name": "other"}}}
        for each in objects.configuration["webhooks"]
    ]  # fmt: skip
    objects.put_configuration(configuration(*entries))
    await keeper.turn()
    for server in ("other.bizrq-system.svc", SERVER):
        reaches(objects, server)


async def test_entries_with_an_address_are_left_alone_and_it_is_said_once(objects, keeper, caplog):
    by_address = {"name": "scale.quota.bizrq.io", "clientConfig": {"url": "https://w.example.com/x", "caBundle": ""}}
    objects.put_configuration(configuration(entry("bizrqs.quota.bizrq.io"), by_address))
    for _ in range(2):
        await keeper.turn()
    assert objects.configuration["webhooks"][1] == by_address
    (said,) = [each for each in caplog.messages if "left alone" in each]
    assert said.endswith("scale.quota.bizrq.io")


@pytest.mark.parametrize("gone", ["secret", "configuration"])
async def test_what_is_not_there_is_waited_for_and_said_once(objects, keeper, caplog, gone):
    caplog.set_level(logging.INFO)
    there = getattr(objects, gone)
    setattr(objects, gone, None)
    for _ in range(2):
        await keeper.turn()
    assert objects.writes == []
    assert len(caplog.messages) == 1
    setattr(objects, gone, there)
    await keeper.turn()
    reaches(objects)


async def test_no_secret_gets_into_the_log(objects, keeper, clock, caplog):
    caplog.set_level(logging.DEBUG)
    await keeper.turn()
    clock.time += 61 * DAY
    await settle(keeper, clock)
    told = texts(objects)
    assert "a new certificate for the webhook, until" in caplog.text
    for text in (*told["tokens"].split(), *told["tls.key"].splitlines()[1:-1]):
        assert text not in caplog.text


async def test_where_somebody_else_makes_certificates_only_tokens_and_paths_are_kept(objects, clock):
    objects.put_secret(secret({"tls.crt": "theirs"}))
    objects.put_configuration(configuration(entry("scale.quota.bizrq.io", bundle="theirs")))
    keeper = WebhookCertificates(objects, clock, replace(RULES, certificates=False), leading=lambda: True)
    await keeper.turn()
    first = texts(objects)["tokens"]
    clock.time += 61 * DAY
    await settle(keeper, clock)
    told = texts(objects)
    assert (told["tls.crt"], sorted(told)) == ("theirs", ["tls.crt", "tokens"])
    assert called(objects) == {"scale": (f"/{told['tokens'].strip()}/scale", "theirs")}
    assert told["tokens"] != first
