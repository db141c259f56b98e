"""What does the chart make of its values, and does the API server take it?"""

from __future__ import annotations

import json

import pytest

from testbed import chart, operator_process
from testbed.errors import HelmFailed, KubectlFailed

pytestmark = pytest.mark.e2e

TOKEN = "t" * 32
REPAIR = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["bizrq-system", "kube-system"]}
DEPLOYMENTS = {"group": "apps", "version": "v1", "resource": "deployments", "scale": True}
STATEFUL_SETS = {**DEPLOYMENTS, "resource": "statefulsets"}
ROLLOUTS = {"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts", "scale": True}
JOBS = {"group": "batch", "version": "v1", "resource": "jobs", "scale": False}
PODS = {"group": "", "version": "v1", "resource": "pods", "scale": False}
ROUTES = {each: each for each in ("bizrqs", "workloads", "cronjobs", "scale", "required")} | {"uncounted": "required"}


def entries(workloads=None, **webhook):
    """The entries of the configuration by the first word of their names."""
    made = chart.configuration({"webhook": webhook, **({"workloads": workloads} if workloads else {})})
    return {each["name"].partition(".")[0]: each for each in made["webhooks"]}


def rules(entry):
    return [
        (*each["apiGroups"], *each["apiVersions"], each["resources"], each["operations"]) for each in entry["rules"]
    ]


# --- the webhook configuration ---------------------------------------------------------------------------------------


def test_helm_finds_nothing_to_complain_about():
    assert "0 chart(s) failed" in chart.helm("lint", "--strict", str(chart.CHART))


def test_without_a_token_and_an_address_there_is_no_configuration():
    """It could only refuse."""
    assert not [each for each in chart.render(chart.CHART) if each["kind"] == chart.CONFIGURATION]


@pytest.mark.parametrize(
    "webhook",
    [{"pathToken": TOKEN}, {"url": f"https://127.0.0.1:9443/{TOKEN}"}],
    ids=["by service", "by address"],
)
def test_the_api_server_takes_it(cluster, webhook):
    made = chart.configuration({"webhook": webhook})
    text = cluster.kubectl("create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(made))
    taken = json.loads(text)["webhooks"]
    assert [each["name"] for each in taken] == [
        "bizrqs.quota.bizrq.io",
        "workloads.quota.bizrq.io",
        "cronjobs.quota.bizrq.io",
        "scale.quota.bizrq.io",
        "required.quota.bizrq.io",
        "uncounted.quota.bizrq.io",
    ]
    for each in taken:
        assert each["failurePolicy"] == ("Ignore" if each["name"].startswith("uncounted.") else "Fail")
        assert each["matchPolicy"] == "Equivalent"
        assert each["sideEffects"] == "NoneOnDryRun"
        assert each["timeoutSeconds"] == 5
        assert each["admissionReviewVersions"] == ["v1"]


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


def test_workloads_of_one_api_share_a_rule_and_scale_has_only_kinds_that_scale():
    made = entries([DEPLOYMENTS, JOBS, ROLLOUTS, STATEFUL_SETS, PODS], pathToken=TOKEN)
    both = ["CREATE", "UPDATE"]
    assert rules(made["workloads"]) == [
        ("", "v1", ["pods"], both),
        ("apps", "v1", ["deployments", "statefulsets"], both),
        ("argoproj.io", "v1alpha1", ["rollouts"], both),
        ("batch", "v1", ["jobs"], both),
        ("", "v1", ["pods/resize"], ["UPDATE"]),
    ]
    assert rules(made["scale"]) == [
        ("apps", "v1", ["deployments/scale", "statefulsets/scale"], ["UPDATE"]),
        ("argoproj.io", "v1alpha1", ["rollouts/scale"], ["UPDATE"]),
    ]


def test_where_no_kind_scales_scaling_is_not_asked_for():
    made = entries([JOBS], pathToken=TOKEN)
    assert list(made) == ["bizrqs", "workloads", "cronjobs", "required", "uncounted"]
    assert "scale" not in str(rules(made["required"]))


def test_where_a_label_is_required_pods_are_asked_about_and_what_is_not_counted():
    """[A11, A15] A kind is in one of the two entries: one that is counted is not warned about."""
    made = entries([DEPLOYMENTS, JOBS, STATEFUL_SETS, PODS], pathToken=TOKEN)
    both = ["CREATE", "UPDATE"]
    assert rules(made["required"]) == [
        ("apps", "v1", ["deployments", "statefulsets"], both),
        ("batch", "v1", ["jobs"], both),
        ("apps", "v1", ["deployments/scale", "statefulsets/scale"], ["UPDATE"]),
        ("", "v1", ["pods"], both),
        ("", "v1", ["pods/resize"], ["UPDATE"]),
    ]
    assert rules(made["uncounted"]) == [
        ("", "v1", ["replicationcontrollers"], both),
        ("apps", "v1", ["daemonsets", "replicasets"], both),
        ("batch", "v1", ["cronjobs"], both),
    ]
    for entry in ("required", "uncounted"):
        assert made[entry]["namespaceSelector"] == {
            "matchLabels": {"quota.bizrq.io/require-label": "true"},
            "matchExpressions": [REPAIR],
        }
        assert "objectSelector" not in made[entry]


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
    (other,) = {"workloads", "scale"} - {entry}
    assert made[other]["namespaceSelector"] == {"matchExpressions": [REPAIR]}, "each has its own"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"webhook": {"pathtoken": TOKEN}}, "pathtoken", id="a name that is not known"),
        pytest.param({"webhook": {"pathToken": "guessable"}}, "pathToken", id="a token that is short"),
        pytest.param({"webhook": {"pathToken": "/" * 40}}, "pathToken", id="a token that is no name in a path"),
        pytest.param({"webhook": {"url": "http://h/t"}}, "url", id="an address without TLS"),
        pytest.param({"webhook": {"url": "https://h/t/"}}, "url", id="an address with a slash in the end"),
        pytest.param({"workloads": [{**JOBS, "scale": "no"}]}, "scale", id="a word for false"),
        pytest.param({"workloads": []}, "workloads", id="no kinds"),
        pytest.param({"trustedControllers": ["it's"]}, "trustedControllers", id="a name that would end its quotes"),
        pytest.param({"uncounted": [DEPLOYMENTS]}, "uncounted", id="a scale of what is not counted"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values, message):
    with pytest.raises(HelmFailed, match=message):
        chart.render(chart.CHART, values)


