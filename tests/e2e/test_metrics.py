"""What both processes show on a real cluster: what the status says, and whether the webhooks are asked."""

from __future__ import annotations

import functools
import ssl
import time

import pykube
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bizrq.domain.probe import PROBE_KEY
from testbed import certificates
from testbed.cluster import Cluster
from tests.support.bizrqs import ONE_CORE, bizrq, labels_for
from tests.support.kube import client, deployment, parse_time, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CPU, CASH = "limits.cpu", "cash/limits.cpu"
HARD = {CPU: "10", "pods": "20", CASH: "100"}

ABSENT = "enforcement is off: there is no ValidatingWebhookConfiguration bizrq"

WITHIN = 60.0
"""Seconds within which it shows that nobody is asked any more."""


class Bed:
    """A cluster of its own, with a controller and two webhooks."""

    def __init__(self, cluster, api, webhooks, controller):
        self.cluster, self.api, self.webhooks, self.controller = cluster, api, webhooks, controller

    def samples(self, *urls):
        """Everything that is shown, by name and labels; of several processes the sum."""
        found: dict[tuple[str, ...], float] = {}
        for url in urls or [self.controller.metrics_url]:
            for family in text_string_to_metric_families(requests.get(url, timeout=30).text):
                for sample in family.samples:
                    series = (sample.name, *sample.labels.values())
                    found[series] = found.get(series, 0) + sample.value
        return found

    def of_webhooks(self):
        return self.samples(*(each.metrics_url for each in self.webhooks.replicas))

    def log(self):
        """That of the controller."""
        return self.controller.log.read_text(encoding="utf-8")

    def enforcement(self):
        return self.samples().get(("bizrq_enforcement_active",))

    def until_enforced(self, value):
        wait_until(lambda: self.enforcement() == value, f"enforcement is {value}", WITHIN)


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("metrics")) as cluster:
        controller = cluster.start_operator(["--resync-seconds=5"])
        with cluster.start_webhooks() as webhooks, client(cluster.kubeconfig) as api:
            yield Bed(cluster, api, webhooks, controller)


@pytest.fixture(scope="module")
def tree(bed):
    """A root with a period, and a child, counted."""
    made = bizrq(bed.api, "acme", HARD), bizrq(bed.api, "team", HARD, parent="acme")
    made[0].obj["spec"]["cashPeriod"] = {"every": "Week", "timeZone": "UTC"}
    for each in made:
        each.create()
        wait_until(functools.partial(each.used, CPU), "the first status")
    return made


@pytest.fixture(scope="module")
def enforced(bed, tree):
    """It was off before there was a configuration."""
    bed.until_enforced(0)
    bed.webhooks.install()
    bed.until_enforced(1)
    return bed


@pytest.fixture(scope="module")
def family(enforced, tree):
    """The tree and a namespace: two cores of the child run, and nine more were refused."""
    api, (root, team) = enforced.api, tree
    space = f"t-{time.time_ns():x}"
    pykube.Namespace(api, {"metadata": {"name": space}}).create()
    for name, replicas in (("web", 2), ("large", 9)):
        made = deployment(api, name, namespace=space, replicas=replicas, labels=labels_for("team"), spec=ONE_CORE)
        if name == "web":
            made.create()
        else:
            with pytest.raises(pykube.exceptions.HTTPError, match="exceeded quota: team"):
                made.create()
    wait_until(lambda: (team.status()["cash"].get("rate") or {}).get(CPU) == "2", "two pods are charged")
    wait_until(lambda: not team.status().get("claims"), "the claim is closed")
    return root, team, space


