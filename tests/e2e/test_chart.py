"""What does the chart make of its values, and does the API server take it?"""

from __future__ import annotations

import json

import pytest

from bizrq.workloads.registry import load_kinds
from testbed import chart, operator_process
from testbed.errors import KubectlFailed

pytestmark = pytest.mark.e2e

TOKEN = "t" * 32
REPAIR = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["bizrq-system", "kube-system"]}
GROUP = {"template": "spec.template", "replicas": "object.spec.?replicas.orValue(1)"}
WIDGETS = {"group": "example.com", "version": "v1", "resource": "widgets", "kind": "Widget", "podGroups": [GROUP],
           "scale": "spec.replicas"}  # fmt: skip
GADGETS = {**WIDGETS, "group": "", "resource": "gadgets", "kind": "Gadget",
           "between": [{"group": "example.com", "version": "v1", "resource": "parts", "kind": "Part"}]}  # fmt: skip
del GADGETS["scale"]
MAKERS = {"group": "example.com", "version": "v1", "resource": "makers", "kind": "Maker", "children": "counted",
          "childLabels": "spec.labels"}  # fmt: skip
BOTH = ["CREATE", "UPDATE"]
ROUTES = {each: each for each in ("bizrqs", "workloads", "children", "scale", "autoscalers", "required")} | {
    "uncounted": "required"
}


def entries(workloads=None, **webhook):
    """The entries of the configuration by the first word of their names."""
    made = chart.configuration({"webhook": webhook, **({"workloads": workloads} if workloads else {})})
    return {each["name"].partition(".")[0]: each for each in made["webhooks"]}


def rules(entry):
    return [
        (*each["apiGroups"], *each["apiVersions"], each["resources"], each["operations"]) for each in entry["rules"]
    ]


# --- the webhook configuration ---------------------------------------------------------------------------------------


def test_without_a_webhook_there_is_no_configuration():
    """It could only refuse."""
    made = chart.render(chart.CHART, {"webhook": {"deploy": False}})
    assert not [each for each in made if each["kind"] == chart.CONFIGURATION]


