"""[C4-C7, C9, T7] In worlds drawn at random the books are right to the second.

Of pods that were seen the ledger is amount x (E - S); where some vanished unseen, what is missing is not above
``uncertain``. A failure prints the story of its world; it is played alone by
``pytest "tests/sim/test_books.py::test_every_ledger_is_the_truth[17]"``.
"""

import pytest

from tests.sim.plans import SEEDS, plan_of
from tests.sim.play import play
from tests.sim.world import Plan


@pytest.mark.parametrize("seed", range(SEEDS), ids=str)
def test_every_ledger_is_the_truth(seed):
    play(plan_of(seed), seed)


def test_every_ledger_is_the_truth_of_thousands_of_pods():
    play(Plan(pods=3000, works=40, steps=1500, removals=False), 1)
