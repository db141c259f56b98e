"""[A5, A14] what is never refused, what cannot be counted, and what is not known: never the wrong way round."""

import copy

import pytest

from bizrq.domain.bizrq import LABEL
from tests.support.build import container, pod_spec, workload
from tests.support.quotas import counted
from tests.support.webhook import Webhook, told

ONE_CORE = pod_spec(container("main", limits={"cpu": "1", "memory": "1Gi"}))
HARD = {"limits.cpu": "10", "limits.memory": "20Gi", "pods": "10", "count/deployments.apps": "5"}


def web(replicas=1, template=None, **fields):
    return workload(
        "web", replicas=replicas, template=template or ONE_CORE, version=fields.pop("version", 70), **fields
    )


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(counted(HARD), counted(HARD, name="team-vision"))
    return webhook


def used(webhook, name="team"):
    return {key: amount for key, amount in webhook.store.status(name)["used"].items() if amount != "0"}


def assert_again(verdict):
    """[A13] 429 in the answer, and when to ask again; never allowed."""
    response = told(verdict)
    assert not response["allowed"]
    assert response["status"]["code"] == 429
    assert response["status"]["reason"] == "TooManyRequests"
    assert response["status"]["details"]["retryAfterSeconds"] >= 1


# --- what cannot be counted ------------------------------------------------------------------------------------------


def broken(replicas=1, image="one", cpu="abc", **fields):
    spec = pod_spec({**container("main", limits={"cpu": cpu, "memory": "1Gi"}), "image": image})
    return workload("ro", kind="Rollout", api_version="argoproj.io/v1alpha1", replicas=replicas, template=spec,
                    version=70, **fields)  # fmt: skip


PATH = "spec.template.spec.containers[0].resources.limits.cpu"


@pytest.mark.parametrize("cpu", ["abc", 1.5, None, "-1", "1e1000000", True, [], "9" * 33])
async def test_amounts_that_are_no_quantities_are_refused_with_the_path_of_the_field(webhook, cpu):
    """[A14] where they are new."""
    verdict = await webhook.create(broken(cpu=cpu))
    assert (verdict.allowed, verdict.code, verdict.reason) == (False, 422, "Invalid")
    assert verdict.message.startswith(f"amounts that cannot be counted: {PATH}: ")
    assert webhook.store.asked == 0


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        pytest.param(broken(), broken(image="two"), True, id="a change of the image of an object that has them"),
        pytest.param(broken(3), broken(2), True, id="shrinking"),
        pytest.param(broken(2), broken(3), False, id="growth"),
        pytest.param(broken(cpu="1"), broken(), False, id="changed to one that is none"),
        pytest.param(broken(), broken(cpu="xyz"), False, id="changed to another that is none"),
        pytest.param(broken(), broken(bizrq="team-vision"), False, id="a move: to the other bizrq they are new"),
        pytest.param(broken(bizrq=None), broken(), False, id="a new label"),
        pytest.param(broken(), broken(bizrq=None), True, id="the label goes"),
        pytest.param(broken(bizrq=None), broken(cpu="xyz", bizrq=None), True, id="no label: none of our business"),
    ],
)
async def test_amounts_that_are_no_quantities_are_refused_where_they_are_new_or_changed(webhook, old, new, allowed):
    """[A14]; growth of what cannot be counted is refused too."""
    verdict = await webhook.update(old, new)
    assert verdict.allowed == allowed
    assert allowed or (verdict.code == 422 and PATH in verdict.message)


async def test_a_broken_object_can_be_put_right(webhook):
    """[A14] that is growth, and claimed."""
    assert (await webhook.update(broken(2), broken(2, cpu="1"))).allowed
    assert used(webhook)["limits.cpu"] == "2"


async def test_a_broken_replica_count_is_told_with_its_path(webhook):
    """[A14]."""
    raw = broken(cpu="1")
    raw["spec"]["replicas"] = "many"
    assert (
        "object.spec.?replicas.orValue(1): must be a whole number of pods, not 'many'"
        in (await webhook.create(raw)).message
    )


# --- what is never refused -------------------------------------------------------------------------------------------


def with_(raw, **metadata):
    changed = copy.deepcopy(raw)
    changed["metadata"] |= metadata
    return changed


