"""May this workload be created, changed or scaled? [A1-A9, A12, A14, A15, P4].

Growth only: what grows nothing is allowed without a look at any bizrq, so that nothing that shrinks, heals or cleans
up is ever held up by a quota [A5].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bizrq.cluster.reads import Reads
from bizrq.domain.admission import Ask
from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import Growth
from bizrq.domain.demand import PodGroup, demand, never_grows
from bizrq.domain.pod_resources import NO_OVERHEADS, Overheads
from bizrq.domain.pod_template import read_overhead
from bizrq.domain.quantity import ZERO
from bizrq.domain.refusals import children_need_label, label_of_owner, no_such_bizrq, uncountable
from bizrq.domain.resource_names import GpuResources
from bizrq.webhook.children import Children, Parentage
from bizrq.webhook.claiming import Claiming, forbidden, invalid
from bizrq.webhook.commit import Missing
from bizrq.webhook.policy import Policy
from bizrq.webhook.review import Request, Verdict
from bizrq.workloads.kind import PODS_ID, Kind
from bizrq.workloads.read import Workload, child_label, read_templates, read_workload

__all__ = ["WorkloadReviews"]

JSON = Mapping[str, Any]

_MOST_KEYS: Final = 256
"""Keys that a workload may be charged on, as many as ``hard`` may have. Each costs time, and room in a status."""


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of an object: its JSON, what was read from it, and what RuntimeClasses add to it."""

    raw: JSON
    workload: Workload
    overheads: Overheads


