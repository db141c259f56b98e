"""Which workloads are charged more than they demand, since their pods are still there? [P5].

    base     demand in view and open claims                                                     by UID, never by name
    sure     max(base, its line, its claims in the status read, what this process charged it in the last write)
    charge   max(base, min(what its pods hold, sure));  base alone if it is seen under another bizrq
    rest     used as read - sum(sure): what used holds for workloads that nobody can name any more
    used     sum(charge) + min(rest, what pods hold above these charges, those of unknown owners included)

Where nothing fell and nothing is open, sure is the demand and there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from bizrq.domain.amounts import Amounts, add_into, beyond, key_by_key_max
from bizrq.domain.bizrq import Bizrq, own_amounts
from bizrq.domain.claims import Claim
from bizrq.domain.leftovers import Leftover, bounded, charge, held_by_pods, leftovers_of
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import NO_MODELS, Models, is_cash
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import Workload

__all__ = ["Memory", "Stays", "what_stays"]

Unsure = tuple[int, str]
"""A version of a workload, and its object."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a controller knows besides its inventory and the status that it read."""

    before: Mapping[str, Workload] = field(default_factory=dict)
    """Workloads as it charged them in its last write, where they changed since and nobody else has written."""
    is_as_late: Callable[[str, int], bool] = lambda *_: True
    """Whether the pods of a UID are in view as late as the workload at this version."""
    rest_since: Callable[[Bizrq, Amounts], int] = lambda bizrq, _: bizrq.version
    """Told the rest of a bizrq at each count; the version of its status since which that has not grown."""
    strangers: Callable[[Container[str]], Amounts] = lambda _: {}
    """What pods hold whose workload nobody knows, but for those of some controllers."""


@dataclass(slots=True)
class Stays:
    """What is charged above the observed demand of the workloads of a bizrq."""

    extra: dict[str, Quantity] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """``status.leftovers``."""
    unsure: dict[str, Unsure] = field(default_factory=dict)
    """What may fall once pods are seen as late as this, by UID of a workload; the rest by that of the bizrq."""
    rest: bool = False
    """Whether ``used`` as read held more than can be named."""
    look_again: bool = False
    """Whether strangers hold some of that, whose end wakes nobody."""
    charges: dict[str, Amounts] = field(default_factory=dict)
    """What each workload is charged that may be charged more than it demands, by UID."""


@dataclass(slots=True)
class _Known:
    """What says something about one workload that may be charged more than it demands."""

    uid: str
    workload: Workload | None
    """As it is in view, under whatever bizrq."""
    observed: Amounts
    """What it is counted with in the sum of all demand."""
    object: str
    models: Models
    base: Amounts
    before: Amounts = field(default_factory=dict)
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
    workload_of: dict[str, str] = {}
    named = dict(inventory.workloads.total(bizrq.name))
    lines = []
    for known in _suspects(bizrq, inventory, memory, claims, open_claims):
        child = inventory.workloads.is_child(known.uid)  # its pods are its owner's, and so is what they hold [A8]
        sure = known.base if child else key_by_key_max(known.base, known.before)
        controllers = () if child else inventory.controllers_of(known.uid, known.controllers)
        charged = stays.charges[known.uid] = _charge(bizrq, inventory, memory, known, sure, controllers, stays, now)
        workload_of |= dict.fromkeys(controllers, known.uid)
        add_into(named, beyond(sure, known.observed))
        add_into(stays.extra, beyond(charged, known.observed))
        if beyond(charged, known.base):
            held = held_by_pods(charged)
            lines.append(Leftover(known.uid, known.object, controllers, known.models, held).line())
    stays.lines = bounded(lines)
    rest = beyond(_own_as_read(bizrq), named)
    since = memory.rest_since(bizrq, rest)
    if rest:
        stays.rest = True
        if memory.is_as_late(bizrq.uid, since):
            above = _above(bizrq, inventory, stays.charges, workload_of, now)
            strangers = memory.strangers(workload_of)
            rest = _kept(rest, above, strangers)
            stays.look_again = bool(strangers) and any(rest.values())
        else:
            stays.unsure[bizrq.uid] = since, "//"
        add_into(stays.extra, rest)
    return stays


