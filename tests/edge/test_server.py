"""A worker's connections brought to their end, over real sockets: who is waited for, who is not, and how long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from edge import connection as edge_connection
from edge.census import ConnectionLimits
from edge.connection import ClientConnection
from edge.exchange import Exchange
from edge.message import ProxyResponse
from edge.server import EdgeServer
from tests.fakes.waiting import until

LIMITS = ConnectionLimits(head_timeout_s=1.0, write_timeout_s=0.3)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Counting:
    """Reads each request's body and answers with its length, when it may."""

    port: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    answer: bytes | None = None

    async def serve(self, connection: ClientConnection, exchange: Exchange) -> None:
        self.begun.set()
        if exchange.parse_error is not None:
            await exchange.refuse(exchange.parse_error)
            return
        length = 0
        while exchange.body_exists and (data := await exchange.content.readany()):
            length += len(data)
        await self.may_answer.wait()
        content = b"%d" % length if self.answer is None else self.answer
        await exchange.respond(ProxyResponse.of(200, {"Date": "d"}, content))


@asynccontextmanager
async def running(limits: ConnectionLimits = LIMITS) -> AsyncIterator[tuple[EdgeServer, Counting]]:
    counting = Counting()
    counting.may_answer.set()
    server = EdgeServer(counting.serve, limits)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    counting.port = listening.sockets[0].getsockname()[1]
    try:
        yield server, counting
    finally:
        listening.close()
        await server.drain(0.1)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            yield reader, writer
    finally:
        writer.close()


async def has_begun_to_drain(server: EdgeServer, grace_s: float = 5.0) -> asyncio.Task[None]:
    draining = asyncio.create_task(server.drain(grace_s))
    await until(lambda: server.is_draining)
    return draining


async def test_a_client_that_has_just_connected_is_served_during_a_drain_and_told_that_this_was_all() -> None:
    async with running() as (server, counting), connected(counting.port) as (reader, writer):
        await until(lambda: bool(server.connections))
        draining = await has_begun_to_drain(server)
        writer.write(GET)
        answer = await reader.read()
        assert answer == b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 1\r\nConnection: close\r\n\r\n0"
        await draining


async def test_a_connection_that_is_accepted_when_the_drain_begins_is_served() -> None:
    async with running() as (server, counting):
        with socket.create_connection(("127.0.0.1", counting.port)) as link:
            link.sendall(GET)
            link.setblocking(False)
            # Not one turn of the loop in between: the connection waits in the socket's queue.
            accepting = asyncio.create_task(server.drain(5.0))
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(link, 4096), 5)
            assert data.startswith(b"HTTP/1.1 200 OK")
            await accepting


async def test_a_connection_that_says_nothing_is_not_waited_for_to_the_end_of_the_grace() -> None:
    async with (
        running(replace(LIMITS, head_timeout_s=60.0)) as (server, counting),
        connected(counting.port) as (reader, _),
    ):
        await until(lambda: bool(server.connections))
        await asyncio.wait_for(server.drain(60.0), 20)
        assert await reader.read() == b""


async def test_a_head_that_has_begun_is_waited_for_as_long_as_any_head() -> None:
    async with running() as (server, counting), connected(counting.port) as (reader, writer):
        writer.write(GET[:20])
        await until(
            lambda: any(each._head.received_bytes for each in server.connections if isinstance(each, ClientConnection))
        )
        draining = await has_begun_to_drain(server)
        writer.write(GET[20:])
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        await draining


async def test_an_idle_connection_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_connection, "FIRST_REQUEST_S", 60.0)
    async with running() as (server, counting), connected(counting.port) as (reader, writer):
        writer.write(GET)
        assert b"Connection" not in await reader.readuntil(b"\r\n\r\n0")
        await asyncio.wait_for(server.drain(60.0), 20)
        assert await reader.read() == b""


async def test_an_upload_under_way_arrives_to_its_end() -> None:
    async with running() as (server, counting), connected(counting.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n" + b"x" * 100_000)
        await counting.begun.wait()
        draining = await has_begun_to_drain(server)
        writer.write(b"x" * 500_000)
        answer = await reader.read()
        assert answer.endswith(b"Connection: close\r\n\r\n600000")
        await draining


async def test_of_requests_in_a_row_the_one_under_way_is_the_last() -> None:
    async with running() as (server, counting), connected(counting.port) as (reader, writer):
        counting.may_answer.clear()
        writer.write(GET + GET)
        await counting.begun.wait()
        draining = await has_begun_to_drain(server)
        counting.may_answer.set()
        answer = await reader.read()
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in answer
        writer.close()
        await draining


async def filled(server: EdgeServer, counting: Counting, link: socket.socket) -> int:
    """Ask and read nothing until answers are left in the edge; how many of them were asked for."""
    counting.answer = b"x" * 40_000
    await until(lambda: bool(server.connections))
    (connection,) = server.connections
    assert isinstance(connection, ClientConnection)
    asked = 0
    while connection._link is not None and not connection._link.get_write_buffer_size():
        counting.begun.clear()
        link.sendall(GET)
        asked += 1
        await counting.begun.wait()
    return asked


async def test_what_is_written_goes_out_before_the_drain_is_over() -> None:
    async with running(replace(LIMITS, write_timeout_s=5.0)) as (server, counting):
        with socket.create_connection(("127.0.0.1", counting.port)) as link:
            asked = await filled(server, counting, link)
            draining = await has_begun_to_drain(server)
            received = await asyncio.to_thread(read_all, link)
            assert received.count(b"x" * 40_000) == asked
            await draining


def read_all(link: socket.socket) -> bytes:
    link.settimeout(5)
    pieces = []
    while piece := link.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


async def test_what_does_not_end_within_the_grace_is_cut() -> None:
    async with running() as (server, counting), connected(counting.port) as (reader, writer):
        counting.may_answer.clear()
        writer.write(GET)
        await counting.begun.wait()
        await asyncio.wait_for(server.drain(0.1), 20)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert not server.connections


async def test_a_client_that_takes_nothing_of_what_was_written_last_is_cut_in_time() -> None:
    limits = replace(LIMITS, keepalive_timeout_s=0.2)
    async with running(limits) as (server, counting):
        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(link.connect, ("127.0.0.1", counting.port))
            await filled(server, counting, link)
            await until(lambda: not server.connections)
