"""[A13, T1] what is too large to be decided quickly is refused early, and costs little."""

import pytest

from bizrq.domain.demand import demand
from bizrq.webhook import workloads
from tests.support.build import container, pod_spec, workload
from tests.support.quotas import counted
from tests.support.webhook import Webhook

HARD = {"limits.cpu": "10", "pods": "10"}
INT32 = 2**31 - 1


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(counted(HARD))
    return webhook


# --- keys of a workload ----------------------------------------------------------------------------------------------


def wide(keys, replicas=1, image="one", **fields):
    """A Rollout of a container that names so many resources."""
    main = container("main", limits={f"example.com/r{number:03}": "1" for number in range(keys)})
    return workload(
        "wide",
        kind="Rollout",
        api_version="argoproj.io/v1alpha1",
        replicas=replicas,
        version=70,
        template=pod_spec({**main, "image": image}),
        **fields,
    )


@pytest.fixture
def lax(webhook):
    """A bizrq that does not limit CPU, so that nobody need state it."""
    webhook.have(counted({"pods": "10"}))
    return webhook


def keys_of(webhook):
    (claim,) = webhook.store.claims("team")
    return len(claim.demand)


async def test_as_many_keys_as_hard_may_have_are_counted(lax):
    """Besides the resources: pods, and the count of the kind."""
    assert (await lax.create(wide(254))).allowed
    assert keys_of(lax) == 256
    assert (await lax.create(wide(255))).code == 422


@pytest.mark.parametrize("dry_run", [False, True])
async def test_more_keys_than_hard_may_have_are_refused_where_the_demand_grows(lax, dry_run):
    """Each would cost time, and room in a status that etcd takes 1.5 MB of."""
    words = "rollouts.argoproj.io/shop/wide names too many resources: "
    for verdict in (
        await lax.create(wide(400), dry_run=dry_run),
        await lax.update(wide(400, 1), wide(400, 2), dry_run=dry_run),
        await lax.update(wide(200), wide(400), dry_run=dry_run),
        await lax.update(wide(400, bizrq="other"), wide(400), dry_run=dry_run),
    ):
        assert (verdict.code, verdict.reason) == (422, "Invalid")
        assert verdict.message.startswith(words)
        assert verdict.message.endswith(" keys, 256 at most")
    assert lax.store.asked == 0, "before anything is read"


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(wide(400, 2, image="two"), id="another image"),
        pytest.param(wide(400, 1), id="shrinking"),
        pytest.param(wide(399, 2), id="a key less"),
        pytest.param(wide(400, 2, bizrq=None), id="without the label"),
    ],
)
async def test_what_grows_nothing_is_allowed_however_many_keys_there_are(lax, new):
    """[A5]."""
    assert (await lax.update(wide(400, 2), new)).allowed
    assert lax.store.asked == 0


# --- replicas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("replicas", [11, 10**6, INT32])
async def test_any_replica_count_is_refused_after_few_looks_at_what_would_fit(webhook, monkeypatch, replicas, dry_run):
    """[A2] the largest count that fits is found by halving: 31 looks and one at none, on a cached and a fresh read."""
    asked = []

    def counting(groups, *arguments, **keywords):
        asked.append(groups)
        return demand(groups, *arguments, **keywords)

    monkeypatch.setattr(workloads, "demand", counting)
    raw = workload("web", replicas=replicas, template=pod_spec(container(limits={"cpu": "1"})))
    verdict = await webhook.create(raw, dry_run=dry_run)
    assert verdict.code == 403
    assert verdict.message.endswith("; the largest replica count that fits is 10")
    assert 0 < len(asked) <= 2 * 32


async def test_a_scale_to_the_largest_count_there_is_is_refused_too(webhook):
    """[A9]."""
    raw = workload("web", replicas=1, template=pod_spec(container(limits={"cpu": "1"})), version=70)
    webhook.have(raw)
    verdict = await webhook.scale(raw, 1, INT32)
    assert verdict.message.startswith(f"exceeded quota: team, requested: limits.cpu={INT32 - 1},pods={INT32 - 1}, ")


@pytest.mark.parametrize("replicas", [2**31, 10**30])
async def test_no_replica_count_beyond_that_is_counted(webhook, replicas):
    """[A14] of custom kinds the API server may check nothing."""
    raw = workload("ro", kind="Rollout", api_version="argoproj.io/v1alpha1", replicas=replicas)
    verdict = await webhook.create(raw)
    assert verdict.code == 422
    assert "podGroups[0].replicas: object.spec.?replicas.orValue(1): " in verdict.message


# --- levels of a tree ------------------------------------------------------------------------------------------------


@pytest.fixture
def chain(webhook):
    """A root and 31 below it, each below the last."""
    for level in range(32):
        webhook.have(counted(HARD, name=f"l{level}", parent=f"l{level - 1}" if level else None))
    return webhook


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_tree_is_at_most_32_levels_deep(chain, dry_run):
    """[T1] each level is read before a child is created."""
    verdict = await chain.create(counted(HARD, name="new", parent="l31"), dry_run=dry_run)
    assert (verdict.code, verdict.reason, verdict.message) == (
        403, "Forbidden", "new would stand below 32 others, and no tree may be deeper",
    )  # fmt: skip
    assert chain.reads.reads <= 32
    assert chain.store.writes == 0
    assert (await chain.create(counted(HARD, name="new", parent="l30"), dry_run=dry_run)).allowed


async def test_a_bizrq_that_stands_deeper_already_can_be_changed(chain):
    """[A5, T3] a parent never changes, so no way up is looked at."""
    chain.have(counted({"limits.cpu": "1", "pods": "1"}, name="deep", parent="l31"))
    old = chain.store.raw("deep")
    assert (await chain.update(old, counted({"limits.cpu": "2", "pods": "1"}, name="deep", parent="l31"))).allowed
