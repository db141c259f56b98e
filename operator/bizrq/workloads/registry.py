"""Which kinds are counted, and how is their description read from YAML?

The package's own file is ``built_in.yaml``; a file of the same form adds more. Every error of a description names file,
kind and field, and of an expression what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NoReturn, final

import yaml

from bizrq.workloads.expression import Expression, ExpressionError
from bizrq.workloads.kind import PODS_ID, At, Kind, PodGroupAt, Resource, TemplateFrom

__all__ = ["KindError", "between", "built_in", "built_in_text", "lenders", "load_kinds", "read_kinds"]


@final
class KindError(ValueError):
    """A description of kinds is wrong; the message names file, kind and field."""


def built_in_text() -> str:
    """The description of the kinds that the package knows, as it stands there."""
    return resources.files("bizrq.workloads").joinpath("built_in.yaml").read_text(encoding="utf-8")


def built_in() -> tuple[Kind, ...]:
    """The kinds that the package knows."""
    return read_kinds(built_in_text(), "built_in.yaml")


def load_kinds(more: Path | None = None) -> tuple[Kind, ...]:
    """The built-in kinds and those of the file ``more``. Raises ``KindError``, also where a kind comes twice."""
    kinds = built_in()
    if more is not None:
        try:
            text = more.read_text(encoding="utf-8")
        except OSError as error:
            msg = f"{more}: {error.strerror}"
            raise KindError(msg) from error
        except UnicodeDecodeError as error:
            msg = f"{more}: no text in UTF-8: {error.reason} at byte {error.start}"
            raise KindError(msg) from error
        kinds += read_kinds(text, str(more))
    seen: set[object] = set()
    for kind in kinds:
        # By the plural objects are found, by the kind owners are: a wrong plural must not take the right one's place.
        of_kind = f"the kind {kind.kind} of {kind.group or 'the core'}"
        for known, name in ((kind.id, kind.id), (kind.of_kind, of_kind)):
            if known in seen:
                msg = f"{more}: {name} is described already; describe each kind once"
                raise KindError(msg)
            seen.add(known)
    _check_lenders(kinds)
    return kinds


def _check_lenders(kinds: Sequence[Kind]) -> None:
    """A template that is had from another object must be that of a group of pods of a counted kind."""
    counted = {(each.id, each.version): each for each in kinds}
    for kind in kinds:
        for group in kind.pod_groups:
            borrowed = group.template_from
            if borrowed is None:
                continue
            lender = counted.get((borrowed.resource.id, borrowed.resource.version))
            if lender is None or lender.place_of(borrowed.template) is None:
                msg = (
                    f"{kind.id}: templateFrom: {'.'.join(borrowed.template)} of {borrowed.resource.id} in "
                    f"{borrowed.resource.version} is no template of a kind that is counted; describe that kind too"
                )
                raise KindError(msg)


def lenders(kinds: Iterable[Kind]) -> frozenset[str]:
    """The ids of the kinds whose templates objects of other kinds may have for their own."""
    return frozenset(each.id for kind in kinds for each in kind.borrows_from)


def between(kinds: Iterable[Kind]) -> tuple[Resource, ...]:
    """What stands between workloads of these kinds and their pods, each once."""
    return tuple({each: None for kind in kinds for each in kind.between})


def read_kinds(text: str, name: str) -> tuple[Kind, ...]:
    """The kinds of a YAML text; ``name`` is how errors call it. Raises ``KindError``."""
    try:
        document = yaml.load(text, _Strict)  # noqa: S506  # it is a safe loader
    except yaml.YAMLError as error:
        msg = f"{name}: no YAML: {error}"
        raise KindError(msg) from error
    fields = _Fields(document, name)
    listed = fields.take("kinds", list)
    fields.done()
    return tuple(_kind(each, f"{name}: kinds[{index}]") for index, each in enumerate(listed))


class _Strict(yaml.SafeLoader):
    """YAML whose mappings have each field once; of two, others take the last and lose the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        names = [each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


# --- reading, strictly -----------------------------------------------------------------------------------------------

_DNS: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_FIELD: Final = re.compile(r"[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*")
_ITSELF: Final = "."


class _Fields:
    """A mapping of a description, taken apart field by field; what is left over is an error."""

    def __init__(self, value: object, where: str) -> None:
        self.where, self.has_item = where, False
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
        if not isinstance(value, kind):
            self.fail(f"{field} must be a {kind.__name__}, not {value!r}")
        return value

    def name(self, field: str) -> str:
        text: str = self.take(field, str)
        if not _DNS.fullmatch(text) and not (field == "group" and not text):
            self.fail(f"{field} must be small letters and digits, not {text!r}")
        return text

    def path(self, field: str, *, itself: bool = False) -> At | None:
        """Where a field stands; None where the description does not say. ``itself``: it may be the whole object."""
        text = self.take(field, str, None)
        if text is None:
            return None
        if itself and text == _ITSELF:
            return ()
        if not _FIELD.fullmatch(text):
            self.fail(f"{field} must be names of fields with dots between them, not {text!r}")
        return tuple(text.split("."))

    def expression(self, field: str, *types: str) -> Expression:
        return self.compiled(field, self.take(field, str), *types)

    def compiled(self, field: str, text: object, *types: str) -> Expression:
        if not isinstance(text, str):
            self.fail(f"{field} must be an expression in quotes, not {text!r}")
        try:
            expression = Expression(text, *types)
        except ExpressionError as error:
            self.fail(f"{field} is no expression that can be used: {error}")
        if expression.needs_item and not self.has_item:
            self.fail(f"{field} speaks of item, which is there only in a group of pods with each")
        return expression

    def expressions(self, field: str, *types: str) -> tuple[tuple[str, Expression], ...]:
        """A mapping of names to expressions."""
        found = self.take(field, Mapping, {})
        return tuple((str(name), self.compiled(f"{field}.{name}", text, *types)) for name, text in found.items())

    def done(self) -> None:
        if self.rest:
            self.fail(f"unknown field {', '.join(sorted(map(str, self.rest)))}")


def _kind(value: object, where: str) -> Kind:
    fields = _Fields(value, where)
    kind = fields.take("kind", str)
    fields.where = where = f"{where} ({kind})"
    children = fields.take("children", str, None)
    if children not in {None, "counted"}:
        fields.fail(f"children must be counted, or be left out, not {children!r}")
    result = Kind(
        group=fields.name("group"),
        version=fields.name("version"),
        resource=fields.name("resource"),
        kind=kind,
        pod_groups=tuple(
            _pod_group(each, f"{where}: podGroups[{index}]")
            for index, each in enumerate(fields.take("podGroups", list, [] if children else ...))
        ),
        nothing_when=tuple(
            fields.compiled(f"nothingWhen[{index}]", each, "BOOL")
            for index, each in enumerate(fields.take("nothingWhen", list, []))
        ),
        scale=fields.path("scale") or (),
        surge=fields.path("surge") or (),
        observes=fields.take("observes", bool, False),
        children_counted=children is not None,
        child_labels=fields.path("childLabels") or (),
        between=tuple(
            _resource(each, f"{where}: between[{index}]") for index, each in enumerate(fields.take("between", list, []))
        ),
    )
    if not result.children_counted and not result.pod_groups:
        fields.fail("podGroups must have at least one group: objects without any would ask for nothing")
    for place in (*(each.each or each.template or ("spec",) for each in result.pod_groups), result.scale or ("spec",)):
        if place[0] != "spec":
            fields.fail(f"{'.'.join(place)} is not in spec: changes of anything else are not reviewed")
    if sum(1 for each in result.pod_groups if each.template_from) > 1:
        fields.fail("templateFrom may be in one of the podGroups only")
    if result.children_counted and (result.pod_groups or result.scale):
        fields.fail("children: counted leaves the counting to the children: podGroups and scale cannot be there")
    if result.children_counted != bool(result.child_labels):
        fields.fail("children: counted and childLabels, where the labels of the children stand, go together")
    fields.done()
    return result


def _resource(value: object, where: str) -> Resource:
    fields = _Fields(value, where)
    result = _named(fields)
    fields.done()
    if result.id == PODS_ID:
        fields.fail("pods need not be named: that a pod may be the controller of others is known")
    return result


def _named(fields: _Fields) -> Resource:
    return Resource(fields.name("group"), fields.name("version"), fields.name("resource"), fields.take("kind", str))


def _pod_group(value: object, where: str) -> PodGroupAt:
    fields = _Fields(value, where)
    fields.has_item = "each" in fields.rest
    reference = fields.take("templateFrom", Mapping, None)
    group = PodGroupAt(
        replicas=fields.expression("replicas", "INT"),
        template=fields.path("template", itself=True),
        each=fields.path("each"),
        template_from=None if reference is None else _template_from(reference, f"{where}: templateFrom"),
        requests=fields.expressions("requests", "STRING", "INT"),
        limits=fields.expressions("limits", "STRING", "INT"),
    )
    if (group.template is None) == (not group.requests and not group.limits):
        fields.fail("it must have either a template, or requests and limits")
    if group.template_from is not None and group.template is None:
        fields.fail("templateFrom goes with the field template, which is looked at first")
    if group.template_from is not None and group.each is not None:
        fields.fail("templateFrom cannot be where there are several groups, with each")
    fields.done()
    return group


def _template_from(value: object, where: str) -> TemplateFrom:
    fields = _Fields(value, where)
    result = TemplateFrom(
        ref=fields.path("ref") or fields.fail("the field ref is missing"),
        resource=_named(fields),
        template=fields.path("template") or fields.fail("the field template is missing"),
    )
    fields.done()
    return result
