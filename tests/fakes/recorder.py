"""An origin that writes down every byte it is sent: what a request had become when it left the edge.

    async with running_recorder() as recorder: ...     # recorder.url, recorder.requests: as they came, byte for byte

It answers each request with its target and its body, so that an answer shows whose it is, and it reads as strictly as
it can: what it could not take for exactly one request is in `unreadable`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from tests.fakes.raw_talk import Framed, UnreadableError, take_message

# What the edge adds to each request for a client on 127.0.0.1; the two identifiers are random.
_ADDED = re.compile(
    rb"X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: [^\r\n]*\r\n"
    rb"Forwarded: for=127\.0\.0\.1;host=[^\r\n]*;proto=http\r\nX-Request-ID: [0-9a-f]{32}\r\n"
    rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\nX-Portico-Tenant: acme\r\nX-Portico-Route: all\r\n"
)


def without_added(request: bytes) -> bytes:
    """Take out the fields that the edge adds to a request of tenant "acme" and route "all": all of them, once each."""
    rest, count = _ADDED.subn(b"", request)
    assert count == 1, request
    return rest


@dataclass
class Recorder:
    """A running recorder: all requests in the order of their last bytes, and all bytes of each connection.

    `transports` are those of the connections that are open.
    """

    port: int = 0
    transports: set[asyncio.Transport] = field(default_factory=set)
    requests: list[bytes] = field(default_factory=list)
    connections: list[bytearray] = field(default_factory=list)
    unreadable: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def forwarded(self) -> list[bytes]:
        """The requests without the fields that the edge adds."""
        return [without_added(request) for request in self.requests]


class _RecorderProtocol(asyncio.Protocol):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._unread = b""
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports say so of themselves only
        self._recorder.connections.append(self._received)
        self._recorder.transports.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._recorder.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._unread += data
        try:
            while request := take_message(self._unread):
                self._unread = self._unread[len(request.raw) :]
                self._recorder.requests.append(request.raw)
                self._transport.write(echo_of(request))
        except UnreadableError:
            self._recorder.unreadable.append(self._unread)
            self._transport.abort()


def echo_of(request: Framed) -> bytes:
    """Give the recorder's answer: the request's target and body."""
    method, target, _ = request.raw.split(b" ", 2)
    body = target + b" " + request.body
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if method == b"HEAD" else head + body


@asynccontextmanager
async def running_recorder(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Recorder]:
    """Run a recorder on an address of this machine, on a free port for 0."""
    recorder = Recorder()
    server = await asyncio.get_running_loop().create_server(lambda: _RecorderProtocol(recorder), host, port)
    recorder.port = server.sockets[0].getsockname()[1]
    try:
        yield recorder
    finally:
        server.close()
        for transport in tuple(recorder.transports):
            transport.abort()
        await server.wait_closed()