def _suspects(
    bizrq: Bizrq, inventory: Inventory, memory: Memory, claims: Iterable[Claim], open_claims: Iterable[Claim]
) -> Iterable[_Known]:
    suspects: dict[str, _Known] = {}

    def of(uid: str, name: str, models: Models) -> _Known:
        known = suspects.get(uid)
        if known is None:
            workload = inventory.workloads.get(uid)
            observed = inventory.workloads.counted(uid, bizrq.name)
            if workload is not None:
                name, models = str(workload), workload.models
            known = suspects[uid] = _Known(uid, workload, observed, name, models, base=observed)
        return known

    for leftover in leftovers_of(bizrq).values():
        known = of(leftover.uid, leftover.object, leftover.models)
        known.before, known.controllers = held_by_pods(leftover.charge), leftover.controllers
    for workload in memory.before.values():
        known = of(workload.uid, str(workload), workload.models)
        known.before = key_by_key_max(known.before, held_by_pods(workload.demand))
    for claim in claims:
        known = of(claim.uid, claim.object, NO_MODELS)
        known.before = key_by_key_max(known.before, held_by_pods(claim.demand))
    for claim in open_claims:
        known = of(claim.uid, claim.object, NO_MODELS)
        known.base = key_by_key_max(known.base, claim.demand)
    return suspects.values()


def _charge(  # noqa: PLR0917  # one caller, right above
    bizrq: Bizrq,
    inventory: Inventory,
    memory: Memory,
    known: _Known,
    sure: Amounts,
    controllers: Iterable[str],
    stays: Stays,
    now: int,
) -> Amounts:
    if known.workload is not None and known.workload.bizrq != bizrq.name:
        return known.base  # it moved: its old bizrq is released at once
    if not beyond(sure, known.base):
        return sure
    version = inventory.workloads.seen(known.uid)
    if not memory.is_as_late(known.uid, version):
        stays.unsure[known.uid] = version, known.object
        return sure
    if known.workload is not None and not known.workload.settled:
        return sure  # its controller may still make pods of the old demand
    return charge(known.base, sure, inventory.pods.held_under(controllers, known.models, now))


def _own_as_read(bizrq: Bizrq) -> Amounts:
    figures = own_amounts(bizrq.status.get("selfUsed"))
    return held_by_pods({key: amount for key, amount in figures.items() if not is_cash(key)})


def _above(
    bizrq: Bizrq, inventory: Inventory, charges: Mapping[str, Amounts], workload_of: Mapping[str, str], now: int
) -> Amounts:
    """What the pods of this bizrq hold above what their workloads are charged."""
    owners: dict[str, set[str]] = {}
    models: dict[str, Models] = {}
    for pod in inventory.pods.of(bizrq.name):
        controller = pod.uid if pod.alone else pod.owner
        if controller is not None and pod.home is not None:
            uid = workload_of.get(controller) or inventory.workload_of(pod) or controller
            owners.setdefault(uid, set()).add(controller)
            models[uid] = pod.home.models
    above: dict[str, Quantity] = {}
    for uid, controllers in owners.items():
        workload = inventory.workloads.get(uid)
        if workload is None or workload.bizrq == bizrq.name:
            charged = charges.get(uid) or inventory.workloads.counted(uid, bizrq.name)
            add_into(above, beyond(inventory.pods.held_under(controllers, models[uid], now), charged))
    return above


def _kept(rest: Amounts, above: Amounts, strangers: Amounts) -> dict[str, Quantity]:
    """The part of ``rest`` that pods hold. On which models a pod of an unknown owner counts nobody can tell: any."""
    kept = {}
    for key, amount in rest.items():
        plain = max((each for each in strangers if key == each or key.startswith(f"{each}.")), key=len, default="")
        kept[key] = min(amount, above.get(key, ZERO) + strangers.get(plain, ZERO))
    return kept
