"""How is a kind of workload described, in Python and in YAML?

A kind is data: which API it has, where its pod groups stand, and when it demands nothing. The package's own file is
``built_in.yaml``; a file of the same form adds more. Every error of a description names file, kind and field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, NoReturn, final
from urllib.parse import quote

import yaml

from bizrq.domain.resource_names import count_key

__all__ = ["Count", "Kind", "KindError", "NothingWhen", "PodGroupAt", "built_in", "load_kinds", "read_kinds"]

Path_ = tuple[str, ...]
"""Where a field stands: the names of the fields on the way to it."""


@final
class KindError(ValueError):
    """A description of kinds is wrong; the message names file, kind and field."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number that an object states: the field at ``path``, less the field at ``minus``."""

    path: Path_
    default: int | None = None
    """What it is where the field is absent; None: then it says nothing."""
    minus: Path_ | None = None


@dataclass(frozen=True, slots=True)
class PodGroupAt:
    """Where a group of equal pods stands in an object: the least of ``replicas`` pods of the template."""

    template: Path_
    """Empty where the object is a pod itself."""
    replicas: tuple[Count, ...]
    """None: it is one pod."""


@dataclass(frozen=True, slots=True)
class NothingWhen:
    """One reason why an object demands no pods: a field that has a value, or a condition that is True."""

    path: Path_ = ()
    value: object = None
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A counted kind of workload."""

    group: str
    version: str
    resource: str
    """The plural, as in URLs and in ``count/<resource>.<group>``."""
    kind: str
    pod_groups: tuple[PodGroupAt, ...]
    nothing_when: tuple[NothingWhen, ...] = ()
    scale: Path_ = ()
    """Where the scale subresource puts its replicas [A9]; empty where the kind has none."""
    observes: bool = False
    """Its controller says in ``status.observedGeneration`` which spec it has acted on [P5]."""

    @property
    def count_key(self) -> str:
        """The key that counts workloads of this kind [K1]."""
        return count_key(self.resource, self.group)

    @property
    def id(self) -> str:
        """``deployments.apps``, as people write it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def url(self) -> str:
        """Where all objects of this kind are listed."""
        return f"{self._root}/{self.resource}"

    def object_url(self, namespace: str, name: str) -> str:
        """Where one object of this kind is read."""
        return f"{self._root}/namespaces/{quote(namespace, safe='')}/{self.resource}/{quote(name, safe='')}"

    @property
    def _root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


def built_in() -> tuple[Kind, ...]:
    """The kinds that the package knows."""
    source = resources.files("bizrq.workloads").joinpath("built_in.yaml")
    return read_kinds(source.read_text(encoding="utf-8"), "built_in.yaml")


def load_kinds(more: Path | None = None) -> tuple[Kind, ...]:
    """The built-in kinds and those of the file ``more``. Raises ``KindError``, also where a kind comes twice."""
    kinds = built_in()
    if more is not None:
        try:
            text = more.read_text(encoding="utf-8")
        except OSError as error:
            msg = f"{more}: {error.strerror}"
            raise KindError(msg) from error
        kinds += read_kinds(text, str(more))
    seen: dict[str, Kind] = {}
    for kind in kinds:
        if kind.id in seen:
            msg = f"{more}: {kind.id} is described already; describe each kind once"
            raise KindError(msg)
        seen[kind.id] = kind
    return kinds


def read_kinds(text: str, name: str) -> tuple[Kind, ...]:
    """The kinds of a YAML text; ``name`` is how errors call it. Raises ``KindError``."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"{name}: no YAML: {error}"
        raise KindError(msg) from error
    listed = _Fields(document, name).take("kinds", list)
    return tuple(_kind(each, f"{name}: kinds[{index}]") for index, each in enumerate(listed))


# --- reading, strictly -----------------------------------------------------------------------------------------------

_DNS: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_FIELD: Final = re.compile(r"[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*")


class _Fields:
    """A mapping of a description, taken apart field by field; what is left over is an error."""

    def __init__(self, value: object, where: str) -> None:
        self.where = where
        self.rest: dict[str, Any] = dict(value) if isinstance(value, Mapping) else self.fail("must be a mapping")

    def fail(self, why: str) -> NoReturn:
        msg = f"{self.where}: {why}"
        raise KindError(msg)

    def take(self, field: str, kind: type, default: Any = ...) -> Any:
        if field not in self.rest:
            if default is ...:
                self.fail(f"the field {field} is missing")
            return default
        value = self.rest.pop(field)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(f"{field} must be a {kind.__name__}, not {value!r}")
        return value

    def path(self, field: str, default: Any = ..., *, whole: bool = False) -> Path_:
        """A path; of the ``whole`` object ``.`` may be said."""
        text = self.take(field, str, default)
        if text is None or (whole and text == "."):
            return ()
        if not _FIELD.fullmatch(text):
            self.fail(f"{field} must be names of fields with dots between them, not {text!r}")
        return tuple(text.split("."))

    def done(self) -> None:
        if self.rest:
            self.fail(f"unknown field {', '.join(sorted(map(str, self.rest)))}")


def _kind(value: object, where: str) -> Kind:
    fields = _Fields(value, where)
    kind = fields.take("kind", str)
    fields.where = where = f"{where} ({kind})"
    group, version, resource = fields.take("group", str), fields.take("version", str), fields.take("resource", str)
    for field, text in (("group", group), ("version", version), ("resource", resource)):
        if not _DNS.fullmatch(text) and not (field == "group" and not text):
            fields.fail(f"{field} must be small letters and digits, not {text!r}")
    result = Kind(
        group=group,
        version=version,
        resource=resource,
        kind=kind,
        pod_groups=tuple(
            _pod_group(each, f"{where}: podGroups[{index}]")
            for index, each in enumerate(fields.take("podGroups", list))
        ),
        nothing_when=tuple(
            _nothing_when(each, f"{where}: nothingWhen[{index}]")
            for index, each in enumerate(fields.take("nothingWhen", list, []))
        ),
        scale=fields.path("scale", None),
        observes=fields.take("observes", bool, False),
    )
    fields.done()
    return result


def _pod_group(value: object, where: str) -> PodGroupAt:
    fields = _Fields(value, where)
    template = fields.path("template", whole=True)
    listed = fields.take("replicas", list, None if not template else ...)
    counts = tuple(_count(each, f"{where}: replicas[{index}]") for index, each in enumerate(listed or ()))
    if not counts and listed is not None:
        fields.fail("replicas must name at least one number")
    fields.done()
    return PodGroupAt(template, counts)


def _count(value: object, where: str) -> Count:
    fields = _Fields(value, where)
    count = Count(fields.path("path"), fields.take("default", int, None), fields.path("minus", None) or None)
    fields.done()
    return count


def _nothing_when(value: object, where: str) -> NothingWhen:
    fields = _Fields(value, where)
    condition = fields.take("condition", str, None)
    if condition is not None:
        result = NothingWhen(condition=condition)
    else:
        result = NothingWhen(path=fields.path("path"), value=fields.take("is", object))
    fields.done()
    return result
