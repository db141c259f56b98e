"""What do install, upgrade and uninstall of the chart do to a cluster, by helm 4 and by helm 3?

Nobody runs its pods here, so what the controller writes is written by hand.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil

import pytest
import yaml

from testbed import chart
from testbed.cluster import Cluster
from testbed.errors import HelmFailed, KubectlFailed
from testbed.identities import NAMESPACE
from tests.support.kube import client

pytestmark = [pytest.mark.e2e, pytest.mark.parts("helm", "helm3")]

HELMS = ["helm", "helm3"]
AUTHORITY = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
CONTROLLER = f"--as=system:serviceaccount:{NAMESPACE}:bizrq-controller"
CONFIGURATIONS = "validatingwebhookconfigurations"
HARD = {"pods": "1"}
CRD = "customresourcedefinition.apiextensions.k8s.io/bizgroupresourcequotas.quota.bizrq.io"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of its own: helm refuses what somebody else has made."""
    with Cluster(tmp_path_factory.mktemp("install")) as started:
        yield started


@pytest.fixture
def released(cluster):
    """Run a helm on the release; in the end there is none."""

    def run(part, verb, values=None, *flags):
        arguments = [verb, "bizrq", str(chart.CHART), f"--namespace={NAMESPACE}", "--values=-", *flags]
        if verb == "install":
            arguments.append("--create-namespace")
        return chart.helm(*arguments, stdin=json.dumps(values or {}), part=part, kubeconfig=cluster.kubeconfig)

    yield run
    with contextlib.suppress(HelmFailed):
        uninstall(cluster)


def uninstall(cluster, part="helm"):
    return chart.helm("uninstall", "bizrq", f"--namespace={NAMESPACE}", part=part, kubeconfig=cluster.kubeconfig)


def read(cluster, what, *flags):
    return json.loads(cluster.kubectl("get", what, f"--namespace={NAMESPACE}", "--output=json", *flags))


def make_as_the_controller(cluster):
    """Path, authority and Secret, by the verbs that the controller has.

    Raw, since ``kubectl replace`` also writes down what it was given as if that had been applied.
    """
    changes = [
        {"op": "add", "path": f"/webhooks/{number}/clientConfig/{where}", "value": value}
        for number, each in enumerate(read(cluster, f"{CONFIGURATIONS}/bizrq")["webhooks"])
        for where, value in (("caBundle", AUTHORITY), ("service/path", f"/token/{each['name']}"))
    ]
    cluster.kubectl("patch", CONFIGURATIONS, "bizrq", "--type=json", f"--patch={json.dumps(changes)}", CONTROLLER)
    secret = read(cluster, "secret/bizrq-webhook")
    secret["data"] = {"tokens": "dG9rZW4="}
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/bizrq-webhook"
    cluster.kubectl("replace", f"--raw={path}", "--filename=-", CONTROLLER, stdin=json.dumps(secret))


def made_by_the_controller(cluster):
    """The addresses, and the content of the Secret."""
    entries = read(cluster, f"{CONFIGURATIONS}/bizrq")["webhooks"]
    addresses = {each["name"]: each["clientConfig"] for each in entries}
    return addresses, read(cluster, "secret/bizrq-webhook")["data"]


@pytest.mark.parametrize(
    ("first", "then", "flags"),
    [("helm", "helm", ()), ("helm3", "helm3", ()), ("helm3", "helm", ()), ("helm3", "helm", ("--server-side=true",))],
    ids=["helm 4", "helm 3", "helm 4 over helm 3", "helm 4 over helm 3, server-side"],
)
def test_an_upgrade_keeps_what_the_controller_made(cluster, released, first, then, flags):
    """And changes the rest."""
    released(first, "install")
    make_as_the_controller(cluster)
    before = made_by_the_controller(cluster)
    released(then, "upgrade", {"trustedControllers": ["somebody-else"], "mode": "warn"}, *flags)
    assert made_by_the_controller(cluster) == before
    assert "'somebody-else'" in json.dumps(read(cluster, f"{CONFIGURATIONS}/bizrq"))
    (container,) = read(cluster, "deployment/bizrq-webhook")["spec"]["template"]["spec"]["containers"]
    assert "--mode=warn" in container["args"]


@pytest.mark.parametrize("flags", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_whoever_applies_what_they_render_keeps_it_too_and_sees_no_difference(cluster, flags):
    """docs/install.md, of Argo CD and others."""
    rendered = json.dumps({"apiVersion": "v1", "kind": "List", "items": chart.render(chart.CHART)})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(namespace))
    cluster.kubectl("apply", *flags, "--filename=-", stdin=rendered)
    try:
        make_as_the_controller(cluster)
        before = made_by_the_controller(cluster)
        assert cluster.kubectl("diff", *flags, "--filename=-", stdin=rendered) == ""
        changed = rendered.replace("--mode=enforce", "--mode=warn").replace("deployment-controller", "somebody-else")
        cluster.kubectl("apply", *flags, "--filename=-", stdin=changed)
        assert made_by_the_controller(cluster) == before
        assert "somebody-else" in json.dumps(read(cluster, f"{CONFIGURATIONS}/bizrq"))
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=rendered)


