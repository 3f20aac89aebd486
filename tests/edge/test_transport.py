"""A target's answers as bytes on a real socket, and what the connection makes of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from edge.answer import UpstreamError
from edge.pool import Address, ConnectionPool
from edge.transport import UpstreamConnection
from edge.upstreams.names import IPAddress

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def target(script: Script) -> AsyncIterator[ConnectionPool]:
    """Run a server that plays `script` on each connection, and give a pool of connections to it."""
    writers: list[asyncio.StreamWriter] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await script(reader, writer)
        except ConnectionError:
            return

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = ConnectionPool(Address("127.0.0.1", port), connect_timeout_s=2.0, allow=is_loopback)
    try:
        yield pool
    finally:
        pool.close()
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def is_loopback(ip: IPAddress) -> bool:
    return ip in ip_network("127.0.0.0/8")


def answers(*answer: bytes) -> Script:
    """Give these bytes, one piece for each request head read, and keep the connection open."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in answer:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(piece)
        await reader.read()

    return script


async def ask(connection: UpstreamConnection, method: str = "GET", *, asks_upgrade: bool = False) -> bytes:
    """Send a bare request and read the whole answer."""
    connection.begin(method, asks_upgrade=asks_upgrade)
    connection.write(f"{method} / HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    connection.fail_after(2.0)
    _, payload, _ = await connection.head()
    body = b""
    while data := await payload.readany():
        body += data
    connection.finish()
    return body


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n", b"ok"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    ],
)
async def test_a_clean_answer_gives_its_connection_back(method: str, answer: bytes, body: bytes) -> None:
    async with target(answers(answer, answer)) as pool:
        first = await pool.acquire()
        assert await ask(first, method) == body
        assert pool.idle_count == 1
        second = await pool.acquire()
        assert second is first
        assert second.is_reused
        assert await ask(second, method) == body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 20",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=[
        "close",
        "1.0",
        "half a surplus answer",
        "surplus answer",
        "surplus after chunks",
        "100",
        "103",
    ],
)
async def test_an_answer_that_leaves_a_doubt_is_read_but_its_connection_is_not_used_again(
    answer: bytes,
) -> None:
    async with target(answers(answer)) as pool:
        connection = await pool.acquire()
        assert await ask(connection) == b"ok"
        assert pool.idle_count == 0


@pytest.mark.parametrize(
    ("method", "status"), [("GET", b"204 No Content"), ("GET", b"304 Not Modified"), ("HEAD", b"200 OK")]
)
@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n\r\nhello",
        b"\r\nContent-Length: 5\r\n\r\nhello",
        b"\r\nContent-Length: 0\r\n\r\nhello",
        b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
    ids=["bare", "sized", "sized falsely", "chunked", "another answer"],
)
async def test_an_answer_that_has_no_body_is_its_head_and_whatever_follows_ends_the_connection(
    method: str, status: bytes, rest: bytes
) -> None:
    async with target(answers(b"HTTP/1.1 " + status + rest)) as pool:
        connection = await pool.acquire()
        assert await ask(connection, method) == b""
        assert pool.idle_count == 0
        assert not connection.is_usable()


async def test_a_body_that_comes_after_the_head_that_has_none_ends_the_connection() -> None:
    more = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-")
        await writer.drain()
        writer.write(b"Length: 5\r\n\r\n")
        await more.wait()
        writer.write(b"hello")
        await reader.read()

    async with target(late) as pool:
        connection = await pool.acquire()
        assert await ask(connection) == b""
        more.set()
        await ended(connection)
        assert await pool.acquire() is not connection


