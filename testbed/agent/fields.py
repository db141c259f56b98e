"""What does a container find in its environment, and as its command line?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from testbed.agent.kube import JSON

_KEYED: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_REFERENCE: Final = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_ADDRESS: Final = "status.podIP"


class Unknown(Exception):
    """A pod asks for something that the agent does not do; the message says what."""


def field(pod: JSON, path: str, address: str = "") -> str:
    """The text of a field that a pod may ask for; ``address`` is where it is reached. Raises Unknown."""
    if keyed := _KEYED.fullmatch(path):
        return str((pod["metadata"].get(keyed[1]) or {}).get(keyed[2], ""))
    if path in {_ADDRESS, "status.hostIP"} and address:
        return address
    value: object = pod
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, dict) else None
    if not isinstance(value, str) or path == _ADDRESS:
        raise Unknown(f"the agent does not know the field {path}")
    return value


def environment(pod: JSON, container: JSON, given: Mapping[str, str], address: str) -> dict[str, str]:
    """What the container's ``env`` says, over what is ``given`` to every container. Raises Unknown."""
    if container.get("envFrom"):
        raise Unknown("the agent does not know envFrom")
    made = dict(given)
    for one in container.get("env", ()):
        if "valueFrom" not in one:
            made[one["name"]] = expanded(one.get("value", ""), made)
        elif "fieldRef" in one["valueFrom"]:
            made[one["name"]] = field(pod, one["valueFrom"]["fieldRef"]["fieldPath"], address)
        else:
            raise Unknown(f"the agent does not know {', '.join(one['valueFrom'])} of the variable {one['name']}")
    return made


def expanded(text: str, env: Mapping[str, str]) -> str:
    """The text with ``$(NAME)`` replaced, where there is such a variable; ``$$`` is one dollar sign."""
    return _REFERENCE.sub(lambda found: env.get(found[1], found[0]) if found[1] else "$", text)