NEVER_REFUSED = [
    pytest.param(lambda w: w.delete(web(5)), id="deletes"),
    pytest.param(lambda w: w.update(web(5), web(4)), id="shrinking"),
    pytest.param(lambda w: w.update(web(5), web(0)), id="to nothing"),
    pytest.param(lambda w: w.update(broken(image="a", cpu="1"), broken(image="b", cpu="1")), id="images"),
    pytest.param(lambda w: w.update(web(5), with_(web(5), annotations={"a": "b"})), id="annotations"),
    pytest.param(lambda w: w.update(with_(web(5), finalizers=["x/y"]), web(5)), id="finalizers"),
    pytest.param(
        lambda w: w.update(web(5), {**web(5), "status": {"replicas": 5}}), id="the Deployment controller's own writes"
    ),
    pytest.param(lambda w: w.create(web(5, bizrq=None)), id="a create of what is not labelled"),
    pytest.param(lambda w: w.update(web(1, bizrq=None), web(99, bizrq=None)), id="growth of what is not labelled"),
    pytest.param(
        lambda w: w.update(web(5, kind="StatefulSet"), web(5, kind="StatefulSet", bizrq=None)), id="a label that goes"
    ),
    pytest.param(lambda w: w.scale(web(5), 5, 4), id="scaling down"),
    pytest.param(lambda w: w.scale(web(5), 5, 0), id="scaling to 0, which the Scale leaves out"),
    pytest.param(lambda w: w.scale(web(5), 5, 5), id="a scale that changes nothing"),
]


async def test_a_label_goes_though_nobody_can_tell_whose_template_it_had(webhook):
    """[A5] it is asked for, but a bizrq, or a list, that cannot be read holds nothing up."""
    webhook.store.away = True
    assert (await webhook.update(web(5), web(5, bizrq=None))).allowed


@pytest.mark.parametrize("away", [False, True], ids=["over quota", "while bizrq cannot be read"])
@pytest.mark.parametrize("ask", NEVER_REFUSED)
async def test_what_grows_nothing_is_never_refused(webhook, ask, away):
    """[A5] nor is anything read or written for it."""
    webhook.have(counted({"pods": "0"}, used={"pods": "5"}))
    webhook.store.away = away
    assert told(await ask(webhook)) == {"uid": "u", "allowed": True}
    assert (webhook.store.asked, webhook.store.writes) == (0, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(None, web(3), id="a create"),
        pytest.param(web(1), web(3), id="an update"),
        pytest.param(web(3, bizrq="team"), web(3, bizrq="team-vision"), id="a move"),
    ],
)
async def test_a_dry_run_is_checked_and_never_claims(webhook, old, new):
    """[A5] answered as it would be."""

    async def ask(raw):
        return await (webhook.create(raw, dry_run=True) if old is None else webhook.update(old, raw, dry_run=True))

    assert (await ask(new)).allowed
    too_many = web(12, bizrq=new["metadata"]["labels"][LABEL])
    verdict = await ask(too_many)
    assert verdict.message.startswith("exceeded quota: team")
    assert "; the largest replica count that fits is " in verdict.message
    assert webhook.store.writes == 0


async def test_a_dry_run_shows_the_warnings_too(webhook):
    """[A5]."""
    assert len((await webhook.create(web(9), dry_run=True)).warnings) == 2


# --- what is unknown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        pytest.param(
            {"resource": {"group": "apps", "version": "v1", "resource": "daemonsets"}},
            "daemonsets.apps/v1",
            id="a kind",
        ),
        pytest.param(
            {"resource": {"group": "", "version": "v1", "resource": "services"}}, "services", id="a core kind"
        ),
        pytest.param(
            {"resource": {"group": "apps", "version": "v1beta1", "resource": "deployments"}},
            "deployments.apps/v1beta1",
            id="another version of a counted kind: it may say things elsewhere",
        ),
        pytest.param({"subResource": "status"}, "deployments.apps/v1/status", id="a subresource"),
    ],
)
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE"])
async def test_what_this_webhook_does_not_know_is_refused_and_never_allowed(webhook, changed, named, operation):
    """A rule too many must be seen, not pass everything."""
    verdict = await webhook.ask("workloads", operation=operation, object=web(), oldObject=web(), **changed)
    assert (verdict.allowed, verdict.code) == (False, 403)
    assert verdict.message.startswith(f"{named} is no kind of workload that this webhook counts")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"operation": "CREATE", "object": None}, id="a create of nothing"),
        pytest.param({"operation": "UPDATE", "object": None, "oldObject": web()}, id="an update to nothing"),
        pytest.param({"operation": "UPDATE", "object": web(), "oldObject": None}, id="an update of nothing"),
    ],
)
async def test_a_review_without_its_objects_is_refused(webhook, request_):
    verdict = await webhook.ask("workloads", **request_)
    assert (verdict.allowed, verdict.code) == (False, 422)
    assert verdict.message == f"this review of a {request_['operation']} lacks the object"


def test_each_path_has_a_handler(webhook):
    """Any other path is answered by the server: 404."""
    assert set(webhook.routes) == {"bizrqs", "workloads", "scale", "autoscalers", "required", "children"}
