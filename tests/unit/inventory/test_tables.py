"""The tables take over newer versions only, and forget nothing too early."""

from hypothesis import given
from hypothesis import strategies as st

from bizrq.domain.amounts import total
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.inventory.bizrqs import Bizrqs
from bizrq.inventory.owners import Owners
from bizrq.inventory.versions import Graveyard
from bizrq.inventory.workloads import Workloads
from bizrq.workloads.kind import Resource
from bizrq.workloads.read import read_workload
from tests.support.build import bizrq, container, pod_spec, read, texts, workload
from tests.support.controller import DEPLOYMENT, JOB

REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
CORE = pod_spec(container(limits={"cpu": "1"}))


def web(name="web", version=1, replicas=1, team="team", uid=None):
    raw = workload(name, version=version, replicas=replicas, bizrq=team, template=CORE, uid=uid)
    return read_workload(raw, DEPLOYMENT, DEFAULT_GPU_RESOURCES)


# --- workloads ---


def test_a_workload_is_replaced_by_a_higher_version_only():
    table = Workloads()
    table.put(web(version=5, replicas=5))
    assert table.put(web(version=4, replicas=4)) is False
    assert table.put(web(version=5, replicas=4)) is False
    assert texts(table.total("team"))["limits.cpu"] == "5"
    table.put(web(version=6, replicas=6))
    assert texts(table.total("team"))["limits.cpu"] == "6"


def test_a_workload_that_is_gone_does_not_come_back_by_an_older_list():
    table = Workloads()
    table.put(web(version=5))
    table.remove("uid-web", 7)
    assert table.put(web(version=6)) is False
    assert table.total("team") == {}


def test_a_workload_that_got_its_label_back_is_there_again():
    table = Workloads()
    table.put(web(version=5))
    table.remove("uid-web", 7)
    table.put(web(version=8))
    table.remove("uid-web", 7)  # the same event once more
    assert texts(table.total("team"))["limits.cpu"] == "1"


def test_a_move_takes_the_demand_with_it():
    table = Workloads()
    table.put(web(version=5, replicas=3))
    table.put(web(version=6, replicas=3, team="other"))
    assert table.total("team") == {}
    assert texts(table.total("other"))["limits.cpu"] == "3"


def test_a_list_removes_only_what_is_older_than_it_and_of_its_kind():
    table = Workloads()
    for each in (web("old", 5), web("new", 9), web("listed", 5)):
        table.put(each)
    assert [each.name for each in table.missing(DEPLOYMENT, {"uid-listed"}, 7)] == ["old"]
    assert table.missing(JOB, set(), 7) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30), st.integers(0, 6), st.sampled_from(["a", "b", ""]))))
def test_the_running_total_is_the_sum_of_what_is_held(events):
    table = Workloads()
    for number, version, replicas, team in events:
        if team:
            table.put(web(f"w{number}", version, replicas, team))
        else:
            table.remove(f"uid-w{number}", version)
    for team in ("a", "b"):
        expected = total(each.demand for each in table if each.bizrq == team)
        shown = table.total(team)
        assert {key: amount for key, amount in expected.items() if amount} == {k: v for k, v in shown.items() if v}


# --- bizrqs ---


def test_children_are_found_by_their_parent():
    table = Bizrqs()
    for raw in (bizrq("top"), bizrq("kid", parent="top"), bizrq("other", parent="else")):
        table.put(read(raw))
    assert [each.name for each in table.children("top")] == ["kid"]
    table.remove("uid-kid", "kid", 9)
    assert table.children("top") == []


def test_a_bizrq_made_anew_is_another_and_the_old_one_cannot_come_back():
    table = Bizrqs()
    table.put(read(bizrq(uid="one", version=5)))
    table.put(read(bizrq(uid="two", version=9)))
    assert table.put(read(bizrq(uid="one", version=7))) is False
    assert table.remove("one", "team", 8) is None
    found = table.get("team")
    assert found is not None
    assert found.uid == "two"


def test_a_list_of_bizrqs_tells_what_went_unseen():
    table = Bizrqs()
    for raw in (bizrq("old", version=5), bizrq("new", version=9)):
        table.put(read(raw))
    assert [each.name for each in table.missing(set(), 7)] == ["old"]


# --- owners ---


def replica_set(uid, above):
    from bizrq.cluster.objects import Metadata, Owned, OwnerReference

    owners = [OwnerReference(uid=above, controller=True)] if above else None
    return Owned(Metadata(uid=uid, resource_version="1", owner_references=owners))


def test_a_controller_that_is_no_replica_set_is_the_workload_itself():  # [C7]
    assert Owners(lambda _: None).workload_of("uid-job") == "uid-job"


