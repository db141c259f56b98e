"""Is a container well? What a probe asks, and after how many answers something is made of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from testbed.agent.fields import Unknown
from testbed.agent.kube import JSON

_FIRST_BAD: Final = 400
_UNCHECKED: Final = ssl.create_default_context()
_UNCHECKED.check_hostname = False
_UNCHECKED.verify_mode = ssl.CERT_NONE  # a kubelet does not look at certificates either


@dataclass(frozen=True, slots=True)
class Target:
    """Where a container is reached, and how a command is run within it."""

    address: str
    ports: Mapping[str | int, int]
    """The real port by the name and by the number that the pod gives it."""
    run: Callable[[list[str]], Awaitable[int]]
    """Gives the exit code."""

    async def ask(self, handler: JSON) -> str:
        """Do what a probe or a hook says; what is wrong, or nothing. Raises Unknown."""
        match handler:
            case {"httpGet": wanted}:
                return await self._get(wanted)
            case {"exec": {"command": command}}:
                code = await self.run(command)
                return f"exit code {code}" if code else ""
            case {"tcpSocket": {"port": port}}:
                try:
                    _, writer = await asyncio.open_connection(self.address, self.port(port))
                except OSError as error:
                    return str(error)
                writer.close()
                return ""
            case {"sleep": {"seconds": seconds}}:
                await asyncio.sleep(seconds)
                return ""
            case _:
                raise Unknown(f"the agent knows no such probe or hook: {', '.join(handler)}")

    async def _get(self, wanted: JSON) -> str:
        scheme = wanted.get("scheme", "HTTP").lower()
        url = f"{scheme}://{wanted.get('host', self.address)}:{self.port(wanted['port'])}{wanted.get('path', '/')}"
        headers = {one["name"]: one["value"] for one in wanted.get("httpHeaders", ())}
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(url, ssl=_UNCHECKED, allow_redirects=False) as answer,
            ):
                return f"{answer.status} {(await answer.text())[:300]}" if answer.status >= _FIRST_BAD else ""
        except aiohttp.ClientError as error:
            return str(error)

    def port(self, named: str | int) -> int:
        """The real port behind what a pod calls it."""
        return self.ports.get(named, int(named) if str(named).isdigit() else 0)


async def watch(probe: JSON, target: Target, tell: Callable[[bool, str], None]) -> None:
    """Ask for ever, and ``tell`` each time that the thresholds are reached: whether it is well, and what is wrong."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    period = probe.get("periodSeconds", 10)
    needed = {True: probe.get("successThreshold", 1), False: probe.get("failureThreshold", 3)}
    last, times = True, 0
    while True:
        wrong = await once(probe, target)
        well = not wrong
        times = times + 1 if well == last else 1
        last = well
        if times >= needed[well]:
            tell(well, wrong)
        await asyncio.sleep(period)


async def once(probe: JSON, target: Target) -> str:
    """One try of it: what is wrong, or nothing."""
    handler = {key: value for key, value in probe.items() if key in {"httpGet", "exec", "tcpSocket", "grpc"}}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
            return await target.ask(handler)
    return f"no answer within {probe.get('timeoutSeconds', 1)} s"
