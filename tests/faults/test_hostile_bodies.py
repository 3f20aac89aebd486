"""Bodies whose end two servers could see in different places: refused, or framed anew in the one way."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import answers_in, get, post
from tests.fakes.recorder import Recorder
from tests.fakes.verdicts import Forwarded, Refused, Verdict, check

BAD = Refused(400, "bad_request")
CLOSE = b"Connection: close"
CHUNKED = b"Transfer-Encoding: chunked"
EMPTY = b"0\r\n\r\n"
X = b"1\r\nx\r\n0\r\n\r\n"


def coded(value: bytes, body: bytes = X) -> bytes:
    return post(b"Transfer-Encoding:" + value, body=body)


def sized(value: bytes, body: bytes = b"x") -> bytes:
    return post(b"Content-Length:" + value, body=body)


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


CODINGS: dict[str, tuple[bytes, Verdict]] = {
    "a length and chunks": (post(b"Content-Length: 5", CHUNKED, body=EMPTY), BAD),
    "chunks and a length": (post(CHUNKED, b"Content-Length: 5", body=EMPTY), BAD),
    "a coding whose name ends in chunked": (coded(b" xchunked"), BAD),
    "chunked is not the last coding": (coded(b" chunked, identity"), BAD),
    "another coding before chunked": (coded(b" gzip, chunked"), BAD),
    "identity": (coded(b" identity"), BAD),
    "an empty coding": (coded(b""), BAD),
    "a comma after chunked": (coded(b" chunked,"), BAD),
    "a comma before chunked": (coded(b" ,chunked"), BAD),
    "chunked twice": (coded(b" chunked, chunked"), BAD),
    "chunked with a parameter": (coded(b" chunked;q=1"), BAD),
    "chunked in quotes": (coded(b' "chunked"'), BAD),
    "chunked after a vertical tab": (coded(b" \x0bchunked"), BAD),
    "chunked between tabs": (coded(b"\tchunked\t"), BAD),
    "chunked and a fold": (coded(b" chunked\r\n\t"), BAD),
    "the coding in two fields": (post(CHUNKED, CHUNKED, body=EMPTY), BAD),
    "identity, then chunked in two fields": (post(b"Transfer-Encoding: identity", CHUNKED, body=EMPTY), BAD),
    "a space before the colon": (post(b"Transfer-Encoding : chunked", b"Content-Length: 5", body=EMPTY), BAD),
    "a coding after a bare CR": (post(b"X: a\rTransfer-Encoding: chunked", b"Content-Length: 5", body=EMPTY), BAD),
    "a coding in HTTP/1.0": (
        post(b"Connection: keep-alive", CHUNKED, body=EMPTY, version=b"HTTP/1.0"),
        BAD,
    ),
    "a coding spelt with _ is none": (
        post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=EMPTY),
        Forwarded(post(b"Content-Length: 5", body=EMPTY)),
    ),
}

ACCEPTED: dict[str, tuple[bytes, bytes]] = {
    "the coding in another case": (post(CLOSE, b"Transfer-Encoding: ChunKED", body=X), X),
    "a size with leading zeros": (post(CLOSE, CHUNKED, body=b"0001\r\nx\r\n000\r\n\r\n"), X),
    "an extension stays behind": (post(CLOSE, CHUNKED, body=b'1;a="b"\r\nx\r\n0;c\r\n\r\n'), X),
    "trailers stay behind": (post(CLOSE, CHUNKED, body=b"1\r\nx\r\n0\r\nX-Portico-Tenant: a\r\nX: 1\r\n\r\n"), X),
    "chunks are joined": (post(CLOSE, CHUNKED, body=b"1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n"), b"3\r\nxyz\r\n0\r\n\r\n"),
    "nothing": (post(CLOSE, CHUNKED, body=EMPTY), EMPTY),
}

LENGTHS: dict[str, tuple[bytes, Verdict]] = {
    "two lengths": (post(b"Content-Length: 1", b"Content-Length: 2", body=b"xy"), BAD),
    "the same length twice": (post(b"Content-Length: 1", b"Content-Length: 1", body=b"x"), BAD),
    "the same length twice in one field": (sized(b" 1, 1"), BAD),
    "a plus": (sized(b" +1"), BAD),
    "a minus": (sized(b" -1"), BAD),
    "hexadecimal": (sized(b" 0x1"), BAD),
    "two numbers": (sized(b"  1 2"), BAD),
    "an underscore": (sized(b" 1_0", b"x" * 10), BAD),
    "a fraction": (sized(b" 1.0"), BAD),
    "nothing": (sized(b""), BAD),
    "digits of another script": (sized(b" \xd9\xa1"), BAD),
    "more than 64 bits": (sized(b" 18446744073709551616"), BAD),
    "64 bits, all ones": (sized(b" 18446744073709551615"), BAD),
    "more than 63 bits": (sized(b" 9223372036854775808"), BAD),
    "leading zeros": (sized(b" 01"), Forwarded(post(b"Content-Length: 1", body=b"x"))),
    "spaces around": (sized(b" \t1 "), Forwarded(post(b"Content-Length: 1", body=b"x"))),
    "a length of nothing": (sized(b" 0", b""), Forwarded(post(b"Content-Length: 0"))),
    "a length spelt with _ is none": (
        post(b"Content_Length: 9", b"Content-Length: 1", body=b"x"),
        Forwarded(post(b"Content-Length: 1", body=b"x")),
    ),
    "a length that Connection names": (
        post(b"Connection: Content-Length", b"Content-Length: 1", body=b"x"),
        Forwarded(post(b"Content-Length: 1", body=b"x")),
    ),
    "a GET with a body": (get(b"Content-Length: 1") + b"x", Forwarded(get(b"Content-Length: 1") + b"x")),
}

CHUNKS: dict[str, tuple[bytes, Verdict]] = {
    "a size with 0x": (chunks(b"0x1\r\nx\r\n0\r\n\r\n"), BAD),
    "a size beyond 64 bits": (chunks(b"10000000000000001\r\nx\r\n0\r\n\r\n"), BAD),
    "a size with a sign": (chunks(b"-1\r\nx\r\n0\r\n\r\n"), BAD),
    "no size": (chunks(b"\r\nx\r\n0\r\n\r\n"), BAD),
    "a space after the size": (chunks(b"1 \r\nx\r\n0\r\n\r\n"), BAD),
    "a bare LF after the size": (chunks(b"1\nx\r\n0\r\n\r\n"), BAD),
    "a bare LF in an extension": (chunks(b"1;a\nb\r\nx\r\n0\r\n\r\n"), BAD),
    "a bare CR in an extension": (chunks(b"1;a\rb\r\nx\r\n0\r\n\r\n"), BAD),
    "NUL in an extension": (chunks(b"1;a=\0\r\nx\r\n0\r\n\r\n"), BAD),
    "a bare LF after the data": (chunks(b"1\r\nx\n0\r\n\r\n"), BAD),
    "more data than the size": (chunks(b"1\r\nxy\r\n0\r\n\r\n"), BAD),
    "a bare LF at the end": (chunks(b"1\r\nx\r\n0\r\n\n"), BAD),
    "NUL in a trailer": (chunks(b"1\r\nx\r\n0\r\nX: a\0\r\n\r\n"), BAD),
    "a length in a trailer": (chunks(b"1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n"), BAD),
    "Host in a trailer": (
        chunks(b"1\r\nx\r\n0\r\nHost: evil.test\r\n\r\n"),
        Forwarded(chunks(b"1\r\nx\r\n0\r\n\r\n"), goes_on=False),
    ),
}


@pytest.mark.parametrize(("sent", "verdict"), CODINGS.values(), ids=CODINGS)
async def test_a_transfer_coding(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize(("sent", "verdict"), LENGTHS.values(), ids=LENGTHS)
async def test_a_length(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize(("sent", "verdict"), CHUNKS.values(), ids=CHUNKS)
async def test_a_chunk(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize(("sent", "body"), ACCEPTED.values(), ids=ACCEPTED)
async def test_a_chunked_body_is_framed_anew(edge: RunningEdge, recorder: Recorder, sent: bytes, body: bytes) -> None:
    verdict = Forwarded(post(CHUNKED, body=body), goes_on=False, is_alone=True)
    await check(edge, recorder, sent, verdict)


async def test_an_expectation_is_met_by_the_edge_and_the_next_request_is_the_next(
    edge: RunningEdge, recorder: Recorder
) -> None:
    asked = post(b"Expect: 100-continue", b"Content-Length: 1")
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(asked)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"x" + get(b"Connection: close", target=b"/next"))
    answers = answers_in(await asyncio.wait_for(reader.read(), 5))
    writer.close()
    assert [answer.body for answer in answers] == [b"/ x", b"/next "]
    assert recorder.forwarded == [post(b"Content-Length: 1", body=b"x"), get(target=b"/next")]
