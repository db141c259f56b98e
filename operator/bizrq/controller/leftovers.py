"""Which workloads are charged more than they demand, since their pods are still there? [P5].

    base     demand in view and open claims                                                     by UID, never by name
    sure     max(base, its line, its claims in the status read, what this process charged it in the last write)
    charge   max(base, min(what its pods hold, sure));  base alone if it is seen under another bizrq
    rest     used as read - sum(sure): what used holds for workloads that nobody can name any more
    used     sum(charge) + min(rest, what pods hold above these charges, those of unknown owners included)

Where nothing fell and nothing is open, sure is the demand and there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bizrq.domain.amounts import Amounts, add_into, key_by_key_max
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.claims import Claim
from bizrq.domain.leftovers import Leftover, beyond, charge, held_by_pods, leftovers_of
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import NO_MODELS, Models, is_cash
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import Workload

__all__ = ["Memory", "Stays", "what_stays"]


@dataclass(frozen=True, slots=True)
class Memory:
    """What a controller knows besides its inventory and the status that it read."""

    before: Mapping[str, Workload] = field(default_factory=dict)
    """Workloads as it charged them in its last write, where they changed since and nobody else has written."""
    is_as_late: Callable[[str, int], bool] = lambda *_: True
    """Whether the pods of a UID are in view as late as the workload at this version."""
    strangers: Callable[[], Amounts] = dict
    """What pods hold whose workload nobody knows."""


@dataclass(slots=True)
class Stays:
    """What is charged above the observed demand of the workloads of a bizrq."""

    extra: dict[str, Quantity] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """``status.leftovers``."""
    unsure: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Workloads whose charge may fall once their pods are seen as late as they are: version and object by UID."""
    rest: bool = False
    """Whether ``used`` as read held more than can be named."""


@dataclass(slots=True)
class _Known:
    """What says something about one workload that may be charged more than it demands."""

    object: str = ""
    base: Amounts = field(default_factory=dict)
    before: Amounts = field(default_factory=dict)
    models: Models = NO_MODELS
    controllers: tuple[str, ...] = ()


def what_stays(
    bizrq: Bizrq,
    inventory: Inventory,
    memory: Memory,
    *,
    claims: Iterable[Claim],
    open_claims: Iterable[Claim],
    now: int,
) -> Stays:
    """What pods and open claims hold; ``claims`` are those of workloads in the status read."""
    stays = Stays()
    charges: dict[str, Amounts] = {}
    named = dict(inventory.workloads.total(bizrq.name))
    for uid, known in _suspects(bizrq, inventory, memory, claims, open_claims).items():
        observed = _observed(bizrq, inventory, uid)
        sure = key_by_key_max(known.base, known.before)
        add_into(named, beyond(sure, observed))
        charged = _charge(bizrq, inventory, memory, uid, known, sure, stays, now)
        charges[uid] = charged
        add_into(stays.extra, beyond(charged, observed))
        if beyond(charged, known.base):
            controllers = _controllers(uid, known, inventory)
            stays.lines.append(Leftover(uid, known.object, controllers, known.models, charged).line())
    rest = beyond(_own_as_read(bizrq), named)
    if rest:
        stays.rest = True
        add_into(stays.extra, _kept(rest, _above(bizrq, inventory, charges, now), memory.strangers()))
    return stays


def _suspects(
    bizrq: Bizrq, inventory: Inventory, memory: Memory, claims: Iterable[Claim], open_claims: Iterable[Claim]
) -> dict[str, _Known]:
    suspects: dict[str, _Known] = {}

    def of(uid: str, name: str, models: Models) -> _Known:
        known = suspects.get(uid)
        if known is None:
            known = suspects[uid] = _Known(name, models=models, base=_observed(bizrq, inventory, uid))
            workload = inventory.workloads.get(uid)
            if workload is not None:
                known.object, known.models = str(workload), workload.models
        return known

    for leftover in leftovers_of(bizrq).values():
        known = of(leftover.uid, leftover.object, leftover.models)
        known.before, known.controllers = leftover.charge, leftover.controllers
    for workload in memory.before.values():
        known = of(workload.uid, str(workload), workload.models)
        known.before = key_by_key_max(known.before, held_by_pods(workload.demand))
    for claim in claims:
        known = of(claim.uid, claim.object, NO_MODELS)
        known.before = key_by_key_max(known.before, held_by_pods(claim.demand))
    for claim in open_claims:
        known = of(claim.uid, claim.object, NO_MODELS)
        known.base = key_by_key_max(known.base, claim.demand)
    return suspects


def _observed(bizrq: Bizrq, inventory: Inventory, uid: str) -> Amounts:
    workload = inventory.workloads.get(uid)
    return workload.demand if workload is not None and workload.bizrq == bizrq.name else {}


def _charge(  # noqa: PLR0917  # one caller, right above
    bizrq: Bizrq, inventory: Inventory, memory: Memory, uid: str, known: _Known, sure: Amounts, stays: Stays, now: int
) -> Amounts:
    workload = inventory.workloads.get(uid)
    if workload is not None and workload.bizrq != bizrq.name:
        return known.base  # it moved: its old bizrq is released at once
    if not beyond(sure, known.base):
        return sure
    version = inventory.workloads.seen(uid)
    if not memory.is_as_late(uid, version):
        stays.unsure[uid] = version, known.object
        return sure
    if workload is not None and not workload.settled:
        return sure  # its controller may still make pods of the old demand
    return charge(known.base, sure, inventory.pods.held_under(_controllers(uid, known, inventory), known.models, now))


def _controllers(uid: str, known: _Known, inventory: Inventory) -> tuple[str, ...]:
    """The UIDs under which pods of a workload are found: those of its line, and those known now; if they have any."""
    named = {*known.controllers, *inventory.owners.controllers_of(uid)}
    return tuple(sorted(each for each in named if inventory.pods.has_owner(each)))


def _own_as_read(bizrq: Bizrq) -> Amounts:
    figures = own_amounts(bizrq.status.get("selfUsed"))
    return held_by_pods({key: amount for key, amount in figures.items() if not is_cash(key)})


def _above(bizrq: Bizrq, inventory: Inventory, charges: Mapping[str, Amounts], now: int) -> Amounts:
    """What the pods of this bizrq hold above what their workloads are charged."""
    owners: dict[str, set[str]] = {}
    models: dict[str, Models] = {}
    for pod in inventory.pods.of(bizrq.name):
        if pod.owner is not None and pod.home is not None:
            uid = inventory.owners.workload_of(pod.owner)
            owners.setdefault(uid, set()).add(pod.owner)
            models[uid] = pod.home.models
    above: dict[str, Quantity] = {}
    for uid, controllers in owners.items():
        workload = inventory.workloads.get(uid)
        if workload is None or workload.bizrq == bizrq.name:
            charged = charges.get(uid, _observed(bizrq, inventory, uid))
            add_into(above, beyond(inventory.pods.held_under(controllers, models[uid], now), charged))
    return above


def _kept(rest: Amounts, above: Amounts, strangers: Amounts) -> dict[str, Quantity]:
    """The part of ``rest`` that pods hold. On which models a pod of an unknown owner counts nobody can tell: any."""
    kept = {}
    for key, amount in rest.items():
        plain = max((each for each in strangers if key == each or key.startswith(f"{each}.")), key=len, default="")
        kept[key] = min(amount, above.get(key, ZERO) + strangers.get(plain, ZERO))
    return kept
