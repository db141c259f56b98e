"""Events on the real API server: each transition once, where people look, under the controller's own rights."""

import json
import re
import time
from dataclasses import replace

import pytest

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import load_credentials
from bizrq.cluster.errors import Conflict, Invalid, NotFound
from bizrq.cluster.events import REPORTER, ApiEvents, Event, Ref
from bizrq.domain.events import shortened
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.instants import CPU, deployment
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAMESPACE = "shop"
HARD = {CPU: "4", "pods": "9", "cash/limits.cpu": "0.003"}
"""Two cores pay 0.003 core-hours in 5.4 s."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of its own: nobody else's events are in it."""
    with Cluster(tmp_path_factory.mktemp("events")) as started:
        yield started


@pytest.fixture(scope="module")
def operators(cluster):
    """The controllers that were started, the one that works last."""
    return [cluster.start_operator(["--resync-seconds=2"])]


@pytest.fixture(scope="module")
def team(cluster, operators):
    """A group whose budget is soon used up, by a Deployment in a namespace that alice may look into."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("create", "rolebinding", "looks", "--clusterrole=view", "--user=alice", f"--namespace={NAMESPACE}")
    with client(cluster.kubeconfig) as api:
        made = bizrq(api, "team", HARD)
        made.create()
        wait_until(lambda: made.used(CPU) == "0", "the first status", 30)
        raw = deployment("web", "team", namespace=NAMESPACE, replicas=2)
        cluster.kubectl("create", "--filename=-", stdin=json.dumps(raw))
        yield made


def events(cluster, namespace, user="admin"):
    """What people see of ours, oldest first."""
    text = cluster.kubectl("get", "events", f"--namespace={namespace}", "--output=json", user=user)
    found = [each for each in json.loads(text)["items"] if each.get("reportingComponent") == REPORTER]
    return sorted(found, key=lambda each: each["eventTime"])


def until_told(cluster, namespace, reason, user="admin"):
    """The only event of that reason in a namespace, once it is there."""

    def probe():
        return [each for each in events(cluster, namespace, user) if each["reason"] == reason]

    (found,) = wait_until(probe, f"{reason} in {namespace}", 30)
    return found


def test_an_exhausted_budget_is_told_on_the_bizrq_and_to_the_users_of_its_namespaces(cluster, team):
    on_team = until_told(cluster, "default", "CashExhausted")
    assert (on_team["type"], on_team["action"]) == ("Warning", "Count")
    assert on_team["involvedObject"]["uid"] == team.metadata["uid"]
    assert re.match(r"no hours are left: cash/limits\.cpu 0\.00[34] of 0\.003; what runs goes on", on_team["message"])
    in_shop = until_told(cluster, NAMESPACE, "CashExhausted", user="alice")
    about = in_shop["involvedObject"]
    assert (about["apiVersion"], about["kind"], about["name"]) == ("apps/v1", "Deployment", "web")
    assert in_shop["message"] == f"bizrq team: {on_team['message']}"
    assert in_shop["related"]["uid"] == team.metadata["uid"]
    with pytest.raises(KubectlFailed, match="orbidden"):
        cluster.kubectl("get", "bizrq", "team", user="alice")


def test_people_read_it_by_describe_and_get_events(cluster, team):
    told = cluster.kubectl("get", "events", f"--namespace={NAMESPACE}", user="alice")
    assert any("CashExhausted" in line and "deployment/web" in line for line in told.splitlines())
    for what in (["deployment/web", f"--namespace={NAMESPACE}"], ["bizrq/team"]):
        assert "CashExhausted" in cluster.kubectl("describe", *what)


def test_going_over_quota_by_a_lowered_hard_is_told_and_its_end_too(cluster, team):
    team.reload()
    team.patch({"spec": {"hard": {CPU: "1"}}})
    assert until_told(cluster, "default", "OverQuota")["message"].startswith(
        "more is used than hard allows: limits.cpu 2 of 1; "
    )
    assert until_told(cluster, NAMESPACE, "OverQuota", user="alice")["involvedObject"]["name"] == "web"
    cluster.kubectl("scale", "deployment/web", "--replicas=1", f"--namespace={NAMESPACE}")
    ended = until_told(cluster, "default", "WithinQuota")
    assert (ended["type"], ended["message"]) == ("Normal", "nothing is used above hard: limits.cpu 1 of 1")


def test_an_edit_of_the_status_is_told_with_both_values(cluster, team):
    change = json.dumps({"status": {"used": {CPU: "3"}}})
    cluster.kubectl("patch", "bizrq", "team", "--subresource=status", "--type=merge", f"--patch={change}")
    told = until_told(cluster, "default", "DriftCorrected")
    assert told["message"] == "status.used of limits.cpu was changed to 3 by somebody else; corrected to 1"


def test_nothing_is_told_again_by_a_controller_that_starts(cluster, team, operators):
    before = [events(cluster, namespace) for namespace in ("default", NAMESPACE)]
    assert [[each["reason"] for each in found] for found in before] == [
        ["CashExhausted", "OverQuota", "WithinQuota", "DriftCorrected"],
        ["CashExhausted", "OverQuota"],
    ]
    first = team.status()["writer"]
    operators[-1].kill9()
    operators.append(cluster.start_operator(["--resync-seconds=2"], install=False))
    wait_until(lambda: team.status()["writer"].partition(".")[0] != first.partition(".")[0], "the new one writes", 30)
    last = int(team.status()["writer"].partition(".")[2])
    wait_until(lambda: int(team.status()["writer"].partition(".")[2]) > last + 1, "it has resynced", 30)
    assert [events(cluster, namespace) for namespace in ("default", NAMESPACE)] == before


def test_the_controller_may_tell_events_and_nothing_else_of_them(cluster, team):
    for verb, may in {"create": "yes", "patch": "yes", "list": "no", "delete": "no"}.items():
        arguments = ["auth", "can-i", verb, "events.events.k8s.io", f"--namespace={NAMESPACE}"]
        try:
            answer = cluster.kubectl(*arguments, user="bizrq-controller").strip()
        except KubectlFailed:  # it says no by its exit code, too
            answer = "no"
        assert answer == may, verb


async def test_the_api_takes_the_longest_note_and_a_series_and_each_event_where_it_belongs(cluster, team, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfigs["bizrq-controller"]))
    group = Ref("quota.bizrq.io/v1", "BizGroupResourceQuota", "team", team.metadata["uid"])
    web = replace(group, api_version="apps/v1", kind="Deployment", name="web", namespace=NAMESPACE)
    note = shortened("a note \N{GREEK SMALL LETTER ALPHA} " * 999)
    at = time.time_ns() // 10**6
    event = Event(f"probe.{at:x}", web, "Probed", "Probe", note, warning=False, at=at, related=group)
    async with Client(load_credentials(), user_agent="bizrq-test") as api:
        told = ApiEvents(api, "p" * 300)
        await told.create(event)
        with pytest.raises(Conflict):
            await told.create(event)
        await told.repeat(event, 2, at + 1)
        found = until_told(cluster, NAMESPACE, "Probed", user="alice")
        assert (found["message"], found["series"]["count"], len(found["reportingInstance"])) == (note, 2, 128)
        with pytest.raises(NotFound):
            await told.repeat(replace(event, name="no-such-event"), 2, at)
        body = replace(event, regarding=group).as_json("p")
        for namespace, error in ((NAMESPACE, Invalid), ("no-such-namespace", NotFound)):
            body["metadata"]["namespace"] = namespace
            with pytest.raises(error):
                await api.post(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