# --- rights ----------------------------------------------------------------------------------------------------------

MAY = {
    "bizrq-controller": {
        "bizgroupresourcequotas.quota.bizrq.io": {"get", "list", "watch", "patch"},
        "bizgroupresourcequotas.quota.bizrq.io/status": {"update"},
        "deployments.apps": {"get", "list", "watch"},
        "jobs.batch": {"get", "list", "watch"},
        "replicasets.apps": {"get", "list", "watch"},
        "pods": {"get", "list", "watch"},
        "runtimeclasses.node.k8s.io": {"list", "watch"},
    },
    "bizrq-webhook": {
        "bizgroupresourcequotas.quota.bizrq.io": {"get", "list"},
        "bizgroupresourcequotas.quota.bizrq.io/status": {"update"},
        "deployments.apps": {"get", "list"},
        "jobs.batch": {"get", "list"},
        "namespaces": {"get"},
        "pods": {"get", "list"},
        "replicasets.apps": {"get", "list"},
        "runtimeclasses.node.k8s.io": {"get"},
        "subjectaccessreviews.authorization.k8s.io": {"create"},
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


def test_a_kind_that_is_added_to_the_values_is_added_to_the_rights():
    roles = _roles({"workloads": [DEPLOYMENTS, ROLLOUTS, STATEFUL_SETS]})
    for role, verbs in (("bizrq-controller", ["get", "list", "watch"]), ("bizrq-webhook", ["get", "list"])):
        assert roles[role]["rules"][-2:] == [
            {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": verbs},
            {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": verbs},
        ]


def test_the_lease_is_in_the_namespace_of_the_release_or_in_another():
    """[R4]"""
    for values, namespace in (({}, "bizrq-system"), ({"leaseNamespace": "quotas"}, "quotas")):
        made = [each for each in chart.render(chart.CHART, values) if each["kind"] in {"Role", "RoleBinding"}]
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
    assert bound == {"bizrq-controller", "bizrq-webhook"}


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
    made = json.dumps(chart.configuration({"webhook": {"pathToken": TOKEN}}))
    for user in ("alice", "bizrq-controller", "bizrq-webhook"):
        with pytest.raises(KubectlFailed, match="forbidden"):
            cluster.kubectl("create", "--filename=-", stdin=made, user=user)
