"""A request of somebody, as the API server works it off.

It is decided on one version of its object, and stored by compare-and-swap over that very version. Where somebody was
faster, it is reviewed again on the newer version; a PUT, which names its version, fails. Any request may fail after its
review.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bizrq.domain.bizrq import GROUP, KIND, PLURAL, VERSION
from bizrq.webhook.review import GroupVersionKind, GroupVersionResource, UserInfo, Verdict
from bizrq.webhook.review import Request as Review
from tests.support.world.loop import HandLoop
from tests.support.world.processes import Replica
from tests.support.world.storage import NAMESPACE, Storage, is_bizrq

__all__ = ["Change", "Request"]

JSON = dict[str, Any]

_SECONDS = 28.0
"""What a review is given, as the server of the webhook does."""


@dataclass(frozen=True)
class Change:
    """What somebody wants done to the object of a name."""

    name: str
    make: Callable[[JSON], JSON] | None
    """The new object, from the old one; None: delete it."""
    new: JSON | None = None
    """A create: the object."""
    scale: int | None = None
    user: str = ""
    """Who wants it."""
    is_put: bool = False

    def __str__(self) -> str:
        """For the messages of a failing test."""
        return f"{'create' if self.new else 'change' if self.make else 'delete'} {self.name}"


class Request:
    """One request on its way."""

    def __init__(
        self, change: Change, storage: Storage, replica: Replica, loop: HandLoop, stored: Callable[[JSON], None]
    ) -> None:
        self.change = change
        self._storage, self._replica, self._loop, self._stored = storage, replica, loop, stored
        self.snapshot: JSON | None = None
        """The version it is decided on; None for a create."""
        self._wanted: JSON | None = None
        self._review: asyncio.Task[Verdict] | None = None
        self._end = ""

    # --- where it stands ---

    @property
    def verdict(self) -> Verdict | None:
        """What the webhook answered; None while it has not."""
        return self._review.result() if self._review is not None and self._review.done() else None

    @property
    def is_allowed(self) -> bool:
        """Whether its review has let it pass, and it is not stored yet."""
        return not self._end and self.verdict is not None and self.verdict.allowed

    @property
    def is_waiting(self) -> bool:
        """Whether the webhook has not been asked yet."""
        return not self._end and self._review is None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it can happen any more."""
        return bool(self._end) or (self.verdict is not None and not self.verdict.allowed)

    @property
    def is_stored(self) -> bool:
        """Whether it has happened."""
        return self._end == "stored"

    # --- what happens to it ---

    def decide_on(self, snapshot: JSON | None) -> None:
        """It was begun on a version of its object."""
        self.snapshot = snapshot
        if self.change.new is not None:
            self._wanted = copy.deepcopy(self.change.new)
        elif self.change.make is not None and snapshot is not None:
            self._wanted = self.change.make(copy.deepcopy(snapshot))
            if self._wanted.get("spec") != snapshot.get("spec"):
                self._wanted["metadata"]["generation"] = snapshot["metadata"].get("generation", 1) + 1

    def review(self) -> None:
        """Ask the webhook."""
        if self.snapshot is not None and self._wanted == self.snapshot:
            self._end = "nothing left to do"
            return
        handler, review = self._asked()
        work = self._replica.routes[handler](review, self._loop.time() + _SECONDS)
        self._review = self._loop.start(_awaited(work))

    def persist(self) -> None:
        """Store it over the version that it was decided on, or have it decided again."""
        assert self.is_allowed, f"{self.change} has not passed its review"
        name, now = self.change.name, self._storage.current(self.change.name)
        if self.change.new is not None:
            self._end = "stored" if now is None else "already exists"
            if now is None:
                self._storage.makers[self.change.new["metadata"]["uid"]] = self.change.user
                self._stored(self._storage.store(self.change.new))
        elif now is None:
            self._end = "not found"
        elif self._is_overtaken(now):
            self._end = "conflict" if self.change.is_put else ""
            if not self._end:
                self.decide_on(now)
                self._review = None
                self.review()
        else:
            self._end = "stored"
            if self._wanted is None:
                self._loop.finish(self._storage.delete(name))
            else:
                self._stored(self._storage.store({**now, **self._parts(now)}))

    def fail(self) -> None:
        """Something else refuses it, or the client is lost."""
        self._end = self._end or "failed"
        if self._review is not None:
            self._review.cancel()
            self._loop.until_idle()

    def _is_overtaken(self, now: JSON) -> bool:
        assert self.snapshot is not None
        return bool(now["metadata"]["resourceVersion"] != self.snapshot["metadata"]["resourceVersion"])

    def _parts(self, now: JSON) -> JSON:
        assert self._wanted is not None
        fields = ("labels", "generation", "annotations", "ownerReferences")
        metadata = {**now["metadata"], **{field: self._wanted["metadata"].get(field) for field in fields}}
        return {"spec": self._wanted["spec"], "metadata": metadata}

    def _asked(self) -> tuple[str, Review]:
        some = self._wanted or self.snapshot
        assert some is not None
        operation = "CREATE" if self.change.new else "UPDATE" if self.change.make else "DELETE"
        if is_bizrq(some):
            kind = GroupVersionKind(version=VERSION, kind=KIND, group=GROUP)
            resource = GroupVersionResource(version=VERSION, resource=PLURAL, group=GROUP)
            handler, namespace = "bizrqs", ""
        else:
            of = self._storage.kind_of(some)
            kind = GroupVersionKind(version=of.version, kind=of.kind, group=of.group)
            resource = GroupVersionResource(version=of.version, resource=of.resource, group=of.group)
            handler, namespace = "workloads", NAMESPACE
        new, old = copy.deepcopy(self._wanted), copy.deepcopy(self.snapshot)
        if self.change.scale is not None:
            assert old is not None
            handler, new, old = "scale", _scale(old, self.change.scale), _scale(old, old["spec"]["replicas"])
        return handler, Review(
            uid="review", kind=kind, resource=resource, operation=operation, name=self.change.name,
            namespace=namespace, object=new, old_object=old,
            sub_resource="scale" if self.change.scale is not None else "",
            user_info=UserInfo(username=self.change.user),
        )  # fmt: skip


def _scale(raw: JSON, replicas: int) -> JSON:
    kept = {field: raw["metadata"][field] for field in ("name", "namespace", "uid", "resourceVersion")}
    return {"metadata": kept, "spec": {"replicas": replicas}}


async def _awaited(answer: Any) -> Verdict:
    verdict: Verdict = await answer
    return verdict