@pytest.mark.parametrize("part", HELMS)
def test_an_entry_that_is_needed_no_more_goes_and_the_others_keep_their_address(cluster, released, part):
    released(part, "install")
    make_as_the_controller(cluster)
    before, _ = made_by_the_controller(cluster)
    released(part, "upgrade", {"uncounted": []})
    after, _ = made_by_the_controller(cluster)
    assert before.pop("uncounted.quota.bizrq.io")
    assert after == before


@pytest.fixture
def older(tmp_path):
    """A chart that lacks a value of today's."""
    copy = shutil.copytree(chart.CHART, tmp_path / "bizrq")
    for name in ("values.yaml", "values.schema.json"):
        read_in = yaml.safe_load((copy / name).read_text(encoding="utf-8"))
        if name == "values.yaml":
            del read_in["certificates"]["certManager"]
        else:
            read_in["properties"]["certificates"]["required"].remove("certManager")
        (copy / name).write_text(json.dumps(read_in), encoding="utf-8")
    return copy


@pytest.mark.parametrize("part", HELMS)
def test_an_upgrade_with_the_values_of_an_older_chart_alone_is_told_what_is_missing(cluster, released, older, part):
    """docs/install.md: --reuse-values leaves out the defaults of what is new, --reset-then-reuse-values does not."""
    arguments = ["bizrq", str(older), f"--namespace={NAMESPACE}", "--create-namespace", "--set=mode=warn"]
    chart.helm("install", *arguments, part=part, kubeconfig=cluster.kubeconfig)
    with pytest.raises(HelmFailed, match="'/certificates': missing property 'certManager'"):
        released(part, "upgrade", {}, "--reuse-values")
    released(part, "upgrade", {}, "--reset-then-reuse-values")
    (container,) = read(cluster, "deployment/bizrq-webhook")["spec"]["template"]["spec"]["containers"]
    assert "--mode=warn" in container["args"]


@pytest.mark.parametrize("part", HELMS)
def test_a_second_release_is_refused_and_touches_nothing(cluster, released, part):
    """docs/install.md: names are fixed, so there is one release in a cluster."""
    released(part, "install")
    make_as_the_controller(cluster)
    before = made_by_the_controller(cluster)
    for name, namespace in (("bizrq", "elsewhere"), ("another", NAMESPACE)):
        arguments = ["install", name, str(chart.CHART), f"--namespace={namespace}", "--create-namespace"]
        with pytest.raises(HelmFailed, match="exists and cannot be imported into the current release"):
            chart.helm(*arguments, part=part, kubeconfig=cluster.kubeconfig)
    assert made_by_the_controller(cluster) == before


@pytest.mark.parametrize("part", HELMS)
def test_a_secret_that_was_deleted_is_made_anew_by_an_upgrade_with_the_same_values(cluster, released, part):
    """docs/operations.md: the controller has no right to make one."""
    released(part, "install")
    cluster.kubectl("delete", "secret", "bizrq-webhook", f"--namespace={NAMESPACE}")
    released(part, "upgrade")
    assert read(cluster, "secret/bizrq-webhook").get("data") is None


@pytest.mark.parametrize("part", HELMS)
def test_the_crd_is_upgraded_with_the_release(cluster, released, part):
    """What lies in a chart's crds/ would stay as it was installed."""
    released(part, "install")
    cluster.kubectl("label", CRD, "quota.bizrq.io/probe=old")  # a difference that an upgrade has to leave alone
    fields = read(cluster, CRD)["spec"]
    column = {"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/0"}
    cluster.kubectl("patch", CRD, "--type=json", f"--patch={json.dumps([column])}", "--field-manager=helm")
    assert read(cluster, CRD)["spec"] != fields
    released(part, "upgrade", {"mode": "warn"}, *(("--force-conflicts",) if part == "helm" else ()))
    upgraded = read(cluster, CRD)
    assert upgraded["spec"] == fields
    assert upgraded["metadata"]["labels"]["quota.bizrq.io/probe"] == "old"


