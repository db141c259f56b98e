"""What is said to whoever is refused? [A2, A6, P4].

The first words are ResourceQuota's, which people and programs know; after them stands what would fit. One line each.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bizrq.domain.amounts import KEYS_NAMED, first_of
from bizrq.domain.bizrq import GROUP, LABEL, PLURAL
from bizrq.domain.cash import amount_text
from bizrq.domain.quantity import ZERO, Quantity

__all__ = [
    "NOT_ENFORCED",
    "Limit",
    "autoscaler_too_high",
    "borrowers_elsewhere",
    "children_need_label",
    "exceeded",
    "fits",
    "fits_autoscaler",
    "grown_with",
    "key_missing",
    "label_of_owner",
    "label_required",
    "label_stays",
    "left_to_grant",
    "lender_is_elsewhere",
    "lender_is_missing",
    "lender_stays",
    "may_not_grant",
    "may_not_use",
    "must_specify",
    "nearly_used",
    "no_such_bizrq",
    "period_holds_from",
    "resized",
    "spent",
    "uncountable",
    "uncounted",
]


NOT_ENFORCED: Final = "not enforced, would be refused: "
"""How the warning begins that stands in place of a refusal where the mode is warn."""

_COMPARED: Final = 500
_LONGER: Final = 4
"""Characters that a misspelt name is longer or shorter."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A key of a bizrq that a request meets: what the request adds, what is used without it, what is allowed."""

    key: str
    requested: Quantity
    used: Quantity
    limited: Quantity


def exceeded(bizrq: str, limits: Sequence[Limit]) -> str:
    """The refusal of what does not fit, as ResourceQuota words it; ``limits`` are the exceeded keys [A2]."""
    return (
        f"exceeded quota: {bizrq}, requested: {_row(limits, 'requested')}, "
        f"used: {_row(limits, 'used')}, limited: {_row(limits, 'limited')}"
    )


def spent(bizrq: str, limits: Sequence[Limit], edge: str = "") -> str:
    """The refusal where a budget of hours is used up; ``edge`` is when it is granted anew, "" for never [A6, C9]."""
    anew = f"hours are granted anew at {edge} or " if edge else ""
    return (
        f"exceeded quota: {bizrq}, used: {_row(limits, 'used')}, limited: {_row(limits, 'limited')}"
        f"; these hours are used up: what runs goes on, and nothing more starts until {anew}the budget is raised"
    )


def _row(limits: Sequence[Limit], field: str) -> str:
    ordered = sorted(limits, key=lambda limit: limit.key)
    return ",".join(f"{limit.key}={amount_text(limit.key, getattr(limit, field))}" for limit in ordered)


def fits(replicas: int) -> str:
    """What follows a refusal: the largest replica count that would be admitted."""
    if replicas == 0:
        return "; not even one replica fits"
    return f"; the largest replica count that fits is {replicas}"


def fits_autoscaler(replicas: int) -> str:
    """What follows the refusal of an autoscaler, which reads no text: what its owner can do [A10]."""
    return fits(replicas) + (f": set the autoscaler's maxReplicas to at most {replicas}" if replicas else "")


def autoscaler_too_high(most: int, target: str, why: str) -> str:
    """What is said of an autoscaler that may scale too far; ``why`` is the refusal of scaling to its maximum [A10]."""
    return f"maxReplicas {most}: {target} could not be scaled so far now: {why}"


def left_to_grant(parent: str, limits: Sequence[Limit]) -> str:
    """What follows the refusal of a child: whose quota was too small, and what it has left."""
    return f"; a child's quota is taken from its parent's: {parent} has {_left(limits)} left to grant"


def _left(limits: Sequence[Limit]) -> str:
    ordered = sorted(limits, key=lambda limit: limit.key)
    return first_of(
        [limit.key for limit in ordered],
        lambda key: next(
            f"{key}={amount_text(key, max(ZERO, each.limited - each.used))}" for each in ordered if each.key == key
        ),
    )


