"""Which keys exist, and what does a model do to a key? [K1-K5].

Keys are built from the workload outwards: a container's resource gives the keys that it is charged on, and a model
named by the workload gives the same keys once more with ``.model`` behind. A model is never guessed by splitting a
key, since names such as ``nvidia.com/mig-1g.5gb`` have dots of their own.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from dataclasses import dataclass
from typing import Final

__all__ = [
    "CASH",
    "DEFAULT_GPU_RESOURCES",
    "NO_MODELS",
    "PODS",
    "GpuResources",
    "KeyProblem",
    "Models",
    "cash_base",
    "count_key",
    "is_cash",
    "key_problem",
    "keys_of_limit",
    "keys_of_request",
]

CASH: Final = "cash/"
"""What stands before a key that is a budget in resource-hours [K3]."""

PODS: Final = "pods"
"""The key of replicas [K1]."""

MODELLED_COMPUTE: Final = ("cpu", "memory")
PLAIN_COMPUTE: Final = (*MODELLED_COMPUTE, "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Models:
    """The hardware models a workload names by label; None where it names none [K2]."""

    cpu: str | None = None
    gpu: str | None = None
    memory: str | None = None


NO_MODELS: Final = Models()


@dataclass(frozen=True, slots=True)
class GpuResources:
    """Which extended resources are GPUs [K2]: names, ``*`` allowed, of any domain unless one is given."""

    patterns: tuple[str, ...] = ("gpu", "mig-*")

    def __contains__(self, resource: str) -> bool:
        """Whether ``resource``, such as ``nvidia.com/gpu``, is a GPU."""
        domain, slash, name = resource.partition("/")
        return bool(slash and domain) and any(
            fnmatch.fnmatchcase(resource if "/" in pattern else name, pattern) for pattern in self.patterns
        )


DEFAULT_GPU_RESOURCES: Final = GpuResources()


def count_key(resource: str, group: str) -> str:
    """The key that counts workloads of a kind, 1 a workload: ``count/deployments.apps``, ``count/pods`` [K1]."""
    return f"count/{resource}.{group}" if group else f"count/{resource}"


def is_cash(key: str) -> bool:
    """Whether ``key`` is a budget in resource-hours [K3]."""
    return key.startswith(CASH)


def cash_base(key: str) -> str:
    """The compute key whose hours ``key`` limits; ``key`` must be a cash key."""
    return key.removeprefix(CASH)


def is_extended(resource: str) -> bool:
    """Whether a container's resource is an extended one, such as ``nvidia.com/gpu``; as Kubernetes decides it.

    Source: apis/core/v1/helper, IsExtendedResourceName; what has ``kubernetes.io/`` in it is Kubernetes' own.
    """
    domain, slash, name = resource.partition("/")
    return (
        bool(slash and domain and name) and not domain.endswith("kubernetes.io") and not domain.startswith("requests.")
    )


@functools.lru_cache(maxsize=4096)
def keys_of_request(resource: str, models: Models, gpus: GpuResources) -> tuple[str, ...]:
    """The keys on which a request of ``resource`` is charged, plain keys always [K1, K2]; empty: not counted."""
    if resource in PLAIN_COMPUTE:
        return _with_model((resource, f"requests.{resource}"), _compute_model(resource, models))
    if resource.startswith("hugepages-"):
        return (resource, f"requests.{resource}")
    if is_extended(resource):
        return _with_model((f"requests.{resource}",), models.gpu if resource in gpus else None)
    return ()


@functools.lru_cache(maxsize=4096)
def keys_of_limit(resource: str, models: Models) -> tuple[str, ...]:
    """The keys on which a limit of ``resource`` is charged [K1, K2]; empty: not counted."""
    if resource in PLAIN_COMPUTE:
        return _with_model((f"limits.{resource}",), _compute_model(resource, models))
    return ()


def _compute_model(resource: str, models: Models) -> str | None:
    return models.cpu if resource == "cpu" else models.memory if resource == "memory" else None


def _with_model(keys: tuple[str, ...], model: str | None) -> tuple[str, ...]:
    return (*keys, *(f"{key}.{model}" for key in keys)) if model else keys  # an empty label counts as none [K2]


# --- which keys may stand in hard ------------------------------------------------------------------------------------

_MODEL: Final = r"(?:\.[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_DOMAIN: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_NAME: Final = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,125}[A-Za-z0-9])?"  # a name and a model, 63 characters each
_COMPUTE: Final = re.compile(
    rf"(?:requests\.|limits\.)?(?:cpu|memory){_MODEL}"
    r"|(?:requests\.|limits\.)?ephemeral-storage"
    r"|(?:requests\.)?hugepages-[1-9][0-9]*[KMGTPE]i"
    rf"|requests\.(?P<extended>{_DOMAIN}/{_NAME})"
)
_COUNT: Final = re.compile(rf"count/(?:pods|replicationcontrollers|[a-z][-a-z0-9]*\.{_DOMAIN})")
_MAX_KEY: Final = 386
"""Characters: "cash/requests." + domain of 244 + "/" + name of 63 + "." + model of 63; the CRD has the same bound."""
_WELL_KNOWN: Final = (
    *(f"{verb}{name}" for name in PLAIN_COMPUTE for verb in ("limits.", "requests.", "")),
    PODS,
)


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """Why a key of ``hard`` could never be measured, and which key was probably meant [K4]."""

    key: str
    why: str
    meant: str | None = None

    def __str__(self) -> str:
        """One sentence for people."""
        return f"{self.key}: {self.why}" + (f"; did you mean {self.meant}?" if self.meant else "")


def key_problem(key: str) -> KeyProblem | None:
    """Why ``key`` cannot stand in ``hard``, or None where it can [K1-K4].

    Whether a kind behind ``count/`` is counted depends on the registry of kinds and is not looked at here.
    """
    if len(key) > _MAX_KEY:
        return KeyProblem(f"{key[:60]}...", f"a key has at most {_MAX_KEY} characters")
    if is_cash(key):
        base = cash_base(key)
        problem = None if _is_compute(base) else key_problem(base)
        if problem is not None and problem.meant and _is_compute(problem.meant):
            return KeyProblem(key, "cash is a budget in hours of a compute key", CASH + problem.meant)
        return None if _is_compute(base) else KeyProblem(key, "cash is a budget in hours of a compute key")
    if _is_measured(key):
        return None
    why, meant = _explain(key)
    return KeyProblem(key, why, meant if meant and _is_measured(meant) else None)


def _is_measured(key: str) -> bool:
    return key == PODS or _is_compute(key) or _COUNT.fullmatch(key) is not None


def _is_compute(key: str) -> bool:
    match = _COMPUTE.fullmatch(key)
    return match is not None and (match["extended"] is None or is_extended(match["extended"]))


def _explain(key: str) -> tuple[str, str | None]:
    bare = key.removeprefix("requests.").removeprefix("limits.")
    if not key.startswith("count/") and is_extended(bare) and _is_compute(f"requests.{bare}"):
        why = (
            "extended resources have no limits of their own"
            if key.startswith("limits.")
            else ("a bare resource name is never measured")
        )
        return why, f"requests.{bare}"
    name, dot, model = bare.partition(".")
    if name in {"gpu", "gpus"}:
        return "the vendor's domain is missing", f"requests.nvidia.com/gpu{dot}{model}"
    if bare in {"replicas", "replica", "pod", PODS}:
        return "replicas are limited by the key pods", PODS
    if bare.startswith("hugepages-"):
        return "hugepages are limited by their requests", f"requests.{bare}"
    verb, found, _ = key.partition("ephemeral-storage.")
    if found and f"{verb}ephemeral-storage" in _WELL_KNOWN:
        return "no label names a model of storage", f"{verb}ephemeral-storage"
    if key.startswith("count/"):
        return "behind count/ stands <resource>.<group> in small letters, such as count/deployments.apps", None
    near = difflib.get_close_matches(key.lower(), _WELL_KNOWN, n=1, cutoff=0.75)
    return "no such key; nothing would ever be counted on it", near[0] if near else None
