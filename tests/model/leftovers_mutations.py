"""The rules of leftovers, broken one at a time.

Each function breaks one rule of the protocol in the real code, for the length of a test: what it does instead is what
somebody might have written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bizrq.controller import feed, leftovers
from bizrq.controller.pods_seen import PodsSeen
from bizrq.controller.strangers import Strangers
from bizrq.controller.sync import Sync
from bizrq.domain import admission, claims
from bizrq.domain.amounts import key_by_key_max
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.quantity import Quantity
from bizrq.workloads.read import read_workload


def _charged(patch: pytest.MonkeyPatch, otherwise: Callable[..., Any]) -> None:
    """Charge what ``otherwise`` says; None: as it should be."""
    charge = leftovers._charge

    def other(bizrq: Any, inventory: Any, memory: Any, known: Any, sure: Any, *rest: Any) -> Any:
        said = otherwise(inventory, known, sure)
        return charge(bizrq, inventory, memory, known, sure, *rest) if said is None else said

    patch.setattr(leftovers, "_charge", other)


def falls_with_the_demand(patch: pytest.MonkeyPatch) -> None:
    """The charge falls with the demand at once."""
    _charged(patch, lambda _, known, __: known.base)


def falls_by_any_view(patch: pytest.MonkeyPatch) -> None:
    """The charge falls by whatever view of the pods there is."""
    patch.setattr(PodsSeen, "is_as_late", lambda *_: True)


def rest_falls_by_any_view(patch: pytest.MonkeyPatch) -> None:
    """What cannot be named is released by whatever view of the pods there is."""
    is_as_late = PodsSeen.is_as_late
    patch.setattr(
        PodsSeen,
        "is_as_late",
        lambda self, uid, version: not uid.startswith("uid-w") or is_as_late(self, uid, version),
    )


def lines_are_not_written(patch: pytest.MonkeyPatch) -> None:
    """A leftover is kept in memory only."""
    patch.setattr(leftovers, "bounded", lambda _: [])


def memory_outlives_other_writers(patch: pytest.MonkeyPatch) -> None:
    """A controller remembers its charges over another controller's write."""
    wrote = Sync._wrote
    patch.setattr(Sync, "_is_trusted", lambda self, bizrq: (
        wrote(self, bizrq) or self._trusted.get(bizrq.uid) == bizrq.writer
    ))  # fmt: skip
    patch.setattr(Sync, "_wrote", lambda *_: True)


def what_nobody_names_is_released(patch: pytest.MonkeyPatch) -> None:
    """What used holds beyond what can be named is released at once."""
    patch.setattr(leftovers, "_own_as_read", lambda _: {})


def only_known_workloads_count(patch: pytest.MonkeyPatch) -> None:
    """The rest is held only for pods whose workload is known."""
    patch.setattr(Strangers, "held", lambda *_: {})


def closed_by_name(patch: pytest.MonkeyPatch) -> None:
    """A line is closed when another UID has the name."""

    def otherwise(inventory: Any, known: Any, _: Any) -> Any:
        taken = any(str(each) == known.object and each.uid != known.uid for each in inventory.workloads)
        return known.base if taken else None

    _charged(patch, otherwise)


def credited_with_pods(patch: pytest.MonkeyPatch) -> None:
    """Growth is credited with the pods that run, here one, and not with the line."""
    settle = claims.settle

    def with_a_pod(growth: Any, known: Any) -> Any:
        one = {key: Quantity.of(1) for key in growth.new}
        had = {key: growth.old.get(key, Quantity.of(0)) + one[key] for key in growth.old}
        return settle(replace(growth, credit=key_by_key_max(growth.credit, had)), known)

    patch.setattr(admission, "settle", with_a_pod)


def deleted_is_released(patch: pytest.MonkeyPatch) -> None:
    """DELETED, which is also "not selected any more", releases at once."""
    _charged(patch, lambda _, known, __: known.base if known.workload is None else None)


def moved_leaves_a_line(patch: pytest.MonkeyPatch) -> None:
    """A label move keeps the old bizrq charged as a leftover."""
    charge = leftovers._charge

    def other(bizrq: Bizrq, inventory: Any, memory: Any, known: Any, *rest: Any) -> Any:
        return charge(bizrq, inventory, memory, replace(known, workload=None), *rest)

    patch.setattr(leftovers, "_charge", other)


def lines_stay_with_the_workload(patch: pytest.MonkeyPatch) -> None:
    """A line stays until its workload is gone."""
    _charged(patch, lambda _, known, sure: sure if known.workload is not None else None)


def falls_unobserved(patch: pytest.MonkeyPatch) -> None:
    """A live workload's charge falls before its controller has seen the lower demand."""
    read = read_workload
    patch.setattr(feed, "read_workload", lambda *what: replace(read(*what), settled=True))
