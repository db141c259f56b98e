"""The webhook's server, asked over real connections as an API server, or somebody else, asks it."""

import asyncio
import contextlib
import io
import json
import logging
import shutil
import ssl
from dataclasses import replace

import aiohttp
import pytest

from bizrq.observability.metrics import WebhookMetrics
from bizrq.webhook.review import Verdict
from bizrq.webhook.server import AdmissionServer, seconds_of
from bizrq.webhook.tls import Certificate
from bizrq.webhook.tokens import PathTokens
from tests.support.admission_review import make_review
from tests.support.certificates import Pair, der, make_pair, shown, trusting
from tests.support.controller import until

TOKEN = "t0ken-of-the-path"
MEGABYTE = 2**20


class Desk:
    """A handler that does as it is told: it waits while it is held, then raises or answers."""

    def __init__(self):
        self.asked, self.done, self.free = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.free.set()
        self.requests = []
        self.seconds_left = 0.0
        self.verdict = Verdict.allow()
        self.error = None

    async def __call__(self, request, deadline):
        self.requests.append(request)
        self.seconds_left = deadline - asyncio.get_running_loop().time()
        self.asked.set()
        await self.free.wait()
        if self.error:
            raise self.error
        self.done.set()
        return self.verdict


class Served:
    """A running server with its files in a folder, and ways to ask it."""

    def __init__(self, folder, pairs, *, tokens=True, clients=False):
        self.folder = folder
        for name, pair in (("tls", pairs["server"]), ("ca", pairs["client"])):
            self.install(pair, name)
        self.token_file = folder / "tokens"
        self.token_file.write_text(TOKEN)
        self.tokens = PathTokens(self.token_file)
        self.certificate = Certificate(folder / "tls.crt", folder / "tls.key", folder / "ca.crt" if clients else None)
        self.desk = Desk()
        self.metrics = WebhookMetrics()
        self.server = AdmissionServer(
            0,
            {"workloads": self.desk, "scale": self.desk},
            self.tokens.accept if tokens else lambda _: False,
            self.certificate.context,
            self.metrics,
        )

    def install(self, pair: Pair, name="tls"):
        """Put a certificate and its key where the server reads them."""
        shutil.copy(pair.certificate, self.folder / f"{name}.crt")
        shutil.copy(pair.key, self.folder / f"{name}.key")

    def url(self, path):
        return f"https://127.0.0.1:{self.server.port}{path}"

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Certificates that are the same for all tests here: making one takes longer than most of them."""
    folder = tmp_path_factory.mktemp("certificates")
    return {name: make_pair(folder, name) for name in ("server", "renewed", "client", "stranger")}


@pytest.fixture
async def serve(tmp_path, pairs):
    """Start a server; all are ended with the test."""
    started = []

    async def serve(**options):
        served = Served(tmp_path, pairs, **options)
        await served.server.start()
        started.append(served)
        return served

    yield serve
    for served in started:
        served.desk.free.set()
        await served.server.drain(0)


@pytest.fixture
async def served(serve):
    """A server as it is when only tokens are configured."""
    return await serve()


@pytest.fixture
async def session(pairs):
    """The API server's connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting(pairs["server"]))) as session:
        yield session


@pytest.fixture
def ask(served, session):
    """Ask as the API server does; its answer's HTTP status, and what it says or its text."""

    async def ask(body=None, *, path=f"/{TOKEN}/workloads?timeout=10s", method="POST", **options):
        body = make_review() if body is None else body
        async with session.request(method, served.url(path), data=body, **options) as response:
            text = await response.text()
            return response.status, json.loads(text)["response"] if response.status == 200 else text

    return ask


@pytest.fixture
async def raw(served, pairs):
    """A connection on which anything can be sent."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.server.port, ssl=trusting(pairs["server"]), server_hostname="localhost"
    )
    yield reader, writer
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def head(path, length, *more):
    """The head of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


# --- who may ask -----------------------------------------------------------------------------------------------------


