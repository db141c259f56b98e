"""A webhook with a policy: who has which right, who asks, and what is enforced where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bizrq.cluster.access import Answer, Question
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.settings import DEFAULT_TRUSTED_CONTROLLERS, Autoscalers, Mode
from bizrq.webhook.policy import Policy
from bizrq.webhook.review import Verdict
from bizrq.webhook.routes import routes_over
from tests.support.clocks import HandClock
from tests.support.webhook import KINDS, Webhook

__all__ = ["REPLICA_SET_CONTROLLER", "GivenRights", "PolicyWebhook", "owned"]

JSON = dict[str, Any]

REPLICA_SET_CONTROLLER: Final = "system:serviceaccount:kube-system:replicaset-controller"


class GivenRights:
    """Rights that a test gives, and what was asked."""

    def __init__(self) -> None:
        self.given: set[tuple[str, str, str, str]] = set()
        self.asked: list[Question] = []
        self.error: Exception | None = None
        self.complete = True

    def give(self, user: str, verb: str, name: str = "*", namespace: str = "*") -> None:
        """Give a right, by default on all names and everywhere."""
        self.given.add((user, verb, name, namespace))

    async def allowed(self, question: Question) -> Answer:
        """Whether it was given; a name does not give all."""
        self.asked.append(question)
        if self.error is not None:
            raise self.error
        names, namespaces = {"*", question.name} - {""}, {"*", question.namespace}
        given = {(question.user, question.verb, name, namespace) for name in names for namespace in namespaces}
        return Answer(bool(given & self.given), complete=self.complete)


class PolicyWebhook(Webhook):
    """A replica that asks for rights, and whose requests come from ``user``."""

    def __init__(
        self,
        clock: HandClock,
        *,
        authorize: bool = True,
        mode: Mode = Mode.ENFORCE,
        trusted: Iterable[str] = (),
        autoscalers: Autoscalers = Autoscalers.WARN,
    ) -> None:
        """``trusted`` are controllers beside those that are by default."""
        super().__init__(clock)
        self.access = GivenRights()
        self.user = "alice"
        self.groups = ["system:authenticated"]
        self.policy = Policy.make(
            self.reads,
            self.metrics,
            access=self.access if authorize else None,
            trusted_controllers=(*DEFAULT_TRUSTED_CONTROLLERS, *trusted),
            mode=mode,
            autoscalers=autoscalers,
        )
        self.routes = routes_over(
            self.store, self.reads, KINDS, DEFAULT_GPU_RESOURCES, clock, self.metrics, self.policy, self.refusals
        )

    async def ask(self, route: str, **request: Any) -> Verdict:
        """One review of what the user asks; ``request`` are its fields."""
        user = {"username": self.user, "uid": f"uid-{self.user}", "groups": self.groups, "extra": {"scope": ["all"]}}
        return await super().ask(route, **({"userInfo": user} | request))


def owned(raw: JSON, api_version: str, kind: str, name: str, uid: str = "", *, controller: bool = True) -> JSON:
    """``raw`` with an owner, which controls it unless said otherwise."""
    owner: JSON = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid or f"uid-{name}"}
    owner |= {"controller": True} if controller else {}
    return {**raw, "metadata": {**raw["metadata"], "ownerReferences": [owner]}}
