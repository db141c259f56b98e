"""Do several servers stand behind one address, as if each were there itself? With real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testbed import ports
from testbed.balancer import Balancer
from tests.support.kube import wait_until

ROOT = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"
SECONDS = 10.0
MUCH = 8 * 1024 * 1024
"""More than all buffers on the way hold."""


class Target:
    """A server that says its name, and then answers what it got, once the other side says that this was all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, HOST, port)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.name.encode())
        try:
            writer.write(await reader.read(-1))
            await writer.drain()
        except ConnectionResetError:
            self.broken.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def targets() -> AsyncIterator[list[tuple[Target, int]]]:
    """Two servers, a and b, with their ports."""
    made = [(target, await target.start()) for target in (Target("a"), Target("b"))]
    yield made
    for target, _ in made:
        target.stop()


@pytest.fixture
async def port(targets: list[tuple[Target, int]]) -> AsyncIterator[int]:
    """The port of a balancer before the two."""
    server = await Balancer([port for _, port in targets]).listen(0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


async def exchange(port: int, data: bytes = b"") -> bytes:
    """Send all that, say that it was all, and return all that comes."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
    return answer


async def test_connections_are_spread_in_turn(port: int) -> None:
    assert [await exchange(port) for _ in range(4)] == [b"a", b"b", b"a", b"b"]


async def test_the_end_of_one_direction_leaves_the_other_open(port: int) -> None:
    """The answer comes after the question has ended."""
    assert await exchange(port, b"question") == b"aquestion"


async def test_much_passes_whole_both_ways_through_small_buffers(port: int) -> None:
    data = os.urandom(MUCH)
    assert await exchange(port, data) == b"a" + data


async def test_many_connections_at_once_do_not_mix(port: int) -> None:
    questions = [f"question {number}".encode() * 1000 for number in range(100)]
    answers = await asyncio.gather(*(exchange(port, question) for question in questions))
    assert [answer[1:] for answer in answers] == questions
    assert sorted(answer[:1] for answer in answers) == [b"a"] * 50 + [b"b"] * 50


async def test_a_target_that_refuses_is_passed_over_until_it_is_back(
    port: int, targets: list[tuple[Target, int]]
) -> None:
    (first, its_port), _ = targets
    first.stop()
    assert [await exchange(port) for _ in range(3)] == [b"b", b"b", b"b"]
    await first.start(its_port)
    assert sorted([await exchange(port), await exchange(port)]) == [b"a", b"b"]


async def test_where_nobody_answers_the_connection_is_reset(port: int, targets: list[tuple[Target, int]]) -> None:
    for target, _ in targets:
        target.stop()
    with pytest.raises(ConnectionResetError):
        await exchange(port)


async def test_a_client_that_breaks_off_is_no_end_for_the_target(port: int, targets: list[tuple[Target, int]]) -> None:
    (first, _), _ = targets
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await reader.read(1) == b"a"
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await first.broken.wait()


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A balancer as a process of its own, before a port where nobody listens."""
    port = ports.free_port()
    command = [sys.executable, "-m", "testbed.balancer", str(port), str(ports.free_port())]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as started:
        yield started, port
        started.kill()


def connects(port: int) -> bool:
    """Whether anybody listens; a reset, as early as this, is the word of somebody who does."""
    try:
        socket.create_connection((HOST, port), SECONDS).close()
    except ConnectionResetError:
        return True
    except ConnectionRefusedError:
        return False
    return True


def test_as_a_process_it_listens_and_ends_when_told(process: tuple[subprocess.Popen[bytes], int]) -> None:
    started, port = process
    wait_until(lambda: connects(port), "it listens")
    started.terminate()
    assert started.wait(SECONDS) == -signal.SIGTERM


def test_a_taken_port_is_said_in_words_by_which_another_one_is_tried(
    process: tuple[subprocess.Popen[bytes], int], tmp_path: Path
) -> None:
    _, port = process
    wait_until(lambda: connects(port), "it listens")
    command = [sys.executable, "-m", "testbed.balancer", str(port), "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=SECONDS)
    assert done.returncode
    log = tmp_path / "log"
    log.write_bytes(done.stderr)
    assert ports.was_taken(log)