async def test_a_review_with_the_token_is_answered_by_the_handler_of_its_path(served, ask):
    served.desk.verdict = Verdict.deny(403, "Forbidden", "exceeded quota: team-vision", warnings=["a warning"])
    status, response = await ask()
    assert status == 200
    assert response == {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "allowed": False,
        "status": {
            "status": "Failure", "code": 403, "reason": "Forbidden", "message": "exceeded quota: team-vision",
        },
        "warnings": ["a warning"],
    }  # fmt: skip
    assert [request.name for request in served.desk.requests] == ["web"]
    assert served.value("bizrq_reviews_total", route="workloads", verdict="refused") == 1
    assert served.value("bizrq_review_seconds_count", route="workloads") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/workloads", "/", "//workloads", "/wrong-token-of-a-path/workloads", f"/{TOKEN}", f"/{TOKEN}/",
        f"/{TOKEN}/nothing", f"/{TOKEN}/workloads/", f"/{TOKEN[:-1]}/workloads", f"/{TOKEN}x/workloads",
        f"/{TOKEN.upper()}/workloads", f"//{TOKEN}/workloads", f"/%C3%A4{TOKEN}/workloads",
    ],
)  # fmt: skip
async def test_without_the_right_path_there_is_nothing_and_no_handler_is_called(served, ask, path):
    status, text = await ask(path=path)
    assert (status, text, served.desk.requests) == (404, "not found\n", [])
    assert served.value("bizrq_reviews_rejected_total", why="not_found") == 1


async def test_a_forged_review_is_sent_away_before_its_body_is_read(served, raw):
    reader, writer = raw
    writer.write(head("/guessed-token-123/workloads", MEGABYTE))  # and nothing of the body
    async with asyncio.timeout(5):
        assert (await reader.readline()) == b"HTTP/1.1 404 Not Found\r\n"
        assert b"\r\nConnection: close\r\n" in await reader.readuntil(b"\r\n\r\n")
    assert served.desk.requests == []


async def test_a_token_is_replaced_without_a_gap(served, ask):
    for content, statuses in ((f"{TOKEN}\nthe-next-token-1", (200, 200)), ("the-next-token-1", (404, 200))):
        served.token_file.write_text(content)
        served.tokens.refresh()
        answers = [await ask(path=f"/{token}/workloads") for token in (TOKEN, "the-next-token-1")]
        assert tuple(status for status, _ in answers) == statuses


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_only_post_is_served_and_only_who_may_ask_is_told_so(served, ask, method):
    assert (await ask(method=method))[0] == 405
    assert (await ask(method=method, path="/workloads"))[0] == 404
    assert served.desk.requests == []


async def test_a_client_with_a_certificate_of_the_authority_needs_no_token(serve, pairs):
    served = await serve(clients=True, tokens=False)
    connector = aiohttp.TCPConnector(ssl=trusting(pairs["server"], own=pairs["client"]))
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.post(served.url("/workloads"), data=make_review()) as response:
            assert response.status == 200
        async with session.post(served.url(f"/{TOKEN}/workloads"), data=make_review()) as response:
            assert response.status == 404


async def test_a_client_without_a_certificate_still_needs_the_token(serve, session):
    served = await serve(clients=True)
    for path, status in (("/workloads", 404), (f"/{TOKEN}/workloads", 200)):
        async with session.post(served.url(path), data=make_review()) as response:
            assert response.status == status


@pytest.mark.parametrize("path", ["/workloads", f"/{TOKEN}/workloads"])
async def test_a_client_with_a_certificate_of_somebody_else_is_not_talked_to(serve, pairs, path):
    served = await serve(clients=True)
    connector = aiohttp.TCPConnector(ssl=trusting(pairs["server"], own=pairs["stranger"]))
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(served.url(path), data=make_review())
    assert served.desk.requests == []


async def test_where_no_authority_is_configured_a_certificate_proves_nothing(served, pairs):
    connector = aiohttp.TCPConnector(ssl=trusting(pairs["server"], own=pairs["client"]))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(served.url("/workloads"), data=make_review()) as response,
    ):
        assert response.status == 404


