"""TLS at the door: a client is admitted when it connects and has so long to shake hands; then it is a connection.

TLS 1.2 or newer, HTTP/1.1 alone. A handshake costs the worker more than a request does, so it counts for its address
and for the worker from the first byte on, and whoever does not finish it in time is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

from edge.connection import ClientConnection
from edge.server import EdgeServer

SHUTDOWN_TIMEOUT_S = 5.0
DRAIN_S = 1.0
NO_ROOM_PAUSE_S = 1.0

log = logging.getLogger("portico.edge")


class CertificateError(Exception):
    """A certificate or its key cannot be used; the message is one line for the operator."""


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the server's side of TLS from PEM files, the certificate's chain with it. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else error
        raise CertificateError(f"cannot use the certificate {certificate} with the key {key}: {reason}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is here to say its password")


class TlsDoor:
    """Accepts clients by HTTPS and makes connections of those who have shaken hands.

    The handshake is made on a socket that has been admitted; a server of the event loop would shake hands first and
    let us know afterwards.
    """

    def __init__(self, server: EdgeServer, context: ssl.SSLContext, handshake_timeout_s: float) -> None:
        self._server = server
        self._context = context
        self._handshake_timeout_s = handshake_timeout_s
        self._loop = asyncio.get_running_loop()
        self._accepting: list[socket.socket] = []
        self.shaking: set[asyncio.Task[None]] = set()

    def accept_on(self, sock: socket.socket, backlog: int) -> None:
        """Begin to accept on a bound socket."""
        sock.setblocking(False)
        sock.listen(backlog)
        self._accepting.append(sock)
        self._loop.add_reader(sock.fileno(), self._accept, sock, backlog)

    def stop_accepting(self) -> None:
        """Accept nothing more; what waits in a socket's queue stays there."""
        accepting, self._accepting = self._accepting, []
        for sock in accepting:
            self._loop.remove_reader(sock.fileno())

    async def drain(self) -> None:
        """Let those that are shaking hands have a moment to end, and cut off the others."""
        if self.shaking:
            await asyncio.wait(self.shaking, timeout=DRAIN_S)
        for task in self.shaking:
            task.cancel()
        await asyncio.gather(*self.shaking, return_exceptions=True)

    def _accept(self, listening: socket.socket, backlog: int) -> None:
        for _ in range(backlog):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no more files: those that wait in the queue have to, for a moment
                log.error("nobody can be accepted: %s", error.strerror)
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(NO_ROOM_PAUSE_S, self._go_on, listening, backlog)
                return
            self._admit(sock, address[0] if isinstance(address, tuple) else None)

    def _go_on(self, listening: socket.socket, backlog: int) -> None:
        if listening in self._accepting:
            self._loop.add_reader(listening.fileno(), self._accept, listening, backlog)

    def _admit(self, sock: socket.socket, address: str | None) -> None:
        server = self._server
        subscriber = server.census.admit(address, server.open_connections + len(self.shaking))
        if subscriber is None:
            sock.close()
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._shake(sock, subscriber))
        self.shaking.add(task)
        task.add_done_callback(self.shaking.discard)

    async def _shake(self, sock: socket.socket, subscriber: str) -> None:
        """Shake hands; from then on the connection keeps the count it was admitted by."""
        connection = self._server()
        assert isinstance(connection, ClientConnection)
        connection.admitted_as = subscriber
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self._context,
                ssl_handshake_timeout=self._handshake_timeout_s, ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            )  # fmt: skip
        except (OSError, ssl.SSLError):  # too slow (a ConnectionError), not TLS, or gone
            self._server.census.met["handshake"] += 1
        finally:
            if connection.admitted_as is not None:  # it has not been made
                self._server.census.leave(subscriber, "")
                sock.close()
