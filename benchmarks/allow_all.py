"""What does a webhook cost that decides nothing?

``python -m benchmarks.allow_all PORT CERTIFICATE KEY`` answers every AdmissionReview with yes, by aiohttp over TLS as
the webhook of bizrq does. It reads nothing of a review but its uid, and writes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Final

import msgspec
from aiohttp import web

_BACKLOG: Final = 1024
_IDLE_SECONDS: Final = 120.0


class _Request(msgspec.Struct):
    uid: str


class _Review(msgspec.Struct):
    request: _Request


_reviews: Final = msgspec.json.Decoder(_Review)


async def _allow(request: web.BaseRequest) -> web.StreamResponse:
    review = _reviews.decode(await request.read())
    verdict = {"uid": review.request.uid, "allowed": True}
    answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": verdict}
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


async def _serve(port: int, certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = web.Server(_allow, access_log=None, keepalive_timeout=_IDLE_SECONDS)
    listening = asyncio.get_running_loop().create_server(server, "127.0.0.1", port, ssl=context, backlog=_BACKLOG)
    async with await listening as listener:
        await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
