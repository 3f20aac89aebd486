"""One HTTP/1.1 connection to a target, on aiohttp's C response parser: the edge's lean way upstream.

What the target says is `edge/answer.py`; the idle connections of a target are `edge/pool.py`; what one request does
with a connection is `edge/forward.py`.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Awaitable, Callable

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser

from edge.answer import Answer, Head, UpstreamError
from edge.errors import EdgeError
from edge.reads import READ_BYTES, bound_reads
from edge.sockets import bound_unsent, has_unread
from edge.telemetry.counters import UpstreamCounters
from edge.tunnel import Tunnel

WRITE_BUFFER_BYTES = 64 * 1024
NEVER_S = math.inf


class UpstreamConnection(BaseProtocol):
    """One connection; at most one request is on it at a time.

    The owner calls `begin`, writes the head and body, awaits `head`, reads the payload to its end and calls
    `finish`, or `abort` at any point. `on_idle` gets the connection back when it can serve another request;
    `counters` know how many there are.
    """

    __slots__ = (
        "_answer",
        "_counters",
        "_error",
        "_has_ended",
        "_head_due_s",
        "_idle_timeout_s",
        "_is_aborted",
        "_last_byte_at_s",
        "_may_have_more",
        "_on_idle",
        "_spare_parser",
        "_timer",
        "_tls",
        "idle_since_s",
        "is_reused",
        "tunnel",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_idle: Callable[[UpstreamConnection], None],
        counters: UpstreamCounters,
    ) -> None:
        super().__init__(loop)
        self._on_idle = on_idle
        self._counters = counters
        self._answer: Answer | None = None
        self._error: EdgeError | None = None
        self._has_ended = False
        self._is_aborted = False
        self._last_byte_at_s = 0.0
        self._may_have_more = False
        """Whether something may have come behind the last bytes that were received, and lie there unread."""
        self._timer: asyncio.TimerHandle | None = None
        self._head_due_s = NEVER_S
        self._idle_timeout_s = NEVER_S
        self._tls: ssl.SSLObject | None = None
        self._spare_parser: HttpResponseParser | None = None
        self.idle_since_s = 0.0
        self.is_reused = False
        self.tunnel: Tunnel | None = None

    # -- one request ---------------------------------------------------------------------------------------------------

    def begin(self, method: str, *, asks_upgrade: bool) -> None:
        """Get ready for the answer to a request with this method; call before writing the first byte."""
        spare, self._spare_parser = self._spare_parser, None
        self._answer = Answer(self, method, asks_upgrade=asks_upgrade, parser=None if method == "HEAD" else spare)
        self._parser = self._answer.parser

    def write(self, data: bytes) -> None:
        """Write without waiting; a closed connection swallows it, and `head` tells of that."""
        if self.transport is not None:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the write buffer is below its high-water mark; ConnectionError when the target is gone."""
        if self._paused or self.transport is None:
            await self._drain_helper()

    def head(self) -> Awaitable[Head]:
        """Give the head of the final answer, to be awaited."""
        assert self._answer is not None
        if self.transport is None and not self._answer.head.done():
            raise self._reset("closed before the request")
        return self._answer.head

    def fail_after(self, timeout_s: float) -> None:
        """Fail the request with 504 unless its head has come within `timeout_s` from now."""
        answer = self._answer
        if answer is not None and not answer.head.done():
            self._head_due_s = self._loop.time() + timeout_s
            self._watch(self._head_due_s)

    def stop_waiting(self) -> None:
        """Lift the deadline of `fail_after`: the next move is the client's, not the target's."""
        self._head_due_s = NEVER_S

    def fail_when_idle(self, timeout_s: float) -> None:
        """From now on, break the body when the target sends nothing for `timeout_s` although we are reading."""
        self._head_due_s = NEVER_S
        self._idle_timeout_s = timeout_s
        self._last_byte_at_s = self._loop.time()
        self._watch(self._last_byte_at_s + timeout_s)

    def fail(self, error: EdgeError) -> None:
        """End the request with `error`, wherever it stands, and the connection with it."""
        self._error = self._error or error
        answer = self._answer
        if answer is not None:
            if not answer.head.done():
                answer.head.set_exception(error)
            elif answer.payload is not None and not answer.payload.is_eof():
                answer.payload.set_exception(error)
        self.abort()

    def finish(self) -> None:
        """Take the connection out of the request whose answer has been read to its end; reuse it if that is safe."""
        self._head_due_s = self._idle_timeout_s = NEVER_S
        if self.transport is None:
            self._answer = None
            return
        answer = self._answer
        if self.is_usable() and answer is not None and answer.is_clean and not self._has_more():
            self._spare_parser = answer.reusable_parser
            self._answer = self._parser = None
            self.idle_since_s = self._loop.time()
            self._on_idle(self)
        else:
            self.close()

    def start_tunnel(self, tunnel: Tunnel) -> None:
        """After a 101: hand received bytes to the tunnel from now on, those already here first."""
        assert self._answer is not None
        early = self._answer.take_early()
        self.tunnel = tunnel
        if early:
            tunnel.from_upstream(early)

    def abort(self) -> None:
        """Close at once; idempotent. Nobody may be waiting for the head: `fail` is for that."""
        self._stop_watching()
        self._is_aborted = True
        if self._answer is not None:
            self._answer.head.cancel()  # without effect when it is done
        if self.transport is not None:
            self.transport.abort()
        else:
            self._answer = None

    def close(self) -> None:
        """Close a connection that no request is on, by TLS with a goodbye; idempotent. No target is waited for."""
        if self.transport is None or self.transport.get_write_buffer_size():
            self.abort()
            return
        self._stop_watching()
        self._is_aborted = True
        self.transport.close()

    def is_usable(self) -> bool:
        """Say whether an idle connection may take a request."""
        return self.transport is not None and not self.transport.is_closing() and not self._is_aborted

    def has_idled(self, most_s: float) -> bool:
        """Say whether an idle connection has been so for longer than `most_s`."""
        return self._loop.time() - self.idle_since_s > most_s

    # -- the event loop's calls ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        bound_reads(self.transport, self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            bound_unsent(sock)
        self._tls = transport.get_extra_info("ssl_object")
        self._counters.connections += 1

    def eof_received(self) -> None:
        # By TLS this is the target's goodbye: a connection that anybody on the way can cut is lost without it.
        self._has_ended = True

    def data_received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.from_upstream(data)
            return
        if self._answer is None:
            # Bytes that no request asked for: they could only be taken for the answer to the next one.
            if data:
                self.abort()
            return
        self._last_byte_at_s = self._loop.time()
        if data:  # else a parser goes on with what it holds
            self._may_have_more = len(data) >= READ_BYTES  # the event loop stops after so many of those
        try:
            self._answer.feed(data)
        except UpstreamError as error:
            self.fail(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._counters.connections -= 1
        if self._tls is not None and not self._is_aborted:
            self._take_rest(self._tls)
        self._stop_watching()
        if self.tunnel is not None:
            self.tunnel.end()
        elif self._answer is not None:
            self._end_answer(self._answer)
            self._answer.let_go()  # its body holds this connection, and this would hold all that lies there unread
        if self._is_aborted:  # else its head may still be asked for
            self._answer = None
        super().connection_lost(exc)
        self._parser = self._spare_parser = None

    def pause_reading(self) -> None:
        self._may_have_more = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # A stream asks for this with every piece that is read of it; mostly nobody has paused.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.tunnel is not None:
            self.tunnel.upstream_writable()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _has_more(self) -> bool:
        """Say whether anything has come that was not read: it would be taken for the answer to the next request."""
        if not self._may_have_more or self.transport is None:
            return False
        sock = self.transport.get_extra_info("socket")
        return self._tls is not None or sock is None or has_unread(sock.fileno())  # into TLS' layer nobody can look

    def _take_rest(self, link: ssl.SSLObject) -> None:
        """Take what has come but was not read, because we had paused: TLS' layer does not wait for us with its end."""
        self._upgraded = True  # nobody pauses the parser from here on: all that can still come is what is here
        try:
            self.data_received(b"")  # what the parser holds
            while data := link.read(READ_BYTES):
                self.data_received(data)
            self._has_ended = True
        except (ssl.SSLError, ValueError) as error:  # nothing more is there, which is how it mostly is
            self._has_ended = self._has_ended or isinstance(error, ssl.SSLZeroReturnError)

    def _end_answer(self, answer: Answer) -> None:
        if not answer.head.done():
            answer.head.set_exception(self._error or self._reset("closed before answering"))
            return
        message, payload = answer.message, answer.payload
        if message is None or payload is None or payload.is_eof():
            return
        is_delimited = message.chunked or "Content-Length" in message.headers
        if self._has_ended and self._error is None and not self._is_aborted and not is_delimited:
            payload.feed_eof()  # RFC 9112 section 6.3, rule 8: the end of the connection is the end of the body
        else:
            payload.set_exception(self._error or self._reset("closed in the middle of its answer"))

    def _watch(self, due_s: float) -> None:
        """Have `_check_deadlines` look at `due_s` or before.

        A timer that is there already is left to ring, and set anew for what is due by then: so a connection with one
        request after the other sets one timer in the time of a deadline, and not one for each request.
        """
        timer = self._timer
        if timer is None or timer.when() > due_s:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(due_s, self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._timer = None
        answer = self._answer
        if answer is None or answer.is_complete:
            return
        now_s = self._loop.time()
        if not answer.head.done():
            due_s, detail = self._head_due_s, "no answer in time"
        else:
            # When we are the ones not reading, the client is slow, and the target is not to blame for it.
            last_s = now_s if self._reading_paused else self._last_byte_at_s
            due_s, detail = last_s + self._idle_timeout_s, "its answer stopped arriving"
        if now_s >= due_s:
            self.fail(UpstreamError("upstream_timeout", detail, is_request_sent=True, is_reused=self.is_reused))
        elif due_s < NEVER_S:
            self._watch(due_s)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _reset(self, detail: str) -> UpstreamError:
        return UpstreamError("upstream_reset", detail, is_request_sent=True, is_reused=self.is_reused)
