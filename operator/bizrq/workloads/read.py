"""What does an object ask for, read by the description of its kind?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import LABEL
from bizrq.domain.demand import PodGroup, demand
from bizrq.domain.pod_resources import NO_OVERHEADS, Overheads, PodResources, held
from bizrq.domain.pod_template import FieldProblem, read_pod_spec
from bizrq.domain.resource_names import GpuResources, Models
from bizrq.workloads.expression import MAX_PODS, Expression, Failure, Scope
from bizrq.workloads.kind import At, Kind, PodGroupAt, TemplateFrom, at, without
from bizrq.workloads.owner import Owner, controller_of
from bizrq.workloads.references import Borrowed, Referred, TemplateRef

__all__ = [
    "Template",
    "Workload",
    "child_label",
    "read_models",
    "read_templates",
    "read_workload",
]

JSON = Mapping[str, Any]

_NUMBER: Final = re.compile(r"[0-9]{1,19}")
"""A generation is an int64. Of a longer text Python itself makes no number."""

_MOST_GROUPS: Final = 1000
"""Items that a list or a mapping of groups of pods may have. Each takes time, and one process reads for all."""


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
    counted: bool = True
    """False where its description could not be applied: ``demand`` is then less than what it may have."""
    surge: int = 0
    """So many pods more than it demands may be there in a rollout, where it states that."""
    owner: Owner | None = None
    """The controlling owner that it names [A8]."""
    needs: tuple[TemplateRef, ...] = ()
    """Objects whose template it has for its own, whether they could be looked at or not."""
    borrowed: tuple[Borrowed, ...] = ()
    """Its groups that lack nothing but such a template; it is not ``counted`` then, see ``lent``."""

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

    def lent(self, template_of: Callable[[Borrowed], PodGroup | None], gpus: GpuResources) -> Workload:
        """The same with the template that it borrows, as that is now; still not ``counted`` where that is not known."""
        groups = list(self.groups)
        for each in self.borrowed:
            found = template_of(each)
            if found is None:
                return self
            groups.insert(each.place, replace(found, replicas=each.replicas))
        if not self.borrowed:
            return self
        return replace(
            self,
            demand=demand(groups, self.models, gpus, count=self.kind.count_key),
            problems=self.problems[: -len(self.borrowed)],
            groups=tuple(groups),
            runtime_classes=_classes(groups),
            counted=True,
            borrowed=(),
        )

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
    raw: JSON, kind: Kind, gpus: GpuResources, overheads: Overheads = NO_OVERHEADS, *, referred: Referred | None = None
) -> Workload:
    """What one version of an object demands [K2, P1-P3]; ``raw`` is its JSON.

    ``overheads`` is what RuntimeClasses add; ``Workload.under`` tells it later. ``referred`` has the objects whose
    templates it refers to: where one is missing the workload is not ``counted``, and ``needs`` names it.

    Raises ``KeyError`` or ``ValueError`` only for what no API server sends (no name, no uid).
    """
    metadata = raw["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    models = read_models(labels)
    reading = _read(raw, kind, referred or {})
    groups = tuple(each.group for each in reading.templates)
    pods = sum(each.replicas for each in groups) + sum(each.replicas for each in reading.borrowed)
    # What lacks more than a template lacks it with that, too.
    borrowed = tuple(reading.borrowed) if reading.counted else ()
    lacking = [FieldProblem(each.path, f"the template of {each.ref} is not known") for each in reading.borrowed]
    return Workload(
        uid=metadata["uid"],
        version=int(metadata.get("resourceVersion", 0)),
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        bizrq=labels.get(LABEL, ""),
        models=models,
        demand=demand(groups, models, gpus, count=kind.count_key, overheads=overheads),
        problems=(*reading.problems, *lacking),
        groups=groups,
        runtime_classes=_classes(groups),
        settled=not kind.observes or _observed(raw) >= metadata.get("generation", 0),
        counted=reading.counted and not reading.borrowed,
        surge=_surge(at(raw, kind.surge) if kind.surge else None, pods),
        owner=controller_of(raw),
        needs=tuple(reading.needs),
        borrowed=borrowed,
    )


def _classes(groups: Iterable[PodGroup]) -> frozenset[str]:
    return frozenset(each.runtime_class for each in groups if each.runtime_class)


def _observed(raw: JSON) -> int:
    observed = at(raw, ("status", "observedGeneration"))
    if isinstance(observed, str):  # so do Argo Rollouts
        return int(observed) if _NUMBER.fullmatch(observed) else 0
    return observed if isinstance(observed, int) else 0


def _surge(stated: object, replicas: int) -> int:
    """A number of pods, or a share of the replicas, as in ``maxSurge``; 0 where it is neither."""
    if isinstance(stated, str) and (share := stated.removesuffix("%")) != stated:
        return -(-replicas * int(share) // 100) if share.isascii() and share.isdecimal() and len(share) < 6 else 0  # noqa: PLR2004
    return min(stated, MAX_PODS) if isinstance(stated, int) else 0


def read_models(labels: Mapping[str, str]) -> Models:
    """The hardware models that the labels of a workload name; an empty one counts as none [K2]."""
    return Models(
        cpu=labels.get(f"{LABEL}/cpu-type") or None,
        gpu=labels.get(f"{LABEL}/gpu-type") or None,
        memory=labels.get(f"{LABEL}/memory-type") or None,
    )


def child_label(raw: JSON, kind: Kind) -> str:
    """The bizrq that the children of an object will name, where these are counted; "" where they name none."""
    label = at(raw, (*kind.child_labels, LABEL))
    return label if isinstance(label, str) else ""


def read_templates(
    raw: JSON, kind: Kind, referred: Referred | None = None
) -> tuple[list[Template], list[FieldProblem]]:
    """The pod groups of an object, none where it demands nothing now, and the fields that could not be read [A14]."""
    reading = _read(raw, kind, referred or {})
    return reading.templates, reading.problems


@dataclass(slots=True)
class _Reading:
    """What an object says, as far as it was read."""

    templates: list[Template] = field(default_factory=list)
    problems: list[FieldProblem] = field(default_factory=list)
    counted: bool = True
    needs: list[TemplateRef] = field(default_factory=list)
    borrowed: list[Borrowed] = field(default_factory=list)

    def fail(self, where: str, why: object) -> None:
        """The description cannot be applied there."""
        self.counted = False
        self.problems.append(FieldProblem(where, str(why)))


def _read(raw: JSON, kind: Kind, referred: Referred) -> _Reading:
    reading = _Reading()
    seen = _seen_of(raw, kind)
    scope = Scope(seen)
    if not _demands_nothing(scope, kind, reading):
        for index, where in enumerate(kind.pod_groups):
            for item, path, inner in _items(raw, seen, where, scope, reading):
                _add_group(item, where, f"podGroups[{index}]", path, inner, reading, referred)
    return reading


def _seen_of(raw: JSON, kind: Kind) -> JSON:
    """What expressions see of an object: all but the inside of templates that none of them looks into."""
    for each, template in kind.unseen:
        raw = _put(raw, each, template) if each else without(raw, template)  # type: ignore[assignment]
    return raw


def _put(raw: Any, each: At, template: At) -> Any:
    """``raw`` with the items that stand at ``each`` without their templates."""
    if not each:
        if isinstance(raw, Mapping):
            return {name: without(item, template) for name, item in raw.items()}
        return [without(item, template) for item in raw] if isinstance(raw, list) else raw
    head, *rest = each
    if not isinstance(raw, Mapping) or head not in raw:
        return raw
    return {**raw, head: _put(raw[head], tuple(rest), template)}


def _demands_nothing(scope: Scope, kind: Kind, reading: _Reading) -> bool:
    """Whether one of the reasons holds; whether another can be told does not matter then.

    Where none holds and one cannot be told, its pods are counted as far as that goes.
    """
    failures = []
    for index, reason in enumerate(kind.nothing_when):
        truth = reason.truth(scope)
        if truth is True:
            return True
        if isinstance(truth, Failure):
            failures.append((f"nothingWhen[{index}]", truth))
    for where, failure in failures:
        reading.fail(where, failure)
    return False


def _items(
    raw: JSON, seen: JSON, where: PodGroupAt, scope: Scope, reading: _Reading
) -> Iterator[tuple[object, tuple[str, ...], Scope]]:
    """Where a group of pods stands: what it is read from, the path of that, and what its expressions see."""
    if where.each is None:
        yield raw, (), scope
        return
    found = at(raw, where.each)
    if found is None:
        return
    shown = at(seen, where.each)
    if isinstance(found, Mapping | list) and len(found) > _MOST_GROUPS:
        reading.fail(".".join(where.each), f"has {len(found)} groups of pods, and at most {_MOST_GROUPS} are counted")
    elif isinstance(found, Mapping):
        for name, item in found.items():
            yield item, (*where.each, str(name)), scope.of(shown[name])
    elif isinstance(found, list):
        *way, last = where.each
        for index, item in enumerate(found):
            yield item, (*way, f"{last}[{index}]"), scope.of(shown[index])
    else:
        reading.fail(".".join(where.each), "must be a list or a mapping of groups of pods")


def _add_group(  # noqa: PLR0917  # one caller, right above
    item: object,
    where: PodGroupAt,
    name: str,
    path: tuple[str, ...],
    scope: Scope,
    reading: _Reading,
    referred: Referred,
) -> None:
    replicas = where.replicas.number(scope)
    if where.template is None:
        pod = _stated(where, name, scope, reading)
    else:
        template, path = at(item, where.template), (*path, *where.template)
        if where.template_from is not None and at(item, where.template_from.ref) is not None:
            template = None  # Argo Rollouts, too, takes no other where there is a reference
        if template is None and where.template_from is not None:
            reference = _reference(item, where.template_from, reading)
            if reference is None:
                return
            template, path = _lent(reference, where.template_from, reading, referred, replicas)
        if template is None:
            return
        spec = template.get("spec") if isinstance(template, Mapping) else template
        if not where.template and isinstance(spec, Mapping):
            spec = {**spec, "runtimeClassName": None}  # a pod has its overhead by now, whatever its class says later
        pod, broken = read_pod_spec(spec, ".".join((*path, "spec")))
        reading.problems.extend(broken)
    if isinstance(replicas, Failure):
        of = f" of {'.'.join(path)}" if where.each else ""
        reading.fail(f"{name}.replicas{of}", replicas)
    else:
        reading.templates.append(Template(replicas, pod))


def _reference(item: object, where: TemplateFrom, reading: _Reading) -> TemplateRef | None:
    """The object whose template a group has; None where there is no reference, or where it leads nowhere."""
    reference = at(item, where.ref)
    if reference is None:
        return None
    path = ".".join(where.ref)
    if not isinstance(reference, Mapping) or not isinstance(name := reference.get("name"), str):
        reading.fail(path, "must name an object")
        return None
    group = str(reference.get("apiVersion", "")).rpartition("/")[0]
    target = where.resource
    if (group, reference.get("kind")) != target.of_kind:
        reading.fail(path, f"must refer to a {target.kind} of {target.group}: other templates are not counted")
        return None
    ref = TemplateRef(target.group, target.version, target.resource, target.kind, name)
    reading.needs.append(ref)
    return ref


def _lent(
    ref: TemplateRef, where: TemplateFrom, reading: _Reading, referred: Referred, replicas: int | Failure
) -> tuple[Any, tuple[str, ...]]:
    """The template that stands in another object; where that is not at hand, no pods need none."""
    found = at(referred[ref], where.template) if ref in referred else None
    if found is None and replicas != 0:
        path, place = ".".join(where.ref), len(reading.templates) + len(reading.borrowed)
        if isinstance(replicas, Failure):
            reading.fail(path, replicas)
        else:
            reading.borrowed.append(Borrowed(place, ref, where.template, replicas, path))
    return found, (*where.ref, *where.template)


def _stated(where: PodGroupAt, name: str, scope: Scope, reading: _Reading) -> PodResources:
    """The pod of a kind that has no template: what it asks for is said by expressions."""

    def amounts(field: str, expressions: tuple[tuple[str, Expression], ...]) -> dict[str, str | int]:
        stated = {}
        for resource, expression in expressions:
            amount = expression.amount(scope)
            if isinstance(amount, Failure):
                reading.fail(f"{name}.{field}.{resource}", amount)
            else:
                stated[resource] = amount
        return stated

    resources = {"requests": amounts("requests", where.requests), "limits": amounts("limits", where.limits)}
    pod, broken = read_pod_spec({"containers": [{"name": "pod", "resources": resources}]}, name)
    for problem in broken:
        reading.fail(problem.path, problem.why)
    return pod
