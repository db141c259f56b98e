"""[A2, A13] enforce and warn: where a refusal becomes a warning, and nothing is claimed."""

import asyncio

import pytest

from bizrq.cluster.errors import Unavailable
from bizrq.domain.refusals import NOT_ENFORCED
from bizrq.settings import Mode
from bizrq.webhook import modes
from bizrq.webhook.modes import MODE_LABEL
from bizrq.webhook.review import Verdict, read_review
from tests.support.admission_review import make_review
from tests.support.build import bizrq, container, pod, pod_spec, workload
from tests.support.policy import PolicyWebhook
from tests.support.quotas import counted
from tests.support.webhook import told

ONE_CORE = pod_spec(container("main", limits={"cpu": "1", "memory": "1Gi"}))
HARD = {"limits.cpu": "10", "pods": "10"}


def web(replicas=1, **fields):
    return workload("web", replicas=replicas, template=ONE_CORE, version=70, **fields)


def make(clock, *, flag=Mode.ENFORCE, label=None, authorize=False):
    webhook = PolicyWebhook(clock, mode=flag, authorize=authorize)
    webhook.have(counted(HARD), counted(HARD, name="dept"))
    if label is not None:
        webhook.reads.namespaces["shop"] = {MODE_LABEL: label}
    return webhook


def said(verdict):
    """The one text that the warnings are, where it was let through."""
    assert verdict.allowed
    return " ".join(verdict.warnings)


@pytest.mark.parametrize(
    ("flag", "label", "warns"),
    [
        (Mode.ENFORCE, None, False),
        (Mode.ENFORCE, "warn", True),
        (Mode.ENFORCE, "enforce", False),
        (Mode.WARN, None, True),
        (Mode.WARN, "enforce", False),
        (Mode.WARN, "warn", True),
        (Mode.ENFORCE, "Warn", False),
        (Mode.WARN, "off", True),
    ],
)
async def test_the_label_of_a_namespace_overrides_the_flag(clock, flag, label, warns):
    """What is neither enforce nor warn overrides nothing."""
    webhook = make(clock, flag=flag, label=label)
    verdict = await webhook.create(web(12))
    assert verdict.allowed == warns


async def test_in_warn_the_refusal_is_the_warning_and_nothing_is_claimed(clock):
    webhook, enforcing = make(clock, label="warn"), make(clock)
    refusal = (await enforcing.create(web(12))).message
    verdict = await webhook.create(web(12))
    assert said(verdict) == NOT_ENFORCED + refusal
    assert all(len(each) <= 250 for each in told(verdict)["warnings"])
    assert (await webhook.create(web(3))) == Verdict.allow(), "what fits is no warning, and no claim either"
    assert webhook.store.writes == 0


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(web(bizrq="tem"), 'there is no BizGroupResourceQuota "tem"', id="no such bizrq"),
        pytest.param(web(bizrq=""), "is empty", id="an empty label"),
        pytest.param(web("x"), "how many pods it asks for cannot be told", id="no number of pods"),
    ],
)
async def test_every_refusal_becomes_a_warning(clock, raw, words):
    webhook = make(clock, label="warn")
    assert words in said(await webhook.create(raw))


async def test_a_missing_right_becomes_a_warning_and_tells_no_figures(clock):
    """[A12]."""
    webhook = make(clock, label="warn", authorize=True)
    text = said(await webhook.create(web(12)))
    assert 'alice may not use "team"' in text
    assert "limited" not in text


async def test_scaling_and_the_requirement_of_a_label_become_warnings(clock):
    """[A9, A11]."""
    webhook = make(clock, label="warn")
    webhook.have(web(2))
    assert "exceeded quota: team" in said(await webhook.scale(web(2), 2, 14))
    at = {"group": "", "version": "v1", "resource": "pods"}
    assert "requires the label" in said(await webhook.ask("required", resource=at, object=pod(), name="pod"))


async def test_what_cannot_be_decided_becomes_a_warning_too(clock):
    """[A13] 429."""
    webhook = make(clock, label="warn")
    webhook.have(bizrq("new", hard=HARD))
    assert "new is new" in said(await webhook.create(web(bizrq="new")))
    webhook.store.away = True
    assert "could not be asked" in said(await webhook.create(web()))


async def test_bizrqs_have_no_namespace_so_the_flag_alone_holds(clock):
    """[T3, A12]."""
    kid = counted({"limits.cpu": "99", "pods": "1"}, name="kid", parent="dept")
    assert not (await make(clock, label="warn").create(kid)).allowed
    webhook = make(clock, flag=Mode.WARN, label="enforce")
    assert "exceeded quota: dept" in said(await webhook.create(kid))
    assert (await webhook.create(counted({"limits.cpu": "1", "pods": "1"}, name="kid", parent="dept"))).allowed
    assert webhook.store.writes == 0


async def test_what_is_let_through_is_counted_by_what_it_would_have_been(clock):
    webhook = make(clock, label="warn")
    webhook.have(bizrq("new", hard=HARD))
    await webhook.create(web(12))
    await webhook.create(web(bizrq="new"))
    await webhook.create(web(1))
    count = webhook.metrics.registry.get_sample_value
    labels = {"route": "workloads"}
    assert count("bizrq_reviews_warned_total", {**labels, "verdict": "refused"}) == 1
    assert count("bizrq_reviews_warned_total", {**labels, "verdict": "again"}) == 1


async def test_a_namespace_is_read_once_in_some_seconds(clock, monkeypatch):
    monkeypatch.setattr(modes, "_SECONDS", 0.02)
    webhook = make(clock)
    assert not (await webhook.create(web(12))).allowed
    webhook.reads.namespaces["shop"] = {MODE_LABEL: "warn"}
    assert not (await webhook.create(web(12))).allowed
    await asyncio.sleep(0.03)
    assert (await webhook.create(web(12))).allowed


@pytest.mark.parametrize("flag", Mode)
async def test_where_the_namespace_cannot_be_read_the_flag_holds(clock, flag, monkeypatch):
    """And it is read again the next time."""
    webhook = make(clock, flag=flag)
    errors = [Unavailable("no API server")]

    async def labels(name):
        if errors:
            raise errors.pop()
        return {MODE_LABEL: "warn"}

    monkeypatch.setattr(webhook.policy.modes, "_labels", labels)
    assert await webhook.policy.modes.warns("shop") == (flag is Mode.WARN)
    assert await webhook.policy.modes.warns("shop")


async def test_what_grows_nothing_reads_no_namespace(clock, monkeypatch):
    """[A5]."""
    webhook = make(clock)

    async def labels(name):
        raise AssertionError(name)

    monkeypatch.setattr(webhook.policy.modes, "_labels", labels)
    assert (await webhook.update(web(3), web(2))).allowed


async def test_a_verdict_that_is_late_goes_by_what_is_known(clock):
    """[A13]."""
    webhook = make(clock, label="warn")
    late = Verdict.try_again("late")
    request = read_review(make_review())
    assert webhook.policy.modes.soften_now("workloads", request, late) == late, "nothing is known yet"
    await webhook.policy.modes.warns("shop")
    assert said(webhook.policy.modes.soften_now("workloads", request, late)) == f"{NOT_ENFORCED}late"
