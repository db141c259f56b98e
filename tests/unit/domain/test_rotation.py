"""The next step of the rotation, one situation at a time; whole runs are in tests/model/test_rotation_stateful.py."""

from dataclasses import replace

import pytest

from bizrq.domain.rotation import (
    Call,
    Entry,
    Issue,
    Kept,
    Pair,
    Patch,
    Rest,
    Rules,
    Store,
    facts_of,
    issued,
    next_step,
    seen_after,
)
from tests.support.build import NOW

DAY = 86_400
RULES = Rules(lifetime=90 * DAY, propagation=300)
TOKENS_ONLY = replace(RULES, certificates=False)
NAMES = frozenset({"w.n.svc", "w.n"})


def pair(number=1, *, names=NAMES, made=NOW):
    return Pair(f"c{number}", f"k{number}", f"a{number}", names, made - DAY, made + 90 * DAY)


GOOD = Kept(pair(), None, ("a1",), ("t1",), NOW)
CALLED = (Entry("x", NAMES, ("a1",), "t1"), Entry("y", NAMES, ("a1",), "t1"))
STAGED = replace(GOOD, staged=pair(2), authorities=("a2", "a1"), tokens=("t2", "t1"))
TRUSTING = tuple(replace(each, authorities=("a2", "a1")) for each in CALLED)


def step(kept, entries, *, now=NOW, known=True, rules=RULES):
    """The next step, where all that is there is ``known`` everywhere, or nothing is."""
    seen = seen_after({}, facts_of(kept, entries), -300.0 if known else 0.0)
    return next_step(kept, entries, seen, now=now, at=0.0, rules=rules)


# --- quiet -----------------------------------------------------------------------------------------------------------


def test_where_all_fits_nothing_is_done():
    assert step(GOOD, CALLED) == Rest("all is as it should be", settled=True)


def test_without_an_entry_that_names_a_service_nothing_is_made():
    assert step(Kept(), ()) == Rest("no entry of the webhook configuration names a service")


# --- when something is made ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "entries", "now", "made"),
    [
        pytest.param(Kept(), CALLED, NOW, Issue(NAMES, token=True), id="nothing is there"),
        pytest.param(replace(GOOD, serving=None), CALLED, NOW, Issue(NAMES), id="the key is broken"),
        pytest.param(replace(GOOD, tokens=()), CALLED, NOW, Issue(token=True), id="the tokens are gone"),
        pytest.param(GOOD, CALLED, NOW + 60 * DAY, Issue(NAMES, token=True), id="a third of the lifetime is left"),
        pytest.param(GOOD, CALLED, NOW + 90 * DAY - 600, Issue(NAMES), id="it is about to expire"),
        pytest.param(GOOD, CALLED, NOW + 400 * DAY, Issue(NAMES), id="it has expired, or the clock jumped ahead"),
        pytest.param(GOOD, CALLED, NOW - 2 * DAY, Issue(NAMES), id="it is not valid yet: the clock jumped back"),
        pytest.param(replace(GOOD, asked=True), CALLED, NOW, Issue(NAMES, token=True), id="somebody asks for it"),
        pytest.param(
            replace(GOOD, serving=replace(pair(), ends=NOW + 91 * DAY + 1)), CALLED, NOW, Issue(NAMES, token=True),
            id="it is for longer than it should be: a clock was ahead when it was made",
        ),
        pytest.param(
            GOOD,
            (*CALLED, Entry("z", frozenset({"v.n.svc"}), ("a1",), "t1")),
            NOW,
            Issue(NAMES | {"v.n.svc"}),
            id="the service has another name: the old one is still called for a while",
        ),
        pytest.param(
            replace(STAGED, staged=pair(2, names=frozenset({"v.n.svc"}))), TRUSTING, NOW, Issue(NAMES),
            id="what is staged is for another name",
        ),
    ],
)  # fmt: skip
def test_a_certificate_or_a_token_is_made_when(kept, entries, now, made):
    assert step(kept, entries, now=now) == made


