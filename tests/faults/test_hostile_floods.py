"""Too much of everything: heads without end, bodies in crumbs, requests ahead of their answers, protocols unspoken."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import HOST, LAST, Said, answers_in, get, post, request, talk_to
from tests.fakes.recorder import Recorder
from tests.fakes.verdicts import Forwarded, Refused, Verdict, check, to_acme

KIB = 1024
CHUNKED = b"Transfer-Encoding: chunked"
UPGRADE = b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
OFFER = b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"


async def pour(port: int, begin: bytes, piece: bytes, most_bytes: int) -> Said:
    """Send pieces without end, until there is an answer and its connection is over; TimeoutError if there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answering = asyncio.ensure_future(reader.read())
    writer.write(begin)
    try:
        for _ in range(most_bytes // len(piece)):
            if answering.done():
                break
            writer.write(piece)
            await writer.drain()
        (answer,) = answers_in(await asyncio.wait_for(answering, 5))
        return answer
    finally:
        writer.close()


ENDLESS = {
    "a target": (b"GET /", b"a" * KIB, 414, "uri_too_long"),
    "a field": (b"GET / HTTP/1.1\r\nX: ", b"a" * KIB, 431, "headers_too_large"),
    "a name": (b"GET / HTTP/1.1\r\n", b"a" * KIB, 431, "headers_too_large"),
    "many fields": (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 32, 431, "headers_too_large"),
    "empty lines": (b"", b"\r\n" * KIB, 431, "headers_too_large"),
    "fields of 1 KiB": (b"GET / HTTP/1.1\r\n", b"X: " + b"a" * KIB + b"\r\n", 431, "headers_too_large"),
    "trailers": (post(CHUNKED, body=b"0\r\n") + b"X: a\r\n" * 5000, b"X: a\r\n" * 32, 431, "headers_too_large"),
}


@pytest.mark.parametrize(("begin", "piece", "status", "code"), ENDLESS.values(), ids=ENDLESS)
async def test_what_has_no_end_is_refused_and_cut(
    edge: RunningEdge, recorder: Recorder, begin: bytes, piece: bytes, status: int, code: str
) -> None:
    answer = await pour(edge.port, begin, piece, 4 * KIB * KIB)
    assert (answer.status, answer.error, answer.is_last) == (status, code, True)
    assert not recorder.connections


@pytest.mark.parametrize("pieces", [1, 8, 1000], ids=lambda count: f"in {count}")
async def test_a_head_of_33_kib_is_refused_however_it_arrives(
    edge: RunningEdge, recorder: Recorder, pieces: int
) -> None:
    head = get(*(b"X-%d: %b" % (at, b"a" * 1000) for at in range(33)))
    step = -(-len(head) // pieces)
    (answer,) = answers_in(await talk_to(edge.port, *(head[at : at + step] for at in range(0, len(head), step))))
    assert (answer.status, answer.error, answer.is_last) == (431, "headers_too_large", True)
    assert not recorder.connections


GOOD = post(b"X: a", b"Content-Length: 2", body=b"xy")
CRUMBS: dict[str, tuple[bytes, Verdict]] = {
    "a good request": (GOOD, Forwarded(GOOD)),
    "a bare LF": (b"GET / HTTP/1.1\r\nHost: shop.test\nX: a\r\n\r\n", Refused(400, "bad_request")),
    "a bare CR": (get(b"X: a\rb"), Refused(400, "bad_request")),
    "a fold": (get(b"X: a\r\n b"), Refused(400, "bad_request")),
    "NUL": (get(b"X: a\0b"), Refused(400, "bad_request")),
    "a space before the colon": (get(b"X : a"), Refused(400, "bad_request")),
    "a length and chunks": (post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"), Refused(400, "bad_request")),
    "two lengths": (post(b"Content-Length: 1", b"Content-Length: 1", body=b"x"), Refused(400, "bad_request")),
    "two hosts": (get(HOST), Refused(400, "bad_request")),
    "an encoded slash": (get(target=b"/a%2fb"), Refused(400, "bad_path", goes_on=True)),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "verdict"), CRUMBS.values(), ids=CRUMBS)
async def test_a_head_in_single_bytes_is_judged_as_it_is_in_one_packet(
    edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict
) -> None:
    await check(edge, recorder, sent, verdict, in_single_bytes=True)


async def test_a_body_in_chunks_of_a_byte_arrives_whole(edge: RunningEdge, recorder: Recorder) -> None:
    body = bytes(range(256)) * 50
    sent = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    (answer,) = answers_in(await talk_to(edge.port, post(b"Connection: close", CHUNKED), sent, b"0\r\n\r\n"))
    assert (answer.status, answer.body) == (200, b"/ " + body)
    assert len(recorder.requests) == 1
    assert len(recorder.requests[0]) < 2 * len(body)


async def test_ten_thousand_requests_ahead_are_answered_in_order_and_read_when_there_is_room(
    edge: RunningEdge, recorder: Recorder
) -> None:
    count = 10_000
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    reading = asyncio.ensure_future(reader.read())
    writer.write(b"".join(get(target=b"/%d" % at) for at in range(count)) + LAST)
    answers = answers_in(await asyncio.wait_for(reading, 30))
    writer.close()
    assert [answer.body for answer in answers] == [*(b"/%d " % at for at in range(count)), b"/last "]
    assert edge.worker.server.census.met["pipeline"] > 0
    assert len(recorder.connections) == 1


SWITCHES: dict[str, tuple[bytes, Verdict]] = {
    "an upgrade with a length": (post(*UPGRADE, b"Content-Length: 1", body=b"x"), Refused(400, "bad_request")),
    "an upgrade with chunks": (post(*UPGRADE, CHUNKED, body=b"0\r\n\r\n"), Refused(400, "bad_request")),
    "an upgrade among others with a length": (
        post(b"Connection: Upgrade", b"Upgrade: h2c, websocket", b"Content-Length: 1", body=b"x"),
        Refused(400, "bad_request"),
    ),
    "an offer of HTTP/2": (get(*OFFER), Forwarded(get(), goes_on=False)),
    "an offer of HTTP/2 with a length": (
        post(*OFFER, b"Content-Length: 3", body=b"x\r\n"),
        Forwarded(post(b"Content-Length: 3", body=b"x\r\n"), goes_on=False),
    ),
    "an offer of HTTP/2 with chunks": (
        post(*OFFER, CHUNKED, body=b"1\r\nx\r\n0\r\n\r\n"),
        Forwarded(post(CHUNKED, body=b"1\r\nx\r\n0\r\n\r\n"), goes_on=False),
    ),
    "an offer of TLS": (get(b"Connection: Upgrade", b"Upgrade: TLS/1.0"), Forwarded(get(), goes_on=False)),
    **{
        f"an offer of {offer!r}": (get(b"Connection: Upgrade", b"Upgrade: " + offer), Forwarded(get(), goes_on=False))
        for offer in (b"h2c;", b"h2c/", b'"h2c"', b"h2c x", b"HTTP /2", b"h2c/1", b"h3", b"websoc\xe2\x84\xaaet")
    },
    "an upgrade of a POST": (post(*UPGRADE), Forwarded(post(UPGRADE[2]), goes_on=False)),
    **{
        f"an upgrade that Connection names {option!r}": (
            get(b"Connection: " + option, b"Upgrade: websocket"),
            Forwarded(get()),
        )
        for option in (b"\xc2\xa0upgrade", b"upgrade\xc2\xa0", b"\xe2\x80\xa8upgrade", b"x,\xc2\x85upgrade")
    },
    "an upgrade that Connection does not name": (get(b"Upgrade: websocket"), Forwarded(get())),
    "an upgrade that the target does not take up": (
        get(*UPGRADE),
        Forwarded(get(UPGRADE[2], b"Connection: Upgrade", b"Upgrade: websocket"), goes_on=False),
    ),
}


@pytest.mark.parametrize(("sent", "verdict"), SWITCHES.values(), ids=SWITCHES)
async def test_a_switch_of_protocols(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


async def test_what_follows_an_upgrade_that_the_route_refuses_is_not_served(
    edge: RunningEdge, recorder: Recorder
) -> None:
    await edge.put(to_acme(recorder.url, websocket=False))
    await check(edge, recorder, get(*UPGRADE), Refused(403, "upgrade_not_allowed"))


async def test_http_10_cannot_upgrade(edge: RunningEdge, recorder: Recorder) -> None:
    (answer,) = answers_in(await talk_to(edge.port, request(b"GET / HTTP/1.0", HOST, *UPGRADE)))
    assert (answer.status, answer.is_last) == (200, True)
    assert recorder.forwarded == [get(UPGRADE[2])]
