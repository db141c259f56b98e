"""Which worlds are played?"""

from __future__ import annotations

from tests.sim.world import Plan

__all__ = ["PLANS", "SEEDS", "plan_of"]

SEEDS = 520

PLANS: tuple[Plan, ...] = (
    Plan(),
    Plan(processes=2),
    Plan(removals=False, crashes=0.04, faults=0.25),
    Plan(moves=True, removals=False),
    Plan(day=True),
    Plan(day=True, processes=2, removals=False),
    Plan(farewells=True),
    Plan(unlabel=True),
    Plan(gaps=True, removals=False),
    Plan(day=True, farewells=True, removals=False),
    Plan(removals=False, laggard="workloads", lag=30),
    Plan(removals=False, laggard="pods", processes=2),
)
"""By turns, a seed after the other."""


def plan_of(seed: int) -> Plan:
    """The kind of world of a seed."""
    return PLANS[seed % len(PLANS)]
