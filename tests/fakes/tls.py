"""Targets that speak TLS on loopback, with certificates of an authority that the edge under test is told to trust.

authority = Authority()
with authority.trusted(tmp_path, monkeypatch): ...      # as an operator does, by SSL_CERT_FILE
async with running_tls_app(app, authority.server("shop.test")) as port: ...
async with running_tls_server(script, authority.server("shop.test")) as port: ...
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import trustme
from aiohttp import web

from edge.pool import client_tls

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server's side of TLS, and the names that clients asked it for, one for each handshake; None for no name."""

    context: ssl.SSLContext
    asked_for: list[str | None] = field(default_factory=list)


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server(self, *names: str, is_expired: bool = False) -> Server:
        """Make a server with a certificate for these names; it would speak HTTP/2 with whoever offers it."""
        not_after = datetime.now(UTC) - timedelta(days=1) if is_expired else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2", "http/1.1"])
        self._ca.issue_cert(*names, not_after=not_after).configure_cert(context)
        server = Server(context)
        context.sni_callback = lambda _link, name, _context: server.asked_for.append(name)
        return server

    def write(self, folder: Path) -> Path:
        """Write its own certificate to a file, as `SSL_CERT_FILE` wants it."""
        path = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(path))
        return path

    @contextmanager
    def trusted(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Have the edge in this process trust it, and nobody else."""
        monkeypatch.setenv("SSL_CERT_FILE", str(self.write(folder)))
        client_tls.cache_clear()
        try:
            yield
        finally:
            client_tls.cache_clear()


@asynccontextmanager
async def running_tls_app(app: web.Application, server: Server) -> AsyncIterator[int]:
    """Serve any aiohttp application by TLS on a free port of 127.0.0.1 and yield the port."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server.context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_tls_server(script: Script, server: Server | None) -> AsyncIterator[int]:
    """Play a script on each connection by TLS, and yield the port; what the script leaves open is cut at the end.

    Without a `server` it speaks without TLS.
    """
    writers: list[asyncio.StreamWriter] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return

    listening = await asyncio.start_server(play, "127.0.0.1", 0, ssl=server and server.context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await listening.wait_closed()


class Polite(asyncio.Protocol):
    """A target that gives one answer and notes whether TLS said goodbye before the connection was over."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: asyncio.Transport | None = None
        self.has_goodbye = False
        self.is_over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(self._answer)

    def eof_received(self) -> None:
        self.has_goodbye = True

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_over.set()


@asynccontextmanager
async def running_polite_server(target: Polite, server: Server) -> AsyncIterator[int]:
    """Have a target take one connection by TLS, and yield the port."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: target, "127.0.0.1", 0, ssl=server.context) as listening:
        yield listening.sockets[0].getsockname()[1]


@asynccontextmanager
async def running_blunt_server(answer: bytes, server: Server, *, says_goodbye: bool) -> AsyncIterator[int]:
    """Answer one request by TLS and end the connection at once, as most servers do it: nobody's goodbye is waited for.

    It blocks in a thread, so that the end is sent when all of the answer is, and not before.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = asyncio.create_task(asyncio.to_thread(_answer_bluntly, listening, answer, server, says_goodbye))
        yield listening.getsockname()[1]
        await answering


def _answer_bluntly(listening: socket.socket, answer: bytes, server: Server, says_goodbye: bool) -> None:
    with server.context.wrap_socket(listening.accept()[0], server_side=True) as link:
        link.recv(65536)
        link.sendall(answer)
        if says_goodbye:
            link.setblocking(False)
            with suppress(ssl.SSLWantReadError):
                link.unwrap()
            link.setblocking(True)
        with socket.socket(fileno=os.dup(link.fileno())) as below:
            below.shutdown(socket.SHUT_WR)
            while below.recv(65536):
                pass