def must_specify(bizrq: str, missing: Mapping[str, Sequence[str]]) -> str:
    """The refusal of pods that do not state what is limited, with the containers that lack it [P4]."""
    told = "; ".join(f"{key} for: {','.join(containers)}" for key, containers in missing.items())
    return f"failed quota: {bizrq}: must specify {told}"


def key_missing(child: str, parent: str, limits: Sequence[Limit]) -> str:
    """The refusal of a child that does not limit what its parent limits; ``limits`` are the parent's [T2]."""
    keys = first_of([limit.key for limit in limits], str)
    return (
        f"{child}: spec.hard lacks keys that its parent {parent} limits: {keys}; "
        f"add them, with no more than {parent} has left to grant: {_left(limits)}"
    )


def no_such_bizrq(where: str, name: str, others: Iterable[str], advice: str = "") -> str:
    """The refusal of a field or label that names nobody, with the name that was probably meant [A7, T1]."""
    # Comparing costs time, and whoever misspells may do so often: only names that can be near are compared.
    alike = [each for each in others if _may_be_near(each, name)]
    near = difflib.get_close_matches(name, alike[:_COMPARED], n=1, cutoff=0.6)
    meant = f' (did you mean "{near[0]}"?)' if near else ""
    return f'{where}: there is no BizGroupResourceQuota "{name}"{meant}; {advice or "see: kubectl get bizrq"}'


def _may_be_near(one: str, other: str) -> bool:
    return abs(len(one) - len(other)) <= _LONGER and (one[:1] == other[:1] or one[-2:] == other[-2:])


def nearly_used(bizrq: str, limits: Sequence[Limit], per_cent: int, *, verb: str = "used") -> list[str]:
    """Warnings for the keys of which ``per_cent`` or more are used, or given away, with the request."""
    warnings = []
    for limit in sorted(limits, key=lambda limit: limit.key):
        used = limit.used + limit.requested
        if limit.limited.nano <= 0 or used.nano * 100 < limit.limited.nano * per_cent:
            continue
        share = used.nano * 100 // limit.limited.nano
        of = f"{amount_text(limit.key, used)} of {amount_text(limit.key, limit.limited)}"
        warnings.append(f"quota {bizrq}: {share} % of {limit.key} is {verb} ({of})")
    return warnings


def period_holds_from(bizrq: str, period: str, edge: str) -> str:
    """The warning that a change of the cashPeriod waits for an edge; ``period`` is "" where it is removed [C9]."""
    told = f"the cashPeriod {period} holds" if period else "the removal of its cashPeriod holds"
    return f"{bizrq}: {told} from {edge}, when the present period ends; until then no hours are granted anew"


# --- rights and labels -----------------------------------------------------------------------------------------------


def may_not_use(user: str, bizrq: str, namespace: str) -> str:
    """The refusal of a label that somebody may not set; the same whether there is such a bizrq or not [A12]."""
    return (
        f'label {LABEL}: {user} may not use "{bizrq}" in namespace {namespace}, if there is a BizGroupResourceQuota of '
        "that name; whoever gives out rights can give the verb use on it, see: "
        f"kubectl auth can-i use {PLURAL}.{GROUP}/{bizrq} -n {namespace}"
    )


def label_of_owner(owner: str, bizrq: str) -> str:
    """Behind the refusal of a child that names a bizrq which its owner is not charged to [A8]."""
    return (
        f'; its owner, {owner}, is not counted for "{bizrq}": the label belongs on the object that you deploy, and not '
        "on its template alone"
    )


def may_not_grant(user: str, parent: str) -> str:
    """The refusal of who may not give away a parent's quota, or make or raise a root, whose ``parent`` is "" [A12]."""
    if not parent:
        return (
            f"spec.hard: {user} may not grant a BizGroupResourceQuota without a parent: to make or raise one needs the "
            f"verb grant on all {PLURAL}.{GROUP}"
        )
    return (
        f'spec.parentBizGroup: {user} may not grant anything of "{parent}", if there is a BizGroupResourceQuota of '
        "that name; to make or raise a child of it needs the verb grant on it"
    )


