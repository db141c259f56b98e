"""How is the JSON of a pod spec read, and which of its amounts are broken? [A14, P1-P3].

Templates of custom resources are hardly checked by the API server: ``"abc"``, ``1.5``, null or ``-1`` arrive here.
What cannot be read is left out and reported with its path; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bizrq.domain.pod_resources import Container, PodResources, ResourceList
from bizrq.domain.quantity import Quantity, QuantityError, from_json

__all__ = ["FieldProblem", "read_pod_spec"]


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
    fields = _mapping(spec, path, problems)
    whole = _mapping(fields.get("resources"), f"{path}.resources", problems)
    pod = PodResources(
        containers=_containers(fields.get("containers"), f"{path}.containers", problems),
        init_containers=_containers(fields.get("initContainers"), f"{path}.initContainers", problems),
        requests=_amounts(whole.get("requests"), f"{path}.resources.requests", problems),
        limits=_amounts(whole.get("limits"), f"{path}.resources.limits", problems),
        overhead=_amounts(fields.get("overhead"), f"{path}.overhead", problems),
    )
    return pod, problems


def _mapping(value: object, path: str, problems: list[FieldProblem]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if value is not None:
        problems.append(FieldProblem(path, "must be an object"))
    return {}


def _containers(value: object, path: str, problems: list[FieldProblem]) -> list[Container]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.append(FieldProblem(path, "must be a list of containers"))
        return []
    result = []
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        fields = _mapping(item, where, problems)
        resources = _mapping(fields.get("resources"), f"{where}.resources", problems)
        result.append(
            Container(
                name=str(fields.get("name", index)),
                requests=_amounts(resources.get("requests"), f"{where}.resources.requests", problems),
                limits=_amounts(resources.get("limits"), f"{where}.resources.limits", problems),
                sidecar=fields.get("restartPolicy") == "Always",
            )
        )
    return result


def _amounts(value: object, path: str, problems: list[FieldProblem]) -> ResourceList:
    result: dict[str, Quantity] = {}
    for name, text in _mapping(value, path, problems).items():
        try:
            amount = from_json(text)
        except QuantityError as error:
            problems.append(FieldProblem(f"{path}.{name}", str(error)))
            continue
        if amount.nano < 0:
            problems.append(FieldProblem(f"{path}.{name}", f"must be at least 0, not {text}"))
            continue
        # The API server rounds every amount of a pod up to milli before anything is added (SetDefaults_ResourceList).
        result[name] = amount.rounded_up_to_milli()
    return result
