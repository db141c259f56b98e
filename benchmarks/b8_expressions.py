"""What do the expressions of kinds cost, beside the same written in Python, and in other languages for expressions?

Other libraries are no dependencies: those that are installed (``pip install cel-python common-expression-language
jmespath``) are measured, the others are left out.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.harness import Table, median
from bizrq.domain.pod_resources import held
from bizrq.domain.pod_template import read_pod_spec
from bizrq.domain.resource_names import DEFAULT_GPU_RESOURCES
from bizrq.workloads.expression import Expression, Scope
from bizrq.workloads.read import read_workload
from bizrq.workloads.registry import built_in

__all__ = ["measure"]

JSON = dict[str, Any]

_OBJECTS: Final = 10_000
_ROUNDS, _QUICK_ROUNDS = 7, 3
_EVALUATIONS: Final = 300
"""A pass over one library; the slowest takes a third of a millisecond each."""

_CLAMPED: Final = "math.least(math.greatest({0}.replicas, {0}.minReplicas), {0}.maxReplicas) * {0}.numOfHosts"


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and the figures behind it."""
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    figures = [*_libraries(rounds), *_objects(rounds)]
    rows = [[each["what"], _shown(each["us"]), _shown(each["python us"]), f"{each['times']:.2g}"] for each in figures]
    return (["what", "time", "in Python", "times as long"], rows), {"rows": figures}


# --- languages -------------------------------------------------------------------------------------------------------


def _libraries(rounds: int) -> list[dict[str, Any]]:
    """One evaluation on an object that is new each time, as a watch and a review have it."""
    deployment, cluster = _deployment(), _ray_cluster()
    group = cluster["spec"]["workerGroupSpecs"][0]
    found = []
    for where, raw, python in (
        ("Deployment, replicas or 1", deployment, lambda: deployment["spec"].get("replicas", 1)),
        ("RayCluster, replicas of a group within bounds", cluster, lambda: _clamped(group)),
    ):
        base = _seconds(python, rounds)
        for name, evaluate in _evaluators(raw is cluster, raw, group).items():
            found.append(_row(f"{where}: {name}", _seconds(evaluate, rounds), base))
    return found


def _evaluators(clamp: bool, raw: JSON, group: JSON) -> dict[str, Callable[[], object]]:  # noqa: FBT001  # one caller
    """The same question by each library that is here."""
    ours = Expression(_CLAMPED.format("item") if clamp else "object.spec.?replicas.orValue(1)", "INT")
    made: dict[str, Callable[[], object]] = {"CEL, cel-expr-python": lambda: ours.number(Scope(raw, group))}
    if importlib.util.find_spec("cel"):
        cel = importlib.import_module("cel")

        rust = cel.compile("least([greatest([g.replicas, g.minReplicas]), g.maxReplicas]) * g.numOfHosts" if clamp
                           else "has(object.spec.replicas) ? object.spec.replicas : 1")  # fmt: skip
        functions = {"least": min, "greatest": max}

        def in_rust() -> object:
            context = cel.Context({"object": raw} if not clamp else {"g": group})
            for name, function in functions.items() if clamp else ():
                context.add_function(name, function)
            return rust.execute(context)

        made["CEL, common-expression-language"] = in_rust
    if importlib.util.find_spec("celpy"):
        celpy = importlib.import_module("celpy")

        text = "g.replicas * g.numOfHosts" if clamp else "has(object.spec.replicas) ? object.spec.replicas : 1"
        environment = celpy.Environment()
        program = environment.program(environment.compile(text))
        name, value = ("g", group) if clamp else ("object", raw)
        made["CEL, cel-python (without bounds)" if clamp else "CEL, cel-python"] = lambda: program.evaluate(
            {name: celpy.json_to_cel(value)}
        )
    if importlib.util.find_spec("jmespath"):
        jmespath, functions_of = importlib.import_module("jmespath"), importlib.import_module("jmespath.functions")

        class Own(functions_of.Functions):  # type: ignore[name-defined,misc]  # it has no types
            @functions_of.signature(*({"types": ["number"]} for _ in range(4)))  # type: ignore[untyped-decorator]
            def _func_clamped(self, replicas: int, least: int, most: int, hosts: int) -> int:
                return min(max(replicas, least), most) * hosts

        options = jmespath.Options(custom_functions=Own())
        compiled = jmespath.compile(
            "clamped(replicas, minReplicas, maxReplicas, numOfHosts)" if clamp else "spec.replicas || `1`"
        )
        subject = group if clamp else raw
        made["JMESPath with own functions"] = lambda: compiled.search(subject, options=options)
    return made


# --- whole objects ---------------------------------------------------------------------------------------------------


def _objects(rounds: int) -> list[dict[str, Any]]:
    """What one object demands, beside the same without a description: its templates read, its numbers taken."""
    kinds = {kind.kind: kind for kind in built_in()}
    found = []
    for name, raw, templates in (
        ("Deployment", _deployment(), [_template()]),
        ("RayCluster of 4 groups", _ray_cluster(), [_template() for _ in range(4)]),
    ):
        kind = kinds[raw["kind"]]
        ours = _seconds(functools.partial(read_workload, raw, kind, DEFAULT_GPU_RESOURCES), rounds)
        base = _seconds(functools.partial(_read_templates, templates), rounds)
        found.append(_row(f"{name}, all that it demands", ours, base))
        found.append(_row(f"{_OBJECTS:,} of these", ours * _OBJECTS, base * _OBJECTS))
    return found


def _read_templates(templates: list[JSON]) -> object:
    return [held(read_pod_spec(each["spec"])[0]) for each in templates]


def _clamped(group: Mapping[str, int]) -> int:
    return min(max(group["replicas"], group["minReplicas"]), group["maxReplicas"]) * group["numOfHosts"]


def _seconds(call: Callable[[], object], rounds: int) -> float:
    """Of one call."""

    def once() -> float:
        began = time.perf_counter()
        for _ in range(_EVALUATIONS):
            call()
        return (time.perf_counter() - began) / _EVALUATIONS

    return median([once() for _ in range(rounds)])


def _shown(microseconds: float) -> str:
    if microseconds > 10**4:
        return f"{microseconds / 10**6:.2g} s"
    return f"{microseconds:.3g} us"


def _row(what: str, seconds: float, base: float) -> dict[str, Any]:
    return {"what": what, "us": seconds * 1e6, "python us": base * 1e6, "times": seconds / base}


def _metadata(name: str) -> JSON:
    return {
        "name": name, "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 1,
        "labels": {"biz.group.resource.quota": "team-vision", "app": name},
    }  # fmt: skip


def _template() -> JSON:
    amounts = {"cpu": "2", "memory": "4Gi"}
    container = {
        "image": "registry.example.com/app:1",
        "env": [{"name": f"SETTING_{number}", "value": "of some length"} for number in range(15)],
        "resources": {"requests": amounts, "limits": amounts},
    }
    containers = [{"name": name, **container} for name in ("main", "proxy")]
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}


def _deployment() -> JSON:
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": _template()}
    conditions = [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True"}]
    status = {"observedGeneration": 1, "replicas": 3, "conditions": conditions}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata("web"), "spec": spec, "status": status}


def _ray_cluster() -> JSON:
    group = {"replicas": 3, "minReplicas": 1, "maxReplicas": 10, "numOfHosts": 2, "template": _template()}
    groups = [{"groupName": f"group-{number}", **group} for number in range(3)]
    spec = {"rayVersion": "2.46.0", "headGroupSpec": {"template": _template()}, "workerGroupSpecs": groups}
    return {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": _metadata("ray"), "spec": spec}
