"""One client connection over a real socket, before a scripted target: what each of them sees on the wire."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from edge.connection import ClientConnection
from edge.context import ProxyContext, ProxyRequest
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.forward import Timeouts, forward
from edge.headers import strip_request_headers
from edge.paths import split_target
from edge.pool import Address, ConnectionPool
from edge.server import EdgeServer
from tests.fakes.origins import (
    CLOSE,
    HANG,
    READ_ALL,
    READ_HEAD,
    RESET,
    EvilOrigin,
    Read,
    Send,
    Step,
    Wait,
    running_evil_origin,
)

TIMEOUTS = Timeouts(response_s=2.0, idle_s=2.0)


class Edge:
    """The smallest edge: every request goes to one target."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self.port = 0
        self.exchanges: list[Exchange] = []
        self.over = asyncio.Event()

    async def serve(self, connection: ClientConnection, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        try:
            if exchange.parse_error is not None:
                raise exchange.parse_error
            path, query = split_target(exchange.raw_path)
            headers = strip_request_headers(exchange.headers, is_edge=True)
            ctx = ProxyContext().copy_for(ProxyRequest(exchange, path, query, headers))
            upstream = await self._pool.acquire()
            await exchange.respond(await forward(upstream, ctx, TIMEOUTS))
        except EdgeError as error:
            await exchange.refuse(error)
        finally:
            self.over.set()


@asynccontextmanager
async def edge_before(port: int) -> AsyncIterator[Edge]:
    pool = ConnectionPool(
        Address("127.0.0.1", port), connect_timeout_s=2.0, allow=lambda ip: ip in ip_network("127.0.0.0/8")
    )
    edge = Edge(pool)
    server = EdgeServer(edge.serve)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    edge.port = listening.sockets[0].getsockname()[1]
    try:
        yield edge
    finally:
        listening.close()
        await server.drain(0.1)
        pool.close()


@asynccontextmanager
async def edge_and_target(*script: Step) -> AsyncIterator[tuple[Edge, EvilOrigin]]:
    async with running_evil_origin(*script) as origin, edge_before(origin.port) as edge:
        yield edge, origin


async def talk(port: int, request: bytes) -> bytes:
    """Send bytes and read until the edge closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


OK = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\nok")
GET = b"GET /a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"


async def test_a_request_is_written_anew_and_its_answer_too() -> None:
    async with edge_and_target(READ_HEAD, OK, HANG) as (edge, origin):
        answer = await talk(edge.port, GET)
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\nConnection: close\r\n\r\nok"
    assert bytes(origin.connections[0].received) == b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    script = (READ_HEAD, OK, READ_HEAD, Send(b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\nDate: now\r\n\r\n2"), HANG)
    async with edge_and_target(*script) as (edge, origin):
        answer = await talk(edge.port, b"GET /1 HTTP/1.1\r\nHost: shop\r\n\r\n" + GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\nokHTTP/1.1 201 Created")
    assert len(origin.connections) == 1


@pytest.mark.parametrize(
    ("request_head", "target_answer", "expected"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: d\r\n\r\n", b"Content-Length: 5\r\nDate: d"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n", b"HTTP/1.1 204 No Content\r\nDate: d"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nEtag: e\r\nDate: d\r\n\r\n", b"Etag: e\r\nDate: d"),
    ],
)
async def test_an_answer_without_a_body_ends_at_its_head(
    request_head: bytes, target_answer: bytes, expected: bytes
) -> None:
    async with edge_and_target(READ_HEAD, Send(target_answer), HANG) as (edge, _):
        answer = await talk(edge.port, request_head + GET[3:])
    assert expected + b"\r\nConnection: close\r\n\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_a_body_without_a_length_reaches_an_http_10_client_unframed() -> None:
    target = Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), Send(b"1\r\nc\r\n0\r\n\r\n")
    async with edge_and_target(READ_HEAD, *target, HANG) as (edge, _):
        answer = await talk(edge.port, b"GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    assert body == b"abc"
    assert b"chunked" not in head
    assert b"Connection: close" in head


async def test_a_chunked_answer_passes_piece_by_piece_before_its_end() -> None:
    more = asyncio.Event()
    script = (
        READ_HEAD,
        Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n3\r\none\r\n"),
        Wait(more),
        Send(b"3\r\ntwo\r\n0\r\n\r\n"),
        HANG,
    )
    async with edge_and_target(*script) as (edge, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert await reader.readuntil(b"one\r\n") == b"3\r\none\r\n"
        more.set()
        assert await reader.read() == b"3\r\ntwo\r\n0\r\n\r\n"
        writer.close()


async def test_a_sized_upload_arrives_whole_and_sized() -> None:
    body = b"x" * 300_000
    async with edge_and_target(READ_HEAD, Read(len(body)), OK, HANG) as (edge, origin):
        head = b"POST /up HTTP/1.1\r\nHost: shop\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n"
        answer = await talk(edge.port, head + body)
    assert answer.endswith(b"ok")
    received = bytes(origin.connections[0].received)
    assert received == b"POST /up HTTP/1.1\r\nHost: shop\r\nContent-Length: 300000\r\n\r\n" + body


async def test_a_chunked_upload_arrives_chunked_and_without_its_trailers() -> None:
    end = b"\r\n0\r\n\r\n"
    async with edge_and_target(READ_HEAD, Read(len(b"5\r\nhello") + len(end)), OK, HANG) as (edge, origin):
        answer = await talk(
            edge.port,
            b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"5;ext=1\r\nhello\r\n0\r\nX-Trailer: secret\r\n\r\n",
        )
    assert answer.endswith(b"ok")
    received = bytes(origin.connections[0].received)
    assert received == b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello" + end


async def test_an_empty_upload_keeps_its_length() -> None:
    async with edge_and_target(READ_HEAD, OK, HANG) as (edge, origin):
        await talk(edge.port, b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert bytes(origin.connections[0].received) == b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n"


async def test_the_edge_itself_says_continue_and_does_not_forward_the_expectation() -> None:
    async with edge_and_target(READ_HEAD, Read(5), OK, HANG) as (edge, origin):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await reader.read()).endswith(b"ok")
        writer.close()
    assert b"expect" not in bytes(origin.connections[0].received).lower()


async def test_an_answer_before_the_upload_is_read_reaches_the_client_and_ends_both_connections() -> None:
    early = Send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
    async with edge_and_target(READ_HEAD, early, HANG) as (edge, origin):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in answer
        assert answer.endswith(b"big")
        await asyncio.wait_for(origin.connections[0].over.wait(), 5)


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_a_target_that_breaks_off_leaves_the_client_a_broken_answer(end: Step, begun: bytes) -> None:
    more = asyncio.Event()
    async with edge_and_target(READ_HEAD, Send(begun), Wait(more), end) as (edge, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(GET)
        await reader.readuntil(b"half")
        more.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ((READ_HEAD, CLOSE), b"502 Bad Gateway", b"upstream_reset"),
        ((READ_HEAD, RESET), b"502 Bad Gateway", b"upstream_reset"),
        ((READ_HEAD, Send(b"nonsense\r\n\r\n"), HANG), b"502 Bad Gateway", b"upstream_protocol"),
        ((READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n"), HANG), b"502 Bad Gateway", b"upstream_protocol"),
    ],
)
async def test_a_target_that_fails_before_its_answer_is_a_502(
    script: tuple[Step, ...], status: bytes, code: bytes
) -> None:
    async with edge_and_target(*script) as (edge, _):
        answer = await talk(edge.port, GET)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b'{"error": "' + code in answer


async def test_a_client_that_goes_takes_its_request_to_the_target_along() -> None:
    async with edge_and_target(READ_HEAD, HANG) as (edge, origin):
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
        await asyncio.wait_for(origin.connected(1), 5)
        writer.transport.abort()
        await asyncio.wait_for(origin.connections[0].over.wait(), 5)
        await asyncio.wait_for(edge.over.wait(), 5)


async def test_a_client_that_goes_in_the_middle_of_its_upload_leaves_the_target_a_broken_request() -> None:
    async with edge_and_target(READ_HEAD, READ_ALL) as (edge, origin):
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1000\r\n\r\nhalf")
        await asyncio.wait_for(origin.connected(1), 5)
        writer.transport.abort()
        await asyncio.wait_for(origin.connections[0].over.wait(), 5)
    assert len(origin.connections[0].received.partition(b"\r\n\r\n")[2]) < 1000


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n", b"431"),
    ],
)
async def test_a_head_that_is_not_http_is_refused_and_the_connection_closed(
    request_bytes: bytes, status: bytes
) -> None:
    async with edge_and_target(HANG) as (edge, origin):
        answer = await talk(edge.port, request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer
    assert not origin.connections


async def test_a_chunked_body_that_is_malformed_is_the_clients_fault() -> None:
    async with edge_and_target(READ_HEAD, READ_ALL) as (edge, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        writer.write(b"zz\r\nnot a chunk\r\n")
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_slow_reader_does_not_fill_the_memory() -> None:
    """The target can only write as much ahead of the client as the sockets and two bounded buffers hold."""
    size = 64 * 1024 * 1024
    sent = 0
    finished = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 65536):
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
            await reader.read()
        except ConnectionError:
            return
        finally:
            finished.set()
            writer.close()

    target = await asyncio.start_server(pour, "127.0.0.1", 0)
    async with edge_before(target.sockets[0].getsockname()[1]) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, limit=1024)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while sent != before:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.2)
        assert sent < size // 2
        digest, got = hashlib.sha256(), 0
        while data := await reader.read(65536):
            digest.update(data)
            got += len(data)
        assert got == size
        assert digest.hexdigest() == hashlib.sha256(b"x" * size).hexdigest()
        writer.close()
    await asyncio.wait_for(finished.wait(), 5)
    target.close()
