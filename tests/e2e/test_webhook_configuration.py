"""Who is reviewed, and who is let by? The chart's configuration on the real API server; its webhook only remembers."""

from __future__ import annotations

import contextlib
import functools
import json
import time

import pykube
import pytest

from bizrq.domain.bizrq import LABEL
from testbed import admission, operator_process
from testbed.errors import KubectlFailed
from testbed.identities import NAMESPACE
from tests.support.bizrqs import bizrq, tree
from tests.support.kube import deployment, job, pod, wait_until
from tests.support.reviews import recording_webhook

pytestmark = pytest.mark.e2e

GROUP = {LABEL: "nobody"}
"""The label of a bizrq; it need not exist, for nobody looks."""

NOWHERE = "https://127.0.0.1:1"


@pytest.fixture(scope="module")
def spaces(admin):
    """Three namespaces: one where all is reviewed, one without scaling, one where nothing is."""
    names = [f"t-{time.time_ns():x}-{what}" for what in ("all", "unscaled", "none")]
    made = [pykube.Namespace(admin, {"metadata": {"name": name}}) for name in names]
    for each in made:
        each.create()
    yield names
    for each in made:
        each.delete()


@pytest.fixture(scope="module")
def install(cluster, spaces):
    """Install the configuration with an address, limited to the namespaces of this module."""
    operator_process.install(cluster.kubectl)
    inside = [*spaces[:2], "kube-system", NAMESPACE]
    yield functools.partial(
        admission.install,
        cluster.kubectl,
        namespace_selector={
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": inside}]
        },
        scale_namespace_selector={"matchLabels": {"kubernetes.io/metadata.name": spaces[0]}},
    )
    admission.uninstall(cluster.kubectl)


@pytest.fixture(scope="module")
def reviews(install, tmp_path_factory):
    """What is asked, while the configuration is there."""
    with recording_webhook(tmp_path_factory.mktemp("webhook")) as reviews:
        install(reviews.url, reviews.authority)
        yield reviews


@pytest.fixture
def space(spaces, reviews):
    """The namespace where all is reviewed."""
    return spaces[0]


@contextlib.contextmanager
def created(*objects):
    """Create objects and delete them in the end, so that their names are free again at once."""
    with contextlib.ExitStack() as made:
        for each in objects:
            each.create()
            made.callback(each.delete, propagation_policy="Background")
        yield


def kubectl_patch(cluster, made, patch, *arguments):
    cluster.kubectl("patch", made.endpoint, made.name, "-n", made.namespace, "--type=merge", f"--patch={patch}",
                    *arguments)  # fmt: skip


# --- workloads -------------------------------------------------------------------------------------------------------


def test_a_workload_with_a_label_is_reviewed_when_it_is_created(admin, space, reviews):
    with (
        reviews.meanwhile() as asked,
        created(
            deployment(admin, "web", namespace=space, replicas=0, labels=GROUP),
            job(admin, "train", namespace=space, labels=GROUP),
        ),
    ):
        pass
    assert asked == ["/workloads CREATE deployments web", "/workloads CREATE jobs train"]


def test_a_workload_without_a_label_is_let_by(admin, space, reviews):
    web = deployment(admin, "web", namespace=space, replicas=0, labels={"app": "web"})
    with reviews.meanwhile() as asked, created(web, job(admin, "train", namespace=space)):
        web.patch({"spec": {"replicas": 1}})
    assert asked == []


def test_a_dry_run_is_reviewed_as_one(cluster, space, reviews):
    with reviews.meanwhile() as asked:
        cluster.kubectl("create", "--dry-run=server", "--namespace", space, "--filename=-", stdin=f"""
            {{apiVersion: batch/v1, kind: Job, metadata: {{name: dry, labels: {{{LABEL}: x}}}}, spec: {{template:
            {{spec: {{restartPolicy: Never, containers: [{{name: c, image: i}}]}}}}}}}}""")  # fmt: skip
    assert asked == ["/workloads CREATE jobs dry dry"]


IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "another"}]}}}}