def test_clocks_of_controllers_may_differ_by_a_day():
    assert isinstance(step(replace(GOOD, serving=replace(pair(), ends=NOW + 91 * DAY)), CALLED), Rest)


def test_a_second_before_a_third_is_left_nothing_is_made():
    assert isinstance(step(GOOD, CALLED, now=NOW + 60 * DAY - 1), Rest)


def test_a_rotation_that_is_asked_for_during_another_waits_for_its_end():
    assert not isinstance(step(replace(STAGED, asked=True), TRUSTING), Issue)


def test_what_is_new_is_staged_beside_what_is_old():
    assert issued(GOOD, CALLED, pair=pair(2), token="t2", now=NOW + 7) == replace(STAGED, tokens_made=NOW + 7)


def test_where_nothing_is_served_what_is_new_is_served_at_once():
    assert issued(Kept(asked=True), CALLED[:0], pair=pair(), token="t1", now=NOW) == GOOD


def test_what_the_secret_has_lost_is_put_back_from_the_configuration():
    """The webhooks that run may still have it in memory."""
    made = issued(Kept(), CALLED, pair=pair(2), token="t2", now=NOW)
    assert (made.serving, made.staged) == (pair(2), None)
    assert (made.authorities, made.tokens) == (("a2", "a1"), ("t2", "t1"))


def test_what_the_secret_has_is_not_mixed_with_what_the_configuration_says():
    entries = tuple(replace(each, token="wrong", authorities=("wrong",)) for each in CALLED)
    made = issued(GOOD, entries, pair=pair(2), token="t2", now=NOW)
    assert (made.authorities, made.tokens) == (("a2", "a1"), ("t2", "t1"))


def test_many_repairs_in_a_row_do_not_fill_the_secret():
    kept = GOOD
    for number in range(2, 30):
        kept = issued(kept, CALLED, pair=pair(number), token=f"t{number}", now=NOW)
    assert (len(kept.authorities), len(kept.tokens)) == (8, 4)
    assert kept.authorities[:2] == ("a29", "a1")


# --- the configuration -----------------------------------------------------------------------------------------------


def test_a_configuration_made_anew_is_repaired_at_once():
    bare = tuple(Entry(each.name, NAMES) for each in CALLED)
    call = Call("t1", ("a1",))
    assert step(GOOD, bare, known=False) == Patch({"x": call, "y": call})


def test_an_entry_that_is_new_gets_the_token_that_all_webhooks_know_for_sure():
    entries = (*TRUSTING, Entry("new", NAMES))
    assert step(STAGED, entries, known=False) == Patch({"new": Call("t1", ("a2", "a1"))})


def test_all_entries_are_called_by_the_new_token_once_all_webhooks_know_it():
    call = Call("t2", ("a2", "a1"))
    assert step(STAGED, TRUSTING) == Patch({"x": call, "y": call})
    assert step(STAGED, TRUSTING, known=False) == Rest("until every API server trusts the new authority")


def test_a_token_that_no_webhook_accepts_is_replaced():
    entries = (replace(CALLED[0], token="wrong"), CALLED[1])
    assert step(GOOD, entries, known=False) == Patch({"x": Call("t1", ("a1",))})


# --- the swap and the end --------------------------------------------------------------------------------------------

RENEWED = tuple(replace(each, token="t2") for each in TRUSTING)
SWAPPED = replace(STAGED, serving=pair(2), staged=None)


def stored(one):
    assert isinstance(one, Store)
    return one.kept


def test_the_new_certificate_is_served_once_every_api_server_trusts_it():
    assert stored(step(STAGED, RENEWED)) == SWAPPED
    assert step(STAGED, RENEWED, known=False) == Rest("until every API server trusts the new authority")


