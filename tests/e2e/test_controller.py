"""The controller on the real control plane: real Deployments and Jobs, run by their controllers on kwok nodes."""

from __future__ import annotations

import functools
import re
import time

import pykube
import pytest

from tests.support.bizrqs import ONE_CORE, bizrq, labels_for, tree
from tests.support.kube import deployment, job, wait_until
from tests.support.recorder import Recorder

pytestmark = pytest.mark.e2e

WITHIN = 2.0
"""Seconds within which a status follows an event [R1]."""


@pytest.fixture(scope="module")
def operator(cluster):
    """One controller for the tests that do not kill it."""
    started = cluster.start_operator(["--resync-seconds", "300"])
    yield started
    assert started.terminate() == 0


def team(admin, name, **hard):
    return bizrq(admin, name, {"limits.cpu": "100", "pods": "200", "cash/limits.cpu": "1000", **hard})


def until_used(bizrq_, key, value, seconds=WITHIN):
    began = time.monotonic()
    wait_until(lambda: bizrq_.used(key) == value, f"used {key} of {bizrq_.name} is {value}", seconds)
    return time.monotonic() - began


def charged_cores(bizrq_):
    """Cores that are charged right now, None before the first status."""
    return bizrq_.status().get("cash", {}).get("rate", {}).get("limits.cpu")


def cash_stands(bizrq_):
    return charged_cores(bizrq_) == "0"


def written_after(bizrq_, moment):
    return bizrq_.status()["lastReconcileTime"] > moment


def scale(made, replicas):
    made.reload()
    made.patch({"spec": {"replicas": replicas}})


def test_a_scaled_deployment_gives_its_quota_back_within_two_seconds(admin, namespace, operator, record_property):
    """[R1] 20 -> 5 -> 12 -> deleted."""
    with tree(team(admin, "scaled")) as (group,):
        made = deployment(admin, "web", namespace=namespace, replicas=20, labels=labels_for("scaled"), spec=ONE_CORE)
        made.create()
        took = [until_used(group, "limits.cpu", "20")]
        for replicas in (5, 12):
            scale(made, replicas)
            took.append(until_used(group, "limits.cpu", str(replicas)))
        made.delete()
        took.append(until_used(group, "limits.cpu", "0"))
        assert group.used("pods") == "0"
        record_property("followed within", ", ".join(f"{each:.2f} s" for each in took))


def test_models_are_charged_besides_the_plain_keys(admin, namespace, operator):
    """[K2]."""
    keys = {"limits.cpu.A4": "10", "requests.nvidia.com/gpu": "8", "requests.nvidia.com/gpu.A30": "4"}
    spec = {
        "containers": [{"name": "c", "image": "x", "resources": {"limits": {"cpu": "500m", "nvidia.com/gpu": "1"}}}]
    }
    with tree(team(admin, "modelled", **keys)) as (group,):
        deployment(admin, "train", namespace=namespace, replicas=3, spec=spec,
                   labels=labels_for("modelled", cpu="A4", gpu="A30")).create()  # fmt: skip
        until_used(group, "limits.cpu.A4", "1500m")
        used = group.status()["used"]
        assert {key: used[key] for key in keys} == {
            "limits.cpu.A4": "1500m", "requests.nvidia.com/gpu": "3", "requests.nvidia.com/gpu.A30": "3",
        }  # fmt: skip


def test_get_bizrq_shows_a_tree_of_three(admin, cluster, namespace, operator):
    """Columns PARENT, CPU, MEMORY, GPU, CASH-CPU, CASH-GPU, READY, AGE, right for a tree of depth 3."""
    keys = {"limits.memory": "200Gi", "requests.nvidia.com/gpu": "8", "cash/requests.nvidia.com/gpu": "10"}
    company = team(admin, "corp", **keys)
    department = bizrq(admin, "corp-ai", {**company.obj["spec"]["hard"], "limits.cpu": "60"}, parent="corp")
    leaf = bizrq(admin, "corp-ai-vision", {**company.obj["spec"]["hard"], "limits.cpu": "30"}, parent="corp-ai")
    with tree(company, department, leaf):
        deployment(
            admin, "web", namespace=namespace, replicas=7, labels=labels_for("corp-ai-vision"), spec=ONE_CORE
        ).create()
        until_used(leaf, "limits.memory", "7Gi")
        for each, cpu in ((company, "60"), (department, "30")):
            until_used(each, "limits.cpu", cpu)
        text = cluster.kubectl("get", "bizrq", "corp", "corp-ai", "corp-ai-vision")
        lines = [re.split(r"\s\s+", line.strip()) for line in text.splitlines()]
        assert lines[0] == ["NAME", "PARENT", "CPU", "MEMORY", "GPU", "CASH-CPU", "CASH-GPU", "READY", "AGE"]
        assert [line[:-1] for line in lines[1:]] == [
            ["corp", "60/100", "200Gi/200Gi", "8/8", "1000/1000", "10/10", "True"],
            ["corp-ai", "corp", "30/60", "200Gi/200Gi", "8/8", "1000/1000", "10/10", "True"],
            ["corp-ai-vision", "corp-ai", "7/30", "7Gi/200Gi", "0/8", lines[3][5], "0/10", "True"],
        ]
        assert lines[3][5].endswith("/1000")


