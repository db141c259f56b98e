"""How the Secret and the configuration are read and written."""

import base64
import time
from dataclasses import replace

import pytest

from bizrq.controller.authority import make_pair
from bizrq.controller.webhook_forms import (
    MADE_ANNOTATION,
    ROTATE_ANNOTATION,
    client_config,
    dns_names,
    read_calls,
    read_kept,
    secret_with,
)
from bizrq.domain.rotation import Call, Entry, Kept
from tests.support.build import NOW
from tests.support.webhook_objects import configuration, entry, secret

NAMES = dns_names("bizrq-webhook", "bizrq-system")
TOKEN = "ab12" * 16
OTHER = "cd34" * 16


@pytest.fixture(scope="module")
def pair():
    return make_pair(NAMES, now=int(time.time()), lifetime=86_400)


@pytest.fixture(scope="module")
def staged():
    return make_pair(NAMES, now=int(time.time()), lifetime=86_400)


def kept_of(raw, *entries, certificates=True):
    return read_kept({"metadata": {}, **raw}, entries, certificates=certificates)


# --- the configuration -----------------------------------------------------------------------------------------------


def test_the_names_are_those_that_an_api_server_may_ask_for():
    assert {
        "bizrq-webhook.bizrq-system",
        "bizrq-webhook.bizrq-system.svc",
        "bizrq-webhook.bizrq-system.svc.cluster.local",
    } == NAMES


def test_an_entry_is_read_with_its_route(pair):
    calls = read_calls(
        configuration(
            entry("workloads.quota.bizrq.io", path=f"/{TOKEN}/workloads", bundle=pair.authority),
            entry("uncounted.quota.bizrq.io"),
        )
    )
    assert calls.entries == (
        Entry("workloads.quota.bizrq.io", NAMES, (pair.authority,), TOKEN),
        Entry("uncounted.quota.bizrq.io", NAMES),
    )
    assert calls.routes == {"workloads.quota.bizrq.io": "workloads", "uncounted.quota.bizrq.io": "required"}
    assert calls.ignored == ()


@pytest.mark.parametrize(
    ("name", "path", "route"),
    [
        ("workloads.quota.bizrq.io", f"/{TOKEN}/newer", "newer"),
        ("newer.quota.bizrq.io", f"/{TOKEN}/newer", "newer"),
        ("newer.quota.bizrq.io", "/scale", "scale"),
        ("workloads.quota.bizrq.io", "/", "workloads"),
        ("workloads.quota.bizrq.io", "/short/required", "required"),
        ("workloads.quota.bizrq.io", "/short/else", "workloads"),
    ],
)
def test_the_last_part_of_a_path_that_is_there_is_kept(name, path, route):
    assert read_calls(configuration(entry(name, path=path))).routes == {name: route}


def test_entries_with_an_address_and_those_of_others_are_left_alone():
    by_address = {"name": "workloads.quota.bizrq.io", "clientConfig": {"url": f"https://w.example.com/{TOKEN}"}}
    theirs = entry("of-somebody.example.com", path=f"/{TOKEN}/scale")
    calls = read_calls(configuration(by_address, theirs, entry("newer.quota.bizrq.io")))
    names = ("workloads.quota.bizrq.io", "of-somebody.example.com", "newer.quota.bizrq.io")
    assert (calls.entries, calls.ignored) == ((), names)


def test_a_configuration_without_entries_says_nothing():
    assert read_calls({"metadata": {"name": "bizrq"}}).entries == ()


@pytest.mark.parametrize("token", ["short", "UPPER" * 8, "under_score" * 3, "a" * 254, "-" + "a" * 20])
def test_what_no_service_path_may_have_is_no_token(token):
    assert read_calls(configuration(entry("scale.quota.bizrq.io", path=f"/{token}/scale"))).entries[0].token == ""
    assert kept_of(secret({"tokens": f"{token}\n{TOKEN}\n"}), certificates=False).tokens == (TOKEN,)


def test_of_an_entry_no_more_is_changed_than_path_and_bundle(pair):
    assert client_config(Call(TOKEN, (pair.authority,)), "scale") == {
        "service": {"path": f"/{TOKEN}/scale"},
        "caBundle": base64.b64encode(pair.authority.encode()).decode(),
    }
    assert client_config(Call(TOKEN, None), "scale") == {"service": {"path": f"/{TOKEN}/scale"}}


# --- the Secret ------------------------------------------------------------------------------------------------------


@pytest.fixture
def whole(pair, staged):
    """During a rotation."""
    return Kept(pair, staged, (staged.authority, pair.authority), (OTHER, TOKEN), NOW, asked=True)


def test_what_is_written_is_read_again(whole):
    raw = secret_with(secret(annotations={ROTATE_ANNOTATION: ""}), whole, certificates=True)
    assert kept_of(raw) == whole


def test_a_secret_as_helm_makes_it_says_nothing():
    assert kept_of({}) == Kept()


def test_keys_and_annotations_of_others_stay_and_the_demand_for_a_rotation_goes_once_it_is_met(whole):
    raw = secret({"note": "theirs", "next-tls.crt": "old"}, {"theirs": "1", ROTATE_ANNOTATION: ""})
    made = secret_with(raw, replace(whole, staged=None, asked=False), certificates=True)
    assert made["metadata"]["annotations"] == {"theirs": "1", MADE_ANNOTATION: "2026-01-05T10:00:00Z"}
    assert sorted(made["data"]) == ["ca.crt", "note", "tls.crt", "tls.key", "tokens"]


def test_certificates_of_somebody_else_are_neither_read_nor_written(pair):
    raw = secret({"tls.crt": "theirs", "ca.crt": "theirs", "tokens": TOKEN + "\n"})
    kept = kept_of(raw, certificates=False)
    assert kept == Kept(tokens=(TOKEN,))
    assert secret_with(raw, kept, certificates=False)["data"] == raw["data"]


def test_an_authority_that_the_secret_lost_is_found_in_the_configuration(pair):
    raw = secret({"tls.crt": pair.certificate, "tls.key": pair.key, "tokens": TOKEN + "\n"})
    assert kept_of(raw).serving is None
    found = kept_of(raw, Entry("x", NAMES, (pair.authority,), TOKEN))
    assert (found.serving, found.authorities, found.tidy) == (pair, (pair.authority,), False)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"tokens": f"{TOKEN}\nno token!\n"}, id="a line that is no token"),
        pytest.param({"tokens": f"{TOKEN}\n{TOKEN}\n"}, id="a token twice"),
        pytest.param({"next-tls.crt": "half", "next-tls.key": "half"}, id="something staged that is broken"),
    ],
)
def test_what_is_broken_beside_what_is_good_is_seen(pair, change):
    good = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": pair.authority, "tokens": f"{TOKEN}\n"}
    assert kept_of(secret(good)) == Kept(pair, None, (pair.authority,), (TOKEN,))
    assert kept_of(secret(good | change)) == Kept(pair, None, (pair.authority,), (TOKEN,), tidy=False)


def test_a_time_that_cannot_be_read_is_none():
    assert kept_of(secret(annotations={MADE_ANNOTATION: "yesterday"})).tokens_made is None
