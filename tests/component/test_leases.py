"""The Lease in memory keeps the contract of the API server; tests/e2e/test_leases.py holds that one to it."""

import pytest

from bizrq.cluster.leases import FLOOR_ANNOTATION, Lease
from bizrq.domain.floor import Floor
from tests.support.build import NOW
from tests.support.cas_leases import CasLeases
from tests.support.lease_contract import LEASE_CONTRACT


@pytest.mark.parametrize("sentence", LEASE_CONTRACT, ids=lambda each: each.__name__)
async def test_lease_in_memory(sentence):
    leases = CasLeases()
    await sentence(leases, leases)


def test_what_others_wrote_into_the_lease_is_kept():
    lease = Lease({
        "metadata": {"resourceVersion": "7", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"holderIdentity": "x", "strategy": "OldestEmulationVersion"},
    })  # fmt: skip
    raw = lease.held_by("y", NOW * 1000, seconds=15, floor=Floor(9, NOW)).raw
    assert raw["metadata"]["labels"] == {"a": "b"}
    assert raw["metadata"]["annotations"] == {"c": "d", FLOOR_ANNOTATION: f"{Floor(9, NOW)}"}
    assert raw["spec"]["strategy"] == "OldestEmulationVersion"


def test_renewing_keeps_when_it_was_acquired():
    first = Lease.new().held_by("a", NOW * 1000, seconds=15, floor=None)
    again = first.held_by("a", (NOW + 2) * 1000, seconds=15, floor=None)
    assert again.raw["spec"]["acquireTime"] == first.raw["spec"]["renewTime"]
    assert again.raw["spec"]["renewTime"] > first.raw["spec"]["renewTime"]


@pytest.mark.parametrize("raw", [{}, {"metadata": None, "spec": None}, {"metadata": {"annotations": None}}])
def test_an_empty_lease_is_nobodys(raw):
    lease = Lease(raw)
    assert (lease.holder, lease.transitions, lease.version, lease.floor) == ("", 0, 0, None)