@pytest.mark.parametrize(
    ("serving", "now"),
    [
        pytest.param(None, NOW, id="broken"),
        pytest.param(pair(made=NOW - 90 * DAY), NOW, id="expired"),
        pytest.param(pair(names=frozenset({"old.n.svc"})), NOW, id="of another service"),
    ],
)
def test_nothing_is_waited_for_where_what_is_served_is_of_no_use(serving, now):
    kept = replace(STAGED, serving=serving)
    assert stored(step(kept, TRUSTING, now=now, known=False)).serving == pair(2)
    assert isinstance(step(kept, CALLED, now=now, known=False), Patch)  # but the authority is trusted first


def test_the_old_authority_and_token_are_forgotten_once_nobody_uses_them():
    assert stored(step(SWAPPED, RENEWED)) == replace(SWAPPED, authorities=("a2",), tokens=("t2",))
    assert step(SWAPPED, RENEWED, known=False) == Rest("until the old authority and the old token are used nowhere")
    last = Call("t2", ("a2",))
    assert step(replace(SWAPPED, authorities=("a2",), tokens=("t2",)), RENEWED) == Patch({"x": last, "y": last})


def test_what_is_broken_beside_good_material_is_taken_away():
    assert stored(step(replace(GOOD, tidy=False), CALLED)) == GOOD


# --- certificates of somebody else -----------------------------------------------------------------------------------

THEIRS = tuple(replace(each, authorities=("theirs",)) for each in CALLED)
TOKENS = Kept(tokens=("t1",), tokens_made=NOW)


@pytest.mark.parametrize(
    ("kept", "now", "what"),
    [
        pytest.param(Kept(), NOW, Issue(token=True), id="there is no token"),
        pytest.param(TOKENS, NOW + 60 * DAY, Issue(token=True), id="it is as old as a certificate gets"),
        pytest.param(TOKENS, NOW - 2 * DAY, Issue(token=True), id="it is of the future"),
        pytest.param(replace(TOKENS, tokens_made=None), NOW, Issue(token=True), id="nobody knows how old it is"),
        pytest.param(replace(TOKENS, asked=True), NOW, Issue(token=True), id="somebody asks for it"),
        pytest.param(TOKENS, NOW + 60 * DAY - 1, Rest("all is as it should be", settled=True), id="all is well"),
    ],
)
def test_where_certificates_are_not_ours_only_tokens_are_made(kept, now, what):
    assert step(kept, THEIRS, now=now, rules=TOKENS_ONLY) == what


def test_a_token_is_not_replaced_while_another_is():
    kept = replace(TOKENS, tokens=("t2", "t1"), asked=True)
    assert isinstance(step(kept, THEIRS, rules=TOKENS_ONLY, known=False), Rest)


def test_where_certificates_are_not_ours_what_api_servers_trust_is_left_alone():
    kept = replace(TOKENS, tokens=("t2", "t1"))
    assert step(kept, THEIRS, rules=TOKENS_ONLY) == Patch({"x": Call("t2", None), "y": Call("t2", None)})
    renewed = tuple(replace(each, token="t2") for each in THEIRS)
    assert stored(step(kept, renewed, rules=TOKENS_ONLY)) == replace(kept, tokens=("t2",))
    assert isinstance(step(kept, renewed, rules=TOKENS_ONLY, known=False), Rest)


# --- since when ------------------------------------------------------------------------------------------------------


def test_what_is_seen_without_a_break_keeps_its_time_and_what_comes_back_begins_anew():
    first = seen_after({}, [("accepted", "a"), ("accepted", "b")], 1.0)
    second = seen_after(first, [("accepted", "a")], 2.0)
    assert second == {("accepted", "a"): 1.0}
    assert seen_after(second, [("accepted", "a"), ("accepted", "b")], 3.0)["accepted", "b"] == 3.0


def test_a_fact_of_entries_is_one_of_all_of_them():
    facts = facts_of(GOOD, (CALLED[0], replace(CALLED[1], token="t2", authorities=("a2", "a1"))))
    assert ("trusted", "a1") in facts
    assert not {("trusted", "a2"), ("called", "t1"), ("called", "t2")} & facts