@pytest.mark.parametrize(
    ("patch", "count"),
    [
        pytest.param({"spec": {"replicas": 1}}, 1, id="replicas"),
        pytest.param(IMAGE, 1, id="image"),
        pytest.param({"spec": {"paused": True}}, 1, id="any field of the spec"),
        pytest.param({"metadata": {"labels": {LABEL: "other"}}}, 1, id="label to another bizrq"),
        pytest.param({"metadata": {"labels": {LABEL: None}}}, 1, id="label removed, and none left"),
        pytest.param({"metadata": {"labels": {f"{LABEL}/cpu-type": "A4"}}}, 1, id="model"),
        pytest.param({"metadata": {"annotations": {"note": "x"}}}, 0, id="annotation"),
        pytest.param({"metadata": {"finalizers": ["test.bizrq.io/stay"]}}, 0, id="finalizer"),
        pytest.param({}, 0, id="nothing"),
    ],
)
def test_a_change_of_a_workload_is_reviewed_where_it_may_grow_something(admin, space, reviews, patch, count):
    web = deployment(admin, "web", namespace=space, replicas=0, labels=GROUP)
    with created(web):
        with reviews.meanwhile() as asked:
            web.patch(patch)
        assert asked == ["/workloads UPDATE deployments web"] * count
        web.patch({"metadata": {"finalizers": None}})


def test_a_label_that_comes_later_is_reviewed(admin, space, reviews):
    web = deployment(admin, "web", namespace=space, replicas=0)
    with created(web), reviews.meanwhile() as asked:
        web.patch({"metadata": {"labels": GROUP}})
    assert asked == ["/workloads UPDATE deployments web"]


def test_a_cron_job_is_reviewed_where_the_label_of_its_jobs_is_new_or_changed(cluster, space, reviews):
    """[A12] Its Jobs are made by a controller that is asked for no right."""

    def made(labels):
        template = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}
        jobs = {"metadata": {"labels": labels}, "spec": {"template": {"spec": template}}}
        return json.dumps({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "nightly", "namespace": space},
            "spec": {"schedule": "0 0 31 2 *", "jobTemplate": jobs},
        })  # fmt: skip

    with reviews.meanwhile() as asked:
        for labels in ({}, GROUP, {**GROUP, "note": "x"}, {LABEL: "other"}, {}):
            cluster.kubectl("apply", "--filename=-", stdin=made(labels))
        cluster.kubectl("delete", "cronjob", "nightly", "-n", space)
    assert asked == ["/children UPDATE cronjobs nightly"]


def test_status_and_the_work_of_controllers_are_let_by(cluster, admin, space, reviews):
    web = deployment(admin, "web", namespace=space, replicas=2, labels=GROUP)
    train = job(admin, "train", namespace=space, labels=GROUP, annotations={"testbed.bizrq.io/run-seconds": "0"})
    with created(web, train), reviews.meanwhile() as asked:

        def done():
            web.reload()
            train.reload()
            return web.obj["status"].get("availableReplicas") == 2 and train.obj["status"].get("succeeded") == 1

        wait_until(done, "the Deployment is available, and the Job has ended")
        kubectl_patch(cluster, web, '{"status": {"observedGeneration": 0}}', "--subresource=status")
    assert asked == []


def replica_set(name, space, labels, owner=None):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": space, "labels": labels, "ownerReferences": owner or []},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def test_pods_and_replica_sets_with_a_label_are_reviewed_and_not_their_way_through_life(admin, space, reviews):
    """[A8] A pod is bound to a node, runs, and ends: none of that asks anybody."""
    bare = pod(admin, "bare", namespace=space, annotations={"testbed.bizrq.io/run-seconds": "0"})
    bare.obj["metadata"]["labels"] = GROUP
    bare.obj["spec"]["restartPolicy"] = "Never"
    sets = [pykube.ReplicaSet(admin, replica_set(name, space, labels)) for name, labels in (("rs", GROUP), ("no", {}))]
    with reviews.meanwhile() as asked, created(bare, *sets):
        wait_until(lambda: bare.reload() or bare.obj["status"].get("phase") == "Succeeded", "the pod has ended")
    assert asked == ["/workloads CREATE pods bare", "/workloads CREATE replicasets rs"]


