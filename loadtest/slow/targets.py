"""Targets of the slow clients' requests: one never reads, one sends much, one sends back what it got.

What the system keeps of thousands of connections on its way would be gigabytes, were its buffers not small here.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

MEMBER_BYTES = 64 << 20
READ_BYTES = 1 << 16
ANSWER_BYTES = 10_000_000
PIECE = bytes(40_000)
BACKLOG = 4096
SEND_BUFFER_BYTES = 16 * 1024


def bomb(unpacked_bytes: int) -> bytes:
    """Make a gzip file that unpacks to so many zeros, in whole members (RFC 1952 section 2.2) of 64 MiB."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    member = packing.compress(bytes(MEMBER_BYTES)) + packing.flush()
    return member * (unpacked_bytes // MEMBER_BYTES)


async def _send_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ANSWER_BYTES)
        for _ in range(ANSWER_BYTES // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
    writer.close()


async def _send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request with a length by its own body, once that is here."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            fields = b"Content-Encoding: gzip\r\nContent-Length: %d" % len(body)
            writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (fields, body))
            await writer.drain()
    writer.close()


@contextmanager
def deaf_target() -> Iterator[int]:
    """Accept on a free port, which is yielded, as the system does for everybody who listens, and never look at it."""
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listening:
        yield listening.getsockname()[1]


@asynccontextmanager
async def running_source() -> AsyncIterator[int]:
    """Answer with ten megabytes, on a free port, which is yielded."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    server = await asyncio.start_server(_send_much, sock=listening, backlog=BACKLOG)
    async with server:
        yield listening.getsockname()[1]


@asynccontextmanager
async def running_echo() -> AsyncIterator[int]:
    """Send bodies back, on a free port, which is yielded."""
    server = await asyncio.start_server(_send_back, "127.0.0.1", 0, limit=READ_BYTES)
    async with server:
        yield server.sockets[0].getsockname()[1]
