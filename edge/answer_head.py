"""The head of the answer to a client: framed anew, with what the edge says of its own.

A target's fields that nobody has looked at go out as the bytes they came in as, checked by then, without those that
concern its own connection; from the moment that a middleware asks for them, the mapping it was given counts.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import compress
from typing import NamedTuple

from aiohttp.helpers import rfc822_formatted_time

from edge.errors import EdgeError, Fields
from edge.framing import BodyPlan, Framing, serialize_head
from edge.headers import PLAIN_OPTIONS, REQUEST_ID
from edge.message import ProxyResponse
from edge.names import RawFields, names_of

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_PLAIN_OPTIONS = frozenset(option.encode() for option in PLAIN_OPTIONS)
_LINE = b": ".join


class Own(NamedTuple):
    """What the edge adds: the request's identifier ("" for none), its `Connection` option, the fields of limits."""

    request_id: str
    option: str | None
    fields: Fields


def answer_head(response: ProxyResponse, plan: BodyPlan, own: Own) -> bytes:
    """Write the head of an answer; EdgeError `upstream_protocol` for one that cannot be sent."""
    raw = response.unread_fields
    block = None if raw is None else _passed_on(raw, response.status, plan, own)
    if block is None:
        return _of_mapping(response, plan, own)
    line = _START_LINES[response.status]
    return line + block + b"\r\n\r\n"


def _passed_on(raw: RawFields, status: int, plan: BodyPlan, own: Own) -> bytes | None:
    """Put the fields together as they came; None where they have to be gone through one by one."""
    names = names_of(raw)
    if not names.is_plain or (own.request_id and b"x-request-id" in names.kept):
        return None
    if names.connection_at is not None and raw[names.connection_at][1] not in _PLAIN_OPTIONS:
        return None
    framing, length_at = plan.framing, names.length_at
    if length_at is not None and (
        status == 204 if framing is Framing.NONE else raw[length_at][1] != b"%d" % plan.length_bytes
    ):
        return None
    lines = list(map(_LINE, raw if names.keeps is None else compress(raw, names.keeps)))
    if own.request_id:
        lines.append(b"X-Request-ID: " + own.request_id.encode())
    for name, value in own.fields:
        if name.lower().encode() in names.kept:
            return None  # ours goes in its place
        lines.append(f"{name}: {value}".encode())
    if framing is Framing.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif length_at is None and framing is Framing.SIZED:
        lines.append(b"Content-Length: %d" % plan.length_bytes)
    if b"date" not in names.kept:
        lines.append(b"Date: " + rfc822_formatted_time().encode())
    if own.option is not None:
        lines.append(b"Connection: " + own.option.encode())
    return b"\r\n".join(lines)


class _StartLines(dict[int, bytes]):
    def __missing__(self, status: int) -> bytes:
        return _start_line(status).encode() + b"\r\n"


def _start_line(status: int) -> str:
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"


_START_LINES = _StartLines({status: _start_line(status).encode() + b"\r\n" for status in _PHRASES})


def _of_mapping(response: ProxyResponse, plan: BodyPlan, own: Own) -> bytes:
    status, headers, framing = response.status, response.headers, plan.framing
    if own.request_id:
        headers[REQUEST_ID] = own.request_id
    if own.fields:
        headers.update(own.fields)
    if framing is Framing.SIZED:
        headers["Content-Length"] = str(plan.length_bytes)
    elif framing is not Framing.NONE or status == 204:  # RFC 9110 section 8.6: no length with a 204
        headers.popall("Content-Length", None)
    if framing is Framing.CHUNKED:
        headers["Transfer-Encoding"] = "chunked"
    if "Date" not in headers:
        headers["Date"] = rfc822_formatted_time()
    if own.option is not None:
        headers["Connection"] = own.option
    try:
        return serialize_head(_start_line(status), headers)
    except ValueError as error:
        raise EdgeError("upstream_protocol", detail="control character in an answer's head") from error
