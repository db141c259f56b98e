"""What is known of one pod, and where does it belong?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bizrq.domain.cash import Charged
from bizrq.domain.pod_resources import Held
from bizrq.domain.resource_names import Models

__all__ = ["Home", "HomeOf", "Pod"]


@dataclass(frozen=True, slots=True)
class Home:
    """Where pods belong: the bizrq and the models that their workload names."""

    bizrq: str
    models: Models
    namespace: str
    """Of the workload. Owners are of the same namespace: a pod elsewhere only names a UID that is not its owner's."""


class HomeOf(Protocol):
    """Tells where the pods of a controller in a namespace belong; ``listed`` are those that a list brought."""

    def __call__(self, controller: str, namespace: str, *, listed: bool) -> Home | None:
        """Their home; None where it is not known."""


class Pod(Charged, eq=False, gc=False):
    """One pod."""

    uid: str = ""
    owner: str | None = None
    """UID of its controller."""
    namespace: str = ""
    held: Held | None = None
    """The most that it was ever seen to hold."""
    held_now: Held | None = None
    home: Home | None = None
    gone_since: int = 0
    """When its DELETED event arrived."""
    last_list: int = 0
    """Number of the last list that had it."""
    owner_kind: str = ""
    """Kind of its controller."""
    alone: bool = False
    """It is, or was, a workload of its own: nobody's child, whatever owner it names [A8]."""
    labelled: bool = False
    """It names a bizrq itself."""

    def holds(self, now: int) -> bool:
        """Whether what it asks for is still in somebody's way: neither terminal nor past its cut [P5]."""
        interval = self.interval
        return self.deleted_at is None and interval.end is None and (interval.cut is None or interval.cut > now)
