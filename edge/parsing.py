"""Which bytes are whose: one request at a time for the parser, and all that comes ahead of its turn kept as it came.

The parser would make messages of everything it is given, each with a bound of its own and all of them without one; and
aiohttp 3.14 keeps the last trailer of a chunked body and gives it to the head that follows, whosever that is. So it is
given a request to its end and nothing behind it, and one that follows a chunked body is read by another parser, from
its first byte on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestPayloadError

from edge.census import ConnectionLimits
from edge.ending import EndingConnection
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.framing import length_of
from edge.head import fault_of
from edge.reads import READ_BYTES
from edge.upload import END_OF_BODY, ChunkedBody, Upload

END_OF_HEAD = b"\r\n\r\n"
END_OF_LINE = LINE_ENDS = b"\r\n"
PROTOCOL = b" HTTP/"
_PROTOCOL_FROM_END = len(b" HTTP/1.1")


class ParsingConnection(EndingConnection):
    """aiohttp's connection with parsers of ours, which see one request at a time."""

    __slots__ = (
        "_ahead",
        "_ahead_heads",
        "_body_left_bytes",
        "_current",
        "_end_so_far",
        "_head_bytes",
        "_is_http",
        "_limits",
        "_line",
        "_reading",
        "_upload",
        "_whole",
    )

    def __init__(
        self, server: Any, *, loop: asyncio.AbstractEventLoop, limits: ConnectionLimits, **options: Any
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._limits = limits
        self._current: Exchange | None = None
        """The request under way."""
        self._ahead = bytearray()
        """What has come behind the request under way: no more than two reads."""
        self._ahead_heads = 0
        """How many heads end in it."""
        self._reading: StreamReader = EMPTY_PAYLOAD
        """The body of the request that was parsed last."""
        self._body_left_bytes = 0
        """How much of it is still to come, where it has a length."""
        self._upload: Upload | None = None
        """What watches it until it is here to its end."""
        self._end_so_far = b""
        """The last bytes of a head that is not complete, of as many as can belong to its end."""
        self._line: bytes | None = b""
        """What has come of a request's line; None once its end has."""
        self._is_http = True
        """Whether that line named HTTP."""
        self._head_bytes = 0
        """The size of the head that was parsed last, or of what there is of it."""
        self._whole: StreamReader | None = None
        """The last chunked body behind which a parser began that has nothing of it."""

    def _new_parser(self) -> HttpRequestParser:
        return HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )

    # -- a request's bytes ---------------------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> None:
        """Parse what begins a request, or goes on with its head; what is behind the head is its body, or waits."""
        while data:
            if self._line is not None:
                self._look_at_line(self._line + data if self._line else data)
            end = self._end_of_head(data)
            if not end:
                self._head_bytes += len(data)
                self._end_so_far = (self._end_so_far + data)[1 - len(END_OF_HEAD) :]
                super().data_received(data)
                return
            self._head_bytes += end
            self._end_so_far = self._line = b""
            super().data_received(data[:end])
            data = data[end:]
            if self._messages:
                self._begin_body(data)
                return

    def _look_at_line(self, line: bytes) -> None:
        """Learn whether the request is one of HTTP: the parser takes RTSP and ICE too, and does not tell."""
        if line[0] in LINE_ENDS:
            line = line.lstrip(LINE_ENDS)
        end = line.find(END_OF_LINE)
        if end < 0:
            self._line = line
        else:
            self._line = None
            self._is_http = line.startswith(PROTOCOL, end - _PROTOCOL_FROM_END)

    def _end_of_head(self, data: bytes) -> int:
        """Say how many of these bytes belong to the head that has begun, 0 when its end is not among them."""
        before = self._end_so_far
        if before:
            found = (before + data).find(END_OF_HEAD)
        else:
            # Empty lines before a request are nothing (RFC 9112 section 2.2), be it two of them.
            empty = len(data) - len(data.lstrip(LINE_ENDS)) if data[0] in LINE_ENDS else 0
            found = data.find(END_OF_HEAD, empty)
        return 0 if found < 0 else found + len(END_OF_HEAD) - len(before)

    def _begin_body(self, data: bytes) -> None:
        message: Any
        message, payload = self._messages[-1]
        if not isinstance(message, RawRequestMessage):
            return  # where the next request would begin, nobody can tell
        if not self._is_http and message.version.major:  # HTTP/0.9 names no protocol
            self._messages[-1] = (EdgeError("bad_request", "not HTTP"), EMPTY_PAYLOAD)  # type: ignore[assignment]
            return
        self._reading = payload
        self._body_left_bytes = 0
        if payload is EMPTY_PAYLOAD:
            if message.upgrade:
                # What follows is kept for a tunnel, whichever protocol is offered: aiohttp does so for WebSocket alone.
                self._upgraded = True
        elif message.chunked:
            ChunkedBody.of(payload)
        else:
            self._body_left_bytes = length_of(message.headers.get("Content-Length", "0"))
        if data:
            self._go_on(data)
        elif payload is not EMPTY_PAYLOAD:
            self._upload = Upload(self, payload, self._limits.pace)

    def _go_on(self, data: bytes) -> None:
        """Give the request that was parsed last what is its own of these bytes, and keep what is behind it."""
        left_bytes = self._body_left_bytes
        if self._upgraded:
            super().data_received(data)
        elif self._reading.is_eof():
            if self._is_over(self._reading):  # else nothing that follows will be served
                self._keep(data)
        elif left_bytes:
            own = data[:left_bytes]
            self._body_left_bytes -= len(own)
            super().data_received(own)
            self._note_body(own)
            if len(data) > left_bytes:
                self._keep(data[left_bytes:])
        else:
            super().data_received(data)  # of a body in chunks the parser alone knows the end
            self._note_body(data)

    def _note_fault(self, message: Any) -> None:
        """Keep only what is wrong: the parser's error holds what was read, twice, in a ring through its traceback."""
        if not isinstance(message, EdgeError):
            self._messages[-1] = (fault_of(message), EMPTY_PAYLOAD)  # type: ignore[assignment]
            message.exc.__traceback__ = None
        self.pause_reading()  # what comes next would be refused too, and wait as well

    # -- what comes ahead ----------------------------------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        """Keep what comes ahead of its turn, and read no more once it is much, or would be many requests."""
        ahead = self._ahead
        before = max(0, len(ahead) - len(END_OF_HEAD) + 1)  # a head's end may have begun there
        ahead += data
        self._ahead_heads += ahead.count(END_OF_HEAD, before)
        is_much = len(ahead) >= READ_BYTES or self._ahead_heads >= self._limits.max_pipelined
        if is_much and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def _take_ahead(self) -> bytes:
        """Give what was kept, whose turn has come, and read on."""
        data = bytes(self._ahead)
        self._ahead = bytearray()
        self._ahead_heads = 0
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        return data

    # -- bodies --------------------------------------------------------------------------------------------------------

    def _note_body(self, data: bytes) -> None:
        """Look at the body of the request that was parsed last, of which the parser has just had these bytes."""
        body, upload = self._reading, self._upload
        if upload is None:
            if body.is_eof():  # as mostly: all of it came with the head
                self._note_end(body, data)
                return
            upload = self._upload = Upload(self, body, self._limits.pace)
        upload.received(data, self._messages[-1][0] if self._messages else None)
        if body.exception() is not None:
            self.pause_reading()  # at once: the event loop reads on for as long as there is anything
            self._parser = self._new_parser()  # the one before may hold many trailers
        elif body.is_eof():
            self._end_upload()
            self._note_end(body, upload.last_bytes)

    def _note_end(self, body: StreamReader, last_bytes: bytes) -> None:
        if isinstance(body, ChunkedBody):
            if last_bytes.endswith(END_OF_BODY) and self._is_last(body):
                self._begin_anew(body)
            if not self._is_over(body):
                self._forget_behind(body)

    def _is_last(self, body: StreamReader) -> bool:
        """Say whether nothing behind this body has been parsed."""
        return not self._messages or self._messages[-1][1] is body

    def _forget_behind(self, body: StreamReader) -> None:
        """Let go of what was parsed behind a body, and have its request be the last: nothing of it will be served."""
        while not self._is_last(body):
            self._messages.pop()
        self._parser = self._new_parser()
        if self._buffer_paused:  # for there were many of them; what still comes is thrown away
            self._resume_reading_for_buffer()
        if self._current is not None:
            self._current.is_keep_alive = False

    def _is_over(self, body: StreamReader) -> bool:
        """Say whether what comes after a request with a body can be another one: it is over, and nothing is left."""
        return body is self._whole if isinstance(body, ChunkedBody) else body.is_eof()

    def _end_upload(self) -> None:
        if self._upload is not None:
            self._upload.end()
            self._upload = None

    def _begin_anew(self, body: StreamReader) -> None:
        """Give what follows a chunked body a new parser, if all that was received ends with it.

        It does when it ends in an empty line and the parser, which has read all of it, knows of no request behind the
        body: what has begun would have ended there too, or have been refused; empty lines before a request are nothing.
        """
        waiting = len(self._messages)
        super().data_received(b"")  # as many requests as may wait make the parser keep back what follows them
        if len(self._messages) == waiting and not self._upgraded:
            self._whole = body
            self._parser = self._new_parser()

    # -- what aiohttp and the event loop call --------------------------------------------------------------------------

    def pause_reading(self) -> None:
        # Not the parser: what it would keep back is here already, and is no more than one read.
        self._reading_paused = True
        self._pause_transport_reading()
        if self._upload is not None:
            self._upload.pause()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: ARG002 - it has not been paused
        # A stream asks for this with every piece that is read of it; mostly nobody has paused.
        if self._reading_paused:
            super().resume_reading(resume_parser=False)
            if self._upload is not None:
                self._upload.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end_upload()
        super().connection_lost(exc)
        # What was read is large, and in a ring with this: it would stay until the collector of rings comes to it.
        self._messages.clear()
        self._ahead = bytearray()
        self._message_tail = b""
        self._reading = EMPTY_PAYLOAD
        self._whole = None
