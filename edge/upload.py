"""The body of one request while it arrives: whether it keeps its pace, is a body at all, and where it ends."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from edge.deadlines import BodyDeadline, Pace
from edge.errors import EdgeError
from edge.head import fault_of

SURPLUS_BYTES = 64 * 1024
SURPLUS_BYTES_PER_S = 16 * 1024
"""By how much chunk sizes, extensions and trailers may outweigh the body: by so many bytes at once, and so many more
with each second. A chunk costs the parser what a hundred bytes of body do, but crumbs that come slowly cost nothing."""

MAX_BARREN_BYTES = 32 * 1024
"""How much may come without any of the body: trailers, which the parser keeps, or an extension."""

END_OF_BODY = b"\r\n\r\n"


class Reading(Protocol):
    """A connection that can say whether it has stopped reading of its own accord."""

    _reading_paused: bool


class ChunkedBody(StreamReader):
    """A chunked body that is taken by what was read at once, not chunk by chunk, which costs five times as much.

    The parser makes its own stream; one becomes this by `of`. Whoever feeds the parser owes it `settle` afterwards.
    """

    __slots__ = ()

    @classmethod
    def of(cls, body: StreamReader) -> ChunkedBody:
        """Turn a stream of aiohttp's into one of these, with what it holds; idempotent."""
        body.__class__ = cls
        body._http_chunk_splits = None
        assert isinstance(body, cls)
        return body

    # Where chunks begin and end is nobody's affair here. The parser tells of each, and nothing is called for less than
    # this: a function that does nothing cost tiny chunks a third of their time.
    begin_http_chunk_receiving = end_http_chunk_receiving = bool  # type: ignore[assignment]

    def feed_data(self, data: bytes, size: int = 0) -> bool:  # noqa: ARG002 - the parser gives both
        self._buffer.append(data)
        return False

    def settle(self) -> None:
        """Join what has been fed, count it, wake who waits for it, and stop reading until it is taken if it is much."""
        buffer = self._buffer
        is_much = len(buffer) > self._high_water_chunks
        data = b"".join(buffer)
        grown_bytes = len(data) - self._buffer_offset - self._size
        if not grown_bytes:
            return
        buffer.clear()
        buffer.append(data)
        self._size += grown_bytes
        self.total_bytes += grown_bytes
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if is_much or self._size > self._high_water:
            self._protocol.pause_reading()

    def feed_eof(self) -> None:
        self.settle()
        super().feed_eof()


class Upload:
    """Watches a body that has not arrived to its end; `end` stops it.

    It breaks off what does not keep its pace with `slow_request`, what the parser has given up, of which that tells
    only the queue of messages, and what is nearly all framing.
    """

    __slots__ = ("_barren_bytes", "_began_at_s", "_chunks", "_deadline", "_raw_bytes", "body", "last_bytes")

    def __init__(self, reading: Reading, body: StreamReader, pace: Pace) -> None:
        self.body = body
        self._chunks = body if isinstance(body, ChunkedBody) else None
        self._deadline = BodyDeadline(body, pace, partial(_break_off, body))  # no ring with this one
        if reading._reading_paused:
            self._deadline.pause()
        self._began_at_s = asyncio.get_running_loop().time()
        self._raw_bytes = 0
        self._barren_bytes = 0
        self.last_bytes = b""
        """Of a chunked body, framing included, as many as its end has."""

    def received(self, data: bytes, last_message: Any) -> None:
        """Note bytes that have been parsed; `last_message` is the last in the queue, None when that is empty."""
        body = self.body
        if self._chunks is not None:
            self._count_framing(data, self._chunks)
        if body.is_eof():
            return
        self._deadline.progressed()
        if last_message is not None and not isinstance(last_message, RawRequestMessage):
            body.set_exception(fault_of(last_message))
        elif self._barren_bytes > MAX_BARREN_BYTES or self._has_too_much_framing():
            body.set_exception(EdgeError("bad_request", "more framing than body", must_close=True))

    def pause(self) -> None:
        """Note that the connection has stopped reading."""
        self._deadline.pause()

    def resume(self) -> None:
        """Note that it reads again."""
        self._deadline.resume()

    def end(self) -> None:
        """Stop; idempotent."""
        self._deadline.end()

    def _count_framing(self, data: bytes, chunks: ChunkedBody) -> None:
        before_bytes = chunks.total_bytes
        chunks.settle()
        grown_bytes = chunks.total_bytes - before_bytes
        self._raw_bytes += len(data)
        self.last_bytes = (self.last_bytes + data)[-len(END_OF_BODY) :]
        if grown_bytes:
            # What is no body may all be behind it. Crumbs are no reason to refuse, however many come at once: the next
            # read, without any, has room.
            self._barren_bytes = min(len(data) - grown_bytes, MAX_BARREN_BYTES // 2)
        else:
            self._barren_bytes += len(data)

    def _has_too_much_framing(self) -> bool:
        surplus_bytes = self._raw_bytes - 2 * self.body.total_bytes
        if surplus_bytes <= SURPLUS_BYTES:
            return False
        taken_s = asyncio.get_running_loop().time() - self._began_at_s
        return surplus_bytes > SURPLUS_BYTES + SURPLUS_BYTES_PER_S * taken_s


def _break_off(body: StreamReader, reason: str) -> None:
    body.set_exception(EdgeError("slow_request", reason, must_close=True))
