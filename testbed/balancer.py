"""How does one address stand for several servers, as a Service does in a cluster?

``python -m testbed.balancer PORT TARGET...`` listens on a port of 127.0.0.1 and gives each connection to one of the
target ports, in turn; one where nobody listens is passed over. It looks into nothing: bytes pass both ways, and an end
or a break on one side becomes the same on the other. Where no target answers, the connection is reset.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Final, cast

_HOST: Final = "127.0.0.1"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all
_WAITING: Final = 1024  # as many connections as an API server may open at once


class _Side(asyncio.Protocol):
    """One of the two sides of a connection; what arrives here is written to the other one."""

    def __init__(self, made: Callable[[_Side], None] | None = None) -> None:
        """``made`` is called once the connection is there."""
        self.transport: asyncio.Transport
        self.other: _Side | None = None
        self._made = made
        self._ended = False  # whether this side has said that nothing more will come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.pause_reading()  # until there is another side
        if self._made:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        if self.other:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """True: keep this side open, for the answer is still to come."""
        self._ended = True
        if self.other:
            self.other.transport.write_eof()
            if self.other._ended:  # noqa: SLF001  # the two are one thing
                self.transport.close()
                self.other.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other and exc:
            self.other.reset()
        elif self.other:
            self.other.transport.close()

    def pause_writing(self) -> None:
        """This side takes no more for now, so the other one shall not be read."""
        if self.other:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other:
            self.other.transport.resume_reading()

    def reset(self) -> None:
        """Break the connection, so that whoever is there does not take it for an end."""
        if not self.transport.is_closing():
            connection: socket.socket = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class Balancer:
    """Gives connections to targets, in turn."""

    def __init__(self, targets: Sequence[int]) -> None:
        self._targets = tuple(targets)
        self._turns = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly

    async def listen(self, port: int) -> asyncio.Server:
        """Begin to listen; raises OSError where the port is taken."""
        return await asyncio.get_running_loop().create_server(
            lambda: _Side(self._accepted), _HOST, port, backlog=_WAITING
        )

    def _accepted(self, client: _Side) -> None:
        task = asyncio.get_running_loop().create_task(self._join(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, client: _Side) -> None:
        turn = next(self._turns)
        for step in range(len(self._targets)):
            server = await _connect(self._targets[(turn + step) % len(self._targets)])
            if server:
                client.other, server.other = server, client
                client.transport.resume_reading()
                server.transport.resume_reading()
                return
        client.reset()


async def _connect(port: int) -> _Side | None:
    """The side of a server; None where nobody listens."""
    try:
        transport, side = await asyncio.get_running_loop().create_connection(_Side, _HOST, port)
    except OSError:
        return None
    if transport.get_extra_info("sockname") == transport.get_extra_info("peername"):
        # Nobody listens there, but the kernel happened to give us this very port: we would talk to ourselves.
        transport.abort()
        return None
    return side


async def serve(port: int, targets: Sequence[int]) -> None:
    """Listen until the process ends."""
    async with await Balancer(targets).listen(port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), [int(target) for target in sys.argv[2:]]))
