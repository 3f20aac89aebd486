"""The head of the answer to a client: framed anew, with what the edge says of its own.

A target's fields that nobody has looked at go out as the bytes they came in as, checked by then, without those that
concern its own connection; from the moment that a middleware asks for them, the mapping it was given counts.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from itertools import compress

from aiohttp.helpers import rfc822_formatted_time

from edge.errors import EdgeError, Fields
from edge.framing import BodyPlan, Framing, serialize_head
from edge.headers import PLAIN_OPTIONS, RawFields
from edge.message import ProxyResponse
from edge.names import FieldNames

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_PLAIN_OPTIONS = frozenset(option.encode() for option in PLAIN_OPTIONS)
_LINE = b": ".join


def answer_head(response: ProxyResponse, plan: BodyPlan, own: Fields) -> bytes:
    """Write the head of an answer, with the edge's `own` fields; EdgeError `upstream_protocol` if it cannot be sent."""
    unread = response.unread_fields
    block = None if unread is None else _passed_on(*unread, response.status, plan, own)
    if block is None:
        return _of_mapping(response, plan, own)
    return b"%b\r\n%b\r\n\r\n" % (_start_line(response.status).encode(), block)


def _passed_on(raw: RawFields, names: FieldNames, status: int, plan: BodyPlan, own: Fields) -> bytes | None:
    """Put the fields together as they came; None where they have to be gone through one by one."""
    if not names.is_plain:
        return None
    if names.connection_at is not None and raw[names.connection_at][1] not in _PLAIN_OPTIONS:
        return None
    framing, length_at = plan.framing, names.length_at
    if length_at is not None and not _keeps_length(raw[length_at][1], status, plan):
        return None
    lines = list(map(_LINE, raw if names.keeps is None else compress(raw, names.keeps)))
    if framing is Framing.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif length_at is None and framing is Framing.SIZED:
        lines.append(b"Content-Length: %d" % plan.length_bytes)
    if b"date" not in names.kept:
        lines.append(b"Date: " + rfc822_formatted_time().encode())
    if own:
        if not names.kept.isdisjoint(map(_lower, own)):
            return None  # ours goes in the place of the target's
        text = "\r\n".join(map(": ".join, own))
        if len(text.splitlines()) != len(own) or not text.replace("\r\n", "").isprintable():
            return None  # what cannot be sent is told of there
        lines.append(text.encode())
    return b"\r\n".join(lines)


def _keeps_length(value: bytes, status: int, plan: BodyPlan) -> bool:
    """Say whether the target's length can stay: the body's, or with none (HEAD, 304) whatever it says but in a 204."""
    if plan.framing is Framing.NONE:
        return status != 204
    return plan.framing is Framing.SIZED and value == b"%d" % plan.length_bytes


@lru_cache(maxsize=256)
def _lower_name(name: str) -> bytes:
    return name.lower().encode()


def _lower(field: tuple[str, str]) -> bytes:
    return _lower_name(field[0])


@lru_cache(maxsize=1024)
def _start_line(status: int) -> str:
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"


def _of_mapping(response: ProxyResponse, plan: BodyPlan, own: Fields) -> bytes:
    status, headers, framing = response.status, response.headers, plan.framing
    if framing is Framing.SIZED:
        headers["Content-Length"] = str(plan.length_bytes)
    elif framing is not Framing.NONE or status == 204:  # RFC 9110 section 8.6: no length with a 204
        headers.popall("Content-Length", None)
    if framing is Framing.CHUNKED:
        headers["Transfer-Encoding"] = "chunked"
    if "Date" not in headers:
        headers["Date"] = rfc822_formatted_time()
    headers.update(own)
    try:
        return serialize_head(_start_line(status), headers)
    except ValueError as error:
        raise EdgeError("upstream_protocol", detail="control character in an answer's head") from error
