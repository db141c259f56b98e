"""How is the JSON of a pod spec read, and which of its amounts are broken? [A14, P1-P3].

Templates of custom resources are hardly checked by the API server: ``"abc"``, ``1.5``, null or ``-1`` arrive here.
What cannot be read is left out and reported with its path; nothing here raises.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bizrq.domain.pod_resources import Container, PodResources, ResourceList
from bizrq.domain.quantity import Quantity, QuantityError, from_json, parse

__all__ = ["FieldProblem", "read_overhead", "read_pod_spec"]

_CLASS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What a RuntimeClass can be called; a pod that names anything else is refused by the API server."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A field of an object that does not say what it must."""

    path: str
    why: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.path}: {self.why}"


def read_pod_spec(spec: object, path: str = "spec") -> tuple[PodResources, list[FieldProblem]]:
    """What a pod spec states, and the fields of it that could not be read; ``path`` is where it stands."""
    problems: list[FieldProblem] = []
    fields = _mapping(spec, problems, path)
    whole = _mapping(fields.get("resources"), problems, path, ".resources")
    pod = PodResources(
        containers=_containers(fields.get("containers"), problems, path, ".containers"),
        init_containers=_containers(fields.get("initContainers"), problems, path, ".initContainers"),
        requests=_amounts(whole.get("requests"), problems, path, ".resources.requests"),
        limits=_amounts(whole.get("limits"), problems, path, ".resources.limits"),
        overhead=_amounts(fields.get("overhead"), problems, path, ".overhead"),
        runtime_class=_class_name(fields.get("runtimeClassName")),
    )
    return pod, problems


def read_overhead(overhead: object) -> ResourceList:
    """What a RuntimeClass adds to each pod, from its field ``overhead`` [P3].

    What is no quantity is left out: the API server stores no such class.
    """
    problems: list[FieldProblem] = []
    return _amounts(_mapping(overhead, problems).get("podFixed"), problems)


def _class_name(value: object) -> str:
    return value if isinstance(value, str) and _CLASS_NAME.fullmatch(value) else ""


# The parts of a path are joined only where a problem is told: with 5 containers that is half of the time.


def _mapping(value: object, problems: list[FieldProblem], *path: object) -> Mapping[str, Any]:
    if value.__class__ is dict or isinstance(value, Mapping):  # the first is true for all JSON, and ten times as fast
        return value
    if value is not None:
        problems.append(_problem("must be an object", path))
    return {}


def _containers(value: object, problems: list[FieldProblem], *path: object) -> list[Container]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.append(_problem("must be a list of containers", path))
        return []
    result = []
    for index, item in enumerate(value):
        where = (*path, "[", index, "]")
        fields = _mapping(item, problems, *where)
        resources = _mapping(fields.get("resources"), problems, *where, ".resources")
        result.append(
            Container(
                name=str(fields.get("name", index)),
                requests=_amounts(resources.get("requests"), problems, *where, ".resources.requests"),
                limits=_amounts(resources.get("limits"), problems, *where, ".resources.limits"),
                sidecar=fields.get("restartPolicy") == "Always",
            )
        )
    return result


def _amounts(value: object, problems: list[FieldProblem], *path: object) -> ResourceList:
    result: dict[str, Quantity] = {}
    for name, text in _mapping(value, problems, *path).items():
        try:
            result[name] = _of_text(text) if text.__class__ is str else _held(from_json(text))
        except QuantityError as error:
            problems.append(_problem(str(error), (*path, ".", name)))
    return result


@functools.lru_cache(maxsize=4096)
def _of_text(text: str) -> Quantity:
    return _held(parse(text))


def _held(amount: Quantity) -> Quantity:
    """An amount as the API server holds it: never negative, and rounded up to milli before anything is added.

    Source: SetDefaults_ResourceList. Raises ``QuantityError``.
    """
    if amount.nano < 0:
        msg = f"must be at least 0, not {amount}"
        raise QuantityError(msg)
    return amount.rounded_up_to_milli()


def _problem(why: str, path: tuple[object, ...]) -> FieldProblem:
    return FieldProblem("".join(map(str, path)), why)
