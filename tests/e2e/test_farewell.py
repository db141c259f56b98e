"""A group that is deleted leaves its hours with its parent, exactly once [T7]: on the real API server."""

import pytest

from tests.support.bizrqs import bizrq, labels_for, tree
from tests.support.kube import job, wait_until

pytestmark = pytest.mark.e2e

BUDGET = {"cash/limits.cpu": "100"}
FOUR_CORES = {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"cpu": "4"}}}]}


@pytest.fixture(scope="module")
def operator(cluster):
    started = cluster.start_operator(["--resync-seconds=2"])
    yield started
    started.terminate()


def ledger(group):
    return int((group.status().get("cash") or {}).get("ledger", {}).get("limits.cpu", 0))


def is_gone(group):
    return lambda: not group.exists()


def spend(admin, namespace, group, seconds):
    """A job of four cores under ``group`` that runs so long; returns once its hours are settled."""
    ends = {"testbed.bizrq.io/run-seconds": str(seconds)}
    made = job(admin, f"{group.name}-job", namespace=namespace, labels=labels_for(group.name), spec=FOUR_CORES,
               annotations=ends)  # fmt: skip
    made.create()
    wait_until(lambda: (made.reload() or made.obj["status"].get("succeeded")) == 1, "the job is done", 60)
    made.delete(propagation_policy="Background")
    wait_until(lambda: group.used("limits.cpu") in {None, "0"} and ledger(group) > 0, "its hours are booked", 20)


def test_the_hours_of_a_deleted_child_are_its_parents_exactly_once(admin, cluster, namespace, operator):
    with tree(bizrq(admin, "leave-root", BUDGET)) as (root,):
        child = bizrq(admin, "leave-child", {"cash/limits.cpu": "40"}, parent="leave-root")
        child.create()
        wait_until(lambda: root.used("cash/limits.cpu") == "40", "the child takes its budget", 20)
        spend(admin, namespace, child, 5)
        spent = ledger(child)
        assert spent >= 4000 * 5
        child.delete()
        wait_until(is_gone(child), "the child is gone", 30)
        wait_until(lambda: ledger(root) == spent, "its hours are with the parent", 20)
        wait_until(lambda: not root.status()["cash"].get("absorbed"), "nothing is left to remember", 30)
        assert ledger(root) == spent, "and they stay, over resyncs"
        # Made anew under the same name, it refills nothing.
        again = bizrq(admin, "leave-child", {"cash/limits.cpu": "40"}, parent="leave-root")
        again.create()
        wait_until(lambda: again.used("cash/limits.cpu") == "0", "the new one has spent nothing", 20)
        assert ledger(root) == spent
        again.delete()
        wait_until(is_gone(again), "the new one is gone", 30)
        assert ledger(root) == spent


def test_a_child_deleted_while_no_controller_runs_goes_when_one_is_back(admin, cluster, namespace, operator):
    with tree(bizrq(admin, "wait-root", BUDGET)) as (root,):
        child = bizrq(admin, "wait-child", {"cash/limits.cpu": "40"}, parent="wait-root")
        child.create()
        wait_until(lambda: child.used("cash/limits.cpu") == "0", "the child is counted", 20)
        spend(admin, namespace, child, 3)
        spent = ledger(child)
        operator.kill9()
        child.delete()
        assert child.exists(), "its hours must not go with it"
        back = cluster.start_operator(["--resync-seconds=2"])
        try:
            wait_until(is_gone(child), "the child is gone", 60)
            wait_until(lambda: ledger(root) == spent, "its hours are with the parent", 20)
        finally:
            back.terminate()
