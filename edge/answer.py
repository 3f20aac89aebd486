"""What a target says to one request: its head checked, its end known to the byte.

A target is a stranger: two lengths, control characters, surplus bytes, an unasked 101 or a flood of interim answers
make the answer a 502, and what leaves any doubt about where the next answer begins is never followed by one. A head
whose lines end in a bare LF is read (RFC 9112 section 2.2), but leaves such a doubt. Chunks are read to the letter, and
what is wrong with them is seen before the parser has made anything of it (`edge/chunks.py`).
"""

from __future__ import annotations

import asyncio
import re
from operator import itemgetter

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import StreamReader

from edge.chunks import Chunks
from edge.errors import EdgeError
from edge.framing import MAX_LENGTH_BYTES, has_controls, has_no_body, length_of
from edge.names import FieldNames, names_of

READ_BUFFER_BYTES = 32 * 1024
MAX_INTERIM_ANSWERS = 8
MAX_FIELDS = 128
MAX_FIELD_BYTES = 16 * 1024
MAX_HEAD_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_A_BARE_HEAD = re.compile(rb"\n\r?\n")
_BEGIN, _STATUS_AT = b"HTTP/1.", len(b"HTTP/1.1 ")

# RFC 9110 section 5.5: visible characters, spaces and tabs, and whatever is beyond ASCII.
_ALLOWED = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_VALUE = itemgetter(1)

Parsed = tuple[RawResponseMessage, StreamReader]
Head = tuple[RawResponseMessage, StreamReader, FieldNames]
"""A final answer's head that may be forwarded, its body, and what is known of its fields' names."""


class UpstreamError(EdgeError):
    """A target failed.

    `is_request_sent` says whether it may have seen the request, `is_reused` whether the connection was an idle one,
    which the target may have closed just before.
    """

    def __init__(self, code: str, detail: str, *, is_request_sent: bool, is_reused: bool = False) -> None:
        super().__init__(code, detail)
        self.is_request_sent = is_request_sent
        self.is_reused = is_reused


