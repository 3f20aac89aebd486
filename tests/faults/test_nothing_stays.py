"""What has ended is gone at once: nothing that was received waits in a ring for the collector to come to it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.http_parser import HttpRequestParser, HttpResponseParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from edge.connection import ClientConnection
from edge.exchange import Exchange
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import CLOSE, HANG, READ_HEAD, RESET, Send, Step, running_evil_origin
from tests.fakes.raw_talk import get, post
from tests.fakes.verdicts import to_acme
from tests.fakes.waiting import until

BODY = bytes(40_000)
CHUNKED = b"Transfer-Encoding: chunked"
SIZED = b"Content-Length: %d" % len(BODY)
IN_CHUNKS = b"%x\r\n%b\r\n" % (len(BODY), BODY)
OFFER = b"Connection: Upgrade", b"Upgrade: chat"
OK = b"HTTP/1.1 200 OK\r\n"
GOOD: tuple[Step, ...] = (Send(OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"), HANG)
BIG: tuple[Step, ...] = (Send(OK + b"Content-Length: 9000000\r\n\r\n" + bytes(3_000_000)), HANG)

# What the client sends, and what the target does with it.
ENDINGS: dict[str, tuple[bytes, tuple[Step, ...]]] = {
    "a good request": (get(), GOOD),
    "one that is refused": (b"GET /..;/x HTTP/1.1\r\nHost: shop.test\r\n\r\n", GOOD),
    "one that is refused, with its body": (post(SIZED, body=BODY).replace(b"shop.test", b"other.test"), GOOD),
    "the same in chunks": (post(CHUNKED, body=IN_CHUNKS).replace(b"shop.test", b"other.test"), GOOD),
    "half an upload": (post(b"Content-Length: 90000", body=BODY), (HANG,)),
    "half an upload in chunks": (post(CHUNKED, body=IN_CHUNKS), (HANG,)),
    "an upload that is answered early": (post(b"Content-Length: 90000", body=BODY), GOOD),
    "an upload that turns bad": (post(CHUNKED, body=IN_CHUNKS + b"zz\r\n"), (HANG,)),
    "an offer that is declined": (get(*OFFER) + BODY, GOOD),
    "requests ahead": (get() * 500, GOOD),
    "trailers without an end": (post(CHUNKED, body=b"0\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 9), (HANG,)),
    "an answer that is not read": (get(), BIG),
    "an answer that breaks": (get(), (Send(OK + b"Content-Length: 9\r\n\r\nhalf"), RESET)),
    "an answer that is none": (get(), (Send(b"nonsense\r\n\r\n" + BODY), CLOSE)),
    "trailers of an answer": (
        get(),
        (Send(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 9), HANG),
    ),
}


@pytest_asyncio.fixture
async def edge(redis_url: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        yield running


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> dict[str, int]:
    """Count exchanges, and what was received: bytes that nobody has read; parsers, which may hold half a message."""
    kinds = StreamReader, Exchange, ClientConnection, HttpRequestParser, HttpResponseParser
    found: list[Any] = [each for each in gc.get_objects() if isinstance(each, kinds)]
    return {
        "exchanges": sum(isinstance(each, Exchange) for each in found),
        "parsers": sum(isinstance(each, (HttpRequestParser, HttpResponseParser)) for each in found),
        "kept": sum(len(each._ahead) + len(each._message_tail) for each in found if isinstance(each, ClientConnection)),
        "unread": sum(each._size for each in found if isinstance(each, StreamReader) and each is not EMPTY_PAYLOAD),
    }


@pytest.mark.parametrize(("sent", "script"), ENDINGS.values(), ids=ENDINGS)
async def test_nothing_of_a_request_stays_when_its_client_is_gone(
    edge: RunningEdge, without_collector: None, sent: bytes, script: tuple[Step, ...]
) -> None:
    async with running_evil_origin(READ_HEAD, *script) as target:
        await edge.put(to_acme(target.url))
        before = held()
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            writer.write(sent)
            await asyncio.sleep(0.1)  # nothing tells when an edge has read what it does not answer
            writer.transport.abort()
            del reader, writer
            await until(lambda: not edge.worker.server.connections)
    with suppress(TimeoutError):
        await until(lambda: held() == before, 10)  # the target's connections end a moment later
    assert held() == before
