"""Well-formed messages, what the mutations begin with. `{{TAGn}}` becomes a word that no other connection has."""

from __future__ import annotations

_HOST = b"Host: shop.test\r\n"
SMUGGLED = b"GET /t/{{TAG9}} HTTP/1.1\r\nHost: shop.test\r\nX-Tag: {{TAG9}}\r\n\r\n"


def get(n: int, more: bytes = b"", *, line: bytes = b"GET /t/{{TAG%d}}?q=%%20 HTTP/1.1") -> bytes:
    """Give a request without a body; `more` are field lines."""
    return line % n + b"\r\n" + _HOST + b"X-Tag: {{TAG%d}}\r\n" % n + more + b"\r\n"


def sized(n: int, body: bytes = b"name={{TAG8}}&b=2", more: bytes = b"") -> bytes:
    """Give a POST with a length."""
    return get(n, b"Content-Length: %d\r\n" % len(body) + more, line=b"POST /t/{{TAG%d}} HTTP/1.1") + body


def chunked(n: int, *pieces: bytes, more: bytes = b"", trailers: bytes = b"") -> bytes:
    """Give a POST in chunks."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = get(n, b"Transfer-Encoding: chunked\r\n" + more, line=b"POST /t/{{TAG%d}} HTTP/1.1")
    return head + framed + b"0\r\n" + trailers + b"\r\n"


_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_EXPECT = b"Expect: 100-continue\r\n"

REQUESTS: tuple[bytes, ...] = (
    get(0),
    get(0) + get(1),
    get(0, line=b"HEAD /t/{{TAG%d}} HTTP/1.1") + get(1),
    get(0, line=b"OPTIONS http://shop.test/t/{{TAG%d}}?a HTTP/1.1") + get(1),
    get(0, b"Connection: close\r\n"),
    get(0, line=b"GET /t/{{TAG%d}} HTTP/1.0"),
    get(0, b"Connection: keep-alive\r\n", line=b"GET /t/{{TAG%d}} HTTP/1.0") + get(1),
    get(0, b"Cookie: a=b; c=d\r\nAccept: */*\r\nX-Forwarded-For: 6.6.6.6\r\n") + sized(1) + get(2),
    sized(0),
    sized(0, b"") + get(1),
    sized(0, SMUGGLED) + get(1),
    sized(0, more=_EXPECT) + get(1),
    chunked(0, b"{{TAG8}}", SMUGGLED) + get(1),
    chunked(0, b"a" * 300, b"b") + sized(1) + chunked(2),
    chunked(0, b"abc", more=_EXPECT, trailers=b"X-Sum: 1\r\nContent-Length: 5\r\n") + get(1),
    get(0, _UPGRADE, line=b"GET /t/{{TAG%d}}?switch HTTP/1.1") + b"anything \x00\xff in another protocol",
    get(0, _UPGRADE) + get(1),
    get(0, b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n") + get(1),
    get(0, line=b"POST /t/{{TAG%d}}?early HTTP/1.1", more=b"Content-Length: 64\r\n") + SMUGGLED[:64] + get(1),
    b"".join(get(n) for n in range(8)),
)

_OK = b"HTTP/1.1 200 OK\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"

ANSWERS: tuple[bytes, ...] = (
    _OK + b"Content-Length: 8\r\n\r\n{{TAG0}}",
    _OK + b"Content-Length: 8\r\nServer: x\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n{{TAG0}}" + POISON,
    _OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\na;x=1\r\n{{TAG0}}--\r\n0\r\n\r\n",
    _OK + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n8\r\n{{TAG0}}\r\n0\r\nX-Sum: 1\r\n\r\n" + POISON,
    _OK + b"Connection: close\r\n\r\n{{TAG0}} until the end",
    b"HTTP/1.0 200 OK\r\n\r\n{{TAG0}} until the end",
    b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 90\r\n\r\n" + POISON,
    b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: 8\r\n\r\n{{TAG0}}",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _OK + b"Content-Length: 2\r\n\r\nok" + POISON,
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + POISON,
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    _OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
)
