"""Who may talk to the API server, under which name, and with which kubeconfig?

Every server has an identity of its own, so that rights and trust can be tested: with one shared administrator
nothing about either could be. Tokens are made anew for every test bed. Those of bizrq's service accounts come from the
API server, as those of pods do; people and servers are known by a file of tokens.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKENS = "tokens.csv"
NAMESPACE = "bizrq-system"


@dataclass(frozen=True, slots=True)
class Identity:
    """A name for people, the user name that the API server sees, and its groups."""

    name: str
    user: str
    groups: tuple[str, ...] = ()


def service_account(name: str, namespace: str, account: str) -> Identity:
    """The identity that a pod with this service account would have; RBAC cannot tell the two apart."""
    return Identity(
        name,
        f"system:serviceaccount:{namespace}:{account}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
    )


ADMIN = "admin"
IDENTITIES = (
    Identity(ADMIN, "admin", ("system:masters",)),
    Identity("alice", "alice"),
    Identity("bob", "bob"),
    Identity("carol", "carol"),
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("kwok", "kwok"),
    Identity("node-agent", "node-agent"),
    service_account("rollouts", "argo-rollouts", "argo-rollouts"),
    service_account("training-operator", "kubeflow", "training-operator"),
)

ACCOUNTS = tuple(service_account(name, NAMESPACE, name) for name in ("bizrq-controller", "bizrq-webhook"))
"""Those of bizrq's processes. They are not known before they are installed."""


def make_tokens(folder: Path) -> dict[str, str]:
    """Write the API server's token file; returns the token of each identity by its name."""
    tokens = {identity.name: secrets.token_urlsafe(24) for identity in IDENTITIES}
    lines = [
        f'{tokens[identity.name]},{identity.user},{identity.name},"{",".join(identity.groups)}"\n'
        for identity in IDENTITIES
    ]
    path = folder / TOKENS
    path.touch(mode=0o600)
    path.write_text("".join(lines), encoding="ascii")
    return tokens


def write_kubeconfigs(folder: Path, server: str, authority: Path, tokens: dict[str, str]) -> dict[str, Path]:
    """One kubeconfig an identity, the admin's as ``kubeconfig``. Each holds all it needs, so it can be moved.

    Those of bizrq's accounts are named, too, but not there before `write_account`.
    """
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
    files = {ADMIN: folder / "kubeconfig"}
    files |= {each.name: folder / "kubeconfigs" / f"{each.name}.yaml" for each in (*IDENTITIES[1:], *ACCOUNTS)}
    for name, token in tokens.items():
        _write(files[name], cluster, name, token)
    return files


def write_account(files: Mapping[str, Path], name: str, token: str) -> None:
    """The kubeconfig of one of bizrq's accounts, in place of what it had: a process may read it meanwhile."""
    admins = yaml.safe_load(files[ADMIN].read_text(encoding="utf-8"))
    new = files[name].with_name(f"{name}.new")
    _write(new, admins["clusters"][0]["cluster"], name, token)
    new.replace(files[name])


def user_of(kubeconfig: Path) -> str:
    """The name of the identity whose kubeconfig this is."""
    return str(yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"][0]["name"])


def _write(path: Path, cluster: Mapping[str, str], name: str, token: str) -> None:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
        "current-context": "testbed",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
