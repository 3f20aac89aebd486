"""Slow clients on real sockets: each is let go of in time, and what they hold is given back."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from edge.census import ConnectionLimits
from edge.connection import ClientConnection
from edge.deadlines import BodyDeadline, Pace
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.message import ProxyResponse
from edge.server import EdgeServer
from tests.fakes.timing import steadily, within
from tests.fakes.waiting import until

LIMITS = ConnectionLimits(
    keepalive_timeout_s=0.5,
    head_timeout_s=0.2,
    pace=Pace(timeout_s=0.2, min_rate=0),
    write_timeout_s=0.2,
    max_head_bytes=4096,
    max_connections=3,
)
BIG = b"x" * (32 * 1024 * 1024)


class Echo:
    """Reads each request's body, at "/late" when it may, and answers with its length, or with a lot for "/big"."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.may_read = asyncio.Event()
        self.outcome: BaseException | None = None
        self.error: EdgeError | None = None
        self.connection: ClientConnection | None = None

    async def serve(self, connection: ClientConnection, exchange: Exchange) -> None:
        try:
            self.connection = connection
            if exchange.parse_error is not None:
                raise exchange.parse_error
            if exchange.raw_path == "/late":
                await self.may_read.wait()
            length = 0
            while exchange.body_exists and (data := await exchange.content.readany()):
                length += len(data)
            await exchange.respond(ProxyResponse.of(200, {}, BIG if exchange.raw_path == "/big" else b"%d" % length))
        except EdgeError as error:
            self.error = error
            await exchange.refuse(error)
        except BaseException as error:
            self.outcome = error
            raise
        finally:
            self.over.set()


@asynccontextmanager
async def running(limits: ConnectionLimits = LIMITS) -> AsyncIterator[tuple[Echo, int]]:
    echo = Echo()
    server = EdgeServer(echo.serve, limits)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield echo, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.drain(0.1)


@asynccontextmanager
async def connected(port: int, limit: int = 65536) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    try:
        yield reader, writer
    finally:
        writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read()


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-Y"])
async def test_a_head_that_does_not_end_is_answered_408_in_time(begun: bytes) -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_dripping_a_head_does_not_stretch_its_deadline() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with within(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            dripping = asyncio.create_task(drip(writer, b"a", 0.02))
            assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        dripping.cancel()
        writer.close()


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await read_all(reader) == b""
        writer.close()


@steadily
async def test_a_head_that_has_begun_is_given_its_own_time_however_short_idleness_is() -> None:
    limits = replace(LIMITS, keepalive_timeout_s=0.2, head_timeout_s=0.4)
    async with running(limits) as (_, port), connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"GET / HT")
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")


@steadily
async def test_an_idle_connection_is_kept_for_its_own_time() -> None:
    async with running() as (_, port), connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(LIMITS.head_timeout_s * 1.5)  # longer than a head may take
        assert await read_all(reader) == b""


