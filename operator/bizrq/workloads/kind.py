"""How is a kind of workload described?

A kind is data: which API it has, where its pod groups stand and how many pods they have, when it demands nothing, and
what stands between it and its pods. Places are names of fields with dots between them; numbers and conditions are
expressions. How a description is read from YAML: ``registry.py``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from bizrq.domain.resource_names import count_key
from bizrq.workloads.expression import Expression

__all__ = ["PODS_ID", "At", "Kind", "PodGroupAt", "Resource", "TemplateFrom", "at", "without"]

PODS_ID: Final = "pods"
"""The id of the kind whose objects are pods themselves."""

At = tuple[str, ...]
"""Where a field stands: the names of the fields on the way to it. Empty: the object, or the item, itself."""


def at(raw: object, path: At) -> Any:
    """What stands at a path; None where there is nothing."""
    for name in path:
        if not isinstance(raw, Mapping):
            return None
        raw = raw.get(name)
    return raw


def without(raw: object, path: At) -> object:
    """``raw`` with an empty mapping in place of one that stands at a path; what lies beside it is shared."""
    if not isinstance(raw, Mapping):
        return raw
    if not path:
        return {}
    head, *rest = path
    return {**raw, head: without(raw[head], tuple(rest))} if head in raw else raw


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the API in one version."""

    group: str
    version: str
    resource: str
    """The plural, as in URLs."""
    kind: str
    """The name of one, as in objects and ownerReferences."""

    @property
    def of_kind(self) -> tuple[str, str]:
        """Group and kind, as ownerReferences name them."""
        return self.group, self.kind

    @property
    def id(self) -> str:
        """``deployments.apps``, as people write it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def url(self) -> str:
        """Where all objects of it are listed."""
        return f"{self._root}/{self.resource}"

    def url_in(self, namespace: str) -> str:
        """Where those of a namespace are listed."""
        return f"{self._root}/namespaces/{quote(namespace, safe='')}/{self.resource}"

    def object_url(self, namespace: str, name: str) -> str:
        """Where one object of it is read."""
        return f"{self.url_in(namespace)}/{quote(name, safe='')}"

    @property
    def _root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True, slots=True)
class TemplateFrom:
    """A pod template that another object has: ``ref`` holds its apiVersion, kind and name."""

    ref: At
    resource: Resource
    """What may be referred to."""
    template: At
    """Where the template stands in that object."""


@dataclass(frozen=True, slots=True)
class PodGroupAt:
    """Where a group of equal pods stands in an object; with ``each``, one group for each item that stands there."""

    replicas: Expression
    template: At | None = None
    """From the object, or from the item; None: the amounts below stand for it."""
    each: At | None = None
    template_from: TemplateFrom | None = None
    """Where the template is, if the object refers to another one: even if one stands in the object, too."""
    requests: tuple[tuple[str, Expression], ...] = ()
    """Amounts by resource, where there is no template."""
    limits: tuple[tuple[str, Expression], ...] = ()

    @property
    def inside(self) -> At:
        """Where what is large of its template stands: of a pod itself not all of the object, only its spec."""
        return self.template or ("spec",)

    @property
    def all(self) -> tuple[Expression, ...]:
        """Its expressions."""
        return (self.replicas, *(each for _, each in (*self.requests, *self.limits)))

    def is_unseen_by(self, texts: Iterable[str]) -> bool:
        """Whether none of these expressions can see what is inside its template.

        One can that names a field in there, the template, or what this is a part of: that may go on under another name.
        """
        inside = {"object": (*(self.each or ()), *self.inside), "item": self.inside if self.each else ()}
        return not any(_may_see(text, inside) for text in texts)


_HAS: Final = re.compile(r"\bhas\(\s*(object|item)((?:\.\w+)+)\s*\)")
"""Whether a field is there: that is known without what is in it."""

_SELECTED: Final = re.compile(r"\b(object|item)\b((?:\s*\.\s*\??\s*\w+)*)\s*(\(?)")
"""The fields that are selected from a variable one after the other; before a bracket, the last is a function."""


def _may_see(text: str, inside: Mapping[str, At]) -> bool:
    """Whether an expression may see what stands at a path, by the variable from which that goes."""

    def fields(match: re.Match[str]) -> At:
        return tuple(re.findall(r"\w+", match[2]))

    def goes_in(match: re.Match[str]) -> bool:
        path = inside[match[1]]
        return len(fields(match)) > len(path) and fields(match)[: len(path)] == path

    text = _HAS.sub(lambda match: match[0] if goes_in(match) else "", text)
    for match in _SELECTED.finditer(text):
        path, names = inside[match[1]], fields(match)[: -1 if match[3] else None]
        if path and all(name == other for name, other in zip(path, names, strict=False)):
            return True
    return False


@dataclass(frozen=True)
class Kind(Resource):
    """A counted kind of workload."""

    pod_groups: tuple[PodGroupAt, ...] = ()
    nothing_when: tuple[Expression, ...] = ()
    """Reasons why an object demands no pods; one that holds is enough."""
    scale: At = ()
    """Where the scale subresource puts its replicas [A9]; empty where the kind has none."""
    surge: At = ()
    """Where it states how many pods more than it demands a rollout may make; empty where the kind does not."""
    observes: bool = False
    """Its controller says in ``status.observedGeneration`` which spec it has acted on [P5]."""
    children_counted: bool = False
    """It demands nothing itself: its children carry the label and are counted, whoever made them [A8]."""
    child_labels: At = ()
    """Where the labels of its children stand, if they are counted."""
    between: tuple[Resource, ...] = ()
    """What stands between it and its pods: their controllers, and those of these in turn, up to it. Pods may, too."""

    @functools.cached_property
    def unseen(self) -> tuple[tuple[At | None, At], ...]:
        """Templates that no expression looks into: where the items stand, and where the template of each does.

        To translate them for expressions takes most of the time that these take.
        """
        texts = [each.text for each in (*self.nothing_when, *(part for group in self.pod_groups for part in group.all))]
        groups = {
            (each.each, each.inside): each.is_unseen_by(texts) for each in self.pod_groups if each.template is not None
        }
        return tuple(where for where, unseen in groups.items() if unseen)

    @functools.cached_property
    def borrows_from(self) -> frozenset[Resource]:
        """Whose templates objects of this kind may have for their own."""
        groups = (each.template_from for each in self.pod_groups)
        return frozenset(each.resource for each in groups if each is not None)

    def place_of(self, template: At) -> int | None:
        """Which of its groups of pods has the template that stands there; None where none always has."""
        for place, group in enumerate(self.pod_groups):
            if group.each is not None:
                return None  # how many groups there are only an object tells
            if group.template == template:
                return place
        return None

    @property
    def count_key(self) -> str:
        """The key that counts workloads of this kind [K1]."""
        return count_key(self.resource, self.group)
