"""How a message's body is delimited on the wire, decided purely for both directions (RFC 9112 section 6).

Nothing is relayed as it came: what was received is parsed, and what is sent is framed anew from these values,
so a message that two parsers could read differently never leaves the edge.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict

LAST_CHUNK = b"0\r\n\r\n"
MAX_LENGTH_BYTES = 2**63 - 1
"""The longest body that a head may announce: servers count in 63 bits, and aiohttp's parser takes the 64-bit number
of all ones to say that there is no body."""
_MANY_DIGITS = 100

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_OR_LINE_END = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def length_of(digits: str | bytes) -> int:
    """Read a length; of one with a great many digits only that it is beyond all bounds, as `int` has one of its own."""
    return int(digits) if len(digits) < _MANY_DIGITS else MAX_LENGTH_BYTES + 1


class Framing(Enum):
    """The four ways in which a body can end."""

    NONE = "none"
    SIZED = "sized"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class BodyPlan(NamedTuple):
    """How one body is sent; `length_bytes` counts only for SIZED."""

    framing: Framing
    length_bytes: int = 0


NO_BODY = BodyPlan(Framing.NONE)
CHUNKED_BODY = BodyPlan(Framing.CHUNKED)
BODY_UNTIL_CLOSE = BodyPlan(Framing.UNTIL_CLOSE)


def plan_request_body(*, is_chunked: bool, content_length: int | None) -> BodyPlan:
    """Decide how a request's body goes to the target; the parser has already refused both framings at once."""
    if is_chunked:
        return CHUNKED_BODY
    if content_length is None:
        return NO_BODY
    return BodyPlan(Framing.SIZED, content_length)


def has_no_body(method: str, status: int) -> bool:
    """Say whether an answer ends at its head whatever its fields say (RFC 9112 section 6.3, rules 1 and 2)."""
    return method == "HEAD" or status in (204, 304) or status < 200


def plan_answer_body(method: str, status: int, known_length: int | None, *, is_http_10: bool) -> BodyPlan:
    """Decide how an answer's body goes to the client; an HTTP/1.0 client knows no chunks."""
    if has_no_body(method, status):
        return NO_BODY
    if known_length is not None:
        return BodyPlan(Framing.SIZED, known_length)
    return BODY_UNTIL_CLOSE if is_http_10 else CHUNKED_BODY


def has_controls(text: str) -> bool:
    """Say whether a field's value holds a control character other than a tab, CR and LF included."""
    return not text.isprintable() and _CONTROL_OR_LINE_END.search(text) is not None


def chunk(data: bytes) -> bytes:
    """Frame a non-empty piece of a body as one chunk (RFC 9112 section 7.1); an empty one would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def serialize_head(start_line: str, headers: CIMultiDict[str]) -> bytes:
    """Write a start line and fields as bytes; ValueError on a control character (RFC 9110 section 5.5).

    Octets above 127 leave as they came in: the parsers keep what is not UTF-8 as lone surrogates, which aiohttp's C
    writer (three times faster) would leave out, so it serves only what is plain ASCII.
    """
    if "".join(headers.values()).isascii():
        return _serialize_headers(start_line, headers)
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    count = len(headers)
    if _CONTROL.search(fields) or fields.count("\r") != count or fields.count("\n") != count:
        raise ValueError("control character in a header field")
    return f"{start_line}\r\n{fields}\r\n".encode("utf-8", "surrogateescape")


def serialize_fields(headers: CIMultiDict[str]) -> bytes:
    """Write fields as bytes, each with its line's end; ValueError as for a head."""
    return serialize_head("", headers).removeprefix(b"\r\n").removesuffix(b"\r\n")
