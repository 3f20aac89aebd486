"""The request loop of one client connection: aiohttp's parser and connection code, our loop.

`RequestHandler` keeps what it is hardened for (parsing, flow control, pipelining bounds, keep-alive timer); `start`
is overridden so that a proxied request costs no task, no `web.Request` and no `web.Response`. One request at a time is
given to `serve`; when the client goes, the task of this loop is cancelled and with it whatever `serve` is doing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from edge.census import Census, ConnectionLimits
from edge.deadlines import HeadDeadline, WriteDeadline
from edge.errors import EdgeError
from edge.exchange import Exchange, unreadable
from edge.head import fault_of
from edge.parsing import LINE_ENDS, ParsingConnection
from edge.reads import READ_BYTES, bound_reads
from edge.tunnel import Tunnel, TunnelSink

WRITE_BUFFER_BYTES = READ_BYTES
"""One read may be passed on without a wait; who does not take it has the next ones wait at the target."""
TLS_WRITE_BUFFER_BYTES = 1
"""By TLS what is encrypted waits in a transport below, 64 KiB of it, before anything waits in this one. Not 0: uvloop
would take an empty buffer for a full one."""
READ_BUFFER_BYTES = 32 * 1024
FIRST_REQUEST_S = 1.0

Serve = Callable[["ClientConnection", Exchange], Awaitable[None]]

log = logging.getLogger("portico.edge")


class Room(Protocol):
    """What a connection needs of the server that it belongs to."""

    limits: ConnectionLimits
    census: Census
    serve: Serve
    is_draining: bool

    @property
    def open_connections(self) -> int: ...


class ClientConnection(ParsingConnection):
    """One client's connection; an `AnswerSink` for its exchanges and one end of a tunnel."""

    __slots__ = (
        "_head",
        "_server",
        "_subscriber",
        "_tenant",
        "_tunnel",
        "admitted_as",
        "peer",
        "scheme",
    )

    def __init__(self, server: Room, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        limits = server.limits
        super().__init__(server, loop=loop, limits=limits, **options)
        self._server = server
        self._link = None
        self._last_write = None
        self._subscriber = self._tenant = ""
        self._tunnel: Tunnel | None = None
        self._head = HeadDeadline(loop, limits.head_timeout_s, limits.max_head_bytes, self._refuse_head)
        self._write_timeout_s = limits.write_timeout_s
        self.peer: str | None = None
        self.scheme = "http"
        self.admitted_as: str | None = None
        """Whom it is counted for already, before it is made; None for nobody."""

    # -- the loop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve the requests of this connection one after the other until it ends."""
        try:
            while not self._force_close and await self._serve_next():
                self._await_next_request()
        except ConnectionError:
            pass  # the client is gone
        except Exception:
            log.exception("a connection's loop failed")
        finally:
            self._task_handler = None
            self.force_close()

    async def _serve_next(self) -> bool:
        """Wait for a request and serve it; whether another can follow it on this connection."""
        if self._ahead and not self._messages:
            self.data_received(self._take_ahead())
        if not self._messages:
            await self._wait_for_message()
        message: Any
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        exchange = self._current = self._exchange(message, payload)
        if self._server.is_draining:
            exchange.is_keep_alive = False
        self._request_in_progress = True
        try:
            if payload.is_eof() and not self._is_over(payload):
                exchange.is_keep_alive = False
            await self._server.serve(self, exchange)
        finally:
            if self._upload is not None:
                self._end_upload()
            self._request_in_progress = False
            self._current = None
        if (
            exchange.is_keep_alive
            and self._is_over(payload)
            and not (self._close or self._force_close or self._upgraded)
            and self._tunnel is None
        ):
            return True
        if self._may_be_talking(message, payload):
            await self.linger()
        return False

    def _may_be_talking(self, message: Any, payload: StreamReader) -> bool:
        """Say whether the client may still be sending, as it does not know or has not said that this is the end."""
        if self._tunnel is not None or self._close:
            return False
        return bool(self._ahead) or not (
            isinstance(message, RawRequestMessage) and message.should_close and payload.is_eof()
        )

    async def _wait_for_message(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _exchange(self, message: Any, payload: StreamReader) -> Exchange:
        head_bytes, self._head_bytes = self._head_bytes, 0
        if not isinstance(message, RawRequestMessage):
            return unreadable(self, fault_of(message))
        exchange = Exchange(self, message, payload)
        if head_bytes > self._limits.max_head_bytes:
            exchange.parse_error = EdgeError("headers_too_large", must_close=True)
        elif self._messages and not payload.is_eof():  # what follows a body that has no end is what is wrong with it
            exchange.parse_error = fault_of(self._messages[-1][0])
        return exchange

    def _await_next_request(self) -> None:
        close_time = self._loop.time() + self._keepalive_timeout
        self._next_keepalive_close_time = close_time
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)

    def belong_to(self, tenant: str) -> None:
        """Count this connection for a tenant; EdgeError `overloaded` when the tenant has as many as it may."""
        if tenant != self._tenant:
            if not self._server.census.move(self._tenant, tenant):
                raise EdgeError("overloaded", "the tenant has too many connections", must_close=True)
            self._tenant = tenant

    # -- an exchange's way out -----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write without waiting; ConnectionError when the client is gone."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        if self._paused and self.transport is not None:
            with WriteDeadline(self.transport, self._write_timeout_s, self.cut_slow_reader):
                await self._drain_helper()

    def cut_slow_reader(self) -> None:
        self._server.census.met["write"] += 1
        super().cut_slow_reader()

    # -- the end ---------------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Take no request after the one under way, and end; at once when there is none.

        A client that has not had an answer yet may have sent its first request already, and does not expect an end as
        one that keeps its connection has to: it has a moment for it, or as long as any head when it has begun.
        """
        if self._current is not None:
            self._current.is_keep_alive = False
        elif self._request_count:
            if not (self._messages or self._head.received_bytes):
                self.close()
        else:
            self._loop.call_later(FIRST_REQUEST_S, self._leave_if_silent)

    def _leave_if_silent(self) -> None:
        if not (self._request_count or self._head.received_bytes):
            self.close()

    # -- a tunnel's end ------------------------------------------------------------------------------------------

    async def run_tunnel(self, tunnel: Tunnel) -> None:
        """Hand received bytes to a tunnel, those already here first, and wait for its end."""
        self._tunnel = tunnel
        self._upgraded = True
        self.keep_alive(False)
        self.set_parser(TunnelSink(tunnel))  # type: ignore[arg-type]  # it is fed as a WebSocketReader is
        if self._ahead:  # of an offer that the parser saw none in
            tunnel.from_client(self._take_ahead())
        await tunnel.closed()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._tunnel is not None:
            self._tunnel.client_writable()

    # -- deadlines -----------------------------------------------------------------------------------------------------

    def _refuse_head(self, code: str) -> None:
        """Answer a head that is too slow or too large as if it had arrived; a client that said nothing just goes."""
        if self._request_in_progress or self._messages:
            return
        if not self._head.received_bytes:
            self._server.census.met["silence"] += 1
            self.force_close()
            return
        self._messages.append((EdgeError(code, must_close=True), EMPTY_PAYLOAD))  # type: ignore[arg-type]
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end_idleness(self) -> None:
        """Leave a head that has begun to its own deadline."""
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
            self._keepalive_handle = None

    def _process_keepalive(self) -> None:
        was_open = not self._force_close
        super()._process_keepalive()
        if was_open and self._force_close:
            self._server.census.met["idle"] += 1

    def _pause_reading_for_buffer(self) -> None:
        super()._pause_reading_for_buffer()
        if self._ahead:
            self._server.census.met["pipeline"] += 1

    # -- the event loop's calls ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        self.peer = peername[0] if isinstance(peername, tuple) else None
        subscriber, self.admitted_as = self.admitted_as, None
        if subscriber is None:
            subscriber = self._server.census.admit(self.peer, self._server.open_connections)
        if subscriber is None:
            transport.close()
            self._manager = None  # as after `connection_lost`: nothing has begun that would have to end
            return
        self._subscriber = subscriber
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        super().connection_made(transport)
        if self.transport is not None:
            is_tls = self.scheme == "https"
            self.transport.set_write_buffer_limits(TLS_WRITE_BUFFER_BYTES if is_tls else WRITE_BUFFER_BYTES)
            bound_reads(self.transport, self)
        self._head.start()
        if self._server.is_draining:
            self.retire()

    def data_received(self, data: bytes) -> None:
        if self._manager is None or self._close:
            return  # not admitted, or at its end
        if self._request_in_progress or self._messages:
            if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
                self.pause_reading()
                return  # where the next request would begin, nobody can tell
            self._go_on(data)
        else:
            self._begin(data)
            if not self._messages:
                if self._request_count and not (self._head.received_bytes or data.strip(LINE_ENDS)):
                    return  # some clients end a body with an empty line: they are as idle as before
                self._end_idleness()
                self._head.received(len(data))
            elif self._head.is_running:
                self._head.end()
        if self._messages:
            message, _ = self._messages[-1]
            if not isinstance(message, RawRequestMessage):
                self._note_fault(message)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head.end()
        if self._manager is not None:
            self._server.census.leave(self._subscriber, self._tenant)
        super().connection_lost(exc)
