"""How a client's connection ends: what was written arrives, what is broken shows, and nobody holds it for ever."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp.web_protocol import RequestHandler

from edge.deadlines import WriteDeadline

LINGER_S = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class EndingConnection(RequestHandler):
    """aiohttp's connection with three ends: after the last answer, with what is written, and cut."""

    __slots__ = ("_last_write", "_link", "_write_timeout_s")

    _write_timeout_s: float
    _link: asyncio.WriteTransport | None
    _last_write: WriteDeadline | None
    """The deadline of what is still to go out when the connection is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # `transport` is None from the moment that the end is decided on, which may be long before it has come.
        self._link = self.transport

    async def linger(self) -> None:
        """Let the client read its answer before the connection ends (RFC 9112 section 9.6).

        Closing with bytes unread resets the connection, and the reset can overtake the answer. So our side ends first,
        and what still comes is thrown away until the client has ended its side, which cancels us, or for two seconds.
        """
        if self._force_close or self.transport is None:
            return
        self._close = True  # `data_received` throws away from here on
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._resume_transport_reading()
        await asyncio.sleep(LINGER_S)

    def force_close(self) -> None:
        """Close when what was written has gone out; a client that does not take it has as long as for any write."""
        super().force_close()
        link = self._link
        if link is not None and link.get_write_buffer_size() and self._last_write is None:
            self._last_write = WriteDeadline(link, self._write_timeout_s, self.cut_slow_reader)

    def cut_slow_reader(self) -> None:
        """Cut the connection of a client that does not take what is written."""
        self.abort()

    def abort(self) -> None:
        """Cut the connection: a reset, not an end that could pass for a whole answer (RFC 9112 section 8)."""
        self._force_close = True
        if self._link is not None:
            sock = self._link.get_extra_info("socket")
            if sock is not None:  # by TLS there is none for a moment
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._link.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._link = None
        if self._last_write is not None:
            self._last_write.end()
            self._last_write = None
        super().connection_lost(exc)