class Answer:
    """The answer to one request, fed with what the target sends; `head` is set when its final head is here.

    `feed` raises UpstreamError on what cannot be trusted. `is_clean` says, at its end, whether the very last byte
    received was its own, so that the connection can carry another request.
    """

    # As defaults of the class, so that an answer sets only what is its own.
    message: RawResponseMessage | None = None
    payload: StreamReader | None = None
    _early: StreamReader | None = None
    _head_seen: bytes | None = b""
    _head_bytes = 0
    _bytes_received = 0
    _chunks: Chunks | None = None
    _interim_answers = 0
    _surplus = False

    def __init__(
        self,
        connection: BaseProtocol,
        method: str,
        *,
        asks_upgrade: bool,
        parser: HttpResponseParser | None = None,
    ) -> None:
        """`parser` is that of a clean answer before on the same connection, if its method had answers with bodies."""
        self.parser = parser or _parser(connection, method)
        self.head: asyncio.Future[Head] = connection._loop.create_future()
        self._connection = connection
        self._method = method
        self._asks_upgrade = asks_upgrade

    @property
    def is_complete(self) -> bool:
        """Whether its last byte is here."""
        return self.payload is not None and self.payload.is_eof()

    @property
    def is_clean(self) -> bool:
        """Whether it is complete, nothing came after it, and the target means to go on."""
        message, payload = self.message, self.payload
        if message is None or payload is None or not payload.is_eof():
            return False
        if message.should_close or message.code == 101 or self._surplus or self._interim_answers:
            return False
        chunks = self._chunks
        if chunks is not None:
            return chunks.is_over and not chunks.has_surplus
        return self._bytes_received == self._head_bytes + payload.total_bytes

    @property
    def reusable_parser(self) -> HttpResponseParser | None:
        """The parser, for the next answer on the connection.

        None when it was told not to expect a body, or has read trailers, the last of which it gives to the next head.
        """
        message, chunks = self.message, self._chunks
        if message is None or has_no_body(self._method, message.code) or (chunks is not None and chunks.has_trailers):
            return None
        return self.parser

    def feed(self, data: bytes) -> None:
        """Take received bytes; b"" lets a paused parser go on with what it holds."""
        if self._early is not None:
            self._early.feed_data(data)
            return
        self._bytes_received += len(data)
        if self._head_seen is not None:
            seen = self._measure_heads(data)
        else:
            seen = b""
            if self._chunks is not None:
                _follow(self._chunks, data)  # before the parser, which may find an end where none is
        try:
            messages, is_upgraded, tail = self.parser.feed_data(data)
        except Exception as error:
            # The parser raises whatever its C code met; all of it means that the bytes are no answer.
            messages, is_upgraded, tail = self._without_body(seen[: self._head_bytes]), False, b""
            if not messages:
                raise protocol_error(f"unreadable answer: {type(error).__name__}") from error
        for message, payload in messages:
            self._take(message, payload, tail if is_upgraded else seen)
        if self.message is None and self._bytes_received > MAX_HEAD_BYTES:
            raise protocol_error("too large a head")

    def _take(self, message: RawResponseMessage, payload: StreamReader, came: bytes) -> None:
        """Take a parsed head; `came` is what was received with it, or behind it when it switches protocols."""
        if self.message is not None:
            self._surplus = True  # a second answer to one request: whatever it says, this connection is over
            return
        if not 100 <= message.code <= 599 or has_controls(message.reason):
            raise protocol_error("a status line that is none")
        names = names_of(message.raw_headers)
        fault = answer_fault(message, names, asks_upgrade=self._asks_upgrade)
        if fault is not None:
            raise protocol_error(fault)
        if message.code < 200 and message.code != 101:
            self._interim_answers += 1
            if self._interim_answers > MAX_INTERIM_ANSWERS:
                raise protocol_error("too many interim answers")
            return
        if self._head_seen is not None:
            raise protocol_error("a head without an end")  # the parser takes a line of blanks for an empty one
        if message.code == 101:
            self._begin_early(came)
        elif message.chunked and not has_no_body(self._method, message.code):
            self._begin_chunks(message, came)
        elif message.code == 204 and _announces_a_body(message, names):
            self._surplus = True  # it has none (RFC 9112 section 6.3), but one may follow, now or in a while
        self.message = message
        self.payload = payload
        if not self.head.done():
            self.head.set_result((message, payload, names))

    def _begin_early(self, tail: bytes) -> None:
        """Keep what the target says in the new protocol until the tunnel is there to take it."""
        self._connection._upgraded = True  # the connection's reads are not the parser's to pause from here on
        self._early = StreamReader(self._connection, READ_BUFFER_BYTES, loop=self._connection._loop)
        if tail:
            self._early.feed_data(tail)

    def _begin_chunks(self, message: RawResponseMessage, came: bytes) -> None:
        if message.version < HttpVersion11:
            self._surplus = True  # RFC 9112 section 6.1: that version has no chunks, so whoever sent them is in doubt
        self._chunks = Chunks()
        _follow(self._chunks, came[self._head_bytes :])

    def let_go(self) -> None:
        """Forget what was received, once, when nothing more will be: whoever reads the body has it."""
        del self.parser
        self.message = self.payload = self._early = self._head_seen = self._chunks = None

    def take_early(self) -> bytes:
        """Give what has come in the new protocol so far."""
        return b"" if self._early is None else self._early.read_nowait(-1)

    def _measure_heads(self, data: bytes) -> bytes:
        """Learn the length of the head, those of interim answers included; gives all that was received once it ends."""
        seen = self._head_seen + data if self._head_seen else data
        while True:
            begin = self._head_bytes
            # What came before has no end in it: a head that comes byte by byte is not searched again for each.
            end = self._end_of_head(seen, begin, max(begin, len(seen) - len(data) - len(_END_OF_HEAD)))
            if end < 0:
                self._head_seen = seen
                return b""
            if not seen.startswith(_BEGIN, begin):
                raise protocol_error("not HTTP/1")
            if seen.count(b"\r", begin, end) != seen.count(b"\r\n", begin, end):
                raise protocol_error("a carriage return alone")  # which the parser takes for a line end in places
            if seen.find(b"\n ", begin, end) >= 0 or seen.find(b"\n\t", begin, end) >= 0:
                # RFC 9112 section 5.2: what the parser makes of obsolete folding depends on how it comes in pieces.
                raise protocol_error("a folded field line")
            self._head_bytes = end
            status_at = begin + _STATUS_AT
            if not seen.startswith(b"1", status_at) or seen.startswith(b"101", status_at):
                self._head_seen = None
                return seen

    def _end_of_head(self, seen: bytes, begin: int, search_at: int) -> int:
        """Say where a head ends, -1 while its end is not here; it is not before the place to search from."""
        end = seen.find(_END_OF_HEAD, search_at)
        if end >= 0 and seen.count(b"\n", begin, end) == seen.count(b"\r\n", begin, end):
            return end + len(_END_OF_HEAD)
        found = _END_OF_A_BARE_HEAD.search(seen, search_at)
        if found is None:
            return -1
        self._surplus = True  # whether the parser finds it there is not known here
        return found.end()

    def _without_body(self, head: bytes) -> list[Parsed]:
        """Read a head whose answer ends with it (RFC 9112 section 6.3, rule 1); nothing when it is no such head.

        With it come the interim answers before it that have not been taken yet. To the parser the body that such an
        answer must not have is an unreadable second answer, and it gives none of them.
        """
        if not head:
            return []
        try:
            messages, _, _ = _parser(self._connection, self._method).feed_data(head)
        except Exception:  # it is the head that cannot be read
            return []
        if not messages or messages[-1][0].code < 200 or not has_no_body(self._method, messages[-1][0].code):
            return []
        return messages[self._interim_answers :]


