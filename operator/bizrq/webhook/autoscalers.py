"""Could this autoscaler scale its target as far as it may? [A10].

The question is put as the autoscaler itself will put it, as a dry run: would scaling to ``maxReplicas`` be admitted
now? So what is said here is what will be said there, and nothing is ever claimed for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from bizrq.cluster.reads import Reads
from bizrq.domain.bizrq import LABEL
from bizrq.domain.refusals import autoscaler_too_high
from bizrq.settings import Autoscalers
from bizrq.webhook.autoscaling import AUTOSCALER, Autoscaling
from bizrq.webhook.claiming import forbidden, invalid
from bizrq.webhook.modes import as_warnings
from bizrq.webhook.review import GroupVersionResource, Request, UserInfo, Verdict
from bizrq.webhook.server import Handler
from bizrq.workloads.kind import Kind, at

__all__ = ["AutoscalerReviews"]

JSON = Mapping[str, Any]

_RESOURCE: Final = ("autoscaling", "horizontalpodautoscalers")


class AutoscalerReviews:
    """Reviews of HorizontalPodAutoscalers."""

    def __init__(self, kinds: Iterable[Kind], scale: Handler, reads: Reads, autoscaling: Autoscaling) -> None:
        """``scale`` reviews the scaling of a workload."""
        self._kinds = {(kind.group, kind.kind): kind for kind in kinds if kind.scale}
        self._scale, self._reads, self._autoscaling = scale, reads, autoscaling

    async def review(self, request: Request, deadline: float) -> Verdict:
        """A create or an update. Raises ``ClusterError`` where the API server cannot be asked."""
        resource = request.resource
        if (resource.group, resource.resource) != _RESOURCE or request.sub_resource:
            return forbidden(f"{resource.resource}.{resource.group} is not reviewed here; {_RESOURCE[1]} are")
        if request.operation not in {"CREATE", "UPDATE"}:
            return Verdict.allow()
        if request.object is None or (request.operation == "UPDATE" and request.old_object is None):
            return invalid(f"this review of a {request.operation} lacks the object")
        if request.old_object is not None and not _asks_for_more(request.old_object, request.object):
            return Verdict.allow()
        most, target = _most(request.object), _target(request.object)
        kind = self._kinds.get((_group(target), target.get("kind", "")))
        if kind is None:
            return Verdict.allow()
        raw = await self._reads.workload(kind, request.namespace, target.get("name", ""))
        if raw is None or not await self._is_paid_for(raw):
            return Verdict.allow()
        verdict = await self._scale(_scaling(request, kind, raw, most), deadline)
        if verdict.allowed:
            return Verdict.allow()  # that the quota would be nearly full is told when it is
        if verdict.retry_after:
            return verdict
        name = f"{kind.id}/{request.namespace}/{raw['metadata']['name']}"
        text = autoscaler_too_high(most, name, verdict.message)
        if self._autoscaling.too_high is Autoscalers.REFUSE:
            return forbidden(text, bizrq=verdict.bizrq, keys=verdict.keys)
        return Verdict.allow(*as_warnings(text))

    async def _is_paid_for(self, raw: JSON) -> bool:
        """Whether its label names a bizrq that grants anything: another maximum would not help where it does not."""
        label = (raw["metadata"].get("labels") or {}).get(LABEL)
        bizrq = await self._reads.bizrq(label) if label else None
        return bizrq is not None and not bizrq.deleting and not bizrq.problems


def _asks_for_more(old: JSON, new: JSON) -> bool:
    return _most(new) > _most(old) or _target(new) != _target(old)


def _most(autoscaler: JSON) -> int:
    most = at(autoscaler, ("spec", "maxReplicas"))
    return most if isinstance(most, int) else 0


def _target(autoscaler: JSON) -> JSON:
    return at(autoscaler, ("spec", "scaleTargetRef")) or {}


def _group(target: JSON) -> str:
    return str(target.get("apiVersion", "")).rpartition("/")[0]


def _scaling(request: Request, kind: Kind, raw: JSON, most: int) -> Request:
    """What an autoscaler would ask to scale ``raw`` to its maximum."""
    metadata = {name: raw["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    now = at(raw, kind.scale)

    def scale(replicas: int) -> dict[str, Any]:
        return {"metadata": metadata, "spec": {"replicas": replicas}}

    return msgspec.structs.replace(
        request,
        resource=GroupVersionResource(group=kind.group, version=kind.version, resource=kind.resource),
        sub_resource="scale",
        operation="UPDATE",
        name=metadata["name"],
        object=scale(most),
        old_object=scale(now if isinstance(now, int) else 0),
        user_info=UserInfo(username=AUTOSCALER),
        dry_run=True,
    )
