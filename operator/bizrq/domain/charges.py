"""Which claims are still open, and what do they add to what is observed? [A4, R4].

    charge of a claimant = max, key by key, of its observed amounts and its open claims
    used                 = sum of the charges

The observed amounts are summed up elsewhere, as events come; here stands what open claims add to that sum.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable
from typing import Final

from bizrq.domain.amounts import Amounts, add_into, key_by_key_max
from bizrq.domain.claims import Claim, ClaimError, claimant_of, mark_of, parse_claim
from bizrq.domain.quantity import Quantity
from bizrq.domain.tree import is_child

__all__ = ["added_by", "claims_of_workloads", "is_readable", "open_claims"]

log: Final = logging.getLogger(__name__)


def open_claims(
    lines: Iterable[str],
    seen: Callable[[str, str], int],
    settled: Container[str] = (),
    is_own: Callable[[Claim], bool] = lambda _: False,
) -> list[str]:
    """The lines whose outcome is not in view yet, and the marks of children that are counted [A8].

    ``seen`` gives the newest version in view of an object and UID. A claim closes when that is later than the version
    it was decided on, and what else its amounts hang on is in view as well: then the observed amounts tell how the
    request ended. ``settled`` are lines that a live read has
    closed. Lines of a form to come stay; what is no line of any form goes.

    ``is_own`` tells of a claim marked ``own``, whose outcome is known, whether its object still is such a child here.
    """
    kept = []
    for line in lines:
        claimant = claimant_of(line)
        if claimant is None:
            log.warning("a line of status.claims is no claim, and is dropped: %.100r", line)
            continue
        if not claimant.is_seen(seen) and line not in settled:
            kept.append(line)
        elif (claim := _read(line)) is not None and claim.own and is_own(claim):
            kept.append(mark_of(claim))
    return kept


def added_by(
    lines: Iterable[str], observed: Callable[[str, str], Amounts]
) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
    """What open claims add to the observed amounts of workloads, and to those of children.

    ``observed`` gives what is counted already for an object and UID.
    """
    charges: dict[tuple[str, str], Amounts] = {}
    for line in lines:
        claim = _read(line)
        if claim is None:
            continue
        known = charges.get((claim.object, claim.uid))
        charges[claim.object, claim.uid] = claim.demand if known is None else key_by_key_max(known, claim.demand)
    workloads: dict[str, Quantity] = {}
    children: dict[str, Quantity] = {}
    for (name, uid), demand in charges.items():
        counted = observed(name, uid)
        more = {}
        for key, amount in demand.items():
            known_amount = counted.get(key)
            if known_amount is None:
                more[key] = amount
            elif amount > known_amount:
                more[key] = amount - known_amount
        add_into(children if is_child(name) else workloads, more)
    return workloads, children


def claims_of_workloads(lines: Iterable[str]) -> dict[str, Claim]:
    """The claims among ``lines`` that are of workloads, by line, as far as they can be read."""
    claims = {line: _read(line) for line in lines}
    return {line: claim for line, claim in claims.items() if claim is not None and not is_child(claim.object)}


def is_readable(line: str) -> bool:
    """Whether the amounts of a line are known."""
    return _read(line) is not None


def _read(line: str) -> Claim | None:
    try:
        return parse_claim(line)
    except ClaimError as error:
        log.warning("an open claim is not counted: %s", error)
        return None
