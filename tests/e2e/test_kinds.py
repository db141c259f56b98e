"""Do the descriptions fit the kinds as their projects define them? CRDs come from the projects' own modules."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from bizrq.domain.bizrq import LABEL
from bizrq.workloads.registry import load_kinds
from testbed import definitions, operator_process
from testbed.cluster import Cluster
from testbed.errors import KubectlFailed
from tests.support.bizrqs import bizrq
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOT: Final = Path(__file__).resolve().parents[2]
KINDS: Final = load_kinds(ROOT / "examples" / "kinds" / "mpi-spark-volcano.yaml")
MANIFESTS: Final = sorted(path.stem for path in (ROOT / "tests" / "manifests").glob("*.yaml"))
RECORDED: Final = {"volcanojob"}
"""Their CRDs cannot be had: nobody but the unit tests reads them."""

CPU: Final = "limits.cpu"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of its own: what is installed into it nobody else expects."""
    with Cluster(tmp_path_factory.mktemp("kinds")) as started:
        yield started


@pytest.fixture(scope="module")
def installed(cluster) -> dict[str, Any]:
    """All CRDs that can be had, by name."""
    found = {}
    for name in definitions.SOURCES:
        for file in definitions.files(name):
            for each in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader):
                if each is not None and each["metadata"]["name"] not in found:
                    cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={file}")
                    found[each["metadata"]["name"]] = each
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{name}" for name in found))
    cluster.kubectl("create", "namespace", "shop")
    return found


@pytest.mark.parametrize("name", [each for each in MANIFESTS if each not in RECORDED])
def test_the_manifests_of_the_unit_tests_are_such_as_the_api_server_takes(cluster, installed, name):
    file = ROOT / "tests" / "manifests" / f"{name}.yaml"
    cluster.kubectl("create", "--dry-run=server", "--validate=strict", f"--filename={file}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_a_kind_is_served_as_it_is_described(installed, kind):
    """[A9] in this version, in namespaces, and scaled where the description says."""
    defined = installed.get(kind.id)
    if defined is None:
        assert kind.group in {"", "apps", "batch", "batch.volcano.sh"}, "the API server's own, and one that is recorded"
        return
    assert (defined["spec"]["scope"], defined["spec"]["names"]["kind"]) == ("Namespaced", kind.kind)
    (version,) = (each for each in defined["spec"]["versions"] if each["name"] == kind.version)
    assert version["served"]
    scale = version.get("subresources", {}).get("scale", {}).get("specReplicasPath", "")
    assert scale.removeprefix(".") == ".".join(kind.scale)
    status = version["schema"]["openAPIV3Schema"]["properties"].get("status", {}).get("properties", {})
    if kind.observes:
        assert "observedGeneration" in status


# --- the how-to of docs/workloads.md ---------------------------------------------------------------------------------

DOCUMENT: Final = (ROOT / "docs" / "workloads.md").read_text(encoding="utf-8")
WIDGET, DESCRIPTION, *_ = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)

WIDGETS: Final = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def running(cluster, tmp_path_factory):
    """A controller and webhooks with the file of the how-to, in a cluster that has no widgets yet."""
    file = tmp_path_factory.mktemp("howto") / "kinds.yaml"
    file.write_text(DESCRIPTION, encoding="utf-8")
    described = yaml.safe_load(DESCRIPTION)["kinds"]
    operator_process.install(cluster.kubectl, described)
    with cluster.start_webhooks(arguments=[f"--workloads={file}"], install=False) as webhooks:
        webhooks.install(workloads=described)
        controller = cluster.start_operator(["--resync-seconds=600", f"--workloads={file}"], install=False)
        yield controller
        controller.terminate()


def widget(namespace, team, **spec):
    raw = yaml.safe_load(WIDGET)
    raw["metadata"] |= {"namespace": namespace, "labels": {LABEL: team}}
    raw["spec"] |= spec
    return raw


def test_a_kind_that_is_installed_later_is_counted_without_a_restart(cluster, running):
    """[A1, A14, R4, P5] by the description of the how-to, from its CRD to its end, twice."""
    with client(cluster.kubeconfig) as api:
        space, name = f"t-{time.time_ns():x}", f"g-{time.time_ns():x}"
        cluster.kubectl("create", "namespace", space)
        team = bizrq(api, name, {CPU: "8", "count/widgets.example.com": "2"})
        team.create()
        until_used(team, "0", 30)
        for _ in range(2):
            apply(cluster, WIDGETS)
            cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.example.com")
            apply(cluster, widget(space, name))
            until_used(team, "6", 10)
            wait_until(lambda: _claims(team) == [], "the controller has seen the widget", 10)
            with pytest.raises(KubectlFailed, match=rf"exceeded quota: {name}, requested: limits\.cpu=3, used: "):
                apply(cluster, widget(space, name, groups={**widget(space, name)["spec"]["groups"], "more": _group(3)}))
            with pytest.raises(KubectlFailed, match="must be a whole number of pods, not 'two'"):
                apply(cluster, widget(space, name, groups={"feeder": {**_group(1), "copies": "two"}}))
            cluster.kubectl("patch", "widget", "press", "-n", space, "--type=merge", '--patch={"spec":{"paused":true}}')
            until_used(team, "0", 10)
            cluster.kubectl(
                "patch", "widget", "press", "-n", space, "--type=merge", '--patch={"spec":{"paused":false}}'
            )
            until_used(team, "6", 10)
            cluster.kubectl("delete", "crd", "widgets.example.com")
            until_used(team, "0", 30)
            assert running.exit_code() is None
        team.delete()


def apply(cluster, raw):
    return cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(raw))


def until_used(team, cores, seconds):
    wait_until(lambda: team.used(CPU) == cores, f"used of {team.name} is {cores}", seconds)


def _group(cores):
    return {"template": {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": str(cores)}}}]}}}


def _claims(team):
    team.reload()
    return team.obj["status"].get("claims") or []
