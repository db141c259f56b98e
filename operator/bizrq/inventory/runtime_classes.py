"""What does each RuntimeClass add to a pod right now? [P3].

The ``overhead`` of a class may change, and a class may be deleted and made anew: only its ``handler`` is immutable
(ValidateRuntimeClassUpdate, k8s.io/kubernetes/pkg/apis/node/validation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bizrq.cluster.objects import RuntimeClass
from bizrq.domain.pod_resources import Overheads, ResourceList
from bizrq.domain.pod_template import read_overhead
from bizrq.inventory.versions import Graveyard

__all__ = ["RuntimeClasses"]


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    version: int


class RuntimeClasses:
    """The newest known version of every class. It is the sink of their reflector."""

    def __init__(self, changed: Callable[[str, ResourceList], None]) -> None:
        """``changed`` is told the name of each class that adds something else now, and what it added before."""
        self._by_name: dict[str, _Known] = {}
        self._overheads: dict[str, ResourceList] = {}
        self._graves = Graveyard()
        self._listed: set[str] = set()
        self._changed = changed

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def overheads(self) -> Overheads:
        """What each class adds; it changes with events."""
        return self._overheads

    def knows(self, name: str) -> bool:
        """Whether there is such a class, as far as was told."""
        return name in self._by_name

    def put(self, item: RuntimeClass) -> None:
        """Take over a version of a class, from a watch, a list or a live read."""
        metadata = item.metadata
        known = self._by_name.get(metadata.name)
        if self._graves.is_stale(metadata.uid, metadata.version) or (known and metadata.version <= known.version):
            return
        self._by_name[metadata.name] = _Known(metadata.uid, metadata.version)
        self._set(metadata.name, read_overhead(item.overhead))

    def list_began(self) -> None:
        """A list begins."""
        self._listed = set()

    def listed(self, item: RuntimeClass, at: int) -> None:  # noqa: ARG002  # as Sink has it
        """An item of a list."""
        self._listed.add(item.metadata.uid)
        self.put(item)

    def list_ended(self, version: int, began: int) -> None:  # noqa: ARG002
        """What is older than the list and was not in it is gone."""
        for name, known in list(self._by_name.items()):
            if known.uid not in self._listed and known.version <= version:
                self._remove(name, known.uid, version)

    def changed(self, item: RuntimeClass, at: int) -> None:  # noqa: ARG002
        """A class was added or changed."""
        self.put(item)

    def deleted(self, item: RuntimeClass, at: int) -> None:  # noqa: ARG002
        """A class is gone."""
        self._remove(item.metadata.name, item.metadata.uid, item.metadata.version)

    def passed(self, version: int, at: int) -> None:
        """Nothing to do: no version of a class counts."""

    def _remove(self, name: str, uid: str, version: int) -> None:
        self._graves.bury(uid, version)
        known = self._by_name.get(name)
        if known is not None and known.uid == uid:
            del self._by_name[name]
            self._set(name, {})

    def _set(self, name: str, overhead: ResourceList) -> None:
        before = self._overheads.get(name, {})
        if overhead == before:
            return
        if overhead:
            self._overheads[name] = overhead
        else:
            del self._overheads[name]
        self._changed(name, before)
