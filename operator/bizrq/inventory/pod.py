"""What is remembered of one pod?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bizrq.domain.cash import Charged
from bizrq.domain.pod_resources import Held
from bizrq.domain.resource_names import Models
from bizrq.domain.segments import Past
from bizrq.domain.stays import Home, Stay, share

__all__ = ["Pod"]


class Pod(Charged, eq=False, gc=False):
    """One pod."""

    uid: str = ""
    owner: str | None = None
    """UID of its controller."""
    namespace: str = ""
    held: Held | None = None
    """The most that it was ever seen to hold."""
    held_now: Held | None = None
    """What it holds in its open segment."""
    stays: tuple[Stay, ...] = ()
    """Where it belongs, from when to when; empty where that is not known."""
    created: int = 0
    gone_since: int = 0
    """When its DELETED event arrived."""
    last_list: int = 0
    """Number of the last list that had it."""
    owner_kind: str = ""
    """Kind of its controller."""
    alone: bool = False
    """It is, or was, a workload of its own: nobody's child, whatever owner it names [A8]."""
    kept: bool = False
    """It was counted with its owner, which is gone, and keeps the home that it had then."""
    cut_off: bool = False
    """It has lost ``owner``, with which it has its home."""
    as_child: tuple[Stay, ...] = ()
    """Where it was counted with its owner, before it got a label and became a workload of its own."""
    plain: bool = False
    """It was seen without such a label."""
    labelled: bool = False
    """It names a bizrq itself."""
    held_before: Past = ()
    """Its closed segments, where it was resized in place."""

    @property
    def home(self) -> Home | None:
        """Where it belongs now, or belonged last."""
        return self.stays[-1].home if self.stays else None

    @property
    def is_whole(self) -> bool:
        """Whether one bizrq pays for all of its time, and for the same all the time."""
        return len(self.stays) == 1 and self.stays[0].is_whole and not self.held_before

    def shares(self, bizrq: str, amounts: Callable[[Held, Models], Mapping[str, int]]) -> Iterator[Charged]:
        """What of it a bizrq pays for; ``amounts`` are what it is charged on under models [C7]."""
        for stay in self.stays:
            if stay.home.bizrq == bizrq and self.held_now is not None:
                models, interval = stay.home.models, share(self.interval, stay)
                yield Charged(
                    amounts(self.held_now, models),
                    interval,
                    self.version,
                    self.deleted_at,
                    self.deleted_after,
                    self.doubt if interval.cut == self.interval.cut else 0,
                    tuple((until, amounts(held, models)) for until, held in self.held_before),
                )

    @property
    def stays_on(self) -> bool:
        """Whether it has neither ended nor is being deleted: else it makes room for others."""
        interval = self.interval
        return self.deleted_at is None and interval.end is None and interval.requested is None

    def holds(self, now: int) -> bool:
        """Whether what it asks for is still in somebody's way: neither terminal nor past its cut [P5]."""
        interval = self.interval
        return self.deleted_at is None and interval.end is None and (interval.cut is None or interval.cut > now)
