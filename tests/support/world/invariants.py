"""What must hold at every moment, whatever happens in whatever order.

I1  what live workloads demand is within hard        J2  the same with what children take
I2  ... and within used                              J3  the same with what children take
J1  no child without its parent                      J4  a child has every key of its parent's hard
What a trusted controller made for a live workload under the same bizrq is demanded by that [A8].

I3  once all requests have ended and everything was seen, used is what is live, exactly, and no claim is open
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import msgspec

from bizrq.domain.amounts import Amounts, add_into
from bizrq.domain.bizrq import LABEL, Bizrq, read_bizrq
from bizrq.domain.claims import is_mark, parse_claim
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import read_workload
from tests.support.world.storage import Storage

__all__ = ["Invariants", "Violation"]

JSON = dict[str, Any]


class Violation(AssertionError):
    """Something that must never be is."""


class Invariants:
    """Checked on what is stored, without any code of the processes but their reading of objects."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._over: set[tuple[str, str]] = set()
        """Bizrqs and keys whose hard is new, or lowered below use: what is live is not within it until use falls."""
        self._unmeasured: set[tuple[str, str]] = set()
        """Bizrqs and keys that a descendant gained: what that turns out to use already, nobody has granted."""

    def hard_changed(self, before: JSON, after: JSON) -> None:
        """A new hard was stored."""
        old, new = read_bizrq(before), read_bizrq(after)
        for key, limit in new.hard.items():
            if old.used.get(key, ZERO) > limit:
                self._over.add((new.name, key))
            if key not in old.hard:
                self._over.add((new.name, key))
                self._unmeasured |= {(name, key) for name in self._above(new)}

    def check(self) -> None:
        """Raises ``Violation``."""
        bizrqs = self._bizrqs()
        live = self._live(bizrqs.values())
        for bizrq in bizrqs.values():
            self._check_parent(bizrq, bizrqs.get(bizrq.parent))
            own, taken = live[bizrq.name]
            within_hard, within_used = ("J2", "J3") if taken else ("I1", "I2")
            for key, limit in bizrq.hard.items():
                if (bizrq.name, key) in self._unmeasured:
                    continue
                used = bizrq.used.get(key)
                demand = own.get(key, ZERO) + taken.get(key, ZERO)
                if used is not None and used <= limit:
                    self._over.discard((bizrq.name, key))
                if demand > limit and (bizrq.name, key) not in self._over:
                    raise Violation(f"{within_hard}: {key} of {bizrq.name}: live are {demand}, hard is {limit}")
                if used is not None and demand > used:
                    raise Violation(f"{within_used}: {key} of {bizrq.name}: live are {demand}, used is {used}")

    def check_at_rest(self) -> None:
        """Raises ``Violation`` where anything is left of requests that have ended."""
        bizrqs = self._bizrqs()
        live = self._live(bizrqs.values())
        for bizrq in bizrqs.values():
            own, taken = live[bizrq.name]
            if any(not is_mark(parse_claim(line)) for line in bizrq.claims):
                raise Violation(f"I3: at rest {bizrq.name} has open claims: {bizrq.claims}")
            for key in bizrq.hard:
                demand, used = own.get(key, ZERO) + taken.get(key, ZERO), bizrq.used.get(key)
                if used != demand:
                    raise Violation(f"I3: at rest {key} of {bizrq.name}: live are {demand}, used is {used}")

    def _check_parent(self, child: Bizrq, parent: Bizrq | None) -> None:
        if not child.parent:
            return
        if parent is None:
            raise Violation(f"J1: {child.name} lives, and its parent {child.parent} is gone")
        missing = parent.hard.keys() - child.hard.keys()
        if missing:
            raise Violation(f"J4: {child.name} lacks {', '.join(sorted(missing))}, which {parent.name} has")

    def _bizrqs(self) -> dict[str, Bizrq]:
        return {name: read_bizrq(self._storage.raw(name)) for name in self._storage.names()}

    def _live(self, bizrqs: Iterable[Bizrq]) -> dict[str, tuple[Amounts, Amounts]]:
        """Of each bizrq: what its own workloads demand, and what its children take."""
        own: dict[str, dict[str, Quantity]] = {}
        taken: dict[str, dict[str, Quantity]] = {}
        for raw in self._storage.workloads.values():
            name = (raw["metadata"].get("labels") or {}).get(LABEL)
            if name and not self._is_child(raw, name):
                add_into(own.setdefault(name, {}), self._demand(raw))
        children = list(bizrqs)
        for child in children:
            if child.parent:
                larger = {
                    key: max(child.hard.get(key, ZERO), child.used.get(key, ZERO)) for key in {*child.hard, *child.used}
                }
                add_into(taken.setdefault(child.parent, {}), larger)
        return {each.name: (own.get(each.name, {}), taken.get(each.name, {})) for each in children}

    def _demand(self, raw: JSON) -> Amounts:
        """What a workload asks for, with the template of its lender where it has none of its own."""
        lender = self._storage.current((raw["spec"].get("workloadRef") or {}).get("name", ""))
        return _demand(
            msgspec.json.encode(raw),
            self._storage.kind_of(raw),
            b"" if lender is None else msgspec.json.encode({"spec": lender["spec"]}),
        )

    def _is_child(self, raw: JSON, name: str) -> bool:
        owners = raw["metadata"].get("ownerReferences")
        if not owners or self._storage.makers.get(raw["metadata"]["uid"]) not in DEFAULT_TRUSTED_CONTROLLERS:
            return False
        owner = next((e for e in self._storage.workloads.values() if e["metadata"]["uid"] == owners[0]["uid"]), None)
        return owner is not None and (owner["metadata"].get("labels") or {}).get(LABEL) == name

    def _above(self, bizrq: Bizrq) -> list[str]:
        names, bizrqs = list[str](), self._bizrqs()
        while (above := bizrqs.get(bizrq.parent)) is not None and above.name not in names:
            names.append(above.name)
            bizrq = above
        return names


@functools.lru_cache(maxsize=1024)
def _demand(raw: bytes, kind: Kind, lender: bytes) -> Amounts:
    workload = read_workload(msgspec.json.decode(raw), kind, DEFAULT_GPU_RESOURCES)
    referred = {ref: msgspec.json.decode(lender) for ref in workload.needs if lender}
    return read_workload(msgspec.json.decode(raw), kind, DEFAULT_GPU_RESOURCES, referred=referred).demand
