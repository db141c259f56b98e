"""Which pods does an owner control?"""

from __future__ import annotations

import sys
from collections.abc import Collection

from bizrq.inventory.pod import Pod

__all__ = ["Siblings", "take_out"]


def take_out(table: dict[str, set[Pod]], key: str, pod: Pod) -> None:
    """Take a pod out of the set at ``key``; an empty one is not kept."""
    pods = table.get(key)
    if pods is not None:
        pods.discard(pod)
        if not pods:
            del table[key]


class Siblings:
    """The pods of every controller, by its UID."""

    def __init__(self) -> None:
        self._pods: dict[str, set[Pod]] = {}

    def __contains__(self, owner: str) -> bool:
        return owner in self._pods

    def of(self, owner: str) -> Collection[Pod]:
        """The pods of a controller."""
        return self._pods.get(owner, ())

    def take(self, pod: Pod, owner: str | None, kind: str) -> None:
        """A pod belongs to this controller of this kind; None: to none."""
        pod.owner, pod.owner_kind = owner, sys.intern(kind)
        if owner is not None:
            siblings = self._pods.get(owner)
            if siblings is None:
                self._pods[owner] = {pod}
            else:
                pod.owner = next(iter(siblings)).owner  # one text for all pods of an owner
                siblings.add(pod)

    def leave(self, pod: Pod) -> None:
        """A pod belongs to its controller no more; that is still named in it."""
        if pod.owner is not None:
            take_out(self._pods, pod.owner, pod)

    def clear(self) -> None:
        """No pod is known."""
        self._pods.clear()
