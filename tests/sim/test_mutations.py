"""Each rule of the books is needed: without it some world goes wrong."""

import pytest

from tests.sim import mutations
from tests.sim.checks import Wrong
from tests.sim.play import play
from tests.sim.world import Plan

CALM = Plan(removals=False, crashes=0.05, faults=0.3)
RIVALS = Plan(processes=2, removals=False, crashes=0.05, faults=0.3)
GAPS = Plan(gaps=True, removals=False, crashes=0.05)
MOVES = Plan(moves=True, removals=False, crashes=0.06)
TREE = Plan(farewells=True, removals=False, faults=0.4, crashes=0.06)

MOST = 60
"""Worlds that are tried."""


@pytest.mark.parametrize(
    ("mutation", "plan"),
    [
        (mutations.forget_at_event, CALM),
        (mutations.forget_at_write, CALM),
        (mutations.two_writes, CALM),
        (mutations.blind_retry, RIVALS),
        (mutations.stale_writer, RIVALS),
        (mutations.replay_all, CALM),
        (mutations.trust_list, GAPS),
        (mutations.no_rebase, GAPS),
        (mutations.quiet_late_end, CALM),
        (mutations.quiet_over_cut, CALM),
        (mutations.current_period, Plan(day=True, removals=False)),
        (mutations.finalizer_first, TREE),
        (mutations.early_cleanup, TREE),
        (mutations.moves_in_memory_only, MOVES),
        (mutations.move_one, MOVES),
        (mutations.early_floor, CALM),
        (mutations.own_view, CALM),
        (mutations.rebase_below, CALM),
        (mutations.no_pending_410, GAPS),
        (mutations.gap_high, GAPS),
        (mutations.unknown_home, Plan(removals=False, laggard="workloads", lag=30)),
        (mutations.floor_back, RIVALS),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_broken_rule_is_caught(mutation, plan, monkeypatch):
    mutation(monkeypatch)
    for seed in range(MOST):
        try:
            play(plan, seed)
        except Wrong:
            return
    pytest.fail(f"{mutation.__name__}: {mutation.__doc__} Nothing went wrong in {MOST} worlds")
