"""The toolkit's way to a target, as the target sees it on the wire."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponseError, ClientSession, ClientTimeout
from multidict import CIMultiDict
from yarl import URL

from edge.context import ProxyContext, ProxyRequest, ProxyResponse
from edge.errors import EdgeError
from edge.message import Incoming
from edge.session import SessionTransport
from tests.fakes.origins import HANG, READ_HEAD, RESET, EvilOrigin, Read, Send, refusing_port, running_evil_origin
from tests.fakes.requests import incoming
from tests.fakes.waiting import until

OK = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@asynccontextmanager
async def sending(
    origin: EvilOrigin | str, received: Incoming | None = None, options: dict[str, Any] | None = None, **session: Any
) -> AsyncIterator[tuple[ProxyContext, ProxyResponse]]:
    """Send one request and give its context and answer."""
    url = URL(origin if isinstance(origin, str) else origin.url)
    received = received or incoming()
    ctx = ProxyContext(url=url, session_factory=lambda: ClientSession(**session))
    path, _, query = received.raw_path.partition("?")
    copy = ctx.copy_for(ProxyRequest(received, path, query, CIMultiDict(received.headers), url))
    try:
        response = await SessionTransport(options).send(copy)
        try:
            yield copy, response
        finally:
            response.abort()
    finally:
        await ctx.close_session()


async def seen(origin: EvilOrigin) -> list[str]:
    """Give the lines that the target has read."""
    connection = await origin.connected(1)
    return bytes(connection.received).decode("latin-1").split("\r\n")


# -- Requests ------------------------------------------------------------------------------------------------------


async def test_nothing_is_added_to_a_request_and_its_path_stays_as_it_is() -> None:
    async with running_evil_origin(READ_HEAD, OK) as origin:
        request = incoming(raw_path="/a%2Fb%20c;d?x=%20+&x=2&%zz", headers=[("Host", "shop.test"), ("X-A", "1")])
        async with sending(origin, request) as (_, response):
            assert await response.load_content() == b"ok"
        assert await seen(origin) == ["GET /a%2Fb%20c;d?x=%20+&x=2&%zz HTTP/1.1", "Host: shop.test", "X-A: 1", "", ""]


async def test_a_body_of_announced_length_keeps_it() -> None:
    request = incoming("POST", body=[b"ab", b"cd"])
    object.__setattr__(request, "content_length", 4)
    async with running_evil_origin(READ_HEAD, Read(4), OK) as origin, sending(origin, request) as (_, response):
        assert response.status == 200
        lines = await seen(origin)
    assert "Content-Length: 4" in lines
    assert lines[-1] == "abcd"


async def test_a_body_of_unknown_length_is_chunked() -> None:
    async with (
        running_evil_origin(READ_HEAD, Read(len(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")), OK) as origin,
        sending(origin, incoming("POST", body=[b"ab", b"c"])) as (_, response),
    ):
        assert response.status == 200
        lines = await seen(origin)
    assert "Transfer-Encoding: chunked" in lines
    assert lines[lines.index("") + 1 :] == ["2", "ab", "1", "c", "0", "", ""]


async def test_content_set_by_a_middleware_replaces_the_body_and_its_length() -> None:
    async with running_evil_origin(READ_HEAD, Read(3), OK) as origin:
        ctx = ProxyContext(url=origin.url)
        headers = CIMultiDict({"Host": "x", "Content-Length": "99"})
        copy = ctx.copy_for(ProxyRequest(incoming("PUT", body=[b"unread"]), "/", "", headers, ctx.url))
        copy.request.content = b"new"
        response = await SessionTransport().send(copy)
        assert await response.load_content() == b"ok"
        await ctx.close_session()
        assert (await seen(origin))[1:] == ["Host: x", "Content-Length: 3", "", "new"]


# -- Answers -------------------------------------------------------------------------------------------------------


async def test_an_encoded_answer_passes_through_untouched() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    )
    async with running_evil_origin(READ_HEAD, Send(head + b"\x1f\x8bnope")) as origin, sending(origin) as (_, response):
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert response.body is not None
        assert response.body.known_length == 6
        assert await response.load_content() == b"\x1f\x8bnope"


async def test_an_answer_that_the_session_decodes_no_longer_says_it_is_encoded() -> None:
    body = zlib.compress(b"plain")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with (
        running_evil_origin(READ_HEAD, Send(head + body)) as origin,
        sending(origin, options={"auto_decompress": True}) as (_, response),
    ):
        assert not {"Content-Encoding", "Content-Length"} & set(response.headers)
        assert await response.load_content() == b"plain"


async def test_the_reason_is_the_statuss_own() -> None:
    async with (
        running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 404 <script>\r\nContent-Length: 0\r\n\r\n")) as origin,
        sending(origin) as (_, response),
    ):
        assert (response.status, response.reason) == (404, "Not Found")
        assert await response.load_content() == b""


async def test_a_redirect_is_the_clients_unless_asked_for() -> None:
    redirect = Send(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    for options, status in (({}, 302), ({"max_redirects": 3}, 200), ({"allow_redirects": True}, 200)):
        async with (
            running_evil_origin(READ_HEAD, redirect, then=[READ_HEAD, OK]) as origin,
            sending(origin, options=options) as (_, response),
        ):
            assert response.status == status


async def test_a_cookie_set_for_one_client_is_not_sent_for_the_next() -> None:
    answer = Send(b"HTTP/1.1 200 OK\r\nSet-Cookie: secret=1\r\nContent-Length: 0\r\n\r\n")
    async with running_evil_origin(READ_HEAD, answer, READ_HEAD, answer) as origin:
        # The session that a factory of the document's own sample makes: with aiohttp's default jar.
        ctx = ProxyContext(url=URL(origin.url).with_host("localhost"), session_factory=ClientSession)
        for _ in range(2):
            copy = ctx.copy_for(ProxyRequest(incoming(), "/", "", CIMultiDict(Host="x"), ctx.url))
            assert await (await SessionTransport().send(copy)).load_content() == b""
        await ctx.close_session()
        assert "Cookie" not in "".join(await seen(origin))


async def test_a_whole_body_is_given_once_it_is_here() -> None:
    async with running_evil_origin(READ_HEAD, OK) as origin, sending(origin) as (_, response):
        body = response.body
        assert body is not None
        await until(response.in_resp.content.is_eof)
        assert body.whole() == b"ok"
        assert await body.read() == b""
        await body.release()
        body.abort()


# -- What can go wrong ---------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_safe_to_try_again() -> None:
    with refusing_port() as port, pytest.raises(EdgeError) as raised:
        async with sending(f"http://127.0.0.1:{port}"):
            pass
    assert (raised.value.code, raised.value.retry_safe) == ("upstream_connect", True)


async def test_a_target_that_goes_before_its_answer_has_reset() -> None:
    async with running_evil_origin(READ_HEAD, RESET) as origin:
        with pytest.raises(EdgeError) as raised:
            async with sending(origin, incoming("POST")):
                pass
    assert (raised.value.code, raised.value.retry_safe) == ("upstream_reset", False)


@pytest.mark.parametrize(
    "timeout", [ClientTimeout(total=0.1), ClientTimeout(sock_read=0.1)], ids=["in all", "between reads"]
)
async def test_a_target_that_says_nothing_times_out(timeout: ClientTimeout) -> None:
    async with running_evil_origin(READ_HEAD, HANG) as origin:
        with pytest.raises(EdgeError, match="upstream_timeout"):
            async with sending(origin, timeout=timeout):
                pass


async def test_an_unreadable_answer_is_a_client_response_error_as_the_document_has_it() -> None:
    async with running_evil_origin(READ_HEAD, Send(b"SSH-2.0-OpenSSH\r\n\r\n")) as origin:
        with pytest.raises(ClientResponseError):
            async with sending(origin):
                pass


@pytest.mark.parametrize(
    ("answer", "end", "code"),
    [
        (b"Content-Length: 10\r\n\r\nhalf", RESET, "upstream_reset"),
        (b"Content-Length: 10\r\n\r\nhalf", Send(b""), "upstream_reset"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Send(b""), "upstream_reset"),
        (b"Content-Length: 10\r\n\r\nhalf", HANG, "upstream_timeout"),
    ],
    ids=["reset", "short", "chunks without an end", "silence"],
)
async def test_a_body_that_breaks_off_is_told_from_one_that_ends(answer: bytes, end: Any, code: str) -> None:
    async with (
        running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 200 OK\r\n" + answer), end) as origin,
        sending(origin, timeout=ClientTimeout(sock_read=0.2)) as (_, response),
    ):
        with pytest.raises(EdgeError, match=code):
            await response.load_content()


@pytest.mark.parametrize(
    ("broken", "expected"),
    [(ConnectionResetError("gone"), ConnectionResetError), (ValueError("bad chunk"), EdgeError)],
)
async def test_a_body_that_does_not_arrive_is_the_clients_fault(broken: Exception, expected: type[Exception]) -> None:
    async with running_evil_origin(READ_HEAD, HANG) as origin:
        with pytest.raises(expected) as raised:
            async with sending(origin, incoming("POST", body=[b"half", broken])):
                pass
        assert not isinstance(raised.value, EdgeError) or raised.value.code == "bad_request"
        await (await origin.connected(1)).over.wait()


async def test_a_cancelled_request_closes_its_connection() -> None:
    async with running_evil_origin(READ_HEAD, HANG) as origin:

        async def send() -> None:
            async with sending(origin):
                pass

        task = asyncio.create_task(send())
        connection = await origin.connected(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connection.over.wait()
