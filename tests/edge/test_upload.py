"""A chunked body taken by what was read at once, and how much of an upload may be framing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import StreamReader

from edge.deadlines import Pace
from edge.errors import EdgeError
from edge.upload import END_OF_BODY, MAX_BARREN_BYTES, SURPLUS_BYTES, SURPLUS_BYTES_PER_S, ChunkedBody, Upload

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMIT_BYTES = 1024
SEED = 1
PACE = Pace()


class Reading(BaseProtocol):
    """A connection that reads, or has stopped."""

    connected = True

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self, resume_parser: bool = True) -> None:
        self._reading_paused = False


def begun(head: bytes = HEAD) -> tuple[HttpRequestParser, Reading, Any, StreamReader]:
    """Give a parser that has read a head, its connection, the message and its body."""
    reading = Reading(asyncio.get_running_loop())
    parser = HttpRequestParser(reading, asyncio.get_running_loop(), LIMIT_BYTES, auto_decompress=False)
    ((message, body),), *_ = parser.feed_data(head)
    return parser, reading, message, body


def chunks(pieces: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


async def test_a_chunked_body_is_the_same_however_it_was_cut_and_read() -> None:
    numbers = random.Random(SEED)
    for _ in range(100):
        pieces = [numbers.randbytes(numbers.choice([1, 1, 1, 2, 15, 16, 300])) for _ in range(numbers.randrange(60))]
        sent = chunks(pieces) + b"0\r\n\r\n"
        parser, _, _, plain = begun()
        before = numbers.randrange(len(sent))
        parser.feed_data(sent[:before])
        body = ChunkedBody.of(plain)
        body.settle()
        got, at = bytearray(), before
        while at < len(sent):
            step = numbers.randrange(1, 200)
            parser.feed_data(sent[at : at + step])
            body.settle()
            at += step
            if numbers.random() < 0.5:
                got += body.read_nowait(numbers.choice([-1, 1, 7]))
        assert body.is_eof()
        got += body.read_nowait(-1)
        assert bytes(got) == b"".join(pieces)
        assert body.total_bytes == len(got)


async def test_a_read_gives_all_that_came_at_once_in_one_piece() -> None:
    parser, _, _, plain = begun()
    body = ChunkedBody.of(plain)
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    parser.feed_data(chunks([b"x"] * 100))
    body.settle()
    assert await reading == b"x" * 100


@pytest.mark.parametrize("pieces", [[b"x" * (2 * LIMIT_BYTES + 1)], [b"x"] * (LIMIT_BYTES // 16 + 1)])
async def test_reading_stops_while_a_chunked_body_lies_there_and_goes_on_when_it_is_taken(pieces: list[bytes]) -> None:
    parser, reading, _, plain = begun()
    body = ChunkedBody.of(plain)
    parser.feed_data(chunks(pieces))
    body.settle()
    assert reading._reading_paused
    body.read_nowait(-1)
    assert not reading._reading_paused


async def test_a_body_that_ended_badly_still_gives_what_came_before() -> None:
    parser, _, _, plain = begun()
    body = ChunkedBody.of(plain)
    with pytest.raises(Exception, match="Invalid character in chunk size"):
        parser.feed_data(chunks([b"a", b"b"]) + b"zz\r\n")
    body.settle()
    assert body.read_nowait(-1) == b"ab"


CRUMB = b"1\r\nx\r\n"
MUCH = chunks([b"x" * 1000]) * 200
FLOODS = {
    "a body in large chunks": (chunks([b"x" * 1000]) * 500, None),
    "a body in chunks of five bytes": (chunks([b"x" * 5]) * 50_000, None),
    "crumbs as many as may be": (CRUMB * (SURPLUS_BYTES // 4), None),
    "one crumb more": (CRUMB * (SURPLUS_BYTES // 4 + 1), "bad_request"),
    "a long extension": (b"1;a=" + b"x" * SURPLUS_BYTES, "bad_request"),
    "an extension after much body": (MUCH + b"1;a=" + b"x" * (MAX_BARREN_BYTES - 5000), None),
    "a longer one": (MUCH + b"1;a=" + b"x" * (MAX_BARREN_BYTES + 5000), "bad_request"),
    "extensions that are long together": (MUCH + (b"1;a=" + b"x" * 20_000 + b"\r\nx\r\n") * 5, None),
    "trailers": (b"0\r\n" + b"X: " + b"a" * 8000 + b"\r\n", None),
    "trailers after much body": (MUCH + b"0\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 3, None),
    "more of them": (MUCH + b"0\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 5, "bad_request"),
}


@pytest.mark.parametrize(("sent", "code"), FLOODS.values(), ids=FLOODS)
async def test_framing_may_outweigh_the_body_by_so_much(sent: bytes, code: str | None) -> None:
    parser, reading, _, body = begun()
    upload = Upload(reading, ChunkedBody.of(body), PACE)
    upload._began_at_s += 3600  # no second has passed
    for at in range(0, len(sent), 5000):
        piece = sent[at : at + 5000]
        parser.feed_data(piece)
        upload.received(piece, None)
    upload.end()
    fault = body.exception()
    assert (fault.code if isinstance(fault, EdgeError) else fault) == code


async def test_crumbs_may_end_in_a_read_of_its_own() -> None:
    for last in ([b"0\r\n", b"\r\n"], [b"1", b"\r\nx\r\n0\r\n\r\n"], [b"0\r\nX: " + b"a" * 4000 + b"\r\n", b"\r\n"]):
        parser, reading, _, body = begun()
        upload = Upload(reading, ChunkedBody.of(body), PACE)
        for piece in (CRUMB * 6800 + last[0], last[1]):
            parser.feed_data(piece)
            upload.received(piece, None)
            body.read_nowait(-1)
        assert body.exception() is None
        assert body.is_eof()
        upload.end()


@pytest.mark.parametrize(("after_s", "is_refused"), [(9.5, True), (10.5, False)])
async def test_crumbs_that_come_slowly_are_welcome(after_s: float, is_refused: bool) -> None:
    sent = CRUMB * ((SURPLUS_BYTES + 10 * SURPLUS_BYTES_PER_S) // 4)
    parser, reading, _, body = begun()
    upload = Upload(reading, ChunkedBody.of(body), PACE)
    upload._began_at_s -= after_s
    parser.feed_data(sent)
    upload.received(sent, None)
    upload.end()
    assert (body.exception() is not None) == is_refused


@pytest.mark.parametrize(
    ("pieces", "ends_well"),
    [
        ([b"0\r\n\r\n"], True),
        ([b"0\r\n\r", b"\n"], True),
        ([b"0", b"\r", b"\n", b"\r", b"\n"], True),
        ([b"0\r\nX: a\r\n\r\n"], True),
        ([b"0\r\n\r\nG"], False),
        ([b"0\r\n\r\nGET / HT"], False),
        ([b"0\r\n\r\n\r"], False),
    ],
)
async def test_an_upload_knows_whether_what_came_last_was_its_end(pieces: list[bytes], ends_well: bool) -> None:
    parser, reading, _, body = begun()
    upload = Upload(reading, ChunkedBody.of(body), PACE)
    for piece in pieces:
        parser.feed_data(piece)
        upload.received(piece, None)
    assert body.is_eof()
    assert (upload.last_bytes == END_OF_BODY) is ends_well
    upload.end()


async def test_a_sized_body_stays_as_it_is() -> None:
    parser, reading, _, body = begun(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    upload = Upload(reading, body, PACE)
    parser.feed_data(b"abc")
    upload.received(b"abc", None)
    upload.end()
    assert type(body) is StreamReader
    assert (upload.last_bytes, body.read_nowait(-1)) == (b"", b"abc")
