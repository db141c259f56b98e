"""May this be stored without a bizrq, in a namespace that requires one? [A11, A15].

Only labels and resized pods are looked at, and nothing is ever claimed: growth of what has a label is reviewed as
everywhere, by the other entries of the webhook configuration. Which namespaces require a label, the API server knows:
it asks only for these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bizrq.cluster.reads import Reads
from bizrq.domain.amounts import Amounts, key_by_key_max
from bizrq.domain.bizrq import LABEL
from bizrq.domain.demand import largest, never_grows, pod_amounts
from bizrq.domain.pod_resources import NO_OVERHEADS, held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.quantity import ZERO
from bizrq.domain.refusals import children_need_label, label_required, label_stays, resized, uncounted
from bizrq.domain.resource_names import NO_MODELS, GpuResources
from bizrq.webhook.claiming import forbidden, invalid
from bizrq.webhook.requesters import TrustedControllers
from bizrq.webhook.review import Request, Verdict
from bizrq.workloads.kind import Kind
from bizrq.workloads.owner import REPLICA_SET, Owner, controller_of
from bizrq.workloads.read import child_label, read_workload

__all__ = ["RequiredReviews"]

JSON = Mapping[str, Any]

_PODS: Final = ("", "pods")


class RequiredReviews:
    """Reviews in namespaces that require a label."""

    def __init__(self, kinds: Iterable[Kind], reads: Reads, gpus: GpuResources, trusted: TrustedControllers) -> None:
        self._kinds = {(kind.group, kind.version, kind.resource): kind for kind in kinds}
        self._owners = {kind.of_kind: kind for kind in self._kinds.values()}
        self._counted = {kind.of_kind for kind in self._kinds.values() if not kind.children_counted}
        self._reads, self._gpus, self._trusted = reads, gpus, trusted

    async def review(self, request: Request, _deadline: float) -> Verdict:
        """A create, an update, a scaling or a resize. Raises ``ClusterError`` where the API server cannot be asked."""
        if request.operation not in {"CREATE", "UPDATE"}:
            return Verdict.allow()
        if request.object is None or (request.operation == "UPDATE" and request.old_object is None):
            return invalid(f"this review of a {request.operation} lacks the object")
        at = request.resource
        is_pod = (at.group, at.resource) == _PODS
        kind = None if is_pod else self._kinds.get((at.group, at.version, at.resource))
        match request.sub_resource:
            case "resize" if is_pod:
                return await self._resize(request, request.object, request.old_object or {})
            case "scale" if kind is not None:
                return await self._scale(request, kind, request.object)
            case "" if kind is not None and kind.children_counted:
                return self._children(request, kind, request.object)
            case "" if kind is not None or is_pod:
                return self._labels(request, kind, request.object)
        return self._uncounted(request, request.object)

    # --- labels ------------------------------------------------------------------------------------------------------

    def _labels(self, request: Request, kind: Kind | None, new: JSON) -> Verdict:
        """Of a workload, or of a pod where ``kind`` is None."""
        old = request.old_object
        if _label(new) or self._is_child(request, kind, new):
            return Verdict.allow()
        if old is not None and _label(old):
            return forbidden(label_stays(_called(request, new), request.namespace))
        if old is not None and (kind is None or not self._grows(kind, old, new)):
            return Verdict.allow()  # it was here before the label was required [A5]
        return forbidden(label_required(_called(request, new), request.namespace, self._advice(request, new)))

    def _children(self, request: Request, kind: Kind, new: JSON) -> Verdict:
        """Of an object whose children are counted: it is they that need the label."""
        old = request.old_object
        if child_label(new, kind) or (old is not None and not child_label(old, kind)):
            return Verdict.allow()
        called = _called(request, new)
        return forbidden(children_need_label(called, kind.child_labels, namespace=request.namespace))

    def _advice(self, request: Request, new: JSON) -> str:
        """What its owner has to do with it, where it names one."""
        if (owner := self._trusted.owner_of_child(request)) is not None:
            return f"its owner, a {owner.kind}, is not counted, so it needs one itself"
        if controller_of(new) is None:
            return ""
        return (
            f"it names an owner, but {request.user_info.username} is none of the controllers whose children are "
            "believed (--trusted-controllers)"
        )

    def _is_child(self, request: Request, kind: Kind | None, raw: JSON) -> bool:
        """Whether somebody else has the label for it.

        Of a pod, and of a ReplicaSet, which only stands in between, any owner; of a workload one that is counted.
        """
        owner = self._trusted.owner_of_child(request, raw)
        between = kind is None or (kind.group, kind.kind) == REPLICA_SET
        return owner is not None and (between or owner.of_kind in self._counted)

    def _grows(self, kind: Kind, old: JSON, new: JSON) -> bool:
        before, after = (read_workload(raw, kind, self._gpus) for raw in (old, new))
        if not after.counted and old.get("spec") != new.get("spec"):
            return True
        return not never_grows(before.groups, after.groups) or not frozenset(before.problems).issuperset(after.problems)

    async def _scale(self, request: Request, kind: Kind, scale: JSON) -> Verdict:
        """A Scale has no labels, so the workload is read; that it is scaled up, the configuration's condition says."""
        name = scale["metadata"]["name"]
        raw = await self._reads.workload(kind, request.namespace, name)
        if raw is None or _label(raw) or self._is_child(request, kind, raw):
            return Verdict.allow()
        return forbidden(label_required(f"{kind.id} {name}", request.namespace, "then scale it up"))

    def _uncounted(self, request: Request, new: JSON) -> Verdict:
        labelled = _label(new) is not None
        return Verdict.allow(uncounted(_called(request, new), request.namespace, labelled=labelled))

    # --- resized pods ------------------------------------------------------------------------------------------------

    async def _resize(self, request: Request, new: JSON, old: JSON) -> Verdict:
        before, after = self._held(old["spec"]), self._held(new["spec"])
        if all(amount <= before.get(key, ZERO) for key, amount in after.items()):
            return Verdict.allow()
        most = key_by_key_max(before, await self._template(request.namespace, controller_of(old)))
        over = [(key, amount, most.get(key, ZERO)) for key, amount in sorted(after.items())]
        over = [(key, amount, at_most) for key, amount, at_most in over if amount > at_most]
        return forbidden(resized(new["metadata"]["name"], request.namespace, over)) if over else Verdict.allow()

    async def _template(self, namespace: str, owner: Owner | None) -> Amounts:
        """What a pod of its owner's template holds; nothing where there is none, or none that is known."""
        kind = None if owner is None else self._owners.get(owner.of_kind)
        if owner is None or kind is None:
            return {}
        raw = await self._reads.workload(kind, namespace, owner.name)
        if raw is None or raw["metadata"]["uid"] != owner.uid:
            return {}
        # Which of several groups a pod is of, it does not say.
        most = largest(read_workload(raw, kind, self._gpus).groups, NO_OVERHEADS)
        return {} if most is None else pod_amounts(most, NO_MODELS, self._gpus)

    def _held(self, spec: JSON) -> Amounts:
        """What a pod holds without its overhead, which no resize changes, and which its template does not state."""
        pod, _ = read_pod_spec({**spec, "overhead": None})
        return pod_amounts(held(pod), NO_MODELS, self._gpus)


def _label(raw: JSON) -> str | None:
    """The name of the bizrq; None where there is no such label, "" where it is empty and names none."""
    return (raw["metadata"].get("labels") or {}).get(LABEL)


def _called(request: Request, new: JSON) -> str:
    at, metadata = request.resource, new["metadata"]
    name = metadata.get("name") or f"{metadata.get('generateName', '')}*"
    return f"{at.resource}.{at.group} {name}" if at.group else f"{at.resource} {name}"
