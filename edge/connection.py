"""The request loop of one client connection: aiohttp's parser and connection code, our loop.

`RequestHandler` keeps what it is hardened for (parsing, flow control, pipelining bounds, keep-alive timer); `start`
is overridden so that a proxied request costs no task, no `web.Request` and no `web.Response`. One request at a time is
given to `serve`; when the client goes, the task of this loop is cancelled and with it whatever `serve` is doing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import ERROR, RequestHandler

from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.tunnel import Tunnel

WRITE_BUFFER_BYTES = 64 * 1024
READ_BUFFER_BYTES = 32 * 1024
MAX_FIELDS = 100
MAX_LINE_BYTES = 8190
LINGER_S = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Serve = Callable[["ClientConnection", Exchange], Awaitable[None]]

log = logging.getLogger("portico.edge")


class EdgeServer(web.Server):
    """Makes a `ClientConnection` for each accepted socket and knows those that are open."""

    def __init__(self, serve: Serve, *, keepalive_timeout_s: float = 75.0) -> None:
        super().__init__(
            _never_called,
            handler_cancellation=True,
            keepalive_timeout=keepalive_timeout_s,
            access_log=None,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_FIELDS,
        )
        self.serve = serve
        self.is_draining = False

    def __call__(self) -> RequestHandler:
        """Make the protocol of one new connection, as `loop.create_server` asks."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    def pre_shutdown(self) -> None:
        """Let every connection end after the request it is serving; idle ones end now."""
        self.is_draining = True
        super().pre_shutdown()


class ClientConnection(RequestHandler):
    """One client's connection; an `AnswerSink` for its exchanges and one end of a tunnel."""

    __slots__ = ("_server", "_tunnel", "peer", "scheme")

    def __init__(self, server: EdgeServer, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._server = server
        self._tunnel: Tunnel | None = None
        self.peer: str | None = None
        self.scheme = "http"

    # -- the loop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve the requests of this connection one after the other until it ends."""
        try:
            while not self._force_close:
                message, payload = await self._next_message()
                exchange = self._exchange(message, payload)
                self._request_in_progress = True
                try:
                    await self._server.serve(self, exchange)
                finally:
                    self._request_in_progress = False
                    if self._handler_waiter is not None and not self._handler_waiter.done():
                        self._handler_waiter.set_result(None)
                if not self._may_go_on(exchange):
                    await self._linger(payload)
                    break
                self._await_next_request()
        except ConnectionError:
            self.force_close()
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception:
            log.exception("a connection's loop failed")
            self.force_close()
        finally:
            self._task_handler = None
            if self.transport is not None and not self._force_close:
                self.transport.close()

    async def _next_message(self) -> tuple[Any, StreamReader]:
        """Wait for a parsed head; what it took of the parser's queue is given back, as in `RequestHandler.start`."""
        if not self._messages:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return message, payload

    def _exchange(self, message: Any, payload: StreamReader) -> Exchange:
        if isinstance(message, RawRequestMessage):
            return Exchange(self, message, payload)
        exchange = Exchange(self, ERROR, EMPTY_PAYLOAD)
        exchange.parse_error = parse_fault(message.exc)
        return exchange

    def _may_go_on(self, exchange: Exchange) -> bool:
        return (
            exchange.is_keep_alive
            and exchange.is_body_read
            and not (self._close or self._force_close or self._upgraded)
            and self._tunnel is None
        )

    def _await_next_request(self) -> None:
        close_time = self._loop.time() + self._keepalive_timeout
        self._next_keepalive_close_time = close_time
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)

    async def _linger(self, payload: StreamReader) -> None:
        """Read on for a moment before closing, so that the answer is not lost to a reset (RFC 9112 section 9.6)."""
        if self._force_close or payload.is_eof() or self.transport is None:
            return
        try:
            async with asyncio.timeout(LINGER_S):
                while not payload.is_eof():
                    await payload.readany()
        except (TimeoutError, HttpProcessingError, ConnectionError):
            return
        except web.RequestPayloadError:
            return

    # -- an exchange's way out -----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write without waiting; ConnectionError when the client is gone."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        if self._paused:
            await self._drain_helper()

    def abort(self) -> None:
        """Cut the connection: a reset, not an end that could pass for a whole answer (RFC 9112 section 8)."""
        self._force_close = True
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()

    # -- a tunnel's end ------------------------------------------------------------------------------------------

    async def run_tunnel(self, tunnel: Tunnel) -> None:
        """Hand received bytes to a tunnel, those already here first, and wait for its end."""
        self._tunnel = tunnel
        self._upgraded = True
        self.keep_alive(False)
        self.set_parser(TunnelSink(tunnel))  # type: ignore[arg-type]  # it is fed as a WebSocketReader is
        await tunnel.closed()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._tunnel is not None:
            self._tunnel.client_writable()

    # -- the event loop's calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        self.peer = peername[0] if isinstance(peername, tuple) else None
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)


class TunnelSink:
    """Stands where `RequestHandler` expects the parser of an upgraded connection."""

    __slots__ = ("_tunnel",)

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take received bytes; never the end, which `feed_eof` tells."""
        self._tunnel.from_client(data)
        return False, b""

    def feed_eof(self) -> None:
        """Take the end of the client's connection."""
        self._tunnel.end()


def parse_fault(error: BaseException) -> EdgeError:
    """Say what is wrong with a head that the parser refused; nothing of it is echoed."""
    code = "bad_request"
    if isinstance(error, LineTooLong):
        # The parser names the line it gave up on: a request target begins with "/", a field name cannot.
        line = error.args[0]
        is_target = line[:1] == ("/" if isinstance(line, str) else b"/")
        code = "uri_too_long" if is_target else "headers_too_large"
    elif isinstance(error, BadHttpMessage) and "Too many headers" in error.message:
        code = "headers_too_large"
    return EdgeError(code, detail=type(error).__name__, must_close=True)


async def _never_called(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError(f"the request loop is overridden: {request!r}")