async def test_no_token_is_logged_and_no_version_told_whatever_is_sent(served, ask, raw, caplog):
    caplog.set_level(logging.DEBUG)
    served.desk.error = RuntimeError("boom")
    await ask()
    await ask(b"{")
    reader, writer = raw
    writer.write(f"POST /{TOKEN}/workloads HTTP/one\r\n\r\n".encode())
    answer = await reader.read()
    assert b" 400 Bad Request" in answer
    assert b"aiohttp" not in answer
    assert b"Python" not in answer
    assert TOKEN not in caplog.text
    assert served.value("bizrq_reviews_rejected_total", why="unreadable") == 2


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_a_body_of_up_to_8_megabytes_is_read_and_a_larger_one_is_not(served, ask):
    filled = make_review(object={"x": "y" * (8 * MEGABYTE - 2000)})
    assert 8 * MEGABYTE - 2000 < len(filled) <= 8 * MEGABYTE
    assert (await ask(io.BytesIO(filled)))[0] == 200
    assert (await ask(io.BytesIO(filled + b" " * 2000)))[0] == 413
    assert len(served.desk.requests) == 1
    assert served.value("bizrq_reviews_rejected_total", why="too_large") == 1


async def test_a_body_that_does_not_say_its_length_is_cut_at_the_limit(ask):
    async def endless():
        for _ in range(9):
            yield b" " * MEGABYTE

    assert (await ask(endless()))[0] == 413


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Type": "application/json"}, {}])
async def test_any_content_type_will_do(ask, headers):
    assert (await ask(headers=headers))[0] == 200


async def test_a_packed_body_is_refused_unopened(ask):
    """A few bytes can be unpacked to gigabytes; the API server packs nothing."""
    assert (await ask(headers={"Content-Encoding": "gzip"}))[0] == 415


async def test_a_body_that_is_no_review_is_told_why(served, ask):
    status, text = await ask(b'{"kind": "Pod"}')
    assert status == 400
    assert text.startswith("this is no AdmissionReview of admission.k8s.io/v1: ")
    assert (served.desk.requests, served.value("bizrq_reviews_rejected_total", why="unreadable")) == ([], 1)


async def test_a_body_that_does_not_come_is_not_waited_for_past_the_deadline(served, raw):
    reader, writer = raw
    writer.write(head(f"/{TOKEN}/workloads?timeout=100ms", 100) + b"{")
    async with asyncio.timeout(5):
        assert (await reader.readline()) == b"HTTP/1.1 408 Request Timeout\r\n"
    assert served.value("bizrq_reviews_rejected_total", why="slow") == 1


# --- the deadline ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        pytest.param("?timeout=5s", 4.5, id="half a second is kept for the way back"),
        pytest.param("?timeout=1s", 0.5, id="also of the shortest that can be configured"),
        pytest.param("?timeout=30s", 9.5, id="nobody waits longer than 10 s"),
        pytest.param("", 9.5, id="nor where nothing is said"),
        pytest.param("?timeout=soon", 9.5, id="or nothing that can be read"),
        pytest.param("?timeout=0s", 9.5, id="or no time at all"),
    ],
)
async def test_the_handler_is_told_how_long_the_api_server_waits(served, ask, query, seconds):
    assert (await ask(path=f"/{TOKEN}/workloads{query}"))[0] == 200
    assert seconds - 0.4 < served.desk.seconds_left <= seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5), ("1500ms", 1.5), ("1m0s", 60), ("2.5s", 2.5), (".5s", 0.5), ("1h2m3s", 3723), ("0s", 0),
        ("", 0), ("5", 0), ("s", 0), ("5 s", 0), ("-5s", 0), ("5sx", 0), ("1e9s", 0), ("\u0665s", 0),
        ("1s" * 100_000, 0),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_go_writes_it(text, seconds):
    assert seconds_of(text) == pytest.approx(seconds)


