"""May this workload be created, changed or scaled? [A1-A9, A12, A14, A15, P4].

Growth only: what grows nothing is allowed without a look at any bizrq, so that nothing that shrinks, heals or cleans
up is ever held up by a quota [A5].
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bizrq.cluster.errors import ClusterError
from bizrq.cluster.reads import Reads
from bizrq.domain.admission import Ask
from bizrq.domain.amounts import Amounts
from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import Growth
from bizrq.domain.demand import PodGroup, demand, never_grows
from bizrq.domain.pod_resources import Held
from bizrq.domain.pod_template import read_overhead
from bizrq.domain.quantity import ZERO
from bizrq.domain.refusals import (
    borrowers_elsewhere,
    children_need_label,
    fits,
    fits_autoscaler,
    label_of_owner,
    lender_stays,
    no_such_bizrq,
    uncountable,
)
from bizrq.domain.resource_names import GpuResources
from bizrq.webhook.autoscaling import is_by_autoscaler
from bizrq.webhook.children import Children, Parentage
from bizrq.webhook.claiming import Claiming, forbidden, invalid
from bizrq.webhook.commit import Missing
from bizrq.webhook.lending import Borrowers, Lending
from bizrq.webhook.policy import Policy
from bizrq.webhook.review import Request, Verdict
from bizrq.webhook.version import Version, changed, label_of, lacks_child_label, with_field
from bizrq.workloads.kind import PODS_ID, Kind, at
from bizrq.workloads.read import Workload, read_templates, read_workload
from bizrq.workloads.references import Referred

__all__ = ["WorkloadReviews"]

JSON = Mapping[str, Any]

log = logging.getLogger(__name__)

_MOST_KEYS: Final = 256
"""Keys that a workload may be charged on, as many as ``hard`` may have. Each costs time, and room in a status."""


_FORBIDDEN: Final = 403

_ROUNDS: Final = 4
"""Reviews of one request: another one follows where what it was decided with has changed meanwhile."""

_BARE: Final = PodGroup(0, Held({}, {}))
"""Stands for a template that need not be looked at."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A request that may grow a workload, and what was found out about it."""

    request: Request
    kind: Kind
    old: Version | None
    new: Version
    deadline: float
    stays: bool
    """It was under the same bizrq before."""
    shrinks: bool
    """It demands no more, whatever RuntimeClasses and a lender add."""
    own: bool
    """It is a child that is counted by itself [A8]."""
    joins: bool
    """It was none before."""

    @property
    def before(self) -> Version | None:
        """What was there under the same bizrq."""
        return self.old if self.stays else None

    @property
    def borrows(self) -> bool:
        """Whether it has its template from a lender that it did not have under this bizrq."""
        needs = self.new.workload.needs
        return bool(needs) and (self.before is None or self.before.workload.needs != needs)


