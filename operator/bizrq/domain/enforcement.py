"""Is the webhook really asked, by the configuration of the API server and by what it answers to a probe? [A13]."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bizrq.domain.bizrq import GROUP
from bizrq.domain.probe import PROBE_KEY
from bizrq.domain.refusals import NOT_ENFORCED

__all__ = ["REFUSING", "State", "Verdict", "accepted", "answered", "configured", "only_warned", "refusal_in"]

REFUSING: Final = ("bizrqs", "workloads", "children", "scale", "required")
"""The entries that refuse, by the last part of their path; others only warn, and wait for nobody."""

_ASKED: Final = f"bizrqs.{GROUP}"
"""The entry that a probe meets."""

_DENIED: Final = f'admission webhook "{_ASKED}" denied the request: '

_LONGEST: Final = 500
"""Characters of an answer that are kept for the log."""


class State(enum.StrEnum):
    """What is known of it."""

    ACTIVE = "active"
    UNKNOWN = "unknown"
    """The API server could not be asked, or somebody else stood in the way."""
    NO_CONFIGURATION = "no configuration"
    ELSEWHERE = "configured otherwise"
    ACCEPTED = "accepted"
    """What must be refused was let by: nobody is asked, or something else answers."""
    WARNS = "mode warn"
    SILENT = "no answer"
    STRANGER = "something else answers"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out, and why, for people."""

    state: State
    why: str

    @property
    def active(self) -> bool | None:
        """Whether growth that does not fit is refused; None where nobody knows."""
        return None if self.state is State.UNKNOWN else self.state is State.ACTIVE


def configured(name: str, configuration: Mapping[str, Any] | None) -> Verdict | None:
    """What is wrong with the configuration ``name``; None where it asks one webhook for all that can be refused."""
    if configuration is None:
        return Verdict(State.NO_CONFIGURATION, f"there is no ValidatingWebhookConfiguration {name}")
    entries = {each["name"]: each for each in configuration.get("webhooks") or ()}
    wrong = _wrong(entries)
    return Verdict(State.ELSEWHERE, f"ValidatingWebhookConfiguration {name}: {wrong}") if wrong else None


def _wrong(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The first thing that is wrong; "" where nothing is."""
    at = _address(entries.get(_ASKED), REFUSING[0])
    for route in REFUSING:
        entry = entries.get(f"{route}.{GROUP}")
        if entry is None:
            return f"it has no entry {route}.{GROUP}"
        if entry.get("failurePolicy", "Fail") != "Fail":
            return f"failurePolicy of {entry['name']} is {entry['failurePolicy']}, not Fail"
        if not entry.get("rules"):
            return f"{entry['name']} has no rules"
        address = _address(entry, route)
        if address is None:
            return f"the address of {entry['name']} does not end in /{route}"
        if address != at:
            return f"{entry['name']} has another address than {_ASKED}"
    return ""


def _address(entry: Mapping[str, Any] | None, route: str) -> tuple[object, ...] | None:
    """Where an entry is asked, without the last part of the path; None where that is not its ``route``."""
    client = (entry or {}).get("clientConfig") or {}
    service = client.get("service") or {}
    path = client.get("url") or service.get("path") or ""
    before, slash, last = path.rpartition("/")
    if not slash or last != route:
        return None
    where = service.get("namespace"), service.get("name"), service.get("port")
    return before, *where, client.get("caBundle")


def refusal_in(error: str) -> str | None:
    """What the webhook said that refuses bizrqs, in the words of the API server; None where others spoke."""
    before, _, said = error.partition(_DENIED)
    return said if before != error else None


def only_warned(warnings: Sequence[str]) -> bool:
    """Whether the webhook would have refused what was let by; of a long warning the first part has the words."""
    return any(each.startswith(NOT_ENFORCED) for each in warnings)


def accepted(warnings: Sequence[str]) -> Verdict:
    """What it means that a probe was let by, with these warnings."""
    if only_warned(warnings):
        return Verdict(State.WARNS, "the webhook lets by what it would refuse: its --mode is warn")
    return Verdict(State.ACCEPTED, "a change that the webhook must refuse was accepted: it was not asked")


def answered(error: str, *, again: bool) -> Verdict:
    """What the error says with which a probe was answered; ``again``: the same may be answered otherwise later."""
    said, refusal = error[:_LONGEST], refusal_in(error)
    if refusal is not None:
        if PROBE_KEY in refusal:
            return Verdict(State.ACTIVE, "the webhook refuses what it must")
        if again:  # it could not decide in time, and so refuses; a later probe tells more
            return Verdict(State.UNKNOWN, said)
        return Verdict(State.STRANGER, f"what answers at the address of the webhook is none of ours: {said}")
    if f'failed calling webhook "{_ASKED}"' in error:
        return Verdict(State.SILENT, f"the webhook does not answer: {said}")
    return Verdict(State.UNKNOWN, said)
