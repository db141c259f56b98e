"""The client of the API server: it leaves no connection behind, and tells what was answered."""

import asyncio
import contextlib
import socket
import ssl
import threading

import kubernetes.client
import pytest
from aiohttp import web

from bizrq.cluster.client import Client
from bizrq.cluster.credentials import Credentials
from bizrq.cluster.errors import Invalid, Unavailable
from tests.support.certificates import make_pair

EVENT = b'{"type":"ADDED"}\n'


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("client"), "server")


class DeafServer:
    """A TLS server with one client, that sends the beginning of a watch and never listens again."""

    def __init__(self, pair):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self._raw = socket.socket()

    def _serve(self):
        plain, _ = self._listening.accept()
        encrypted = self._context.wrap_socket(plain, server_side=True)
        encrypted.recv(65536)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        encrypted.sendall(head + f"{len(EVENT):x}\r\n".encode() + EVENT + b"\r\n")
        self._raw.close()
        self._raw = socket.socket(fileno=encrypted.detach())

    def goodbye(self):
        """What the client still sent, up to the end of its connection. Raises ``TimeoutError`` if it does not end."""
        self._thread.join()
        self._raw.settimeout(10)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := self._raw.recv(65536):
                said += more
        return said

    def close(self):
        self._thread.join()
        self._raw.close()
        self._listening.close()


async def test_a_watch_that_is_given_up_ends_its_connection_without_waiting_for_the_server(pair):
    """A polite goodbye waits for an answer behind all that the server still sends: the socket outlives the client."""
    server = DeafServer(pair)
    config = kubernetes.client.Configuration()
    config.host, config.ssl_ca_cert = f"https://127.0.0.1:{server.port}", str(pair.certificate)
    try:
        async with Client(Credentials(config), user_agent="bizrq-test") as client:
            lines = client.watch("/pods", params={})
            assert await anext(lines) == EVENT.strip()
            await lines.aclose()
            assert await asyncio.to_thread(server.goodbye) == b""
    finally:
        server.close()


@contextlib.asynccontextmanager
async def answering(handler):
    """A client of a server that answers every request so."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config = kubernetes.client.Configuration()
    config.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Client(Credentials(config), user_agent="bizrq-test") as client:
        yield client
    await runner.cleanup()


async def test_what_is_tried_out_is_a_dry_run_and_all_warnings_are_told():
    asked = []

    async def answer(request):
        asked.append((request.method, str(request.rel_url), await request.json(), request.content_type))
        response = web.json_response({"spec": {}})
        for text in ('299 - "one"', r'299 - "two \"of\" them"'):
            response.headers.add("Warning", text)
        return response

    async with answering(answer) as client:
        assert await client.try_patch("/bizrqs/team", {"spec": {"hard": {}}}) == ["one", 'two "of" them']
        assert await client.try_post("/bizrqs", {"spec": {}}) == ["one", 'two "of" them']
    assert asked == [
        ("PATCH", "/bizrqs/team?dryRun=All", {"spec": {"hard": {}}}, "application/merge-patch+json"),
        ("POST", "/bizrqs?dryRun=All", {"spec": {}}, "application/json"),
    ]


@pytest.mark.parametrize(
    "address", ["https://bizrq-webhook.bizrq-system.svc:443", "HTTPS://10.0.0.1", "https://[::1]:9443"]
)
async def test_the_path_of_a_webhook_that_does_not_answer_is_told_to_nobody(address):
    """It has the token. The API server tells it to whoever made the request."""
    said = f'failed calling webhook "bizrqs.quota.bizrq.io": Post "{address}/SECRET/bizrqs?timeout=5s": EOF'

    async def answer(_request):
        return web.json_response({"kind": "Status", "message": said}, status=500)

    async with answering(answer) as client:
        with pytest.raises(Unavailable) as told:
            await client.try_patch("/x", {})
    assert "SECRET" not in str(told.value)
    assert f'Post "{address}/...": EOF' in str(told.value)


async def test_of_a_long_answer_the_message_is_told_and_cut():
    """A Status that is cut in the middle is no JSON any more."""

    async def answer(_request):
        return web.json_response({"kind": "Status", "message": 'it is "no" ' + "x" * 5000}, status=422)

    async with answering(answer) as client:
        with pytest.raises(Invalid) as told:
            await client.try_patch("/x", {})
    assert str(told.value).startswith('PATCH /x: 422 it is "no" xxx')
    assert len(str(told.value)) < 2100
