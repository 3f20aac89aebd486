"""Heads that the parser lets pass, and what the edge makes of them."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.http_writer import HttpVersion
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.head import MAX_FIELD_BYTES, Target, parse_fault, read_target
from store.model.fields import METHODS
from store.settings import SETTINGS


class Nowhere:
    """A client's connection that nothing is written to."""

    peer: str | None = "192.0.2.1"
    scheme = "http"
    writing_paused = False

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is answered here")

    async def drain(self) -> None:
        raise AssertionError("nothing is answered here")

    def abort(self) -> None:
        raise AssertionError("nothing is answered here")


def exchange(target: str, *fields: tuple[str, str], method: str = "GET", version: tuple[int, int] = (1, 1)) -> Exchange:
    headers = CIMultiDict(fields)
    message = RawRequestMessage(
        method=method,
        path=target,
        version=HttpVersion(*version),
        headers=CIMultiDictProxy(headers),
        raw_headers=(),
        should_close=False,
        compression=None,
        upgrade="Upgrade" in headers,
        chunked="chunked" in headers.get("Transfer-Encoding", ""),
        url=URL("/"),
    )
    return Exchange(Nowhere(), message, EMPTY_PAYLOAD)


HOST = ("Host", "shop.acme.com")
UPGRADE = ("Connection", "Upgrade"), ("Upgrade", "websocket")


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("/", "shop.acme.com", Target("shop.acme.com", "/", "")),
        ("/a?b=c&b=d", "SHOP.acme.com:8080", Target("shop.acme.com", "/a", "b=c&b=d")),
        ("/a/../b//c/./d", "shop.acme.com.", Target("shop.acme.com", "/b/c/d", "")),
        ("/%7euser/%c3%a9", "shop.acme.com", Target("shop.acme.com", "/~user/%C3%A9", "")),
        ("http://shop.acme.com/a?b", "shop.acme.com", Target("shop.acme.com", "/a", "b")),
        ("/", "[::1]:8080", Target("[::1]", "/", "")),
        ("/", "shop.acme.com:65535", Target("shop.acme.com", "/", "")),
    ],
)
def test_a_target_is_read_in_its_one_spelling(target: str, host: str, expected: Target) -> None:
    assert read_target(exchange(target, ("Host", host))) == expected


@pytest.mark.parametrize(
    ("refused", "status", "code"),
    [
        (exchange("/", ("Host", "")), 400, "bad_host"),
        (exchange("/", ("Host", "user@shop")), 400, "bad_host"),
        (exchange("/", ("Host", "a b/..")), 400, "bad_host"),
        (exchange("/", ("Host", "a,b")), 400, "bad_host"),
        (exchange("/", ("Host", "*.acme.app")), 400, "bad_host"),
        (exchange("/", ("Host", "shop:port")), 400, "bad_host"),
        (exchange("/", ("Host", "shop:65536")), 400, "bad_host"),
        (exchange("/", ("Host", "[::1]:99999")), 400, "bad_host"),
        (exchange("/", ("Host", "b\u00fccher.test")), 400, "bad_host"),
        (exchange("/", ("Host", "shop\u3002acme\u3002com")), 400, "bad_host"),
        (exchange("/", HOST, ("Expect", "200-ok")), 417, "expectation_failed"),
        (exchange("/", HOST, ("Expect", "100-continue"), ("Expect", "100-continue")), 417, "expectation_failed"),
        (exchange("http://evil.test/", HOST), 400, "bad_host"),
        (exchange("ftp://shop.acme.com/", HOST), 400, "bad_request"),
        (exchange("*", HOST, method="OPTIONS"), 400, "bad_request"),
        (exchange("/../a", HOST), 400, "bad_path"),
        (exchange("/a%2fb", HOST), 400, "bad_path"),
        (exchange("/a\\b", HOST), 400, "bad_path"),
        (exchange("/%00", HOST), 400, "bad_path"),
        (exchange("/a?b#c", HOST), 400, "bad_path"),
        (exchange("http://shop.acme.com/a?b#c", HOST), 400, "bad_path"),
        (exchange("/", HOST, method="TRACE"), 501, "method_not_implemented"),
        (exchange("/", HOST, method="CONNECT"), 501, "method_not_implemented"),
        (exchange("/", HOST, version=(2, 0)), 505, "version_not_supported"),
        (exchange("/", HOST, version=(0, 9)), 505, "version_not_supported"),
        (exchange("/", HOST, ("Transfer-Encoding", "gzip, chunked")), 400, "bad_request"),
        (exchange("/", HOST, *UPGRADE, ("Content-Length", "3")), 400, "bad_request"),
        (exchange("/", HOST, *UPGRADE, ("Transfer-Encoding", "chunked")), 400, "bad_request"),
        (exchange("/", HOST, ("Content-Length", str(2**63))), 400, "bad_request"),
        (exchange("/", HOST, ("Content-Length", str(2**64 - 1))), 400, "bad_request"),
    ],
    ids=lambda value: value.raw_path[:30] + " " + value.host if isinstance(value, Exchange) else None,
)
def test_a_head_that_two_servers_could_read_differently_is_refused(refused: Exchange, status: int, code: str) -> None:
    with pytest.raises(EdgeError) as caught:
        read_target(refused)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    "accepted",
    [
        exchange("/a", HOST, ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("Content-Length", "3")),
        exchange("/a", HOST, ("Upgrade", "websocket"), ("Content-Length", "3")),
        exchange("/a", HOST, *UPGRADE, ("Content-Length", "0")),
        exchange("/a", HOST, ("Content-Length", str(2**63 - 1))),
    ],
    ids=["an offer of HTTP/2", "an upgrade that the connection does not name", "no body", "a length that can be held"],
)
def test_a_body_is_refused_for_an_upgrade_only_where_there_are_both(accepted: Exchange) -> None:
    assert read_target(accepted).path == "/a"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"GET /%b HTTP/1.1\r\n\r\n", "uri_too_long"),
        (b"GET http://shop.acme.com/%b HTTP/1.1\r\n\r\n", "uri_too_long"),
        (b"GET / HTTP/1.1\r\nReferer: /%b\r\n\r\n", "headers_too_large"),
        (b"GET / HTTP/1.1\r\nReferer: http://shop.acme.com/%b\r\n\r\n", "headers_too_large"),
        (b"GET / HTTP/1.1\r\n%b: a\r\n\r\n", "headers_too_large"),
    ],
)
async def test_what_is_too_long_is_named_whatever_it_begins_with(line: bytes, code: str) -> None:
    loop = asyncio.get_running_loop()
    parser = HttpRequestParser(BaseProtocol(loop), loop, 65_536, max_line_size=8192, max_field_size=MAX_FIELD_BYTES)
    with pytest.raises(LineTooLong) as caught:
        parser.feed_data(line % (b"a" * 9000))
    assert parse_fault(caught.value).code == code


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_every_method_that_a_document_may_name_is_one_that_the_parser_takes(method: str) -> None:
    loop = asyncio.get_running_loop()
    parser = HttpRequestParser(BaseProtocol(loop), loop, 65_536)
    messages, _, _ = parser.feed_data(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert messages[0][0].method == method


def test_the_setting_of_the_largest_head_tells_how_long_a_field_may_be() -> None:
    told = next(setting.help for setting in SETTINGS if setting.flag == "--max-head")
    assert f"a field above {MAX_FIELD_BYTES:,} bytes" in told
