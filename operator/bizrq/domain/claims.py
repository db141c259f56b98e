"""What was granted and is not seen in the cluster yet? [A4].

A claimant is an object with a UID and amounts: a workload under its bizrq, or a bizrq under its parent. A claim is kept
as one line of text in the status of the one that granted it:

    1 UID VERSION OBJECT SINCE KEY=DEMAND:RAISED,... [from=OLD] [own] [with=LENDER | of=LENDER]

``own`` is a child that nobody is believed to have made for its owner: it is counted as long as it is there, and being
seen closes its claim no more than to its mark, a line without amounts [A8].

VERSION is the resourceVersion of the object that the request was decided on, 0 for a create. Admission runs inside the
storage update on that very version, so any later version tells how the request ended. DEMAND is all that the object
will demand, not what it grows by; RAISED is what it is above the demand of the object at VERSION.

A workload may have its template from another object, its lender: then its demand hangs on the versions of both. LENDER
is ``UID:OTHER:OBJECT``, the lender's UID and object. Behind ``with=`` the claim is of a change of the workload, and
OTHER is the version of the lender that it was decided with; behind ``of=`` it is of a change of the lender, whose
VERSION it has, and OTHER is that of the workload. Such a claim closes when the one was seen later than VERSION and the
other not before OTHER: only then what is observed has both in it.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from bizrq.domain.amounts import Amounts, key_by_key_max
from bizrq.domain.quantity import ZERO, Quantity, QuantityError, parse_own

__all__ = [
    "MAX_CLAIMS",
    "MAX_LINE",
    "Claim",
    "ClaimError",
    "Claimant",
    "Growth",
    "Lender",
    "Settled",
    "claimant_of",
    "count_open",
    "is_limitable",
    "is_mark",
    "mark_of",
    "owned_by_itself",
    "parse_claim",
    "settle",
    "since_text",
    "sources",
]

FORMAT: Final = "1"

MAX_CLAIMS: Final = 1000
"""Open claims of one bizrq; beyond that admission says: try again [A13]. The CRD has the same bound."""

MAX_LINE: Final = 16_384
"""Characters of a line that we write: some 300 keys. The CRD has room for more."""

_CACHED_LINE: Final = 2048
"""Characters of a line that is kept in memory once it was read."""

_KEY: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_./]{0,385}")
"""What can stand in ``hard``. A custom resource may name anything as a resource; what cannot be limited is left out."""

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, since 1970: no later one can be written."""

_HEAD: Final = 5  # fields before the amounts

_FROM: Final = "from="
_LENDER: Final = re.compile(r"(?P<mark>with|of)=(?P<uid>[^:]+):(?P<version>[0-9]{1,20}):(?P<object>.+)")


class ClaimError(ValueError):
    """A line is no claim, or one of a format that this version does not know."""


class Lender(NamedTuple):
    """The object that a workload has its template from."""

    uid: str
    version: int
    """Of the one of the two objects whose version the claim is not of; at least so new both must be seen."""
    object: str


class Claimant(NamedTuple):
    """Whose claim a line is, and of which version."""

    uid: str
    version: int
    object: str
    lender: Lender | None = None
    by_lender: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """A workload has one claim for its own changes, and one for those of each lender."""
        return _key(self.uid, self.lender, by_lender=self.by_lender)

    @property
    def clock(self) -> tuple[str, str]:
        """Object and UID of what ``version`` is a version of."""
        if self.lender is not None and self.by_lender:
            return self.lender.object, self.lender.uid
        return self.object, self.uid

    @property
    def other(self) -> tuple[str, str] | None:
        """Object and UID of what else its demand hangs on; None where it hangs on one object alone."""
        if self.lender is None:
            return None
        return (self.object, self.uid) if self.by_lender else (self.lender.object, self.lender.uid)

    def is_seen(self, seen: Callable[[str, str], int]) -> bool:
        """Whether its outcome is in view; ``seen`` gives the newest version in view of an object and UID."""
        if seen(*self.clock) <= self.version:
            return False
        return self.lender is None or self.other is None or seen(*self.other) >= self.lender.version


