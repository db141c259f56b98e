"""Who answers like an API server, at so little cost that only the client is measured?

``python -m benchmarks.pod_server FOLDER`` serves a folder of ``cluster_bytes`` on a free port, which it prints, and
ends when its standard input does. Lists and watches go out in the chunks in which kube-apiserver 1.36 was seen to send
them over HTTP/1.1: of each item 2 KiB (the buffer of Go's net/http), then the rest of it; each event in one.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final
from urllib.parse import parse_qs, urlsplit

from benchmarks.cluster_bytes import PAGE

__all__ = ["RELEASE", "running"]

RELEASE: Final = "/benchmark/release"
"""A GET of this lets the watches of pods send their events, so that they do not run into the measured list."""

_FOLDERS: Final = {"/api/v1/pods": "pods", "/apis/apps/v1/replicasets": "replicasets"}
_GO_BUFFER: Final = 2048
_ITEM_BEGINS: Final = b',{"metadata":{"name":"'
"""Of a pod; pages of ReplicaSets, whose items begin with their kind, are cut at 2 KiB only once."""

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[int]:
    """The port of a server of ``folder``, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pod_server", str(folder)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        if server.stdin is None or server.stdout is None:
            raise AssertionError
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


@final
class _Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._released = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                address = urlsplit(head.split(b" ", 2)[1].decode("ascii"))
                query = dict(parse_qs(address.query))
                await self._answer(writer, address.path, query)
                if "watch" in query:
                    await reader.read()  # it stays open until the client goes
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, path: str, query: dict[str, list[str]]) -> None:
        if path == RELEASE:
            self._released.set()
            writer.write(_HEAD + _LAST_CHUNK)
        elif path not in _FOLDERS:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        elif "watch" in query:
            writer.write(_HEAD)
            await writer.drain()
            await self._watch(writer, _FOLDERS[path])
        elif query.get("limit") != [str(PAGE)]:
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        else:
            number = int(query.get("continue", ["0"])[0])
            page = (self._folder / _FOLDERS[path] / f"{number:04}.json").read_bytes()
            writer.write(b"".join((_HEAD, *_list_chunks(page), _LAST_CHUNK)))
        await writer.drain()

    async def _watch(self, writer: asyncio.StreamWriter, folder: str) -> None:
        if folder == "pods":
            lines = (self._folder / "events.jsonl").read_bytes().splitlines(keepends=True)
            chunks = [_chunk(line) for line in lines]
            await self._released.wait()
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()


def _list_chunks(page: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(page):
        cut = page.find(_ITEM_BEGINS, begin + 1)
        end = len(page) if cut < 0 else cut
        yield _chunk(page[begin : min(begin + _GO_BUFFER, end)])
        if end - begin > _GO_BUFFER:
            yield _chunk(page[begin + _GO_BUFFER : end])
        begin = end


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _serve(folder: Path) -> None:
    server = await asyncio.start_server(_Server(folder).talk, "127.0.0.1", 0, limit=2**16)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)  # until the benchmark closes it, or dies


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Path(sys.argv[1])))