@pytest.mark.parametrize(
    "webhook",
    [{}, {"pathToken": TOKEN}, {"url": f"https://127.0.0.1:9443/{TOKEN}"}],
    ids=["by service", "by service with a token", "by address"],
)
def test_the_api_server_takes_it(cluster, webhook):
    made = chart.configuration({"webhook": webhook})
    text = cluster.kubectl("create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(made))
    taken = json.loads(text)["webhooks"]
    assert [each["name"] for each in taken] == [
        "bizrqs.quota.bizrq.io",
        "workloads.quota.bizrq.io",
        "children.quota.bizrq.io",
        "scale.quota.bizrq.io",
        "autoscalers.quota.bizrq.io",
        "required.quota.bizrq.io",
        "uncounted.quota.bizrq.io",
    ]
    for each in taken:
        ignores = each["name"].startswith(("uncounted.", "autoscalers."))
        assert each["failurePolicy"] == ("Ignore" if ignores else "Fail")
        assert each["matchPolicy"] == "Equivalent"
        assert each["sideEffects"] == ("None" if each["name"].startswith("autoscalers.") else "NoneOnDryRun")
        assert each["timeoutSeconds"] == 5
        assert each["admissionReviewVersions"] == ["v1"]


@pytest.mark.parametrize("provider", ["operator", "cert-manager"])
def test_path_and_authority_are_left_out_where_they_are_made_in_the_cluster(provider):
    """An upgrade would take them back to what the chart says."""
    made = chart.configuration({"certificates": {"provider": provider}, "webhook": {"caBundle": "Y2E="}})
    service = {"name": "bizrq-webhook", "namespace": "bizrq-system", "port": 443}
    assert [each["clientConfig"] for each in made["webhooks"]] == [{"service": service}] * len(ROUTES)
    injected = {"cert-manager.io/inject-ca-from": "bizrq-system/bizrq-webhook"}
    assert made["metadata"].get("annotations") == (injected if provider == "cert-manager" else None)


def test_the_authority_of_a_certificate_of_yours_is_that_of_the_values():
    values = {"certificates": {"provider": "external", "secretName": "mine"}, "webhook": {"caBundle": "Y2E="}}
    for each in chart.configuration(values)["webhooks"]:
        assert each["clientConfig"]["caBundle"] == "Y2E="
        assert "path" not in each["clientConfig"]["service"], "the controller makes the token in each case"


def test_a_service_of_the_release_is_asked_below_the_token():
    assert {name: each["clientConfig"] for name, each in entries(pathToken=TOKEN).items()} == {
        entry: {
            "service": {
                "name": "bizrq-webhook",
                "namespace": "bizrq-system",
                "port": 443,
                "path": f"/{TOKEN}/{route}",
            }
        }
        for entry, route in ROUTES.items()
    }


def test_an_address_takes_the_place_of_the_service():
    url = f"https://127.0.0.1:9443/{TOKEN}"
    assert {name: each["clientConfig"] for name, each in entries(url=url, caBundle="Y2E=").items()} == {
        entry: {"url": f"{url}/{route}", "caBundle": "Y2E="} for entry, route in ROUTES.items()
    }


def registry(tmp_path, *values):
    """The kinds that processes count which are given the ConfigMap that the chart makes of these values."""
    (made,) = (each for each in chart.render(chart.CHART, {"workloads": [*values]}) if each["kind"] == "ConfigMap")
    file = tmp_path / "kinds.yaml"
    file.write_text(made["data"]["kinds.yaml"], encoding="utf-8")
    return load_kinds(file)


def by_api(kinds, suffix="", operations=BOTH):
    apis: dict[tuple[str, str], list[str]] = {}
    for each in kinds:
        apis.setdefault((each.group, each.version), []).append(each.resource + suffix)
    return [(*api, names, operations) for api, names in sorted(apis.items())]


def test_its_rules_are_those_that_the_registry_asks_for(tmp_path):
    """[A1, A8, A9, A11] of the kinds that bizrq knows and of those of the values; none is left out, or one too many."""
    kinds = registry(tmp_path, WIDGETS, GADGETS, MAKERS)
    made = entries([WIDGETS, GADGETS, MAKERS], pathToken=TOKEN)
    scaled = [each for each in kinds if each.scale]
    assert {"widgets", "deployments"} <= {each.resource for each in scaled}
    assert rules(made["workloads"]) == [*by_api(kinds), ("", "v1", ["pods/resize"], ["UPDATE"])]
    assert rules(made["scale"]) == by_api(scaled, "/scale", ["UPDATE"])
    assert rules(made["children"]) == by_api(each for each in kinds if each.children_counted)
    assert rules(made["autoscalers"]) == [("autoscaling", "v2", ["horizontalpodautoscalers"], BOTH)]
    assert rules(made["required"]) == [
        *by_api(each for each in kinds if each.id != "pods"),
        *by_api(scaled, "/scale", ["UPDATE"]),
        ("", "v1", ["pods"], BOTH),
        ("", "v1", ["pods/resize"], ["UPDATE"]),
    ]


def test_where_a_label_is_required_what_is_not_counted_is_warned_about():
    """[A11] A kind is in one of the two entries: one that is counted is not warned about."""
    assert "uncounted" not in entries([{**WIDGETS, "group": "apps", "resource": "daemonsets"}], pathToken=TOKEN)
    made = entries(pathToken=TOKEN)
    assert rules(made["uncounted"]) == [("apps", "v1", ["daemonsets"], BOTH)]
    for entry in ("required", "uncounted"):
        assert made[entry]["namespaceSelector"] == {
            "matchLabels": {"quota.bizrq.io/require-label": "true"},
            "matchExpressions": [REPAIR],
        }
        assert "objectSelector" not in made[entry]


def test_without_kinds_of_ones_own_there_is_no_config_map():
    assert not [each for each in chart.render(chart.CHART) if each["kind"] == "ConfigMap"]


def test_the_names_of_trusted_controllers_stand_in_the_conditions(cluster):
    """[A11] And the API server takes them, also where there are none."""
    for names in (["system:serviceaccount:argo-rollouts:argo-rollouts", "a@example.com"], []):
        made = chart.configuration({"webhook": {"pathToken": TOKEN}, "trustedControllers": names})
        cluster.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(made))
        for each in made["webhooks"]:
            if each["name"].startswith(("required.", "uncounted.")):
                listed = "', '".join(names)
                assert f"in ['{listed}']" in each["matchConditions"][0]["expression"]