class WorkloadReviews:
    """Reviews of labelled workloads, and of their scale subresources."""

    def __init__(
        self, kinds: Iterable[Kind], claiming: Claiming, reads: Reads, gpus: GpuResources, policy: Policy
    ) -> None:
        kinds = tuple(kinds)
        self._kinds = {(kind.group, kind.version, kind.resource): kind for kind in kinds}
        self._children = Children(kinds, reads, policy.trusted)
        self._lending = Lending(kinds, reads, gpus)
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
        new = self._read(with_field(raw, kind.scale, replicas), kind)
        verdict = await self._decide(request, kind, old, new, deadline)
        await self._policy.autoscaling.note(request, old.workload, verdict)
        return verdict

    def _kind(self, request: Request) -> Kind | None:
        return self._kinds.get((request.resource.group, request.resource.version, request.resource.resource))

    def _read(self, raw: JSON, kind: Kind, lenders: Referred | None = None) -> Version:
        lenders = lenders or {}
        return Version(raw, read_workload(raw, kind, self._gpus, referred=lenders), lenders=lenders)

    async def _decide(
        self, request: Request, kind: Kind, old: Version | None, new: Version, deadline: float
    ) -> Verdict:
        label, before = label_of(new.raw), None if old is None else label_of(old.raw)
        if label == "" and before != "":
            return forbidden(f"label {LABEL} is empty: name a bizrq, or leave the label out")
        if before and label != before and (names := await self._borrowers_left(new.workload, before, label)):
            return forbidden(lender_stays(str(new.workload), names, before))
        if not label:
            return Verdict.allow()
        stays = old is not None and before == label
        adopted = old is not None and new.workload.owner not in {None, old.workload.owner}
        shrinks = old is not None and stays and not adopted and self._shrinks(old.workload, new.workload)
        parentage: Parentage | None = None
        if not shrinks:
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
        if lacks_child_label(kind, old if stays else None, new):
            return forbidden(children_need_label(str(new.workload), kind.child_labels, label))
        own = parentage is not None and (parentage.own or parentage.believed)
        case = _Case(request, kind, old, new, deadline, stays=stays, shrinks=shrinks, own=own, joins=own and adopted)
        for _ in range(_ROUNDS):
            verdict = await self._weigh(case)
            if verdict is not None:
                return verdict
        return Verdict.try_again(f"{new.workload} and what shares its template change all the time")

    async def _borrowers_left(self, lender: Workload, before: str, label: str | None) -> list[str]:
        """Those under ``before`` whose template is that of an object which gets another label, or none.

        Raises ``ClusterError``, but not for a label that goes: that grows nothing [A5].
        """
        try:
            return await self._lending.names_of_borrowers(lender, before)
        except ClusterError as error:
            if label is not None:
                raise
            log.warning("%s: nobody looked whose template it has: its label goes: %s", lender, error)
            return []

    async def _weigh(self, case: _Case) -> Verdict | None:
        """Whether what it grows by may be had, by all that it hangs on now; None where that changed meanwhile."""
        old, new = case.old, case.new
        lends = self._lending.grows(None if case.before is None else case.before.workload, new.workload)
        if case.shrinks and not lends:
            old, new = None if old is None else self._bare(old), self._bare(new)
        else:
            lenders = await self._lending.lenders(new.workload, *([old.workload] if old else []))
            if (refusal := self._lending.refusal(new.workload, lenders)) is not None:
                return forbidden(refusal)
            if lenders:
                old, new = (
                    self._read(old.raw, case.kind, lenders) if old else None,
                    self._read(new.raw, case.kind, lenders),
                )
            old, new = await self._under_classes(old, new)
        case = replace(case, old=old, new=new)
        if not new.workload.counted and (case.before is None or changed(case.before, new)):
            return invalid(uncountable(str(new.workload), new.workload.problems))
        had = await self._had(case.request, case.before, own=case.own)
        grows = any(amount > had.get(key, ZERO) for key, amount in new.workload.demand.items())
        known = frozenset(case.before.workload.problems if case.before is not None else ())
        broken = [str(each) for each in new.workload.problems if grows or each not in known]
        if broken and new.workload.counted:
            return invalid(f"amounts that cannot be counted: {'; '.join(broken[:3])}")
        borrowers = await self._borrowers(case) if lends else None
        if borrowers is not None and borrowers.elsewhere:
            return forbidden(borrowers_elsewhere(str(new.workload), borrowers.elsewhere))
        # Who names an owner may hide behind it: that is claimed as growth [A8]. Who borrows a template that may be
        # growing at this moment, and whose template others may be borrowing, say so in their claims [A4].
        if not grows and not case.joins and not case.borrows and borrowers is None:
            return Verdict.allow()
        if len(new.workload.demand) > _MOST_KEYS:
            return invalid(
                f"{new.workload} names too many resources: {len(new.workload.demand)} keys, {_MOST_KEYS} at most"
            )
        verdict = await self._claim(case, had, borrowers)
        if not verdict.allowed:
            # Where it was for the claim alone, who grants nothing has nobody who grows either [A5].
            idle = not grows and not case.joins and not (borrowers is not None and borrowers.behind)
            return Verdict.allow() if idle and verdict.code == _FORBIDDEN else verdict
        return verdict if case.request.dry_run or await self._holds(case, borrowers) else None

    async def _borrowers(self, case: _Case) -> Borrowers | None:
        before, new = case.before, case.new
        return await self._lending.borrowers(
            None if before is None else before.raw, new.workload, new.raw, new.overheads
        )

    async def _holds(self, case: _Case, borrowers: Borrowers | None) -> bool:
        """Whether lender and borrowers are still those that the claim was decided with, now that all can see it.

        What changed before the claim was there, its review did not wait for this one.
        """
        new = case.new
        if new.workload.needs:
            lenders = await self._lending.lenders(new.workload)
            if self._lending.is_another(lenders, new.lenders) or self._lending.refusal(new.workload, lenders):
                return False
            if self._read(new.raw, case.kind, lenders).workload.groups != new.workload.groups:
                return False
        later = None if borrowers is None else await self._borrowers(case)
        return borrowers is None or later is None or borrowers.covers(later)

    def _shrinks(self, old: Workload, new: Workload) -> bool:
        """Whether ``new`` demands no more than ``old``, whatever RuntimeClasses add: then none need be read [A5].

        Nor need a template that both have from one lender: then their numbers of pods tell.
        """
        if old.models != new.models or old.needs != new.needs:
            return False
        old, new = (each.lent(lambda _: _BARE, self._gpus) for each in (old, new))
        return never_grows(old.groups, new.groups)

    def _bare(self, version: Version) -> Version:
        """The same with an empty template in place of one that is borrowed."""
        return replace(version, workload=version.workload.lent(lambda _: _BARE, self._gpus))

    async def _had(self, request: Request, old: Version | None, *, own: bool) -> Amounts:
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

    async def _under_classes(self, old: Version | None, new: Version) -> tuple[Version | None, Version]:
        """Both with what the RuntimeClasses add that they name [P3], read live: a class may change at any time.

        One that is not there adds nothing: the API server refuses pods that name it. Raises ``ClusterError``.
        """
        names = new.workload.runtime_classes | (old.workload.runtime_classes if old else frozenset())
        if not names:
            return old, new
        found = {name: await self._reads.runtime_class(name) for name in sorted(names)}
        overheads = {name: read_overhead(each.overhead) for name, each in found.items() if each}

        def under(version: Version) -> Version:
            return replace(version, workload=version.workload.under(overheads, self._gpus), overheads=overheads)

        return under(old) if old else None, under(new)

    async def _claim(self, case: _Case, had: Amounts, borrowers: Borrowers | None) -> Verdict:
        kind, old, new, request = case.kind, case.old, case.new, case.request
        workload = new.workload
        templates, _ = read_templates(new.raw, kind, new.lenders)
        runs = borrowers is not None and borrowers.runs
        growth = Growth(
            uid=workload.uid,
            version=0 if old is None else old.workload.version,
            object=str(workload),
            old=had,
            new=workload.demand,
            moved_from="" if old is None or old.workload.bizrq == workload.bizrq else old.workload.bizrq,
            own=case.own,
            lender=self._lending.lender_of(workload, new.lenders),
        )
        scaled = request.sub_resource == "scale"
        ask = Ask(
            growth,
            behind=borrowers.behind if borrowers is not None else (),
            borrowers=borrowers.versions if borrowers is not None else None,
            pods=[each.pod for each in templates if each.replicas or runs],
            demand_of=self._scaled(kind, new) if scaled else self._demand_of(kind, new),
            replicas=at(new.raw, kind.scale) if scaled else templates[0].replicas if templates else 0,
            say_fits=fits_autoscaler if is_by_autoscaler(request) else fits,
        )

        async def look() -> tuple[str, int] | None:
            raw = await self._reads.workload(kind, workload.namespace, workload.name)
            return None if raw is None else (raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"]))

        dry_run = request.dry_run or await self._policy.modes.warns(request.namespace)
        verdict = await self._claiming.claim(workload.bizrq, ask, case.deadline, dry_run=dry_run, look=look)
        if isinstance(verdict, Missing):
            told = await self._policy.rights.may_see_names(request, "use")
            names = await self._reads.bizrq_names() if told else []
            return forbidden(no_such_bizrq(f"label {LABEL}", workload.bizrq, names))
        return verdict

    def _scaled(self, kind: Kind, version: Version) -> Callable[[int], Amounts]:
        """What the object would demand scaled to another count, which need not be one of pods, nor of all groups."""

        def demand_of(replicas: int) -> Amounts:
            raw = with_field(version.raw, kind.scale, replicas)
            return read_workload(raw, kind, self._gpus, version.overheads, referred=version.lenders).demand

        return demand_of

    def _demand_of(self, kind: Kind, version: Version) -> Callable[[int], Amounts] | None:
        """What the object would demand with another replica count, where it has exactly one group of pods."""
        workload = version.workload
        if len(workload.groups) != 1 or kind.id == PODS_ID:
            return None
        pod, models = workload.groups[0].held_under(version.overheads), workload.models
        return lambda replicas: demand([PodGroup(replicas, pod)], models, self._gpus, count=kind.count_key)


def _replicas(scale: JSON) -> int:
    """Replicas of a Scale, in which 0 is left out."""
    return int((scale.get("spec") or {}).get("replicas") or 0)


def _unknown(request: Request) -> str:
    resource = request.resource
    of = f"{resource.resource}.{resource.group}/{resource.version}" if resource.group else resource.resource
    sub = f"/{request.sub_resource}" if request.sub_resource else ""
    return (
        f"{of}{sub} is no kind of workload that this webhook counts; describe it in its file of kinds (--workloads), "
        "or take it out of the rules of the webhook configuration"
    )
