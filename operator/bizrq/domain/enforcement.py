"""Is the webhook really asked, by the configuration of the API server and by what it answers to a probe? [A13].

Texts of the API server may hold the path of the webhook, which is a secret: what is kept of them has none.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bizrq.domain.probe import PROBE_KEY
from bizrq.domain.refusals import NOT_ENFORCED

__all__ = ["REFUSING", "State", "Verdict", "accepted", "answered", "configured"]

_DOMAIN: Final = "quota.bizrq.io"

REFUSING: Final = ("bizrqs", "workloads", "children", "scale", "required")
"""The entries that refuse, by the last part of their path; others only warn, and wait for nobody."""

_ASKED: Final = f"bizrqs.{_DOMAIN}"
"""The entry that a probe meets."""

_PATH: Final = re.compile(r'(https?://[^/\s"\\]+)/[^\s"\\]*')

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
        entry = entries.get(f"{route}.{_DOMAIN}")
        if entry is None:
            return f"it has no entry {route}.{_DOMAIN}"
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
    where = service.get("namespace"), service.get("name"), service.get("port", 443)
    return before, *where, client.get("caBundle")


def accepted(warnings: Sequence[str]) -> Verdict:
    """What it means that a probe was let by, with these warnings."""
    if any(NOT_ENFORCED in each for each in warnings):
        return Verdict(State.WARNS, "the webhook lets by what it would refuse: its --mode is warn")
    return Verdict(State.ACCEPTED, "a change that the webhook must refuse was accepted: it was not asked")


def answered(error: str, *, again: bool) -> Verdict:
    """What the error says with which a probe was answered; ``again``: the same may be answered otherwise later."""
    said = _PATH.sub(r"\1/...", error)[:_LONGEST]
    denied = f'admission webhook "{_ASKED}" denied the request'
    if denied in error:
        if PROBE_KEY in error.partition(denied)[2]:
            return Verdict(State.ACTIVE, "the webhook refuses what it must")
        if again:  # it could not decide in time, and so refuses; a later probe tells more
            return Verdict(State.UNKNOWN, said)
        return Verdict(State.STRANGER, f"what answers at the address of the webhook is none of ours: {said}")
    if f'failed calling webhook "{_ASKED}"' in error:
        return Verdict(State.SILENT, f"the webhook does not answer: {said}")
    return Verdict(State.UNKNOWN, said)