def _key(uid: str, lender: Lender | None, *, by_lender: bool) -> tuple[str, str]:
    return uid, lender.uid if lender is not None and by_lender else ""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim."""

    uid: str
    version: int
    """resourceVersion of the object that it was decided on; 0 for a create."""
    object: str
    """``deployments.apps/shop/web``; a bizrq has no namespace: ``bizgroupresourcequotas.quota.bizrq.io//team-a``."""
    since: str
    """For people, and for [C7]: when it was written."""
    demand: Amounts
    raised: Amounts
    moved_from: str = ""
    """The bizrq that the workload was under before [C7]."""
    own: bool = False
    """A child that no trusted controller made: being seen does not close it [A8]."""
    lender: Lender | None = None
    """Where its template is from, if that is another object."""
    by_lender: bool = False
    """It is of a change of the lender, and ``version`` is one of the lender."""
    marks: tuple[str, ...] = ()
    """What another version of bizrq wrote behind the amounts."""

    def line(self) -> str:
        """The text in ``status.claims``."""
        amounts = ",".join(
            f"{key}={amount}:{self.raised.get(key, ZERO)}"
            for key, amount in sorted(self.demand.items())
            if is_limitable(key)
        )
        line = f"{FORMAT} {self.uid} {self.version} {self.object} {self.since} {amounts}"
        marks = [f"from={self.moved_from}"] if self.moved_from else []
        marks += ["own"] if self.own else []
        if self.lender is not None:
            lender = self.lender
            marks.append(f"{'of' if self.by_lender else 'with'}={lender.uid}:{lender.version}:{lender.object}")
        return " ".join((line, *marks, *self.marks))


@functools.lru_cache(maxsize=4096)
def is_limitable(key: str) -> bool:
    """Whether ``key`` can stand in ``hard``, and so in a line."""
    return _KEY.fullmatch(key) is not None


def claimant_of(line: str) -> Claimant | None:
    """Whose claim a line is, without reading its amounts; None where it is no claim."""
    parts = line.split(" ", _HEAD)
    if len(parts) <= _HEAD or not _is_number(parts[2]):
        return None
    lender, by_lender = None, False
    if " with=" in parts[_HEAD] or " of=" in parts[_HEAD]:  # few lines have a lender
        lender, by_lender, _ = _lender_of(parts[_HEAD].split(" ")[1:])
    return Claimant(parts[1], int(parts[2]), parts[3], lender, by_lender)


def _lender_of(marks: Iterable[str]) -> tuple[Lender | None, bool, tuple[str, ...]]:
    """The lender that marks name, whether the claim is of a change of that, and the other marks."""
    lender, by_lender, others = None, False, []
    for mark in marks:
        found = _LENDER.fullmatch(mark) if lender is None else None
        if found is None:
            others.append(mark)
        else:
            lender = Lender(found["uid"], int(found["version"]), found["object"])
            by_lender = found["mark"] == "of"
    return lender, by_lender, tuple(others)


def sources(lines: Iterable[str]) -> set[str]:
    """The bizrqs that workloads come from, by lines of claims; without reading their amounts."""
    return {
        mark.removeprefix(_FROM)
        for line in lines
        if f" {_FROM}" in line
        for mark in line.split(" ")[_HEAD + 1 :]
        if mark.startswith(_FROM)
    }


def parse_claim(line: str) -> Claim:
    """The claim of a line. Raises ``ClaimError``."""
    return _parse_short(line) if len(line) <= _CACHED_LINE else _parse(line)


@functools.lru_cache(maxsize=8192)  # a line is read at every status until it is closed
def _parse_short(line: str) -> Claim:
    return _parse(line)


def _parse(line: str) -> Claim:
    parts = line.split(" ")
    if len(parts) <= _HEAD or parts[0] != FORMAT or not _is_number(parts[2]):
        msg = f"{line[:100]!r} is no claim of format {FORMAT}"
        raise ClaimError(msg)
    demand: dict[str, Quantity] = {}
    raised: dict[str, Quantity] = {}
    try:
        for each in filter(None, parts[_HEAD].split(",")):
            key, _, amounts = each.partition("=")
            whole, _, growth = amounts.partition(":")
            demand[key], raised[key] = parse_own(whole), parse_own(growth)
            if min(demand[key], raised[key]) < ZERO:
                msg = f"{line[:100]!r} is no claim: {key} is below 0"
                raise ClaimError(msg)
    except QuantityError as error:
        msg = f"{line[:100]!r} is no claim: {error}"
        raise ClaimError(msg) from error
    lender, by_lender, marks = _lender_of(parts[_HEAD + 1 :])
    moved_from = next((mark.removeprefix(_FROM) for mark in marks if mark.startswith(_FROM)), "")
    others = tuple(mark for mark in marks if mark != "own" and not mark.startswith(_FROM))
    return Claim(
        uid=parts[1],
        version=int(parts[2]),
        object=parts[3],
        since=parts[4],
        demand=demand,
        raised=raised,
        moved_from=moved_from,
        own="own" in marks,
        lender=lender,
        by_lender=by_lender,
        marks=others,
    )


def owned_by_itself(lines: Iterable[str]) -> frozenset[str]:
    """UIDs of the children that are workloads of their own, whatever owner they name [A8]."""
    marked = [line for line in lines if " own" in line and "own" in line.split(" ")[_HEAD + 1 :]]
    return frozenset(claimant.uid for line in marked if (claimant := claimant_of(line)) is not None)