def test_only_workloads_are_selected_by_their_label():
    made = entries(pathToken=TOKEN)
    assert made["workloads"]["objectSelector"] == {
        "matchExpressions": [{"key": "biz.group.resource.quota", "operator": "Exists"}]
    }
    assert "objectSelector" not in made["scale"]
    assert "objectSelector" not in made["bizrqs"]
    assert "namespaceSelector" not in made["bizrqs"]


@pytest.mark.parametrize("entry", ["workloads", "scale"])
@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"matchLabels": {"quota": "yes"}},
        {"matchExpressions": [{"key": "quota", "operator": "Exists"}]},
        {"matchLabels": {"quota": "yes"}, "matchExpressions": [{"key": "quota", "operator": "Exists"}]},
    ],
    ids=["all", "by label", "by expression", "by both"],
)
def test_whatever_is_selected_our_own_namespace_and_kube_system_are_left_out(entry, selector):
    values = {"scale": {"namespaceSelector": selector}} if entry == "scale" else {"namespaceSelector": selector}
    made = entries(pathToken=TOKEN, **values)
    expressions = selector.get("matchExpressions", [])
    assert made[entry]["namespaceSelector"] == {**selector, "matchExpressions": [REPAIR, *expressions]}
    assert made["autoscalers"]["namespaceSelector"] == made["workloads"]["namespaceSelector"]
    for name in set(made) - {"bizrqs"}:
        assert REPAIR in made[name]["namespaceSelector"]["matchExpressions"], name
    (other,) = {"workloads", "scale"} - {entry}
    assert made[other]["namespaceSelector"] == {"matchExpressions": [REPAIR]}, "each has its own"


# --- rights ----------------------------------------------------------------------------------------------------------

KINDS = load_kinds()

MAY = {
    "bizrq-controller": {
        "bizgroupresourcequotas.quota.bizrq.io": {"get", "list", "watch", "patch"},
        "bizgroupresourcequotas.quota.bizrq.io/status": {"update"},
        "customresourcedefinitions.apiextensions.k8s.io": {"get", "list", "watch"},
        "events.events.k8s.io": {"create", "patch"},
        "runtimeclasses.node.k8s.io": {"list", "watch"},
        "validatingwebhookconfigurations.admissionregistration.k8s.io": {"get", "patch"},
        **{each.id: {"get", "list", "watch"} for each in KINDS},
    },
    "bizrq-webhook": {
        "bizgroupresourcequotas.quota.bizrq.io": {"get", "list"},
        "bizgroupresourcequotas.quota.bizrq.io/status": {"update"},
        "namespaces": {"get"},
        "runtimeclasses.node.k8s.io": {"get"},
        "subjectaccessreviews.authorization.k8s.io": {"create"},
        **{each.id: {"get", "list"} for each in KINDS},
    },
}


@pytest.mark.parametrize("user", MAY)
def test_each_process_has_the_rights_it_needs_and_no_others(cluster, user):
    """As the API server lists them; what everybody may is left out."""
    operator_process.install(cluster.kubectl)
    everybody, its = (_rights(cluster, name) for name in ("alice", user))
    assert {resource: verbs for resource, verbs in its.items() if resource not in everybody} == MAY[user]


def _rights(cluster, user):
    lines = cluster.kubectl("auth", "can-i", "--list", "--no-headers", user=user).splitlines()
    return {line.split()[0]: set(line.rpartition("[")[2].rstrip("]").split()) for line in lines if line[:1] != " "}


