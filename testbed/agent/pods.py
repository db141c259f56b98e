"""Which life does a pod have, from the moment that the scheduler gives it to the node until it is gone?"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from typing import Final

from testbed.agent import settings, status
from testbed.agent.fields import Unknown
from testbed.agent.kube import JSON, STRATEGIC, Kube, Refused
from testbed.agent.running import Container, Machine, grace, now
from testbed.agent.volumes import Unavailable, Volumes

_RETRY_SECONDS: Final = 1.0


class Pod:
    """One pod. ``changed`` is called with it whenever it may be reached in another way than before."""

    def __init__(self, kube: Kube, machine: Machine, obj: JSON, changed: Callable[[Pod], None]) -> None:
        self.obj = obj
        """As the API server had it last."""
        self.status: JSON = {}
        """What we say of it."""
        self._kube, self._machine, self._announce = kube, machine, changed
        self._folder = machine.folder / "pods" / obj["metadata"]["uid"]
        self._volumes = Volumes(kube, self._folder)
        self._containers = [
            Container(machine, obj, spec, self._volumes, self._changed) for spec in obj["spec"]["containers"]
        ]
        self._started = obj.get("status", {}).get("startTime") or now()
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._gone = False

    @property
    def terminating(self) -> bool:
        """Whether it was told to end."""
        return self._ending.is_set()

    @property
    def ports(self) -> dict[str | int, int]:
        """The real port of each that the pod names, by name and by number."""
        return {named: real for container in self._containers for named, real in container.ports.items()}

    def seen(self, obj: JSON) -> None:
        """The API server shows it so now."""
        self.obj = obj
        if obj["metadata"].get("deletionTimestamp"):
            self._ending.set()

    def vanished(self) -> None:
        """It was deleted without us: end it at once."""
        self._gone = True
        self._ending.set()
        for container in self._containers:
            container.kill()

    async def live(self) -> None:
        """Run it to its end, and delete it then if that was asked for."""
        writing = asyncio.create_task(self._write())
        refreshing = asyncio.create_task(self._refresh())
        try:
            if self.obj.get("status", {}).get("phase") not in status.ENDED:
                await self._run()
            self._changed()
            await self._ending.wait()
            await self._remove()
        finally:
            for task in (writing, refreshing):
                task.cancel()
            await asyncio.gather(writing, refreshing, return_exceptions=True)
            for container in self._containers:
                container.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _run(self) -> None:
        """Until its containers ended for good, by themselves or because the pod is deleted."""
        if not await self._prepared():
            return
        running = asyncio.gather(*(container.run() for container in self._containers))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
        if ending.done() and not self._gone:
            self._changed()
            await asyncio.gather(*(container.stop(grace(self.obj)) for container in self._containers))
        ending.cancel()
        await running

    async def _prepared(self) -> bool:
        """Whether its volumes are there; False where it is deleted before."""
        said = ""
        while not self.terminating:
            self._changed()
            try:
                await self._volumes.prepare(self.obj)
            except (Unavailable, Unknown, Refused) as error:
                if str(error) != said:
                    said = str(error)
                    print(f"{self.obj['metadata']['name']}: {said}", flush=True)
                for container in self._containers:
                    container.state = {"waiting": {"reason": "ContainerCreating", "message": said}}
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_SECONDS):
                        await self._ending.wait()
            else:
                return True
        return False

    async def _refresh(self) -> None:
        """Keep what is mounted as new as the settings promise. What cannot be had now stays as it is."""
        while True:
            await asyncio.sleep(settings.read(self._machine.folder).refresh_seconds)
            with contextlib.suppress(Unavailable, Unknown, Refused):
                await self._volumes.prepare(self.obj)

    def _changed(self) -> None:
        self._news.set()

    async def _write(self) -> None:
        """Tell the API server each change, the newest state only."""
        while True:
            await self._news.wait()
            self._news.clear()
            told = self._made()
            if told == self.status:
                self._announce(self)
                continue
            self.status = told
            self._announce(self)
            try:
                await self._kube.patch(f"{self._path}/status", self._patch(), STRATEGIC)
            except Refused as error:
                print(f"{self.obj['metadata']['name']}: {error}", flush=True)
                await asyncio.sleep(_RETRY_SECONDS)
                self.status = {**told, "conditions": []}
                self._news.set()

    def _made(self) -> JSON:
        containers = [container.status() for container in self._containers]
        policy = self.obj["spec"].get("restartPolicy", "Always")
        states = [container.state for container in self._containers]
        phase = status.phase(states, "Never" if self.terminating else policy)
        before = self.status.get("conditions") or self.obj.get("status", {}).get("conditions") or ()
        return {
            "phase": phase,
            "startTime": self._started,
            "hostIP": self._machine.address,
            "hostIPs": [{"ip": self._machine.address}],
            "observedGeneration": self.obj["metadata"].get("generation", 0),
            "conditions": status.conditions(before, containers, phase, now()),
            "containerStatuses": containers,
        }

    def _patch(self) -> JSON:
        """Only to this very pod: one of the same name may have come after it."""
        return {"metadata": {"uid": self.obj["metadata"]["uid"]}, "status": self.status}

    async def _remove(self) -> None:
        """Tell the API server that nothing of it runs any more, and have it deleted there; until that is done."""
        uid = self.obj["metadata"]["uid"]
        self.status = self._made()
        while not self._gone:
            try:
                await self._kube.patch(f"{self._path}/status", self._patch(), STRATEGIC)
                await self._kube.delete(self._path, {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
            except Refused as error:
                print(f"{self.obj['metadata']['name']}: {error}", flush=True)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    @property
    def _path(self) -> str:
        meta = self.obj["metadata"]
        return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
