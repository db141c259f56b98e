"""Whose child is this, proven by UID?

Pods of a Deployment or a Rollout belong to ReplicaSets that belong to it. ReplicaSets are kept by their UID and the UID
of their controller, nothing else; a pod whose controller is no ReplicaSet belongs to that controller itself.
"""

from __future__ import annotations

from collections.abc import Callable

from bizrq.cluster.objects import Owned

__all__ = ["Owners"]


class Owners:
    """The ReplicaSets between pods and workloads. It is the sink of their reflector."""

    def __init__(self, resolved: Callable[[str], None]) -> None:
        self._above: dict[str, str] = {}
        self._below: dict[str, set[str]] = {}
        self._gone: set[str] = set()
        self._listing: set[str] = set()
        self._resolved = resolved
        """Told the UID of a ReplicaSet whose owner has become known."""

    def __len__(self) -> int:
        return len(self._above)

    def workload_of(self, controller: str) -> str:
        """UID of the workload above a pod's controller."""
        return self._above.get(controller, controller)

    def controllers_of(self, workload: str) -> tuple[str, ...]:
        """UIDs that may control pods of this workload: itself and its ReplicaSets."""
        return (workload, *self._below.get(workload, ()))

    def list_began(self) -> None:
        """A list begins."""
        self._listing = set()

    def listed(self, item: Owned, at: int) -> None:
        """An item of a list."""
        self._listing.add(item.metadata.uid)
        self.changed(item, at)

    def list_ended(self, version: int, began: int) -> None:  # noqa: ARG002  # as Sink has it
        """What was not listed is gone."""
        self._gone.update(self._above.keys() - self._listing)
        self._listing = set()

    def changed(self, item: Owned, at: int) -> None:  # noqa: ARG002
        """A ReplicaSet was added or changed; it may have been adopted."""
        uid, above = item.metadata.uid, item.metadata.controller
        known = self._above.get(uid)
        if above is None or above == known:
            return
        if known is not None:
            self._unlink(uid, known)
        self._above[uid] = above
        self._below.setdefault(above, set()).add(uid)
        self._resolved(uid)

    def deleted(self, item: Owned, at: int) -> None:  # noqa: ARG002
        """A ReplicaSet is gone; its pods may outlive it, and still belong to its owner."""
        if item.metadata.uid in self._above:
            self._gone.add(item.metadata.uid)

    def passed(self, version: int, at: int) -> None:
        """Nothing to do: no version of a ReplicaSet counts."""

    def sweep(self, has_pods: Callable[[str], bool]) -> None:
        """Forget ReplicaSets that are gone and have no pods left."""
        for uid in [uid for uid in self._gone if not has_pods(uid)]:
            self._gone.discard(uid)
            above = self._above.pop(uid, None)
            if above is not None:
                self._unlink(uid, above)

    def _unlink(self, uid: str, above: str) -> None:
        siblings = self._below.get(above)
        if siblings is not None:
            siblings.discard(uid)
            if not siblings:
                del self._below[above]
