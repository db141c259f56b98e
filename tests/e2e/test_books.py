"""Hours over a restore: `bizrq books` on the real API server, with the operator as its own process [C4, T7]."""

import functools
import subprocess

import pytest
import yaml

from testbed import operator_process
from tests.support.bizrqs import bizrq, labels_for, tree
from tests.support.kube import job, wait_until

pytestmark = pytest.mark.e2e

FOUR_CORES = {"containers": [{"name": "main", "image": "none", "resources": {"limits": {"cpu": "4"}}}]}
CPU = "limits.cpu"
THOUSANDTH = 3600
"""Milli-cores x seconds in a thousandth of a core-hour."""


@pytest.fixture(scope="module")
def operator(cluster):
    started = cluster.start_operator(["--resync-seconds=2"])
    yield started
    started.terminate()


@pytest.fixture
def books(cluster):
    """Run `bizrq books` as the administrator."""

    def run(*arguments):
        return subprocess.run(
            [*operator_process.command(), "books", *map(str, arguments)],
            env=operator_process.environment(cluster.kubeconfig),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def organisation(admin):
    """A root; a department that has spent more than it was given, so that its root shows it; a team below."""
    return (
        bizrq(admin, "book-root", {"cash/limits.cpu": "100"}),
        bizrq(admin, "book-dept", {"cash/limits.cpu": "0.002"}, parent="book-root"),
        bizrq(admin, "book-team", {"cash/limits.cpu": "0.001"}, parent="book-dept"),
    )


def ledger(group):
    return int((group.status().get("cash") or {}).get("ledger", {}).get(CPU, 0))


def figures(group):
    """What people and the webhook go by, and the exact ledger."""
    status = group.status()
    return {
        "used": status.get("used"),
        "selfUsed": status.get("selfUsed"),
        "summary": status.get("summary"),
        "ledger": (status.get("cash") or {}).get("ledger"),
        "exhausted": [each["status"] for each in status.get("conditions", ()) if each["type"] == "CashExhausted"],
    }


def thousandths(milli_seconds):
    return -(-milli_seconds // THOUSANDTH)


def spend(admin, namespace, group, seconds):
    """A job of four cores that runs so long; returns once nothing of it is charged any more."""
    made = job(admin, f"{group.name}-job", namespace=namespace, labels=labels_for(group.name), spec=FOUR_CORES,
               annotations={"testbed.bizrq.io/run-seconds": str(seconds)})  # fmt: skip
    made.create()
    wait_until(lambda: (made.reload() or made.obj["status"].get("succeeded")) == 1, "the job is done", 60)
    made.delete(propagation_policy="Background")
    wait_until(lambda: ledger(group) > 0 and group.status()["cash"]["rate"][CPU] == "0", "its hours are booked", 20)


def is_gone(group):
    return not group.exists()


def delete_all(groups):
    for each in reversed(groups):
        each.delete()
        wait_until(functools.partial(is_gone, each), f"{each.name} is gone", 30)


def test_a_whole_tree_deleted_restored_from_manifests_and_imported_shows_the_same_figures(
    admin, cluster, namespace, operator, books, tmp_path
):
    file = tmp_path / "books.yaml"
    with tree(*organisation(admin)) as groups:
        for group, seconds in zip(groups[1:], (4, 6), strict=True):
            spend(admin, namespace, group, seconds)
        # What a child takes is rounded up to thousandths, at each step of the way up [T6].
        taken = thousandths(ledger(groups[1]) + THOUSANDTH * thousandths(ledger(groups[2]))) / 1000
        wait_until(lambda: groups[0].used("cash/limits.cpu") == f"{taken:g}", "the overrun is the root's", 20)
        before = {each.name: figures(each) for each in groups}
        assert before["book-team"]["exhausted"] == ["True"]

        exported = books("export", "--root=book-root", "-o", file)
        assert exported.returncode == 0, exported.stderr
        assert [each["name"] for each in yaml.safe_load(file.read_text())["bizrqs"]] == [each.name for each in groups]

        delete_all(groups)
    with tree(*organisation(admin)) as groups:
        early = books("import", file, "--dry-run")  # with whatever the controller has written by now
        assert early.returncode == 0, early.stderr
        assert "3 of 3 groups would be written" in early.stdout
        wait_until(lambda: groups[2].used("cash/limits.cpu") == "0", "a tree made anew has spent nothing", 20)

        done = books("import", file)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "3 of 3 groups written"), done.stderr
        wait_until(lambda: {each.name: figures(each) for each in groups} == before, "the same figures", 20)

        again = books("import", file)
        assert again.returncode == 1
        assert "bizrq book-team: this file was imported into it already; --continue" in again.stderr
        assert {each.name: figures(each) for each in groups} == before

        # What is put in stays in over a restart, and moves up with its group [T7].
        operator.kill9()
        back = cluster.start_operator(["--resync-seconds=2"])
        try:
            both = sum(ledger(each) for each in groups[1:])
            groups[2].delete()
            wait_until(lambda: not groups[2].exists(), "the team is gone", 60)
            wait_until(lambda: ledger(groups[1]) == both, "its hours are with the department", 20)
        finally:
            back.terminate()


def test_all_that_is_in_the_way_is_named_and_nothing_is_written(admin, cluster, namespace, books, tmp_path):
    file = tmp_path / "books.json"
    running = cluster.start_operator(["--resync-seconds=2"])
    try:
        gone = bizrq(admin, "book-gone", {})
        with tree(bizrq(admin, "book-spent", {"cash/limits.cpu": "9"})) as (group,):
            gone.create()
            spend(admin, namespace, group, 3)
            assert books("export", "--root=book-spent", "--root=book-gone", "--format=json", "-o", file).returncode == 0
            spent = ledger(group)
            gone.delete()
            wait_until(lambda: not gone.exists(), "it is gone", 30)
            told = books("import", file)
            assert told.returncode == 1
            assert f"{file}:\nbizrq book-spent: its books have hours already (limits.cpu 0.0" in told.stderr
            assert "bizrq book-gone: it is not in the cluster; create it first, or" in told.stderr
            assert ledger(group) == spent
            added = books("import", file, "--add", "--skip-missing")
            assert added.returncode == 0, added.stderr
            wait_until(lambda: group.used("cash/limits.cpu") == f"{2 * spent // THOUSANDTH / 1000:g}", "added", 20)
    finally:
        running.terminate()
