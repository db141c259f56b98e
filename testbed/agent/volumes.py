"""What lies in the volumes of a pod, and where are they mounted?

Kinds: ConfigMap, Secret, projections of these and of tokens and fields of the pod, and emptyDir. What admission would
add for the service account is added here: in a test bed the API server does not do it. For the same reason a pod that
names none has none: no token can be bound to it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from testbed.agent import files
from testbed.agent.container import Mount
from testbed.agent.fields import field
from testbed.agent.kube import JSON, Kube

ACCOUNT_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_ACCOUNT: Final = "kube-api-access"
_TOKEN_SECONDS: Final = 3607
_RENEWED: Final = 0.8  # of its life, as the kubelet does it


class Unavailable(Exception):
    """Something that a pod refers to is not there, or the agent does not know its kind; the message says it."""


class Volumes:
    """The volumes of one pod, each a folder."""

    def __init__(self, kube: Kube, folder: Path) -> None:
        self._kube, self._folder = kube, folder
        self._tokens: dict[str, tuple[str, float]] = {}  # by volume and path: the token, and when it is renewed
        self._with_account = False

    async def prepare(self, pod: JSON) -> None:
        """Make and fill all of them. Raises Unavailable, Refused."""
        self._with_account = await self._wants_account(pod)
        for volume in self._of(pod):
            folder = self._folder / volume["name"]
            if "emptyDir" in volume:
                folder.mkdir(parents=True, exist_ok=True)
            else:
                mode = _source(volume).get("defaultMode", 0o644)
                files.publish(folder, await self._content(pod, volume), mode)

    def mounts(self, pod: JSON, container: JSON) -> list[Mount]:
        """Where a container of the pod finds them. Raises Unavailable."""
        known = {volume["name"]: volume for volume in self._of(pod)}
        wanted = [*container.get("volumeMounts", ())]
        if self._with_account and not any(one["mountPath"].rstrip("/") == ACCOUNT_FOLDER for one in wanted):
            wanted.append({"name": _ACCOUNT, "mountPath": ACCOUNT_FOLDER})
        mounts = []
        for one in wanted:
            if one.get("subPath") or one.get("subPathExpr"):
                raise Unavailable(f"the agent does not know subPath: {one['mountPath']}")
            writable = "emptyDir" in known[one["name"]] and not one.get("readOnly")
            mounts.append(Mount(str(self._folder / one["name"]), one["mountPath"], not writable))
        return mounts

    def _of(self, pod: JSON) -> list[JSON]:
        volumes = [*pod["spec"].get("volumes", ())]
        if self._with_account:
            sources = [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]
            volumes.append({"name": _ACCOUNT, "projected": {"sources": sources}})
        return volumes

    async def _wants_account(self, pod: JSON) -> bool:
        """Whether its token is mounted: the pod's word goes before that of its account."""
        if not pod["spec"].get("serviceAccountName"):
            return False
        said: bool | None = pod["spec"].get("automountServiceAccountToken")
        if said is None:
            account = await self._kube.get(f"{_core(pod, 'serviceaccounts')}/{_account(pod)}")
            if account is None:
                raise Unavailable(f"serviceaccount {_account(pod)} not found")
            said = account.get("automountServiceAccountToken")
        return said is not False

    async def _content(self, pod: JSON, volume: JSON) -> dict[str, bytes]:
        if "projected" not in volume:
            return await self._source(pod, volume, volume["name"])
        content: dict[str, bytes] = {}
        for source in volume["projected"]["sources"]:
            content |= await self._source(pod, source, volume["name"])
        return content

    async def _source(self, pod: JSON, source: JSON, volume: str) -> dict[str, bytes]:
        match source:
            case {"configMap": wanted}:
                return await self._object(pod, "configmaps", wanted["name"], wanted)
            case {"secret": wanted}:
                return await self._object(pod, "secrets", wanted.get("secretName") or wanted["name"], wanted)
            case {"serviceAccountToken": wanted}:
                return {wanted["path"]: (await self._token(pod, volume, wanted)).encode()}
            case {"downwardAPI": wanted}:
                return {item["path"]: _field(pod, item).encode() for item in wanted["items"]}
            case _:
                raise Unavailable(
                    f"the agent knows no such volume: {', '.join(key for key in source if key != 'name')}"
                )

    async def _object(self, pod: JSON, resource: str, name: str, wanted: JSON) -> dict[str, bytes]:
        """Keys of a ConfigMap or Secret as files."""
        found = await self._kube.get(f"{_core(pod, resource)}/{name}")
        if found is None:
            if wanted.get("optional"):
                return {}
            raise Unavailable(f"{resource.removesuffix('s')} {name} not found")
        data = _data(found, resource)
        if "items" not in wanted:
            return data
        for item in wanted["items"]:
            if item["key"] not in data and not wanted.get("optional"):
                raise Unavailable(f"{resource.removesuffix('s')} {name} has no key {item['key']}")
        return {item["path"]: data[item["key"]] for item in wanted["items"] if item["key"] in data}

    async def _token(self, pod: JSON, volume: str, wanted: JSON) -> str:
        """A token that is bound to the pod; a new one where four fifths of the last one's life are over."""
        place = f"{volume}/{wanted['path']}"
        token, renewed = self._tokens.get(place, ("", 0.0))
        if time.time() < renewed:
            return token
        bound = {key: pod["metadata"][key] for key in ("name", "uid")}
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [wanted["audience"]] if wanted.get("audience") else [],
                "expirationSeconds": wanted.get("expirationSeconds", _TOKEN_SECONDS),
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", **bound},
            },
        }
        now = time.time()
        answer = await self._kube.post(f"{_core(pod, 'serviceaccounts')}/{_account(pod)}/token", request)
        if answer is None:
            raise Unavailable(f"no token for serviceaccount {_account(pod)}")
        ends = datetime.fromisoformat(answer["status"]["expirationTimestamp"]).timestamp()
        self._tokens[place] = (answer["status"]["token"], now + _RENEWED * (ends - now))
        return str(answer["status"]["token"])


def _data(value: JSON, resource: str) -> dict[str, bytes]:
    if resource == "secrets":
        return {key: base64.b64decode(text) for key, text in (value.get("data") or {}).items()}
    binary = {key: base64.b64decode(text) for key, text in (value.get("binaryData") or {}).items()}
    return {key: text.encode() for key, text in (value.get("data") or {}).items()} | binary


def _source(volume: JSON) -> Mapping[str, Any]:
    return next(value for key, value in volume.items() if key != "name") or {}


def _field(pod: JSON, item: JSON) -> str:
    if "fieldRef" not in item:
        raise Unavailable(f"the agent does not know what fills {item['path']}: only fieldRef")
    return field(pod, item["fieldRef"]["fieldPath"])


def _core(pod: JSON, resource: str) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/{resource}"


def _account(pod: JSON) -> str:
    return str(pod["spec"]["serviceAccountName"])
