"""Raw requests and what comes back for them: bytes out on a socket, answers taken apart, nothing made nicer.

data = await talk_to(edge.port, get(b"X: a\\x00b"))      # returns when the edge has closed the connection
(answer,) = answers_in(data)
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

HOST = b"Host: shop.test"
LAST = b"GET /last HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
"""A good request that shows whether a connection still took one."""

END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)(?=\r\n)")
_CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9a-f]+)\r\n")


def request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """Write a request from its lines, none of them checked."""
    return b"".join(each + b"\r\n" for each in (line, *fields)) + b"\r\n" + body


def get(*fields: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    """Write a GET to the host that the tests' tenant has, with more fields."""
    return request(b"GET " + target + b" " + version, HOST, *fields)


def post(*fields: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    """Write a POST to the host that the tests' tenant has, with more fields and no framing but theirs."""
    return request(b"POST / " + version, HOST, *fields, body=body)


class UnreadableError(Exception):
    """Bytes that are no request, or could be two different ones."""


@dataclass(frozen=True)
class Framed:
    """A message taken off the front of a stream of bytes: as it came, and its body without the framing."""

    raw: bytes
    body: bytes

    @property
    def head(self) -> bytes:
        return self.raw[: self.raw.index(END_OF_HEAD) + len(END_OF_HEAD)]


def take_message(data: bytes, *, has_body: bool = True) -> Framed | None:
    """Take one message off the front; None while its end is not here, UnreadableError for a framing in doubt."""
    end = data.find(END_OF_HEAD)
    if end < 0:
        return None
    head, at = data[: end + 2], end + len(END_OF_HEAD)
    lengths, chunks = _LENGTH.findall(head), head.count(_CHUNKED)
    framings = len(re.findall(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", head, re.IGNORECASE))
    if framings > 1 or framings != len(lengths) + chunks:
        raise UnreadableError(data[:at])
    if not has_body or not framings:
        return Framed(data[:at], b"")
    if chunks:
        return _take_chunks(data, at)
    size = int(lengths[0])
    return Framed(data[: at + size], data[at : at + size]) if len(data) >= at + size else None


def _take_chunks(data: bytes, at: int) -> Framed | None:
    body = b""
    while True:
        line = _CHUNK_SIZE.match(data, at)
        if line is None:
            if b"\r\n" in data[at:]:
                raise UnreadableError(data)
            return None
        size = int(line[1], 16)
        end = line.end() + size + 2
        if len(data) < end:
            return None
        if data[end - 2 : end] != b"\r\n":
            raise UnreadableError(data)
        if size == 0:
            return Framed(data[:end], body)
        body += data[line.end() : line.end() + size]
        at = end


@dataclass(frozen=True)
class Said:
    """An answer that a client got: its status, its body, and all of it as it came."""

    status: int
    body: bytes
    head: bytes

    @property
    def error(self) -> str | None:
        """The code, where it is the edge's own answer."""
        is_ours = b"\r\nContent-Type: application/json\r\n" in self.head and self.body.startswith(b'{"error": ')
        return str(json.loads(self.body)["error"]) if is_ours else None

    @property
    def is_last(self) -> bool:
        """Whether it says that the connection ends with it."""
        return b"\r\nConnection: close\r\n" in self.head


def answers_in(data: bytes, methods: Iterable[str] = ()) -> list[Said]:
    """Take a stream of answers apart; UnreadableError when it does not end with the end of an answer.

    `methods` are those of the requests, as far as they are not all GET. Interim answers count as answers.
    """
    answers = []
    asked = iter(methods)
    while data:
        method = next(asked, "GET")
        status = int(data.split(b" ", 2)[1])
        framed = take_message(data, has_body=method != "HEAD" and status >= 200 and status not in (204, 304))
        if framed is None:
            raise UnreadableError(data)
        answers.append(Said(status, framed.body, framed.head))
        data = data[len(framed.raw) :]
    return answers


async def talk_to(port: int, *pieces: bytes) -> bytes:
    """Send pieces, one packet each, and read until the edge closes; what it said is complete if this returns."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
