"""Bodies that go wrong after their head has been served, and what they could leave behind for the next request."""

from __future__ import annotations

import asyncio

import pytest

from edge.reads import READ_BYTES
from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import LAST, answers_in, get, post, talk_to
from tests.fakes.recorder import Recorder
from tests.fakes.verdicts import Refused, check
from tests.fakes.waiting import until
from tests.faults.test_hostile_floods import CHUNKED, pour

X = b"1\r\nx\r\n0\r\n\r\n"
BROKEN = {
    "a bad size": (b"zz\r\n", 400, "bad_request"),
    "more data than the size": (b"1\r\nyz\r\n", 400, "bad_request"),
    "a bare LF": (b"1;a\nb\r\n", 400, "bad_request"),
    "NUL in a trailer": (b"0\r\nX: a\0\r\n\r\n", 400, "bad_request"),
    "200 trailers": (b"0\r\n" + b"X: a\r\n" * 200, 431, "headers_too_large"),
}


@pytest.mark.parametrize(("broken", "status", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_chunk_that_is_none_is_told_at_once_though_it_comes_by_itself(
    edge: RunningEdge, recorder: Recorder, broken: bytes, status: int, code: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(post(CHUNKED, body=b"1\r\nx\r\n"))
    await until(lambda: recorder.connections and recorder.connections[0].endswith(b"x\r\n"))
    writer.write(broken + b"0\r\n\r\n" + get(target=b"/smuggled"))
    (answer,) = answers_in(await asyncio.wait_for(reader.read(), 5))
    writer.close()
    assert (answer.status, answer.error, answer.is_last) == (status, code, True)
    await until(lambda: not recorder.transports)
    assert not recorder.requests


@pytest.mark.parametrize("before", [100, 4096, READ_BYTES, 2 * READ_BYTES])
@pytest.mark.parametrize(("broken", "status", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_chunk_that_is_none_is_told_at_once_however_much_comes_at_once_before_it(
    edge: RunningEdge, recorder: Recorder, broken: bytes, status: int, code: str, before: int
) -> None:
    """The edge reads several times before it begins to serve what it has read first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    body = b"%x\r\n%b\r\n" % (before, bytes(before))
    writer.write(post(CHUNKED, body=body) + broken + b"0\r\n\r\n" + get(target=b"/smuggled"))
    (answer,) = answers_in(await asyncio.wait_for(reader.read(), 5))
    writer.close()
    assert (answer.status, answer.error, answer.is_last) == (status, code, True)
    await until(lambda: not recorder.transports)
    assert not recorder.requests


async def test_a_trailer_is_dropped_and_no_later_request_on_the_connection_has_it(
    edge: RunningEdge, recorder: Recorder
) -> None:
    sent = post(CHUNKED, body=b"1\r\nx\r\n0\r\nCookie: theirs\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(sent)
    assert (await reader.readuntil(b"/ x")).startswith(b"HTTP/1.1 200 ")
    writer.write(sent + LAST)
    (answer,) = answers_in(await asyncio.wait_for(reader.read(), 5))
    writer.close()
    assert (answer.status, answer.is_last) == (200, True)  # with its end something came that is not looked at
    assert recorder.forwarded == [post(CHUNKED, body=X)] * 2
    assert not recorder.unreadable


async def test_a_request_that_follows_trailers_has_none_of_them(edge: RunningEdge, recorder: Recorder) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(post(CHUNKED, body=b"1\r\nx\r\n0\r\nCookie: theirs\r\n\r\n"))
    await reader.readuntil(b"/ x")
    writer.write(LAST)
    (answer,) = answers_in(await asyncio.wait_for(reader.read(), 5))
    writer.close()
    assert (answer.status, answer.body) == (200, b"/last ")
    assert recorder.forwarded == [post(CHUNKED, body=X), get(target=b"/last")]


async def test_a_length_of_thousands_of_digits_is_refused_like_any_other(edge: RunningEdge, recorder: Recorder) -> None:
    sent = post(b"Content-Length: " + b"0" * 5000 + b"1", body=b"x")
    await check(edge, recorder, sent, Refused(400, "bad_request"))


@pytest.mark.parametrize("begin", [b"", b"1\r\nx\r\n"], ids=["in the first chunk", "in a later one"])
async def test_a_chunk_extension_without_end_is_cut(edge: RunningEdge, recorder: Recorder, begin: bytes) -> None:
    answer = await pour(edge.port, post(CHUNKED, body=begin + b"1;a="), b"a" * 1024, 4 << 20)
    assert (answer.status, answer.error, answer.is_last) == (400, "bad_request", True)
    await until(lambda: not recorder.transports)
    assert not recorder.requests


@pytest.mark.parametrize(("size", "status"), [(8192, 200), (8193, 414)])
async def test_a_target_of_8_kib_is_served_and_one_byte_more_is_not(
    edge: RunningEdge, recorder: Recorder, size: int, status: int
) -> None:
    first, *_ = answers_in(await talk_to(edge.port, get(target=b"/" + b"a" * (size - 1)) + LAST))
    assert first.status == status
    assert bool(recorder.requests) == (status == 200)


async def test_a_body_in_small_chunks_arrives_whole(edge: RunningEdge) -> None:
    small = b"5\r\nabcde\r\n" * 100_000
    (answer,) = answers_in(await talk_to(edge.port, post(b"Connection: close", CHUNKED), small, b"0\r\n\r\n"))
    assert len(answer.body) == 500_002


async def test_a_flood_of_crumbs_is_cut_before_it_costs_what_a_body_may(edge: RunningEdge, recorder: Recorder) -> None:
    answer = await pour(edge.port, post(CHUNKED), b"1\r\nx\r\n" * 1000, 600_000 * 6)
    assert (answer.status, answer.error, answer.is_last) == (400, "bad_request", True)
    await until(lambda: not recorder.transports)
    assert sum(map(len, recorder.connections)) < 100_000