async def test_whoever_softens_verdicts_has_the_last_word_on_what_hangs_or_breaks(served, ask):
    """[A13] a cluster that only warns refuses nothing, not even then."""

    def soften(route, request, verdict):
        return Verdict.allow(f"{route} of {request.name}: {verdict.message}")

    served.server._soften = soften
    served.desk.free.clear()
    async with asyncio.timeout(5):
        _, response = await ask(path=f"/{TOKEN}/workloads?timeout=200ms")
    assert response["allowed"]
    assert response["warnings"] == ["workloads of web: this could not be decided in time; try again"]
    served.desk.free.set()
    served.server._routes["workloads"] = None
    _, response = await ask(path=f"/{TOKEN}/workloads")
    assert response["allowed"]
    assert "internal error" in response["warnings"][0]


async def test_a_handler_that_hangs_is_answered_for_in_time_and_goes_on_to_its_end(served, ask):  # [A13]
    served.desk.free.clear()
    async with asyncio.timeout(5):
        status, response = await ask(path=f"/{TOKEN}/workloads?timeout=200ms")
    assert (status, response["allowed"]) == (200, False)
    assert (response["status"]["code"], response["status"]["details"]) == (429, {"retryAfterSeconds": 1})
    assert "not be decided in time" in response["status"]["message"]
    assert served.value("bizrq_review_failures_total", route="workloads", why="late") == 1
    assert served.value("bizrq_reviews_total", route="workloads", verdict="again") == 1
    served.desk.free.set()
    async with asyncio.timeout(5):
        await served.desk.done.wait()


@pytest.mark.parametrize("verdict", [Verdict.allow(), Verdict.deny(422, "Invalid", "none"), Verdict.try_again("later")])
async def test_a_probe_is_answered_as_anything_else_and_counted_apart(served, ask, verdict):
    """Nobody wanted anything."""
    served.desk.verdict = replace(verdict, probe=True)
    assert (await ask())[1]["allowed"] == verdict.allowed
    counts = [served.value("bizrq_reviews_total", route="workloads", verdict=each)
              for each in ("probed", "allowed", "refused", "again")]  # fmt: skip
    assert counts == [1, 0, 0, 0]


@pytest.mark.parametrize("error", [RuntimeError("boom"), TimeoutError(), ConnectionError(), asyncio.CancelledError()])
async def test_a_handler_that_fails_neither_allows_nor_breaks_the_request(served, ask, error):  # [A13]
    served.desk.error = error
    status, response = await ask()
    assert (status, response["allowed"], response["status"]["code"]) == (200, False, 429)
    assert response["status"]["details"] == {"retryAfterSeconds": 1}
    assert served.value("bizrq_review_failures_total", route="workloads", why="error") == 1


async def test_an_error_is_logged_with_its_traceback_and_not_shown_to_the_user(served, ask, caplog):
    served.desk.error = RuntimeError("boom")
    _, response = await ask()
    assert "boom" not in json.dumps(response)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "CREATE deployments shop/web" in record.getMessage()
    assert record.exc_info
    assert record.exc_info[1] is served.desk.error


async def test_a_client_that_goes_away_does_not_end_the_handler(served, raw):
    """Its write may be on the way: it is then there or not, never half."""
    _, writer = raw
    served.desk.free.clear()
    body = make_review()
    writer.write(head(f"/{TOKEN}/workloads", len(body)) + body)
    async with asyncio.timeout(5):
        await served.desk.asked.wait()
        writer.transport.abort()
        await until(lambda: not any(connection.transport for connection in served.server._web.connections))
        served.desk.free.set()
        await served.desk.done.wait()


async def test_reviews_are_decided_side_by_side_and_one_connection_serves_many(served, ask, session):
    served.desk.free.clear()
    asked = [asyncio.create_task(ask()) for _ in range(50)]
    async with asyncio.timeout(10):
        await until(lambda: len(served.desk.requests) == 50)
        served.desk.free.set()
        assert {status for status, _ in await asyncio.gather(*asked)} == {200}
        connections = len(served.server._web.connections)
        assert connections == 50
        for _ in range(5):
            await ask()
        assert len(served.server._web.connections) == connections


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["localhost", ""], ids=["by name", "by address"])
async def test_a_new_certificate_is_shown_to_new_connections_and_open_ones_stay(served, pairs, ask, name):
    both = (pairs["server"], pairs["renewed"])
    assert await shown(served.server.port, both, name) == der(pairs["server"])
    await ask()
    served.install(pairs["renewed"])
    served.certificate.refresh()
    assert await shown(served.server.port, both, name) == der(pairs["renewed"])
    assert (await ask())[0] == 200  # over the connection of before: this client would not believe the new one


