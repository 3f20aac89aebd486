"""The body of one request while it arrives: whether it grows, and whether it is a body at all."""

from __future__ import annotations

from typing import Any

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from edge.deadlines import BodyDeadline, Reading
from edge.errors import EdgeError
from edge.head import parse_fault

MAX_FRAMING_BYTES = 512 * 1024
MAX_FRAMING_RATIO = 8
"""Chunk sizes, extensions and trailers may come to so many bytes, and to so many more for each byte of the body."""


class Upload:
    """Watches a body that has not arrived to its end; `end` stops it.

    It breaks off what has not grown for `timeout_s` with `slow_request`, what the parser has given up, of which that
    tells only the queue of messages, and what is nearly all framing.
    """

    __slots__ = ("_body", "_deadline", "_raw_bytes")

    def __init__(self, reading: Reading, body: StreamReader, timeout_s: float) -> None:
        self._body = body
        self._deadline = BodyDeadline(reading, body, timeout_s, _break_off)
        self._raw_bytes = 0

    def received(self, count: int, last_message: Any) -> None:
        """Note bytes that have been parsed; `last_message` is the last in the queue, None when that is empty."""
        self._deadline.progressed()
        self._raw_bytes += count
        body = self._body
        if body.is_eof():
            return
        if last_message is not None and not isinstance(last_message, RawRequestMessage | EdgeError):
            body.set_exception(parse_fault(last_message.exc))
        elif self._raw_bytes > MAX_FRAMING_BYTES + MAX_FRAMING_RATIO * body.total_bytes:
            body.set_exception(EdgeError("bad_request", "more framing than body", must_close=True))

    def end(self) -> None:
        """Stop; idempotent."""
        self._deadline.end()


def _break_off(body: StreamReader) -> None:
    body.set_exception(EdgeError("slow_request", must_close=True))