def _follow(chunks: Chunks, data: bytes) -> None:
    fault = chunks.follow(data)
    if fault is not None:
        raise protocol_error(fault)


def _parser(connection: BaseProtocol, method: str) -> HttpResponseParser:
    return HttpResponseParser(
        connection,
        connection._loop,
        READ_BUFFER_BYTES,
        max_line_size=MAX_FIELD_BYTES,
        max_field_size=MAX_FIELD_BYTES,
        max_headers=MAX_FIELDS,
        response_with_body=method != "HEAD",
        read_until_eof=True,
        auto_decompress=False,
    )


def answer_fault(message: RawResponseMessage, names: FieldNames, *, asks_upgrade: bool) -> str | None:
    """Say what makes the head of a final answer unfit to be forwarded, or None.

    The parser is lenient with answers (llhttp's lenient mode), so what matters to framing is checked here again
    (RFC 9112 section 6.3), and fields for control characters: whoever sends them is not sent another request.
    """
    if message.version.major != 1:
        return "not HTTP/1"
    if message.code == 101 and not (asks_upgrade and message.upgrade):
        return "unasked 101"
    raw = message.raw_headers
    if names.fault is not None:
        return names.fault
    if names.coding_at is not None and not (message.chunked and raw[names.coding_at][1].strip().lower() == b"chunked"):
        return "unknown transfer coding"
    if names.length_at is not None and not _is_length(raw[names.length_at][1]):
        return "bad Content-Length"
    if b"".join(map(_VALUE, raw)).translate(None, _ALLOWED):
        return "a control character in a field"
    return None


def _announces_a_body(message: RawResponseMessage, names: FieldNames) -> bool:
    if names.coding_at is not None:
        return True
    return names.length_at is not None and length_of(message.raw_headers[names.length_at][1]) != 0


def _is_length(digits: bytes) -> bool:
    return digits.isdigit() and length_of(digits) <= MAX_LENGTH_BYTES


def protocol_error(detail: str) -> UpstreamError:
    """Make the 502 of an answer that cannot be trusted."""
    return UpstreamError("upstream_protocol", detail, is_request_sent=True)
