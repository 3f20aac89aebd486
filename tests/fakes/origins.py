"""Upstreams for tests, on real sockets of 127.0.0.1: a good one, evil ones, and an address that refuses.

    async with running_origin() as origin: ...             # loadtest's origin; origin.url, origin.state
    async with running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 200 OK\\r\\n"), RESET) as evil: ...
    with refusing_port() as port: ...

An evil origin does on every connection what its script says, on the wire and no kinder than reality: a reset
is a TCP RST, a drip is one packet after another, a lie about a length is a lie.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from loadtest.origin import OriginState, make_app
from tests.fakes.listening import listening


@dataclass(frozen=True)
class RunningOrigin:
    """A good origin: its address and what it remembers (hits by path, health)."""

    port: int
    state: OriginState

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def running_origin(name: str = "origin") -> AsyncIterator[RunningOrigin]:
    """Run loadtest's origin in this loop on a free port."""
    state = OriginState(name)
    async with running_app(make_app(state)) as port:
        yield RunningOrigin(port, state)


@asynccontextmanager
async def running_app(app: web.Application) -> AsyncIterator[int]:
    """Serve any aiohttp application on a free port of 127.0.0.1 and yield the port."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Send:
    """Write these bytes at once."""

    data: bytes


@dataclass(frozen=True)
class Drip:
    """Write these bytes `step` at a time, `every_s` apart."""

    data: bytes
    every_s: float
    step: int = 1


@dataclass(frozen=True)
class Read:
    """Read exactly so many bytes (of a body) before going on."""

    size: int


@dataclass(frozen=True)
class Wait:
    """Go on when the test sets this event."""

    event: asyncio.Event


@dataclass(frozen=True)
class Act:
    """A step without an argument; see the constants below."""

    name: str


READ_HEAD = Act("read head")
"""Read up to and with the blank line."""
READ_ALL = Act("read all")
"""Read until the peer has closed its side."""
RESET = Act("reset")
"""Cut with a TCP RST; what was not yet delivered may be lost, as in life."""
CLOSE = Act("close")
"""Close in good order."""
HANG = Act("hang")
"""Say nothing more until the peer goes."""

Step = Send | Drip | Read | Wait | Act


@dataclass
class EvilConnection:
    """One connection that an evil origin had: the bytes it read, and whether it is over."""

    received: bytearray = field(default_factory=bytearray)
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class EvilOrigin:
    """A running evil origin; `connections` grows by one for every connection it took."""

    port: int
    connections: list[EvilConnection] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connected(self, count: int) -> EvilConnection:
        """Wait until it has had `count` connections; return the last of these."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.connections) >= count)
        return self.connections[count - 1]


@asynccontextmanager
async def running_evil_origin(*script: Step, then: Sequence[Step] | None = None) -> AsyncIterator[EvilOrigin]:
    """Run an origin that follows `script` on its first connection, `then` (default: the same) on the others.

    A script that ends without RESET or CLOSE closes in good order.
    """
    evil = EvilOrigin(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = EvilConnection()
        steps = script if then is None or not evil.connections else then
        async with evil.changed:
            evil.connections.append(connection)
            evil.changed.notify_all()
        try:
            await _follow(steps, reader, writer, connection)
        finally:
            connection.over.set()

    async with listening(serve) as evil.port:
        yield evil


async def _follow(
    steps: Sequence[Step],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    connection: EvilConnection,
) -> None:
    for step in steps:
        match step:
            case Send(data):
                writer.write(data)
                await writer.drain()
            case Drip():
                await _drip(step, writer)
            case Read(size):
                connection.received += await reader.readexactly(size)
            case Wait(event):
                await event.wait()
            case Act("read head"):
                connection.received += await reader.readuntil(b"\r\n\r\n")
            case Act("reset"):
                _reset(writer)
                return
            case Act("close"):
                return
            case Act():  # read all, hang: both end when the peer goes
                await _read_to_end(reader, connection)


async def _drip(drip: Drip, writer: asyncio.StreamWriter) -> None:
    for at in range(0, len(drip.data), drip.step):
        writer.write(drip.data[at : at + drip.step])
        await writer.drain()
        await asyncio.sleep(drip.every_s)


async def _read_to_end(reader: asyncio.StreamReader, connection: EvilConnection) -> None:
    while data := await reader.read(65536):
        connection.received += data


def _reset(writer: asyncio.StreamWriter) -> None:
    link = writer.get_extra_info("socket")
    with suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def refusing_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