@pytest.mark.parametrize("part", HELMS)
def test_uninstall_takes_the_configuration_away_first_and_leaves_nothing_but_the_crd_and_the_groups(
    cluster, released, part
):
    released(part, "install", {"webhook": {"deploy": False}})  # nobody would answer here
    group = {"apiVersion": "quota.bizrq.io/v1", "kind": "BizGroupResourceQuota", "metadata": {"name": f"by-{part}"},
             "spec": {"hard": HARD}}  # fmt: skip
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(group))
    released(part, "upgrade", {"webhook": {"deploy": True}})
    listed = json.loads(cluster.kubectl("get", "--raw", f"/apis/admissionregistration.k8s.io/v1/{CONFIGURATIONS}"))
    start = listed["metadata"]["resourceVersion"]
    told = uninstall(cluster, part)
    assert "bizgroupresourcequotas.quota.bizrq.io" in told, "it says what it leaves"
    with client(cluster.kubeconfig) as api:
        gone = {
            path: _deleted(api, path, start)
            for path in (
                f"apis/admissionregistration.k8s.io/v1/{CONFIGURATIONS}",
                f"apis/apps/v1/namespaces/{NAMESPACE}/deployments",
                f"api/v1/namespaces/{NAMESPACE}/services",
                "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            )
        }
    first, *others = gone.values()
    assert first
    assert all(others)
    assert max(first) < min(version for each in others for version in each)
    kinds = "deployments,services,secrets,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets"
    kinds += f",{CONFIGURATIONS},clusterroles,clusterrolebindings"
    left = cluster.kubectl("get", kinds, "--all-namespaces", "--output=name").split()
    assert [name for name in left if "bizrq" in name] == []
    assert cluster.kubectl("get", "bizrq,crd", "--output=name").split().count(CRD) == 1
    assert read(cluster, f"bizrq/by-{part}")["spec"]["hard"] == HARD


def _deleted(api, path, start):
    """The resourceVersions of the deletions behind ``start``."""
    url = f"{api.url}/{path}?watch=true&resourceVersion={start}&timeoutSeconds=1"
    lines = api.session.get(url, timeout=10).text.splitlines()
    events = [json.loads(line) for line in lines]
    return [int(each["object"]["metadata"]["resourceVersion"]) for each in events if each["type"] == "DELETED"]


def test_the_group_of_the_notes_is_one_that_the_api_server_takes(cluster, released):
    notes = released("helm", "install").partition("NOTES:")[2]
    (group,) = re.findall(r"echo '(.*?)' \|", notes, re.DOTALL)
    cluster.kubectl("delete", CONFIGURATIONS, "bizrq")
    cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=group)
    for command in ("rollout status", "helm test bizrq", "kubectl get bizrq"):
        assert command in notes


def test_where_the_controller_runs_elsewhere_the_notes_say_how(released):
    notes = released("helm", "install", {"controller": {"deploy": False}}).partition("NOTES:")[2]
    assert "deployment/bizrq-controller" not in notes
    assert f"--webhook-secret={NAMESPACE}/bizrq-webhook --webhook-certificates=operator" in notes


def test_a_crd_that_somebody_else_made_is_taken_over_when_told_so(cluster, released):
    """Or left out."""
    released("helm", "install")
    uninstall(cluster)
    cluster.kubectl("annotate", CRD, "meta.helm.sh/release-name-")
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        released("helm", "install")
    with contextlib.suppress(HelmFailed):
        uninstall(cluster)
    released("helm", "install", {"crds": {"install": False}})
    assert "meta.helm.sh/release-name" not in read(cluster, CRD)["metadata"]["annotations"]
    uninstall(cluster)
    released("helm", "install", {}, "--take-ownership")
    assert read(cluster, CRD)["metadata"]["annotations"]["meta.helm.sh/release-name"] == "bizrq"


def test_a_webhook_elsewhere_takes_the_place_of_ours_once_the_configuration_is_gone(cluster, released):
    """docs/install.md: an entry cannot have both addresses, and what the controller wrote stays in it."""
    released("helm", "install")
    make_as_the_controller(cluster)
    elsewhere = {"webhook": {"url": "https://127.0.0.1:1/token-of-webhooks-elsewhere"}}
    with pytest.raises(HelmFailed, match="exactly one of url or service"):
        released("helm", "upgrade", elsewhere)
    released("helm", "upgrade", {"webhook": {"deploy": False}})
    with pytest.raises(KubectlFailed, match="NotFound"):
        read(cluster, f"{CONFIGURATIONS}/bizrq")
    released("helm", "upgrade", elsewhere)
    entries = read(cluster, f"{CONFIGURATIONS}/bizrq")["webhooks"]
    assert all(each["clientConfig"]["url"].startswith(elsewhere["webhook"]["url"]) for each in entries)


def test_a_certificate_of_yours_takes_the_place_of_the_controllers_when_told_so(cluster, released):
    """docs/install.md: the authority was the controller's."""
    released("helm", "install")
    make_as_the_controller(cluster)
    authority = base64.b64encode(b"-----BEGIN CERTIFICATE----- of yours").decode()
    yours = {"certificates": {"provider": "external", "secretName": "mine"}, "webhook": {"caBundle": authority}}
    with pytest.raises(HelmFailed, match="conflict"):
        released("helm", "upgrade", yours)
    released("helm", "upgrade", yours, "--force-conflicts")
    addresses, _ = made_by_the_controller(cluster)
    assert {each["caBundle"] for each in addresses.values()} == {authority}
    assert all(each["service"]["path"].startswith("/token/") for each in addresses.values())