def test_a_pod_with_a_label_is_asked_about_when_it_is_resized(cluster, admin, space, reviews):
    """[A8, A15] It waits for a node, since those of a test bed do not say that they can resize."""
    limits = {"cpu": "1", "memory": "1Gi"}
    spec = {
        "containers": [{"name": "main", "image": "none", "resources": {"limits": limits}}],
        "nodeSelector": {"there-is": "none"},
    }
    mine, other = pod(admin, "mine", namespace=space, spec=spec), pod(admin, "other", namespace=space, spec=spec)
    mine.obj["metadata"]["labels"] = GROUP
    more = {"name": "main", "resources": {"limits": limits | {"cpu": "2"}, "requests": limits | {"cpu": "2"}}}
    with created(mine, other), reviews.meanwhile() as asked:
        for each in (mine, other):
            patch = json.dumps({"spec": {"containers": [more]}})
            cluster.kubectl("patch", "pod", each.name, "-n", space, "--subresource=resize", f"--patch={patch}")
    assert asked == ["/workloads UPDATE pods/resize mine"]


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        pytest.param([], [("web", True)], 1, id="a new one"),
        pytest.param([("web", False)], [("web", True)], 1, id="one that controls it now"),
        pytest.param([("web", True)], [("other", True)], 1, id="another one"),
        pytest.param([("web", True)], [], 0, id="one that goes: orphaning is never held up"),
        pytest.param([], [("web", False)], 0, id="one that does not control it"),
        pytest.param([("web", True)], [("web", True), ("other", False)], 0, id="one more"),
    ],
)
def test_a_new_controlling_owner_is_asked_about(admin, space, reviews, before, after, count):
    """[A8] Behind it a workload could hide. (Here these are ConfigMaps, whose references no controller puts right.)"""
    owners = {
        name: pykube.ConfigMap(admin, {"metadata": {"name": f"owner-{name}", "namespace": space}})
        for name in ("web", "other")
    }
    with created(*owners.values()):

        def references(named):
            return [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": owners[name].name,
                 "uid": owners[name].metadata["uid"], "controller": controls}
                for name, controls in named
            ]  # fmt: skip

        owned = pykube.ReplicaSet(admin, replica_set("rs", space, GROUP, references(before)))
        with created(owned), reviews.meanwhile() as asked:
            owned.patch({"metadata": {"ownerReferences": references(after)}})
    assert asked == ["/workloads UPDATE replicasets rs"] * count


def test_a_workload_may_always_be_deleted(admin, space, reviews):
    kept = deployment(admin, "kept", namespace=space, replicas=0, labels=GROUP)
    with created(kept):
        kept.patch({"metadata": {"finalizers": ["test.bizrq.io/stay"]}})
        with reviews.meanwhile() as asked:
            kept.delete(propagation_policy="Foreground")
            kept.patch({"metadata": {"finalizers": None}})
            wait_until(lambda: not kept.exists(), "it is gone")
    assert asked == []


def test_namespaces_that_are_not_selected_and_those_that_repair_others_are_let_by(admin, spaces, reviews):
    elsewhere = (spaces[2], "kube-system", NAMESPACE)
    made = [deployment(admin, f"t-{spaces[2]}", namespace=each, replicas=0, labels=GROUP) for each in elsewhere]
    with reviews.meanwhile() as asked, created(*made):
        for each in made:
            each.patch({"spec": {"replicas": 1}})
            each.patch({"spec": {"replicas": 0}})
    assert asked == []


# --- where a label is required ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(admin, reviews):
    """A namespace that requires a label, and where the other entries do not look."""
    made = pykube.Namespace(
        admin,
        {"metadata": {"name": f"t-{time.time_ns():x}-strict", "labels": {"quota.bizrq.io/require-label": "true"}}},
    )
    made.create()
    yield made.name
    made.delete()


def test_what_has_no_label_is_asked_about_and_what_has_one_is_not(admin, strict, reviews):
    """[A11] so a labelled workload is never reviewed, nor claimed, by two entries."""
    made = [
        deployment(admin, "web", namespace=strict, replicas=0),
        deployment(admin, "mine", namespace=strict, replicas=0, labels=GROUP),
        job(admin, "train", namespace=strict),
        pod(admin, "bare", namespace=strict),
    ]
    with reviews.meanwhile() as asked, created(*made):
        pass
    assert [line for line in asked if "web-" not in line and "train-" not in line] == [
        "/required CREATE deployments web",
        "/required CREATE jobs train",
        "/required CREATE pods bare",
    ]