async def test_a_broken_pair_keeps_the_old_certificate_until_it_is_whole(served, pairs, caplog):
    both = (pairs["server"], pairs["renewed"])
    shutil.copy(pairs["renewed"].certificate, served.folder / "tls.crt")  # its key has yet to come
    served.certificate.refresh()
    assert await shown(served.server.port, both) == der(pairs["server"])
    (warning,) = [record.getMessage() for record in caplog.records]
    assert str(served.folder / "tls.crt") in warning
    assert str(served.folder / "tls.key") in warning
    shutil.copy(pairs["renewed"].key, served.folder / "tls.key")
    served.certificate.refresh()
    assert await shown(served.server.port, both) == der(pairs["renewed"])


async def test_a_new_client_authority_replaces_the_old_one(serve, pairs):
    served = await serve(clients=True)
    shutil.copy(pairs["stranger"].certificate, served.folder / "ca.crt")
    served.certificate.refresh()

    async def status(own):
        connector = aiohttp.TCPConnector(ssl=trusting(pairs["server"], own=own))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(served.url("/workloads"), data=make_review()) as response,
        ):
            return response.status

    assert await status(pairs["stranger"]) == 200
    with pytest.raises(aiohttp.ClientError):
        await status(pairs["client"])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_tls_below_1_2_is_not_spoken(served, pairs):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await shown(served.server.port, [pairs["server"]], newest=ssl.TLSVersion.TLSv1_1)
    await shown(served.server.port, [pairs["server"]], newest=ssl.TLSVersion.TLSv1_2)


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_an_open_request_is_finished_before_the_end(served, ask):
    served.desk.free.clear()
    asked = asyncio.create_task(ask())
    await served.desk.asked.wait()
    drained = asyncio.create_task(served.server.drain(0))
    async with asyncio.timeout(5):
        await until(lambda: not served.server._listener.is_serving())
        await asyncio.sleep(0.05)
        assert not drained.done()
        served.desk.free.set()
        assert (await asked)[0] == 200
        await drained


async def test_while_it_drains_it_is_not_ready_and_still_serves_over_connections_that_end(served, session):
    assert served.server.ready() is None
    drained = asyncio.create_task(served.server.drain(0.5))
    await asyncio.sleep(0)
    assert served.server.ready() == "draining: it is about to end"
    async with session.post(served.url(f"/{TOKEN}/workloads"), data=make_review()) as response:
        assert response.status == 200
        assert response.headers["Connection"] == "close"
    await drained
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.post(served.url(f"/{TOKEN}/workloads"), data=make_review())


async def test_idle_connections_do_not_delay_the_end(served, ask):
    await ask()
    async with asyncio.timeout(5):
        await served.server.drain(0)


async def test_a_decision_that_was_answered_too_late_is_still_finished(served, ask):
    served.desk.free.clear()
    await ask(path=f"/{TOKEN}/workloads?timeout=100ms")
    drained = asyncio.create_task(served.server.drain(0))
    await asyncio.sleep(0.05)
    assert not drained.done()
    served.desk.free.set()
    async with asyncio.timeout(5):
        await drained
    assert served.desk.done.is_set()


async def test_a_handler_that_never_ends_does_not_keep_the_process(serve, session):
    served = await serve()
    served.server._finish_seconds = 0.05
    served.desk.free.clear()
    path = f"/{TOKEN}/workloads?timeout=100ms"
    async with session.post(served.url(path), data=make_review()):
        pass
    async with asyncio.timeout(5):
        await served.server.drain(0)
    assert not served.desk.done.is_set()


async def test_a_server_that_does_not_listen_is_not_ready(tmp_path, pairs):
    served = Served(tmp_path, pairs)
    assert served.server.ready() == "not listening yet"
    await served.server.drain(0)
