"""[C9, A12] reviews of spec.cashPeriod: where it may stand, what it may say, and from when on a change holds."""

import pytest

from bizrq.domain.times import timestamp
from tests.support.build import NOW, bizrq, workload
from tests.support.policy import PolicyWebhook
from tests.support.quotas import HOUR_OF_A_CORE, counted
from tests.support.webhook import Webhook, told

HARD = {"limits.cpu": "10", "cash/limits.cpu": "100"}
WEEK = {"every": "Week", "timeZone": "Asia/Shanghai"}
UNKNOWN = (
    'spec.cashPeriod.timeZone: there is no time zone "Asia/Shangai" (did you mean "Asia/Shanghai"?); '
    "names are those of the IANA time zone database"
)
DAY = {"every": "Day", "timeZone": "UTC"}
FROM_MONDAY = "from 2026-01-12T00:00:00+08:00, when the present period ends; until then no hours are granted anew"
MONDAY, NEXT_MONDAY = "2026-01-04T16:00:00Z", "2026-01-11T16:00:00Z"


def group(name="acme", *, cash_period=None, period=None, cash=None, **fields):
    """A bizrq that was counted, with its spec.cashPeriod and status.cash.period."""
    raw = counted(HARD, name=name, cash={**(cash or {}), **({"period": period} if period else {})}, **fields)
    if cash_period is not None:
        raw["spec"]["cashPeriod"] = cash_period
    return raw


def weekly(**fields):
    """A root in the middle of its week."""
    return group(cash_period=WEEK, period={"start": MONDAY, "end": NEXT_MONDAY, **WEEK}, **fields)


@pytest.fixture
def webhook(clock):
    webhook = Webhook(clock)
    webhook.have(weekly(), group("dept", parent="acme"), group("team", parent="dept"))
    return webhook


async def update(webhook, new):
    """An update of the stored object."""
    return await webhook.update(webhook.store.raw(new["metadata"]["name"]), new)


# --- where -----------------------------------------------------------------------------------------------------------


async def test_c9_a_root_may_have_one(webhook):
    """[C9]"""
    new = bizrq("new", hard=HARD)
    new["spec"]["cashPeriod"] = WEEK
    assert told(await webhook.create(new)) == {"uid": "u", "allowed": True}


async def test_c9_a_child_may_not_and_its_root_is_named(webhook):
    """[C9] however deep it stands; created with one, or given one later."""
    words = (
        'spec.cashPeriod: only a root may have a cashPeriod, and this group is a child of "dept"; '
        "remove it here and set it on the root of the tree, acme: it then holds for the whole tree"
    )
    made = await webhook.create(group("new", parent="dept", cash_period=WEEK))
    assert (made.code, made.reason, made.message) == (422, "Invalid", words)
    given = await update(webhook, group("team", parent="dept", cash_period=WEEK))
    assert (given.code, given.message) == (422, words)
    assert webhook.store.writes == 0


async def test_c9_where_the_way_up_ends_nowhere_no_root_is_named(webhook):
    """[C9] in a circle neither."""
    webhook.have(group("lost", parent="gone"), group("a", parent="b"), group("b", parent="a"))
    for name, parent in (("lost", "gone"), ("a", "b")):
        verdict = await update(webhook, group(name, parent=parent, cash_period=WEEK))
        assert verdict.message.endswith("set it on the root of the tree: it then holds for the whole tree")


async def test_c9_a_child_that_was_stored_with_one_can_still_be_changed(webhook):
    """[C9] without the webhook, the schema lets it by; it is not used, and the status says so."""
    stored = group("team", parent="dept", cash_period=WEEK)
    webhook.have(stored)
    assert (await update(webhook, group("team", parent="dept", cash_period=WEEK, annotations={"a": "b"}))).allowed
    assert (await update(webhook, group("team", parent="dept"))).allowed


# --- what ------------------------------------------------------------------------------------------------------------


async def test_c9_an_unknown_time_zone_is_refused_with_the_nearest_name(webhook):
    """[C9]"""
    for verdict in (
        await webhook.create(group("new", cash_period={"every": "Week", "timeZone": "Asia/Shangai"})),
        await update(webhook, group(cash_period={"every": "Week", "timeZone": "Asia/Shangai"})),
    ):
        assert (verdict.code, verdict.message) == (
            422,
            UNKNOWN,
        )


