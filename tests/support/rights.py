"""Which rights does the chart give to the processes, and which request used which?

The rights are those of the rendered chart, one for each group, resource, verb and name. Which request used one, the API
server says itself: its audit log names the role by which it allowed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

__all__ = ["Right", "forbidden", "request_of", "rights_of", "used"]

JSON = dict[str, Any]

_ALLOWED_BY: Final = re.compile(r'RBAC: allowed by \w+ "[^"]*" of (\w+) "([^"]+)" to')
_DECISION, _REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource, for one of the processes."""

    account: str
    resource: str
    """As kubectl names it: ``deployments.apps``, ``bizgroupresourcequotas.quota.bizrq.io/status``."""
    verb: str
    name: str
    """That of the one object it is limited to; "" for all."""
    role: str
    """Kind and name of the role that gives it."""

    def __str__(self) -> str:
        limited = f' named "{self.name}"' if self.name else ""
        return f"{self.account}: {self.verb} {self.resource}{limited}"

    def covers(self, event: Mapping[str, Any]) -> bool:
        """Whether the API server allowed a request by this."""
        at = event.get("objectRef") or {}
        found = _ALLOWED_BY.match(event["annotations"].get(_REASON, ""))
        return (
            found is not None
            and " ".join(found.groups()) == self.role
            and event["user"]["username"].rpartition(":")[2] == self.account
            and event["verb"] == self.verb
            and _called(at.get("apiGroup", ""), at.get("resource", ""), at.get("subresource", "")) == self.resource
            and self.name in {"", at.get("name", "")}
        )


def rights_of(objects: Sequence[Mapping[str, Any]]) -> list[Right]:
    """What the roles among these objects give to service accounts, one by one; what is given twice is there twice.

    Raises ValueError for a rule that is not limited to some verbs on some resources.
    """
    roles = {_role(each["kind"], each["metadata"]): each["rules"] for each in objects if each["kind"].endswith("Role")}
    return sorted(
        Right(subject["name"], resource, verb, name, f"{ref['kind']} {ref['name']}")
        for binding in objects
        if binding["kind"].endswith("Binding")
        for ref in [binding["roleRef"]]
        for subject in binding["subjects"]
        if subject["kind"] == "ServiceAccount"
        for rule in roles[_role(ref["kind"], {**binding["metadata"], "name": ref["name"]})]
        for resource, verb, name in _given(rule)
    )


def used(rights: Iterable[Right], events: Sequence[Mapping[str, Any]]) -> dict[Right, list[Mapping[str, Any]]]:
    """The requests that used each right; none where none did."""
    return {right: [event for event in events if right.covers(event)] for right in rights}


def forbidden(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The requests that were not allowed for want of a right."""
    return [request_of(event) for event in events if event["annotations"].get(_DECISION) == "forbid"]


def request_of(event: Mapping[str, Any], *, anonymous: bool = False) -> str:
    """A request in a line; with names of no object and of no namespace where ``anonymous``."""
    path = event["requestURI"].partition("?")[0]
    at = event.get("objectRef") or {}
    if anonymous and at.get("namespace"):
        path = path.replace(f"/namespaces/{at['namespace']}", "/namespaces/NAMESPACE", 1)
    if anonymous and at.get("name"):
        path = path.replace(f"/{at['resource']}/{at['name']}", f"/{at['resource']}/NAME", 1)
    return f"{event['verb']} {path}"


def _given(rule: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    limits = [rule.get(each, [""]) for each in ("apiGroups", "resources", "verbs", "resourceNames")]
    if "nonResourceURLs" in rule or any("*" in each for each in limits):
        msg = f"a rule that gives whatever there is: {rule}"
        raise ValueError(msg)
    for group, resource, verb, name in product(*limits):
        resource_, _, sub = resource.partition("/")
        yield _called(group, resource_, sub), verb, name


def _called(group: str, resource: str, sub: str) -> str:
    return (f"{resource}.{group}" if group else resource) + (f"/{sub}" if sub else "")


def _role(kind: str, metadata: Mapping[str, Any]) -> tuple[str, str, str]:
    return kind, metadata.get("namespace", "") if kind == "Role" else "", metadata["name"]
