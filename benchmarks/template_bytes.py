"""What do pods of one template have in common, in the API server's JSON?"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["JSON", "Template", "compact", "make_template"]

JSON = dict[str, Any]

_WITH_INIT: Final = 3
"""Containers from which on a pod has an init container too."""


def _key(name: str, value: str) -> str:
    return f"k:{compact({name: value})}"


def compact(value: object) -> str:
    """JSON without blanks, as the API server writes it."""
    return json.dumps(value, separators=(",", ":"))


_AMOUNT_FIELDS: Final[JSON] = {".": {}, "f:cpu": {}, "f:memory": {}}

_CONTAINER_FIELDS: Final[JSON] = {
    ".": {},
    "f:env": {".": {}, _key("name", "LOG_LEVEL"): {".": {}, "f:name": {}, "f:value": {}}},
    "f:image": {},
    "f:imagePullPolicy": {},
    "f:name": {},
    "f:resources": {".": {}, "f:limits": _AMOUNT_FIELDS, "f:requests": _AMOUNT_FIELDS},
    "f:terminationMessagePath": {},
    "f:terminationMessagePolicy": {},
    "f:volumeMounts": {".": {}, _key("mountPath", "/etc/app"): {".": {}, "f:mountPath": {}, "f:name": {}}},
}


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of a pod that it shares with its siblings."""

    requested_milli: int
    controller_fields: str
    """fieldsV1 of the controller manager's entry."""
    spec: str
    """JSON of the spec, with ``%(node)s`` in it."""
    names: tuple[str, ...]
    init_names: tuple[str, ...]
    images: tuple[str, ...]
    told: tuple[str, ...]
    """What a node that can resize in place says of each container, as fields of its status (since Kubernetes 1.33)."""


def make_template(dice: random.Random, number: int) -> Template:
    """A template of one container, or a few with an init container, all with requests and limits."""
    count = dice.choices((1, 2, 3), (70, 22, 8))[0]
    containers = [
        _container(dice, f"app-{number}" if index == 0 else f"side-{index}", number) for index in range(count)
    ]
    init = [_container(dice, "prepare", number)] if count == _WITH_INIT else []
    spec: JSON = {
        "volumes": [{"name": "config", "configMap": {"name": f"config-{number}", "defaultMode": 420}}],
        **({"initContainers": init} if init else {}),
        "containers": containers,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "nodeName": "%(node)s",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for key in ("not-ready", "unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    fields = {
        "f:metadata": {
            "f:generateName": {},
            "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"%(owner)s"}': {}},
        },
        "f:spec": {
            "f:containers": {_key("name", each["name"]): _CONTAINER_FIELDS for each in containers},
            **({"f:initContainers": {_key("name", each["name"]): _CONTAINER_FIELDS for each in init}} if init else {}),
            **{f"f:{name}": {} for name in ("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName")},
            "f:securityContext": {},
            "f:terminationGracePeriodSeconds": {},
        },
    }
    return Template(
        requested_milli=_requested(containers, init),
        controller_fields=compact(fields),
        spec=compact(spec),
        names=tuple(each["name"] for each in containers),
        init_names=tuple(each["name"] for each in init),
        images=tuple(each["image"] for each in containers),
        told=tuple(
            compact({"allocatedResources": each["resources"]["requests"], "resources": each["resources"]})[1:-1]
            for each in containers
        ),
    )


def _container(dice: random.Random, name: str, number: int) -> JSON:
    cpu, memory = dice.choice((50, 100, 150, 250, 500, 1000, 2000)), dice.choice((64, 128, 192, 256, 512, 1024, 4096))
    return {
        "name": name,
        "image": f"images.example/team/{name}:1.{number}.{dice.randrange(20)}",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}],
        "resources": {
            "limits": {"cpu": f"{cpu * 2}m", "memory": f"{memory * 2}Mi"},
            "requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def _requested(containers: list[JSON], init: list[JSON]) -> int:
    def milli(container: JSON) -> int:
        return int(container["resources"]["requests"]["cpu"].removesuffix("m"))

    return max(sum(map(milli, containers)), max(map(milli, init), default=0))
