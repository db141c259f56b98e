"""How much may a pod of this workload hold, by its template or by one that went before? [P3].

While a template is being replaced, pods of the old one may hold more than the new one says, and nothing is wrong. So
older templates are remembered until no pod holds more than the present one.
"""

from __future__ import annotations

from bizrq.domain.demand import largest
from bizrq.domain.pod_resources import Held, Overheads, the_most_of
from bizrq.workloads.read import Workload

__all__ = ["Reach"]


class Reach:
    """The most that templates of workloads have said since they were replaced, by UID; of most workloads nothing."""

    def __init__(self) -> None:
        self._earlier: dict[str, Held] = {}

    def of(self, workload: Workload, overheads: Overheads) -> Held | None:
        """The most that one of its pods may hold by any of its templates; None where it has no template now."""
        present, earlier = largest(workload.groups, overheads), self._earlier.get(workload.uid)
        return present if present is None or earlier is None else the_most_of(present, earlier)

    def remembers(self, uid: str) -> bool:
        """Whether an earlier template counts too."""
        return uid in self._earlier

    def replaced(self, workload: Workload, overheads: Overheads) -> None:
        """The templates of this version are not the present ones any more."""
        was = largest(workload.groups, overheads)
        if was is not None:
            known = self._earlier.get(workload.uid)
            self._earlier[workload.uid] = was if known is None else the_most_of(known, was)

    def forget(self, uid: str) -> None:
        """No pod is of an earlier template any more, or the workload is gone."""
        self._earlier.pop(uid, None)