def test_the_controller_shows_what_the_status_says(enforced, family):
    _, team, _ = family
    before, now = team.status(), time.time()
    shown = enforced.samples()
    assert shown["bizrq_info", "team", "acme", "acme"] == shown["bizrq_info", "acme", "", "acme"] == 1
    for key in (CPU, "pods"):
        assert shown["bizrq_hard", "team", key] == float(HARD[key])
        assert shown["bizrq_used", "team", key] == float(before["used"][key]) == 2
        assert shown["bizrq_self_used", "team", key] == float(before["selfUsed"][key])
        assert shown["bizrq_used", "acme", key] == float(HARD[key]), "a child takes what it was granted"
        assert shown["bizrq_over_admissions_total", "team", key] == 0
    assert shown["bizrq_cash_hard_resource_seconds", "team", CASH] == 360_000
    assert shown["bizrq_cash_spend", "team", CASH] == shown["bizrq_cash_self_spend", "team", CASH] == 2
    assert shown["bizrq_cash_spend", "acme", CASH] == 0, "its child is within its budget"
    ledger = int(before["cash"]["ledger"][CPU]) / 1000
    used, self_used = (
        shown[name, "team", CASH]
        for name in ("bizrq_cash_used_resource_seconds", "bizrq_cash_self_used_resource_seconds")
    )
    assert ledger <= self_used <= ledger + 2 * 60, "the status carried forward at the rate"
    assert abs(used - self_used) <= 3.6, "hours are shown in thousandths"
    period = before["cash"]["period"]
    assert shown["bizrq_cash_period_start_timestamp_seconds", "team"] == parse_time(period["start"])
    assert shown["bizrq_cash_period_end_timestamp_seconds", "team"] == parse_time(period["end"])
    exhausted = shown.get(("bizrq_cash_exhaustion_timestamp_seconds", "team", CASH))
    expected = now + (360_000 - self_used) / 2
    if abs(expected - parse_time(period["end"])) > WITHIN:
        assert (exhausted is not None) == (expected < parse_time(period["end"])), "only within the period"
    assert exhausted is None or abs(exhausted - expected) < WITHIN
    for each in before["conditions"]:
        assert shown["bizrq_condition", "team", each["type"]] == (each["status"] == "True")
    assert shown["bizrq_last_reconcile_timestamp_seconds", "team"] >= parse_time(before["lastReconcileTime"])
    assert shown["bizrq_claims_open", "team"] == 0
    assert 0 <= shown["bizrq_reflector_age_seconds", "pods"] < 180


def test_the_webhooks_show_who_was_refused_what_and_until_when_their_certificate_is_valid(enforced, family):
    shown = enforced.of_webhooks()
    refusals = {series: value for series, value in shown.items() if series[0] == "bizrq_refusals_total"}
    assert refusals == {("bizrq_refusals_total", "team", CPU): 1}
    assert shown["bizrq_reviews_total", "bizrqs", "refused"] == 0, "probes are counted apart"
    assert shown["bizrq_reviews_total", "bizrqs", "probed"] > 0
    path = enforced.webhooks.folder / certificates.CERTIFICATE
    decoded = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    end = ssl.cert_time_to_seconds(decoded["notAfter"])
    assert shown["bizrq_certificate_expiry_timestamp_seconds",] == end * len(enforced.webhooks.replicas)


def test_a_probe_changes_nothing(enforced, family):
    for each in family[:2]:
        each.reload()
        assert PROBE_KEY not in each.obj["spec"]["hard"]
        assert each.obj["metadata"]["generation"] == 1


def test_the_series_of_a_bizrq_go_away_with_it(enforced, family):
    gone = bizrq(enforced.api, "gone", {CPU: "1"})
    gone.create()
    wait_until(lambda: ("bizrq_used", "gone", CPU) in enforced.samples(), "it has series")
    gone.delete()
    wait_until(lambda: not any(series[1:2] == ("gone",) for series in enforced.samples()), "they are gone")


def test_it_shows_within_a_minute_that_no_webhook_answers(enforced, family):
    for replica in enforced.webhooks.replicas:
        replica.kill9()
    enforced.until_enforced(0)
    assert enforced.log().count(ABSENT) == 1
    enforced.webhooks.uninstall()
    for index in range(len(enforced.webhooks.replicas)):
        enforced.webhooks.restart(index)


def test_it_shows_that_nobody_is_asked_and_what_is_let_in_then(enforced, family):
    """[A1] what did not fit before."""
    space = family[2]
    wait_until(lambda: enforced.log().count(ABSENT) == 2, "it is looked for anew", WITHIN)
    assert enforced.enforcement() == 0
    large = deployment(enforced.api, "large", namespace=space, replicas=9, labels=labels_for("team"), spec=ONE_CORE)
    large.create()
    wait_until(lambda: enforced.samples()["bizrq_over_admissions_total", "team", CPU] == 1, "it is found")
    assert enforced.samples()["bizrq_over_admissions_total", "team", "pods"] == 0
    wait_until(lambda: enforced.samples()["bizrq_condition", "team", "OverQuota"] == 1, "more is used than allowed")
    large.delete()
    enforced.webhooks.install()
    enforced.until_enforced(1)


def test_the_path_of_the_webhook_is_a_secret_that_is_not_logged(enforced):
    """The API server's own words about a webhook that is away have it."""
    log = enforced.log()
    assert log.count("enforcement is off: ") == 3
    assert 'failed calling webhook "bizrqs.quota.bizrq.io"' in log
    assert enforced.webhooks.token not in log
