"""edge/ending.py: an answer that its client does not take to the end is cut, and never ends as if it were whole."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from edge.census import ConnectionLimits
from edge.connection import ClientConnection
from edge.exchange import Exchange
from edge.message import ProxyResponse
from edge.server import EdgeServer
from tests.fakes.waiting import until

SMALL_BYTES = 4096
"""Of the system's buffers, so that most of an answer waits in the edge's."""
BODY = b"x" * 36 * 1024
"""Less than makes a write wait."""
GET = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"


@dataclass
class Talk:
    """A client that reads when it is told to, and the connection that the edge has with it."""

    server: EdgeServer
    link: socket.socket
    connection: ClientConnection
    is_answered: asyncio.Event

    async def ask(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self.link, GET)
        await self.is_answered.wait()

    async def read(self, most_bytes: int = 64 * 1024) -> bytes:
        async with asyncio.timeout(20):
            return await asyncio.get_running_loop().sock_recv(self.link, most_bytes)

    async def read_to_end(self) -> bytes:
        got = b""
        while data := await self.read():
            got += data
        return got


@asynccontextmanager
async def talking(write_timeout_s: float) -> AsyncIterator[Talk]:
    is_answered = asyncio.Event()

    async def serve(_: ClientConnection, exchange: Exchange) -> None:
        await exchange.respond(ProxyResponse.of(200, {}, BODY))
        is_answered.set()

    loop = asyncio.get_running_loop()
    server = EdgeServer(serve, ConnectionLimits(write_timeout_s=write_timeout_s))
    listening = await loop.create_server(server, "127.0.0.1", 0)
    with socket.socket() as link:
        link.setblocking(False)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        await loop.sock_connect(link, listening.sockets[0].getsockname())
        await until(lambda: len(server.connections) == 1)
        (connection,) = server.connections
        assert isinstance(connection, ClientConnection)
        assert connection.transport is not None
        ours = connection.transport.get_extra_info("socket")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)
        yield Talk(server, link, connection, is_answered)
    listening.close()
    await server.drain(0.1)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.ending.LINGER_S", 0.01)


async def test_a_client_that_does_not_take_the_end_of_its_answer_is_reset_and_counted() -> None:
    async with talking(write_timeout_s=0.3) as talk:
        await talk.ask()
        assert talk.connection._link is not None
        assert talk.connection._link.get_write_buffer_size() > 0
        await until(lambda: not talk.server.connections)
        with pytest.raises(ConnectionResetError):
            await talk.read_to_end()
        assert talk.server.census.met["write"] == 1


async def test_a_client_that_takes_the_end_of_its_answer_bit_by_bit_gets_all_of_it() -> None:
    async with talking(write_timeout_s=1.0) as talk:
        await talk.ask()
        got = b""
        while data := await talk.read(2048):
            got += data
            await asyncio.sleep(0.1)  # longer than the write timeout in all
        assert got.endswith(b"\r\n\r\n" + BODY)
        assert talk.server.census.met["write"] == 0


async def test_a_connection_that_ends_with_everything_taken_leaves_no_clock_behind() -> None:
    async with talking(write_timeout_s=0.3) as talk:
        await talk.ask()
        assert (await talk.read_to_end()).endswith(BODY)
        await until(lambda: not talk.server.connections)
        assert talk.connection._last_write is None
