"""What does the tour read from bizrqs, from pods, and from what kubectl prints?"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, Final

Json = dict[str, Any]

COLUMNS: Final = {
    "NAME": 13,
    "PARENT": 9,
    "CPU": 9,
    "MEMORY": 13,
    "GPU": 7,
    "CASH-CPU": 13,
    "CASH-GPU": 11,
    "READY": 6,
}
"""The columns of ``kubectl get bizrq`` and how wide they are printed; AGE changes by itself and is left out."""


def condition(bizrq: Json, kind: str) -> Json:
    """A condition of a bizrq; empty if it is not there yet."""
    conditions: list[Json] = bizrq.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def used(bizrq: Json, key: str) -> str:
    """What is used of a key, as the status says it; empty if it says nothing yet."""
    return str(bizrq.get("status", {}).get("used", {}).get(key, ""))


def rate(bizrq: Json, key: str) -> str:
    """How many units cost something at this moment."""
    return str(bizrq.get("status", {}).get("cash", {}).get("rate", {}).get(key, ""))


def ledger(bizrq: Json, key: str) -> int:
    """What was charged so far, in thousandths of a unit x seconds."""
    return int(bizrq.get("status", {}).get("cash", {}).get("ledger", {}).get(key, 0))


def instant(text: str) -> int:
    """A timestamp as seconds since 1970."""
    return int(datetime.datetime.fromisoformat(text).timestamp())


def charged(pod: Json, key: str, until: int) -> int:
    """Units of ``key`` that a pod held times the seconds it held them, by nothing but what the pod itself says."""
    for each in pod["status"].get("conditions", []):
        if each["type"] == "PodScheduled" and each["status"] == "True":
            start = instant(each["lastTransitionTime"])
            break
    else:
        return 0
    states = [each["state"] for each in pod["status"].get("containerStatuses", [])]
    ends = [instant(state["terminated"]["finishedAt"]) for state in states if "terminated" in state]
    end = min(max(ends), until) if ends else until
    resource = key.removesuffix(".A30").removeprefix("requests.").removeprefix("limits.")
    units = sum(int(each["resources"]["limits"].get(resource, 0)) for each in pod["spec"]["containers"])
    return units * max(0, end - start)


def cells(table: str) -> list[dict[str, str]]:
    """The rows of a table of kubectl; cells may be empty, so each is cut out where its column begins."""
    head, *rows = table.splitlines() or [""]
    names = head.split()
    begins = [re.search(rf"(?<!\S){re.escape(name)}(?!\S)", head) for name in names]
    edges = [match.start() for match in begins if match] + [None]
    return [{name: row[edges[number] : edges[number + 1]].strip() for number, name in enumerate(names)} for row in rows]


def line(texts: Sequence[str]) -> str:
    """A row of the table as it is printed."""
    return " ".join(cell.ljust(width) for cell, width in zip(texts, COLUMNS.values(), strict=True)).rstrip()