def test_children_of_trusted_controllers_are_let_by(admin, strict, reviews):
    """[A11] also while no webhook answers, so what runs heals."""
    web = deployment(admin, "web", namespace=strict, replicas=2)
    with reviews.meanwhile() as asked, created(web):
        wait_until(lambda: web.reload() or web.obj["status"].get("availableReplicas") == 2, "its pods run")
    assert asked == ["/required CREATE deployments web"]


@pytest.mark.parametrize(
    ("labels", "patch", "count"),
    [
        pytest.param(GROUP, {"metadata": {"labels": {LABEL: None}}}, 1, id="the label goes"),
        pytest.param(GROUP, {"metadata": {"labels": {LABEL: ""}}}, 1, id="the label gets empty"),
        pytest.param(GROUP, {"metadata": {"labels": {LABEL: "other"}}}, 0, id="the label moves"),
        pytest.param(GROUP, {"spec": {"replicas": 1}}, 0, id="growth with a label"),
        pytest.param({}, {"spec": {"replicas": 1}}, 1, id="growth without one"),
        pytest.param({}, {"metadata": {"annotations": {"note": "x"}}}, 0, id="annotation"),
        pytest.param({}, {"metadata": {"labels": {"note": "x"}}}, 0, id="another label"),
    ],
)
def test_a_change_is_asked_about_where_the_label_goes_or_is_missing(admin, strict, reviews, labels, patch, count):
    """[A11]"""
    web = deployment(admin, "web", namespace=strict, replicas=0, labels=labels)
    with created(web), reviews.meanwhile() as asked:
        web.patch(patch)
    assert asked == ["/required UPDATE deployments web"] * count


@pytest.mark.parametrize(("before", "after", "count"), [(0, 2, 1), (2, 3, 1), (3, 2, 0), (2, 0, 0)])
def test_only_raising_by_scale_is_asked_about(cluster, admin, strict, reviews, before, after, count):
    """[A11]"""
    web = deployment(admin, "web", namespace=strict, replicas=before)
    with created(web), reviews.meanwhile() as asked:
        scale(cluster, web, after)
    assert asked == ["/required UPDATE deployments/scale web"] * count


def test_a_pod_is_asked_about_when_it_loses_its_label_or_is_resized(cluster, admin, strict, reviews):
    """[A11, A15] It waits for a node, since those of a test bed do not say that they can resize."""
    limits = {"cpu": "1", "memory": "1Gi"}
    spec = {
        "containers": [{"name": "main", "image": "none", "resources": {"limits": limits}}],
        "nodeSelector": {"there-is": "none"},
    }
    bare = pod(admin, "bare", namespace=strict, spec=spec)
    with created(bare), reviews.meanwhile() as asked:
        bare.patch({"metadata": {"labels": GROUP}})
        bare.patch({"metadata": {"labels": {LABEL: None}}})
        more = {"name": "main", "resources": {"limits": limits | {"cpu": "2"}, "requests": limits | {"cpu": "2"}}}
        patch = json.dumps({"spec": {"containers": [more]}})
        cluster.kubectl("patch", "pod", "bare", "-n", strict, "--subresource=resize", f"--patch={patch}")
    assert asked == ["/required UPDATE pods bare", "/required UPDATE pods/resize bare"]


def test_kinds_that_are_not_counted_are_asked_about_unless_a_controller_made_them(cluster, strict, reviews):
    """[A11]"""
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    agent = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": strict},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }
    with reviews.meanwhile() as asked:
        cluster.kubectl("create", "--filename=-", stdin=json.dumps(agent))
        cluster.kubectl("set", "image", "daemonset/agent", "main=another", "-n", strict)
        cluster.kubectl("annotate", "daemonset/agent", "note=x", "-n", strict)
        cluster.kubectl("delete", "daemonset", "agent", "-n", strict)
    assert asked == ["/required CREATE daemonsets agent", "/required UPDATE daemonsets agent"]


