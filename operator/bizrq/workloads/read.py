"""What does an object ask for, read by the description of its kind?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import LABEL
from bizrq.domain.demand import PodGroup, demand
from bizrq.domain.pod_resources import NO_OVERHEADS, Overheads, PodResources, held
from bizrq.domain.pod_template import FieldProblem, read_pod_spec
from bizrq.domain.resource_names import GpuResources, Models
from bizrq.workloads.kind import Count, Kind, NothingWhen
from bizrq.workloads.owner import Owner, controller_of

__all__ = ["Template", "Workload", "read_models", "read_templates", "read_workload"]

_MAX_REPLICAS: Final = 2**31 - 1  # an int32 in every kind; custom resources may say anything


@dataclass(frozen=True, slots=True)
class Workload:
    """One version of a workload object."""

    uid: str
    version: int
    """metadata.resourceVersion; 0 of an object that is about to be created."""
    kind: Kind
    namespace: str
    name: str
    bizrq: str
    """The bizrq its label names; "" where it has none."""
    models: Models
    demand: Amounts
    problems: tuple[FieldProblem, ...] = ()
    """Fields that could not be read and are left out of ``demand`` [A14]."""
    groups: tuple[PodGroup, ...] = ()
    """What ``demand`` is the sum of, before RuntimeClasses add to it; empty where nothing is demanded now."""
    runtime_classes: frozenset[str] = frozenset()
    """The RuntimeClasses that add to ``demand`` [P3]."""
    settled: bool = True
    """Its controller has seen this spec: of an older one no more pods are made [P5]."""
    surge: int = 0
    """So many pods more than it demands may be there in a rollout, where it states that."""
    owner: Owner | None = None
    """The controlling owner that it names [A8]."""

    def has_pods_like(self, other: Workload) -> bool:
        """Whether a pod of it holds what one of ``other`` does, group by group."""
        return [(each.pod, each.runtime_class) for each in self.groups] == [
            (each.pod, each.runtime_class) for each in other.groups
        ]

    def under(self, overheads: Overheads, gpus: GpuResources) -> Workload:
        """The same, with what these RuntimeClasses add now."""
        if not self.runtime_classes:
            return self
        counted = demand(self.groups, self.models, gpus, count=self.kind.count_key, overheads=overheads)
        return replace(self, demand=counted)

    def __str__(self) -> str:
        """``deployments.apps/shop/web``, as in the lines of a status."""
        return f"{self.kind.id}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Template:
    """One pod group of an object as it stands there: how many, and what a pod of it states."""

    replicas: int
    """At least 0."""
    pod: PodResources

    @property
    def group(self) -> PodGroup:
        """The same with what a pod of it holds.

        An overhead that the template states itself is the overhead of its pods: the API server refuses each pod that
        has another than its RuntimeClass (admission plugin RuntimeClass). An empty one it fills in.
        """
        return PodGroup(self.replicas, held(self.pod), "" if self.pod.overhead else self.pod.runtime_class)


def read_workload(
    raw: Mapping[str, Any], kind: Kind, gpus: GpuResources, overheads: Overheads = NO_OVERHEADS
) -> Workload:
    """What one version of an object demands [K2, P1-P3]; ``raw`` is its JSON.

    ``overheads`` is what RuntimeClasses add; ``Workload.under`` tells it later.

    Raises ``KeyError`` or ``ValueError`` only for what no API server sends (no name, no uid).
    """
    metadata = raw["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    models = read_models(labels)
    templates, problems = read_templates(raw, kind)
    groups = tuple(each.group for each in templates)
    return Workload(
        uid=metadata["uid"],
        version=int(metadata.get("resourceVersion", 0)),
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        bizrq=labels.get(LABEL, ""),
        models=models,
        demand=demand(groups, models, gpus, count=kind.count_key, overheads=overheads),
        problems=tuple(problems),
        groups=groups,
        runtime_classes=frozenset(each.runtime_class for each in groups if each.runtime_class),
        settled=not kind.observes or _observed(raw) >= metadata.get("generation", 0),
        surge=_surge(raw, sum(each.replicas for each in groups)),
        owner=controller_of(raw),
    )


def _observed(raw: Mapping[str, Any]) -> int:
    observed = _at(raw, ("status", "observedGeneration"))
    return observed if isinstance(observed, int) else 0


def _surge(raw: Mapping[str, Any], replicas: int) -> int:
    """``maxSurge``, a number or a share of the replicas; 0 where it is neither."""
    stated = _at(raw, ("spec", "strategy", "rollingUpdate", "maxSurge"))
    if isinstance(stated, str) and (share := stated.removesuffix("%")) != stated:
        return -(-replicas * int(share) // 100) if share.isascii() and share.isdecimal() and len(share) < 6 else 0  # noqa: PLR2004
    return min(stated, _MAX_REPLICAS) if isinstance(stated, int) else 0


def read_models(labels: Mapping[str, str]) -> Models:
    """The hardware models that the labels of a workload name; an empty one counts as none [K2]."""
    return Models(
        cpu=labels.get(f"{LABEL}/cpu-type") or None,
        gpu=labels.get(f"{LABEL}/gpu-type") or None,
        memory=labels.get(f"{LABEL}/memory-type") or None,
    )


def read_templates(raw: Mapping[str, Any], kind: Kind) -> tuple[list[Template], list[FieldProblem]]:
    """The pod groups of an object, none where it demands nothing now, and the fields that could not be read [A14]."""
    problems: list[FieldProblem] = []
    return ([] if _demands_nothing(raw, kind) else _templates(raw, kind, problems)), problems


def _demands_nothing(raw: Mapping[str, Any], kind: Kind) -> bool:
    return any(_holds(reason, raw) for reason in kind.nothing_when)


def _holds(reason: NothingWhen, raw: Mapping[str, Any]) -> bool:
    if reason.condition is not None:
        conditions = _at(raw, ("status", "conditions"))
        return isinstance(conditions, list) and any(
            isinstance(each, Mapping) and each.get("type") == reason.condition and each.get("status") == "True"
            for each in conditions
        )
    return bool(_at(raw, reason.path) == reason.value)


def _templates(raw: Mapping[str, Any], kind: Kind, problems: list[FieldProblem]) -> list[Template]:
    templates = []
    for where in kind.pod_groups:
        template = _at(raw, where.template)
        if template is None:
            continue  # a Rollout that refers to a Deployment has no template of its own
        spec = template.get("spec") if isinstance(template, Mapping) else template
        if not where.template and isinstance(spec, Mapping):
            spec = {**spec, "runtimeClassName": None}  # a pod has its overhead by now, whatever its class says later
        pod, broken = read_pod_spec(spec, ".".join((*where.template, "spec")))
        problems.extend(broken)
        counts = [count for each in where.replicas if (count := _count(raw, each, problems)) is not None]
        templates.append(Template(max(0, min(counts, default=0)) if where.replicas else 1, pod))
    return templates


def _count(raw: Mapping[str, Any], count: Count, problems: list[FieldProblem]) -> int | None:
    number = _number(raw, count.path, problems)
    if number is None:
        number = count.default
    if number is None or count.minus is None:
        return number
    return number - (_number(raw, count.minus, problems) or 0)


def _number(raw: Mapping[str, Any], path: tuple[str, ...], problems: list[FieldProblem]) -> int | None:
    value = _at(raw, path)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and -_MAX_REPLICAS <= value <= _MAX_REPLICAS:
        return value
    problems.append(FieldProblem(".".join(path), f"must be a whole number of pods, not {repr(value)[:60]}"))
    return None


def _at(raw: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(raw, Mapping):
            return None
        raw = raw.get(name)
    return raw
