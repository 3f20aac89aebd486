"""The target behind the fuzzed edge: it reads requests to the letter, remembers each, and says back what it was asked.

A request for /e/TAG is answered by the script that was left for this tag, whatever bytes those are.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tests.fakes.listening import listening
from tests.fuzz.strategies import Attack
from tests.fuzz.wire import Incomplete, Malformed, Request, read_request

PAUSE_S = 0.001
SCRIPTED = b"/e/"
SERIAL = b"x-serial"
_READ_BYTES = 1 << 16


class Asked(NamedTuple):
    """What one request was, as far as a proxy must keep it."""

    method: str
    target: bytes
    body: bytes


class StrictOrigin:
    """`asked` grows by one for every whole request; `complain` is called with bytes that are none."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self.port = 0
        self.asked: list[Asked] = []
        self.scripts: dict[bytes, Attack] = {}
        self._complain = complain

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side ends it."""
        data = b""
        with suppress(ConnectionError, RuntimeError, ValueError):  # uvloop's words for what is closed already
            while piece := await reader.read(_READ_BYTES):
                data += piece
                while (request := self._whole(data)) is not None:
                    data = data[request.end :]
                    if not await self._answer(request, reader, writer):
                        return

    def _whole(self, data: bytes) -> Request | None:
        """Give the first request of these bytes if it is there to its end, or asks to be answered before."""
        try:
            return read_request(data)
        except Malformed as error:
            self._complain(f"the target received what is no request: {error}: {data!r}")
        except Incomplete:
            head, end, _ = data.partition(b"\r\n\r\n")
            if end and b"?early " in head.partition(b"\r\n")[0]:
                method, target, _ = head.split(b" ", 2)
                return Request(method.decode(), target, 1, (), b"", len(data))
        return None

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether another may follow it."""
        if request.target.startswith(SCRIPTED):
            return await self._follow(self.scripts[request.target.removeprefix(SCRIPTED)], writer)
        is_early = b"?early" in request.target
        serial = len(self.asked)
        if not is_early:
            self.asked.append(Asked(request.method, request.target, request.body))
        if b"?switch" in request.target and request.values(b"upgrade"):
            protocol = request.values(b"upgrade")[0]
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol)
            while piece := await reader.read(_READ_BYTES):
                writer.write(piece)
            return False
        body = b"" if request.method == "HEAD" else said_back(Asked(request.method, request.target, request.body))
        head = b"HTTP/1.1 200 OK\r\nX-Serial: %d\r\n" % serial
        if is_early:
            head = b"HTTP/1.1 200 OK\r\nX-Early: 1\r\n"
        is_last = is_early or serial % 5 == 4
        if is_last:
            writer.write(head + b"Connection: close\r\n\r\n" + body)
        elif serial % 2:
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunks(request.method, body))
        else:
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        return not is_last

    async def _follow(self, script: Attack, writer: asyncio.StreamWriter) -> bool:
        await send_in_segments(script, writer)
        link = writer.get_extra_info("socket")
        if script.end == "reset" and link is not None and not writer.transport.is_closing():
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return script.end == "wait"


def said_back(asked: Asked) -> bytes:
    """Give the body of the answer to a request."""
    return b"%b %b\n%b" % (asked.method.encode(), asked.target, asked.body)


def _chunks(method: str, body: bytes) -> bytes:
    if method == "HEAD":
        return b""
    return b"%x\r\n%b\r\n1\r\n.\r\n0\r\n\r\n" % (len(body), body)


async def send_in_segments(script: Attack, writer: asyncio.StreamWriter) -> None:
    """Write the segments so that each is likely to arrive alone."""
    for segment in script.segments:
        writer.write(segment)
        await asyncio.sleep(PAUSE_S if len(script.segments) < 10 else 0)


@asynccontextmanager
async def running_strict_origin(complain: Callable[[str], None]) -> AsyncIterator[StrictOrigin]:
    """Run it in this loop on a free port of 127.0.0.1."""
    origin = StrictOrigin(complain)
    async with listening(origin.serve) as origin.port:
        yield origin