def mark_of(claim: Claim) -> str:
    """What stays of a claim marked ``own`` once its outcome is known: what is observed counts then, and only that."""
    return replace(claim, demand={}, raised={}, lender=None, by_lender=False).line()


def is_mark(claim: Claim) -> bool:
    """Whether a claim says no more than that its object is counted."""
    return claim.own and not claim.demand


def count_open(lines: Iterable[str]) -> int:
    """How many lines claim something; one that cannot be read does, for all that is known."""
    return sum(1 for line in lines if not (" own" in line and _is_mark_line(line)))


def _is_mark_line(line: str) -> bool:
    try:
        return is_mark(parse_claim(line))
    except ClaimError:
        return False


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20  # noqa: PLR2004  # an etcd revision is an int64


@dataclass(frozen=True, slots=True)
class Growth:
    """A request that makes a claimant grow: what it demands before and after, and which object it was decided on."""

    uid: str
    version: int
    """resourceVersion of the object under review; 0 for a create."""
    object: str
    old: Amounts
    """What it demands at ``version`` from the bizrq that is asked; nothing where it comes from another [A1]."""
    new: Amounts
    keys: frozenset[str] | None = None
    """Of a child bizrq: the keys of its hard. Its claim says nothing of other keys [T2]."""
    old_keys: frozenset[str] = frozenset()
    """The keys of its hard at ``version``."""
    moved_from: str = ""
    own: bool = False
    """It is the child of somebody, and is not believed to be [A8]."""
    credit: Amounts = field(default_factory=dict)
    """What its line in ``status.leftovers`` holds for it already [A1, P5]."""
    lender: Lender | None = None
    """Where its template is from, if that is another object."""
    by_lender: bool = False
    """It is the lender that changes, and ``version`` is one of the lender."""

    @property
    def key(self) -> tuple[str, str]:
        """As that of the claim it is to have."""
        return _key(self.uid, self.lender, by_lender=self.by_lender)


@dataclass(frozen=True, slots=True)
class Settled:
    """How a request for growth would be claimed: what ``used`` rises by, and the claim without its time."""

    grant: Amounts
    demand: Amounts
    raised: Amounts


def settle(growth: Growth, known: Claim | None) -> Settled | None:
    """The claim of a request, given the open claim of the same UID; None where that is on a later version [A4].

    A review on an older version than an open claim changes nothing: its write must fail, which a live read has to
    show, for a line alone proves nothing. The same version again, by a
    repeat or a race of two writers, keeps the larger amounts. A later version proves that the old claim is settled: it
    is replaced, and what it had raised counts as granted already, but no more, since the controller may have taken
    less of it into account meanwhile.
    """
    old, new = growth.old, growth.new
    credit = key_by_key_max(old, growth.credit) if growth.credit else old
    if known is None:
        covered, demand = credit, key_by_key_max(new, old)
    elif known.version < growth.version:
        granted = {
            key: min(amount, old.get(key, ZERO) + known.raised.get(key, ZERO)) for key, amount in known.demand.items()
        }
        covered, demand = key_by_key_max(credit, granted), key_by_key_max(new, old)
    elif known.version == growth.version:
        covered, demand = key_by_key_max(credit, known.demand), key_by_key_max(new, known.demand)
    else:
        return None
    if growth.keys is not None:
        keys = _keys_of_child(growth.keys, growth, known)
        demand = {key: amount for key, amount in demand.items() if key in keys}
    return Settled(_above(new, covered), demand, _above(demand, credit))


def _keys_of_child(keys: frozenset[str], growth: Growth, known: Claim | None) -> frozenset[str]:
    """The keys that a child is sure to have however its requests end: absent in one of them is absent [T2]."""
    if known is None:
        return keys
    return keys & (known.demand.keys() if known.version == growth.version else growth.old_keys)


def _above(amounts: Amounts, less: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Per key what ``amounts`` is above ``less``, at least 0."""
    result = {}
    for key, amount in amounts.items():
        known = less.get(key)
        result[key] = amount if known is None else max(ZERO, amount - known)
    return result


def since_text(milliseconds: int, before: str = "") -> str:
    """The time of a claim, in milliseconds since 1970: later than the one ``before``, and so another text [A4]."""
    with contextlib.suppress(ValueError, TypeError):
        known = datetime.datetime.fromisoformat(before) - _EPOCH
        later = known // datetime.timedelta(milliseconds=1) + 1
        if later <= _LAST:  # else somebody edited it, and now is another text too
            milliseconds = max(milliseconds, later)
    moment = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
