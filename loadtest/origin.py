"""The sample upstream: what `portico dev` puts behind its demo tenant, and what the tests forward to.

    python -m loadtest.origin --listen 127.0.0.1:9000 [--name NAME]

Bodies are streamed both ways, so a gigabyte costs no memory. `GET /` lists what it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

import uvloop
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler

from store.setting_values import read_address

BLOCK_BYTES = 64 * 1024
MAX_BYTES = 1 << 40
MAX_ECHO_BYTES = 1 << 20
MAX_DELAY_S = 300.0
MAX_EVENTS = 1_000_000
_INDEX_BYTES = 8
_FILLER = random.Random(0).randbytes(BLOCK_BYTES - _INDEX_BYTES)

HELLO = """<!doctype html><meta charset="utf-8"><title>Hello from {name}</title>
<h1>Hello from {name}</h1>
<p>You reached the sample upstream. It answers:</p>
<ul>
<li><code>/echo</code>: the request as JSON (any method, any path below it)</li>
<li><code>/bytes/N</code>: N bytes; <code>?chunked=1</code> without a length</li>
<li><code>/delay/S</code>: after S seconds</li>
<li><code>/status/N</code>: with that status</li>
<li><code>/headers?Name=value</code>: with those fields</li>
<li><code>/upload</code>: the body's length and SHA-256</li>
<li><code>/sse?count=N&amp;interval=S</code>: server-sent events</li>
<li><code>/ws</code>: a WebSocket that echoes</li>
<li><code>/healthz</code>: 200, or what was put there (<code>PUT /healthz?status=503</code>)</li>
</ul>
"""


@dataclass
class OriginState:
    """What an origin remembers: its name, its health, and how often each path was asked for."""

    name: str = "origin"
    health_status: int = 200
    hits: Counter[str] = field(default_factory=Counter)


STATE = web.AppKey("state", OriginState)


def body_blocks(size: int) -> Iterator[bytes]:
    """Yield `size` bytes, the same each time; each block has its number, so a lost or swapped one shows."""
    for index in range(size // BLOCK_BYTES):
        yield index.to_bytes(_INDEX_BYTES, "big") + _FILLER
    rest = size % BLOCK_BYTES
    if rest:
        yield ((size // BLOCK_BYTES).to_bytes(_INDEX_BYTES, "big") + _FILLER)[:rest]


def make_app(state: OriginState | None = None) -> web.Application:
    """Build the upstream as an aiohttp application; `app[STATE]` is what it remembers."""
    app = web.Application(client_max_size=MAX_ECHO_BYTES, middlewares=[_count])
    app[STATE] = state or OriginState()
    app.router.add_get("/", _hello)
    app.router.add_route("*", "/echo{tail:(?:/.*)?}", _echo)
    app.router.add_get("/bytes/{size:[0-9]+}", _bytes)
    app.router.add_route("*", "/delay/{seconds:[0-9.]+}", _delay)
    app.router.add_route("*", "/status/{status:[1-5][0-9][0-9]}", _status)
    app.router.add_get("/headers", _headers)
    app.router.add_route("*", "/upload", _upload)
    app.router.add_get("/sse", _sse)
    app.router.add_get("/ws", _ws)
    app.router.add_get("/healthz", _healthz)
    app.router.add_put("/healthz", _set_healthz)
    return app


@web.middleware
async def _count(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[STATE].hits[request.path] += 1
    return await handler(request)


async def _hello(request: web.Request) -> web.Response:
    name = escape(request.app[STATE].name)
    return web.Response(text=HELLO.format(name=name), content_type="text/html")


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    answer = {
        "origin": request.app[STATE].name,
        "method": request.method,
        "path": request.raw_path,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
        **_body_as_json(body),
    }
    return web.json_response(answer, dumps=_dumps)


def _dumps(answer: dict[str, object]) -> str:
    """Write JSON for people: a field a line, and of the header's fields too."""
    text = json.dumps(answer, indent=2)
    return re.sub(r"\[\s+(\"[^\n]*\"),\s+(\"[^\n]*\")\s+\]", r"[\1, \2]", text) + "\n"


def _body_as_json(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


async def _bytes(request: web.Request) -> web.StreamResponse:
    size = min(int(request.match_info["size"]), MAX_BYTES)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    if request.query.get("chunked"):
        response.enable_chunked_encoding()
    else:
        response.content_length = size
    await response.prepare(request)
    if request.method != "HEAD":
        for block in body_blocks(size):
            await response.write(block)
    await response.write_eof()
    return response


async def _delay(request: web.Request) -> web.Response:
    try:
        seconds = min(float(request.match_info["seconds"]), MAX_DELAY_S)
    except ValueError as error:
        raise web.HTTPBadRequest(text="not a number of seconds\n") from error
    await asyncio.sleep(seconds)
    return web.Response(text=f"after {seconds:g} s\n")


async def _status(request: web.Request) -> web.Response:
    status = int(request.match_info["status"])
    if status < 200:
        raise web.HTTPBadRequest(text="an interim status is not an answer\n")
    if status in {204, 205, 304}:
        return web.Response(status=status)
    return web.Response(status=status, text=f"{status}\n")


async def _headers(request: web.Request) -> web.Response:
    response = web.Response(text="see the fields\n")
    for name, value in request.query.items():
        response.headers.add(name, value)
    return response


async def _upload(request: web.Request) -> web.Response:
    digest, size = hashlib.sha256(), 0
    while block := await request.content.readany():
        digest.update(block)
        size += len(block)
    return web.json_response({"bytes": size, "sha256": digest.hexdigest()})


async def _sse(request: web.Request) -> web.StreamResponse:
    try:
        count = min(int(request.query.get("count", "10")), MAX_EVENTS)
        interval_s = min(float(request.query.get("interval", "1")), MAX_DELAY_S)
    except ValueError as error:
        raise web.HTTPBadRequest(text="count and interval are numbers\n") from error
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    for number in range(count):
        await response.write(f"id: {number}\ndata: event {number}\n\n".encode())
        await asyncio.sleep(interval_s)
    await response.write_eof()
    return response


async def _ws(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=request.headers.get("Sec-WebSocket-Protocol", "").split(", "))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def _healthz(request: web.Request) -> web.Response:
    status = request.app[STATE].health_status
    return web.Response(status=status, text="ok\n" if status < 400 else "not well\n")


async def _set_healthz(request: web.Request) -> web.Response:
    try:
        request.app[STATE].health_status = int(request.query["status"])
    except (KeyError, ValueError) as error:
        raise web.HTTPBadRequest(text="PUT /healthz?status=503\n") from error
    return web.Response(status=204)


async def _serve(host: str, port: int, name: str) -> None:
    runner = web.AppRunner(make_app(OriginState(name)), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, shutdown_timeout=1).start()
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        for bound in runner.addresses:
            print(f"origin listens on http://{bound[0]}:{bound[1]}", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 2 when the address cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.origin", description="The sample upstream.")
    parser.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT")
    parser.add_argument("--name", default="origin", help="what it calls itself in its answers")
    arguments = parser.parse_args(argv)
    try:
        address = read_address(arguments.listen)
        uvloop.run(_serve(address.host, address.port, arguments.name))
    except ValueError as error:
        parser.error(f"--listen {error}")
    except OSError as error:
        print(f"origin: cannot listen on {arguments.listen}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
