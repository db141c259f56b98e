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
from bizrq.domain.leftovers import Leftover, beyond, charge, leftovers_of
from bizrq.domain.quantity import ZERO, Quantity
from bizrq.domain.resource_names import NO_MODELS, Models, is_cash
from bizrq.inventory.inventory import Inventory
from bizrq.workloads.read import Workload

__all__ = ["Held", "what_stays"]


@dataclass(slots=True)
class Held:
    """What is charged above the observed demand of the workloads of a bizrq."""

    extra: dict[str, Quantity] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """``status.leftovers``."""
    unsure: dict[str, int] = field(default_factory=dict)
    """Workloads whose pods must be seen as late as they are before their charge may fall, with their version."""
    rest: bool = False
    """Whether ``used`` held more than could be named."""


@dataclass(slots=True)
class _Known:
    """Everything that says something about one workload."""

    object: str = ""
    base: Amounts = field(default_factory=dict)
    before: Amounts = field(default_factory=dict)
    models: Models = NO_MODELS
    controllers: tuple[str, ...] = ()


def what_stays(
    bizrq: Bizrq,
    inventory: Inventory,
    *,
    claims: Iterable[Claim],
    open_claims: Iterable[Claim],
    before: Mapping[str, Workload],
    is_as_late: Callable[[str, int], bool],
    strangers: Callable[[], Amounts],
    now: int,
) -> Held:
    """What pods still hold.

    ``claims`` are all workloads' claims in the status read, ``open_claims`` those that stay. ``before`` are workloads
    as this process charged them in its last write, if nobody else has written since. ``is_as_late`` tells whether the
    pods of a UID are in view as late as the workload at a version; ``strangers`` is what pods of unknown owners hold.
    """
    known: dict[str, _Known] = {}

    def of(uid: str) -> _Known:
        found = known.get(uid)
        if found is None:
            found = known[uid] = _Known()
            workload = inventory.workloads.get(uid)
            if workload is not None and workload.bizrq == bizrq.name:
                found.object, found.base, found.models = str(workload), workload.demand, workload.models
        return found

    for leftover in leftovers_of(bizrq).values():
        each = of(leftover.uid)
        each.before = key_by_key_max(each.before, leftover.charge)
        each.controllers = leftover.controllers
        if not each.object:
            each.object, each.models = leftover.object, leftover.models
    for workload in before.values():
        each = of(workload.uid)
        each.before = key_by_key_max(each.before, workload.demand)
        if not each.object:
            each.object, each.models = str(workload), workload.models
    for claim in claims:
        each = of(claim.uid)
        each.before = key_by_key_max(each.before, claim.demand)
        each.object = each.object or claim.object
    for claim in open_claims:
        each = of(claim.uid)
        each.base = key_by_key_max(each.base, claim.demand)

    result = Held()
    charges: dict[str, Amounts] = {}
    named = dict(inventory.workloads.total(bizrq.name))
    for uid, each in known.items():
        workload = inventory.workloads.get(uid)
        here = workload is not None and workload.bizrq == bizrq.name
        observed: Amounts = workload.demand if workload is not None and here else {}
        sure = key_by_key_max(each.base, each.before)
        add_into(named, beyond(sure, observed))
        controllers = _controllers(uid, each, inventory)
        if workload is not None and not here:
            charged = dict(each.base)  # it moved: its old bizrq is released at once
        elif not beyond(sure, each.base):
            charged = sure
        else:
            pods: Amounts | None = None
            version = inventory.workloads.seen(uid)
            if not is_as_late(uid, version):
                result.unsure[uid] = version
            elif workload is None or workload.settled:
                pods = inventory.pods.held_under(controllers, each.models, now)
            charged = charge(each.base, sure, pods)
        charges[uid] = charged
        add_into(result.extra, beyond(charged, observed))
        if beyond(charged, each.base):
            result.lines.append(Leftover(uid, each.object, controllers, each.models, charged).line())
    rest = beyond(_plain(bizrq), named)
    if rest:
        result.rest = True
        add_into(result.extra, _kept(rest, _above(bizrq, inventory, charges, now), strangers()))
    return result


def _controllers(uid: str, known: _Known, inventory: Inventory) -> tuple[str, ...]:
    """The UIDs under which pods of a workload are found: those of its line, and those known now that have any."""
    now = (each for each in inventory.owners.controllers_of(uid) if inventory.pods.has_owner(each))
    return tuple(sorted({*known.controllers, *now}))


def _plain(bizrq: Bizrq) -> Amounts:
    return {key: amount for key, amount in own_amounts(bizrq.status.get("selfUsed")).items() if not is_cash(key)}


def _above(bizrq: Bizrq, inventory: Inventory, charges: Mapping[str, Amounts], now: int) -> dict[str, Quantity]:
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
        if workload is not None and workload.bizrq != bizrq.name:
            continue
        charged = charges.get(uid, workload.demand if workload is not None else {})
        add_into(above, beyond(inventory.pods.held_under(controllers, models[uid], now), charged))
    return above


def _kept(rest: Amounts, above: Amounts, strangers: Amounts) -> dict[str, Quantity]:
    """The part of ``rest`` that pods hold. Which models pods of unknown owners are charged on nobody can tell: all."""
    kept = {}
    for key, amount in rest.items():
        unknown = strangers.get(key) or next(
            (strangers[plain] for plain in sorted(strangers, key=len, reverse=True) if key.startswith(f"{plain}.")),
            ZERO,
        )
        kept[key] = min(amount, above.get(key, ZERO) + unknown)
    return kept
