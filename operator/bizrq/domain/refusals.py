"""What is said to whoever is refused? [A2, A6, P4].

The first words are ResourceQuota's, which people and programs know; after them stands what would fit. One line each.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bizrq.domain.amounts import first_of
from bizrq.domain.cash import amount_text
from bizrq.domain.quantity import ZERO, Quantity

__all__ = [
    "Limit",
    "exceeded",
    "fits",
    "key_missing",
    "left_to_grant",
    "must_specify",
    "nearly_used",
    "no_such_bizrq",
    "spent",
]


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


def spent(bizrq: str, limits: Sequence[Limit]) -> str:
    """The refusal where a budget of hours is used up [A6]."""
    return f"exceeded quota: {bizrq}, used: {_row(limits, 'used')}, limited: {_row(limits, 'limited')}"


def _row(limits: Sequence[Limit], field: str) -> str:
    ordered = sorted(limits, key=lambda limit: limit.key)
    return ",".join(f"{limit.key}={amount_text(limit.key, getattr(limit, field))}" for limit in ordered)


def fits(replicas: int) -> str:
    """What follows a refusal: the largest replica count that would be admitted."""
    if replicas == 0:
        return "; not one replica fits"
    return f"; the largest replica count that fits is {replicas}"


def left_to_grant(parent: str, limits: Sequence[Limit]) -> str:
    """What follows the refusal of a child: whose quota was too small, and what it has left."""
    left = ",".join(
        f"{limit.key}={amount_text(limit.key, max(ZERO, limit.limited - limit.used))}"
        for limit in sorted(limits, key=lambda limit: limit.key)
    )
    return f"; a child's quota is taken from its parent's: {parent} has {left} left to grant"


def must_specify(bizrq: str, missing: Mapping[str, Sequence[str]]) -> str:
    """The refusal of pods that do not state what is limited, with the containers that lack it [P4]."""
    told = "; ".join(f"{key} for: {','.join(containers)}" for key, containers in missing.items())
    return f"failed quota: {bizrq}: must specify {told}"


def key_missing(child: str, parent: str, keys: Sequence[str]) -> str:
    """The refusal of a child that does not limit what its parent limits [T2]."""
    return (
        f"{child}: spec.hard lacks keys that its parent {parent} limits: {first_of(keys, str)}; "
        f"add them, at most with what {parent} has left"
    )


def no_such_bizrq(name: str, label: str, others: Iterable[str]) -> str:
    """The refusal of a label that names nobody, with the name that was probably meant [A7]."""
    near = difflib.get_close_matches(name, list(others), n=1, cutoff=0.6)
    meant = f'did you mean "{near[0]}"?' if near else "see: kubectl get bizrq"
    return f'label {label}: there is no BizGroupResourceQuota "{name}"; {meant}'


def nearly_used(bizrq: str, limits: Sequence[Limit], per_cent: int) -> list[str]:
    """Warnings for the keys of which ``per_cent`` or more are used, with the request."""
    warnings = []
    for limit in sorted(limits, key=lambda limit: limit.key):
        used = limit.used + limit.requested
        if limit.limited.nano <= 0 or used.nano * 100 < limit.limited.nano * per_cent:
            continue
        share = used.nano * 100 // limit.limited.nano
        of = f"{amount_text(limit.key, used)} of {amount_text(limit.key, limit.limited)}"
        warnings.append(f"quota {bizrq}: {share} % of {limit.key} is used ({of})")
    return warnings
