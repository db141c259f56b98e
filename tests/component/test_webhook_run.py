"""The webhook as a process: what is served, what is read again, how it ends."""

import asyncio
import json
import logging
import os
import re
import shutil
import signal
import socket
from dataclasses import replace

import aiohttp
import kubernetes.client
import pytest

from bizrq.cluster.credentials import Credentials
from bizrq.settings import WebhookSettings
from bizrq.webhook import run
from bizrq.webhook.review import Verdict
from bizrq.webhook.validity import not_after
from testbed.ports import free_port
from tests.support.admission_review import make_review
from tests.support.certificates import der, make_pair, shown, trusting
from tests.support.clocks import HandClock
from tests.support.controller import until

TOKEN = "t0ken-of-the-path"


class Running(run.Webhook):
    """A webhook with what a test needs to steer it."""

    free: asyncio.Event
    task: asyncio.Task[None]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Certificates; each is its own authority."""
    folder = tmp_path_factory.mktemp("certificates")
    return [make_pair(folder, name) for name in ("first", "second")]


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory):
    """Another one, that ends later."""
    return make_pair(tmp_path_factory.mktemp("long-lived"), "long-lived", days=9)


@pytest.fixture
def settings(tmp_path, pairs):
    """Files as in a pod, on free ports."""
    shutil.copy(pairs[0].certificate, tmp_path / "tls.crt")
    shutil.copy(pairs[0].key, tmp_path / "tls.key")
    (tmp_path / "tokens").write_text(TOKEN)
    return WebhookSettings(
        cert_file=tmp_path / "tls.crt",
        key_file=tmp_path / "tls.key",
        path_token_file=tmp_path / "tokens",
        port=0,
        metrics_port=free_port(),
        drain_seconds=0.2,
    )


@pytest.fixture
def credentials():
    """No API server is there."""
    config = kubernetes.client.Configuration()
    config.host = "http://127.0.0.1:1"
    return Credentials(config)


@pytest.fixture
async def webhook(settings, credentials, monkeypatch):
    """A running one whose one route waits for ``free``, and its task."""
    for name in ("_POLL_SECONDS", "_AWAITED_SECONDS"):
        monkeypatch.setattr(run, name, 0.02)
    free = asyncio.Event()

    async def decide(_request, _deadline):
        await free.wait()
        return Verdict.allow()

    async def fail(_request, _deadline):
        raise AssertionError

    routes = {"workloads": decide, "autoscalers": fail}
    webhook = Running(settings, (), credentials, HandClock(), lambda *_: routes)
    webhook.free, webhook.task = free, asyncio.create_task(webhook.run())
    async with asyncio.timeout(10):
        await until(lambda: hasattr(webhook, "_server") and webhook._server.ready() is None)
    yield webhook
    free.set()
    if not webhook.task.done():
        os.kill(os.getpid(), signal.SIGTERM)
    await webhook.task


@pytest.fixture
async def ask(webhook, pairs):
    """Ask for a verdict, over a new connection each time; its HTTP status."""

    async def ask(token=TOKEN):
        return (await post(webhook, pairs, f"{token}/workloads"))[0]

    return ask


async def post(webhook, pairs, path):
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting(*pairs))) as session,
        session.post(f"https://127.0.0.1:{webhook._server.port}/{path}", data=make_review()) as response,
    ):
        return response.status, await response.text()


async def state(webhook, path):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{webhook._health.port}{path}") as response,
    ):
        return response.status, await response.text()


async def test_it_serves_reviews_health_and_metrics(webhook, ask):
    webhook.free.set()
    assert await ask() == 200
    assert (await state(webhook, "/healthz"))[0] == 200
    assert await state(webhook, "/readyz") == (200, "[+] loop: ok\n[+] reviews: ok\n")
    _, metrics = await state(webhook, "/metrics")
    assert 'bizrq_reviews_total{route="workloads",verdict="allowed"} 1.0' in metrics
    assert 'bizrq_reviews_total{route="workloads",verdict="again"} 0.0' in metrics


async def test_the_end_of_the_certificate_that_is_shown_is_told(webhook, settings, pairs, long_lived):
    """Also after it was replaced; a file that is no good is not shown."""

    async def told():
        _, metrics = await state(webhook, "/metrics")
        (value,) = re.findall(r"^bizrq_certificate_expiry_timestamp_seconds (.*)$", metrics, re.MULTILINE)
        return float(value)

    assert await told() == not_after(pairs[0].certificate.read_bytes())
    shutil.copy(long_lived.certificate, settings.cert_file)
    shutil.copy(long_lived.key, settings.key_file)
    held = webhook._certificate._held
    async with asyncio.timeout(10):
        await until(lambda: held.value.not_after == not_after(long_lived.certificate.read_bytes()))
    assert await told() == held.value.not_after
    settings.cert_file.write_text("broken")
    async with asyncio.timeout(10):
        await until(lambda: held._tried[0] == b"broken")
    assert await told() == not_after(long_lived.certificate.read_bytes())


async def test_an_autoscaler_is_let_by_where_its_review_fails(webhook, pairs):
    """[A10]"""
    status, body = await post(webhook, pairs, f"{TOKEN}/autoscalers")
    assert (status, json.loads(body)["response"]["allowed"]) == (200, True)


async def test_a_new_certificate_and_a_new_token_are_taken_without_a_restart(webhook, ask, settings, pairs):
    webhook.free.set()
    assert await shown(webhook._server.port, pairs) == der(pairs[0])
    before = webhook._certificate._held.value
    shutil.copy(pairs[1].certificate, settings.cert_file)
    shutil.copy(pairs[1].key, settings.key_file)
    settings.path_token_file.write_text("the-next-token-1")
    async with asyncio.timeout(10):
        await until(lambda: webhook._certificate._held.value is not before)
        await until(lambda: webhook._tokens.accept("the-next-token-1"))
    assert await shown(webhook._server.port, pairs) == der(pairs[1])
    assert await ask("the-next-token-1") == 200
    assert await ask() == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_after_a_signal_it_is_not_ready_finishes_what_was_asked_and_ends(webhook, ask, number):
    asked = asyncio.create_task(ask())
    async with asyncio.timeout(10):
        await until(lambda: webhook._server._deciding)
        os.kill(os.getpid(), number)
        await until(lambda: webhook._server.ready() is not None)
        assert (await state(webhook, "/readyz"))[1].endswith("[-] reviews: draining: it is about to end\n")
        webhook.free.set()
        assert await asked == 200
        await webhook.task


async def test_a_port_that_is_taken_ends_the_start(settings, credentials):
    with socket.create_server(("", 0)) as taken:
        settings = replace(settings, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await run.Webhook(settings, (), credentials, HandClock(), lambda *_: {}).run()


@pytest.fixture
async def waiting(settings, credentials, monkeypatch):
    """A running one whose files are not there yet: nobody has made them."""
    monkeypatch.setattr(run, "_AWAITED_SECONDS", 0.02)
    made = {path: path.read_bytes() for path in (settings.cert_file, settings.key_file, settings.path_token_file)}
    for path in made:
        path.unlink()
    webhook = Running(settings, (), credentials, HandClock(), lambda *_: {})
    webhook.task = asyncio.create_task(webhook.run())
    async with asyncio.timeout(10):
        await until(lambda: hasattr(webhook, "_health") and webhook._health._runner and webhook._health._runner.sites)
    yield webhook, made
    if not webhook.task.done():
        os.kill(os.getpid(), signal.SIGTERM)
    await webhook.task


async def test_a_webhook_whose_files_are_not_there_lives_and_says_what_it_waits_for(waiting, settings):
    webhook, made = waiting
    assert (await state(webhook, "/healthz"))[0] == 200
    status, text = await state(webhook, "/readyz")
    assert status == 503
    assert f"[-] reviews: certificate: waiting for {settings.cert_file}; path tokens: waiting for" in text
    assert webhook._server._listener is None
    for count, (path, content) in enumerate(made.items()):
        assert webhook._server.ready() is not None, f"{count} of {len(made)} files are there"
        path.write_bytes(content)
    async with asyncio.timeout(10):
        await until(lambda: webhook._server.ready() is None)
    assert await state(webhook, "/readyz") == (200, "[+] loop: ok\n[+] reviews: ok\n")


async def test_a_webhook_that_still_waits_ends_at_once(waiting, caplog):
    caplog.set_level(logging.INFO)
    webhook, _ = waiting
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await webhook.task
    assert caplog.messages[-1] == "stopping"
    assert "draining" not in caplog.text