def test_system_namespaces_require_nothing_whatever_their_labels_say(cluster, admin, reviews):
    """[A11]"""
    made = [deployment(admin, "labelled", namespace=each, replicas=0) for each in ("kube-system", NAMESPACE)]
    try:
        for each in ("kube-system", NAMESPACE):
            cluster.kubectl("label", "namespace", each, "quota.bizrq.io/require-label=true")
        with reviews.meanwhile() as asked, created(*made):
            for each in made:
                each.patch({"spec": {"replicas": 1}})
    finally:
        for each in ("kube-system", NAMESPACE):
            cluster.kubectl("label", "namespace", each, "quota.bizrq.io/require-label-")
    assert asked == []


# --- scale -----------------------------------------------------------------------------------------------------------


def scale(cluster, made, replicas):
    kubectl_patch(cluster, made, f'{{"spec": {{"replicas": {replicas}}}}}', "--subresource=scale")


@pytest.mark.parametrize(
    ("before", "after", "count"), [(0, 2, 1), (2, 3, 1), (3, 2, 0), (2, 0, 0), (0, 0, 0), (2, 2, 0)]
)
@pytest.mark.parametrize("labels", [GROUP, {}], ids=["labelled", "not labelled"])
def test_only_scaling_up_is_reviewed(cluster, admin, space, reviews, before, after, count, labels):
    """A Scale has no labels, so whether its workload counts is not known yet."""
    web = deployment(admin, "web", namespace=space, replicas=before, labels=labels)
    with created(web), reviews.meanwhile() as asked:
        scale(cluster, web, after)
    assert asked == ["/scale UPDATE deployments/scale web"] * count


def test_scaling_has_a_selector_of_its_own(cluster, admin, spaces, reviews):
    made = [deployment(admin, "web", namespace=each, replicas=0, labels=GROUP) for each in spaces[1:]]
    with created(*made), reviews.meanwhile() as asked:
        for each in made:
            scale(cluster, each, 2)
    assert asked == []


# --- autoscalers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_autoscaler_is_reviewed_where_it_asks_for_more(cluster, space, reviews, version):
    """[A10] In whatever version it comes."""
    hpa = (f"hpa.{version}.autoscaling/scaler", "-n", space)
    with reviews.meanwhile() as asked:
        cluster.kubectl("create", "--filename=-", stdin=json.dumps(_autoscaler(space, version)))
    assert asked == ["/autoscalers CREATE horizontalpodautoscalers scaler"]
    for patch, count in (
        ({"spec": {"maxReplicas": 4}}, 1),
        ({"spec": {"maxReplicas": 3}}, 0),
        ({"spec": {"minReplicas": 2}}, 0),
        ({"spec": {"scaleTargetRef": {"name": "another"}}}, 1),
        ({"metadata": {"annotations": {"note": "x"}}}, 0),
    ):
        with reviews.meanwhile() as asked:
            cluster.kubectl("patch", *hpa, "--type=merge", f"--patch={json.dumps(patch)}")
        assert asked == ["/autoscalers UPDATE horizontalpodautoscalers scaler"] * count, patch
    with reviews.meanwhile() as asked:
        status = '--patch={"status": {"desiredReplicas": 9}}'
        cluster.kubectl("patch", *hpa, "--subresource=status", "--type=merge", status)
        cluster.kubectl("delete", *hpa)
    assert asked == []


def test_autoscalers_are_reviewed_where_workloads_are(cluster, spaces, reviews):
    """[A10]"""
    with reviews.meanwhile() as asked:
        for each in (spaces[2], spaces[1], "kube-system"):
            cluster.kubectl("create", "--filename=-", stdin=json.dumps(_autoscaler(each, "v2")))
            cluster.kubectl("delete", "hpa", "scaler", "-n", each)
    assert asked == ["/autoscalers CREATE horizontalpodautoscalers scaler"]


def _autoscaler(namespace, version):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaler", "namespace": namespace},
        "spec": {"maxReplicas": 3, "scaleTargetRef": target},
    }


# --- bizrqs ----------------------------------------------------------------------------------------------------------