async def test_a_head_that_is_too_large_in_all_is_answered_431() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
        for at in range(10):
            writer.write(b"X-%d: " % at + b"a" * 1000 + b"\r\n")
        assert (await read_all(reader)).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_a_head_that_is_too_large_and_comes_at_once_is_answered_431() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        fields = b"".join(b"X-%d: " % at + b"a" * 1000 + b"\r\n" for at in range(5))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        assert (await read_all(reader)).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_a_head_begun_with_the_connection_itself_is_answered_408_too() -> None:
    loop = asyncio.get_running_loop()
    async with running() as (_, port):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as begun:
                begun.sendall(b"GET / HTTP/1.1\r\nHost:")  # here before the edge has accepted
                begun.setblocking(False)
                async with asyncio.timeout(20):
                    assert (await loop.sock_recv(begun, 100)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_stops_growing_is_answered_408() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        answer = await read_all(reader)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in answer
        writer.close()


@steadily
async def test_a_body_that_keeps_growing_may_take_longer_than_its_deadline() -> None:
    async with running() as (_, port), connected(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(LIMITS.pace.timeout_s / 4)
            writer.write(b"x")
        assert (await read_all(reader)).endswith(b"\r\n\r\n10")


RATE = 1000
PACES = {
    "nothing yet": (Pace(30, RATE, 10), 0, 10),
    "as many bytes as a second asks for": (Pace(30, RATE, 10), 1000, 11),
    "a great many at once": (Pace(30, RATE, 10), 1_000_000, 1010),
    "no grace": (Pace(30, RATE, 0), 500, 0.5),
    "no rate": (Pace(30, 0, 10), 0, math.inf),
    "the one there is": (Pace(), 5120, 20),
}


@pytest.mark.parametrize(("pace", "body_bytes", "after_s"), PACES.values(), ids=PACES)
def test_when_a_body_has_come_too_slowly(pace: Pace, body_bytes: int, after_s: float) -> None:
    assert pace.behind_at_s(100.0, body_bytes) == 100.0 + after_s


PACED = replace(LIMITS, pace=Pace(timeout_s=5.0, min_rate=2000, grace_s=0.3))
SIZED = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


async def drip(writer: asyncio.StreamWriter, piece: bytes, every_s: float) -> None:
    while not writer.is_closing():
        writer.write(piece)
        await asyncio.sleep(every_s)


@pytest.mark.parametrize("begin", [b"", b"x" * 1000], ids=["from the start", "after a good start"])
@pytest.mark.parametrize("framing", ["sized", "chunked", "an extension", "an extension before any body"])
async def test_a_body_that_drips_is_answered_408_once_it_is_behind(framing: str, begin: bytes) -> None:
    loop = asyncio.get_running_loop()
    head, piece, begun_bytes = {
        "sized": (SIZED % 10_000 + begin, b"x", len(begin)),
        "chunked": (CHUNKED + (b"%x\r\n%b\r\n" % (len(begin), begin) if begin else b""), b"1\r\nx\r\n", len(begin)),
        "an extension": (CHUNKED + b"%x\r\n%bx\r\n1;" % (len(begin) + 1, begin), b"x", len(begin)),
        "an extension before any body": (CHUNKED + b"1;" + begin, b"x", 0),
    }[framing]
    async with running(PACED) as (echo, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began_s = loop.time()
        async with within(3):
            writer.write(head)
            dripping = asyncio.create_task(drip(writer, piece, 0.02))
            assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        # 0.9: the loop counts in milliseconds
        assert loop.time() - began_s >= 0.9 * (PACED.pace.grace_s + begun_bytes / PACED.pace.min_rate)
        dripping.cancel()
        writer.close()
    assert echo.error
    assert (echo.error.code, echo.error.detail) == ("slow_request", "the body comes too slowly")


@steadily
async def test_a_body_that_keeps_its_rate_may_take_as_long_as_it_likes() -> None:
    size = 12_000
    async with running(PACED) as (_, port), connected(port) as (reader, writer):
        writer.write(SIZED % size)
        for _ in range(20):
            writer.write(bytes(size // 20))
            await asyncio.sleep(0.05)
        assert (await read_all(reader)).endswith(b"\r\n\r\n%d" % size)


async def test_the_rate_counts_from_a_bodys_first_byte() -> None:
    async with running(PACED) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SIZED % 3)
        await asyncio.sleep(2 * PACED.pace.grace_s)
        writer.write(b"abc")
        assert (await read_all(reader)).endswith(b"\r\n\r\n3")
        writer.close()


async def test_a_client_is_not_blamed_for_not_being_read() -> None:
    """Nobody takes the body for far longer than it may stop or be slow; what is sent meanwhile waits in the sockets."""
    limits = replace(LIMITS, pace=Pace(timeout_s=0.2, min_rate=10_000_000, grace_s=0.1))
    async with running(limits) as (echo, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((SIZED % len(BIG)).replace(b"/", b"/late", 1) + BIG)
        await asyncio.sleep(1)
        assert not echo.over.is_set()
        echo.may_read.set()
        assert (await read_all(reader)).endswith(b"\r\n\r\n%d" % len(BIG))
        writer.close()


@pytest.mark.parametrize(
    ("pace", "reason"),
    [(Pace(0.1, 0), "the body has stopped"), (Pace(5.0, 1000, 0.1), "the body comes too slowly")],
)
async def test_a_clock_that_was_stopped_goes_on_where_it_stood(pace: Pace, reason: str) -> None:
    loop = asyncio.get_running_loop()
    body = StreamReader(BaseProtocol(loop), 1024, loop=loop)
    body.feed_data(b"x")
    broken: asyncio.Future[str] = loop.create_future()
    deadline = BodyDeadline(body, pace, broken.set_result)
    deadline.pause()
    await asyncio.sleep(0.3)
    assert not broken.done()
    began_s = loop.time()
    deadline.resume()
    assert await asyncio.wait_for(broken, 20) == reason
    assert loop.time() - began_s >= 0.09


async def test_a_client_that_goes_in_the_middle_leaves_no_clock_behind() -> None:
    async with running(PACED) as (echo, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SIZED % 100 + b"x")
        await until(lambda: echo.connection is not None and echo.connection._upload is not None)
        assert echo.connection is not None
        assert echo.connection._upload is not None
        assert (deadline := echo.connection._upload._deadline)._timer is not None
        writer.transport.abort()
        await until(echo.over.is_set)
        assert isinstance(echo.outcome, asyncio.CancelledError)
        assert deadline._timer is None


async def test_a_client_that_stops_reading_is_cut_off_its_time_after_the_last_byte_and_not_after_twice_that() -> None:
    loop = asyncio.get_running_loop()
    async with running(replace(LIMITS, write_timeout_s=1.5)) as (echo, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(len(BIG) // 3)  # more than the system keeps on the way
        began_s = loop.time()
        async with within(2.4):
            await echo.over.wait()
        assert loop.time() - began_s > 1.4
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@steadily
async def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    async with running() as (_, port), connected(port, limit=1024 * 1024) as (reader, writer):
        writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = len((await reader.readuntil(b"\r\n\r\n")) and b"")
        while data := await reader.read(4 * 1024 * 1024):
            got += len(data)
            await asyncio.sleep(LIMITS.write_timeout_s / 10)
        assert got == len(BIG)


async def test_connections_beyond_the_limit_are_closed_and_the_others_served() -> None:
    async with running() as (_, port):
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in kept:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for reader, _ in kept:
            await reader.readuntil(b"\r\n\r\n0")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await read_all(reader) == b""
        writer.close()
        kept[0][1].write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await read_all(kept[0][0])).startswith(b"HTTP/1.1 200 ")
        for _, writer in kept:
            writer.close()