async def test_c9_one_that_was_stored_before_does_not_stand_in_the_way_of_other_changes(webhook):
    """[C9] as any value that could not be checked."""
    odd = {"every": "Week", "timeZone": "Mars/Base"}
    webhook.have(group(cash_period=odd))
    assert (await update(webhook, group(cash_period=odd, annotations={"a": "b"}))).allowed


# --- from when on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "told_of"),
    [
        pytest.param(DAY, "the cashPeriod every Day in UTC holds", id="another one"),
        pytest.param(None, "the removal of its cashPeriod holds", id="none"),
    ],
)
async def test_c9_a_change_holds_from_the_next_edge_and_whoever_makes_it_is_told(webhook, wanted, told_of):
    """[C9] in the time of the zone by which the period ends."""
    verdict = await update(webhook, group(cash_period=wanted))
    assert verdict.allowed
    assert verdict.warnings == (f"acme: {told_of} {FROM_MONDAY}",)


async def test_c9_a_period_that_is_added_holds_from_the_next_edge_of_its_calendar(webhook):
    """[C9]"""
    webhook.have(group("plain", period={"start": timestamp(NOW - 9)}), group("older"))
    for name in ("plain", "older"):
        verdict = await update(webhook, group(name, cash_period=WEEK))
        assert verdict.warnings == (f"{name}: the cashPeriod every Week in Asia/Shanghai holds {FROM_MONDAY}",)


async def test_c9_what_holds_at_once_is_not_warned_of(webhook):
    """[C9] a change back, another field, a change that waits already, a group that was never counted."""
    assert (await update(webhook, weekly(annotations={"a": "b"}))).warnings == ()
    waiting = {"start": MONDAY, "end": NEXT_MONDAY, **WEEK, "next": DAY}
    webhook.have(group("waiting", cash_period=DAY, period=waiting), bizrq("fresh", hard=HARD))
    assert (await update(webhook, group("waiting", cash_period=WEEK))).warnings == ()
    assert (await update(webhook, group("waiting", cash_period=DAY, annotations={"a": "b"}))).warnings == ()
    fresh = bizrq("fresh", hard=HARD)
    fresh["spec"]["cashPeriod"] = WEEK
    assert (await update(webhook, fresh)).warnings == ()


async def test_c9_a_change_after_an_edge_that_no_controller_has_seen_holds_from_the_one_to_come(webhook, clock):
    """[C9]"""
    clock.time = NOW + 8 * 86_400
    (warning,) = (await update(webhook, group(cash_period=DAY))).warnings
    assert " from 2026-01-19T00:00:00+08:00, " in warning


# --- who -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [(DAY, True), (WEEK, False), (None, False)],
    ids=["another one", "the same", "none"],
)
async def test_hours_that_come_again_are_more_hours_and_need_grant_on_all(clock, wanted, needed):
    """[A12, C9] from a month to a day is thirty times the budget."""
    webhook = PolicyWebhook(clock)
    webhook.have(weekly())
    verdict = await update(webhook, group(cash_period=wanted))
    assert verdict.allowed == (not needed)
    assert [(each.verb, each.name) for each in webhook.access.asked] == ([("grant", "")] if needed else [])
    webhook.access.give("bob", "grant")
    webhook.user = "bob"
    assert (await update(webhook, group(cash_period=wanted))).allowed


async def test_a_period_that_is_added_needs_grant_on_all(clock):
    """[A12, C9]"""
    webhook = PolicyWebhook(clock)
    webhook.have(group())
    assert "alice may not grant a BizGroupResourceQuota without a parent" in (await update(webhook, weekly())).message


# --- workloads over an edge ------------------------------------------------------------------------------------------


async def test_a6_a_workload_is_admitted_from_the_edge_on_without_a_controller(webhook, clock):
    """[A6, C9] the webhook carries used over an edge by itself."""
    spent = {"ledger": {"limits.cpu": str(100 * HOUR_OF_A_CORE)}, "rate": {"limits.cpu": "1"}}
    webhook.have(weekly(cash=spent, used={"cash/limits.cpu": "100"}))
    web = workload("web", bizrq="acme", template={"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]})
    refused = await webhook.create(web)
    assert refused.message.startswith("exceeded quota: acme, used: cash/limits.cpu=100, limited: cash/limits.cpu=100; ")
    assert refused.message.endswith("until hours are granted anew at 2026-01-12T00:00:00+08:00 or the budget is raised")
    clock.time = 1_768_147_200 - 1  # the last second of the week
    assert not (await webhook.create(web)).allowed
    clock.time += 1
    assert (await webhook.create(web)).allowed
