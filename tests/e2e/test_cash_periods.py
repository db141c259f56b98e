"""[C9] spec.cashPeriod on the real API server: what people are told by the webhook behind the schema."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pykube
import pytest

from testbed.cluster import Cluster
from tests.support.bizrqs import Bizrq, bizrq
from tests.support.kube import client, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

HARD: Final = {"limits.cpu": "10", "cash/limits.cpu": "100"}
WEEK: Final = {"every": "Week", "timeZone": "Asia/Shanghai"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own, with a controller and webhooks."""
    with Cluster(tmp_path_factory.mktemp("periods")) as started:
        started.start_operator(["--resync-seconds=2"])
        with started.start_webhooks() as webhooks:
            webhooks.install()
            yield started


@pytest.fixture(scope="module")
def api(guarded: Cluster) -> Iterator[pykube.HTTPClient]:
    with client(guarded.kubeconfig) as made:
        yield made


@pytest.fixture(scope="module")
def groups(api: pykube.HTTPClient) -> tuple[Bizrq, ...]:
    """A root, its child and its grandchild, counted; they go with the cluster."""
    made = [
        bizrq(api, name, HARD, parent=parent) for name, parent in (("acme", ""), ("dept", "acme"), ("team", "dept"))
    ]
    for each in made:
        each.create()
        wait_until(functools.partial(each.used, "limits.cpu"), "the first status", 30)
    return tuple(made)


def patched(cluster: Cluster, name: str, cash_period: Any) -> str:
    """What kubectl says to a change of spec.cashPeriod, warnings included."""
    patch = json.dumps({"spec": {"cashPeriod": cash_period}})
    kubectl = cluster.kubectl
    done = subprocess.run(
        [kubectl.program, "patch", "bizrq", name, "--type=merge", f"--patch={patch}"],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "KUBECACHEDIR": str(kubectl.cache)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stderr + done.stdout


def test_c9_a_period_below_a_root_is_refused_naming_the_root(guarded: Cluster, groups: tuple[Bizrq, ...]) -> None:
    """[C9] however deep it stands."""
    root, dept, team = groups
    assert (
        patched(guarded, team.name, WEEK)
        .rstrip()
        .endswith(
            f'spec.cashPeriod: only a root may have a cashPeriod, and this group is a child of "{dept.name}"; '
            f"remove it here and set it on the root of the tree, {root.name}: it then holds for the whole tree"
        )
    )
    team.reload()
    assert "cashPeriod" not in team.obj["spec"]


def test_c9_an_unknown_time_zone_is_refused_with_the_nearest_name(guarded: Cluster, groups: tuple[Bizrq, ...]) -> None:
    """[C9] it is spelled like one, so the schema lets it by."""
    said = patched(guarded, groups[0].name, {"every": "Week", "timeZone": "Asia/Shangai"})
    assert 'there is no time zone "Asia/Shangai" (did you mean "Asia/Shanghai"?)' in said


def test_c9_a_period_that_is_added_is_answered_with_the_edge_from_which_it_holds(
    guarded: Cluster, groups: tuple[Bizrq, ...]
) -> None:
    """[C9] a Monday of its zone, less than a week away."""
    root = groups[0]
    said = patched(guarded, root.name, WEEK)
    assert f"bizgroupresourcequota.quota.bizrq.io/{root.name} patched" in said
    warning = re.search(
        rf"Warning: {root.name}: the cashPeriod every Week in Asia/Shanghai holds from "
        r"\d{4}-\d\d-\d\dT00:00:00\+08:00, when the present period ends",
        said,
    )
    assert warning, said
