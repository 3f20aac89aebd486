"""Slow clients on real sockets: each is let go of in time, and what they hold is given back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edge.census import ConnectionLimits
from edge.connection import ClientConnection
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.message import ProxyResponse
from edge.server import EdgeServer

LIMITS = ConnectionLimits(
    keepalive_timeout_s=0.5,
    head_timeout_s=0.2,
    body_timeout_s=0.2,
    write_timeout_s=0.2,
    max_head_bytes=4096,
    max_connections=3,
)
BIG = b"x" * (32 * 1024 * 1024)


class Echo:
    """Reads each request's body and answers with its length, or with a lot for "/big"."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.outcome: BaseException | None = None

    async def serve(self, connection: ClientConnection, exchange: Exchange) -> None:
        try:
            if exchange.parse_error is not None:
                raise exchange.parse_error
            length = 0
            while exchange.body_exists and (data := await exchange.content.readany()):
                length += len(data)
            await exchange.respond(ProxyResponse.of(200, {}, BIG if exchange.raw_path == "/big" else b"%d" % length))
        except EdgeError as error:
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


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
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
        loop = asyncio.get_running_loop()
        started_s = loop.time()

        async def drip() -> None:
            for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"a" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        assert loop.time() - started_s < 2
        dripping.cancel()
        writer.close()


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await read_all(reader) == b""
        writer.close()


async def test_a_head_that_has_begun_is_given_its_own_time_however_short_idleness_is() -> None:
    limits = replace(LIMITS, keepalive_timeout_s=0.2, head_timeout_s=0.4)
    async with running(limits) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"GET / HT")
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_an_idle_connection_is_kept_for_its_own_time() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(LIMITS.head_timeout_s * 1.5)  # longer than a head may take
        assert await read_all(reader) == b""
        writer.close()


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
                async with asyncio.timeout(5):
                    assert (await loop.sock_recv(begun, 100)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_stops_growing_is_answered_408() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        answer = await read_all(reader)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in answer
        writer.close()


async def test_a_body_that_keeps_growing_may_take_longer_than_its_deadline() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(LIMITS.body_timeout_s / 4)
            writer.write(b"x")
        assert (await read_all(reader)).endswith(b"\r\n\r\n10")
        writer.close()


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async with running() as (echo, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(echo.over.wait(), 5)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    async with running() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024 * 1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = len((await reader.readuntil(b"\r\n\r\n")) and b"")
        while data := await reader.read(4 * 1024 * 1024):
            got += len(data)
            await asyncio.sleep(LIMITS.write_timeout_s / 10)
        assert got == len(BIG)
        writer.close()


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
