"""A proxying handler in a plain application: bodies both ways, as the client and the target see them on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from multidict import CIMultiDict
from yarl import URL

from edge import HTTPProxyHandler, ProxyContext, configure_contexts
from tests.fakes.origins import HANG, READ_HEAD, RESET, Send, Step, Wait, running_evil_origin
from tests.fakes.web_apps import app_of, proxied, serving, target

MIB = 1024 * 1024


@asynccontextmanager
async def proxy_to(url: URL | str, *, handler_cancellation: bool = False) -> AsyncIterator[Proxy]:
    """Serve a proxy to a target; errors of the target pass through."""
    ctx = ProxyContext(url=url)
    handler = HTTPProxyHandler(ctx, raises_for_status=False)
    app = app_of(handler)
    configure_contexts(app, [ctx])
    async with serving(app, handler_cancellation=handler_cancellation) as proxy_url:
        yield Proxy(handler, proxy_url)


class Proxy:
    """A running proxy: its handler, its URL, and raw connections to it."""

    def __init__(self, handler: HTTPProxyHandler, url: URL) -> None:
        self.handler = handler
        self.url = url

    @asynccontextmanager
    async def connection(self, request: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect and send these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.url.port)
        try:
            writer.write(request)
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, request: bytes) -> bytes:
        """Send these bytes and give all that comes back."""
        async with self.connection(request) as (reader, _):
            return await reader.read()


def get(extra: str = "", version: str = "1.1", method: str = "GET") -> bytes:
    return f"{method} / HTTP/{version}\r\nHost: shop.test\r\n{extra}\r\n".encode()


CLOSE = "Connection: close\r\n"


# -- Bodies --------------------------------------------------------------------------------------------------------


async def test_large_bodies_arrive_identical_both_ways() -> None:
    piece = bytes(range(256)) * 256

    async def echo(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if request.content_length is not None:
            answer.content_length = request.content_length
        await answer.prepare(request)
        async for data in request.content.iter_any():
            await answer.write(data)
        return answer

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(256):
            yield piece

    expected = hashlib.sha256(piece * 256).hexdigest()
    async with target(echo) as url, proxy_to(url) as proxy, ClientSession() as client:
        for headers in ({}, {"Content-Length": str(16 * MIB)}):
            digest = hashlib.sha256()
            async with client.post(proxy.url, data=upload(), headers=headers) as answer:
                assert answer.headers.get("Content-Length") == headers.get("Content-Length")
                async for data in answer.content.iter_any():
                    digest.update(data)
            assert digest.hexdigest() == expected


async def test_a_target_sends_no_faster_than_the_client_reads() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        while sent < 256 * MIB:
            await answer.write(bytes(MIB))
            sent += MIB
        return answer

    async with target(endless) as url, proxy_to(url) as proxy, proxy.connection(get()) as (reader, _):
        await reader.readexactly(100)
        await settled(lambda: sent)
        assert sent < 64 * MIB


async def test_a_client_sends_no_faster_than_the_target_reads() -> None:
    go_on = asyncio.Event()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (256 * MIB)
    async with (
        running_evil_origin(READ_HEAD, Wait(go_on)) as origin,
        proxy_to(origin.url) as proxy,
        proxy.connection(head) as (_, writer),
    ):
        sent = 0

        async def upload() -> None:
            nonlocal sent
            while True:
                writer.write(bytes(MIB))
                await writer.drain()
                sent += MIB

        task = asyncio.create_task(upload())
        await origin.connected(1)
        await settled(lambda: sent)
        assert sent < 64 * MIB
        task.cancel()
        go_on.set()
        await asyncio.gather(task, return_exceptions=True)


async def settled(measure: Callable[[], int]) -> None:
    """Wait until nothing moves any more: two looks that see the same."""
    before = -1
    while measure() != before:
        before = measure()
        await asyncio.sleep(0.2)


async def test_pieces_are_passed_on_as_they_come() -> None:
    go_on = asyncio.Event()
    answer: list[Step] = [
        Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"),
        Wait(go_on),
        Send(b"data: 2\n\n"),
    ]
    async with (
        running_evil_origin(READ_HEAD, *answer) as origin,
        proxy_to(origin.url) as proxy,
        ClientSession() as client,
        client.get(proxy.url) as response,
    ):
        assert await response.content.readany() == b"data: 1\n\n"
        go_on.set()
        assert await response.content.read() == b"data: 2\n\n"


async def test_a_query_and_a_raw_path_survive() -> None:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=request.raw_path)

    raw = b"/a%2fb//c/../d;e/%c3%a9%7E{}?x=1&x=2&y=%20+&&z"
    async with target(show) as url, proxy_to(url) as proxy:
        answer = await proxy.ask(b"GET " + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n" + raw)


# -- Answers without a body ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "answer", "expected"),
    [
        (get(CLOSE, method="HEAD"), b"200 OK\r\nContent-Length: 1000", {"Content-Length": "1000"}),
        (get(CLOSE), b"204 No Content", {}),
        (get(CLOSE), b'304 Not Modified\r\nETag: "a"\r\nContent-Length: 1000', {"ETag": '"a"'}),
        (get(CLOSE), b"200 OK\r\nContent-Length: 0", {"Content-Length": "0"}),
    ],
    ids=["HEAD", "204", "304", "empty"],
)
async def test_an_answer_without_a_body_stays_without_one(
    request_bytes: bytes, answer: bytes, expected: dict[str, str]
) -> None:
    async with running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 " + answer + b"\r\n\r\n")) as origin:
        async with proxy_to(origin.url) as proxy:
            raw = await proxy.ask(request_bytes)
    head, _, body = raw.partition(b"\r\n\r\n")
    fields: CIMultiDict[str] = CIMultiDict(re.findall(r"(?m)^([^:\r\n]+): ([^\r\n]*)", head.decode()))
    assert head.split(b" ")[1] == answer.split(b" ")[0]
    assert body == b""
    assert "Transfer-Encoding" not in fields
    assert {name: fields.get(name) for name in expected} == expected


# -- Targets that break off ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "framing"),
    [
        ("1.1", b"Content-Length: 10\r\n\r\nhalf"),
        ("1.1", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("1.0", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ],
    ids=["sized", "chunked", "until the connection closes"],
)
async def test_a_target_that_breaks_off_cuts_the_client(version: str, framing: bytes) -> None:
    go_on = asyncio.Event()
    async with (
        running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 200 OK\r\n" + framing), Wait(go_on), RESET) as origin,
        proxy_to(origin.url) as proxy,
        proxy.connection(get(version=version)) as (reader, _),
    ):
        await reader.readuntil(b"half")
        go_on.set()
        # A reset, not an end: an HTTP/1.0 client would take an end for the end of the body.
        with pytest.raises(ConnectionResetError):
            await reader.read()


# -- Clients that go -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler_cancellation", [False, True])
@pytest.mark.parametrize("at", ["waiting for the head", "in the middle of the body"])
async def test_a_client_that_goes_ends_its_upstream_request(handler_cancellation: bool, at: str) -> None:
    after = asyncio.Event()
    errors: list[BaseException | None] = []
    steps: list[Any] = [READ_HEAD]
    if at != "waiting for the head":
        steps.append(Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    async with (
        running_evil_origin(*steps, HANG) as origin,
        proxy_to(origin.url, handler_cancellation=handler_cancellation) as proxy,
    ):

        @proxy.handler.client_edge
        async def note(ctx: ProxyContext) -> AsyncIterator[None]:
            ctx.defer(after.set)
            yield
            errors.append(ctx.error)

        async with proxy.connection(get()) as (reader, writer):
            upstream = await origin.connected(1)
            if at != "waiting for the head":
                await reader.readuntil(b"half")
            writer.transport.abort()
        await upstream.over.wait()
        await after.wait()
    expected = [asyncio.CancelledError] if at == "waiting for the head" else [type(None)]
    assert [type(error) for error in errors] == expected


async def test_a_client_that_goes_in_the_middle_of_its_upload_ends_its_upstream_request() -> None:
    async with running_evil_origin(READ_HEAD, HANG) as origin, proxy_to(origin.url) as proxy:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
        async with proxy.connection(head) as (_, writer):
            upstream = await origin.connected(1)
            writer.transport.abort()
        await upstream.over.wait()


async def test_a_client_that_stays_is_served_however_long_it_takes() -> None:
    go_on = asyncio.Event()
    answer = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
    async with (
        running_evil_origin(READ_HEAD, Wait(go_on), answer) as origin,
        proxy_to(origin.url) as proxy,
        ClientSession() as client,
    ):
        request = asyncio.create_task(client.get(proxy.url))
        await origin.connected(1)
        # Longer than the handler's looks for its client are apart.
        asyncio.get_running_loop().call_later(0.5, go_on.set)
        async with await request as response:
            assert await response.text() == "late"


# -- What the target is told ---------------------------------------------------------------------------------------


async def test_the_target_is_told_its_own_host_and_who_asked_for_which() -> None:
    async def show(request: web.Request) -> web.Response:
        return web.json_response({name: value for name, value in request.headers.items() if name != "Accept"})

    async with target(show) as url:
        ctx = ProxyContext(url=url)
        async with proxied(HTTPProxyHandler(ctx), [ctx]) as proxy, ClientSession() as client:
            headers = {
                "Host": "shop.test:81",
                "X-Forwarded-For": "203.0.113.9",
                "User-Agent": "",
                "Accept-Encoding": "",
            }
            async with client.get(proxy, headers=headers) as answer:
                assert await answer.json() == {
                    "Host": f"127.0.0.1:{url.port}",
                    "X-Forwarded-For": "203.0.113.9, 127.0.0.1",
                    "X-Forwarded-Host": "shop.test:81",
                    "X-Forwarded-Proto": "http",
                    "User-Agent": "",
                    "Accept-Encoding": "",
                }
