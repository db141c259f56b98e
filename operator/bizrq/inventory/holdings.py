"""What does a pod hold, by the bytes that say it? The pods of a cluster share few templates: each is read once."""

from __future__ import annotations

import hashlib
from typing import Final

from bizrq.cluster.objects import Pod, actual_of, allocated_of, node_says, spec_of, template_of
from bizrq.domain.pod_resources import Held, held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.segments import resized

__all__ = ["Holdings"]

_LONG_TEMPLATE: Final = 1024
"""Bytes; of longer ones a digest is kept, so that pods of a thousand containers do not fill the memory."""

_TEMPLATES: Final = 50_000
"""Distinct templates kept; beyond that all are worked out anew, which costs time and nothing else."""


class Holdings:
    """What pods hold; those of one template share one value."""

    def __init__(self) -> None:
        self._templates: dict[bytes, Held] = {}
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

    def _work_out(self, pod: Pod, *, told: bool, infeasible: bool) -> Held:
        spec, problems = read_pod_spec(spec_of(pod.spec))
        self.unreadable += bool(problems)
        if told:
            actual, _ = read_pod_spec(actual_of(pod.status))
            allocated, _ = read_pod_spec(allocated_of(pod.status))
            spec = resized(spec, actual, allocated, infeasible=infeasible)
        return held(spec)
