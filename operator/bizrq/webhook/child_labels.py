"""May the children of this object name this bizrq? [A8, A12].

Of a kind with ``children: counted`` (a CronJob) not the object is counted but what it makes. That is made by a
controller, which is asked for no right; so whoever writes the label of the children into the object is.
"""

from __future__ import annotations

from collections.abc import Iterable

from bizrq.webhook.claiming import forbidden, invalid
from bizrq.webhook.policy import Policy
from bizrq.webhook.review import Request, Verdict
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import child_label

__all__ = ["ChildReviews"]


class ChildReviews:
    """Reviews of objects whose children name a bizrq."""

    def __init__(self, kinds: Iterable[Kind], policy: Policy) -> None:
        self._kinds = {(kind.group, kind.version, kind.resource): kind for kind in kinds if kind.children_counted}
        self._policy = policy

    async def review(self, request: Request, _deadline: float) -> Verdict:
        """A create or an update. Raises ``ClusterError`` where the API server cannot be asked."""
        at = request.resource
        kind = self._kinds.get((at.group, at.version, at.resource))
        if kind is None or request.sub_resource:
            known = ", ".join(sorted(each.id for each in self._kinds.values()))
            return forbidden(f"{at.resource}.{at.group} is not reviewed here; {known} are")
        if request.object is None:
            return invalid(f"this review of a {request.operation} lacks the object")
        label = child_label(request.object, kind)
        if not label or (request.old_object is not None and child_label(request.old_object, kind) == label):
            return Verdict.allow()
        refusal = await self._policy.rights.refuse_use(request, label)
        return Verdict.allow() if refusal is None else forbidden(f"{'.'.join(kind.child_labels)}: {refusal}")
