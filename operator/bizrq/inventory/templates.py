"""Which workloads have their template from another object, and what does that say now?

The lender, such as the Deployment of an Argo Rollout's ``workloadRef``, is a workload of its own. A borrower is kept as
it was read, to be counted anew with each version of its lender. While the lender is not known, nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from bizrq.domain.demand import PodGroup
from bizrq.domain.resource_names import GpuResources
from bizrq.workloads.read import Workload
from bizrq.workloads.references import Borrowed

__all__ = ["Templates"]

_Name = tuple[str, str, str]
"""Id of a kind, namespace, name."""


class Templates:
    """Lenders by name, and the borrowers of each."""

    def __init__(self, lenders: Container[str], get: Callable[[str], Workload | None], gpus: GpuResources) -> None:
        """``lenders`` are the ids of the kinds that may be borrowed from; ``get`` gives a known workload by UID."""
        self._lenders, self._get, self._gpus = lenders, get, gpus
        self._uids: dict[_Name, str] = {}
        """The UID of each lender, by name."""
        self._borrowers: dict[str, Workload] = {}
        """As they were read last, by UID."""
        self._of: dict[_Name, set[str]] = {}
        """UIDs of borrowers, by the name of their lender."""

    def note(self, workload: Workload) -> list[Workload]:
        """A version of a workload was taken over; the borrowers that must be counted anew."""
        if workload.kind.id not in self._lenders:
            return []
        name = workload.kind.id, workload.namespace, workload.name
        known = self._get(self._uids.get(name, ""))
        if known is None or known.version <= workload.version:
            self._uids[name] = workload.uid
        return [self._borrowers[uid] for uid in sorted(self._of.get(name, ()))]

    def lend(self, workload: Workload) -> Workload:
        """A workload as it was read, with the templates that it borrows as they are now."""
        known = self._borrowers.get(workload.uid)
        if known is not None and known.version < workload.version:
            self._return(known)
        if workload.borrowed and (known is None or known.version <= workload.version):
            self._borrowers[workload.uid] = workload
            for each in workload.borrowed:
                self._of.setdefault(_lender(workload, each), set()).add(workload.uid)
        return workload.lent(lambda each: self._template(workload, each), self._gpus)

    def forget(self, workload: Workload) -> None:
        """A workload is gone, or has lost its label."""
        name = workload.kind.id, workload.namespace, workload.name
        if self._uids.get(name) == workload.uid:
            del self._uids[name]
        known = self._borrowers.get(workload.uid)
        if known is not None:
            self._return(known)

    def _return(self, borrower: Workload) -> None:
        del self._borrowers[borrower.uid]
        for each in borrower.borrowed:
            name = _lender(borrower, each)
            self._of[name].discard(borrower.uid)
            if not self._of[name]:
                del self._of[name]

    def _template(self, borrower: Workload, borrowed: Borrowed) -> PodGroup | None:
        lender = self._get(self._uids.get(_lender(borrower, borrowed), ""))
        place = None if lender is None else lender.kind.place_of(borrowed.template)
        if lender is None or place is None or place >= len(lender.groups):
            return None
        return lender.groups[place]


def _lender(borrower: Workload, borrowed: Borrowed) -> _Name:
    return borrowed.ref.target.id, borrower.namespace, borrowed.ref.name
