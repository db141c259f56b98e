"""What do pods hold beyond the demand of their workload? [P5].

A charge never falls faster than the pods leave. Where it is above the demand, it is kept as one line of text in the
status of the bizrq, so that it outlives the workload and this process:

    1 UID OBJECT CONTROLLER,... MODELS KEY=CHARGE,...

CONTROLLER are the UIDs that control its pods, by which they are found once the workload is gone; MODELS is
cpu/gpu/memory, empty where the workload names none.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bizrq.domain.amounts import Amounts, key_by_key_max
from bizrq.domain.bizrq import Bizrq
from bizrq.domain.claims import is_limitable
from bizrq.domain.quantity import Quantity, QuantityError, parse_own
from bizrq.domain.resource_names import Models

__all__ = [
    "Leftover",
    "LeftoverError",
    "bounded",
    "charge",
    "held_by_pods",
    "is_of_another_format",
    "leftovers_of",
    "parse_leftover",
]

FORMAT: Final = "1"

_FIELDS: Final = 6

_CACHED_LINE: Final = 2048
"""Characters of a line that is kept in memory once it was read."""

_MOST_LINES: Final = 5000
_MOST_CHARACTERS: Final = 256 * 1024
"""Of all lines of a bizrq: etcd takes objects of 1.5 MB, and the CRD 10,000 lines of any format."""

log = logging.getLogger(__name__)


class LeftoverError(ValueError):
    """A line is no leftover, or one of a format that this version does not know."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A workload whose pods hold more than it demands."""

    uid: str
    object: str
    """``deployments.apps/shop/web``."""
    controllers: tuple[str, ...]
    models: Models
    charge: Amounts
    """Of what pods hold: no ``count/`` key."""

    def line(self) -> str:
        """The text in ``status.leftovers``."""
        amounts = ",".join(f"{key}={amount}" for key, amount in sorted(self.charge.items()) if is_limitable(key))
        models = "/".join(model or "" for model in (self.models.cpu, self.models.gpu, self.models.memory))
        return f"{FORMAT} {self.uid} {self.object} {','.join(self.controllers)} {models} {amounts}"


def parse_leftover(line: str) -> Leftover:
    """The leftover of a line. Raises ``LeftoverError``."""
    return _parse_short(line) if len(line) <= _CACHED_LINE else _parse(line)


@functools.lru_cache(maxsize=4096)
def _parse_short(line: str) -> Leftover:
    return _parse(line)


def _parse(line: str) -> Leftover:
    parts = line.split(" ")
    models = parts[4].split("/") if len(parts) == _FIELDS else []
    if parts[0] != FORMAT or len(models) != 3:  # noqa: PLR2004  # cpu, gpu, memory
        msg = f"{line[:100]!r} is no leftover of format {FORMAT}"
        raise LeftoverError(msg)
    amounts: dict[str, Quantity] = {}
    try:
        for each in filter(None, parts[5].split(",")):
            key, _, amount = each.partition("=")
            amounts[key] = parse_own(amount)
    except QuantityError as error:
        msg = f"{line[:100]!r} is no leftover: {error}"
        raise LeftoverError(msg) from error
    cpu, gpu, memory = (model or None for model in models)
    controllers = tuple(filter(None, parts[3].split(",")))
    return Leftover(parts[1], parts[2], controllers, Models(cpu, gpu, memory), amounts)


def is_of_another_format(line: str) -> bool:
    """Whether another version of bizrq wrote a line; it stays as it is."""
    number = line.split(" ", 1)[0]
    return number.isascii() and number.isdecimal() and number != FORMAT


def bounded(lines: Iterable[str]) -> list[str]:
    """As many of the lines as a status has room for.

    What a line that is left out holds is in ``used`` all the same, and stays there as far as pods hold it.
    """
    kept: list[str] = []
    room = _MOST_CHARACTERS
    for line in lines:
        room -= len(line)
        if room < 0 or len(kept) == _MOST_LINES:
            break
        kept.append(line)
    return kept


def leftovers_of(bizrq: Bizrq) -> dict[str, Leftover]:
    """The leftovers in a status, by UID; a line that cannot be read is logged and left out."""
    found = {}
    for line in bizrq.status.get("leftovers") or ():
        try:
            leftover = parse_leftover(line)
        except LeftoverError as error:
            log.warning("%s: a leftover is not counted: %s", bizrq.name, error)
            continue
        found[leftover.uid] = leftover
    return found


def held_by_pods(demand: Amounts) -> Amounts:
    """The part of a demand that pods may hold on to: no pod is a workload of a kind."""
    return {key: amount for key, amount in demand.items() if not key.startswith("count/")}


def charge(base: Amounts, sure: Amounts, pods: Amounts) -> dict[str, Quantity]:
    """What a workload is charged: its demand, or what is left of an older charge while ``pods`` hold it.

    ``base`` is its demand in view and its open claims, ``sure`` what it was charged before, at least ``base``.
    """
    left = {key: min(amount, pods[key]) for key, amount in sure.items() if key in pods}
    return key_by_key_max(base, left)
