"""What becomes of the chart's values: flags, pods that may run anywhere, and objects that the API server takes."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import yaml

from testbed import chart, definitions
from testbed.errors import HelmFailed, KubectlFailed
from testbed.identities import NAMESPACE

pytestmark = [pytest.mark.e2e, pytest.mark.parts("helm", "helm3")]

GROUP = {"template": "spec.template", "replicas": "object.spec.?replicas.orValue(1)"}
WIDGETS = {"group": "example.com", "version": "v1", "resource": "widgets", "kind": "Widget", "podGroups": [GROUP]}
TOKEN = "t" * 32
PLACED: dict[str, Any] = {
    "extraArgs": ["--verbose"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"example.com/c": "d"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}}]}},
    "priorityClassName": "system-cluster-critical",
    "topologySpreadConstraints": [{"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
                                   "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "bizrq"}}}],
    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
}  # fmt: skip

VALUES: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "everything beside": {
        "workloads": [WIDGETS],
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"enabled": True},
        "leaseNamespace": "default",
        "logFormat": "text",
        "imagePullSecrets": [{"name": "registry"}],
        "image": {"repository": "registry.example.com:5000/platform/bizrq", "digest": "sha256:" + "0" * 64},
    },
    "narrow networks": {
        "networkPolicy": {
            "enabled": True,
            "webhookFrom": [{"ipBlock": {"cidr": "10.0.0.0/28"}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "apiServerTo": [{"ipBlock": {"cidr": "10.0.0.0/28"}}],
            "apiServerPorts": [6443],
        }
    },
    "placed": {"controller": PLACED, "webhook": PLACED},
    "certificates of cert-manager": {"certificates": {"provider": "cert-manager"}},
    "certificates of an issuer of yours": {
        "certificates": {
            "provider": "cert-manager",
            "certManager": {"issuerRef": {"name": "platform", "kind": "ClusterIssuer"}},
        }
    },
    "certificates of yours": {"certificates": {"provider": "external", "secretName": "mine"},
                              "webhook": {"caBundle": "Y2E="}},
    "webhooks elsewhere": {"webhook": {"url": f"https://10.0.0.1:9443/{TOKEN}"}},
    "webhooks of yours": {"webhook": {"pathToken": TOKEN, "service": {"name": "mine", "port": 8443}}},
    "nothing runs": {"controller": {"deploy": False}, "webhook": {"deploy": False}},
    "one of each": {"controller": {"replicas": 1}, "webhook": {"replicas": 1}},
    "a user that the cluster chooses": {
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    },
    "no CRD": {"crds": {"install": False}},
    "no lists": {"uncounted": [], "trustedControllers": [], "imagePullSecrets": []},
}  # fmt: skip


@functools.cache
def rendered(case: str) -> list[dict[str, Any]]:
    """All objects of these values, with those of helm test."""
    return chart.render(chart.CHART, VALUES[case], tests=True)


def of_kind(objects, kind):
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


@pytest.fixture(scope="module")
def known(cluster):
    """The API server knows what cert-manager and the Prometheus operator bring, and the namespace."""
    files = [f"--filename={file}" for name in ("cert-manager", "prometheus") for file in definitions.files(name)]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", *files)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *files)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(namespace))


@pytest.mark.parametrize("case", VALUES)
def test_the_api_server_takes_every_object(cluster, known, case):
    """With no field that it does not know."""
    made = {"apiVersion": "v1", "kind": "List", "items": rendered(case)}
    flags = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--output=name")
    taken = cluster.kubectl("apply", *flags, "--filename=-", stdin=json.dumps(made)).split()
    assert len(taken) == len(rendered(case))


@pytest.mark.parametrize("case", VALUES)
def test_helm_3_makes_the_same_of_it(case):
    """Without what it needs to take the configuration away first: others would apply that in its place."""
    text = json.dumps(VALUES[case])
    # It takes itself for one of Kubernetes 1.20 where it is built by other means than its own.
    arguments = ["template", "bizrq", str(chart.CHART), f"--namespace={NAMESPACE}", "--kube-version=1.36.3"]
    older = list(yaml.safe_load_all(chart.helm(*arguments, "--values=-", stdin=text, part="helm3")))
    assert len(by_name(older)) == len(older)
    assert by_name(older) == by_name(rendered(case))


def by_name(objects):
    return {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each for each in objects}


# --- pods ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restricted(cluster):
    """A namespace in which the API server refuses pods that do not pass the restricted standard."""
    labels = {f"pod-security.kubernetes.io/{what}": "restricted" for what in ("enforce", "warn")}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "restricted", "labels": labels}}
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(made))
    yield "restricted"
    cluster.kubectl("delete", "namespace", "restricted", "--wait=false")


def pods(objects):
    """The pods that come of these objects, by the name of what they come of."""
    made = {name: each["spec"]["template"] for name, each in of_kind(objects, "Deployment").items()}
    return {**made, **of_kind(objects, "Pod")}


def create(cluster, namespace, template):
    metadata = {**template["metadata"], "name": "probe", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps(pod))


@pytest.mark.parametrize("case", ["the defaults", "everything beside", "a user that the cluster chooses"])
def test_every_pod_passes_the_restricted_standard(cluster, restricted, case):
    made = pods(rendered(case))
    assert sorted(made) == ["bizrq-check", "bizrq-controller", "bizrq-webhook"]
    for template in made.values():
        create(cluster, restricted, template)


@pytest.mark.parametrize(
    ("where", "field"),
    [("pod", "runAsNonRoot"), ("pod", "seccompProfile"), ("container", "allowPrivilegeEscalation"),
     ("container", "capabilities")],
)  # fmt: skip
def test_without_one_of_these_it_would_not(cluster, restricted, where, field):
    """So the test above can fail."""
    template = json.loads(json.dumps(pods(rendered("the defaults"))["bizrq-webhook"]))
    spec = template["spec"]
    del (spec if where == "pod" else spec["containers"][0])["securityContext"][field]
    with pytest.raises(KubectlFailed, match="violates PodSecurity"):
        create(cluster, restricted, template)


def test_no_pod_can_write_into_its_image_and_only_pods_get_a_token():
    made = rendered("everything beside")
    for template in pods(made).values():
        (container,) = template["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["command"] == ["bizrq"]
        assert all(mount["readOnly"] for mount in container.get("volumeMounts", []))
        assert not any("emptyDir" in volume for volume in template["spec"].get("volumes", []))
    accounts = of_kind(made, "ServiceAccount")
    assert sorted(accounts) == ["bizrq-check", "bizrq-controller", "bizrq-webhook"]
    assert not any(each["automountServiceAccountToken"] for each in accounts.values())


def test_the_webhook_sees_its_certificate_and_the_tokens_and_nothing_else_of_the_secret():
    """What is staged for the next rotation stays out of it; and it starts before there is anything."""
    volumes = {
        each["name"]: each["secret"] for each in pods(rendered("the defaults"))["bizrq-webhook"]["spec"]["volumes"]
    }
    assert {name: [item["key"] for item in each["items"]] for name, each in volumes.items()} == {
        "certificate": ["tls.crt", "tls.key"],
        "tokens": ["tokens"],
    }
    assert all(each["optional"] for each in volumes.values())


@pytest.mark.parametrize(
    ("case", "secret"),
    [
        ("the defaults", "bizrq-webhook"),
        ("certificates of cert-manager", "bizrq-webhook-tls"),
        ("certificates of yours", "mine"),
    ],
)
def test_certificate_and_key_are_mounted_from_where_they_are_made(case, secret):
    volumes = {each["name"]: each["secret"] for each in pods(rendered(case))["bizrq-webhook"]["spec"]["volumes"]}
    assert (volumes["certificate"]["secretName"], volumes["tokens"]["secretName"]) == (secret, "bizrq-webhook")


def test_a_pod_that_ends_has_the_time_to_serve_who_still_comes():
    """So that no request is lost: it drains, then finishes what is open and its writes, of 10 s at most each."""
    made = chart.render(chart.CHART, {"webhook": {"drainSeconds": 25.5}})
    spec = pods(made)["bizrq-webhook"]["spec"]
    assert "--drain-seconds=25.5" in spec["containers"][0]["args"]
    assert spec["terminationGracePeriodSeconds"] >= 25.5 + 10 + 10
    rolled = of_kind(made, "Deployment")["bizrq-webhook"]["spec"]["strategy"]["rollingUpdate"]
    assert rolled == {"maxUnavailable": 0, "maxSurge": 1}, "there are never fewer than there should be"


def test_every_selector_selects_the_pods_of_its_own_process():
    made = rendered("everything beside")
    labels = {name: template["metadata"]["labels"] for name, template in pods(made).items()}
    deployments = of_kind(made, "Deployment").items()
    selectors = {
        **{f"Deployment {name}": each["spec"]["selector"]["matchLabels"] for name, each in deployments},
        **{f"Service {name}": each["spec"]["selector"] for name, each in of_kind(made, "Service").items()},
        **{f"budget {name}": each["spec"]["selector"]["matchLabels"]
           for name, each in of_kind(made, "PodDisruptionBudget").items()},
        **{f"policy {name}": each["spec"]["podSelector"]["matchLabels"]
           for name, each in of_kind(made, "NetworkPolicy").items()},
        **{f"spread {name}": constraint["labelSelector"]["matchLabels"] for name, each in deployments
           for constraint in each["spec"]["template"]["spec"]["topologySpreadConstraints"]},
    }  # fmt: skip
    assert len(selectors) == 2 + 3 + 2 + 2 + 2
    for what, selector in selectors.items():
        selected = [name for name, each in labels.items() if selector.items() <= each.items()]
        assert selected == [what.split()[1].removesuffix("-metrics")], what


def test_ports_are_called_by_names_that_the_pods_have():
    made = rendered("everything beside")
    ports = {name: {port["name"] for port in template["spec"]["containers"][0].get("ports", [])}
             for name, template in pods(made).items()}  # fmt: skip
    for name, each in of_kind(made, "Service").items():
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports[name.removesuffix("-metrics")]
    for each in of_kind(made, "ServiceMonitor").values():
        selector = each["spec"]["selector"]["matchLabels"].items()
        services = [one for one in of_kind(made, "Service").values() if selector <= one["metadata"]["labels"].items()]
        named = {port["name"] for one in services for port in one["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in each["spec"]["endpoints"]} <= named
        assert {"release": "prometheus"}.items() <= each["metadata"]["labels"].items()
    for template in (pods(made)[name] for name in ("bizrq-controller", "bizrq-webhook")):
        (container,) = template["spec"]["containers"]
        for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}


def test_a_budget_never_keeps_the_last_pod_on_its_node():
    assert len(of_kind(rendered("the defaults"), "PodDisruptionBudget")) == 2
    assert not of_kind(rendered("one of each"), "PodDisruptionBudget")


# --- values that become flags ----------------------------------------------------------------------------------------


def flags(values, process):
    """The flags of a process, by name."""
    (container,) = pods(chart.render(chart.CHART, values))[f"bizrq-{process}"]["spec"]["containers"]
    command, *arguments = container["args"]
    assert command == process
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


@pytest.mark.parametrize(
    ("values", "process", "expected"),
    [
        ({"controller": {"resyncSeconds": 60}}, "controller", {"resync-seconds": "60"}),
        ({"leaseNamespace": "quotas"}, "controller", {"lease-namespace": "quotas"}),
        ({}, "controller", {"webhook-configuration": "bizrq", "webhook-secret": f"{NAMESPACE}/bizrq-webhook",
                            "webhook-certificates": "operator"}),
        ({"certificates": {"provider": "cert-manager"}}, "controller", {"webhook-certificates": "external"}),
        ({"webhook": {"deploy": False}}, "controller", {"webhook-configuration": "", "webhook-secret": None}),
        ({"webhook": {"url": "https://h/t"}}, "controller", {"webhook-configuration": "bizrq", "webhook-secret": None}),
        ({"gpuResources": ["gpu", "amd.com/xpu"]}, "controller", {"gpu-resources": "gpu,amd.com/xpu"}),
        ({"gpuResources": ["gpu", "amd.com/xpu"]}, "webhook", {"gpu-resources": "gpu,amd.com/xpu"}),
        ({"logFormat": "text"}, "webhook", {"log-format": "text"}),
        ({"mode": "warn", "authorize": False, "autoscalers": "refuse"}, "webhook",
         {"mode": "warn", "authorize": "false", "autoscalers": "refuse"}),
        ({"trustedControllers": ["a", "system:serviceaccount:b:c"]}, "webhook",
         {"trusted-controllers": "a,system:serviceaccount:b:c"}),
        ({"workloads": [WIDGETS]}, "controller", {"workloads": "/run/bizrq/workloads/kinds.yaml"}),
        ({"workloads": [WIDGETS]}, "webhook", {"workloads": "/run/bizrq/workloads/kinds.yaml"}),
        ({}, "webhook", {"workloads": None, "cert-file": "/run/bizrq/webhook/tls.crt",
                         "key-file": "/run/bizrq/webhook/tls.key", "path-token-file": "/run/bizrq/tokens/tokens"}),
        ({"webhook": {"extraArgs": ["--client-ca-file=/x"]}}, "webhook", {"client-ca-file": "/x"}),
    ],
)  # fmt: skip
def test_a_value_becomes_a_flag(values, process, expected):
    told = flags(values, process)
    assert {name: told.get(name) for name in expected} == expected


def test_a_changed_list_of_kinds_restarts_both_processes_and_nothing_else_does():
    """They read the file once."""
    before, other, after = (
        pods(chart.render(chart.CHART, values))
        for values in (
            {"workloads": [WIDGETS]},
            {"workloads": [WIDGETS], "serviceMonitor": {"enabled": True}},
            {"workloads": [{**WIDGETS, "observes": True}]},
        )
    )  # fmt: skip
    assert before == other
    assert all(template != after[name] for name, template in before.items())
    for template in before.values():
        (container,) = template["spec"]["containers"]
        assert {"name": "workloads", "mountPath": "/run/bizrq/workloads", "readOnly": True} in container["volumeMounts"]
        assert {"name": "workloads", "configMap": {"name": "bizrq-workloads"}} in template["spec"]["volumes"]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({}, "bizrq:0.1.0"),
        ({"repository": "r.example.com/bizrq", "tag": "v2"}, "r.example.com/bizrq:v2"),
        ({"tag": "v2", "digest": "sha256:" + "a" * 64}, "bizrq@sha256:" + "a" * 64),
    ],
    ids=["of the chart's version", "by tag", "by digest"],
)
def test_every_pod_has_the_same_image(image, name):
    made = pods(chart.render(chart.CHART, {"image": image}, tests=True))
    assert {template["spec"]["containers"][0]["image"] for template in made.values()} == {name}
    assert len(made) == 3


def test_pods_are_placed_as_the_values_say():
    for template in (pods(rendered("placed"))[name] for name in ("bizrq-controller", "bizrq-webhook")):
        spec = template["spec"]
        for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "topologySpreadConstraints"):
            assert spec[field] == PLACED[field]
        (container,) = spec["containers"]
        assert container["args"][-1] == "--verbose"
        assert (container["env"], container["resources"]) == (PLACED["extraEnv"], PLACED["resources"])
        assert PLACED["podAnnotations"].items() <= template["metadata"]["annotations"].items()
        assert PLACED["podLabels"].items() <= template["metadata"]["labels"].items()


# --- values that are refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"webhook": {"pathtoken": TOKEN}}, "pathtoken", id="a name that is not known"),
        pytest.param({"webhook": {"pathToken": "guessable"}}, "pathToken", id="a token that is short"),
        pytest.param({"webhook": {"pathToken": "/" * 40}}, "pathToken", id="a token that is no name in a path"),
        pytest.param({"webhook": {"pathToken": "A_" * 20}}, "pathToken", id="a token that no Service's path may have"),
        pytest.param({"webhook": {"url": "http://h/t"}}, "url", id="an address without TLS"),
        pytest.param({"webhook": {"url": "https://h/t/"}}, "url", id="an address with a slash in the end"),
        pytest.param({"webhook": {"drainSeconds": 61}}, "drainSeconds.*60", id="a drain that is too long"),
        pytest.param({"webhook": {"replicas": -1}}, "replicas", id="fewer than no replicas"),
        pytest.param({"webhook": {"replicas": 0}}, "webhook/replicas", id="a webhook that nobody answers for"),
        pytest.param({"webhook": {"service": {"name": "bizrq-webhook-metrics"}}}, "service/name",
                     id="the name of another Service"),
        pytest.param({"webhook": {"service": None}}, "missing property 'service'", id="a value that has to be there"),
        pytest.param({"workloads": None}, "missing property 'workloads'", id="null for an empty list"),
        pytest.param({"controller": {"podLabels": {"app.kubernetes.io/name": "x"}}}, "podLabels",
                     id="a label by which pods are selected"),
        pytest.param({"webhook": {"podDisruptionBudget": {"maxUnavailable": "0%"}}}, "maxUnavailable",
                     id="a budget that would keep every node from being drained"),
        pytest.param({"image": {"repository": "registry.example.com:5000/bizrq:0.1.0"}}, "image/repository",
                     id="a tag in the name of the image"),
        pytest.param({"workloads": [{**WIDGETS, "scale": True}]}, "scale", id="no path of a scale"),
        pytest.param({"workloads": [{**WIDGETS, "children": "seen"}]}, "children", id="a word for counted"),
        pytest.param({"workloads": [{**WIDGETS, "childLabels": "it's"}]}, "childLabels", id="a path with quotes"),
        pytest.param({"trustedControllers": ["it's"]}, "trustedControllers", id="a name that would end its quotes"),
        pytest.param({"autoscalers": "deny"}, "autoscalers.*'warn', 'refuse'", id="no word for warn or refuse"),
        pytest.param({"mode": "off"}, "mode.*'enforce', 'warn'", id="no mode"),
        pytest.param({"uncounted": [{**WIDGETS}]}, "uncounted", id="a description of what is not counted"),
        pytest.param({"gpuResources": []}, "gpuResources", id="no GPUs at all"),
        pytest.param({"image": {"digest": "latest"}}, "digest", id="no digest"),
        pytest.param({"controller": {"resyncSeconds": "5m"}}, "resyncSeconds", id="seconds with a unit"),
        pytest.param({"controller": {"extraArgs": ["-v"]}}, "extraArgs", id="no flag"),
        pytest.param({"certificates": {"provider": "vault"}}, "provider.*'operator', 'cert-manager', 'external'",
                     id="nobody who makes certificates"),
        pytest.param({"certificates": {"provider": "external"}}, "certificates.secretName is empty",
                     id="certificates from nowhere"),
        pytest.param({"certificates": {"certManager": {"issuerRef": {"kind": "Issuer"}}}}, "issuerRef",
                     id="an issuer without a name"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_name(values, message):
    with pytest.raises(HelmFailed, match=message):
        chart.render(chart.CHART, values)


@pytest.mark.parametrize("part", ["helm", "helm3"])
def test_helm_finds_nothing_to_complain_about(part):
    arguments = ["lint", "--strict", str(chart.CHART), "--values=-", "--kube-version=1.36.3"]
    for values in VALUES.values():
        told = chart.helm(*arguments, stdin=json.dumps(values), part=part)
        assert "0 chart(s) failed" in told


def test_a_cluster_that_is_too_old_is_refused():
    with pytest.raises(HelmFailed, match=r"requires kubeVersion: >=1\.32"):
        chart.helm("template", "bizrq", str(chart.CHART), "--kube-version=1.31.9")
