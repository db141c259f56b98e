"""A webhook that allows everything, or nothing, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from testbed import certificates

__all__ = ["Reviews", "recording_webhook"]

JSON = dict[str, Any]


class Reviews:
    """What was asked, in order."""

    def __init__(self, url: str, authority: Path) -> None:
        self.url = url
        self.authority = authority
        self._asked: list[tuple[str, JSON]] = []

    def add(self, path: str, request: JSON) -> None:
        """Remember a question."""
        self._asked.append((path, request))

    @contextlib.contextmanager
    def meanwhile(self) -> Iterator[list[str]]:
        """What is asked until the end of the block, as ``/workloads UPDATE deployments web``; filled in then.

        The same again stands there once: an object that its controller writes during a review is reviewed again.
        """
        lines: list[str] = []
        before = len(self._asked)
        yield lines
        for path, request in self._asked[before:]:
            resource = "/".join(filter(None, (request["resource"]["resource"], request.get("subResource"))))
            dry = " dry" if request["dryRun"] else ""
            line = f"{path} {request['operation']} {resource} {request['name']}{dry}"
            if lines[-1:] != [line]:
                lines.append(line)


@contextlib.contextmanager
def recording_webhook(folder: Path, *, allows: bool = True) -> Iterator[Reviews]:
    """One that runs until the end of the block, with certificates in ``folder``; it may deny everything instead."""
    certificates.make(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / certificates.CERTIFICATE, folder / certificates.KEY)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reviews.add(self.path.partition("?")[0], review["request"])
            response = {"uid": review["request"]["uid"], "allowed": allows}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({**review, "request": None, "response": response}).encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        # The handshake is for the connection's own thread: here it would keep others from being accepted.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        reviews = Reviews(f"https://127.0.0.1:{server.server_port}", folder / certificates.AUTHORITY)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield reviews
        finally:
            server.shutdown()
            thread.join()