def label_required(what: str, namespace: str, advice: str = "") -> str:
    """The refusal of ``what`` has no label where one is required [A11]."""
    return (
        f"{what}: namespace {namespace} requires the label {LABEL}: name in metadata.labels the bizrq that pays for it"
        f"{advice and '; '}{advice}"
    )


def label_stays(what: str, namespace: str) -> str:
    """The refusal of a label's removal [A11]."""
    return f"{what}: namespace {namespace} requires the label {LABEL}: it may name another bizrq, but not be removed"


def uncounted(what: str, namespace: str, *, labelled: bool) -> str:
    """The warning about a kind that cannot be counted beforehand [A11]."""
    label = f", with the label {LABEL} or without" if labelled else ""
    return (
        f"{what}: namespace {namespace} requires a bizrq, but this kind is not counted{label}: no quota limits its pods"
    )


def children_need_label(what: str, where: Sequence[str], bizrq: str = "", namespace: str = "") -> str:
    """The refusal of an object whose children are counted, and get no label, which stands at ``where`` [A8, A11].

    ``bizrq`` is the one that the object itself names, ``namespace`` the one that requires a label.
    """
    why = (
        f"namespace {namespace} requires the label {LABEL} of what it makes: without it none of that is made"
        if namespace
        else "what it makes is counted, not the object itself, and would get no label"
    )
    return f"{what}: {why}; add to {'.'.join(where)}: {LABEL}: {bizrq or 'NAME'}"


def lender_is_missing(what: str, lender: str, namespace: str) -> str:
    """The refusal of a workload whose template is that of an object which is not there."""
    return (
        f"{what}: its template is that of {lender}, which is not there in namespace {namespace}; create that first, or "
        "refer to another one"
    )


def lender_is_elsewhere(what: str, lender: str, bizrq: str) -> str:
    """The refusal of a workload under ``bizrq`` whose template is that of an object which is not under it."""
    return (
        f"{what}: its template is that of {lender}, which is not under {bizrq}, and whose changes nobody would check; "
        f"label that {LABEL}: {bizrq} too, or refer to another one"
    )


def lender_stays(what: str, borrowers: Sequence[str], bizrq: str) -> str:
    """The refusal of an object that would leave ``bizrq`` while workloads under it have its template."""
    return (
        f"{what}: it may not leave {bizrq} while its template is that of {first_of(borrowers, str, 'workloads')}; "
        "delete these first, or let them refer to another one"
    )


def borrowers_elsewhere(what: str, borrowers: Sequence[str]) -> str:
    """The refusal of a template that grows, and is that of workloads under other bizrqs too."""
    return (
        f"{what}: its template may not grow while it is that of {first_of(borrowers, str, 'workloads')}, which are "
        "under another bizrq; delete these first, or let them refer to another one"
    )


def grown_with(borrowers: Sequence[str]) -> str:
    """What stands behind a refusal of an object whose template others have, which would grow with it."""
    return f"; its template is that of {first_of(borrowers, str, 'workloads')} too, which would grow with it"


def uncountable(what: str, problems: Sequence[object]) -> str:
    """The refusal of an object that the description of its kind does not fit [A14]."""
    told = "; ".join(str(problem) for problem in problems[:KEYS_NAMED])
    return (
        f"{what}: how many pods it asks for cannot be told, so it may not be made or changed: {told}; correct these "
        "fields, or have the description of the kind corrected (--workloads)"
    )


def resized(pod: str, namespace: str, over: Sequence[tuple[str, Quantity, Quantity]]) -> str:
    """The refusal of a pod that would hold more than its template; ``over`` has key, new amount and most [A15]."""
    told = first_of([f"{key}={new} (at most {most})" for key, new, most in over], str)
    return (
        f"pod {pod}: in namespace {namespace} a pod may not be resized above its template: {told}; change the template "
        "instead"
    )