@pytest.mark.parametrize(
    ("values", "verbs", "secret"),
    [
        ({}, ["get", "patch"], True),
        ({"certificates": {"provider": "cert-manager"}}, ["get", "patch"], True),
        ({"webhook": {"url": "https://h/t"}}, ["get"], False),
        ({"webhook": {"deploy": False}}, None, False),
    ],
    ids=["made by the controller", "made by cert-manager", "made elsewhere", "nobody is asked"],
)
def test_the_controller_may_write_to_one_configuration_and_one_secret_where_it_makes_what_is_in_them(
    values, verbs, secret
):
    made = chart.render(chart.CHART, values)
    rules_ = [
        rule
        for each in made
        if each["kind"] == "ClusterRole"
        for rule in each["rules"]
        if "validatingwebhookconfigurations" in rule["resources"]
    ]
    assert [(rule["resourceNames"], rule["verbs"]) for rule in rules_] == ([(["bizrq"], verbs)] if verbs else [])
    roles = {each["metadata"]["name"]: each for each in made if each["kind"] == "Role"}
    expected = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["bizrq-webhook"],
                "verbs": ["get", "update"]}  # fmt: skip
    assert (roles.get("bizrq-controller-webhook", {}).get("rules") == [expected]) is secret
    assert not any("secrets" in rule["resources"] for rule in roles["bizrq-controller"]["rules"])


def test_kinds_that_are_added_to_the_values_are_added_to_the_rights(tmp_path):
    """What stands between, too."""
    kinds = registry(tmp_path, WIDGETS, GADGETS)
    roles = _roles({"workloads": [WIDGETS, GADGETS]})
    for role, verbs in (("bizrq-controller", ["get", "list", "watch"]), ("bizrq-webhook", ["get", "list"])):
        given = {
            (group, resource)
            for rule in roles[role]["rules"]
            if rule["verbs"] == verbs
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        assert given >= {(each.group, each.resource) for each in kinds}
    for role, verbs in (("bizrq-controller", ["list", "watch"]), ("bizrq-webhook", ["get"])):
        assert {"apiGroups": ["example.com"], "resources": ["parts"], "verbs": verbs} in roles[role]["rules"]


def test_the_lease_is_in_the_namespace_of_the_release_or_in_another():
    """[R4]"""
    for values, namespace in (({}, "bizrq-system"), ({"leaseNamespace": "quotas"}, "quotas")):
        named = (each for each in chart.render(chart.CHART, values) if each["metadata"]["name"] == "bizrq-controller")
        made = [each for each in named if each["kind"] in {"Role", "RoleBinding"}]
        assert [each["metadata"]["namespace"] for each in made] == [namespace, namespace]
        assert made[1]["subjects"][0]["namespace"] == "bizrq-system"


def _roles(values=None):
    return {
        each["metadata"]["name"]: each for each in chart.render(chart.CHART, values) if each["kind"] == "ClusterRole"
    }


def test_the_roles_for_people_have_what_their_names_say_and_are_bound_to_nobody():
    """[A12]"""
    roles = _roles()
    read, write = {"get", "list", "watch"}, {"create", "update", "patch", "delete"}
    for name, verbs in (("viewer", read), ("user", {"use"}), ("editor", {*read, *write, "grant"})):
        (rule,) = roles[f"bizrq-{name}"]["rules"]
        assert (rule["apiGroups"], rule["resources"]) == (["quota.bizrq.io"], ["bizgroupresourcequotas"])
        assert set(rule["verbs"]) == verbs
    bound = {each["roleRef"]["name"] for each in chart.render(chart.CHART) if each["kind"].endswith("Binding")}
    assert bound == {"bizrq-controller", "bizrq-controller-webhook", "bizrq-webhook"}


def test_reading_comes_with_view_and_using_and_granting_with_none_of_the_usual_roles(cluster):
    """[A12] With edit, everybody could use every quota in the namespaces they edit."""
    operator_process.install(cluster.kubectl)
    shown = {}
    for role in ("view", "edit", "admin"):
        rules_ = json.loads(cluster.kubectl("get", "clusterrole", role, "--output=json"))["rules"]
        shown[role] = {
            verb for rule in rules_ if "bizgroupresourcequotas" in rule["resources"] for verb in rule["verbs"]
        }
    assert shown == {role: {"get", "list", "watch"} for role in ("view", "edit", "admin")}


def test_nobody_without_rights_may_change_the_configuration(cluster):
    operator_process.install(cluster.kubectl)
    made = json.dumps(chart.configuration({"webhook": {"pathToken": TOKEN}}))
    for user in ("alice", "bizrq-controller", "bizrq-webhook"):
        with pytest.raises(KubectlFailed, match="forbidden"):
            cluster.kubectl("create", "--filename=-", stdin=made, user=user)
