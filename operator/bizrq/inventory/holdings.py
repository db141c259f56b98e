"""What does a pod hold, by the bytes that say it? The pods of a cluster share few templates: each is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from bizrq.cluster.objects import Pod, actual_of, allocated_of, node_says, spec_of, template_of
from bizrq.domain.demand import pod_amounts
from bizrq.domain.pod_resources import Held, held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.resource_names import GpuResources, Models
from bizrq.domain.segments import resized

__all__ = ["Holdings"]

_LONG_TEMPLATE: Final = 1024
"""Bytes; of longer ones a digest is kept, so that pods of a thousand containers do not fill the memory."""

_TEMPLATES: Final = 50_000
"""Distinct templates kept; beyond that all are worked out anew, which costs time and nothing else."""


_AMOUNTS: Final = 20_000
"""Distinct pairs of what is held and models kept, in the same way."""


class Holdings:
    """What pods hold; those of one template share one value."""

    def __init__(self, gpus: GpuResources) -> None:
        self._gpus = gpus
        self._templates: dict[bytes, Held] = {}
        self._amounts: dict[tuple[int, Models], tuple[Held, Mapping[str, int]]] = {}
        self.unreadable = 0
        """Templates with amounts that are no quantities; such a pod can never be scheduled."""

    def of(self, pod: Pod, *, infeasible: bool) -> Held:
        """What ``pod`` holds at its peak, as it is now [P1-P3]; ``infeasible``: its node has refused its resize."""
        key = template_of(pod.spec)
        told = node_says(pod)
        if told:
            key = b"%b %b%b" % (key, b"infeasible " if infeasible else b"told ", told)
        if len(key) > _LONG_TEMPLATE:
            key = hashlib.blake2b(key).digest()
        known = self._templates.get(key)
        if known is None:
            if len(self._templates) >= _TEMPLATES:
                self._templates.clear()
            known = self._templates[key] = self._work_out(pod, told=bool(told), infeasible=infeasible)
        return known

    def amounts(self, what: Held, models: Models) -> Mapping[str, int]:
        """The keys that it is charged on under these models, in milli-units."""
        key = (id(what), models)
        known = self._amounts.get(key)
        if known is None or known[0] is not what:
            if len(self._amounts) >= _AMOUNTS:
                self._amounts.clear()  # models are labels, which anybody may edit for ever
            amounts = pod_amounts(what, models, self._gpus)
            known = (what, {name: amount.milli() for name, amount in amounts.items()})
            self._amounts[key] = known
        return known[1]

    def _work_out(self, pod: Pod, *, told: bool, infeasible: bool) -> Held:
        spec, problems = read_pod_spec(spec_of(pod.spec))
        self.unreadable += bool(problems)
        if told:
            actual, _ = read_pod_spec(actual_of(pod.status))
            allocated, _ = read_pod_spec(allocated_of(pod.status))
            spec = resized(spec, actual, allocated, infeasible=infeasible)
        return held(spec)
