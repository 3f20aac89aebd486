"""Which bytes are whose: aiohttp's parser, and a new one where something of one request could reach the next.

aiohttp 3.14 keeps the last trailer of a chunked body and gives it to the head that follows, whosever that is. So a
request may follow a chunked one on its connection only when another parser reads it, from its first byte on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestPayloadError

from edge.ending import EndingConnection
from edge.errors import EdgeError
from edge.head import fault_of
from edge.upload import END_OF_BODY, ChunkedBody, Upload

END_OF_HEAD = b"\r\n\r\n"
SHORT_READ_BYTES = 4096


class ParsingConnection(EndingConnection):
    """aiohttp's connection with parsers of ours."""

    __slots__ = ("_end_so_far", "_whole", "has_lost")

    def __init__(self, server: Any, *, loop: asyncio.AbstractEventLoop, max_pipelined: int, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._whole: StreamReader | None = None
        """The last chunked body behind which a parser began that has nothing of it."""
        self._end_so_far = b""
        """The last bytes of a head that is not complete, of as many as can belong to its end."""
        self.has_lost = False
        """Whether something came behind an offer to switch protocols that a switch would miss."""
        if max_pipelined != MAX_MSG_QUEUE_SIZE:  # where aiohttp has a constant
            self._max_msg_queue_size, self._msg_queue_resume_size = max_pipelined, max_pipelined // 2
            self._parser = self._new_parser()

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
            max_msg_queue_size=self._max_msg_queue_size,
        )

    def _begin(self, data: bytes) -> None:
        """Parse what begins a request; of a long read the head alone first.

        The parser makes a plain stream for the body, and gives it the chunks behind the head one by one before anybody
        can put a `ChunkedBody` in its place: six times what a chunk costs there.
        """
        end = data.find(END_OF_HEAD) + len(END_OF_HEAD) if len(data) > SHORT_READ_BYTES else 0
        if len(END_OF_HEAD) <= end < len(data):
            super().data_received(data[:end])
            if self._messages:
                message, payload = self._messages[-1]
                if isinstance(message, RawRequestMessage) and message.chunked:
                    ChunkedBody.of(payload)
                elif isinstance(message, RawRequestMessage) and message.upgrade:
                    self._upgraded = True
            data = data[end:]
        super().data_received(data)

    def _note_fault(self, message: Any) -> None:
        """Keep only what is wrong: the parser's error holds what was read, twice, in a ring through its traceback."""
        if not isinstance(message, EdgeError):
            self._messages[-1] = (fault_of(message), EMPTY_PAYLOAD)  # type: ignore[assignment]
            message.exc.__traceback__ = None
        self.pause_reading()  # what comes next would be refused too, and wait as well

    def _note_part_of_head(self, data: bytes) -> None:
        self._end_so_far = (self._end_so_far + data)[1 - len(END_OF_HEAD) :]

    def _note_offer(self, data: bytes) -> None:
        """Have what comes behind an offer to switch protocols kept for a tunnel, of whichever protocol it is.

        aiohttp does so for WebSocket alone; of any other it throws away what came in one read with the head's end. An
        offer that came behind something else, be it an empty line, is taken for one that had more behind it.
        """
        if not self._upgraded:
            self._upgraded = True
            read = self._end_so_far + data
            self.has_lost = read.find(END_OF_HEAD) + len(END_OF_HEAD) != len(read)

    def _is_over(self, message: Any, payload: StreamReader) -> bool:
        """Say whether what comes after a request with a body can be another one: it is over, and nothing is left."""
        return payload is self._whole if message.chunked else payload.is_eof()

    def _note_queued(self, data: bytes) -> None:
        """Look at the body of the last request in the queue, which has one, after these bytes."""
        message: Any
        message, payload = self._messages[-1]
        if not message.chunked:
            return
        if not payload.is_eof():
            ChunkedBody.of(payload).settle()
        elif data.endswith(END_OF_BODY):
            self._begin_anew(payload)

    def _note_end(self, upload: Upload) -> bool:
        """Look at how an upload ended, the queue being as it was parsed; whether a request may follow it."""
        if upload.is_chunked and upload.ends_where_a_body_may and not self._messages:
            self._begin_anew(upload.body)
        return not upload.is_chunked or upload.body is self._whole

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
