"""What a target says, fed as bytes: where an answer ends, and when that is in doubt."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from aiohttp.base_protocol import BaseProtocol

from edge.answer import MAX_HEAD_BYTES, Answer, UpstreamError

PIECE = b"x" * 65_536


def feed(answer: Answer, data: bytes, step: int) -> None:
    """Have it take the data in pieces of this size."""
    for at in range(0, len(data), step):
        answer.feed(data[at : at + step])


def answer_to(method: str = "GET") -> Answer:
    return Answer(BaseProtocol(asyncio.get_running_loop()), method, asks_upgrade=False)


async def test_an_answer_is_clean_when_its_last_byte_was_the_last_received() -> None:
    answer = answer_to()
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo")
    assert not answer.is_complete
    answer.feed(b"dy")
    assert answer.is_clean


@pytest.mark.parametrize("status", [b"099 X", b"600 X", b"700 X", b"999 X", b"200 \x01", b"103 \x05Early"])
async def test_a_status_line_that_is_none_is_no_answer(status: bytes) -> None:
    with pytest.raises(UpstreamError, match="upstream_protocol"):
        answer_to().feed(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("step", [1, 1000])
async def test_a_status_needs_no_space_behind_it_where_there_is_no_reason(step: int) -> None:
    answer, data = answer_to(), b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody"
    feed(answer, data, step)
    assert answer.message is not None
    assert (answer.message.code, answer.is_clean) == (200, True)


FOLDED = {
    "a field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a field, with a tab": b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 0\r\n\r\n",
    "the first line": b"HTTP/1.1 304\r\n \r\n Not Modified\r\nContent-Length: 90\r\n\r\n",
    "the first line, and no more": b"HTTP/1.1 304 X\r\n \r\n",
    "an interim answer": b"HTTP/1.1 103 Early\r\nX: a\r\n b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "behind an interim answer": b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "behind a 100": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 X\r\n \r\n\r\n",
    "with bare line feeds": b"HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 4\n\nbody",
    "behind line ends": b"\r\n\r\nHTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "behind line feeds": b"\n\nHTTP/1.1 200 OK\nX: a\n b\nContent-Length: 0\n\n",
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("folded", FOLDED.values(), ids=FOLDED)
async def test_a_folded_line_is_a_protocol_error_however_it_comes(folded: bytes, step: int) -> None:
    answer = answer_to()
    with pytest.raises(UpstreamError) as caught:
        feed(answer, folded, step)
    assert caught.value.code == "upstream_protocol"
    assert not answer.head.done()


OK = b"HTTP/1.1 200 OK\r\n"
BARE_RETURNS = {
    "behind a name": OK + b"X: \rSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nhi",
    "behind a name, and a length": OK + b"X: \rContent-Length: 2\r\n\r\nhi",
    "for a value": OK + b"X:\r\r\nContent-Length: 2\r\n\r\nhi",
    "for a value, behind a length": OK + b"Content-Length: 21\r\nX:\r\r\nContent-Type: a\r\n\r\nhi",
    "in an interim answer": b"HTTP/1.1 103 Early\r\nX:\r\r\nY: 1\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "behind an interim answer": b"HTTP/1.1 103 Early\r\n\r\n" + OK + b"X: \rA: b\r\nContent-Length: 0\r\n\r\n",
    "among bare line feeds": b"HTTP/1.1 200 OK\nX:\r\rA: b\nContent-Length: 0\n\n",
    "in the status line": b"HTTP/1.1 200 OK\rX: a\r\nContent-Length: 0\r\n\r\n",
    "behind a status": b"HTTP/1.1 304\rX: a\r\n\r\n",
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 20, 1000])
@pytest.mark.parametrize("data", BARE_RETURNS.values(), ids=BARE_RETURNS)
async def test_a_carriage_return_alone_is_no_line_end(data: bytes, step: int) -> None:
    answer = answer_to()
    with pytest.raises(UpstreamError) as caught:
        feed(answer, data, step)
    assert caught.value.code == "upstream_protocol"
    assert not answer.head.done()


@pytest.mark.parametrize(
    ("fields", "is_clean"),
    [
        (b"", True),
        (b"Content-Length: 0\r\n", True),
        (b"Content-Length: 42\r\n", False),
        (b"Transfer-Encoding: chunked\r\n", False),
    ],
)
async def test_what_follows_a_204_that_announces_a_body_is_in_doubt(fields: bytes, is_clean: bool) -> None:
    answer = answer_to()
    answer.feed(b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\n")
    assert answer.is_complete
    assert answer.is_clean is is_clean


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_wrong_with_an_interim_answer_is_seen_before_an_answer_with_a_body_that_it_must_not_have(
    method: str, step: int
) -> None:
    answer = answer_to(method)
    final = b"HTTP/1.1 304 Not Modified\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"
    with pytest.raises(UpstreamError, match="upstream_protocol"):
        feed(answer, b"HTTP/1.1 103 \x01Early Hints\r\n\r\n" + final, step)


@pytest.mark.parametrize("step", [7, 40, 1000])
async def test_interim_answers_are_counted_once_before_an_answer_with_a_body_that_it_must_not_have(step: int) -> None:
    answer = answer_to("HEAD")
    feed(answer, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 8 + OK + b"Content-Length: 2\r\n\r\nok", step)
    assert (await answer.head)[0].code == 200
    assert not answer.is_clean


@pytest.mark.parametrize("fields", [b"Content-Length: 42\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize(("method", "status"), [("GET", b"304 Not Modified"), ("HEAD", b"200 OK")])
async def test_a_304_and_an_answer_to_head_say_how_long_a_body_would_be(
    method: str, status: bytes, fields: bytes
) -> None:
    answer = answer_to(method)
    answer.feed(b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n")
    assert answer.is_clean


@pytest.mark.parametrize("step", [1000, 40_000])
@pytest.mark.parametrize("behind", [b"0\r\n", b"1;a="], ids=["trailers", "an extension"])
async def test_what_is_no_body_has_the_bound_of_a_head(behind: bytes, step: int) -> None:
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    trailers = behind + b"".join(b"X-%d: %b\r\n" % (at, b"a" * 1000) for at in range(120))
    for body in (b"2\r\nhi\r\n", b"%x\r\n%b\r\n" % (400_000, bytes(400_000))):
        answer = answer_to()
        for at in range(0, len(head + body), step):
            answer.feed((head + body)[at : at + step])
            assert answer.payload is not None
            answer.payload.read_nowait(-1)
        with pytest.raises(UpstreamError) as caught:
            feed(answer, trailers, step)
        assert caught.value.code == "upstream_protocol"
        assert answer._bytes_received <= len(head) + len(body) + MAX_HEAD_BYTES + step


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_a_body_may_look_like_folded_lines(step: int) -> None:
    body = b" a\r\n b\r\n\r\n c\n d"
    for line_end in (b"\r\n", b"\n"):
        head = line_end.join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), b"", b""))
        for before in (b"", line_end.join((b"HTTP/1.1 100 Continue", b"", b""))):
            answer, data = answer_to(), before + head + body
            feed(answer, data, step)
            assert answer.is_complete
            assert answer.payload is not None
            assert answer.payload.read_nowait(-1) == body


@pytest.mark.parametrize("name", [b"Content-Length ", b"X Y", b"X(", b"X\xc3\xa9", b'"X"'])
async def test_a_field_whose_name_is_none_is_no_answer(name: bytes) -> None:
    with pytest.raises(UpstreamError, match="upstream_protocol"):
        answer_to().feed(b"HTTP/1.1 200 OK\r\n" + name + b": 5\r\n\r\nhello")


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\r\n\r\nbody",),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\n", b"body"),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\n\r\n\r\nHTTP",),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\n", b"\r\n\r\nHTTP"),
    ],
    ids=["a whole head", "one line of it", "the body apart", "surplus that passes for the head", "that apart"],
)
async def test_an_answer_with_bare_line_feeds_is_read_but_never_clean(pieces: tuple[bytes, ...]) -> None:
    answer = answer_to()
    for piece in pieces:
        answer.feed(piece)
    assert answer.is_complete
    assert answer.payload is not None
    assert answer.payload.total_bytes == 4
    assert not answer.is_clean


async def test_a_body_after_a_head_with_bare_line_feeds_is_not_kept() -> None:
    answer = answer_to()
    answer.feed(b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % (200 * len(PIECE)))
    tracemalloc.start()
    for _ in range(200):
        answer.feed(PIECE)
        assert answer.payload is not None
        assert answer.payload.read_nowait(-1) == PIECE
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.is_complete
    assert peak_bytes < 8 * len(PIECE)


@pytest.mark.parametrize("length", [str(2**63), str(2**64 - 1), "0" * 5000 + "4"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_length_that_nobody_can_count_to_is_a_protocol_error(method: str, length: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        answer_to(method).feed(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
    assert caught.value.code == "upstream_protocol"


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_a_head_has_a_bound_for_all_its_fields_together(before: bytes) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (at, b"a" * 1000) for at in range(100))
    assert len(fields) > MAX_HEAD_BYTES
    answer = answer_to()
    answer.feed(before)
    with pytest.raises(UpstreamError) as caught:
        answer.feed(b"HTTP/1.1 200 OK\r\n" + fields)
    assert caught.value.code == "upstream_protocol"


@pytest.mark.parametrize("control", [b"\x00", b"\x01", b"\x0b", b"\r", b"\x1b", b"\x7f"])
async def test_a_control_character_in_a_head_is_a_protocol_error(control: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        answer_to().feed(b"HTTP/1.1 200 OK\r\nX: a" + control + b"b\r\nContent-Length: 0\r\n\r\n")
    assert caught.value.code == "upstream_protocol"


@pytest.mark.parametrize("value", [b"a\tb", b"\xff\xfe", "é\u2028".encode()])
async def test_what_is_no_control_character_passes(value: bytes) -> None:
    answer = answer_to()
    answer.feed(b"HTTP/1.1 200 OK\r\nX: " + value + b"\r\nContent-Length: 0\r\n\r\n")
    assert answer.is_clean


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("trailer", [b"X: 1", b"Set-Cookie: a=0", b"X: 0"])
@pytest.mark.parametrize("step", [1, 3, 1000])
async def test_trailers_are_told_from_surplus_and_the_next_answer_is_read_by_another_parser(
    trailer: bytes, step: int
) -> None:
    data = OK + CHUNKED + b"4\r\nbody\r\n0\r\n" + trailer + b"\r\n\r\n"
    for surplus in (b"", b"HTTP/1.1 2"):
        answer = answer_to()
        feed(answer, data + surplus, step)
        assert answer.is_complete
        assert answer.is_clean is not bool(surplus)
        assert answer.reusable_parser is None  # aiohttp's parser gives its last trailer to the next head that it reads


@pytest.mark.parametrize("step", [1, 1000])
async def test_chunks_of_http_1_0_are_read_but_never_clean(step: int) -> None:
    answer = answer_to()
    feed(answer, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED + b"4\r\nbody\r\n0\r\n\r\n", step)
    assert answer.is_complete
    assert answer.message is not None
    assert not answer.message.should_close
    assert not answer.is_clean


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_a_fault_of_chunks_that_come_with_their_head_makes_it_no_answer(before: bytes, line_end: bytes) -> None:
    answer = answer_to()
    head = before + (OK + CHUNKED).replace(b"\r\n", line_end)
    with pytest.raises(UpstreamError, match="upstream_protocol"):
        answer.feed(head + b"4\r\nbody\n0\r\n\r\n")
    assert not answer.head.done()
    answer = answer_to()
    answer.feed(head + b"4\r\nbody\r\n0\r\n\r\n")
    assert answer.is_complete
    assert answer.is_clean is (line_end == b"\r\n" and not before)


@pytest.mark.parametrize("body", [b"", b"4\r\nbody\r\n"])
@pytest.mark.parametrize("step", [1, 3, 1000])
async def test_chunks_without_trailers_are_clean_however_they_arrive(body: bytes, step: int) -> None:
    answer = answer_to()
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
    feed(answer, data, step)
    assert answer.is_clean
