"""Does `bizrq check`, which is what helm test runs, tell a webhook that protects from one that does not?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from testbed import admission, chart, operator_process
from testbed.control import ROOT
from testbed.identities import NAMESPACE

pytestmark = pytest.mark.e2e

NOWHERE = {"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}}
SELECTORS: dict[str, Any] = {"namespace_selector": NOWHERE, "scale_namespace_selector": NOWHERE}
"""Other tests go on; groups are in no namespace, and always asked about."""


@pytest.fixture(scope="module")
def account(cluster):
    """The kubeconfig of somebody who has the rights of the chart's check, and no others."""
    operator_process.install(cluster.kubectl)
    made = {(each["kind"], each["metadata"]["name"]): each for each in chart.render(chart.CHART, tests=True)}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(made["ClusterRole", "bizrq-check"]))
    flags = ("--clusterrole=bizrq-check", "--user=carol")
    cluster.kubectl("create", "clusterrolebinding", "bizrq-check", *flags)
    yield cluster.kubeconfigs["carol"]
    cluster.kubectl("delete", "clusterrolebinding,clusterrole", "bizrq-check")


@pytest.fixture(scope="module")
def webhooks(cluster, account):
    with cluster.start_webhooks(count=1) as webhooks:
        yield webhooks


def check(account, *arguments):
    """Exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "bizrq", "check", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(account)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_without_a_configuration_it_fails_for_nobody_is_asked(cluster, account):
    admission.uninstall(cluster.kubectl)
    code, said = check(account)
    assert (code, "it asks nobody" in said) == (1, True), said


def test_where_the_webhook_refuses_it_passes_and_leaves_nothing(cluster, account, webhooks):
    webhooks.install(**SELECTORS)
    code, said = check(account)
    assert (code, "the webhook refuses, as it should: " in said) == (0, True), said
    assert "bizrq-check" not in cluster.kubectl("get", "bizrq", "--output=name")


def test_it_waits_for_a_webhook_that_is_on_its_way(account, webhooks):
    webhooks.uninstall()
    told = []
    waiting = threading.Thread(target=lambda: told.append(check(account, "--wait-seconds=30")))
    waiting.start()
    time.sleep(1)
    assert waiting.is_alive()
    webhooks.install(**SELECTORS)
    waiting.join()
    assert told[0][0] == 0, told


@pytest.mark.parametrize(
    ("broken", "reason"),
    [("token", "does not know the token in the path"), ("authority", "does not believe the webhook's certificate")],
)
def test_a_webhook_that_is_asked_in_vain_fails_it_and_it_says_why(cluster, account, webhooks, broken, reason, tmp_path):
    url, authority = webhooks.url, webhooks.authority
    if broken == "token":
        url = f"{webhooks.address}/{'x' * 32}"
    else:
        authority = tmp_path / "other.crt"
        authority.write_bytes((cluster.state / "certs" / "apiserver.crt").read_bytes())
    admission.install(cluster.kubectl, url, authority, **SELECTORS)
    code, said = check(account)
    assert (code, reason in said) == (1, True), said
    assert url.rpartition("/")[2] not in said, "the token is a secret"


def test_who_may_not_try_it_is_told_so(cluster, webhooks):
    webhooks.install(**SELECTORS)
    code, said = check(cluster.kubeconfigs["bob"])
    assert (code, "needs the right to create bizgroupresourcequotas" in said) == (1, True), said


def test_where_it_only_warns_that_will_do(cluster, account):
    with cluster.start_webhooks(count=1, arguments=["--mode=warn"]) as warning:
        warning.install(**SELECTORS)
        code, said = check(account)
    assert (code, "the webhook only warns, as it is told to: " in said) == (0, True), said
    assert '"bizrq-check-has-no-such-parent"' in said, "without the slashes that stand before quotes in a header"


def test_a_webhook_that_is_gone_fails_it_without_its_token_in_the_log(account, webhooks):
    webhooks.install(**SELECTORS)
    for replica in webhooks.replicas:
        replica.terminate()
    code, said = check(account, "--wait-seconds=1")
    assert (code, "failed calling webhook" in said) == (1, True), said
    assert webhooks.token not in said


def test_it_is_what_the_chart_runs():
    (pod,) = (
        each for each in chart.render(chart.CHART, {"test": {"waitSeconds": 7}}, tests=True) if each["kind"] == "Pod"
    )
    (container,) = pod["spec"]["containers"]
    assert (container["command"], container["args"]) == (["bizrq"], ["check", "--wait-seconds=7"])
    assert (pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]) == (NAMESPACE, "bizrq-check")
