"""May a CronJob have Jobs of this bizrq? [A12].

Its Jobs are made by a trusted controller, which is asked for no right; so whoever writes their label into the template
is. The CronJob itself is not counted, its Jobs are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bizrq.domain.bizrq import LABEL
from bizrq.webhook.claiming import forbidden, invalid
from bizrq.webhook.policy import Policy
from bizrq.webhook.review import Request, Verdict

__all__ = ["CronJobReviews", "is_cron_job", "label_of_jobs"]

JSON = Mapping[str, Any]


def is_cron_job(request: Request) -> bool:
    """Whether a request is about a CronJob."""
    return (request.resource.group, request.resource.resource) == ("batch", "cronjobs")


def label_of_jobs(raw: JSON) -> str:
    """The bizrq that the Jobs of a CronJob will name; "" where they name none."""
    metadata = raw["spec"]["jobTemplate"].get("metadata") or {}
    return str((metadata.get("labels") or {}).get(LABEL) or "")


class CronJobReviews:
    """Reviews of CronJobs whose Jobs name a bizrq."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def review(self, request: Request, _deadline: float) -> Verdict:
        """A create or an update. Raises ``ClusterError`` where the API server cannot be asked."""
        if not is_cron_job(request) or request.sub_resource:
            return forbidden(f"{request.resource.resource}.{request.resource.group} is not reviewed here; CronJobs are")
        if request.object is None:
            return invalid(f"this review of a {request.operation} lacks the object")
        label = label_of_jobs(request.object)
        if not label or (request.old_object is not None and label_of_jobs(request.old_object) == label):
            return Verdict.allow()
        refusal = await self._policy.rights.refuse_use(request, label)
        return Verdict.allow() if refusal is None else forbidden(f"spec.jobTemplate: {refusal}")
