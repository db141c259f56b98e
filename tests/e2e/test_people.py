"""[A12] What do the chart's three roles for people let an ordinary user do? Asked with their own tokens."""

from __future__ import annotations

import json
import time

import pytest

from bizrq.domain.bizrq import LABEL
from testbed.errors import KubectlFailed
from tests.support.bizrqs import Bizrq, bizrq
from tests.support.kube import wait_until

pytestmark = pytest.mark.e2e

QUOTAS = "bizgroupresourcequotas.quota.bizrq.io"
READ, WRITE = {"get", "list", "watch"}, {"create", "update", "patch", "delete"}
VERBS = {*READ, *WRITE, "use", "grant"}
ROLES = {"alice": "bizrq-viewer", "bob": "bizrq-user", "carol": "bizrq-editor"}
MAY = {"alice": READ, "bob": {"use"}, "carol": {*READ, *WRITE, "grant"}}
"""Each where its role is bound: that of bob in one namespace, those of the others in the whole cluster."""


class Company:
    """Two namespaces in which all three may edit, and a group."""

    def __init__(self, cluster, admin):
        self.kubectl, self.admin = cluster.kubectl, admin
        number = f"{time.time_ns():x}"
        self.bound, self.other = f"t-{number}-bound", f"t-{number}-other"
        self.group, self.new = f"g-{number}", f"n-{number}"
        self.bindings = [f"{role}-{number}" for role in ("bizrq-viewer", "bizrq-editor")]

    def set_up(self):
        for space in (self.bound, self.other):
            self.kubectl("create", "namespace", space)
            users = [f"--user={user}" for user in ROLES]
            self.kubectl("create", "rolebinding", "edit", "--clusterrole=edit", *users, f"--namespace={space}")
        self.kubectl("create", "rolebinding", "use", "--clusterrole=bizrq-user", "--user=bob",
                     f"--namespace={self.bound}")  # fmt: skip
        for name, user in zip(self.bindings, ("alice", "carol"), strict=True):
            self.kubectl("create", "clusterrolebinding", name, f"--clusterrole={ROLES[user]}", f"--user={user}")
        group = bizrq(self.admin, self.group, {"pods": "10"})
        group.create()
        wait_until(lambda: group.used("pods"), "it is counted")

    def tear_down(self):
        self.kubectl("delete", "clusterrolebinding", *self.bindings)
        self.kubectl("delete", "bizrq", self.group, self.new, "--ignore-not-found")
        self.kubectl("delete", "namespace", self.bound, self.other, "--wait=false")

    def may(self, user, space):
        """The verbs that the API server says this user has, for all groups; to use them in a namespace."""
        answers = {}
        for verb in VERBS:
            where = f"--namespace={space}" if verb == "use" else "--all-namespaces"
            try:
                self.kubectl("auth", "can-i", verb, QUOTAS, where, "--quiet", user=user)
                answers[verb] = True
            except KubectlFailed:  # the exit code of no
                answers[verb] = False
        return {verb for verb, allowed in answers.items() if allowed}

    def refusal(self, user, *arguments, stdin=""):
        with pytest.raises(KubectlFailed) as refused:
            self.kubectl(*arguments, user=user, stdin=stdin)
        return str(refused.value)

    def deployment(self, space):
        """One of no pods, for the group."""
        template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
        return json.dumps({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": space, "labels": {LABEL: self.group}},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template},
        })  # fmt: skip

    def quota(self, name, pods, parent=""):
        return json.dumps(bizrq(self.admin, name, {"pods": str(pods)}, parent=parent).obj)


@pytest.fixture(scope="module")
def company(cluster, admin):
    controller = cluster.start_operator(["--resync-seconds=2"])
    made = Company(cluster, admin)
    with cluster.start_webhooks(1) as webhooks:
        spaces = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [made.bound, made.other]}
        webhooks.install(namespace_selector={"matchExpressions": [spaces]})
        made.set_up()
        yield made
        made.tear_down()
    assert controller.terminate() == 0


@pytest.mark.parametrize("user", ROLES)
def test_a_role_gives_what_its_name_says_and_nothing_else(company, user):
    """Where bizrq-user is not bound, edit gives nothing of a group; nor does the view that comes with it, anywhere."""
    assert company.may(user, company.bound) == MAY[user]
    assert company.may(user, company.other) == (set() if user == "bob" else MAY[user])


def test_a_viewer_reads_and_neither_writes_nor_uses(company):
    assert company.group in company.kubectl("get", "bizrq", user="alice")
    for verb in (("delete", "bizrq", company.group), ("annotate", "bizrq", company.group, "a=b")):
        assert 'User "alice" cannot' in company.refusal("alice", *verb)
    told = company.refusal("alice", "create", "--filename=-", stdin=company.deployment(company.bound))
    assert f'alice may not use "{company.group}" in namespace {company.bound}' in told


def test_a_user_uses_every_group_in_the_namespace_where_the_role_is_bound_and_reads_none(company):
    company.kubectl("create", "--filename=-", stdin=company.deployment(company.bound), user="bob")
    told = company.refusal("bob", "create", "--filename=-", stdin=company.deployment(company.other))
    assert f'bob may not use "{company.group}" in namespace {company.other}' in told
    assert 'User "bob" cannot get' in company.refusal("bob", "get", "bizrq", company.group)


def test_an_editor_grants_and_neither_uses_nor_writes_figures(company):
    company.kubectl("create", "--filename=-", stdin=company.quota(company.new, 4), user="carol")
    company.kubectl("apply", "--filename=-", stdin=company.quota(company.new, 6), user="carol")
    assert Bizrq.objects(company.admin).get(name=company.new).obj["spec"]["hard"] == {"pods": "6"}
    company.kubectl("delete", "bizrq", company.new, user="carol")
    status = ("patch", "bizrq", company.group, "--subresource=status", "--type=merge", '--patch={"status":{"used":{}}}')
    assert 'User "carol" cannot' in company.refusal("carol", *status)
    told = company.refusal("carol", "create", "--filename=-", stdin=company.deployment(company.other))
    assert f'carol may not use "{company.group}"' in told
