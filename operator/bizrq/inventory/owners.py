"""Whose child is this, proven by UID?

Pods of a Deployment or a Rollout belong to ReplicaSets that belong to it, those of a JobSet to Jobs, those of a RayJob
to a RayCluster. What stands between is kept by its UID and the UID of its controller, nothing else; a pod whose
controller is nothing of the kind belongs to that controller itself. A chain may lead over several of them, and over a
pod: the workers of a LeaderWorkerSet belong to a StatefulSet that belongs to their leader's pod.
"""

from __future__ import annotations

from collections.abc import Callable

from bizrq.cluster.objects import Owned
from bizrq.workloads.kind import Resource
from bizrq.workloads.owner import LONGEST_CHAIN

__all__ = ["Owners"]


def _nobody(_: str) -> None:
    """No pod is known."""


def _none(_: str) -> bool:
    """No workload is known."""
    return False


class Owners:
    """What stands between pods and workloads. Each reflector has a ``sink`` of its own."""

    def __init__(
        self,
        resolved: Callable[[str], None],
        controller_of_pod: Callable[[str], str | None] = _nobody,
        is_counted: Callable[[str], bool] = _none,
    ) -> None:
        """``is_counted``: whether this UID is that of a workload, whatever stands above it."""
        self._above: dict[str, str] = {}
        self._below: dict[str, set[str]] = {}
        self._gone: set[str] = set()
        self._pods: set[str] = set()
        """UIDs of pods that control something."""
        self.kinds = {("", "Pod")}
        """Group and kind of what may stand between."""
        self._resolved = resolved
        """Told the UID of each object whose owner, or whose owner's owner, has become known."""
        self._controller_of_pod, self._is_counted = controller_of_pod, is_counted

    def __len__(self) -> int:
        return len(self._above)

    def sink(self, resource: Resource) -> Sink:
        """Where the objects of one more resource go."""
        self.kinds.add(resource.of_kind)
        return Sink(self)

    def workload_of(self, controller: str) -> str:
        """UID of the workload above a pod's controller: the first that counts, else what stands uppermost."""
        for _ in range(LONGEST_CHAIN):
            if self._is_counted(controller):
                break
            above = self._above.get(controller) or self._above_pod(controller)
            if above is None:
                break
            controller = above
        return controller

    def controllers_of(self, workload: str) -> tuple[str, ...]:
        """UIDs that may control pods of this workload: itself, and what stands below it and counts not by itself."""
        found = {workload: None}
        below = [workload]
        while below:
            for each in self._below.get(below.pop(), ()):
                if each not in found and not self._is_counted(each):
                    found[each] = None
                    below.append(each)
        return tuple(found)

    def sweep(self, has_pods: Callable[[str], bool]) -> None:
        """Forget what is gone and has no pods left, nor anything below that has."""
        for uid in [uid for uid in self._gone if not has_pods(uid) and uid not in self._below]:
            self._gone.discard(uid)
            self._forget(uid)
        for uid in [uid for uid in self._pods if not has_pods(uid) and uid not in self._below]:
            self._pods.discard(uid)
            self._forget(uid)

    def pod_known(self, uid: str) -> None:
        """A pod has become known: what it controls may have waited for that."""
        if uid in self._below and uid not in self._above and self._above_pod(uid) is not None:
            for each in self.controllers_of(uid):
                self._resolved(each)

    # --- for the sinks ---

    def put(self, item: Owned) -> None:
        """An object was added or changed; it may have been adopted."""
        uid, above = item.metadata.uid, item.metadata.controller
        known = self._above.get(uid)
        if above is None or above == known:
            return
        if known is not None:
            self._unlink(uid, known)
        self._link(uid, above)
        for each in self.controllers_of(uid):
            self._resolved(each)

    def bury(self, uid: str) -> None:
        """An object is gone; its pods may outlive it, and still belong to its owner."""
        if uid in self._above:
            self._gone.add(uid)

    def _above_pod(self, uid: str) -> str | None:
        """What controls a pod that controls something itself; it is kept, for that pod may go first."""
        above = self._controller_of_pod(uid)
        if above is not None:
            self._pods.add(uid)
            self._link(uid, above)
        return above

    def _link(self, uid: str, above: str) -> None:
        self._above[uid] = above
        self._below.setdefault(above, set()).add(uid)

    def _forget(self, uid: str) -> None:
        above = self._above.pop(uid, None)
        if above is not None:
            self._unlink(uid, above)

    def _unlink(self, uid: str, above: str) -> None:
        siblings = self._below.get(above)
        if siblings is not None:
            siblings.discard(uid)
            if not siblings:
                del self._below[above]


class Sink:
    """The objects of one resource, as their reflector tells them."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._held: set[str] = set()
        self._listing: set[str] = set()

    def list_began(self) -> None:
        """A list begins."""
        self._listing = set()

    def listed(self, item: Owned, at: int) -> None:
        """An item of a list."""
        self._listing.add(item.metadata.uid)
        self.changed(item, at)

    def list_ended(self, version: int, began: int) -> None:  # noqa: ARG002  # as the reflector's Sink has it
        """What was not listed is gone."""
        for uid in self._held - self._listing:
            self._owners.bury(uid)
        self._held, self._listing = self._listing, set()

    def changed(self, item: Owned, at: int) -> None:  # noqa: ARG002
        """An object was added or changed."""
        self._held.add(item.metadata.uid)
        self._owners.put(item)

    def deleted(self, item: Owned, at: int) -> None:  # noqa: ARG002
        """An object is gone."""
        self._held.discard(item.metadata.uid)
        self._owners.bury(item.metadata.uid)

    def passed(self, version: int, at: int) -> None:
        """Nothing to do: no version of these objects counts."""