async def test_an_interim_answer_with_a_length_has_no_body_either() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"
    async with target(answers(early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as pool:
        assert await ask(await pool.acquire()) == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n",
    ],
    ids=[
        "garbage", "binary", "HTTP/2.0", "two lengths", "the same length twice", "length and chunks", "gzip, chunked",
        "identity", "signed length", "unasked 101", "interim flood", "long field", "many fields",
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_trusted_is_a_protocol_error(answer: bytes) -> None:
    async with target(answers(answer)) as pool:
        connection = await pool.acquire()
        with pytest.raises(UpstreamError) as caught:
            await ask(connection)
        assert caught.value.code == "upstream_protocol"
        assert caught.value.status == 502
        assert pool.idle_count == 0
        assert not connection.is_usable()


async def test_an_answer_in_single_bytes_is_the_same_answer() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
        await reader.read()

    async with target(drip) as pool:
        connection = await pool.acquire()
        assert await ask(connection) == b"abc"
        assert pool.idle_count == 1
        assert await ask(await pool.acquire()) == b"abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
    ids=["before the head", "in the head", "in a sized body", "in a chunked body"],
)
async def test_a_target_that_breaks_off_is_a_reset(answer: bytes) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with target(break_off) as pool:
        connection = await pool.acquire()
        with pytest.raises(UpstreamError) as caught:
            await ask(connection)
        assert caught.value.code == "upstream_reset"
        assert caught.value.is_request_sent
        assert pool.idle_count == 0


async def test_the_end_of_the_connection_ends_a_body_without_a_length() -> None:
    async def until_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with target(until_close) as pool:
        assert await ask(await pool.acquire()) == b"all of it"
        assert pool.idle_count == 0


async def test_bytes_on_an_idle_connection_end_it() -> None:
    more = asyncio.Event()

    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await more.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()

    async with target(chatter) as pool:
        connection = await pool.acquire()
        assert await ask(connection) == b"ok"
        more.set()
        await ended(connection)
        assert await pool.acquire() is not connection


async def ended(connection: UpstreamConnection) -> None:
    while connection.transport is not None:  # noqa: ASYNC110  # there is no event: its end is the loop's own news
        await asyncio.sleep(0)


async def test_a_target_that_never_answers_is_a_timeout() -> None:
    async with target(answers()) as pool:
        connection = await pool.acquire()
        connection.begin("GET", asks_upgrade=False)
        connection.write(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        connection.fail_after(0.05)
        with pytest.raises(UpstreamError) as caught:
            await connection.head()
        assert (caught.value.code, caught.value.status) == ("upstream_timeout", 504)
        assert not connection.is_usable()


async def test_an_answer_that_stops_arriving_is_a_timeout() -> None:
    async with target(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")) as pool:
        connection = await pool.acquire()
        connection.begin("GET", asks_upgrade=False)
        connection.write(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        _, payload, _ = await connection.head()
        connection.fail_when_idle(0.05)
        assert await payload.readany() == b"hel"
        with pytest.raises(UpstreamError) as caught:
            await payload.readany()
        assert caught.value.code == "upstream_timeout"


async def test_a_refused_connection_sent_nothing() -> None:
    async with target(answers()) as pool:
        closed = ConnectionPool(Address("127.0.0.1", _a_closed_port()), connect_timeout_s=2.0, allow=is_loopback)
        with pytest.raises(UpstreamError) as caught:
            await closed.acquire()
        assert (caught.value.code, caught.value.is_request_sent) == ("upstream_connect", False)
        assert pool.idle_count == 0


async def test_an_address_that_the_egress_filter_refuses_is_not_connected_to() -> None:
    accepted = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()

    async with target(note) as pool:
        filtered = ConnectionPool(pool.address, connect_timeout_s=2.0, allow=lambda ip: not ip.is_loopback)
        with pytest.raises(UpstreamError) as caught:
            await filtered.acquire()
        assert caught.value.code == "upstream_connect"
        assert not accepted.is_set()


async def test_a_name_is_checked_by_the_address_it_resolves_to() -> None:
    pool = ConnectionPool(Address("localhost", 1), connect_timeout_s=2.0, allow=lambda ip: not ip.is_loopback)
    with pytest.raises(UpstreamError) as caught:
        await pool.acquire()
    assert isinstance(caught.value.__cause__, PermissionError)


def _a_closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