def test_a_bizrq_is_reviewed_when_it_is_created_or_deleted_and_when_its_spec_changes(admin, reviews):
    with reviews.meanwhile() as asked, tree(bizrq(admin, "reviewed", {"pods": "1"})) as (group,):
        group.patch({"spec": {"hard": {"pods": "2"}}})
    assert asked == [f"/bizrqs {what} bizgroupresourcequotas reviewed" for what in ("CREATE", "UPDATE", "DELETE")]


@pytest.mark.parametrize("field", ["labels", "annotations", "finalizers"])
def test_other_changes_of_a_bizrq_are_let_by(admin, reviews, field):
    value = ["test.bizrq.io/stay"] if field == "finalizers" else {"note": "x"}
    with tree(bizrq(admin, "reviewed", {"pods": "1"})) as (group,), reviews.meanwhile() as asked:
        group.patch({"metadata": {field: value}})
        group.patch({"metadata": {field: None}})
    assert asked == []


def test_the_status_of_a_bizrq_is_let_by(cluster, admin, reviews):
    with tree(bizrq(admin, "reviewed", {"pods": "1"})) as (group,), reviews.meanwhile() as asked:
        patch = '--patch={"status": {"hard": {"pods": "1"}}}'
        cluster.kubectl("patch", "bizrq", group.name, "--subresource=status", "--type=merge", patch)
    assert asked == []


def test_the_end_of_a_bizrq_with_a_finalizer_is_reviewed_once(admin, reviews):
    group = bizrq(admin, "reviewed", {"pods": "1"})
    group.create()
    group.patch({"metadata": {"finalizers": ["test.bizrq.io/stay"]}})
    with reviews.meanwhile() as asked:
        group.delete()
        group.patch({"metadata": {"finalizers": None}})
        wait_until(lambda: not group.exists(), "it is gone")
    assert asked == ["/bizrqs DELETE bizgroupresourcequotas reviewed"]


# --- while nobody answers --------------------------------------------------------------------------------------------


def test_while_no_webhook_answers_only_what_may_grow_something_is_refused(cluster, admin, space, reviews, install):
    web = deployment(admin, "web", namespace=space, replicas=2, labels=GROUP)
    with created(web):
        install(NOWHERE, reviews.authority)
        try:
            for refused in (
                deployment(admin, "more", namespace=space, labels=GROUP).create,
                functools.partial(web.patch, {"spec": {"replicas": 3}}),
                bizrq(admin, "more", {"pods": "1"}).create,
            ):
                with pytest.raises(pykube.exceptions.HTTPError, match=r"failed calling webhook .*quota\.bizrq\.io"):
                    refused()
            with pytest.raises(KubectlFailed, match=r"failed calling webhook .scale\.quota\.bizrq\.io"):
                scale(cluster, web, 3)
            scale(cluster, web, 1)
            web.patch({"metadata": {"annotations": {"note": "x"}}})
        finally:
            install(reviews.url, reviews.authority)


def test_while_no_webhook_answers_what_runs_heals_where_a_label_is_required(cluster, admin, strict, reviews, install):
    """[A11] Children of trusted controllers are not asked about, and what is only warned about does not wait."""
    web = deployment(admin, "web", namespace=strict, replicas=2)
    agent = json.dumps({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": strict},
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "main", "image": "none"}]},
            },
        },
    })  # fmt: skip
    with created(web):
        wait_until(lambda: web.reload() or web.obj["status"].get("availableReplicas") == 2, "its pods run")
        install(NOWHERE, reviews.authority)
        try:
            for refused in (
                deployment(admin, "more", namespace=strict).create,
                pod(admin, "bare", namespace=strict).create,
                functools.partial(web.patch, {"spec": {"replicas": 3}}),
            ):
                with pytest.raises(pykube.exceptions.HTTPError, match=r"failed calling webhook .required\.quota"):
                    refused()
            cluster.kubectl("create", "--filename=-", stdin=agent)
            cluster.kubectl("delete", "pods", "--selector=app=web", "-n", strict)
            wait_until(lambda: web.reload() or web.obj["status"].get("availableReplicas") == 2, "they are made anew")
            scale(cluster, web, 1)
            web.patch({"metadata": {"annotations": {"note": "x"}}})
        finally:
            install(reviews.url, reviews.authority)
            cluster.kubectl("delete", "daemonset", "agent", "-n", strict, "--ignore-not-found")
