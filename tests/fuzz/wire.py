"""HTTP/1.1 read to the letter (RFC 9112), apart from every parser that is tested: what strict peers make of bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])" % _TOKEN)
# More than one space is for a reader to allow (RFC 9112 section 3), as the edge does; what it writes has one.
_SPACED_LINE = re.compile(rb"(%s) +([\x21-\x7e\x80-\xff]+) +HTTP/1\.([01])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
# The space before a reason that is not there is the sender's to write (RFC 9112 section 4), and many read without it.
_BARE_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"(%s):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,200})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
UNTIL_CLOSE = "its end is the connection's"
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_LINE = b"\r\n"


class Malformed(Exception):  # noqa: N818 - a finding about bytes
    """No continuation can make these bytes a message."""


class Incomplete(Exception):  # noqa: N818 - a finding about bytes
    """The bytes end before the message does."""


Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Request:
    """A whole request; field names are in lower case, `end` is where the next one begins."""

    method: str
    target: bytes
    minor: int
    fields: Fields
    body: bytes
    end: int

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of a field, by its lower-case name."""
        return [value for each, value in self.fields if each == name]


@dataclass(frozen=True)
class Answer:
    """A whole answer; `end` is where the next one begins."""

    status: int
    fields: Fields
    body: bytes
    end: int

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of a field, by its lower-case name."""
        return [value for each, value in self.fields if each == name]


def read_request(data: bytes, at: int = 0, *, allows_spaces: bool = False) -> Request:
    """Read one request. Raises Malformed, Incomplete."""
    first, fields, at = _read_head(data, at)
    line = (_SPACED_LINE if allows_spaces else _REQUEST_LINE).fullmatch(first)
    if line is None:
        raise Malformed(f"request line {first!r}")
    body, end = b"", at
    if _is_chunked(fields):
        if line[3] == b"0":
            raise Malformed("chunks in HTTP/1.0")
        body, end = _read_chunks(data, at)
    elif (length := _length(fields)) is not None:
        body, end = _read_sized(data, at, length)
    return Request(line[1].decode(), line[2], int(line[3]), fields, body, end)


def read_requests(data: bytes, *, allows_spaces: bool = False) -> tuple[list[Request], str]:
    """Read all requests of a connection; the second is why there is no more: "end", "incomplete" or "malformed"."""
    requests: list[Request] = []
    at = 0
    while data[at:].strip(b"\r\n"):
        try:
            requests.append(read_request(data, at, allows_spaces=allows_spaces))
        except Incomplete:
            return requests, "incomplete"
        except Malformed:
            return requests, "malformed"
        at = requests[-1].end
    return requests, "end"


def read_answer(data: bytes, at: int, method: str, *, has_ended: bool, allows_bare_status: bool = False) -> Answer:
    """Read one answer to a request with this method; `has_ended`: nothing comes after `data`.

    Raises Malformed, Incomplete.
    """
    first, fields, at = _read_head(data, at)
    line = (_BARE_STATUS_LINE if allows_bare_status else _STATUS_LINE).fullmatch(first)
    if line is None:
        raise Malformed(f"status line {first!r}")
    status = int(line[1])
    if method == "HEAD" or status in (204, 304) or status < 200:
        return Answer(status, fields, b"", at)
    if _is_chunked(fields):
        body, end = _read_chunks(data, at)
    elif (length := _length(fields)) is not None:
        body, end = _read_sized(data, at, length)
    elif has_ended:
        body, end = data[at:], len(data)
    else:
        raise Incomplete(UNTIL_CLOSE)
    return Answer(status, fields, body, end)


def _read_head(data: bytes, at: int) -> tuple[bytes, Fields, int]:
    while data[at : at + 1] in (b"\r", b"\n"):  # section 2.2: empty lines before a message are passed over
        at += 1
    end = data.find(_END_OF_HEAD, at)
    if end < 0:
        raise Incomplete("no end of the head")
    first, *lines = data[at:end].split(_END_OF_LINE)
    fields = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed(f"field line {line!r}")
        fields.append((field[1].lower(), field[2].strip(b" \t")))
    return first, tuple(fields), end + len(_END_OF_HEAD)


def _is_chunked(fields: Fields) -> bool:
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if not codings:
        return False
    if len(codings) > 1 or codings[0].lower() != b"chunked":
        raise Malformed(f"transfer codings {codings!r}")
    if any(name == b"content-length" for name, _ in fields):
        raise Malformed("two lengths")
    return True


def _length(fields: Fields) -> int | None:
    lengths = [value for name, value in fields if name == b"content-length"]
    if not lengths:
        return None
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise Malformed(f"lengths {lengths!r}")
    return int(lengths[0])


def _read_sized(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if len(data) < end:
        raise Incomplete(f"{end - len(data)} bytes of the body are missing")
    return data[at:end], end


def _read_line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(_END_OF_LINE, at)
    if end < 0:
        raise Incomplete("no end of the line")
    return data[at:end], end + len(_END_OF_LINE)


def _read_chunks(data: bytes, at: int) -> tuple[bytes, int]:
    pieces: list[bytes] = []
    while True:
        line, at = _read_line(data, at)
        head = _CHUNK_HEAD.fullmatch(line)
        if head is None:
            raise Malformed(f"chunk head {line!r}")
        size = int(head[1], 16)
        if not size:
            return b"".join(pieces), _read_trailers(data, at)
        piece, at = _read_sized(data, at, size)
        pieces.append(piece)
        end = data[at : at + 2]
        if end != _END_OF_LINE[: len(end)]:
            raise Malformed(f"after a chunk {end!r}")
        if len(end) < len(_END_OF_LINE):
            raise Incomplete("no end of the chunk")
        at += len(_END_OF_LINE)


def _read_trailers(data: bytes, at: int) -> int:
    while True:
        line, at = _read_line(data, at)
        if not line:
            return at
        if _FIELD.fullmatch(line) is None:
            raise Malformed(f"trailer {line!r}")
