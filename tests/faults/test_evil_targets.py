"""Targets that break, stall, lie and chatter: what their client gets, and that the next client gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio

from edge.reads import READ_BYTES
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import (
    CLOSE,
    HANG,
    READ_ALL,
    READ_HEAD,
    RESET,
    Drip,
    EvilOrigin,
    Read,
    Send,
    Step,
    Wait,
    refusing_port,
    running_evil_origin,
)
from tests.fakes.raw_talk import HOST, answers_in, get, post, request, talk_to
from tests.fakes.recorder import running_recorder
from tests.fakes.timing import steadily
from tests.fakes.verdicts import to_acme

CLOSING = b"Connection: close"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
GOOD = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"), HANG)
UPGRADE = b"Connection: Upgrade", b"Upgrade: websocket"
MIB = 1024 * 1024
RESET_502, PROTOCOL_502, TIMEOUT_504 = (502, "upstream_reset"), (502, "upstream_protocol"), (504, "upstream_timeout")


@pytest_asyncio.fixture
async def bare_edge(redis_url: str) -> Any:
    """A whole edge worker without a tenant."""
    async with running_edge(redis_url) as running:
        yield running


def impatient(*targets: str, retries: int = 0) -> dict[str, Any]:
    """The document of a tenant that waits less than half a second for its targets."""
    upstream = {
        "targets": list(targets),
        "response_timeout": "400ms",
        "idle_timeout": "400ms",
        "connect_timeout": "1s",
        "retry": {"attempts": retries},
    }
    return {**to_acme(targets[0]), "upstreams": {"app": upstream}}


def says(answer: bytes, *then: Step) -> tuple[Step, ...]:
    return (READ_HEAD, Send(answer), *(then or (HANG,)))


def ok(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b"")) + body


def switch(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 101 Switching Protocols", *lines, b"", b"evil"))


# What breaks before anything has gone to the client: a 502 or 504, and that connection is not used again.
BREAKS: dict[str, tuple[tuple[Step, ...], tuple[int, str]]] = {
    "a reset before the head": ((READ_HEAD, RESET), RESET_502),
    "an end before the head": ((READ_HEAD, CLOSE), RESET_502),
    "an end in the head": (says(b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE), RESET_502),
    "an end after 100": (says(b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE), RESET_502),
    "silence": ((READ_HEAD, HANG), TIMEOUT_504),
    "silence after 100": (says(b"HTTP/1.1 100 Continue\r\n\r\n"), TIMEOUT_504),
    "a head of a byte now and then": ((READ_HEAD, Drip(EVIL, 0.05)), TIMEOUT_504),
    "garbage": (says(b"\x00\x01\x02garbage\r\n\r\n"), PROTOCOL_502),
    "a TLS alert": (says(b"\x15\x03\x01\x00\x02\x02\x16"), PROTOCOL_502),
    "HTTP/0.9": (says(b"<html>hello</html>", CLOSE), PROTOCOL_502),
    "HTTP/2": (says(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), PROTOCOL_502),
    "a length and chunks": (
        says(ok(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"4\r\nevil\r\n0\r\n\r\n")),
        PROTOCOL_502,
    ),
    "two lengths": (says(ok(b"Content-Length: 4", b"Content-Length: 8", body=b"evil")), PROTOCOL_502),
    "a length with a plus": (says(ok(b"Content-Length: +4", body=b"evil")), PROTOCOL_502),
    "a length of all ones": (says(ok(b"Content-Length: 18446744073709551615", body=b"evil")), PROTOCOL_502),
    "a length with 5000 zeros": (says(ok(b"Content-Length: " + b"0" * 5000 + b"4", body=b"evil")), PROTOCOL_502),
    "an unknown coding": (says(ok(b"Transfer-Encoding: cow", body=b"evil")), PROTOCOL_502),
    "chunks with a tab behind their name": (  # the parser would take them for a body until the connection's end
        says(ok(b"Transfer-Encoding: chunked\t", body=b"4\r\nevil\r\n0\r\n\r\n"), CLOSE),
        PROTOCOL_502,
    ),
    "NUL in a field": (says(ok(b"X: a\0b", b"Content-Length: 4", body=b"evil")), PROTOCOL_502),
    "a control character in a field": (says(ok(b"X: a\x01b", b"Content-Length: 4", body=b"evil")), PROTOCOL_502),
    "a bare CR in a field": (says(ok(b"X: a\rSet-Cookie: b", b"Content-Length: 4", body=b"evil")), PROTOCOL_502),
    "a bare CR behind a name": (says(ok(b"X: \rSet-Cookie: b", b"Content-Length: 4", body=b"evil")), PROTOCOL_502),
    "a bare CR for a value": (says(ok(b"X:\r", b"Content-Length: 4", body=b"evil")), PROTOCOL_502),
    "a folded field": (says(ok(b"X: a", b" b", b"Content-Length: 4", body=b"evil")), PROTOCOL_502),
    "10,000 fields": (says(ok(*[b"X: a"] * 10_000)), PROTOCOL_502),
    "a field without an end": ((READ_HEAD, Drip(ok(b"X: " + b"a" * 8 * MIB), 0, 65_536), HANG), PROTOCOL_502),
    "fields without an end": ((READ_HEAD, Drip(ok(*[b"X: " + b"a" * 8000] * 1000), 0, 65_536), HANG), PROTOCOL_502),
    "a control character in an interim answer": (
        says(b"HTTP/1.1 103 Early Hints\r\nLink:\x01 </a>\r\n\r\n" + ok(b"Content-Length: 2", body=b"ok")),
        PROTOCOL_502,
    ),
    "interim answers without an end": (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000), PROTOCOL_502),
    "an unasked 101": (says(switch(b"Upgrade: x", b"Connection: Upgrade")), PROTOCOL_502),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), BREAKS.values(), ids=BREAKS)
async def test_a_target_that_fails_before_its_answer_is_an_error_and_its_connection_is_over(
    bare_edge: RunningEdge, script: Sequence[Step], expected: tuple[int, str]
) -> None:
    async with running_evil_origin(*script, then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        await failed_then_good(bare_edge, evil, get(), expected)


async def failed_then_good(
    edge: RunningEdge, evil: EvilOrigin, sent: bytes, expected: tuple[int, str] | None, body: bytes = b""
) -> None:
    """Ask on one client connection, then on another: the first gets `expected`, or `body`, the second its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(sent)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    (length,) = (line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    (first,) = answers_in(head + await reader.readexactly(int(length)))
    assert (first.status, first.error) == (expected or (200, None))
    assert expected is not None or first.body == body
    (second,) = answers_in(await talk_to(edge.port, get(CLOSING)))
    assert (second.status, second.body) == (200, b"good")
    await asyncio.wait_for(evil.connections[0].over.wait(), 5)
    assert len(evil.connections) == 2
    writer.close()


# What is a whole answer, and leaves a doubt about the next one.
DOUBTS: dict[str, bytes] = {
    "bytes after the body": ok(b"Content-Length: 4", body=b"body" + EVIL),
    "half an answer after the body": ok(b"Content-Length: 4", body=b"bodyHTTP/1.1 200"),
    "bytes after the chunks": ok(b"Transfer-Encoding: chunked", body=b"4\r\nbody\r\n0\r\n\r\n" + EVIL),
    "an interim answer before": b"HTTP/1.1 103 Early Hints\r\n\r\n" + ok(b"Content-Length: 4", body=b"body"),
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
    "it means to close": ok(b"Content-Length: 4", b"Connection: close", body=b"body"),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
}


@pytest.mark.parametrize("answer", DOUBTS.values(), ids=DOUBTS)
async def test_after_an_answer_that_leaves_a_doubt_nobody_uses_its_connection(
    bare_edge: RunningEdge, answer: bytes
) -> None:
    async with running_evil_origin(*says(answer), then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        if b"chunked" in answer:
            first, *others = answers_in(await talk_to(bare_edge.port, get(CLOSING)))
            assert (first.status, first.body, others) == (200, b"body", [])
            (second,) = answers_in(await talk_to(bare_edge.port, get(CLOSING)))
            assert second.body == b"good"
        else:
            await failed_then_good(bare_edge, evil, get(), None, b"body")
        assert len(evil.connections) == 2


@pytest.mark.parametrize("more", [EVIL, b"more"])
async def test_what_comes_behind_an_answer_where_the_edge_stopped_reading_answers_no_other_request(
    bare_edge: RunningEdge, more: bytes
) -> None:
    empty = ok(b"Content-Length: 00000")
    body = b"a" * (2 * READ_BYTES - len(empty))  # the second read fills what may wait
    async with running_evil_origin(*says(ok(b"Content-Length: %05d" % len(body), body=body + more)), then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        first, second = answers_in(await talk_to(bare_edge.port, get() + get(CLOSING)))
        assert (first.body, second.status, second.body) == (body, 200, b"good")
        assert len(evil.connections) == 2


@pytest.mark.parametrize("field", [b"Content-Length: 42", b"Transfer-Encoding: chunked"])
async def test_after_a_204_that_announces_a_body_nobody_uses_its_connection(
    bare_edge: RunningEdge, field: bytes
) -> None:
    async with running_evil_origin(*says(b"HTTP/1.1 204 No Content\r\n" + field + b"\r\n\r\n"), then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        first, second = [answers_in(await talk_to(bare_edge.port, get(CLOSING)))[0] for _ in range(2)]
        assert (first.status, first.body, second.status, second.body) == (204, b"", 200, b"good")
        assert len(evil.connections) == 2


# What breaks when the client has its answer's head: the client's connection is reset, never ended as if that were all.
CHUNKS = ok(b"Transfer-Encoding: chunked", body=b"4\r\nhalf\r\n")
SIZED = ok(b"Content-Length: 9", body=b"half")
CUTS: dict[str, tuple[bytes, tuple[Step, ...]]] = {
    "a reset in a sized body": (SIZED, (RESET,)),
    "an end in a sized body": (SIZED, (CLOSE,)),
    "silence in a sized body": (SIZED, (HANG,)),
    "an end in the chunks": (CHUNKS, (CLOSE,)),
    "silence in the chunks": (CHUNKS, (HANG,)),
    "a chunk with a bad size": (CHUNKS, (Send(b"zz\r\nxx\r\n0\r\n\r\n"), HANG)),
    "a chunk longer than it says": (CHUNKS, (Send(b"1\r\nxyz\r\n0\r\n\r\n"), HANG)),
    "a chunk that ends in a bare line feed": (CHUNKS, (Send(b"2\r\nhi\n0\r\n\r\n"), HANG)),
    "trailers without an end": (CHUNKS, (Drip(b"0\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 90, 0, 65_536), HANG)),
    "a reset in a body without a length": (ok(body=b"half"), (RESET,)),
}


@pytest.mark.parametrize(("begun", "end"), CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_an_answer_that_breaks_off_is_cut_for_its_client(
    bare_edge: RunningEdge, begun: bytes, end: Sequence[Step], version: bytes
) -> None:
    more = asyncio.Event()
    async with running_evil_origin(READ_HEAD, Send(begun), Wait(more), *end, then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        reader, writer = await asyncio.open_connection("127.0.0.1", bare_edge.port)
        writer.write(get(version=version))
        await asyncio.wait_for(reader.readuntil(b"half"), 5)
        more.set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        (second,) = answers_in(await talk_to(bare_edge.port, get(CLOSING)))
        assert second.body == b"good"
        await asyncio.wait_for(evil.connections[0].over.wait(), 5)


@steadily
async def test_a_body_that_trickles_is_not_cut(bare_edge: RunningEdge) -> None:
    body = b"for longer than it may stand still"
    script = (READ_HEAD, Send(ok(b"Content-Length: %d" % len(body))), Drip(body, 0.02), HANG)
    async with running_evil_origin(*script) as evil:
        await bare_edge.put(impatient(evil.url))
        (answer,) = answers_in(await talk_to(bare_edge.port, get(CLOSING)))
        assert answer.body == body


LIES = {"to another protocol": switch(b"Upgrade: h2c", b"Connection: Upgrade"), "to none": switch()}


@pytest.mark.parametrize("answer", LIES.values(), ids=LIES)
async def test_a_switch_that_was_not_asked_for_opens_no_tunnel(bare_edge: RunningEdge, answer: bytes) -> None:
    async with running_evil_origin(*says(answer, READ_ALL), then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        data = await talk_to(bare_edge.port, get(*UPGRADE) + b"bytes for the tunnel")
        (first,) = answers_in(data)
        assert (first.status, first.error, first.is_last) == (*PROTOCOL_502, True)
        await asyncio.wait_for(evil.connections[0].over.wait(), 5)
        assert b"bytes for the tunnel" not in evil.connections[0].received


FRAMED = {
    "with a length": (b"Content-Length: 4",),
    "with a length in another spelling": (b"content-length: 4",),
    "with chunks": (b"Transfer-Encoding: chunked",),
}


@pytest.mark.parametrize("lines", FRAMED.values(), ids=FRAMED)
async def test_a_switch_that_speaks_of_a_body_is_passed_on_without_it(
    bare_edge: RunningEdge, lines: Sequence[bytes]
) -> None:
    answer = switch(b"Upgrade: websocket", b"Connection: Upgrade", *lines)
    async with running_evil_origin(*says(answer, CLOSE)) as evil:
        await bare_edge.put(impatient(evil.url))
        head, _, rest = (await talk_to(bare_edge.port, get(*UPGRADE))).partition(b"\r\n\r\n")
    names = {line.partition(b":")[0] for line in head.lower().split(b"\r\n")[1:]}
    assert head.startswith(b"HTTP/1.1 101 ")
    assert {b"upgrade", b"connection"} <= names
    assert not names & {b"content-length", b"transfer-encoding"}
    assert rest == b"evil"


# Who may be asked again: another target, where the first cannot have done the work twice.
RETRIES: dict[str, tuple[bytes, tuple[Step, ...], bool]] = {
    "a GET after a reset": (get(CLOSING), (READ_HEAD, RESET), True),
    "a PUT without a body after a reset": (request(b"PUT / HTTP/1.1", HOST, CLOSING), (READ_HEAD, RESET), True),
    "a POST after a reset": (post(CLOSING, b"Content-Length: 1", body=b"x"), (READ_HEAD, Read(1), RESET), False),
    "a POST without a body after a reset": (post(CLOSING), (READ_HEAD, RESET), False),
    "a PUT whose body is gone": (
        request(b"PUT / HTTP/1.1", HOST, CLOSING, b"Content-Length: 1", body=b"x"),
        (READ_HEAD, Read(1), RESET),
        False,
    ),
}


@pytest.mark.parametrize(("sent", "script", "is_repeated"), RETRIES.values(), ids=RETRIES)
async def test_only_what_cannot_do_its_work_twice_is_sent_to_another_target(
    bare_edge: RunningEdge, sent: bytes, script: Sequence[Step], is_repeated: bool
) -> None:
    async with running_evil_origin(*script) as evil, running_recorder() as good:
        await bare_edge.put(impatient(evil.url, good.url, retries=1))
        first, second = [answers_in(await talk_to(bare_edge.port, sent))[0] for _ in range(2)]
        assert sorted((first.status, second.status)) == ([200, 200] if is_repeated else [200, 502])
        assert len(evil.connections) == 1
        assert len(good.requests) == (2 if is_repeated else 1)


async def test_a_request_that_was_not_sent_goes_to_another_target_whatever_its_method(bare_edge: RunningEdge) -> None:
    with refusing_port() as dead:
        async with running_recorder() as good:
            await bare_edge.put(impatient(f"http://127.0.0.1:{dead}", good.url, retries=1))
            sent = post(CLOSING, b"Content-Length: 4", body=b"body")
            answers = [answers_in(await talk_to(bare_edge.port, sent))[0] for _ in range(2)]
            assert [answer.body for answer in answers] == [b"/ body"] * 2


@pytest.mark.parametrize("then", [CLOSE, RESET, HANG], ids=["closes", "resets", "hangs"])
async def test_an_answer_before_the_upload_is_read_is_delivered_and_both_connections_end(
    bare_edge: RunningEdge, then: Step
) -> None:
    early = Send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
    async with running_evil_origin(READ_HEAD, early, *([] if then is RESET else [then]), then=GOOD) as evil:
        await bare_edge.put(impatient(evil.url))
        half = post(b"Content-Length: 1000", body=get(target=b"/hidden"))
        (first,) = answers_in(await talk_to(bare_edge.port, half))
        assert (first.status, first.body, first.is_last) == (413, b"big", True)
        await asyncio.wait_for(evil.connections[0].over.wait(), 5)
        (second,) = answers_in(await talk_to(bare_edge.port, get(CLOSING)))
        assert (second.status, second.body, len(evil.connections)) == (200, b"good", 2)
