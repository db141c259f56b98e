"""What is one version of a workload under review, and what is another than in the version before?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bizrq.domain.bizrq import LABEL
from bizrq.domain.pod_resources import NO_OVERHEADS, Overheads
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import Workload, child_label
from bizrq.workloads.references import Referred

__all__ = ["Version", "changed", "label_of", "lacks_child_label", "with_field"]

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object: its JSON, what was read from it, what RuntimeClasses add to it, and its lender."""

    raw: JSON
    workload: Workload
    overheads: Overheads = field(default_factory=lambda: NO_OVERHEADS)
    lenders: Referred = field(default_factory=dict)


def label_of(raw: JSON) -> str | None:
    """The name of the bizrq; None where there is no such label."""
    return (raw["metadata"].get("labels") or {}).get(LABEL)


def lacks_child_label(kind: Kind, old: Version | None, new: Version) -> bool:
    """Whether its children are counted and would name no bizrq, and did under ``old``, of the same bizrq."""
    lacks = kind.children_counted and not child_label(new.raw, kind)
    return lacks and (old is None or child_label(old.raw, kind) != "")


def changed(old: Version, new: Version) -> bool:
    """Whether something else is asked for: of what is as it was nothing grows [A5]."""
    parts = {*old.raw, *new.raw} - {"metadata", "status"}
    return old.workload.models != new.workload.models or any(old.raw.get(each) != new.raw.get(each) for each in parts)


def with_field(raw: JSON, path: tuple[str, ...], value: int) -> JSON:
    """``raw`` with the field at ``path`` set; what lies beside it is shared."""
    head, *rest = path
    return {**raw, head: with_field(raw.get(head) or {}, tuple(rest), value) if rest else value}