class WorkloadReviews:
    """Reviews of labelled workloads, and of their scale subresources."""

    def __init__(
        self, kinds: Iterable[Kind], claiming: Claiming, reads: Reads, gpus: GpuResources, policy: Policy
    ) -> None:
        kinds = tuple(kinds)
        self._kinds = {(kind.group, kind.version, kind.resource): kind for kind in kinds}
        self._children = Children(kinds, reads, policy.trusted)
        self._claiming, self._reads, self._gpus, self._policy = claiming, reads, gpus, policy

    async def review(self, request: Request, deadline: float) -> Verdict:
        """A create or an update of a workload, or a resize of a pod.

        Raises ``ClusterError`` where the API server cannot be asked.
        """
        kind = self._kind(request)
        # A pod that is a workload of its own is its own template: resizing it changes the demand [A15].
        if kind is None or (request.sub_resource and (kind.id, request.sub_resource) != ("pods", "resize")):
            return forbidden(_unknown(request))
        if request.operation not in {"CREATE", "UPDATE"}:
            return Verdict.allow()
        if request.object is None or (request.operation == "UPDATE" and request.old_object is None):
            return invalid(f"this review of a {request.operation} lacks the object")
        old = None if request.old_object is None else self._read(request.old_object, kind)
        return await self._decide(request, kind, old, self._read(request.object, kind), deadline)

    async def scale(self, request: Request, deadline: float) -> Verdict:
        """A change of the scale subresource [A9]: the workload is read live, for a Scale has no labels."""
        kind = self._kind(request)
        if kind is None or not kind.scale or request.sub_resource != "scale":
            return forbidden(_unknown(request))
        if request.object is None or request.old_object is None:
            return invalid("this review of a Scale lacks the object")
        replicas = _replicas(request.object)
        if replicas <= _replicas(request.old_object):
            return Verdict.allow()
        seen = request.old_object["metadata"]
        raw = await self._reads.workload(kind, request.namespace, request.name or seen["name"])
        if raw is None or raw["metadata"]["uid"] != seen["uid"]:
            return Verdict.try_again(f"{kind.id} {seen['name']} was deleted or made anew while it was scaled")
        held_version, version = int(raw["metadata"]["resourceVersion"]), int(seen["resourceVersion"])
        if held_version > version:
            return Verdict.allow()  # this write must fail, and is reviewed again on the newer object
        if held_version < version:
            return Verdict.try_again(f"{kind.id} {seen['name']} was read from an API server that lags behind")
        old = self._read(raw, kind)
        new = self._read(_with(raw, kind.scale, replicas), kind)
        return await self._decide(request, kind, old, new, deadline)

    def _kind(self, request: Request) -> Kind | None:
        return self._kinds.get((request.resource.group, request.resource.version, request.resource.resource))

    def _read(self, raw: JSON, kind: Kind) -> _Version:
        return _Version(raw, read_workload(raw, kind, self._gpus), NO_OVERHEADS)

    async def _decide(
        self, request: Request, kind: Kind, old: _Version | None, new: _Version, deadline: float
    ) -> Verdict:
        label, before = _label(new.raw), None if old is None else _label(old.raw)
        if label == "" and before != "":
            return forbidden(f"label {LABEL} is empty: name a bizrq, or leave the label out")
        if not label:
            return Verdict.allow()
        stays = old is not None and before == label
        adopted = old is not None and new.workload.owner not in {None, old.workload.owner}
        parentage: Parentage | None = None
        if adopted or not (old is not None and stays and _shrinks(old.workload, new.workload)):
            parentage = await self._children.parentage(request, new.raw)
        if (
            parentage is not None
            and parentage.believed
            and not (old is not None and stays and await self._children.is_own(new.raw))
        ):
            return Verdict.allow()  # counted with its owner [A8]
        # Before anything is looked up: who may not name a bizrq is told nothing of it, not even that there is one.
        if not stays and (refusal := await self._refuse_use(request, label, parentage)) is not None:
            return forbidden(refusal)
        if _lacks_child_label(kind, old if stays else None, new):
            return forbidden(children_need_label(str(new.workload), kind.child_labels, label))
        if not (old is not None and stays and _shrinks(old.workload, new.workload)):
            old, new = await self._under_classes(old, new)
        if not new.workload.counted and (not stays or old is None or _changed(old, new)):
            return invalid(uncountable(str(new.workload), new.workload.problems))
        own = parentage is not None and (parentage.own or parentage.believed)
        had = await self._had(request, old if stays else None, own=own)
        grows = any(amount > had.get(key, ZERO) for key, amount in new.workload.demand.items())
        known = old.workload.problems if old is not None and stays else ()
        broken = [str(each) for each in new.workload.problems if grows or each not in known]
        if broken and new.workload.counted:
            return invalid(f"amounts that cannot be counted: {'; '.join(broken[:3])}")
        if not grows and not (own and adopted):  # who names an owner may hide behind it: that is claimed as growth [A8]
            return Verdict.allow()
        if len(new.workload.demand) > _MOST_KEYS:
            return invalid(
                f"{new.workload} names too many resources: {len(new.workload.demand)} keys, {_MOST_KEYS} at most"
            )
        return await self._claim(kind, old, new, had, request, deadline, own=own)

    async def _had(self, request: Request, old: _Version | None, *, own: bool) -> Amounts:
        """What the bizrq that an object names is charged for it by now, ``old`` being of the same bizrq."""
        counted = old is not None and (not own or await self._children.was_counted(old.raw, request.namespace))
        return old.workload.demand if old is not None and counted else {}

    async def _refuse_use(self, request: Request, label: str, parentage: Parentage | None) -> str | None:
        """Why this bizrq may not be named; Jobs of a CronJob need no right, for it was asked for there [A12]."""
        if parentage is not None and not parentage.needs_use:
            return None
        refusal = await self._policy.rights.refuse_use(request, label)
        if refusal is not None and parentage is not None and parentage.trusted:
            refusal += label_of_owner(f"{parentage.owner.kind} {parentage.owner.name}", label)
        return refusal

    async def _under_classes(self, old: _Version | None, new: _Version) -> tuple[_Version | None, _Version]:
        """Both with what the RuntimeClasses add that they name [P3], read live: a class may change at any time.

        One that is not there adds nothing: the API server refuses pods that name it. Raises ``ClusterError``.
        """
        names = new.workload.runtime_classes | (old.workload.runtime_classes if old else frozenset())
        if not names:
            return old, new
        found = {name: await self._reads.runtime_class(name) for name in sorted(names)}
        overheads = {name: read_overhead(each.overhead) for name, each in found.items() if each}

        def under(version: _Version) -> _Version:
            return _Version(version.raw, version.workload.under(overheads, self._gpus), overheads)

        return under(old) if old else None, under(new)

    async def _claim(  # noqa: PLR0917  # one caller, right above
        self,
        kind: Kind,
        old: _Version | None,
        new: _Version,
        had: Amounts,
        request: Request,
        deadline: float,
        *,
        own: bool,
    ) -> Verdict:
        workload = new.workload
        templates, _ = read_templates(new.raw, kind)
        growth = Growth(
            uid=workload.uid,
            version=0 if old is None else old.workload.version,
            object=str(workload),
            old=had,
            new=workload.demand,
            moved_from="" if old is None or old.workload.bizrq == workload.bizrq else old.workload.bizrq,
            own=own,
        )
        ask = Ask(
            growth,
            pods=[each.pod for each in templates if each.replicas],
            demand_of=self._demand_of(kind, new),
            replicas=templates[0].replicas if templates else 0,
        )

        async def look() -> tuple[str, int] | None:
            raw = await self._reads.workload(kind, workload.namespace, workload.name)
            return None if raw is None else (raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"]))

        dry_run = request.dry_run or await self._policy.modes.warns(request.namespace)
        verdict = await self._claiming.claim(workload.bizrq, ask, deadline, dry_run=dry_run, look=look)
        if isinstance(verdict, Missing):
            told = await self._policy.rights.may_see_names(request, "use")
            names = await self._reads.bizrq_names() if told else []
            return forbidden(no_such_bizrq(f"label {LABEL}", workload.bizrq, names))
        return verdict

    def _demand_of(self, kind: Kind, version: _Version) -> Callable[[int], Amounts] | None:
        """What the object would demand with another replica count, where it has exactly one group of pods."""
        workload = version.workload
        if len(workload.groups) != 1 or kind.id == PODS_ID:
            return None
        pod, models = workload.groups[0].held_under(version.overheads), workload.models
        return lambda replicas: demand([PodGroup(replicas, pod)], models, self._gpus, count=kind.count_key)


def _label(raw: JSON) -> str | None:
    """The name of the bizrq; None where there is no such label."""
    return (raw["metadata"].get("labels") or {}).get(LABEL)


def _shrinks(old: Workload, new: Workload) -> bool:
    """Whether ``new`` demands no more than ``old``, whatever RuntimeClasses add: then none need be read [A5]."""
    return old.models == new.models and never_grows(old.groups, new.groups)


def _lacks_child_label(kind: Kind, old: _Version | None, new: _Version) -> bool:
    """Whether its children are counted and would name no bizrq, and did under ``old``, of the same bizrq."""
    lacks = kind.children_counted and not child_label(new.raw, kind)
    return lacks and (old is None or child_label(old.raw, kind) != "")


def _changed(old: _Version, new: _Version) -> bool:
    """Whether something else is asked for: of what is as it was nothing grows [A5]."""
    parts = {*old.raw, *new.raw} - {"metadata", "status"}
    return old.workload.models != new.workload.models or any(old.raw.get(each) != new.raw.get(each) for each in parts)


def _replicas(scale: JSON) -> int:
    """Replicas of a Scale, in which 0 is left out."""
    return int((scale.get("spec") or {}).get("replicas") or 0)


def _with(raw: JSON, path: tuple[str, ...], value: int) -> JSON:
    """``raw`` with the field at ``path`` set; what lies beside it is shared."""
    head, *rest = path
    return {**raw, head: _with(raw.get(head) or {}, tuple(rest), value) if rest else value}


def _unknown(request: Request) -> str:
    resource = request.resource
    of = f"{resource.resource}.{resource.group}/{resource.version}" if resource.group else resource.resource
    sub = f"/{request.sub_resource}" if request.sub_resource else ""
    return (
        f"{of}{sub} is no kind of workload that this webhook counts; describe it in its file of kinds (--workloads), "
        "or take it out of the rules of the webhook configuration"
    )