def test_a_replica_set_leads_to_its_owner_also_after_it_is_gone_while_pods_are_left():
    told: list[str] = []
    owners = Owners(told.append)
    sink = owners.sink(REPLICA_SETS)
    sink.changed(replica_set("rs", "deployment"), 0)
    sink.deleted(replica_set("rs", "deployment"), 0)
    owners.sweep(lambda _: True)
    assert (told, owners.workload_of("rs"), set(owners.controllers_of("deployment"))) == (
        ["rs"], "deployment", {"rs", "deployment"},
    )  # fmt: skip
    owners.sweep(lambda _: False)
    assert (owners.workload_of("rs"), owners.controllers_of("deployment")) == ("rs", ("deployment",))


def test_a_replica_set_that_is_adopted_leads_to_its_new_owner():
    owners = Owners(lambda _: None)
    sink = owners.sink(REPLICA_SETS)
    for above in (None, "one", "two"):
        sink.changed(replica_set("rs", above), 0)
    assert owners.workload_of("rs") == "two"
    assert owners.controllers_of("one") == ("one",)


def test_a_list_that_broke_off_says_nothing_about_what_is_gone():
    owners = Owners(lambda _: None)
    sink = owners.sink(REPLICA_SETS)
    sink.list_began()
    sink.listed(replica_set("gone", "d"), 0)
    sink.list_began()  # again, from its beginning
    sink.listed(replica_set("here", "d"), 0)
    sink.list_ended(9, 0)
    owners.sweep(lambda _: False)
    assert set(owners.controllers_of("d")) == {"d", "here"}


def test_a_list_of_one_resource_says_nothing_about_another():
    owners = Owners(lambda _: None)
    replica_sets, jobs = owners.sink(REPLICA_SETS), owners.sink(JOBS)
    replica_sets.changed(replica_set("rs", "deployment"), 0)
    jobs.list_began()
    jobs.list_ended(9, 0)
    owners.sweep(lambda _: False)
    assert owners.workload_of("rs") == "deployment"


def test_a_chain_leads_over_several_objects_in_whatever_order_they_come():  # [C7]
    for order in ([("job", "cluster"), ("cluster", "ray-job")], [("cluster", "ray-job"), ("job", "cluster")]):
        told: list[str] = []
        owners = Owners(told.append)
        sink = owners.sink(REPLICA_SETS)
        for uid, above in order:
            sink.changed(replica_set(uid, above), 0)
        assert owners.workload_of("job") == "ray-job"
        assert set(owners.controllers_of("ray-job")) == {"ray-job", "cluster", "job"}
        assert told[-1] == "job", "its pods are looked at again"


def test_a_chain_holds_while_something_below_it_has_pods():  # [C7]
    owners = Owners(lambda _: None)
    sink = owners.sink(REPLICA_SETS)
    sink.changed(replica_set("job", "cluster"), 0)
    sink.changed(replica_set("cluster", "ray-job"), 0)
    sink.deleted(replica_set("cluster", "ray-job"), 0)
    owners.sweep(lambda uid: uid == "job")
    assert owners.workload_of("job") == "ray-job", "it has pods below"


def test_a_chain_leads_over_a_pod():
    """The workers of a LeaderWorkerSet belong to a StatefulSet that belongs to their leader's pod."""
    pods: dict[str, str] = {}
    owners = Owners(lambda _: None, pods.get)
    sink = owners.sink(REPLICA_SETS)
    sink.changed(replica_set("leaders", "lws"), 0)
    sink.changed(replica_set("workers", "leader-pod"), 0)
    assert owners.workload_of("workers") == "leader-pod", "that pod is not known yet"
    pods["leader-pod"] = "leaders"
    assert owners.workload_of("workers") == "lws"
    assert set(owners.controllers_of("lws")) == {"lws", "leaders", "leader-pod", "workers"}
    pods.clear()
    assert owners.workload_of("workers") == "lws", "also when it is gone, while its workers are there"
    sink.deleted(replica_set("workers", "leader-pod"), 0)
    owners.sweep(lambda _: False)
    assert set(owners.controllers_of("lws")) == {"lws", "leaders"}


def test_a_chain_ends_at_the_first_workload_that_counts():  # [C7]
    """A Job of a CronJob: its pods are its own."""
    counted = {"job"}
    owners = Owners(lambda _: None, is_counted=counted.__contains__)
    sink = owners.sink(REPLICA_SETS)
    sink.changed(replica_set("job", "cron-job"), 0)
    sink.changed(replica_set("part", "job"), 0)
    assert (owners.workload_of("job"), owners.workload_of("part")) == ("job", "job")
    assert set(owners.controllers_of("job")) == {"job", "part"}
    assert owners.controllers_of("cron-job") == ("cron-job",)


def test_a_circle_of_owners_leads_somewhere():
    owners = Owners(lambda _: None)
    sink = owners.sink(REPLICA_SETS)
    sink.changed(replica_set("a", "b"), 0)
    sink.changed(replica_set("b", "a"), 0)
    assert owners.workload_of("a") in {"a", "b"}
    assert set(owners.controllers_of("a")) == {"a", "b"}


def test_graves_are_bounded():
    graves = Graveyard()
    for number in range(20_001):
        graves.bury(str(number), 5)
    assert not graves.is_stale("0", 5)
    assert graves.is_stale("1", 5)
    assert not graves.is_stale("1", 6)
