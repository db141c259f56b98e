"""Whose template does a workload have, and who has its template? [A1, A4].

A workload may have its template from another object of its namespace, its lender: the Deployment of an Argo Rollout's
``workloadRef``. What it demands hangs on both, so either growing is growth of it, claimed in their one bizrq.
Everything here is read live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bizrq.cluster.reads import Reads
from bizrq.domain.bizrq import LABEL
from bizrq.domain.claims import Growth, Lender
from bizrq.domain.demand import demand, never_grows
from bizrq.domain.pod_resources import Overheads
from bizrq.domain.quantity import ZERO
from bizrq.domain.refusals import lender_is_elsewhere, lender_is_missing
from bizrq.domain.resource_names import GpuResources
from bizrq.workloads.kind import At, Kind
from bizrq.workloads.read import Workload, read_workload
from bizrq.workloads.references import Referred, TemplateRef

__all__ = ["Borrowers", "Lending"]

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Borrowers:
    """What a change of a lender's template means for those that have it."""

    behind: Sequence[Growth]
    """What those of the lender's bizrq grow by."""
    versions: Mapping[str, int]
    """Their versions by UID, growing or not."""
    elsewhere: Sequence[str]
    """Those of other bizrqs."""
    runs: bool
    """Some of those that grow ask for pods."""

    def covers(self, later: Borrowers) -> bool:
        """Whether what a later look shows was claimed with this one."""
        claimed = {each.uid: each.new for each in self.behind}
        return not later.elsewhere and all(claimed.get(each.uid) == each.new for each in later.behind)


class Lending:
    """Looks lenders and borrowers up."""

    def __init__(self, kinds: Iterable[Kind], reads: Reads, gpus: GpuResources) -> None:
        self._reads, self._gpus = reads, gpus
        self._borrowing: dict[str, list[tuple[Kind, At]]] = {}
        """By id of a kind: the kinds that may have its templates, and where these stand."""
        for kind in kinds:
            for group in kind.pod_groups:
                if group.template_from is not None:
                    of = self._borrowing.setdefault(group.template_from.resource.id, [])
                    of.append((kind, group.template_from.template))

    # --- asked for a borrower ---

    async def lenders(self, *workloads: Workload) -> dict[TemplateRef, JSON]:
        """The objects whose templates these have, as far as they are there. Raises ``ClusterError``."""
        found: dict[TemplateRef, JSON] = {}
        for workload in workloads:
            for ref in workload.needs:
                raw = await self._reads.workload(ref.target, workload.namespace, ref.name) if ref not in found else None
                if raw is not None:
                    found[ref] = raw
        return found

    @staticmethod
    def refusal(workload: Workload, lenders: Referred) -> str | None:
        """Why a workload may not have such a template: the lender must be there, and under its bizrq."""
        for ref in workload.needs:
            if ref not in lenders:
                return lender_is_missing(str(workload), str(ref), workload.namespace)
            if (lenders[ref]["metadata"].get("labels") or {}).get(LABEL) != workload.bizrq:
                return lender_is_elsewhere(str(workload), str(ref), workload.bizrq)
        return None

    @staticmethod
    def lender_of(workload: Workload, lenders: Referred) -> Lender | None:
        """What a claim of ``workload`` says of its lender; None where its template is its own."""
        for ref in workload.needs:
            metadata = lenders[ref]["metadata"]
            name = f"{ref.target.id}/{workload.namespace}/{ref.name}"
            return Lender(metadata["uid"], int(metadata["resourceVersion"]), name)
        return None

    @staticmethod
    def is_another(lenders: Referred, before: Referred) -> bool:
        """Whether a lender has gone, and another one has its name."""
        return any(before[ref]["metadata"]["uid"] != raw["metadata"]["uid"] for ref, raw in lenders.items())

    # --- asked for a lender ---

    def grows(self, old: Workload | None, new: Workload) -> bool:
        """Whether a template that others may have is new, or asks for more than it did."""
        for _, template in self._borrowing.get(new.kind.id, ()):
            place = new.kind.place_of(template)
            if place is None or place >= len(new.groups):
                continue
            before = [replace(old.groups[place], replicas=1)] if old and place < len(old.groups) else []
            if not never_grows(before, [replace(new.groups[place], replicas=1)]):
                return True
        return False

    async def names_of_borrowers(self, lender: Workload, bizrq: str) -> list[str]:
        """Those under this bizrq that have its template. Raises ``ClusterError``."""
        return sorted(str(each) for _, each in await self._borrowers(lender) or () if each.bizrq == bizrq)

    async def borrowers(self, old: JSON | None, new: Workload, raw: JSON, overheads: Overheads) -> Borrowers | None:
        """What ``raw``, which was read as ``new``, means for those that have its template; they had that of ``old``.

        None where there is no such kind of object. Raises ``ClusterError``.
        """
        found = await self._borrowers(new)
        if found is None:
            return None
        behind, versions, elsewhere, runs = [], {}, [], False
        for borrower, unlent in found:
            if unlent.bizrq != new.bizrq:
                elsewhere.append(str(unlent))
                continue
            versions[unlent.uid] = unlent.version
            then = self._with(borrower, unlent, raw, overheads)
            if old is None:  # nobody knows what it was charged with the one before: only that it is there
                now = demand((), then.models, self._gpus, count=then.kind.count_key)
            else:
                now = dict(self._with(borrower, unlent, old, overheads).demand)
            if any(amount > now.get(key, ZERO) for key, amount in then.demand.items()):
                behind.append(
                    Growth(
                        uid=then.uid,
                        version=new.version if old is not None else 0,
                        object=str(then),
                        old=now,
                        new=then.demand,
                        lender=Lender(new.uid, unlent.version, str(new)),
                        by_lender=True,
                    )
                )
                runs = runs or any(each.replicas for each in then.groups)
        return Borrowers(behind, versions, sorted(elsewhere), runs)

    def _with(self, borrower: JSON, unlent: Workload, lender: JSON, overheads: Overheads) -> Workload:
        (ref,) = unlent.needs
        workload = read_workload(borrower, unlent.kind, self._gpus, referred={ref: lender})
        return workload.under(overheads, self._gpus)

    async def _borrowers(self, lender: Workload) -> list[tuple[JSON, Workload]] | None:
        """The labelled objects that have its template, as they are stored, and as they are read without it."""
        found: list[tuple[JSON, Workload]] = []
        any_served = False
        for kind, _ in self._borrowing.get(lender.kind.id, ()):
            listed = await self._reads.workloads_in(kind, lender.namespace)
            any_served = any_served or listed is not None
            for raw in listed or ():
                workload = read_workload(raw, kind, self._gpus)
                if [each.name for each in workload.needs] == [lender.name]:
                    found.append((raw, workload))
        return found if any_served else None
