"""Which pods are gone whose owner nobody knows, or not yet?

They wait for a while: an owner may become known later than its pods, and one that is gone too can be looked for among
what happened since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from bizrq.inventory.pod import Pod

__all__ = ["Strays"]

UNKNOWN_OWNER_SECONDS: Final = 30
"""How long a pod that is gone waits for its owner to become known. Owners come by kopf, which may be away for 15 s."""

_MARK_SECONDS: Final = 5
_MARKS: Final = 36

_BEFORE_REPLAY: Final = 2000
"""Versions before a replay in which owners of replayed pods may have gone; busy clusters take seconds for them."""


class Strays:
    """Pods that are gone and at home nowhere, in the order in which they went."""

    def __init__(self) -> None:
        self._waiting: deque[Pod] = deque()
        self._marks: deque[tuple[int, int]] = deque(maxlen=_MARKS)
        """Every few seconds, how far the view of pods was."""
        self._known_since: int | None = None
        self._looked_for: set[str] = set()
        self.lone: dict[str, Pod] = {}
        """Those of them that name a bizrq themselves, by their UID [A8]."""

    def clear(self, known_since: int | None) -> None:
        """The view begins anew; by a replay of what happened after ``known_since``."""
        self._waiting.clear()
        self.lone.clear()
        self._marks.clear()
        self._known_since = known_since

    def add(self, pod: Pod) -> None:
        """A pod went, and is at home nowhere."""
        self._waiting.append(pod)
        if pod.labelled:
            self.lone[pod.uid] = pod

    def mark(self, version: int, at: int) -> None:
        """The view of pods is as late as ``version`` at that instant."""
        if not self._marks or abs(at - self._marks[-1][0]) >= _MARK_SECONDS:
            self._marks.append((at, version))

    def let_go(self, now: int, drop: Callable[[Pod], None]) -> None:
        """Those whose owner became known wait no more; those that have waited long enough are nobody's."""
        waiting = self._waiting
        # abs: a clock that was set back must not keep them for as long as it was set back.
        while waiting and (waiting[0].stays or abs(now - waiting[0].gone_since) > UNKNOWN_OWNER_SECONDS):
            pod = waiting.popleft()
            self._looked_for.discard(pod.uid)
            self.lone.pop(pod.uid, None)
            if not pod.stays:
                drop(pod)

    @property
    def oldest(self) -> int | None:
        """The lowest version at which one of them may have gone; None if there is none."""
        pods = [pod for pod in self._waiting if not pod.stays]
        return min((_gone_at(pod) for pod in pods), default=None)

    @property
    def newest(self) -> int | None:
        """The highest version at which one of them went; None if there is none."""
        return max((pod.deleted_at or 0 for pod in self._waiting if not pod.stays), default=None)

    @property
    def first(self) -> int | None:
        """The version at which the first of them went, as far as deletions arrive in order."""
        return self._waiting[0].deleted_at if self._waiting else None

    def to_look_for(self) -> tuple[set[str], list[int]] | None:
        """The kinds of their owners that nobody looked for yet, and versions after which those may have gone.

        The first version is the best; the API server may not know any more what happened then. None where there are no
        such owners, or no such version.
        """
        pods = [pod for pod in self._waiting if not pod.stays and pod.uid not in self._looked_for]
        if not pods:
            return None
        self._looked_for.update(pod.uid for pod in pods)
        born = min(pod.created for pod in pods)
        before = [version for at, version in self._marks if at < born]
        since = before[-1:]
        if not since and self._known_since is not None:  # 0 would be another question
            since = [max(1, self._known_since - _BEFORE_REPLAY), self._known_since]
        return ({pod.owner_kind for pod in pods}, since) if since else None


def _gone_at(pod: Pod) -> int:
    return pod.deleted_at or 0 if pod.deleted_after is None else pod.deleted_after + 1
