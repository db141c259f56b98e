"""Whose are the pods of a workload, and from when to when? [C7].

A workload's pods belong to the bizrq that its label names. Where the label changes while pods run, one stay ends and
the next begins at the moment of the move. Such stays, and those at workloads that are gone before their pods, are kept
as lines of text in ``status.cash.moves`` of their bizrq, so that they outlive this process:

    1 UID NAMESPACE SINCE UNTIL MODELS CONTROLLER,... [from=OLD] [to=NEW]

SINCE and UNTIL are ``-`` where the stay has no such end; CONTROLLER are UIDs that control pods of the workload, by
which they are found once it is gone; MODELS is cpu/gpu/memory, empty where the workload names none.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from bizrq.domain.intervals import Interval
from bizrq.domain.resource_names import Models
from bizrq.domain.times import instant, timestamp

__all__ = [
    "UNKNOWN_OWNER_SECONDS",
    "Home",
    "Kept",
    "Stay",
    "is_of_another_format",
    "kept_lines",
    "kept_of",
    "share",
]

FORMAT: Final = "1"

_FIELDS: Final = 7
_NONE: Final = "-"

UNKNOWN_OWNER_SECONDS: Final = 30
"""How long after a pod its owner may become known. Owners come by kopf, which may be away for 15 s."""

MAX_LINES: Final = 2000
"""Of one bizrq; the CRD takes 10,000."""

MOST_CHARACTERS: Final = 512 * 1024
"""Of all lines of a bizrq: etcd takes objects of 1.5 MB, claims and leftovers included."""

_MAX_LINE: Final = 4096
"""As the CRD has it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Home:
    """Where pods belong: the bizrq and the models that their workload names."""

    bizrq: str
    models: Models
    namespace: str
    """Of the workload. Owners are of the same namespace: a pod elsewhere only names a UID that is not its owner's."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A home for a time: pods are charged there for what of their interval lies in [since, until)."""

    home: Home
    since: int | None = None
    until: int | None = None
    came_from: str = ""
    went_to: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it is all the time that a pod can have."""
        return self.since is None and self.until is None


@dataclass(frozen=True, slots=True)
class Kept:
    """A stay as a line of a status tells it."""

    uid: str
    """Of the workload."""
    stay: Stay
    controllers: tuple[str, ...] = ()

    def line(self) -> str:
        """The text in ``status.cash.moves``."""
        stay, home = self.stay, self.stay.home
        models = "/".join(model or "" for model in (home.models.cpu, home.models.gpu, home.models.memory))
        line = (
            f"{FORMAT} {self.uid} {home.namespace} {_text(stay.since)} {_text(stay.until)} {models} "
            f"{','.join(self.controllers)}"
        )
        marks = [f"from={stay.came_from}"] * bool(stay.came_from) + [f"to={stay.went_to}"] * bool(stay.went_to)
        return " ".join((line, *marks))


def share(interval: Interval, stay: Stay) -> Interval:
    """What of a pod's interval lies in a stay."""
    start = interval.start
    if start is None:
        return interval
    if stay.since is not None and start < stay.since:
        start = stay.since
    cut = interval.cut
    if stay.until is not None and (cut is None or stay.until < cut):
        cut = max(start, stay.until)
    return structs.replace(interval, start=start, cut=cut)


def kept_of(bizrq: str, lines: Iterable[str]) -> Iterator[Kept]:
    """The stays at ``bizrq`` that lines of its status tell; what is no such line is left out, which is logged."""
    for line in lines:
        kept = _parse(bizrq, line)
        if kept is None:
            log.warning("%s: %r in status.cash.moves is no move of format %s", bizrq, line[:100], FORMAT)
        else:
            yield kept


def is_of_another_format(line: str) -> bool:
    """Whether another version of bizrq wrote a line; it stays as it is."""
    number = line.split(" ", 1)[0]
    return number.isascii() and number.isdecimal() and number != FORMAT


def kept_lines(kept: Sequence[Kept]) -> list[str]:
    """The lines of a status. Too many are cut off, which is logged, and so are the controllers of long ones."""
    lines: list[str] = []
    room = MOST_CHARACTERS
    longest = min(_MAX_LINE, MOST_CHARACTERS // max(1, min(len(kept), MAX_LINES)))
    for each in kept[:MAX_LINES]:
        line = each.line()
        while len(line) > longest and each.controllers:
            each = Kept(each.uid, each.stay, each.controllers[: len(each.controllers) // 2])  # noqa: PLW2901
            line = each.line()
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    if len(kept) > len(lines):
        log.warning("%d moves of one bizrq, %d are kept over a restart", len(kept), len(lines))
    return lines


@functools.lru_cache(maxsize=4096)
def _parse(bizrq: str, line: str) -> Kept | None:
    parts = line.split(" ")
    models = parts[5].split("/") if len(parts) >= _FIELDS else []
    if parts[0] != FORMAT or len(models) != 3:  # noqa: PLR2004  # cpu, gpu, memory
        return None
    _, uid, namespace, since, until, _, controllers, *marks = parts
    cpu, gpu, memory = (model or None for model in models)
    ends = {name: text for name, _, text in (mark.partition("=") for mark in marks)}
    if any(text != _NONE and instant(text) is None for text in (since, until)):
        return None
    home = Home(bizrq, Models(cpu, gpu, memory), namespace)
    stay = Stay(home, instant(since), instant(until), ends.get("from", ""), ends.get("to", ""))
    return Kept(uid, stay, tuple(filter(None, controllers.split(","))))


def _text(moment: int | None) -> str:
    return _NONE if moment is None else timestamp(moment)