def test_a_job_gives_its_demand_back_as_it_proceeds(admin, namespace, operator):
    """Demand of a Job: completions left, nothing once finished; its hours stay."""
    with tree(team(admin, "batch")) as (group,), Recorder(admin) as recorder:
        made = job(admin, "short", namespace=namespace, labels=labels_for("batch"), spec=ONE_CORE,
                   annotations={"testbed.bizrq.io/run-seconds": "2"})  # fmt: skip
        made.obj["spec"] |= {"parallelism": 4, "completions": 4}
        made.create()
        until_used(group, "limits.cpu", "4")
        until_used(group, "limits.cpu", "0", 20)
        wait_until(lambda: cash_stands(group), "no pod is charged any more")
        cost = recorder.cost({made.obj["metadata"]["uid"]: {"limits.cpu": 1000}})
        assert cost.pods == 4
        group.until_ledger_says(cost)


def test_a_workload_labelled_before_its_bizrq_exists_is_counted_once_it_does(admin, namespace, operator):
    deployment(admin, "early", namespace=namespace, replicas=2, labels=labels_for("late"), spec=ONE_CORE).create()
    wait_until(lambda: len(pods_of(admin, namespace)) == 2, "two pods")
    with tree(team(admin, "late")) as (group,):
        until_used(group, "limits.cpu", "2")


def test_a_status_edited_by_hand_is_repaired_and_both_values_are_logged(admin, cluster, namespace, operator):
    """[R2]."""
    with tree(team(admin, "edited")) as (group,):
        deployment(admin, "web", namespace=namespace, replicas=3, labels=labels_for("edited"), spec=ONE_CORE).create()
        until_used(group, "limits.cpu", "3")
        wait_until(lambda: charged_cores(group) == "3", "three pods run")
        cluster.kubectl("patch", "bizrq", "edited", "--subresource=status", "--type=merge",
                        "-p", '{"status":{"used":{"limits.cpu":"99"}}}')  # fmt: skip
        until_used(group, "limits.cpu", "3")
        line = "edited: drift: status.used of limits.cpu was changed to 99 by somebody else; corrected to 3"
        wait_until(lambda: line in operator.log.read_text(), "a log line with both values")


def test_the_controller_writes_to_nothing_but_statuses_and_finalizers_of_bizrqs(admin, namespace, operator):
    """[R3] no annotation, no finalizer on workloads or pods; on bizrqs, which are ours, the finalizer of [T7]."""
    with tree(team(admin, "clean")) as (group,):
        made = deployment(admin, "web", namespace=namespace, labels=labels_for("clean"), spec=ONE_CORE)
        made.create()
        until_used(group, "limits.cpu", "1")
        for each in (group, made, *pods_of(admin, namespace)):
            each.reload()
            metadata = each.obj["metadata"]
            assert not any("kopf" in name for name in metadata.get("annotations", {}))
            assert metadata.get("finalizers", []) == (["quota.bizrq.io/books"] if each is group else [])
            ours = [field for field in metadata["managedFields"] if field["manager"].startswith(("bizrq", "kopf"))]
            written = {field.get("subresource"): set(field["fieldsV1"]) for field in ours}
            assert written == ({"status": {"f:status"}, None: {"f:metadata"}} if each is group else {})


# --- killed and started again ----------------------------------------------------------------------------------------


def test_a_killed_controller_comes_back_to_the_right_status(admin, cluster, namespace):
    """[C4] SIGKILL: nothing is lost or doubled, since nothing but the status is remembered."""
    running = cluster.start_operator(["--resync-seconds", "2"])
    with tree(team(admin, "killed")) as (group,), Recorder(admin) as recorder:
        made = deployment(admin, "web", namespace=namespace, replicas=6, labels=labels_for("killed"), spec=ONE_CORE,
                          annotations={"testbed.bizrq.io/terminate-seconds": "1"})  # fmt: skip
        made.create()
        wait_until(lambda: charged_cores(group) == "6", "six pods run")
        scale(made, 4)  # two pods are settled before the end
        wait_until(lambda: charged_cores(group) == "4", "four pods run")
        until_used(group, "limits.cpu", "4")  # the quota follows the pods, once they are known to be in view [P5]
        for _ in range(3):
            running.kill9()
            running = cluster.start_operator(["--resync-seconds", "2"])
            before = group.status()["lastReconcileTime"]
            wait_until(functools.partial(written_after, group, before), "a write of the new process")
            assert group.used("limits.cpu") == "4"
        scale(made, 0)
        wait_until(lambda: not pods_of(admin, namespace), "all pods are gone")
        wait_until(lambda: cash_stands(group), "no pod is charged any more")
        until_used(group, "limits.cpu", "0")
        cost = recorder.cost({made.obj["metadata"]["uid"]: {"limits.cpu": 1000}})
        assert cost.pods == 6
        group.until_ledger_says(cost)
    assert running.terminate() == 0


def test_sigterm_ends_it_with_exit_0_within_seconds(cluster):
    started = cluster.start_operator()
    began = time.monotonic()
    assert started.terminate() == 0
    assert time.monotonic() - began < 10


# --- helpers ---------------------------------------------------------------------------------------------------------


def pods_of(api, namespace):
    return list(pykube.Pod.objects(api).filter(namespace=namespace))
