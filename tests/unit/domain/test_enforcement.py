"""Is the webhook really asked? What the configuration and an answer say of it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bizrq.domain.enforcement import REFUSING, State, accepted, answered, configured, refusal_in
from bizrq.domain.probe import PROBE_KEY, may_be_probed, probe
from bizrq.domain.refusals import NOT_ENFORCED
from bizrq.domain.resource_names import key_problem
from tests.support.build import NOW, read
from tests.support.configurations import URL, configuration
from tests.support.quotas import counted

JSON = dict[str, Any]

ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds" / "quota.bizrq.io_bizgroupresourcequotas.yaml"

SERVICE = {"namespace": "bizrq-system", "name": "bizrq-webhook", "path": "/s3cret-token"}


@pytest.mark.parametrize("client", [{"url": URL}, {"service": SERVICE}, {"service": {**SERVICE, "port": 8443}}])
def test_a_configuration_that_asks_one_webhook_for_everything_is_right(client: JSON) -> None:
    assert configured("bizrq", configuration(**client)) is None


def test_none_at_all_is_told() -> None:
    found = configured("bizrq", None)
    assert found is not None
    assert (found.active, found.why) == (False, "there is no ValidatingWebhookConfiguration bizrq")


def wrong(change: str, value: Any, route: str = "workloads") -> JSON:
    """A configuration in which one field of one entry is another; None leaves it out."""
    made = copy.deepcopy(configuration())
    entry = next(each for each in made["webhooks"] if each["name"] == f"{route}.quota.bizrq.io")
    *way, last = change.split(".")
    for name in way:
        entry = entry[name]
    if value is None:
        del entry[last]
    else:
        entry[last] = value
    return made


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (wrong("failurePolicy", "Ignore"), "failurePolicy of workloads.quota.bizrq.io is Ignore, not Fail"),
        (wrong("rules", []), "workloads.quota.bizrq.io has no rules"),
        (wrong("name", "other"), "it has no entry workloads.quota.bizrq.io"),
        (
            wrong("clientConfig.url", "https://elsewhere.example.com/s3cret-token/workloads"),
            "workloads.quota.bizrq.io has another address than bizrqs.quota.bizrq.io",
        ),
        (
            wrong("clientConfig.caBundle", "T1RIRVI="),
            "workloads.quota.bizrq.io has another address than bizrqs.quota.bizrq.io",
        ),
        (
            wrong("clientConfig.url", f"{URL}/scale"),
            "the address of workloads.quota.bizrq.io does not end in /workloads",
        ),
        (wrong("clientConfig", {}, "bizrqs"), "the address of bizrqs.quota.bizrq.io does not end in /bizrqs"),
        ({"webhooks": None}, "it has no entry bizrqs.quota.bizrq.io"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_told_without_its_path(made: JSON, why: str) -> None:
    found = configured("bizrq", made)
    assert found is not None
    assert (found.active, found.why) == (False, f"ValidatingWebhookConfiguration bizrq: {why}")
    assert "s3cret" not in found.why


def test_every_entry_that_must_refuse_is_in_the_chart_and_only_these_fail_closed() -> None:
    """What helm makes of it is tried end to end."""
    text = (ROOT / "charts/bizrq/templates/validating-webhook.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"- name: (\w+)\.quota\.bizrq\.io\n.*?failurePolicy: (\w+)", text, re.DOTALL)
    assert {name for name, policy in entries if policy == "Fail"} == set(REFUSING)


# --- answers ---------------------------------------------------------------------------------------------------------

DENIED = 'PATCH /x: 422 admission webhook "bizrqs.quota.bizrq.io" denied the request: '
POST = 'Post "https://quota.example.com/...": connection refused'


@pytest.mark.parametrize(
    ("error", "again", "state"),
    [
        (f"{DENIED}spec.hard.{PROBE_KEY}: no such kind of workload is counted", False, State.ACTIVE),
        (f"{DENIED}this could not be decided in time; try again", True, State.UNKNOWN),
        (f"{DENIED}go away", False, State.STRANGER),
        (f'500 failed calling webhook "bizrqs.quota.bizrq.io": failed to call webhook: {POST}', True, State.SILENT),
        (f'500 failed calling webhook "other.example.com": failed to call webhook: {POST}', True, State.UNKNOWN),
        (f'403 admission webhook "other.example.com" denied the request: {PROBE_KEY}', False, State.UNKNOWN),
        ("403 bizgroupresourcequotas.quota.bizrq.io is forbidden: User cannot patch", False, State.UNKNOWN),
        ("PATCH /x: TimeoutError", True, State.UNKNOWN),
    ],
)
def test_what_an_answer_says(error: str, again: bool, state: State) -> None:  # noqa: FBT001
    verdict = answered(error, again=again)
    assert verdict.state is state
    assert verdict.active is {State.ACTIVE: True, State.UNKNOWN: None}.get(state, False)


def test_a_probe_that_is_accepted_was_not_looked_at() -> None:
    assert (accepted(()).state, accepted(()).active) == (State.ACCEPTED, False)
    assert accepted(("something else",)).state is State.ACCEPTED
    assert accepted((f"somebody else says: {NOT_ENFORCED}it",)).state is State.ACCEPTED


def test_mode_warn_enforces_nothing() -> None:
    verdict = accepted((f"{NOT_ENFORCED}spec.hard.x: no such", "kind"))
    assert (verdict.state, verdict.active) == (State.WARNS, False)


def test_a_refusal_is_ours_only_in_the_words_of_the_api_server() -> None:
    assert refusal_in(f"{DENIED}no such parent") == "no such parent"
    assert refusal_in(DENIED) == "", "one without a word is one"
    assert refusal_in('403 admission webhook "others.example.com" denied the request: no') is None


# --- the probe -------------------------------------------------------------------------------------------------------


def test_the_schema_lets_the_probe_by() -> None:
    """[K4] strategy validation comes before any webhook; the real API server is asked in tests/e2e/test_metrics.py."""
    schema = yaml.safe_load(CRD.read_text(encoding="utf-8"))["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    hard = schema["properties"]["spec"]["properties"]["hard"]
    (pattern,) = {each for each in re.findall(r"matches\('(\^count/[^']*)'\)", str(hard)) if "pods" in each}
    assert re.search(pattern, PROBE_KEY)
    assert key_problem(PROBE_KEY) is None, "whether the kind is counted is for the webhook to say"
    assert probe() == {"spec": {"hard": {PROBE_KEY: "0"}}}


def test_a_bizrq_that_something_else_would_refuse_to_change_is_not_probed() -> None:
    full = {f"requests.example.com/r{number}": "1" for number in range(255)}
    assert may_be_probed(read(counted(full)))
    assert not may_be_probed(read(counted(full | {"pods": "1"})))
    assert not may_be_probed(read(counted({"pods": "many"}, status_hard={})))
    assert not may_be_probed(read(counted({"pods": "1"}, deletion=NOW)))
